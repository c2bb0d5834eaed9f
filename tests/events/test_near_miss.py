"""What nearly listened to an event: patterns that are misspelt, or a wildcard too narrow."""

from __future__ import annotations

import pytest

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
