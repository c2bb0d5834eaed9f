"""What requests say of what they did, of what went wrong, and of what would mend it."""

from __future__ import annotations

import pytest

from plugbook import Host, Plugin
from plugbook.errors import LifecycleError
from plugbook.plugins.lifecycle import ASKABLE, State


def test_starting_what_is_active_does_nothing(shop):
    """A cell that starts a plugin can be run again."""
    shop.start()
    instance = shop.plugins["ledger"].instance
    assert str(shop.start("ledger")) == "nothing to do"
    assert shop.plugins["ledger"].instance is instance


def test_a_refused_request_lists_what_may_be_asked_of_the_host(shop):
    """The message names requests of the host, while `allowed` keeps those of the lifecycle table."""
    with pytest.raises(LifecycleError, match=r"Allowed now: start, reload, remove\.") as caught:
        shop.stop("ledger")
    assert "resolve" in caught.value.allowed


@pytest.mark.parametrize("request_name", ASKABLE[State.ACTIVE])
def test_what_is_said_to_be_allowed_of_an_active_plugin_is(shop, request_name):
    """Each request that a message names for an active plugin succeeds."""
    shop.start()
    assert getattr(shop, request_name)("mailer").is_complete


@pytest.mark.parametrize("request_name", ASKABLE[State.STOPPED])
def test_what_is_said_to_be_allowed_of_a_stopped_plugin_is(shop, request_name):
    """Each request that a message names for a stopped plugin succeeds."""
    shop.start()
    shop.stop("mailer")
    assert getattr(shop, request_name)("mailer").is_complete


def test_a_failing_cleanup_is_named_with_its_error_and_its_place():
    """What a stop says of a cleanup that raised is enough to find it."""

    class Messy(Plugin):
        def start(self, ctx):
            ctx.defer(self.close_books)

        def close_books(self):
            raise ZeroDivisionError("no pages\nat all")

    with Host([Messy]) as host:
        host.start()
        told = str(host.stop())
        assert "ZeroDivisionError: no pages" in told
        assert "Messy.close_books" in told
        assert "test_requests.py:" in told
        assert "at all" not in told


def test_a_failing_init_is_said_to_be_one():
    """A plugin that could not even be made did not fail in its start."""

    class Unmade(Plugin):
        def __init__(self):
            raise ValueError("no hands")

    with Host([Unmade]) as host:
        host.start()
        assert host.plugins["unmade"].phase == "__init__"
        assert "it raised ValueError: no hands in __init__" in str(host.why("unmade"))


def test_a_cycle_is_called_one_and_its_remedy_is_told():
    """A start of everything says of a circle what it is and how to open it, not who asked for whom."""

    class One(Plugin, requires=["two"]):
        pass

    class Two(Plugin, requires=["one"]):
        pass

    with Host([One, Two]) as host:
        told = str(host.start())
        assert "one requires two; two requires one: that is a cycle. Make one of them optional" in told
        assert "you asked for" not in told


def test_a_start_passes_on_what_would_mend_a_missing_requirement():
    """A misspelt requirement suggests the plugin that was meant, and nothing else that happens to be there."""

    class Ledger(Plugin):
        pass

    class Billing(Plugin, requires=["ledgr"]):
        pass

    class Clock(Plugin, requires=["quartz>=1"]):
        pass

    with Host([Ledger, Billing, Clock]) as host:
        blocked = host.start().blocked
        assert blocked["billing"].endswith("Add a plugin ledgr. Did you mean 'ledger'?")
        assert blocked["clock"].endswith("Add a plugin quartz>=1.")
