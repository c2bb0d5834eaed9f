"""Timeouts, waiting for what is pending, and requests between events."""

import asyncio
import contextvars
import re
import threading
import time

import pytest

from plugbook.errors import DeadlockError
from plugbook.events.bus import Bus, current_cause

from .conftest import Even, Number, Way, until

MIXED = Way("mixed", awaits=False)


class Held:
    """A handler that is running until it is let go."""

    def __init__(self):
        self.running, self.go_on = threading.Event(), threading.Event()

    def __call__(self, event):
        self.running.set()
        assert self.go_on.wait(10)


@pytest.fixture
def held(bus):
    """A drain on another thread that stands inside a handler of `Even`."""
    handler = Held()
    bus.subscribe(Even, handler, name="held")
    thread = threading.Thread(target=bus.publish, args=(Even(),))
    thread.start()
    handler.running.wait(10)
    yield handler
    handler.go_on.set()
    thread.join()


# -- timeouts -------------------------------------------------------------------------------------


def test_a_timeout_cancels_an_async_handler(bus):
    """It is cancelled where it awaits; the handlers behind it run, and the event says timeout."""
    was_cancelled, ran = [], []

    async def slow(event):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            was_cancelled.append(True)
            raise

    bus.subscribe(Number, slow, name="slow", timeout=0.01)
    bus.subscribe(Number, ran.append)
    report = bus.publish(Number())
    assert (was_cancelled, len(ran)) == ([True], 1)
    assert (report.calls[0].outcome, report.calls[0].reason) == ("timeout", "took more than 0.01 s")
    assert (report.outcome, report.reason, report.errors) == ("timeout", "slow: took more than 0.01 s", [])


def test_a_late_sync_handler_is_marked_and_its_result_kept(bus):
    """A sync handler cannot be stopped: it ends, and is marked late."""
    bus.subscribe(Number, lambda event: time.sleep(0.02) or "result", timeout=0.001)
    call = bus.publish(Number()).calls[0]
    assert (call.outcome, call.result) == ("timeout", "result")
    assert re.match(r"late: ran \d\.\d+ s of 0.001 s", call.reason)


def test_a_thread_handler_is_left_behind(bus):
    """With thread=True the wait ends at the timeout, and no number of threads left behind holds up others."""
    held = [Held() for _ in range(12)]  # more than a pool of threads would have
    for each in held:
        bus.subscribe("test.number", each, thread=True, timeout=0.01)
    bus.subscribe("test.number.even", lambda event: threading.current_thread().name, thread=True, name="own")
    report = bus.publish(Number())
    assert {call.outcome for call in report.calls} == {"timeout"}
    assert report.calls[0].reason == "took more than 0.01 s; its thread goes on"
    assert bus.publish(Even()).calls[0].result == "plugbook-own"
    for each in held:
        each.go_on.set()


def test_a_handler_in_time_is_ok(bus):
    """A timeout that is not reached leaves no trace, for every kind of handler."""
    for place in range(2):
        bus.subscribe(Number, MIXED.handler(lambda event: "r", place), timeout=10)
    bus.subscribe(Number, lambda event: "r", timeout=10, thread=True)
    report = bus.publish(Number())
    assert [(call.outcome, call.reason, call.result) for call in report.calls] == [("ok", "", "r")] * 3


@pytest.mark.parametrize("error", [TimeoutError("mine"), StopIteration(), asyncio.CancelledError()])
def test_errors_that_mean_something_to_asyncio_are_the_handlers_own(bus, error):
    """A handler's own TimeoutError, StopIteration or CancelledError neither hangs nor ends anything."""

    async def fail(event):
        raise error

    def fail_in_thread(event):
        raise error

    bus.subscribe(Number, fail, timeout=10)
    bus.subscribe(Number, fail_in_thread, thread=True)
    bus.subscribe(Number, lambda event: None, name="after")
    outcomes = [call.outcome for call in bus.publish(Number()).calls]
    assert outcomes == (["cancelled"] * 2 if isinstance(error, asyncio.CancelledError) else ["error"] * 2) + [
        "ok"
    ]


def test_the_worst_call_is_the_outcome_of_the_event(bus):
    """Errors weigh more than timeouts, those more than cancelled calls; skipped ones do not count."""

    async def give_up(event):
        raise asyncio.CancelledError

    bus.subscribe(Number, lambda event: None, where=lambda event: False)
    assert bus.publish(Number()).outcome == "ok"
    bus.subscribe(Number, give_up, name="give_up")
    assert bus.publish(Number()).outcome == "cancelled"
    bus.subscribe(Number, lambda event: time.sleep(0.002), timeout=0.001)
    assert bus.publish(Number()).outcome == "timeout"
    bus.subscribe(Number, lambda event: 1 / 0)
    assert bus.publish(Number()).outcome == "error"


