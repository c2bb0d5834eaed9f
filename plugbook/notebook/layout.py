"""Layered drawing of a directed graph (Sugiyama's method): who stands where, and how the edges run.

Layers, then an order inside each layer with few crossings, then coordinates. An edge that spans several
layers runs through a dummy node in each, so that it goes around the nodes between. Everything is
deterministic: the same graph gives the same picture.

Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981);
the placement by repeated averaging with kept distances follows Gansner et al., "A technique for drawing
directed graphs" (1993).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

_SWEEPS = 12
_STRAIGHTENINGS = 10
_DUMMY_ROOM = 0.45
"""How much of a node's room across the layer an edge passing by takes."""

Node = int | tuple[int, int]
"""A node by its place in the list of names, or the dummy of (edge, layer)."""


class Point(NamedTuple):
    """A place: `along` counts layers from 0, `across` is in units of one node's room."""

    along: float
    across: float


class Layout(NamedTuple):
    """Where everything stands.

    Attributes:
        nodes: name -> its place.
        edges: (source, target) -> the places the edge runs through, from source to target.
        layers: names of each layer, in the order they stand.
        breadth: how many nodes' rooms the picture takes across the layers.
    """

    nodes: dict[str, Point]
    edges: dict[tuple[str, str], list[Point]]
    layers: list[list[str]]
    breadth: float


def layered(names: Sequence[str], edges: Iterable[tuple[str, str]], *, columns: int = 5) -> Layout:
    """Lay out a graph in layers, each edge leading from an earlier layer to a later one where it can.

    Nodes without any edge say nothing by their layer; they stand in a grid beyond the others.

    Args:
        names: the nodes; their order decides ties.
        edges: pairs (source, target). Unknown names, repeated pairs and loops on one node are left out;
            cycles are drawn with one edge of each running backwards.
        columns: how many layers the grid of nodes without an edge may take, if the others take fewer.

    Returns:
        Places with the smallest `across` at 0.

    >>> layered(["ledger", "billing"], [("ledger", "billing")]).layers
    [['ledger'], ['billing']]
    """
    known = set(names)
    wanted = list(dict.fromkeys((a, b) for a, b in edges if a in known and b in known and a != b))
    tied = {name for pair in wanted for name in pair}
    layout = _layered([name for name in names if name in tied], wanted)
    return _with_grid(layout, [name for name in names if name not in tied], columns)


