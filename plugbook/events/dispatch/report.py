"""What became of one published event: every call that was made for it, and how each one ended."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Never

from plugbook.errors import EventError
from plugbook.trace.record import Dispatch, Note, show_seq

if TYPE_CHECKING:
    from plugbook._types import Outcome
    from plugbook.events.dispatch.calls import Turn
    from plugbook.events.event import Event
    from plugbook.events.subscription import HandlerPlan, Span

Waiter = Callable[[str, Callable[[], bool], float | None], None]
"""Waits, for what is named, until it is done; at most so many seconds."""

_UNNOTED = Note()
_MOST_LINES: Final = 40
_MOST_CHARACTERS: Final = 100
_short = reprlib.Repr()
_short.maxother = _short.maxstring = _MOST_CHARACTERS


@dataclass(frozen=True, slots=True)
class Call:
    """One handler, called for one event.

    Attributes:
        seq: its number in the recording.
        handler: its name, such as ``Billing.bill``.
        plugin: who owns it.
        duration_ns: how long it ran, or None where timing is off or it has not run yet. An empty handler
            reads some 130 to 1,000 ns: that is the floor of the clock and of the call itself.
        outcome: ``ok``, ``error``, ``timeout``, ``cancelled``, ``skipped``, or ``open`` while it runs.
        reason: why, where the outcome alone does not say it.
        result: what it returned.
        error: what it raised.
        depth: how many layers of middleware are around it.
    """

    seq: int
    handler: str
    plugin: str
    duration_ns: int | None
    outcome: Outcome
    reason: str
    result: Any
    error: BaseException | None
    depth: int = 0


class Report(Dispatch):
    """What `publish` returns: the event, its place in the causal tree, and a `Call` for each handler.

    While somebody else drains the queue it is pending (`done` is False); `wait` waits for it.
    """

    __slots__ = ("_errors", "_fates", "event", "waiter")

    plan: HandlerPlan
    event: Event
    waiter: Waiter

    def __init__(
        self,
        seq: int,
        event: Event,
        plan: HandlerPlan,
        plugin: str,
        parent: int | None,
        root: int,
        born: int,
        ticks: list[int],
        thread: int,
        cell: tuple[int, str] | None,
    ) -> None:
        self.seq = seq
        self.event = event
        self.payload = event
        self.name = plan.topic
        self.plan = plan
        self.plugin = plugin
        self.parent = parent
        self.root = root
        self.born = born
        self.ticks = ticks
        self.thread = thread
        self.cell = cell
        self.task = ""
        self.notes = None
        self.result = plan.verdict
        self.blocks = ()

    @property
    def topic(self) -> str:
        """The event's topic."""
        return self.name

    def settle(self, plan: HandlerPlan) -> None:
        """Let it go to the handlers of this plan."""
        self.plan, self.result = plan, plan.verdict

    @property
    def enough(self) -> str:
        """Why the handlers that are left need not be called, or ``""``."""
        return ""

    def end_turn(self, turn: Turn) -> None:
        """A handler has ended, and is about to be timed."""

    def end_early(self, error: BaseException) -> None:
        """The dispatch cannot go on, because of `error`."""

    @property
    def done(self) -> bool:
        """Whether every handler has ended."""
        return self.plan.is_complete(self.ticks)

    @property
    def outcome(self) -> Outcome:
        """That of the call that ended worst.

        ``error``, ``timeout``, ``cancelled`` or ``ok``, in this order; ``unhandled`` when there was no
        handler, ``skipped`` when it was throttled, ``open`` while the report is pending. Calls that were `skipped` do not count.
        """
        if not self.done:
            return "open"
        if self.result is not None:
            return self.result.outcome
        if not self.plan.sites:
            return "unhandled"
        failed = any(note.outcome == "error" for note in (self.notes or {}).values())
        return "error" if failed else "ok"

    @property
    def reason(self) -> str:
        """Why it is not ``ok``, where the calls do not say it: what was `note`d of the worst one."""
        return self.result.reason or "" if self.result else ""

    @property
    def duration_ns(self) -> int | None:
        """From the start of the first handler to the end of the last, or None where timing is off."""
        return self.ticks[-1] - self.ticks[0] if self.done and self.ticks[0] else None

    @property
    def calls(self) -> list[Call]:
        """Every call, in the order they ran or will run."""
        return [self._call(index, span) for index, span in enumerate(self.plan.spans(self.ticks))]

    @property
    def errors(self) -> list[Call]:
        """The calls that failed."""
        return [call for call in self.calls if call.outcome == "error"]

    def wait(self, timeout: float | None = None) -> Report:
        """Wait until every handler has ended, and return the report itself.

        Args:
            timeout: seconds, or None for as long as it takes.

        Raises:
            DeadlockError: it could never end, because this very call has to return first.
            TimeoutError: it did not end in time.
        """
        if not self.done:
            self.waiter(self.topic, lambda: self.done, timeout)
        return self

    def __await__(self) -> Generator[Any, None, Never]:
        """Refuse to be awaited, saying what can be.

        Raises:
            EventError: always.
        """
        msg = "publish has returned a Report, which cannot be awaited. Write: await host.publish_async(event)"
        raise EventError(msg)

    def is_running(self, index: int) -> bool:
        """Whether call `index` has begun and not ended."""
        return bool(self.ticks) and not self.done and self.plan.running(self.ticks) == index

    def is_running_seq(self, seq: int) -> bool:
        """The same for the call of that seq."""
        return bool(self.ticks) and not self.done and self.running_seq() == seq

    def running_seq(self) -> int:
        """The seq of the call that is running."""
        return self.call_seq(self.plan.running(self.ticks))

    def running_name(self) -> str:
        """The name of the handler that is running, or of the topic where none is."""
        return self.name_of(self.plan.running(self.ticks)) if self.ticks and not self.done else self.topic

    def name_of(self, index: int) -> str:
        """The name of the handler or layer that a call is of."""
        return self.plan.sites[self.plan.site_of(index, self.ticks)].name

    def note(self, index: int, note: Note, error: BaseException | None = None) -> None:
        """Say how one call ended, and with it the event; the dispatcher's side of `calls`."""
        self.remark(index, note, error)
        if note.outcome not in ("ok", "skipped"):
            self.result = self._verdict()

    def remark(self, index: int, note: Note, error: BaseException | None = None) -> None:
        """Say something of one call that alone does not decide how the event ended."""
        if self.notes is None:
            self.notes = {}
        self.notes[index] = note
        if error is not None:
            self._kept_errors()[index] = error

    def decide(self, name: str, note: Note) -> None:
        """Say how a handler ended with all its layers."""
        self._kept_fates().append((name, note))
        self.result = self._verdict()

    def _verdict(self) -> Note | None:
        """What the recording keeps as the event's own outcome; None where that follows from the calls."""
        fates = self._kept_fates() or [
            (self.name_of(index), note) for index, note in (self.notes or {}).items()
        ]
        for outcome in ("error", "timeout", "cancelled"):
            for name, note in fates:
                if note.outcome == outcome:
                    if outcome == "error":
                        # Who is missing among the handlers is still worth saying.
                        return self.plan.verdict and self.plan.verdict._replace(outcome="error")
                    return Note(outcome, f"{name}: {note.reason}")
        handled = [note for _, note in self._kept_fates() if note.outcome == "ok"]
        return handled[0] if handled else self.plan.verdict

    def _call(self, index: int, span: Span) -> Call:
        site = self.plan.sites[span.site]
        note = (self.notes or {}).get(index)
        return Call(
            seq=self.call_seq(index),
            handler=site.name,
            plugin=site.plugin,
            duration_ns=span.duration_ns,
            outcome=(note or _UNNOTED).outcome if span.has_ended else "open",
            reason=(note.reason or "") if note else "",
            result=note.result if note else None,
            error=self._kept_errors().get(index),
            depth=span.depth,
        )

    def _kept_errors(self) -> dict[int, BaseException]:
        try:
            return self._errors
        except AttributeError:
            self._errors: dict[int, BaseException] = {}
            return self._errors

    def _kept_fates(self) -> list[tuple[str, Note]]:
        try:
            return self._fates
        except AttributeError:
            self._fates: list[tuple[str, Note]] = []
            return self._fates

    def __repr__(self) -> str:
        count = self.plan.count(self.ticks)
        nobody = "not delivered" if self.outcome == "skipped" else "no handler"
        calls = f"{count:,} call" + "s" * (count > 1) if count else nobody
        took = f" in {_time(self.duration_ns)}" if count and self.duration_ns is not None else ""
        why = f": {self.reason}" if self.reason else ""
        number = f" {show_seq(self.seq)}" if self.seq else ""
        head = f"Report{number} {self.topic}: {self.outcome}, {calls}{took}{why}"
        return "\n".join([head, *call_lines(self)])


