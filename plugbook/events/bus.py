"""The dispatcher: brings each published event to its handlers, in an order that is part of the contract.

One drain owns the queue. An event published inside a handler is queued, not recursed into, so the
handlers of one event always run one after the other, by priority (high first), then dependency order
of their plugins (a provider before its dependents), then registration::

    publish(A)                 # Ledger.post publishes B; Billing.bill publishes C
      A -> Ledger.post         # publish(B) queues
      A -> Billing.bill        # publish(C) queues
      B -> Billing.check
      C -> Mailer.send

Sync and async handlers share that order. A plan of sync handlers runs inline on the publisher's thread;
coroutines run on the host's own loop and are waited for.

`publish` never waits for somebody else's drain: while one runs, on this or another thread, it queues and
returns a pending `Report`. When a handler is interrupted (KeyboardInterrupt), or fails under the policy
``raise``, its call is marked, the event's remaining calls are ``skipped``, and what is queued stays
queued, in order, until the next `publish` or `drain`.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextvars import ContextVar
from functools import partial
from operator import length_hint
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from plugbook._clock import tick
from plugbook.errors import DeadlockError, EventError
from plugbook.trace.record import BLOCK, JsonText, Note, describe_error

from .event import Event, EventSchema
from .loop import HostLoop
from .report import BareReport, Report
from .subscription import (
    SKIPPED,
    Handler,
    HandlerPlan,
    Policy,
    Predicate,
    Subscription,
    Target,
    find_near_miss,
)
from .work import Work

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.trace.recorder import Recorder

T = TypeVar("T")

_SUSPENDED = -1
"""Owner of the drain while it awaits: no thread has this ident."""

_ORPHAN_SECONDS = 0.05
_POLL_SECONDS = 0.05


class Cause(NamedTuple):
    """What an event published here is caused by, where no sync handler is running.

    Attributes:
        seq: the call, or the state transition.
        root: the top of its causal tree.
        report: the dispatch the call belongs to, or None for a transition.
    """

    seq: int
    root: int
    report: Report | None = None


Gate = Callable[[Event, str], Report | None]
"""Given an event and the plugin that publishes it."""

new_report = object.__new__
current_cause: ContextVar[Cause | None] = ContextVar("plugbook_cause", default=None)


class Bus:
    """Subscriptions, one queue, and the drain that empties it.

    Args:
        recorder: where each dispatch is written, or None.
        timing: whether every call is timed; without it nothing is recorded either.
        loop: where coroutines run.

    >>> class Ping(Event):
    ...     n: int
    >>> bus = Bus()
    >>> disconnect = bus.subscribe(Ping, lambda ping: ping.n + 1, name="answer")
    >>> bus.publish(Ping(n=1)).calls[0].result
    2
    """

    def __init__(
        self, recorder: Recorder | None = None, *, timing: bool = True, loop: HostLoop | None = None
    ) -> None:
        self.loop = loop or HostLoop()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._ranks: dict[str, int] = {}
        self._plans: dict[type, HandlerPlan] = {}
        self._numbers = itertools.count()
        self._queue: deque[Report | Work[Any]] = deque()
        # The drain's owner, under key 0: `dict.setdefault` asks and takes in one step that no other
        # thread and no interrupt can come between, which no Lock does, and it says who the owner is.
        self._owner: dict[int, int] = {}
        self._is_draining = False
        self._current: Report | None = None
        self._settled = threading.Condition()
        self._waiters = 0
        self._described: weakref.WeakSet[type[Event]] = weakref.WeakSet()
        self.recorder = recorder
        self._timing = timing
        self.gate = None

    # -- recording --------------------------------------------------------------------------------

    @property
    def recorder(self) -> Recorder | None:
        """Where each dispatch is written; set it while no handler is running."""
        return self._recorder

    @recorder.setter
    def recorder(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._described.clear()
        self._plans = {}
        self.next_seq = recorder.next_seq if recorder else itertools.count(BLOCK, BLOCK).__next__

    # -- subscriptions ----------------------------------------------------------------------------

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """All of them, in the order in which handlers are called."""
        return tuple(sorted(self._subscriptions, key=self._order))

    def subscribe(
        self,
        target: Target,
        handler: Handler,
        *,
        plugin: str = "",
        name: str | None = None,
        priority: int = 0,
        where: Predicate | None = None,
        timeout: float | None = None,
        thread: bool = False,
        policy: Policy = "continue",
    ) -> Disconnect:
        """Call `handler` with every event that fits, until the returned function is called.

        Args:
            target: an event type (its subclasses fit too), or a topic pattern such as ``order.**``.
            handler: a function or a coroutine function of one event.
            plugin: its owner.
            name: its name in reports; by default its qualified name.
            priority: higher runs earlier.
            where: a predicate on the event.
            timeout: seconds. A coroutine is cancelled; a sync handler is marked late.
            thread: run a sync handler on a thread of its own.
            policy: whether `publish` goes on after a failure, or raises it.

        Raises:
            EventError: target, handler or timeout cannot be.
            TopicError: the topic pattern is not well formed.
        """
        subscription = Subscription(
            target=target,
            handler=handler,
            name=name or str(getattr(handler, "__qualname__", type(handler).__qualname__)),
            plugin=plugin,
            priority=priority,
            where=where,
            timeout=timeout,
            thread=thread,
            policy=policy,
            number=next(self._numbers),
        )
        self._change((*self._subscriptions, subscription), "subscribe", subscription)

        def disconnect() -> None:
            if subscription in self._subscriptions:
                left = tuple(each for each in self._subscriptions if each is not subscription)
                self._change(left, "unsubscribe", subscription)

        return disconnect

    def rank(self, ranks: dict[str, int]) -> None:
        """Say in which order the plugins depend on each other: lower runs earlier at equal priority."""
        self._ranks = dict(ranks)
        self._plans = {}

    def plan_of(self, kind: type[Event]) -> HandlerPlan:
        """The handlers that an event of exactly this type would go to."""
        plans = self._plans  # before the subscriptions: whoever changes them replaces the plans last
        plan = plans.get(kind)
        if plan is None:
            plan = HandlerPlan(kind, (each for each in self.subscriptions if each.wants(kind)))
            if not plan.subscriptions:
                plan.near_miss = find_near_miss(kind, self._subscriptions)
            self._describe(kind)
            plans[kind] = plan
        return plan

    def _describe(self, kind: type[Event]) -> None:
        """Tell the recorder what events of this type look like, once."""
        if self._recorder is not None and kind not in self._described:
            self._described.add(kind)
            self._recorder.describe("schema", f"{kind.__topic__}@{kind.__version__}", EventSchema(kind))

    def _change(self, subscriptions: tuple[Subscription, ...], what: str, changed: Subscription) -> None:
        self._subscriptions = subscriptions
        self._plans = {}
        if self._recorder is not None:
            payload = {
                "target": changed.target_text,
                "handler": changed.name,
                "priority": changed.priority,
            }
            self._recorder.put("change", what, plugin=changed.plugin, payload=payload)

    def _order(self, subscription: Subscription) -> tuple[int, int, int]:
        rank = self._ranks.get(subscription.plugin, len(self._ranks))
        return (-subscription.priority, rank, subscription.number)

    # -- publishing -------------------------------------------------------------------------------

    def publish(self, event: Event, *, plugin: str = "") -> Report:
        """Bring the event to its handlers, and say what became of it.

        While a drain runs, the report is pending: its calls run when those before it have ended.

        Args:
            event: what happened.
            plugin: who says so.

        Raises:
            EventError: what was given is not an event.
        """
        plan = self._plans.get(type(event)) or self._plan_for(event)
        thread = get_ident()
        if self._owner.setdefault(0, thread) != thread or self._is_draining:
            return self._queue_up(event, plan, plugin, thread)
        is_ours = True  # False once the drain went on without us
        try:
            self._is_draining = True
            report = self._make_report(event, plan, plugin, thread)
            if plan.is_inline and not self._queue:
                self._run_inline(report)
            else:
                self._enqueue(report)
            if self._queue:
                is_ours = self._drain_owned()
        finally:
            if is_ours:
                self._current = None
                self._is_draining = False
                self._owner.clear()
        recorder = self._recorder
        if recorder is not None and (report.born > recorder.deadline or len(recorder.rows) > recorder.limit):
            recorder.write()
        if self._queue:
            self.drain()
        return report

    def _publish_bare(self, event: Event, *, plugin: str = "") -> Report:
        """`publish` without clock and recorder: what a publish costs at the least."""
        plan = self._plans.get(type(event)) or self._plan_for(event)
        thread = get_ident()
        if (
            self._queue
            or not plan.is_inline
            or self._owner.setdefault(0, thread) != thread
            or self._is_draining
        ):
            return Bus.publish(self, event, plugin=plugin)
        report = new_report(BareReport)
        report.event = event
        report.plan = plan
        remaining = iter(plan.calls)
        try:
            self._is_draining = True
            for call in remaining:
                try:
                    result = call(event)
                    if result is not None:
                        self._returned(report, _index_before(remaining, plan), result)
                except Exception as error:
                    if self._failed(report, _index_before(remaining, plan), error):
                        raise
        except BaseException as error:
            self._abandon(report, _index_before(remaining, plan), error)
            raise
        finally:
            self._is_draining = False
            self._owner.clear()
        if self._queue:
            self.drain()
        return report

    async def publish_async(self, event: Event, *, plugin: str = "") -> Report:
        """As `publish`, but awaiting the handlers instead of blocking the caller's loop.

        Inside a handler the report is pending, as it is with `publish`; elsewhere it is done.

        Raises:
            EventError: what was given is not an event.
        """
        held = self._gate(event, plugin) if self._gate is not None else None
        if held is not None:
            return held
        plan = self._plans.get(type(event)) or self._plan_for(event)
        is_nested = self._is_inside_call()
        report = self._make_report(event, plan, plugin, get_ident())
        self._enqueue(report)
        if is_nested:
            return report
        if self._claim():
            await self._drain_async()
        if not report.done:
            await asyncio.to_thread(self._wait_until, lambda: report.done, None)
        return report

    def perform(self, function: Callable[[], T]) -> Work[T]:
        """Run `function` while no handler is running; inside a handler it is queued and pending.

        Elsewhere it has run when this returns, on this thread where the drain is free.
        """
        work = Work(function)
        self._queue.append(work)
        if self._is_inside_call():
            return work
        self.drain()
        if not work.done and not self.loop.is_current:
            self._wait_until(lambda: work.done, None)
        return work

    def cause(self) -> Cause | None:
        """What a record written here is caused by: the call that is running, or the transition."""
        current = self._current
        if current is not None and self._owner.get(0) == get_ident():
            return Cause(current.call_seq(len(current.ticks) - 1), current.root, current)
        return current_cause.get()

    def drain(self) -> None:
        """Deliver what is queued, unless somebody is doing so already."""
        while self._queue and self._claim():
            is_ours = True
            try:
                is_ours = self._drain_owned()
            finally:
                if is_ours:
                    self._release()

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
        vars(self).pop("publish", None)
        if gate is not None:
            self.publish = self._publish_gated  # type: ignore[method-assign]
        elif not self._timing:
            self.publish = self._publish_bare  # type: ignore[method-assign]

    def _publish_gated(self, event: Event, *, plugin: str = "") -> Report:
        held = self._gate(event, plugin) if self._gate is not None else None
        return Bus.publish(self, event, plugin=plugin) if held is None else held

    def deliver(self, event: Event, *, plugin: str = "", cause: Cause | None = None) -> Report:
        """Publish past the gate, as caused by `cause`, and return when every handler has ended.

        What a handler raises is in the report alone, whatever its policy.

        Raises:
            DeadlockError: the caller is a handler, which would have to end first.
        """
        if self._is_inside_call() or self.loop.is_current:
            msg = f"{event.__topic__} cannot be delivered from inside a handler, for it waits until that has ended"
            raise DeadlockError(msg)
        plan = self._plans.get(type(event)) or self._plan_for(event)
        token = current_cause.set(cause)
        try:
            report = self._make_report(event, plan, plugin, get_ident())
        finally:
            current_cause.reset(token)
        self._enqueue(report)
        try:
            self.drain()
        except Exception:
            if not report.done:  # it was another one's
                raise
        return report if report.done else report.wait()

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

    def _make_report(self, event: Event, plan: HandlerPlan, plugin: str, thread: int) -> Report:
        """A report at its place in the causal tree and in the recorder's buffer, before its dispatch."""
        seq = root = self.next_seq()
        parent = None
        task = ""
        current = self._current
        if current is not None and self._owner.get(0) == thread:
            parent, root = current.call_seq(len(current.ticks) - 1), current.root
        else:
            cause = current_cause.get()
            if cause is not None:
                parent, root = cause.seq, cause.root
                task = _task_name()
        recorder = self._recorder
        cell = recorder.cell if recorder is not None else None
        report = Report(seq, event, plan, plugin, parent, root, tick(), [], thread, cell)
        if task:
            report.task = task
        if len(plan.calls) >= BLOCK:
            report.blocks = tuple(self.next_seq() for _ in range((len(plan.calls) - 1) // (BLOCK - 1)))
        if recorder is not None:
            if not plan.is_frozen:
                report.payload = JsonText(event.__plugbook_json__())
            recorder.rows.append(report)
        return report

    def _enqueue(self, report: Report) -> None:
        report.waiter = self._wait
        self._queue.append(report)

    def _queue_up(self, event: Event, plan: HandlerPlan, plugin: str, thread: int) -> Report:
        report = self._make_report(event, plan, plugin, thread)
        self._enqueue(report)
        if self._owner.get(0) != thread:
            self._free_orphan()
            self.drain()
        return report

    # -- who drains -------------------------------------------------------------------------------

    def _claim(self) -> bool:
        thread = get_ident()
        if self._owner.setdefault(0, thread) != thread or self._is_draining:
            return False
        self._is_draining = True
        return True

    def _release(self) -> None:
        self._current = None
        self._is_draining = False
        self._owner.clear()

    def _free_orphan(self) -> None:
        """Free a drain whose owner was interrupted between taking and using it, a window of some 50 ns.

        The owner itself would take it up again with its next `publish`; other threads cannot.
        """
        deadline = time.monotonic() + _ORPHAN_SECONDS
        owner = self._owner.get(0)
        while owner is not None and not self._is_draining and self._owner.get(0) == owner:
            if time.monotonic() > deadline:
                self._owner.clear()
            time.sleep(0)

    def _is_inside_call(self) -> bool:
        """Whether the caller is what the drain is running, directly or as a coroutine of it."""
        if self._is_draining and self._owner.get(0) == get_ident():
            return True
        cause = current_cause.get()
        return cause is not None and cause.report is not None and not cause.report.done

    # -- the drain --------------------------------------------------------------------------------

    def _drain_owned(self) -> bool:
        """Empty the queue; returns whether the drain is still the caller's own."""
        queue = self._queue
        while queue:
            item = queue.popleft()
            if isinstance(item, Report) and item.plan.is_inline:
                self._run_inline(item)
            elif self.loop.is_current:
                queue.appendleft(item)
                self._drain_elsewhere()
                return False
            else:
                self._run_waiting(item)
            self._after_item()
        return True

    def _drain_elsewhere(self) -> None:
        """Hand the drain to a thread that may wait: waiting on the host's loop would stop that loop."""
        self._owner[0] = _SUSPENDED

        def go_on() -> None:
            self._owner[0] = get_ident()
            try:
                self._drain_owned()
            finally:
                self._release()
            self.drain()

        threading.Thread(target=go_on, name="plugbook-drain", daemon=True).start()

    async def _drain_async(self) -> None:
        try:
            while self._queue:
                item = self._queue.popleft()
                if isinstance(item, Work):
                    self._owner[0] = _SUSPENDED
                    await asyncio.to_thread(self._run_as_owner, item)
                elif item.plan.is_inline:
                    self._run_inline(item)
                else:
                    await self._run_awaiting(item)
                self._owner[0] = get_ident()
                self._after_item()
        finally:
            self._release()

    def _after_item(self) -> None:
        recorder = self._recorder
        if recorder is not None and (tick() > recorder.deadline or len(recorder.rows) > recorder.limit):
            recorder.write()
        if self._waiters:
            with self._settled:
                self._settled.notify_all()

    def _run_inline(self, report: Report) -> None:
        """The hot path: call sync handlers one after the other, with one clock reading each."""
        plan = report.plan
        event = report.event
        self._current = report
        stamp = report.ticks.append
        try:
            stamp(tick())
            for call in plan.calls:
                try:
                    result = call(event)
                    if result is not None:
                        self._returned(report, len(report.ticks) - 1, result)
                except Exception as error:
                    if self._failed(report, len(report.ticks) - 1, error):
                        raise
                stamp(tick())
        except BaseException as error:
            self._abandon(report, len(report.ticks) - 1, error)
            raise
        if plan.near_miss:
            report.result = Note("unhandled", plan.near_miss)

    def _run_waiting(self, item: Report | Work[Any]) -> None:
        """Run what has coroutines, threads or time limits in it, waiting here."""
        if isinstance(item, Work):
            self._current = None
            item.run()
            return
        steps = self._steps(item)
        for make_coroutine in steps:
            try:
                self.loop.run(make_coroutine())
            except BaseException as error:
                steps.throw(error)

    async def _run_awaiting(self, report: Report) -> None:
        """The same, awaiting here: the drain is nobody's thread meanwhile."""
        steps = self._steps(report)
        for make_coroutine in steps:
            self._owner[0] = _SUSPENDED
            try:
                await asyncio.wrap_future(self.loop.submit(make_coroutine()))
            except BaseException as error:
                steps.throw(error)
            finally:
                self._owner[0] = get_ident()

    def _run_as_owner(self, work: Work[Any]) -> None:
        self._owner[0] = get_ident()
        try:
            self._current = None
            work.run()
        finally:
            self._owner[0] = _SUSPENDED

    def _steps(self, report: Report) -> Generator[Callable[[], Coroutine[Any, Any, None]], None, None]:
        """One dispatch without any waiting in it: yields how to make each coroutine that must end first."""
        self._current = report
        stamp = report.ticks.append
        stamp(tick())
        try:
            for index, subscription in enumerate(report.plan.subscriptions):
                if subscription.is_async or subscription.thread:
                    yield partial(self._invoke, report, index, subscription)
                else:
                    self._call_inline(report, index, subscription)
                stamp(tick())
        except BaseException as error:
            self._abandon(report, len(report.ticks) - 1, error)
            raise

    def _call_inline(self, report: Report, index: int, subscription: Subscription) -> None:
        start = tick()
        try:
            result = report.plan.calls[index](report.event)
            if result is not None:
                self._returned(report, index, result)
        except Exception as error:
            if self._failed(report, index, error):
                raise
        seconds = (tick() - start) / 1e9
        if subscription.timeout is not None and seconds > subscription.timeout:
            self._late(report, index, seconds, subscription.timeout)

    async def _invoke(self, report: Report, index: int, subscription: Subscription) -> None:
        """Run one handler on the host's loop or on a thread of its own, and note how it ended."""
        current_cause.set(Cause(report.call_seq(index), report.root, report))
        call = report.plan.calls[index]
        limit = asyncio.timeout(subscription.timeout)
        try:
            async with limit:
                if subscription.thread:
                    result = await asyncio.to_thread(call, report.event)
                else:
                    result = call(report.event)
                    if result is not SKIPPED:
                        result = await result
            if result is not None:
                self._returned(report, index, result)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            report.note(index, Note("cancelled", "the handler cancelled itself"))
        except Exception as error:
            if limit.expired():
                left = "; its thread goes on" if subscription.thread else ""
                reason = f"took more than {subscription.timeout:g} s{left}"
                report.note(index, Note("timeout", reason))
            elif self._failed(report, index, error):
                raise

    # -- how a call ended -------------------------------------------------------------------------

    def _returned(self, report: Report, index: int, result: Any) -> None:
        if result is SKIPPED:
            report.note(index, Note("skipped", "where= said no"))
        elif inspect.iscoroutine(result):
            result.close()
            name = report.plan.sites[index].name
            msg = f"{name} returned a coroutine that nobody awaits: declare it with 'async def'"
            raise EventError(msg)
        else:
            report.note(index, Note(result=result, has_result=True))

    def _failed(self, report: Report, index: int, error: Exception) -> bool:
        """Note the failure; whether it must be raised."""
        report.note(index, Note("error", error=describe_error(error)), error)
        return report.plan.subscriptions[index].policy == "raise"

    def _late(self, report: Report, index: int, seconds: float, allowed: float) -> None:
        note = (report.notes or {}).get(index, Note())
        if note.outcome == "ok":
            reason = f"late: ran {seconds:.3g} s of {allowed:g} s; only thread=True lets it be left behind"
            report.note(index, note._replace(outcome="timeout", reason=reason))

    def _abandon(self, report: Report, index: int, error: BaseException) -> None:
        """Close a dispatch that cannot go on: mark call `index`, which ran, and skip those behind it."""
        sites = report.plan.sites
        notes = report.notes or {}
        if index < len(sites) and (index not in notes or notes[index].outcome == "ok"):
            report.note(index, Note("cancelled", type(error).__name__))
        for skipped in range(index + 1, len(sites)):
            report.note(skipped, Note("skipped", f"{sites[index].name} ended the dispatch"))
        if len(report.ticks) <= len(sites):
            report.ticks = report.ticks + [tick()] * (len(sites) + 1 - len(report.ticks))

    # -- waiting ----------------------------------------------------------------------------------

    def _wait(self, report: Report, timeout: float | None) -> None:
        if self._is_inside_call() or self.loop.is_current:
            msg = (
                f"waiting for {report.topic} here could never end: it is delivered when the handler that "
                "is running has ended; use the report after that"
            )
            raise DeadlockError(msg)
        self.drain()
        if not self._wait_until(lambda: report.done, timeout):
            msg = f"{report.topic} was not delivered within {timeout:g} s"
            raise TimeoutError(msg)

    def _wait_until(self, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Wait for somebody else's drain, and go on with it if that was interrupted."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._settled:
            self._waiters += 1
        try:
            while not is_done():
                left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
                if left <= 0:
                    return False
                with self._settled:
                    self._settled.wait_for(is_done, left)
                self.drain()
        finally:
            with self._settled:
                self._waiters -= 1
        return True


def _index_before(remaining: Iterator[Handler], plan: HandlerPlan) -> int:
    """Which call an iterator over the plan's calls gave last, counted from 0."""
    return len(plan.calls) - 1 - length_hint(remaining)


def _task_name() -> str:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return ""
    return task.get_name() if task else ""