def _with_grid(layout: Layout, loose: Sequence[str], columns: int) -> Layout:
    """The same layout with the nodes without an edge beyond it, row by row."""
    width = max(len(layout.layers), min(columns, len(loose)))
    layers = [list(layer) for layer in layout.layers] + [[] for _ in range(width - len(layout.layers))]
    nodes = dict(layout.nodes)
    for number, name in enumerate(loose):
        row, layer = divmod(number, width)
        nodes[name] = Point(layer, layout.breadth + row)
        layers[layer].append(name)
    rows = -(-len(loose) // width) if loose else 0
    return Layout(nodes, layout.edges, layers, layout.breadth + rows)


def _layered(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layout:
    index = {name: place for place, name in enumerate(names)}
    pairs = [(index[a], index[b]) for a, b in edges]
    forward = _without_cycles(len(names), pairs)
    depth = _layers(len(names), forward)
    rows, neighbours = _with_dummies(depth, forward)
    _reduce_crossings(rows, neighbours)
    spread = _place(rows, neighbours)
    nodes = {name: Point(depth[place], spread[place]) for name, place in index.items()}
    routes = {}
    for number, (source, target) in enumerate(pairs):
        low, high = forward[number]
        route: list[Node] = [low, *((number, layer) for layer in range(depth[low] + 1, depth[high])), high]
        if low != source:
            route.reverse()
        routes[names[source], names[target]] = [_point(node, depth, spread) for node in route]
    layers = [[names[node] for node in row if isinstance(node, int)] for row in rows]
    breadth = max((point.across for point in nodes.values()), default=-1.0) + 1
    return Layout(nodes, routes, layers, breadth)


def _point(node: Node, depth: Sequence[int], across: Mapping[Node, float]) -> Point:
    return Point(depth[node] if isinstance(node, int) else node[1], across[node])


def _without_cycles(count: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same edges, those that close a cycle in a depth-first walk turned around."""
    outgoing: list[list[int]] = [[] for _ in range(count)]
    for source, target in pairs:
        outgoing[source].append(target)
    finished = [0] * count
    opened = [False] * count
    clock = 0
    for start in range(count):
        if opened[start]:
            continue
        opened[start] = True
        walk = [(start, iter(outgoing[start]))]
        while walk:
            node, rest = walk[-1]
            following = next((target for target in rest if not opened[target]), None)
            if following is None:
                clock += 1
                finished[node] = clock
                walk.pop()
            else:
                opened[following] = True
                walk.append((following, iter(outgoing[following])))
    return [(a, b) if finished[a] > finished[b] else (b, a) for a, b in pairs]


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Longest path from a source; then a source moves next to its nearest target, for shorter edges."""
    outgoing: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target in edges:
        outgoing[source].append(target)
        waiting[target] += 1
    depth = [0] * count
    has_source = [bool(number) for number in waiting]
    ready = [node for node in range(count) if not waiting[node]]
    for node in ready:
        for target in outgoing[node]:
            depth[target] = max(depth[target], depth[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in range(count):
        if outgoing[node] and not has_source[node] and len(outgoing[node]) == 1:
            depth[node] = min(depth[target] for target in outgoing[node]) - 1
    return depth


class _Neighbours(NamedTuple):
    before: Mapping[Node, Sequence[Node]]
    after: Mapping[Node, Sequence[Node]]


def _with_dummies(
    depth: Sequence[int], edges: Sequence[tuple[int, int]]
) -> tuple[list[list[Node]], _Neighbours]:
    """Rows of nodes, with a dummy in every layer that an edge passes; and who is next to whom."""
    rows: list[list[Node]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for node, layer in enumerate(depth):
        rows[layer].append(node)
    before: dict[Node, list[Node]] = defaultdict(list)
    after: dict[Node, list[Node]] = defaultdict(list)
    for number, (source, target) in enumerate(edges):
        last: Node = source
        for layer in range(depth[source] + 1, depth[target]):
            dummy = (number, layer)
            rows[layer].append(dummy)
            after[last].append(dummy)
            before[dummy].append(last)
            last = dummy
        after[last].append(target)
        before[target].append(last)
    return rows, _Neighbours(before, after)


def _reduce_crossings(rows: list[list[Node]], neighbours: _Neighbours) -> None:
    """Order each row by the mean place of its neighbours, sweeping to and fro; keep the best order seen."""
    best = [list(row) for row in rows]
    fewest = _crossings(rows, neighbours.before)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        towards = neighbours.before if down else neighbours.after
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for layer in order:
            _sort_row(rows[layer], rows[layer - 1 if down else layer + 1], towards)
        crossings = _crossings(rows, neighbours.before)
        if crossings < fewest:
            fewest, best = crossings, [list(row) for row in rows]
        elif sweep > 4:
            break
    rows[:] = best


def _sort_row(row: list[Node], fixed: Sequence[Node], towards: Mapping[Node, Sequence[Node]]) -> None:
    """Sort a row by the barycentre of each node's neighbours; a node without any keeps its relative place."""
    place = {node: float(position) for position, node in enumerate(fixed)}
    scale = len(fixed) / max(len(row), 1)
    keys = {}
    for position, node in enumerate(row):
        near = towards.get(node, ())
        keys[node] = sum(place[other] for other in near) / len(near) if near else position * scale
    row.sort(key=keys.__getitem__)


def _crossings(rows: Sequence[Sequence[Node]], before: Mapping[Node, Sequence[Node]]) -> int:
    """How many pairs of edges cross: for each edge, those seen so far that end beyond it."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {node: position for position, node in enumerate(upper)}
        seen: list[int] = []
        for node in lower:
            ends = sorted(place[other] for other in before.get(node, ()))
            for end in ends:
                total += len(seen) - bisect_left(seen, end + 1)
            for end in ends:
                seen.insert(bisect_left(seen, end), end)
    return total


def _place(rows: Sequence[Sequence[Node]], neighbours: _Neighbours) -> dict[Node, float]:
    """Pull each node towards the mean of its neighbours, keeping the order and the distances of its row."""
    room = {node: 1.0 if isinstance(node, int) else _DUMMY_ROOM for row in rows for node in row}
    across: dict[Node, float] = {}
    widths = [sum(room[node] for node in row) for row in rows]
    for row, width in zip(rows, widths, strict=True):
        position = (max(widths) - width) / 2
        for node in row:
            across[node] = position + room[node] / 2
            position += room[node]
    for turn in range(_STRAIGHTENINGS):
        down = turn % 2 == 0
        towards = neighbours.before if down else neighbours.after
        for row in rows if down else reversed(rows):
            _settle(row, room, across, towards)
    start = min((place for node, place in across.items() if isinstance(node, int)), default=0.0)
    return {node: place - start for node, place in across.items()}


def _settle(
    row: Sequence[Node],
    room: Mapping[Node, float],
    across: dict[Node, float],
    towards: Mapping[Node, Sequence[Node]],
) -> None:
    """Least-squares places for one row: runs of nodes that want the same place share the mean of their wishes.

    (The pool-adjacent-violators method; a dummy pulls harder, which keeps long edges straight.)
    """
    offset = 0.0
    runs: list[tuple[float, float, int]] = []  # mean wish, weight, nodes
    offsets = []
    last = 0.0
    for node in row:
        offset += (last + room[node]) / 2
        last = room[node]
        offsets.append(offset)
        near = towards.get(node, ())
        wish = sum(across[other] for other in near) / len(near) if near else across[node]
        weight = (4.0 if not isinstance(node, int) else 1.0) if near else 0.25
        run = (wish - offset, weight, 1)
        while runs and runs[-1][0] > run[0]:
            mean, heavy, size = runs.pop()
            both = heavy + run[1]
            run = ((mean * heavy + run[0] * run[1]) / both, both, size + run[2])
        runs.append(run)
    means = [mean for mean, _, size in runs for _ in range(size)]
    for node, offset, mean in zip(row, offsets, means, strict=True):
        across[node] = mean + offset