class BareReport(Report):
    """A report of a dispatch that was neither timed nor recorded: only what `publish` had to store.

    Its other fields read as if they had been set; it has no number and no place in a causal tree.
    """

    __slots__ = ()

    def call_seq(self, index: int) -> int:
        """No number, as for the event."""
        return 0

    def __getattr__(self, name: str) -> Any:
        if name == "ticks":
            return [0] * (len(self.plan.sites) + 1)
        if name == "name":
            return self.plan.topic
        if name == "payload":
            return self.event
        if name == "result":
            return self.plan.verdict
        if name in _BARE:
            return _BARE[name]
        raise AttributeError(name)


_BARE: dict[str, Any] = {
    "seq": 0,
    "plugin": "",
    "parent": None,
    "root": 0,
    "born": 0,
    "thread": 0,
    "cell": None,
    "task": "",
    "notes": None,
    "blocks": (),
}


def call_lines(report: Report) -> list[str]:
    """The calls of a report as the lines of a table."""
    calls = report.calls
    rows = [_cells(call) for call in calls[:_MOST_LINES]]
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {'  '.join(cells)}".rstrip())
    if len(calls) > _MOST_LINES:
        lines.append(f"  ... and {len(calls) - _MOST_LINES:,} more: see .calls and .errors")
    return lines


def _cells(call: Call) -> tuple[str, str, str, str, str]:
    """One call as the cells of one line."""
    said = _told(call.error) if call.error else call.reason
    if not said and call.result is not None:
        said = f"-> {_short.repr(call.result)}"
    took = _time(call.duration_ns) if call.duration_ns is not None and call.outcome != "skipped" else ""
    return "  " * call.depth + call.handler, call.plugin, call.outcome, took.rjust(7), said


def _told(error: BaseException) -> str:
    """What was raised, and where a person would look for it."""
    from plugbook.trace.telling import place_of, tell

    place = place_of(error, brief=True)
    return f"{tell(error)} ({place})" if place else tell(error)


def _time(duration_ns: int) -> str:
    from plugbook.trace.reading.tree import show_duration

    return show_duration(duration_ns)
