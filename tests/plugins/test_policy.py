"""Policies as people write them: words, models and JSON."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook import Plugin
from plugbook.errors import ManifestError
from plugbook.plugins.manifest import Manifest, make_manifest
from plugbook.plugins.policy import Restart, as_policy

RESTARTS = st.builds(
    Restart,
    intensity=st.integers(0, 1_000),
    period=st.floats(0.001, 1e6),
    backoff=st.floats(0, 1e6),
    dependents=st.booleans(),
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("continue", "continue"),
        ("raise", "raise"),
        ("quarantine", "quarantine"),
        ("restart", Restart()),
        (Restart(intensity=5), Restart(intensity=5)),
        ({"intensity": 5}, Restart(intensity=5)),
    ],
)
def test_a_class_says_what_is_done_about_its_failures(written, meant):
    """The class keyword takes a word, a Restart, or one as JSON; a subclass inherits it."""

    class Billing(Plugin, policy=written):
        pass

    class Sales(Billing):
        pass

    assert Billing.manifest.policy == Sales.manifest.policy == meant


@given(RESTARTS)
def test_a_manifest_keeps_its_policy_through_json(policy):
    """What is written into a recording or a file is read back as the same policy."""
    manifest = Manifest(name="billing", policy=policy)
    assert make_manifest(json.loads(manifest.model_dump_json())) == manifest


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("restrat", r"'restrat' is no policy\. Did you mean 'restart'\? Write"),
        (None, "None is no policy"),
        (["restart"], "is no policy"),
        ({"intensty": 5}, r"a restart has no 'intensty'\. Did you mean 'intensity'"),
        ({"intensity": -1}, "intensity of a restart is -1, and must be a whole number, 0 or more"),
        ({"intensity": 1.5}, "a whole number"),
        ({"period": 0}, "period of a restart is 0, and must be seconds, more than 0"),
        ({"backoff": float("inf")}, "backoff of a restart is inf"),
        ({"dependents": "no"}, "dependents of a restart is 'no', and must be True or False"),
        ({"action": "stop"}, "action of a restart is 'stop'"),
    ],
)
def test_what_is_no_policy_is_refused_with_what_to_write(written, said):
    """The message names the class, what is wrong, and what would be right."""
    with pytest.raises(ManifestError, match=said) as caught:

        class Billing(Plugin, policy=written):
            pass

    assert caught.value.field == "policy"
    assert "class Billing" in str(caught.value)


def test_a_restart_is_checked_where_it_is_made():
    """A policy in a variable is as good as one in a class statement."""
    with pytest.raises(ManifestError, match="period"):
        Restart(period=-1)


@given(RESTARTS, st.integers(1, 10_000))
def test_waits_grow_up_to_the_period(policy, count):
    """No wait is shorter than the one before it, nor longer than the period."""
    assert policy.delay_s(count) <= policy.delay_s(count + 1) <= policy.period


@given(st.one_of(st.none(), st.integers(), st.text(), st.dictionaries(st.text(), st.integers())))
def test_anything_else_is_a_value_error(written):
    """Whatever is written, it is a policy or is refused."""
    with contextlib.suppress(ValueError):
        policy = as_policy(written)
        assert isinstance(policy, Restart) or policy == written
