"""Why a graph of requirements cannot be put in order: its knots, and the shortest circle in each.

A graph maps each node to the nodes it points at, all of which are nodes of the graph. Everything is
decided in the graph's own order, so that the same graph gives the same circles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping

Graph = Mapping[str, Collection[str]]


def find_knots(graph: Graph) -> list[list[str]]:
    """The groups of two or more nodes that all lead to each other (strongly connected components).

    Kosaraju's algorithm, with a stack of its own: a chain of plugins may be longer than Python's.

    >>> find_knots({"a": ["b"], "b": ["a"], "c": ["a"]})
    [['a', 'b']]
    """
    place = {node: number for number, node in enumerate(graph)}
    backwards = _turned(graph)
    seen: set[str] = set()
    knots = []
    for start in reversed(list(_finished(graph))):
        if start in seen:
            continue
        seen.add(start)
        group = [start]
        for node in group:  # grows while it is read
            near = [other for other in backwards[node] if other not in seen]
            seen.update(near)
            group += near
        if len(group) > 1:
            knots.append(sorted(group, key=place.__getitem__))
    return sorted(knots, key=lambda group: place[group[0]])


def find_cycles(graph: Graph) -> list[tuple[str, ...]]:
    """The shortest circle of every knot; without them, some node of each knot is free.

    >>> find_cycles({"a": ["b", "c"], "b": ["c"], "c": ["a"], "d": ["a"]})
    [('a', 'c')]
    """
    cycles = []
    for knot in find_knots(graph):
        inside = set(knot)
        cycles.append(_shortest({node: [to for to in graph[node] if to in inside] for node in knot}))
    return cycles


def _finished(graph: Graph) -> Iterator[str]:
    """Every node once, after all that it leads to (unless a circle leads back)."""
    seen: set[str] = set()
    for start in graph:
        path = [] if start in seen else [(start, iter(graph[start]))]
        seen.add(start)
        while path:
            node, targets = path[-1]
            target = next((each for each in targets if each not in seen), None)
            if target is None:
                path.pop()
                yield node
            else:
                seen.add(target)
                path.append((target, iter(graph[target])))


def _turned(graph: Graph) -> dict[str, dict[str, None]]:
    """The graph with its arrows turned; a dict stands for an ordered set."""
    backwards: dict[str, dict[str, None]] = {node: {} for node in graph}
    for node, targets in graph.items():
        for target in targets:
            backwards[target][node] = None
    return backwards


def _shortest(knot: Graph) -> tuple[str, ...]:
    after = {node: dict.fromkeys(targets) for node, targets in knot.items()}
    before = _turned(knot)
    best: tuple[str, ...] = ()
    for start in knot:
        if start in after:
            best = _cycle_through(start, after, shorter_than=len(best)) or best
            if len(best) == 2:
                break
            # No shorter one passes here, and without this node a large circle falls apart.
            _drop(start, after, before)
    return best


def _drop(node: str, after: dict[str, dict[str, None]], before: dict[str, dict[str, None]]) -> None:
    """Take a node out, and then whatever is a loose end without it."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        for ahead, behind in ((after, before), (before, after)):
            for other in ahead.pop(node, ()):
                behind[other].pop(node, None)
                if not behind[other]:
                    waiting.append(other)


def _cycle_through(start: str, after: Graph, shorter_than: int) -> tuple[str, ...]:
    """The shortest circle through `start`, by breadth, or nothing; `shorter_than` 0 is no limit."""
    came_from: dict[str, str] = {}
    length = {start: 1}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if shorter_than and length[node] >= shorter_than:
            break
        for target in after[node]:
            if target == start:
                return _walk(node, came_from)
            if target not in length:
                length[target] = length[node] + 1
                came_from[target] = node
                waiting.append(target)
    return ()


def _walk(node: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    walk = [node]
    while node in came_from:
        node = came_from[node]
        walk.append(node)
    return tuple(reversed(walk))
