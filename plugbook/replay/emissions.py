"""Holding back what handlers publish in a replay, and comparing it with what they published in the recording.

An emission and a recorded event belong together if they have the same cause path: the recorded event that
was being handled, the handler, the topic, and how many of that topic this very call published before.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from plugbook._clock import tick
from plugbook.errors import DeadlockError
from plugbook.events.dispatch.cause import Cause
from plugbook.events.dispatch.report import Report
from plugbook.trace.record import BLOCK, CallSite, Dispatch

from .rebuild import why_incomplete
from .result import MOST_KEPT, Difference

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.question import Question
    from plugbook.events.event import Event
    from plugbook.events.subscription import HandlerPlan

    from .stream import Row, Stream

_RECENT: Final = 20_000
_SOMEWHERE: Final = CallSite("")


class Path(NamedTuple):
    """Where an event comes from: `event` is the recorded one that was handled, in the player's `run`."""

    run: int
    event: int
    handler: str
    plugin: str
    topic: str


class Place(NamedTuple):
    """The recorded call that a call of this replay stands for."""

    run: int
    event: int
    handler: str
    plugin: str


Delivery = tuple[int, int, int | None, int, int, int]
"""A recorded event that was delivered: the run, its seq and plan in the recording; its seq, root and plan here.

Plans are by number: a tuple of numbers costs the garbage collector nothing.
"""


class Held(NamedTuple):
    """An emission that was held back, and the report its handler was given."""

    payload: str
    report: Report


