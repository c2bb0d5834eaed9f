"""The layered layout: nothing overlaps, edges run forward, and the same graph gives the same picture."""

import random
import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from plugbook.notebook.layout import layered

numbers = st.integers(0, 11)
graphs = st.lists(st.tuples(numbers, numbers), max_size=40).map(
    lambda pairs: [(f"p{a}", f"p{b}") for a, b in pairs]
)
NAMES = [f"p{number}" for number in range(12)]


@given(graphs)
def test_no_two_nodes_overlap(edges):
    """In one layer, any two nodes are at least one node's room apart, whatever the graph."""
    layout = layered(NAMES, edges)
    assert set(layout.nodes) == set(NAMES)
    by_layer = {}
    for point in layout.nodes.values():
        by_layer.setdefault(point.along, []).append(point.across)
    for places in by_layer.values():
        places.sort()
        assert all(b - a > 0.999 for a, b in pairwise(places))


@given(st.lists(st.tuples(numbers, numbers), max_size=40))
def test_edges_of_an_acyclic_graph_run_forward(pairs):
    """Without a cycle, every edge leads to a later layer and passes each layer between once."""
    edges = [(f"p{min(pair)}", f"p{max(pair)}") for pair in pairs]
    layout = layered(NAMES, edges)
    for route in layout.edges.values():
        steps = [point.along for point in route]
        assert steps == list(range(int(steps[0]), int(steps[0]) + len(route)))
        assert len(steps) > 1


@given(graphs)
def test_edges_end_at_their_nodes(edges):
    """Every edge asked for between two different nodes is drawn from its source to its target, cycles too."""
    layout = layered(NAMES, edges)
    assert set(layout.edges) == {(a, b) for a, b in edges if a != b}
    for (source, target), route in layout.edges.items():
        assert route[0] == layout.nodes[source]
        assert route[-1] == layout.nodes[target]


@given(graphs)
def test_the_same_graph_gives_the_same_picture(edges):
    """Two layouts of one graph are equal."""
    assert layered(NAMES, edges) == layered(NAMES, edges)


def test_crossings_that_can_be_avoided_are_avoided():
    """Two pairs of partners named crosswise stand opposite each other."""
    layout = layered(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    assert (layout.nodes["a"].across < layout.nodes["b"].across) == (
        layout.nodes["y"].across < layout.nodes["x"].across
    )


def test_nodes_without_an_edge_stand_in_a_grid():
    """Twenty unconnected plugins fill a grid of five columns instead of one tall layer."""
    layout = layered([f"p{number}" for number in range(20)], [])
    assert [len(layer) for layer in layout.layers] == [4] * 5
    assert layout.breadth == 4


def test_an_empty_graph_has_a_layout():
    """No nodes give an empty layout, not an error."""
    assert layered([], []).nodes == {}


def test_300_nodes_are_laid_out_quickly():
    """300 nodes with 600 edges take a fraction of a second: the best of three runs stays under 0.6 s."""
    dice = random.Random(7)
    names = [f"p{number}" for number in range(300)]
    edges = [(names[dice.randrange(max(0, i - 60), i)], names[i]) for i in range(1, 300) for _ in range(2)]
    times = []
    for _ in range(3):
        before = time.perf_counter()
        layered(names, edges)
        times.append(time.perf_counter() - before)
    assert min(times) < 0.6
