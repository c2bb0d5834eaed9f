"""Running the handlers of one event, and noting how each of them ended; who may run them is the bus's to say."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from contextvars import Token
from functools import partial
from typing import TYPE_CHECKING, Any

from plugbook._clock import tick
from plugbook.errors import EventError
from plugbook.events.dispatch.cause import Cause, current_cause
from plugbook.events.dispatch.loop import call_in_own_thread
from plugbook.events.subscription import Skipped, Subscription
from plugbook.trace.record import Note, describe_error

if TYPE_CHECKING:
    from plugbook.events.dispatch.report import Report

Step = Callable[[], Coroutine[Any, Any, BaseException | None]]


def run_inline(report: Report) -> None:
    """The hot path: call sync handlers one after the other, with one clock reading each."""
    event = report.event
    stamp = report.ticks.append
    stamp(tick())
    for call in report.plan.calls:
        try:
            result = call(event)
            if result is not None:
                note_result(report, len(report.ticks) - 1, result)
        except Exception as error:
            if note_failure(report, len(report.ticks) - 1, error):
                raise
        stamp(tick())


def run_here(report: Report) -> None:
    """Run a plan none of whose handlers has to be waited for."""
    if report.plan.is_inline and not report.asked:
        run_inline(report)
        return
    for _ in steps_of(report):
        msg = "a plan that must not wait had a handler to wait for"
        raise RuntimeError(msg)


def steps_of(report: Report) -> Generator[Step, None, None]:
    """One dispatch without any waiting in it: yields how to make each coroutine that must end first.

    What such a coroutine returns is None, or the error that ends the dispatch.
    """
    report.ticks.append(tick())
    for index, subscription in enumerate(report.plan.subscriptions):
        turn = report.plan.turn(report, index) or Turn(report, index, subscription)
        reason = report.enough or subscription.source_refuses(report.plugin)
        if reason:
            turn.note(Note("skipped", reason))
        elif subscription.is_async or subscription.thread:
            yield partial(_call_on_loop, turn)
        else:
            _call_here(turn)
        report.end_turn(turn)
        turn.end()


class Turn:
    """One subscription's part in a dispatch.

    Attributes:
        report: the dispatch.
        index: which of the plan's calls it is.
        subscription: whose turn it is.
    """

    __slots__ = ("index", "report", "subscription")

    def __init__(self, report: Report, index: int, subscription: Subscription) -> None:
        self.report = report
        self.index = index
        self.subscription = subscription

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.report.is_running(self.index)

    def run(self) -> Any:
        """Call the handler, or what stands in its place."""
        return self.report.plan.calls[self.index](self.report.event)

    def be_cause(self) -> Token[Cause | None]:
        """Let what is published from here on, in this context, be caused by this call."""
        report = self.report
        return current_cause.set(Cause(report.call_seq(self.index), report.root, report))

    def note(self, note: Note, error: BaseException | None = None) -> None:
        """Keep how it ended."""
        self.report.note(self.index, note, error)

    def keep(self, result: Any) -> None:
        """Keep what the handler returned."""
        if result is not None:
            note_result(self.report, self.index, result)

    def fail(self, error: BaseException) -> bool:
        """Keep what the handler raised; whether it must be raised again."""
        return note_failure(self.report, self.index, error)

    def noted(self) -> Note:
        """How it has ended so far."""
        return (self.report.notes or {}).get(self.index, Note())

    def end(self) -> None:
        """Others have their turn from now on."""
        self.report.ticks.append(tick())

    def answer(self) -> tuple[int, Any] | None:
        """Which call gave what, where that is not None."""
        result = self.noted().result
        return (self.index, result) if result is not None else None


def abandon(report: Report, index: int, error: BaseException) -> None:
    """Close a dispatch that cannot go on: mark call `index`, which was running, and skip those behind it."""
    if report.plan.abandon(report, error):
        return
    sites = report.plan.sites
    reason = type(error).__name__
    if 0 <= index < len(sites) and index not in (report.notes or {}):
        report.note(index, Note("cancelled", reason))
    where = f" in {sites[index].name}" if 0 <= index < len(sites) else ""
    for skipped in range(index + 1, len(sites)):
        report.note(skipped, Note("skipped", f"{reason}{where} ended the dispatch"))
    report.end_early(error)
    report.ticks.extend([tick()] * (len(sites) + 1 - len(report.ticks)))


def note_result(report: Report, index: int, result: Any) -> None:
    """Keep what a handler returned.

    Raises:
        EventError: it is a coroutine, which nobody would await.
    """
    if result.__class__ is Skipped:
        report.note(index, Note("skipped", result.reason))
    else:
        refuse_coroutine(report.plan.sites[index].name, result)
        report.note(index, Note(result=result, has_result=True))


def refuse_coroutine(name: str, result: Any) -> None:
    """Raise where a sync function gave a coroutine, which nobody would await.

    Raises:
        EventError: it did.
    """
    if inspect.iscoroutine(result):
        result.close()
        msg = f"{name} returned a coroutine that nobody awaits: declare it with 'async def', or await inside"
        raise EventError(msg)


def note_failure(report: Report, index: int, error: BaseException) -> bool:
    """Keep what a handler raised; whether it must be raised again."""
    strip_own_frames(error)
    note = Note("error", error=describe_error(error))
    report.note(index, note, error)
    subscription = report.plan.subscriptions[index]
    tell_failure(subscription, note)
    return subscription.policy == "raise"


def tell_failure(subscription: Subscription, ended: Note | BaseException) -> None:
    """Tell whoever watches a subscription that its call failed: with what, or how it ended."""
    if subscription.on_failure is not None:
        note = ended if isinstance(ended, Note) else Note("error", error=describe_error(ended))
        subscription.on_failure(subscription, note)


def _call_here(turn: Turn) -> None:
    # A question may be asked off the thread of the drain, where the thread does not tell the cause.
    token = turn.be_cause() if turn.report.asked else None
    start = tick()
    try:
        turn.keep(turn.run())
    except Exception as error:
        if turn.fail(error):
            raise
    finally:
        if token is not None:
            current_cause.reset(token)
    _note_late(turn, (tick() - start) / 1e9)


def _note_late(turn: Turn, seconds: float) -> None:
    allowed = turn.subscription.timeout
    if allowed is not None and seconds > allowed and (note := turn.noted()).outcome == "ok":
        reason = f"late: ran {seconds:.3g} s of {allowed:g} s; only thread=True lets it be left behind"
        late = note._replace(outcome="timeout", reason=reason)
        turn.note(late)
        tell_failure(turn.subscription, late)


async def _call_on_loop(turn: Turn) -> BaseException | None:
    """Run one handler on the host's loop or on a thread of its own; returns what must end the dispatch."""
    turn.be_cause()
    subscription = turn.subscription
    result: Any = None
    error: BaseException | None = None
    limit = asyncio.timeout(subscription.timeout)
    try:
        async with limit:
            result = await _result_of(turn)
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        error = cancelled
    except (Exception, KeyboardInterrupt, SystemExit) as raised:
        error = raised  # the last two would end the loop itself if asyncio saw them
    if not turn.is_running:
        return None  # it was cancelled, took its time, and was given up
    if limit.expired():
        left = "; its thread goes on" if subscription.thread else ""
        note = Note("timeout", f"took more than {subscription.timeout:g} s{left}")
        turn.note(note)
        tell_failure(subscription, note)
        return None
    return _note_end(turn, result, error)


async def _result_of(turn: Turn) -> Any:
    if turn.subscription.thread:
        result, error = await call_in_own_thread(turn.subscription.name, turn.run)
        if error is not None:
            raise error
        return result
    result = turn.run()
    return result if result.__class__ is Skipped else await result


def _note_end(turn: Turn, result: Any, error: BaseException | None) -> BaseException | None:
    """Keep how a handler ended on the loop; returns what must end the dispatch."""
    if error is None:
        try:
            turn.keep(result)
        except EventError as raised:
            error = raised
        else:
            return None
    if isinstance(error, asyncio.CancelledError):
        turn.note(Note("cancelled", "the handler cancelled itself"))
        return None
    if not isinstance(error, Exception):
        return error
    return error if turn.fail(error) else None


def strip_own_frames(error: BaseException) -> None:
    """Let the traceback start in the handler: our frames say nothing, and hold the report it is kept in."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__package__") == __package__:
        traceback = traceback.tb_next
    error.__traceback__ = traceback
