"""Own time: what a call took without the calls inside it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plugbook.trace.reading.own_time import own_times

# A call: how long it runs by itself, and the calls inside it.
trees = st.recursive(
    st.tuples(st.integers(1, 50), st.just([])),
    lambda inside: st.tuples(st.integers(1, 50), st.lists(inside, max_size=4)),
    max_leaves=30,
)


def lay_out(tree, start, calls):
    """Append (start, duration, own time) of a call and those inside it; returns when it ended."""
    own, inside = tree
    at = len(calls)
    calls.append(None)
    end = start
    for other in inside:
        end = lay_out(other, end, calls)
    end += own
    calls[at] = (start, end - start, own)
    return end


@given(st.lists(st.lists(trees, max_size=4), min_size=1, max_size=3))
def test_the_own_times_are_those_the_calls_were_made_of(threads):
    """Calls laid out inside each other, on several threads at the same time, give back their own times."""
    calls, places = [], []
    for place, roots in enumerate(threads):
        end = 0
        for root in roots:
            end = lay_out(root, end, calls)
        places += [place] * (len(calls) - len(places))
    starts, durations, own = (
        (np.array(column, np.int64) for column in zip(*calls, strict=True))
        if calls
        else [np.empty(0, np.int64)] * 3
    )
    assert own_times(starts, durations, np.array(places, np.int64)).tolist() == own.tolist()


def test_a_call_that_has_not_ended_contains_the_others_and_has_no_own_time():
    """An open call takes nothing away from itself, and nothing from the calls inside it."""
    starts, durations = np.array([0, 10, 20]), np.array([-1, 5, 7])
    assert own_times(starts, durations, np.zeros(3, np.int64)).tolist() == [-1, 5, 7]
