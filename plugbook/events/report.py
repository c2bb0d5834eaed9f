"""What became of one published event: every call that was made for it, and how each one ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugbook.trace.record import Dispatch, Note, show_seq

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugbook._types import Outcome

    from .event import Event
    from .subscription import HandlerPlan

    Waiter = Callable[["Report", float | None], None]

_UNNOTED = Note()


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
    """

    seq: int
    handler: str
    plugin: str
    duration_ns: int | None
    outcome: Outcome
    reason: str
    result: Any
    error: BaseException | None


class Report(Dispatch):
    """What `publish` returns: the event, its place in the causal tree, and a `Call` for each handler.

    While somebody else drains the queue it is pending (`done` is False); `wait` waits for it.
    """

    __slots__ = ("_errors", "event", "waiter")

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
        self.result = None
        self.blocks = ()

    @property
    def topic(self) -> str:
        """The event's topic."""
        return self.name

    @property
    def done(self) -> bool:
        """Whether every handler has ended."""
        return len(self.ticks) > len(self.plan.sites)

    @property
    def outcome(self) -> Outcome:
        """``ok``, ``error`` when any handler failed, ``unhandled`` when there was none, ``open`` if pending."""
        if not self.done:
            return "open"
        if not self.plan.sites:
            return "unhandled"
        failed = any(note.outcome == "error" for note in (self.notes or {}).values())
        return "error" if failed else "ok"

    @property
    def reason(self) -> str:
        """Why nobody handled the event, where there is something to say."""
        return self.result.reason or "" if self.result else ""

    @property
    def duration_ns(self) -> int | None:
        """From the start of the first handler to the end of the last, or None where timing is off."""
        return self.ticks[-1] - self.ticks[0] if self.done and self.ticks[0] else None

    @property
    def calls(self) -> list[Call]:
        """Every call, in the order they ran or will run."""
        return [self._call(index) for index in range(len(self.plan.sites))]

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
            self.waiter(self, timeout)
        return self

    def note(self, index: int, note: Note, error: BaseException | None = None) -> None:
        """Say something of one call; the dispatcher's side of `calls`."""
        if self.notes is None:
            self.notes = {}
        self.notes[index] = note
        if error is not None:
            self._kept_errors()[index] = error

    def _call(self, index: int) -> Call:
        site = self.plan.sites[index]
        note = (self.notes or {}).get(index)
        ticks = self.ticks
        ended = len(ticks) > index + 1
        return Call(
            seq=self.call_seq(index),
            handler=site.name,
            plugin=site.plugin,
            duration_ns=ticks[index + 1] - ticks[index] if ended and ticks[0] else None,
            outcome=(note or _UNNOTED).outcome if ended else "open",
            reason=(note.reason or "") if note else "",
            result=note.result if note else None,
            error=self._kept_errors().get(index),
        )

    def _kept_errors(self) -> dict[int, BaseException]:
        try:
            return self._errors
        except AttributeError:
            self._errors: dict[int, BaseException] = {}
            return self._errors

    def __repr__(self) -> str:
        count = len(self.plan.sites)
        calls = "no handler" if not count else f"{count} call" + "s" * (count > 1)
        why = f": {self.reason}" if self.reason else ""
        lines = [f"Report {show_seq(self.seq)} {self.topic}: {self.outcome}, {calls}{why}"]
        lines += [f"  {_line(call)}" for call in self.calls]
        return "\n".join(lines)


class BareReport(Report):
    """A report of a dispatch that was neither timed nor recorded: only what `publish` had to store.

    Its other fields read as if they had been set; it has no number and no place in a causal tree.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name == "name":
            return self.plan.topic
        if name == "ticks":
            return [0] * (len(self.plan.sites) + 1)
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
    "result": None,
    "blocks": (),
}


def _line(call: Call) -> str:
    time = f"{call.duration_ns / 1e6:.3f} ms" if call.duration_ns is not None else ""
    said = f"{type(call.error).__name__}: {call.error}" if call.error else call.reason
    if not said and call.result is not None:
        said = f"-> {call.result!r}"[:80]
    return f"{call.handler:<28} {call.plugin:<16} {call.outcome:<9} {time:>12}  {said}".rstrip()