class Emissions:
    """The gate of a replay.

    Held back are the events that come out of a delivered event, in its handlers or in the tasks they have
    spawned, and while the replay is `active` those of background tasks, for the recording has its own. What
    a person publishes goes through, with all that follows from it.

    Args:
        bus: where recorded events are delivered.
        stream: where they come from.
        is_playing: whether the replay is running at this moment.
        expect: told of each recorded event that is about to be handled, and in which run.

    Attributes:
        active: whether background tasks are held back.
        run: how often the cursor was moved.
        answered: recorded questions that handlers have asked again here, by seq; they need not be played.
        matched, held, differs: see `Result`.
    """

    def __init__(
        self,
        bus: Bus,
        stream: Stream,
        is_playing: Callable[[], bool],
        expect: Callable[[int, Row], object],
    ) -> None:
        self._bus = bus
        self._expect = expect
        self.answered: dict[int, Report] = {}
        self._stream = stream
        self.is_playing = is_playing
        self.active = False
        self.matched = self.differs = self.held = 0
        self.run = 0
        self._waiting: dict[Path, deque[Held]] = {}
        self._missed: dict[Path, deque[int]] = {}
        self._differing: list[Difference] = []
        self._surplus: list[Difference] = []
        self._extra = 0
        self._recent = _Recent()
        self._plans: list[HandlerPlan] = []
        self._plan_numbers: dict[HandlerPlan, int] = {}
        self._turn = threading.Lock()

    # -- what handlers publish ----------------------------------------------------------------------

    def __call__(self, event: Event, plugin: str) -> Report | None:
        """Hold an emission back, or let it through; see `Bus.gate`."""
        cause = self._bus.cause()
        place = self.place_of(cause)
        if place is None:
            is_live = cause is not None and cause.report is not None
            if is_live or not plugin or not self.active:
                return None
            self.held += 1
            return self._pending(event, plugin, cause)
        path = Path(*place, type(event).__topic__)
        report = self._pending(event, plugin, cause)
        payload = event.__plugbook_json__()
        with self._turn:
            missed = self._missed.get(path)
            if missed:
                self._compare(path, missed.popleft(), payload)
            else:
                self._waiting.setdefault(path, deque()).append(Held(payload, report))
        return report

    def ask(self, question: Question) -> None:
        """Let a handler's question be answered here and now, in the place of the recorded one; see `Gate`."""
        cause = self._bus.cause()
        place = self.place_of(cause)
        if place is None:
            return
        path = Path(*place, question.topic)
        # A task that a handler left behind asks at any time, so that nothing tells which recorded one is meant.
        row = self._counterpart(path) if cause is not None and cause.report is not None else None
        payload = question.event.__plugbook_json__()
        with self._turn:
            if row is not None:
                self.answered[row[0]] = question
                self._compare(path, row[0], payload, row[7])
            else:
                self._extra += 1
                self._surplus.append(_difference("extra", path, None, "", payload))
        self._remember(0 if row is None else row[0], None if row is None else row[6], question)
        if row is not None:
            self._expect(self.run, row)

    def _counterpart(self, path: Path) -> Row | None:
        """The recorded question that a handler asked there: it comes before all that is not caused by its event."""
        known, delivery = self._stream.known, self._recent.by_seq(path.event)
        plan = None if delivery is None else delivery[2]
        for row in self._stream.ahead():
            seq, parent = row[0], row[5]
            event = None if parent is None else known.event_of(parent)
            if parent is not None and event == path.event:
                site = self._stream.site(event, plan, parent)
                is_same = site is not None and (site.name, site.plugin) == (path.handler, path.plugin)
                if is_same and known.names[row[3]] == path.topic and seq not in self.answered:
                    return row
            elif not {seq, event} & self.answered.keys():
                return None
        return None

    def place_of(self, cause: Cause | None) -> Place | None:
        """The recorded call that something was caused by here; None where it does not come of a replayed event."""
        if cause is None:
            return None
        report = cause.report
        first = cause.seq - cause.seq % BLOCK if report is None else report.seq
        delivery = self._recent.by_live_seq(first)
        if delivery is None:
            return None
        run, seq, *_, live_plan = delivery
        site = _site(report, self._plans[live_plan], cause.seq - first - 1, cause.seq)
        return Place(run, seq, site.name, site.plugin)

    def _pending(self, event: Event, plugin: str, cause: Cause | None) -> Report:
        parent, root = (cause.seq, cause.root) if cause else (None, 0)
        plan = self._bus.plan_of(type(event))
        report = Report(0, event, plan, plugin, parent, root, tick(), [], threading.get_ident(), None)
        report.waiter = _refuse_to_wait
        return report

    # -- what was recorded --------------------------------------------------------------------------

    def reached(self, row: Row) -> tuple[Cause | None, Report | None]:
        """Compare a recorded event, whose place has come, with what its handler published.

        Returns:
            What causes it in this replay, and the report that its publisher holds; None where there is none.
        """
        seq, _, _, topic, _, parent, _, recorded, _ = row
        if parent is None:
            return None, None
        delivery = self._recent.by_seq(self._stream.known.event_of(parent))
        if delivery is None or delivery[0] != self.run:
            return None, None
        run, event, plan, live_seq, live_root, live_plan = delivery
        site = None if event == parent else self._stream.site(event, plan, parent)
        if site is None:
            return Cause(live_seq, live_root), None
        path = Path(run, event, site.name, site.plugin, self._stream.known.names[topic])
        with self._turn:
            waiting = self._waiting.get(path)
            held = waiting.popleft() if waiting else None
            if held is None:
                self._missed.setdefault(path, deque()).append(seq)
            else:
                self._compare(path, seq, held.payload, recorded)
                if not waiting:
                    del self._waiting[path]
        return Cause(_live_call(live_seq, self._plans[live_plan], site), live_root), held and held.report

    def deliver(self, row: Row, report: Report) -> None:
        """A recorded event goes to its handlers: remember it, for what will come out of it."""
        self._remember(row[0], row[6], report)
        self._expect(self.run, row)

    def _remember(self, seq: int, recorded_plan: int | None, report: Report) -> None:
        plan = self._plan_numbers.get(report.plan)
        if plan is None:
            plan = self._plan_numbers[report.plan] = len(self._plans)
            self._plans.append(report.plan)
        self._recent.put((self.run, seq, recorded_plan, report.seq, report.root, plan))

    def jump(self) -> None:
        """Forget what is expected, for the cursor was moved; what was missed so far stays missed."""
        with self._turn:
            self.run += 1
            self._waiting.clear()
            self.answered.clear()

    def _compare(self, path: Path, seq: int, payload: str, recorded: str | None = None) -> None:
        recorded = self._stream.payload(seq) if recorded is None else recorded
        if payload == recorded or why_incomplete(recorded) or json.loads(payload) == json.loads(recorded):
            self.matched += 1
            return
        self.differs += 1
        if len(self._differing) < MOST_KEPT:
            self._differing.append(_difference("differs", path, seq, recorded, payload))

    # -- the sum of it ------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether any emission has not met its recorded event yet."""
        return bool(self._waiting)

    def counts(self, *, is_over: bool) -> dict[str, Any]:
        """The fields of a `Result` that are about emissions; what still waits is extra when all is over."""
        with self._turn:
            missed = [(path, seq) for path, seqs in self._missed.items() for seq in seqs]
            waiting = (
                [(path, held) for path, each in self._waiting.items() for held in each] if is_over else []
            )
        return {
            "matched": self.matched,
            "differs": self.differs,
            "held": self.held,
            "missing": len(missed),
            "extra": self._extra + len(waiting),
            "differences": (
                *self._differing,
                *(
                    _difference("missing", path, seq, self._stream.payload(seq), "")
                    for path, seq in missed[:MOST_KEPT]
                ),
                *self._surplus[:MOST_KEPT],
                *(_difference("extra", path, None, "", held.payload) for path, held in waiting[:MOST_KEPT]),
            ),
        }


