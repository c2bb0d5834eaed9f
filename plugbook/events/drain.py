"""The queue of events and requests, and the drain that empties it: one thread or task at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from plugbook._clock import tick
from plugbook.errors import DeadlockError

from .calls import abandon, run_inline, steps_of
from .cause import current_cause
from .loop import GRACE_SECONDS, HostLoop, call_in_own_thread, waker
from .report import Report
from .work import Work

if TYPE_CHECKING:
    from plugbook.trace.recorder import Recorder

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

    Attributes:
        queue: what waits, and first what is being delivered from it.
        free: ``{0: True}`` while nobody drains, else empty.
        thread: the ident of the thread that is delivering, or `NOBODY` while the drain awaits.
        driver: the ident of the thread whose loop must go on for the drain to go on, or `NOBODY`.
        current: the dispatch that is under way.
        recorder: where what was delivered is written, or None.
    """

    def __init__(self, loop: HostLoop, settle: Callable[[Report], None]) -> None:
        self.queue: deque[Report | Work[Any]] = deque()
        self.free = {0: True}
        self.thread = NOBODY
        self.driver = NOBODY
        self.current: Report | None = None
        self.recorder: Recorder | None = None
        self._loop = loop
        self._settle = settle
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

    def _deliver_one(self, item: Report | Work[Any]) -> bool:
        if isinstance(item, Report):
            self._settle(item)
            if item.plan.is_inline:
                self.current = item
                run_inline(item)
                return True
        if self._loop.is_current:
            return False
        if isinstance(item, Report):
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
        if item.plan.is_inline:
            self.thread = self.driver
            self.current = item
            run_inline(item)
        else:
            await self._run_awaiting(item)

    def _run_waiting(self, report: Report) -> None:
        """Run what has coroutines, threads or time limits in it, waiting here."""
        self.current = report
        for make_coroutine in steps_of(report):
            try:
                failure = self._loop.run(make_coroutine())
            except KeyboardInterrupt as error:
                error.add_note(f"plugbook was waiting for {report.running_name()}, and has cancelled it")
                raise
            if failure is not None:
                raise failure

    async def _run_awaiting(self, report: Report) -> None:
        """The same, awaiting here: the drain is no thread's meanwhile."""
        self.thread = self.driver
        self.current = report
        for make_coroutine in steps_of(report):
            self.thread = NOBODY
            job = self._loop.submit(make_coroutine())
            try:
                failure = await asyncio.wrap_future(job)
            except asyncio.CancelledError:
                if job.cancel():
                    ended = asyncio.Event()
                    job.add_done_callback(waker(ended))
                    await _wait_for(ended, GRACE_SECONDS)
                raise
            finally:
                self.thread = self.driver
            if failure is not None:
                raise failure

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
        recorder = self.recorder
        if recorder is not None and (tick() > recorder.deadline or len(recorder.rows) > recorder.limit):
            recorder.make_room()
        self._wake()

    def _wake(self) -> None:
        for wake in tuple(self._waiters):
            wake()

    # -- waiting ----------------------------------------------------------------------------------

    def is_inside_call(self) -> bool:
        """Whether the caller is what the drain is running, directly or as a coroutine or thread of it."""
        if self.thread == get_ident():
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


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
