"""Circles in a graph, held against a search by brute force."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from plugbook.plugins.resolving.cycles import find_cycles, find_knots

NODES = "abcdef"
GRAPHS = st.fixed_dictionaries(
    {
        node: st.lists(st.sampled_from([other for other in NODES if other != node]), unique=True, max_size=3)
        for node in NODES
    }
)


def all_cycles(graph):
    for size in range(2, len(graph) + 1):
        for walk in permutations(graph, size):
            if all(after in graph[node] for node, after in zip(walk, (*walk[1:], walk[0]), strict=True)):
                yield walk


def leads_to(graph, start):
    reached, waiting = set(), [start]
    while waiting:
        for node in graph[waiting.pop()]:
            if node not in reached:
                reached.add(node)
                waiting.append(node)
    return reached


@given(GRAPHS)
def test_knots_are_the_groups_that_reach_each_other(graph):
    """Two nodes are in one knot exactly if each leads to the other."""
    knots = find_knots(graph)
    reach = {node: leads_to(graph, node) for node in graph}
    together = {(one, other) for knot in knots for one in knot for other in knot if one != other}
    assert together == {
        (one, other) for one in graph for other in reach[one] if one in reach[other] and one != other
    }


@given(GRAPHS)
def test_every_knot_shows_one_of_its_shortest_circles(graph):
    """What is found is a circle, and none in the same knot is shorter."""
    knots, cycles = find_knots(graph), find_cycles(graph)
    assert len(knots) == len(cycles)
    everything = list(all_cycles(graph))
    for knot, cycle in zip(knots, cycles, strict=True):
        assert cycle in everything
        assert len(cycle) == min(len(other) for other in everything if set(other) <= set(knot))


def test_a_graph_without_circles_has_no_knot():
    """A tree gives nothing."""
    assert find_cycles({"a": ["b", "c"], "b": ["c"], "c": []}) == []