class _Recent:
    """The deliveries of late, by their seq there and here; those long past are forgotten, to bound memory.

    Most events lead to no other, so that deliveries are indexed when somebody asks.
    """

    def __init__(self) -> None:
        self._latest: deque[Delivery] = deque(maxlen=_RECENT)
        self.put = self._latest.append
        self._turn = threading.Lock()
        self._young: tuple[dict[int, Delivery], dict[int, Delivery]] = ({}, {})
        self._old = self._young

    def by_seq(self, seq: int) -> Delivery | None:
        self._index()
        return self._young[0].get(seq) or self._old[0].get(seq)

    def by_live_seq(self, seq: int) -> Delivery | None:
        self._index()
        return self._young[1].get(seq) or self._old[1].get(seq)

    def _index(self) -> None:
        if not self._latest:
            return
        with self._turn:  # handlers ask from any thread
            there, here = self._young
            while self._latest:
                delivery = self._latest.popleft()
                there[delivery[1]] = here[delivery[3]] = delivery
            if len(here) >= _RECENT:
                self._old, self._young = self._young, ({}, {})


def settle(held: Report, report: Report) -> None:
    """Let a report that was held back say what became of the recorded event in its place."""
    for name in (*Report.__slots__, *Dispatch.__slots__):
        if name not in ("event", "waiter", "ticks") and hasattr(report, name):
            setattr(held, name, getattr(report, name))
    held.ticks = report.ticks


def _index(report: Report, seq: int) -> int:
    """Which call of a report has that seq, counted from 0."""
    block = seq - seq % BLOCK
    return (report.seq, *report.blocks).index(block) * (BLOCK - 1) + seq % BLOCK - 1


def _site(report: Report | None, plan: HandlerPlan, index: int, seq: int) -> CallSite:
    """Which handler a call is of; `_SOMEWHERE` where only a report could say that, and it is gone."""
    if report is not None:
        plan = report.plan
        index = plan.site_of(_index(report, seq), report.ticks)
    elif plan.layout == "spans":
        return _SOMEWHERE
    return plan.sites[index] if 0 <= index < len(plan.sites) else _SOMEWHERE


def _live_call(event: int, plan: HandlerPlan, site: CallSite) -> int:
    """The call of this replay that stands for a recorded one, or the event itself where there is none."""
    if plan.layout == "spans":  # the calls of such a plan are not numbered by its sites
        return event
    for index, each in enumerate(plan.sites[: BLOCK - 1]):
        if (each.name, each.plugin) == (site.name, site.plugin):
            return event + 1 + index
    return event


def _difference(
    kind: Literal["differs", "missing", "extra"], path: Path, seq: int | None, recorded: str, replayed: str
) -> Difference:
    return Difference(kind, path.topic, path.event, path.handler, path.plugin, seq, recorded, replayed)


def _refuse_to_wait(what: str, is_done: Callable[[], bool], timeout: float | None) -> None:
    msg = (
        f"waiting for {what} here could never end: a replay holds it back, and delivers what the recording has of "
        "it at its recorded place; the report is done after that"
    )
    raise DeadlockError(msg)
