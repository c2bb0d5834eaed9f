"""The queue of events and requests, and the drain that empties it: one thread or task at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar

from plugbook._clock import tick
from plugbook.errors import DeadlockError
from plugbook.events.dispatch.calls import abandon, run_here, steps_of
from plugbook.events.dispatch.cause import current_cause
from plugbook.events.dispatch.loop import GRACE_SECONDS, HostLoop, call_in_own_thread, waker
from plugbook.events.dispatch.report import Report
from plugbook.events.dispatch.work import Work, current_work

if TYPE_CHECKING:
    from plugbook.events.dispatch.circles import Circles
    from plugbook.trace.writing.recorder import Recorder

T = TypeVar("T")

_log = logging.getLogger("plugbook.events")

NOBODY: Final = 0
"""No thread has this ident."""

_POLL_SECONDS: Final = 0.05


class Drain:
    """Delivers what is queued, in order, each item to its end before the next begins.

    Whoever takes `free` drains. It is taken by ``del`` and given back by storing, each of which is one step
    that neither another thread nor an interrupt can come between: Python looks for interrupts after calls
    and at jumps alone. A Lock is taken by a call, so that an interrupt could leave it taken for ever.

    Args:
        loop: where coroutines run.
        settle: settles who is called, when an event's turn has come.
        circles: told when nothing is left in the queue.

    Attributes:
        queue: what waits, and first what is being delivered from it.
        free: ``{0: True}`` while nobody drains, else empty.
        thread: the ident of the thread that is delivering, or `NOBODY` while the drain awaits.
        driver: the ident of the thread whose loop must go on for the drain to go on, or `NOBODY`.
        current: the dispatch that is under way.
        recorder: where what was delivered is written, or None.
    """

    def __init__(self, loop: HostLoop, settle: Callable[[Report], None], circles: Circles) -> None:
        self.queue: deque[Report | Work[Any]] = deque()
        self.free = {0: True}
        self.thread = NOBODY
        self.driver = NOBODY
        self.current: Report | None = None
        self.recorder: Recorder | None = None
        self._loop = loop
        self._settle = settle
        self._circles = circles
        self._waiters: set[Callable[[], None]] = set()

    # -- delivering -------------------------------------------------------------------------------

    def run(self) -> None:
        """Deliver what is queued, unless somebody is doing so already.

        Raises:
            Exception: of a handler whose policy is ``raise``; what is behind it stays queued.
        """
        while self.queue:
            must_move = False
            try:
                del self.free[0]
            except KeyError:
                return
            try:
                self.thread = get_ident()
                must_move = not self.deliver()
            finally:
                self.current = None
                self.thread = NOBODY
                self.free[0] = True
            if must_move:
                self.run_elsewhere()
                return

    def run_quietly(self) -> None:
        """The same where nobody asked for what the handlers raise: it is in their reports."""
        while self.queue:
            try:
                self.run()
            except Exception as error:
                _log.debug("a handler raised %s while its event was delivered", type(error).__name__)
            else:
                return

    def run_elsewhere(self) -> None:
        """The same on a thread that may wait: waiting on the host's loop would stop that loop."""
        threading.Thread(target=self.run_quietly, name="plugbook-drain", daemon=True).start()

    async def run_async(self) -> None:
        """The same, awaiting here what `run` waits for."""
        while self.queue:
            try:
                del self.free[0]
            except KeyError:
                return
            try:
                self.driver = get_ident()
                await self._deliver_async()
            finally:
                self.current = None
                self.thread = NOBODY
                self.driver = NOBODY
                self.free[0] = True

    def deliver_now(self, report: Report) -> bool:
        """Deliver one report before anything is queued; False where somebody is draining, or it has to wait.

        Raises:
            Exception: of a handler whose policy is ``raise``.
        """
        if self.queue or (report.plan.must_wait and self._loop.is_current):
            return False
        try:
            del self.free[0]
        except KeyError:
            return False
        try:
            self.thread = get_ident()
            self._run_to_the_end(report)
        finally:
            self.current = None
            self.thread = NOBODY
            self.free[0] = True
        self.make_room()
        return True

    def deliver_inside(self, report: Report) -> None:
        """Deliver what the call that is running asks, while that waits.

        Raises:
            Exception: of a handler whose policy is ``raise``.
        """
        # Off the drain's own thread, who asks is known by the context alone.
        is_here = self.thread == get_ident()
        asking = self.current
        try:
            self._run_to_the_end(report, is_current=is_here)
        finally:
            if is_here:
                self.current = asking

    async def deliver_inside_async(self, report: Report) -> None:
        """The same, awaiting here what `deliver_inside` waits for."""
        try:
            for make_coroutine in steps_of(report):
                _raise(await self._await_on_loop(make_coroutine()))
        except BaseException as error:
            abandon(report, len(report.ticks) - 1, error)
            raise

    def _run_to_the_end(self, report: Report, *, is_current: bool = True) -> None:
        if is_current:
            self.current = report
        try:
            if report.plan.must_wait:
                self._run_waiting(report)
            else:
                run_here(report)
        except BaseException as error:
            abandon(report, len(report.ticks) - 1, error)
            raise

    def deliver(self) -> bool:
        """Deliver everything; False where the rest has to wait for coroutines on the loop of this thread.

        The caller has the drain. An item leaves the queue when it has ended: one that an interrupt kept from
        beginning is still there.
        """
        queue = self.queue
        while queue:
            item = queue[0]
            try:
                if not self._deliver_one(item):
                    return False
            except BaseException as error:
                self._close(item, error)
                raise
            del queue[0]
            self._after_item()
        self._circles.forget()
        return True

    async def _deliver_async(self) -> None:
        queue = self.queue
        while queue:
            item = queue[0]
            try:
                await self._deliver_one_async(item)
            except BaseException as error:
                self._close(item, error)
                raise
            del queue[0]
            self._after_item()
        self._circles.forget()

    def _deliver_one(self, item: Report | Work[Any]) -> bool:
        if isinstance(item, Report):
            self._settle(item)
            if not item.plan.must_wait:
                self.current = item
                run_here(item)
                return True
        if self._loop.is_current:
            return False
        if isinstance(item, Report):
            self.current = item
            self._run_waiting(item)
        else:
            self.current = None
            item.run()
        return True

    async def _deliver_one_async(self, item: Report | Work[Any]) -> None:
        if isinstance(item, Work):
            await self._run_work_async(item)
            return
        self._settle(item)
        if not item.plan.must_wait:
            self.thread = self.driver
            self.current = item
            run_here(item)
        else:
            await self._run_awaiting(item)

    def _run_waiting(self, report: Report) -> None:
        """Run what has coroutines or threads in it, waiting here."""
        for make_coroutine in steps_of(report):
            try:
                failure = self._loop.run(make_coroutine())
            except KeyboardInterrupt as error:
                error.add_note(f"plugbook was waiting for {report.running_name()}, and has cancelled it")
                raise
            _raise(failure)

    async def _run_awaiting(self, report: Report) -> None:
        """The same, awaiting here: the drain is no thread's meanwhile."""
        self.thread = self.driver
        self.current = report
        for make_coroutine in steps_of(report):
            self.thread = NOBODY
            try:
                failure = await self._await_on_loop(make_coroutine())
            finally:
                self.thread = self.driver
            _raise(failure)

    async def _await_on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the host's loop; cancelled, wait a moment until it has ended."""
        job = self._loop.submit(coroutine)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if job.cancel():
                ended = asyncio.Event()
                job.add_done_callback(waker(ended))
                await _wait_for(ended, GRACE_SECONDS)
            raise

    async def _run_work_async(self, work: Work[Any]) -> None:
        """Run a request on a thread of its own, to its end, even when the caller is cancelled."""
        self.current = None
        self.thread = NOBODY

        def run() -> None:
            self.thread = get_ident()
            try:
                work.run()
            finally:
                self.thread = NOBODY

        running = asyncio.ensure_future(call_in_own_thread("request", run))
        interrupt: BaseException | None = None
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError as error:
                interrupt = error
        _, failure = running.result()
        interrupt = failure or interrupt
        if interrupt is not None:
            raise interrupt

    def _close(self, item: Report | Work[Any], error: BaseException) -> None:
        """Close what was being delivered; what had not begun stays in the queue, to be delivered next."""
        if isinstance(item, Report) and item.ticks:
            abandon(item, len(item.ticks) - 1, error)
        if item.done:
            del self.queue[0]
            self._wake()

    def _after_item(self) -> None:
        self.current = None
        self.make_room()
        self._wake()

    def make_room(self) -> None:
        """Have the recorder write what there is, where that is due."""
        recorder = self.recorder
        if recorder is not None and (tick() > recorder.deadline or len(recorder.rows) > recorder.limit):
            recorder.make_room()

    def _wake(self) -> None:
        for wake in tuple(self._waiters):
            wake()

    # -- waiting ----------------------------------------------------------------------------------

    @property
    def is_on_loop(self) -> bool:
        """Whether the caller runs on the host's loop."""
        return self._loop.is_current

    def is_inside_call(self) -> bool:
        """Whether the caller is what the drain is running, directly or as a coroutine or thread of it."""
        if self.thread == get_ident():
            return True
        work = current_work.get()
        if work is not None and not work.done:
            return True
        cause = current_cause.get()
        return cause is not None and cause.report is not None and cause.report.is_running_seq(cause.seq)

    def must_not_wait(self) -> bool:
        """Whether the drain could not go on while the caller waits."""
        return self.is_inside_call() or self._loop.is_current or self.driver == get_ident()

    def wait(self, what: str, is_done: Callable[[], bool], timeout: float | None) -> None:
        """Wait for something that is queued, and deliver it if nobody does.

        Raises:
            DeadlockError: it could never end.
            TimeoutError: it was not done within `timeout` seconds.
        """
        if self.is_inside_call():
            msg = f"waiting for {what} here could never end: it is due when the handler that is running has ended"
            raise DeadlockError(msg)
        if self.must_not_wait():
            msg = f"waiting for {what} here could never end: it stops the loop that must go on; await instead"
            raise DeadlockError(msg)
        if not self.wait_until(is_done, timeout):
            current = self.current
            running = f"; {current.running_name()} is running" if current is not None else ""
            msg = f"{what} was not done within {timeout:g} s{running}"
            raise TimeoutError(msg)

    def wait_until(self, is_done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait for somebody else's drain, and go on with it if that was interrupted; whether it is done."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        woken = threading.Event()
        self._waiters.add(woken.set)
        try:
            while True:
                self.run_quietly()
                if is_done():
                    return True
                left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
                if left <= 0:
                    return False
                woken.wait(left)
                woken.clear()
        finally:
            self._waiters.discard(woken.set)

    async def await_until(self, is_done: Callable[[], bool]) -> None:
        """The same for a coroutine."""
        woken = asyncio.Event()
        wake = waker(woken)
        self._waiters.add(wake)
        try:
            while not is_done():
                await _wait_for(woken, _POLL_SECONDS)
                woken.clear()
                with contextlib.suppress(Exception):  # it is in their reports
                    await self.run_async()
        finally:
            self._waiters.discard(wake)


def _raise(failure: BaseException | None) -> None:
    """Raise what a handler left for the dispatch to end with."""
    if failure is not None:
        raise failure


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
