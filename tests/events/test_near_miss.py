"""What nearly listened to an event: patterns that are misspelt, or a wildcard too narrow."""

from __future__ import annotations

import re

import pytest

from plugbook import Host, Plugin, on
from plugbook.errors import PlugbookWarning

from .conftest import Number


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("tset.*", "test.*"),
        ("test.numbers", "test.number"),
        ("Test.number", "test.number"),
        ("*", None),
        ("**.numbr", None),
    ],
)
def test_a_pattern_that_nearly_fits_is_named(bus, pattern, meant):
    """An event that nobody handled names who listens to a misspelt pattern, and what was meant."""
    bus.subscribe(pattern, lambda event: None, name="Clock.strike")
    reason = bus.publish(Number()).reason
    assert reason == (f"Clock.strike listens to {pattern!r}; did you mean {meant!r}?" if meant else reason)
    if meant is not None:
        bus.subscribe(meant, lambda event: None)
        report = bus.publish(Number())
        assert (report.outcome, report.reason) == ("ok", "")


class Ledger(Plugin):
    """Somebody whose events are wanted."""


def clerk(*source: str) -> type[Plugin]:
    """A plugin that wants the events of these alone."""

    class Clerk(Plugin):
        @on(Number, source=list(source))
        def file(self, event):
            """Keep it."""

    return Clerk


def test_a_source_that_is_misspelt_is_warned_of_once():
    """After a start, a handler that waits for a plugin of nearly that name is told which one was meant."""
    told = (
        "Clerk.file wants events that 'ledgr' publishes, and no plugin has that name. Did you mean 'ledger'?"
    )
    with Host([Ledger, clerk("ledgr", "ledger")]) as host:
        with pytest.warns(PlugbookWarning, match=re.escape(told)):
            host.start()
        host.stop("clerk")
        host.start()


def test_a_source_that_may_still_come_is_not_warned_of():
    """Patterns, nobody, and names unlike any there is are left alone."""
    with Host([Ledger, clerk("ledger", "ledg*", "", "webshop")]) as host:
        host.start()
