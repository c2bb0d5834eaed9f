"""Running the handlers of one event, and noting how each of them ended; who may run them is the bus's to say."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from plugbook._clock import tick
from plugbook.errors import EventError
from plugbook.trace.record import Note, describe_error

from .cause import Cause, current_cause
from .loop import call_in_own_thread
from .subscription import Skipped, Subscription

if TYPE_CHECKING:
    from .report import Report

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


def steps_of(report: Report) -> Generator[Step, None, None]:
    """One dispatch without any waiting in it: yields how to make each coroutine that must end first.

    What such a coroutine returns is None, or the error that ends the dispatch.
    """
    stamp = report.ticks.append
    stamp(tick())
    for index, subscription in enumerate(report.plan.subscriptions):
        if subscription.is_async or subscription.thread:
            yield partial(_call_on_loop, report, index, subscription)
        else:
            _call_here(report, index, subscription)
        stamp(tick())


def abandon(report: Report, index: int, error: BaseException) -> None:
    """Close a dispatch that cannot go on: mark call `index`, which was running, and skip those behind it."""
    sites = report.plan.sites
    reason = type(error).__name__
    if 0 <= index < len(sites) and index not in (report.notes or {}):
        report.note(index, Note("cancelled", reason))
    where = f" in {sites[index].name}" if 0 <= index < len(sites) else ""
    for skipped in range(index + 1, len(sites)):
        report.note(skipped, Note("skipped", f"{reason}{where} ended the dispatch"))
    report.ticks.extend([tick()] * (len(sites) + 1 - len(report.ticks)))


def note_result(report: Report, index: int, result: Any) -> None:
    """Keep what a handler returned.

    Raises:
        EventError: it is a coroutine, which nobody would await.
    """
    if result.__class__ is Skipped:
        report.note(index, Note("skipped", result.reason))
    elif inspect.iscoroutine(result):
        result.close()
        name = report.plan.sites[index].name
        msg = f"{name} returned a coroutine that nobody awaits: declare it with 'async def', or await inside"
        raise EventError(msg)
    else:
        report.note(index, Note(result=result, has_result=True))


def note_failure(report: Report, index: int, error: BaseException) -> bool:
    """Keep what a handler raised; whether it must be raised again."""
    _strip_own_frames(error)
    report.note(index, Note("error", error=describe_error(error)), error)
    return report.plan.subscriptions[index].policy == "raise"


def _call_here(report: Report, index: int, subscription: Subscription) -> None:
    start = tick()
    try:
        result = report.plan.calls[index](report.event)
        if result is not None:
            note_result(report, index, result)
    except Exception as error:
        if note_failure(report, index, error):
            raise
    _note_late(report, index, (tick() - start) / 1e9, subscription.timeout)


def _note_late(report: Report, index: int, seconds: float, allowed: float | None) -> None:
    note = (report.notes or {}).get(index, Note())
    if allowed is not None and seconds > allowed and note.outcome == "ok":
        reason = f"late: ran {seconds:.3g} s of {allowed:g} s; only thread=True lets it be left behind"
        report.note(index, note._replace(outcome="timeout", reason=reason))


async def _call_on_loop(report: Report, index: int, subscription: Subscription) -> BaseException | None:
    """Run one handler on the host's loop or on a thread of its own; returns what must end the dispatch."""
    current_cause.set(Cause(report.call_seq(index), report.root, report))
    result: Any = None
    error: BaseException | None = None
    limit = asyncio.timeout(subscription.timeout)
    try:
        async with limit:
            result = await _result_of(report, index, subscription)
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        error = cancelled
    except (Exception, KeyboardInterrupt, SystemExit) as raised:
        error = raised  # the last two would end the loop itself if asyncio saw them
    if not report.is_running(index):
        return None  # it was cancelled, took its time, and was given up
    if limit.expired():
        left = "; its thread goes on" if subscription.thread else ""
        report.note(index, Note("timeout", f"took more than {subscription.timeout:g} s{left}"))
        return None
    return _note_end(report, index, result, error)


async def _result_of(report: Report, index: int, subscription: Subscription) -> Any:
    call = report.plan.calls[index]
    if subscription.thread:
        result, error = await call_in_own_thread(subscription.name, call, report.event)
        if error is not None:
            raise error
        return result
    result = call(report.event)
    return result if result.__class__ is Skipped else await result


def _note_end(report: Report, index: int, result: Any, error: BaseException | None) -> BaseException | None:
    """Keep how a handler ended on the loop; returns what must end the dispatch."""
    if error is None:
        try:
            if result is not None:
                note_result(report, index, result)
            return None
        except EventError as raised:
            error = raised
    if isinstance(error, asyncio.CancelledError):
        report.note(index, Note("cancelled", "the handler cancelled itself"))
        return None
    if not isinstance(error, Exception):
        return error
    return error if note_failure(report, index, error) else None


def _strip_own_frames(error: BaseException) -> None:
    """Let the traceback start in the handler: our frames say nothing, and hold the report it is kept in."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__package__") == __package__:
        traceback = traceback.tb_next
    error.__traceback__ = traceback
