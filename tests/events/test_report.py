"""What a report says of its calls, and how it reads as plain text."""

import asyncio
import re

import pytest

from plugbook.errors import EventError
from plugbook.events.bus import Bus

from .conftest import Even, Number


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def times_out(text):
    """The text with every duration replaced, for durations differ."""
    return re.sub(r" *\d+(\.\d+)?(e\+\d+)? (ns|µs|ms|s)", " T", text)


def test_a_report_reads_as_a_table(bus):
    """One line for the event, one for each call, with the place of an error; long and unprintable things are cut."""

    def fail(event):
        raise ValueError("no such order\nsecond line")

    def break_down(event):
        raise Unprintable

    bus.subscribe(Number, lambda event: {"invoice": 7}, plugin="billing", name="Billing.bill")
    bus.subscribe(Number, fail, plugin="ledger", name="Ledger.post")
    bus.subscribe(Number, lambda event: None, name="quiet", where=lambda event: False)
    bus.subscribe(Number, break_down, name="broken")
    raised = fail.__code__.co_firstlineno + 1, break_down.__code__.co_firstlineno + 1
    assert times_out(repr(bus.publish(Number()))).splitlines() == [
        "Report 1 test.number: error, 4 calls in T",
        "  Billing.bill  billing  ok T  -> {'invoice': 7}",
        f"  Ledger.post   ledger   error T  ValueError: no such order (test_report.py:{raised[0]})",
        "  quiet                  skipped           where= said no",
        f"  broken                 error T  Unprintable: (its text raised) (test_report.py:{raised[1]})",
    ]


def test_a_report_of_nobody_reads_as_one_line(bus):
    """An unhandled event says so."""
    assert repr(bus.publish(Number())) == "Report 1 test.number: unhandled, no handler"


def test_a_pending_report_says_who_is_open(bus):
    """While it is pending the calls are open, and there is no duration."""
    seen = []
    bus.subscribe("test.number", lambda event: seen.append(repr(bus.publish(Even()))))
    bus.subscribe(Even, lambda event: None, name="even", plugin="p")
    bus.publish(Number())
    assert seen == ["Report 2 test.number.even: open, 1 call\n  even  p  open"]


def test_a_long_report_is_cut():
    """Forty calls are shown, the others counted."""
    bus = Bus(timing=False)
    for _ in range(50):
        bus.subscribe(Number, lambda event: "x" * 500)
    lines = repr(bus.publish(Number())).splitlines()
    assert lines[0] == "Report test.number: ok, 50 calls"
    assert lines[-1] == "  ... and 10 more: see .calls and .errors"
    assert len(lines) == 42
    assert max(map(len, lines)) < 200


def test_a_bare_report_reads_as_any_other():
    """Everything a report has can be asked of one that was neither timed nor recorded."""
    bus = Bus(timing=False)
    bus.subscribe(Number, lambda event: 1 / event.n, name="divide", plugin="maths")
    bare, full = bus.publish(Number(n=1)), Bus.publish(bus, Number(n=1))
    for name in (
        "event",
        "topic",
        "name",
        "plan",
        "outcome",
        "reason",
        "done",
        "plugin",
        "parent",
        "task",
        "cell",
    ):
        assert getattr(bare, name) == getattr(full, name)
    assert (bare.seq, bare.root, bare.born, bare.thread, bare.duration_ns) == (0, 0, 0, 0, None)
    assert bare.payload is bare.event
    assert bare.wait() is bare
    assert [(call.handler, call.plugin, call.outcome, call.result, call.error) for call in bare.calls] == [
        ("divide", "maths", "ok", 1.0, None)
    ]
    failed = bus.publish(Number(n=0))
    assert failed.outcome == "error"
    assert isinstance(failed.errors[0].error, ZeroDivisionError)
    assert not hasattr(failed, "colour")


def test_a_report_says_which_field_of_an_event_was_wrong(bus):
    """What pydantic refused inside a handler is told by the field and what is wrong with it."""

    def change(event):
        event.n = 5

    bus.subscribe(Number, change, name="change")
    assert "ValidationError: Number.n: Instance is frozen (test_report.py:" in repr(bus.publish(Number()))


def test_awaiting_a_report_says_what_can_be_awaited(bus):
    """Who writes await before publish is told of publish_async."""

    async def careless():
        await bus.publish(Number())

    with pytest.raises(EventError, match="publish_async"):
        asyncio.run(careless())
