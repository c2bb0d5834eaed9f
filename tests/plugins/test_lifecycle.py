"""The lifecycle table: every pair of state and request, and the diagram drawn from it."""

import itertools

import pytest

from plugbook.errors import LifecycleError
from plugbook.plugins.lifecycle import ASKABLE, TRANSITIONS, Request, State, allowed, diagram, next_state

PAIRS = list(itertools.product(State, Request))
LEGAL = {
    "discovered": {
        "resolve": "resolved",
        "fail": "failed",
        "quarantine": "quarantined",
        "unload": "unloaded",
    },
    "resolved": {"load": "loaded", "fail": "failed", "unload": "unloaded"},
    "loaded": {"start": "starting", "fail": "failed", "unload": "unloaded"},
    "starting": {"started": "active", "stop": "stopping", "fail": "failed"},
    "active": {"stop": "stopping", "reload": "active"},
    "stopping": {"stopped": "stopped", "fail": "failed"},
    "stopped": {"start": "starting", "quarantine": "quarantined", "unload": "unloaded"},
    "failed": {"resolve": "resolved", "start": "starting", "quarantine": "quarantined", "unload": "unloaded"},
    "quarantined": {"release": "discovered", "unload": "unloaded"},
    "unloaded": {"resolve": "resolved"},
}


@pytest.mark.parametrize(("state", "request_"), PAIRS)
def test_every_pair_leads_on_or_is_refused(state, request_):
    """A legal request gives the next state; an illegal one raises, says what is allowed, and changes nothing."""
    table = {state: dict(row) for state, row in TRANSITIONS.items()}
    expected = LEGAL[state].get(request_)
    if expected is not None:
        assert next_state("billing", state, request_) is State(expected)
    else:
        with pytest.raises(LifecycleError) as caught:
            next_state("billing", state, request_)
        error = caught.value
        assert (error.plugin, error.state, error.request) == ("billing", state.value, request_.value)
        assert error.allowed == tuple(LEGAL[state])
        assert "billing" in str(error)
        assert all(word in str(error) for word in (state, *ASKABLE[state]))
    assert table == TRANSITIONS


@pytest.mark.parametrize("state", State)
def test_what_is_allowed_is_what_succeeds(state):
    """`allowed` names exactly the requests that `next_state` grants."""
    assert [str(request) for request in allowed(state)] == list(LEGAL[state])


def test_every_state_can_be_reached_and_left():
    """No state is a dead end, and every one is reached from `discovered`."""
    reached = {State.DISCOVERED}
    while new := {after for state in reached for after in TRANSITIONS[state].values()} - reached:
        reached |= new
    assert reached == set(State)
    assert all(TRANSITIONS[state] for state in State)


def test_a_scope_is_closed_before_a_plugin_leaves_the_running_states():
    """What is active can only be stopped first, so that no transition skips the cleanup; a reload leaves it active."""
    left = {after for after in TRANSITIONS[State.ACTIVE].values() if after is not State.ACTIVE}
    assert left == {State.STOPPING}


def test_the_diagram_shows_the_whole_table():
    """Every transition is one arrow in the diagram, and nothing else is."""
    arrows = [line.strip() for line in diagram().splitlines() if "-->" in line and "[*]" not in line]
    assert arrows == [
        f"{state} --> {after}: {request}" for state, row in LEGAL.items() for request, after in row.items()
    ]
    assert diagram().startswith("stateDiagram-v2")