# -- pending reports ------------------------------------------------------------------------------


def test_publish_does_not_wait_for_another_threads_drain(bus, held):
    """While another thread drains, the report is pending; `wait` waits, and returns the report."""
    report = bus.publish(Number())
    assert not report.done
    with pytest.raises(TimeoutError, match=r"test\.number was not done within 0\.02 s; held is running"):
        report.wait(0.02)
    threading.Timer(0.02, held.go_on.set).start()
    assert report.wait(10) is report
    assert report.done


@pytest.mark.parametrize("place", [0, 1])
def test_waiting_inside_a_call_is_refused(bus, place):
    """A handler cannot wait for what is delivered after it, whether it is sync or async."""
    refused = []

    def handler(event):
        pending = bus.publish(Even())
        work = bus.perform(lambda: "done")
        assert not work.done
        for wait in (pending.wait, work.result):
            with pytest.raises(DeadlockError, match="could never end"):
                wait()
            with pytest.raises(DeadlockError):
                wait(timeout=0.01)
        refused.append((pending, work))

    bus.subscribe("test.number", MIXED.handler(handler, place))
    assert bus.publish(Number()).outcome == "ok"
    ((pending, work),) = refused
    assert pending.wait() is pending
    assert work.result() == "done"


def test_waiting_inside_a_thread_handler_is_refused_until_it_is_left_behind(bus):
    """While its call is open waiting could never end; once it was left behind, it can."""
    outcome, go_on = [], threading.Event()

    def handler(event):
        pending = bus.publish(Even())
        with pytest.raises(DeadlockError):
            pending.wait()
        go_on.wait(10)
        outcome.append(pending.wait(10).outcome)

    bus.subscribe("test.number", handler, thread=True, timeout=0.1)
    bus.publish(Number())
    go_on.set()
    until(lambda: outcome)
    assert outcome == ["unhandled"]


def test_waiting_on_the_hosts_loop_is_refused(bus):
    """A coroutine on the host's loop would stop the loop that has to go on: it awaits instead."""

    async def task():
        pending = bus.publish(Number())  # has an async handler, so that it cannot end before this returns
        with pytest.raises(DeadlockError, match="await instead"):
            pending.wait()
        report = await bus.publish_async(Number(n=2))
        return pending.done, report.done

    async def handler(event):
        await asyncio.sleep(0)

    bus.subscribe(Number, handler)
    assert bus.loop.run(task()) == (True, True)


def test_waiting_on_the_loop_that_drives_the_drain_is_refused(bus):
    """While a task awaits its publish, the same thread may neither wait nor perform: both would stop that task."""
    running, released = threading.Event(), threading.Event()

    async def handler(event):
        running.set()
        await asyncio.to_thread(released.wait, 10)

    async def main():
        task = asyncio.create_task(bus.publish_async(Number()))
        await asyncio.to_thread(running.wait, 10)
        pending = bus.publish(Even())
        work = bus.perform(lambda: "done")
        assert not pending.done
        assert not work.done
        for wait in (pending.wait, work.result):
            with pytest.raises(DeadlockError, match="await instead"):
                wait()
        released.set()
        await task
        return pending.done, work.result()

    bus.subscribe("test.number", handler)
    assert asyncio.run(main()) == (True, "done")


