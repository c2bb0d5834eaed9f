"""The least that a publish can cost: no clock, no recorder, and everything it needs within reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import length_hint
from threading import get_ident
from typing import TYPE_CHECKING

from plugbook.events.dispatch.calls import abandon, note_failure, note_result
from plugbook.events.dispatch.drain import NOBODY, Drain
from plugbook.events.dispatch.report import BareReport, Report

if TYPE_CHECKING:
    from plugbook.events.event import Event
    from plugbook.events.subscription import Handler, HandlerPlan

new_report = object.__new__


def bare_publish(  # noqa: C901 (one loop, kept in one piece for its speed)
    plans: dict[type, HandlerPlan],
    plan_for: Callable[[object], HandlerPlan],
    drain: Drain,
    publish_timed: Callable[..., Report],
) -> Callable[..., Report]:
    """A `publish` that delivers events to sync handlers itself, and leaves all others to `publish_timed`.

    It is a closure because a method would look up each of these on itself, which is a tenth of what it takes.
    """
    known_plan, queue, free = plans.get, drain.queue, drain.free

    def publish(event: Event, *, plugin: str = "") -> Report:
        plan = known_plan(type(event)) or plan_for(event)
        if queue or not plan.is_inline:
            return publish_timed(event, plugin=plugin)
        try:
            del free[0]
        except KeyError:
            return publish_timed(event, plugin=plugin)
        remaining = None
        try:
            drain.thread = get_ident()
            report = new_report(BareReport)
            report.event = event
            report.plan = plan
            remaining = iter(plan.calls)
            for call in remaining:
                try:
                    result = call(event)
                    if result is not None:
                        note_result(report, _index_before(remaining, plan), result)
                except Exception as error:
                    if note_failure(report, _index_before(remaining, plan), error):
                        raise
        except BaseException as error:
            if remaining is not None:
                abandon(report, _index_before(remaining, plan), error)
            raise
        finally:
            drain.thread = NOBODY
            free[0] = True
        if queue:
            drain.run()
        return report

    return publish


def _index_before(remaining: Iterator[Handler], plan: HandlerPlan) -> int:
    """Which call an iterator over the plan's calls gave last, counted from 0."""
    return len(plan.calls) - 1 - length_hint(remaining)
