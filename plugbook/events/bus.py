"""The dispatcher: brings each published event to its handlers, in an order that is part of the contract.

One drain owns the queue. An event published inside a handler is queued, not recursed into, so the
handlers of one event always run one after the other, by priority (high first), then dependency order
of their plugins (a provider before its dependents), then registration::

    publish(A)                 # Ledger.post publishes B; Billing.bill publishes C
      A -> Ledger.post         # publish(B) queues
      A -> Billing.bill        # publish(C) queues
      B -> Billing.check
      C -> Mailer.send

`ask` is the exception: it goes to its handlers at once, while the handler that asks waits, and their calls
are children of the call that asks::

    publish(A)                 # Ledger.post asks B, and publishes C
      A => Ledger.post
        B => Catalog.find      # returns None
        B => Warehouse.find    # answers: nobody else is asked
      A => Billing.bill
      C => Mailer.send

Sync and async handlers share that order. A plan of sync handlers runs inline on the publisher's thread;
coroutines run on the host's own loop and are waited for.

`publish` never waits for somebody else's drain: while one runs, on this or another thread, it queues and
returns a pending `Report`. When a handler is interrupted (KeyboardInterrupt), or fails under the policy
``raise``, its call is marked, the event's remaining calls are ``skipped``, and what is queued stays
queued, in order, until the next `publish` or `drain`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import weakref
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Never, TypeVar, cast

from plugbook._clock import tick
from plugbook.errors import DeadlockError, EventError, HostClosedError
from plugbook.events.dispatch.asking import Asking, answer, answer_async, check
from plugbook.events.dispatch.bare import bare_publish
from plugbook.events.dispatch.calls import abandon, run_inline
from plugbook.events.dispatch.cause import Cause, current_cause
from plugbook.events.dispatch.circles import MOST_CAUSED, Circles
from plugbook.events.dispatch.drain import NOBODY, Drain
from plugbook.events.dispatch.layers import make_plan
from plugbook.events.dispatch.loop import HostLoop
from plugbook.events.dispatch.question import Question
from plugbook.events.dispatch.report import Report
from plugbook.events.dispatch.throttled import Throttled
from plugbook.events.dispatch.work import Work
from plugbook.events.event import Event, EventSchema
from plugbook.trace.record import BLOCK, JsonText, Note

if TYPE_CHECKING:
    from plugbook.events.dispatch.gate import Gate
    from plugbook.events.subscription import HandlerPlan, Subscription
    from plugbook.trace.writing.recorder import Recorder

__all__ = ["Bus", "Cause", "current_cause"]

T = TypeVar("T")

_log = logging.getLogger("plugbook.events")


class Bus(Throttled, Asking):
    """Subscriptions, one queue, and the drain that empties it.

    Args:
        recorder: where each dispatch is written, or None.
        timing: whether every call is timed; without it nothing is recorded either.
        loop: where coroutines run.
        clock: the time in ns that throttling goes by.
        most_caused: how many events one event may cause before handlers that publish in a circle are refused.

    >>> class Ping(Event):
    ...     n: int
    >>> bus = Bus()
    >>> disconnect = bus.subscribe(Ping, lambda ping: ping.n + 1, name="answer")
    >>> bus.publish(Ping(n=1)).calls[0].result
    2
    """

    def __init__(
        self,
        recorder: Recorder | None = None,
        *,
        timing: bool = True,
        loop: HostLoop | None = None,
        clock: Callable[[], int] = tick,
        most_caused: int = MOST_CAUSED,
    ) -> None:
        self.loop = loop or HostLoop()
        super().__init__(clock)
        self._plans = self._table.plans
        self._circles = Circles(most_caused)
        self._drain = Drain(self.loop, self._settle, self._circles)
        self._described: weakref.WeakSet[type[Event]] = weakref.WeakSet()
        self._timing = timing
        self._gate: Gate | None = None
        self._is_closed = False
        self.recorder = recorder

    # -- recording --------------------------------------------------------------------------------

    @property
    def recorder(self) -> Recorder | None:
        """Where each dispatch is written; set it while no handler is running."""
        return self._recorder

    @recorder.setter
    def recorder(self, recorder: Recorder | None) -> None:
        self._recorder = self._drain.recorder = recorder
        self._described.clear()
        self._table.forget_plans()
        self.next_seq = recorder.next_seq if recorder else itertools.count(BLOCK, BLOCK).__next__
        self._choose_publish()

    def _choose_publish(self) -> None:
        """Let `publish` be the one that does no more than it has to."""
        vars(self).pop("publish", None)
        vars(self).pop("_make_report", None)
        if self._followers:
            self._make_report = self._make_followed  # type: ignore[assignment,method-assign]
        if self._is_closed:
            self.publish = self._refuse  # type: ignore[method-assign]
        elif self._gate is not None:
            self.publish = self._publish_gated  # type: ignore[method-assign]
        elif self._throttles:
            self.publish = self._publish_throttled  # type: ignore[method-assign]
        elif not (self._timing or self._recorder or self._followers):
            timed = partial(Bus.publish, self)
            self.publish = bare_publish(self._plans, self._plan_for, self._drain, timed)  # type: ignore[method-assign]

    def plan_of(self, kind: type[Event]) -> HandlerPlan:
        """The handlers that an event of exactly this type would go to."""
        if self._recorder is not None and kind not in self._described:
            self._described.add(kind)
            self._recorder.describe("schema", f"{kind.__topic__}@{kind.__version__}", EventSchema(kind))
        return self._table.plan_of(kind)

    # -- publishing -------------------------------------------------------------------------------

    def publish(self, event: Event, *, plugin: str = "") -> Report:
        """Bring the event to its handlers, and say what became of it.

        While a drain runs, the report is pending: its calls run when those before it have ended. It is
        pending, too, on the host's own loop, where waiting for a coroutine would stop that very coroutine.

        Args:
            event: what happened.
            plugin: who says so.

        Raises:
            EventError: what was given is not an event.
            PublishCycleError: handlers publish for each other without an end.
        """
        plan = self._plans.get(type(event)) or self._plan_for(event)
        drain = self._drain
        try:
            del drain.free[0]
        except KeyError:
            return self._queue_up(event, plan, plugin)
        report = None
        must_move = False
        try:
            drain.thread = thread = get_ident()
            report = self._make_report(event, plan, plugin, thread)
            if plan.is_inline and not drain.queue:
                drain.current = report
                run_inline(report)
            else:
                self._enqueue(report)
            if drain.queue:
                must_move = not drain.deliver()
        except BaseException as error:
            self._close_unqueued(report, error)
            raise
        finally:
            drain.current = None
            drain.thread = NOBODY
            drain.free[0] = True
        recorder = self._recorder
        if recorder is not None and (report.born > recorder.deadline or len(recorder.rows) > recorder.limit):
            recorder.make_room()
        if must_move:
            drain.run_elsewhere()
        elif drain.queue:
            drain.run()
        return report

    def _publish_throttled(self, event: Event, *, plugin: str = "") -> Report:
        return self._turn_away(event, plugin) or Bus.publish(self, event, plugin=plugin)

    def _turn_away(self, event: Event, plugin: str) -> Report | None:
        """The report of an event that is one too many; None where it is to be delivered."""
        plan = self._throttles.refusal(type(event)) if self._throttles and isinstance(event, Event) else None
        if plan is None:
            return None
        report = self._make_report(event, plan, plugin, get_ident())
        report.ticks.append(tick())
        self._drain.make_room()
        return report

    async def publish_async(self, event: Event, *, plugin: str = "") -> Report:
        """As `publish`, but awaiting the handlers instead of blocking the caller's loop.

        Inside a handler the report is pending, as it is with `publish`; elsewhere it is done. Cancelling
        the caller ends the dispatch that it is awaiting, as an interrupt ends that of `publish`.

        Raises:
            EventError: what was given is not an event.
        """
        if self._is_closed:
            self._refuse(event)
        held = self._gate(event, plugin) if self._gate is not None else None
        if held is not None:
            return held
        refused = self._turn_away(event, plugin)
        if refused is not None:
            return refused
        plan = self._plans.get(type(event)) or self._plan_for(event)
        report = self._make_report(event, plan, plugin, get_ident())
        self._enqueue(report)
        if not self._drain.is_inside_call():
            await self._drain.run_async()
            if not report.done:
                await self._drain.await_until(lambda: report.done)
        return report

    def question(self, event: Event, *, wants_all: bool, plugin: str, awaits: bool) -> Question:
        """The dispatch of an event that is asked, ready for its handlers; see `Asking.ask`.

        Raises:
            EventError: what was given is not an event.
            AskCycleError: a handler up the chain of askers is handling an event of this topic.
            DeadlockError: it could never end, because a handler needs the loop that would wait here.
        """
        plan = self._plans.get(type(event)) or self._plan_for(event)
        if self._is_closed:
            self._refuse(event)
        asker = check(self._drain, plan, self.cause(), awaits=awaits)
        kind = partial(Question, wants_all=wants_all, asker=asker)
        question = cast("Question", self._make_report(event, plan, plugin, get_ident(), kind))
        if self._gate is not None:
            self._gate.ask(question)
        return question

    def answer(self, question: Question) -> None:
        """Have a question answered, waiting here; see `Asking.ask`.

        Raises:
            Exception: of a handler whose policy is ``raise``.
        """
        answer(self._drain, question)

    async def answer_async(self, question: Question) -> None:
        """Have a question answered, awaiting here; see `Asking.ask_async`.

        Raises:
            Exception: of a handler whose policy is ``raise``.
        """
        await answer_async(self._drain, question)

    def _asks(self) -> tuple[Bus, str]:
        return self, ""

    def perform(self, function: Callable[[], T]) -> Work[T]:
        """Run `function`, in the caller's context, while no handler is running.

        Inside a handler, and on a loop that the drain needs to go on, it is queued and pending. Elsewhere
        it has run when this returns, on this thread where the drain is free.
        """
        context = copy_context()
        cause = self.cause()
        context.run(current_cause.set, cause._replace(report=None) if cause else None)
        drain = self._drain
        work = Work(function, context, drain.wait)
        drain.queue.append(work)
        drain.run_quietly()
        if not work.done and not drain.must_not_wait():
            drain.wait_until(lambda: work.done)
        return work

    def cause(self) -> Cause | None:
        """What a record written here is caused by: the call that is running, or the transition."""
        current = self._drain.current
        if current is not None and self._drain.thread == get_ident():
            return Cause(current.running_seq(), current.root, current)
        return current_cause.get()

    def drain(self) -> None:
        """Deliver what is queued, unless somebody is doing so already; see `Drain.run`."""
        self._drain.run()

    # -- replay -----------------------------------------------------------------------------------

    @property
    def gate(self) -> Gate | None:
        """Asked about each event before it is sent; a report that it returns is the publisher's answer instead.

        Without a gate, `publish` takes no longer for it.
        """
        return self._gate

    @gate.setter
    def gate(self, gate: Gate | None) -> None:
        self._gate = gate
        self._choose_publish()

    def _publish_gated(self, event: Event, *, plugin: str = "") -> Report:
        held = self._gate(event, plugin) if self._gate is not None else None
        return self._publish_throttled(event, plugin=plugin) if held is None else held

    def deliver(
        self,
        event: Event,
        *,
        plugin: str = "",
        cause: Cause | None = None,
        announce: Callable[[Report], object] | None = None,
        to: Callable[[Subscription], bool] | None = None,
        asked: str = "",
    ) -> Report:
        """Publish past the gate, and return when every handler has ended.

        What a handler raises is in the report alone, whatever its policy.

        Args:
            event: what happened.
            plugin: who says so.
            cause: what it is caused by.
            announce: given the report before the first handler runs.
            to: which of the handlers get it; by default all.
            asked: ``first`` or ``all`` where it is a question, and how many answers end it.

        Raises:
            DeadlockError: the caller is a handler, which would have to end first.
        """
        plan = self._plans.get(type(event)) or self._plan_for(event)
        if to is not None:
            plan = make_plan(type(event), filter(to, plan.subscriptions))
            plan.is_fixed = True
        drain = self._drain
        if not (plan.is_inline and drain.free) and drain.must_not_wait():
            msg = f"{event.__topic__} cannot be delivered from inside a handler, for it waits until that has ended"
            raise DeadlockError(msg)
        token = current_cause.set(cause)
        try:
            kind: Callable[..., Report] = Report
            if asked:
                kind = partial(Question, wants_all=asked == "all", asker=None)
            report = self._make_report(event, plan, plugin, get_ident(), kind)
        finally:
            current_cause.reset(token)
        if announce is not None:
            announce(report)
        try:
            is_delivered = drain.deliver_now(report)
        except Exception as error:
            _log.debug("a handler raised %s while its event was delivered", type(error).__name__)
            is_delivered = True
        if is_delivered and not drain.queue:
            return report
        if not is_delivered:
            self._enqueue(report)
        drain.run_quietly()
        if not report.done:
            drain.wait_until(lambda: report.done)
        return report

    def deliver_again(
        self,
        event: Event,
        subscription: Subscription,
        *,
        plugin: str = "",
        cause: Cause | None = None,
        reason: str = "",
        announce: Callable[[Report], object] | None = None,
    ) -> Report:
        """Bring an event to one handler alone; to be called inside a request (see `perform`).

        What the handler raises is in the report alone, and what it publishes follows when the request has ended.

        Args:
            event: what happened.
            subscription: whose handler gets it.
            plugin: who said so.
            cause: what it is caused by.
            reason: why it comes again, for the report.
            announce: given the report before the handler runs.
        """
        plan = make_plan(type(event), (subscription,))
        plan.verdict = Note("ok", reason) if reason else None
        token = current_cause.set(cause)
        try:
            report = Bus._make_report(
                self, event, plan, plugin, get_ident()
            )  # it was followed when it was published
        finally:
            current_cause.reset(token)
        if announce is not None:
            announce(report)
        try:
            self._drain.deliver_inside(report)
        except Exception as error:
            _log.debug("a handler raised %s while its event was delivered again", type(error).__name__)
        return report

    def close(self) -> None:
        """Refuse what is published from now on."""
        self._is_closed = True
        self._choose_publish()

    def _refuse(self, event: Event, *, plugin: str = "") -> Never:
        self._plan_for(event)  # refuses what is no event
        msg = f"this host was closed, so that nobody can handle {event.__topic__}; make a new one"
        raise HostClosedError(msg)

    # -- one event more ---------------------------------------------------------------------------

    def _plan_for(self, event: object) -> HandlerPlan:
        if isinstance(event, Event):
            return self.plan_of(type(event))
        if isinstance(event, type) and issubclass(event, Event):
            msg = f"publish takes an event, and {event.__name__} is its class: call it"
            raise EventError(msg)
        msg = (
            f"publish takes an event, an instance of a subclass of plugbook.Event, not {type(event).__name__}"
        )
        raise EventError(msg)

    def _make_report(
        self, event: Event, plan: HandlerPlan, plugin: str, thread: int, kind: Callable[..., Report] = Report
    ) -> Report:
        """A report at its place in the causal tree and in the recorder's buffer, before its dispatch."""
        seq = root = self.next_seq()
        parent = None
        task = ""
        drain = self._drain
        current = drain.current
        if current is not None and drain.thread == thread:
            parent, root = current.running_seq(), current.root
        else:
            cause = current_cause.get()
            if cause is not None:
                parent, root = cause.seq, cause.root
                task = _task_name()
        recorder = self._recorder
        cell = recorder.cell if recorder is not None else None
        report = kind(seq, event, plan, plugin, parent, root, tick(), [], thread, cell)
        if task:
            report.task = task
        if len(plan.sites) >= BLOCK:
            self._number_calls(report)
        if recorder is not None:
            if not plan.is_frozen:
                report.payload = JsonText(event.__plugbook_json__())
            recorder.rows.append(report)
        return report

    def _make_followed(self, *args: Any) -> Report:
        report = Bus._make_report(self, *args)
        for follower in self._followers:
            follower(report)
        return report

    def _number_calls(self, report: Report) -> None:
        """Take further seqs where the event's own block has too few for its calls."""
        blocks = (len(report.plan.sites) - 1) // (BLOCK - 1)
        report.blocks += tuple(self.next_seq() for _ in range(blocks - len(report.blocks)))

    def _settle(self, report: Report) -> None:
        """Let an event that was queued go to whoever listens now."""
        plan = self._plans.get(type(report.event)) or self._plan_for(report.event)
        if plan is not report.plan and not report.plan.is_fixed:
            report.settle(plan)
            self._number_calls(report)

    def _enqueue(self, report: Report) -> None:
        if report.seq - report.root > self._circles.distance:
            self._circles.check(report, self.cause())
        report.waiter = self._drain.wait
        self._drain.queue.append(report)

    def _queue_up(self, event: Event, plan: HandlerPlan, plugin: str) -> Report:
        thread = get_ident()
        report = self._make_report(event, plan, plugin, thread)
        self._enqueue(report)
        if self._drain.thread != thread:
            self._drain.run()  # the drain may have ended before this was in the queue
        return report

    def _close_unqueued(self, report: Report | None, error: BaseException) -> None:
        """Close what an interrupt kept from beginning, or ended, without its ever being queued."""
        if report is not None and not report.done and report not in self._drain.queue:
            abandon(report, len(report.ticks) - 1, error)


def _task_name() -> str:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return ""
    return task.get_name() if task else ""