def test_publish_async_awaits_another_drain(bus, held):
    """Many tasks await what another thread's drain delivers, without blocking their loop."""

    async def main():
        tasks = [asyncio.create_task(bus.publish_async(Number(n=n))) for n in range(50)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        held.go_on.set()
        return await asyncio.gather(*tasks)

    assert [report.event.n for report in asyncio.run(main()) if report.done] == list(range(50))


def test_publish_async_inside_a_handler_is_pending(bus):
    """Awaiting there what is delivered afterwards could never end, so it is not awaited."""
    seen = []

    async def handler(event):
        seen.append(await bus.publish_async(Even()))
        seen.append(await asyncio.gather(bus.publish_async(Even())))
        assert not seen[0].done

    bus.subscribe("test.number", handler)
    assert bus.publish(Number()).outcome == "ok"
    assert seen[0].done
    assert seen[1][0].done


# -- requests -------------------------------------------------------------------------------------


def test_a_request_runs_between_events(way, bus):
    """Asked for inside a handler it waits for its turn in the queue; its error is its own."""
    ran = []

    def handler(event):
        if event.n == 0:
            bus.publish(Number(n=1))
            works.append(bus.perform(lambda: ran.append("work")))
            works.append(bus.perform(lambda: 1 / 0))
            assert repr(works[0]).startswith("<pending")
            bus.publish(Number(n=2))
        ran.append(event.n)

    works = []
    bus.subscribe(Number, way.handler(handler, 0))
    bus.subscribe(Number, way.handler(lambda event: ran.append(event.n), 1))
    way.publish(bus, Number())
    assert ran == [0, 0, 1, 1, "work", 2, 2]
    assert works[0].result() is None
    assert repr(works[0]) == "None"
    with pytest.raises(ZeroDivisionError):
        works[1].result()
    assert "ZeroDivisionError" in repr(works[1])


def test_a_request_runs_at_once_where_the_drain_is_free(bus):
    """On the caller's own thread, in the caller's context."""
    colour = contextvars.ContextVar("colour", default="none")
    colour.set("blue")
    work = bus.perform(lambda: (threading.current_thread(), colour.get()))
    assert work.result() == (threading.current_thread(), "blue")


def test_a_request_waits_for_another_threads_drain(bus, held):
    """`perform` returns when it has run."""
    threading.Timer(0.02, held.go_on.set).start()
    assert bus.perform(lambda: held.go_on.is_set()).result() is True


def test_a_request_has_the_context_and_cause_of_who_asked(bus):
    """What it publishes is caused by the call that asked, whoever runs it."""
    published = []

    def ask(event):
        asked.append(bus.cause().seq)
        bus.perform(lambda: published.append(bus.publish(Even())))

    asked = []
    bus.subscribe("test.number", ask, name="ask")
    token = current_cause.set(None)
    bus.publish(Number())
    current_cause.reset(token)
    assert [report.parent for report in published] == asked


def test_requests_from_everywhere_run_once(bus):
    """Inside sync, async and thread handlers, from tasks and threads: each runs, while no handler does."""
    inside, ran = [], []

    def work(name):
        return lambda: ran.append((name, list(inside)))

    def handler(event):
        inside.append(1)
        bus.perform(work("handler"))
        inside.clear()

    async def task():
        bus.perform(work("task"))

    bus.subscribe(Number, MIXED.handler(handler, 0))
    bus.subscribe(Number, MIXED.handler(handler, 1))
    bus.subscribe(Number, handler, thread=True)
    bus.publish(Number())
    bus.loop.run(task())
    asyncio.run(task())
    thread = threading.Thread(target=bus.perform, args=(work("thread"),))
    thread.start()
    thread.join()
    until(lambda: len(ran) == 6)
    assert ran == [("handler", [])] * 3 + [("task", [])] * 2 + [("thread", [])]


def test_a_request_outlives_the_task_that_drains(bus):
    """Cancelling the task that runs it does not run it together with a handler: it is waited for."""
    began, go_on, order = threading.Event(), threading.Event(), []

    def work():
        began.set()
        go_on.wait(10)
        order.append("work")

    async def handler(event):
        bus.perform(work)

    async def main():
        task = asyncio.create_task(bus.publish_async(Number()))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        bus.publish(Even())
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    bus.subscribe("test.number", handler)
    bus.subscribe(Even, lambda event: order.append("even"))
    asyncio.run(main())
    bus.drain()
    assert order == ["work", "even"]


def test_an_interrupted_request_is_raised_and_the_queue_goes_on():
    """KeyboardInterrupt inside a request comes out of whoever runs it; what is behind it stays queued."""
    bus = Bus()

    def interrupted():
        pending.append(bus.publish(Number()))
        raise KeyboardInterrupt

    pending = []
    with pytest.raises(KeyboardInterrupt):
        bus.perform(interrupted)
    assert pending[0].wait().done


def test_another_ones_failing_handler_is_not_the_requests_error(bus):
    """An event in the queue whose handler raises under policy raise does not keep a request from running."""

    def fail(event):
        raise LookupError

    def ask(event):
        bus.publish(Even())
        raise LookupError

    bus.subscribe("test.number", ask, policy="raise")
    bus.subscribe(Even, fail, policy="raise")
    with pytest.raises(LookupError):
        bus.publish(Number())
    assert bus.perform(lambda: "done").result() == "done"
