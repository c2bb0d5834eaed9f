"""The host's own event loop: one thread on which every coroutine of every plugin runs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final, TypeVar

from plugbook.errors import DeadlockError, HostClosedError

T = TypeVar("T")

_log = logging.getLogger("plugbook.events")

GRACE_SECONDS: Final = 1.0
"""How long a cancelled coroutine has to end before whoever waits for it goes on without it."""


class Job(Future[T]):
    """A coroutine on the host's loop. It is done when the coroutine has ended, a cancelled one too.

    A plain future is done as soon as it is cancelled, while the handler's cleanup still runs.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._coroutine = coroutine
        self._loop = loop
        self._task: asyncio.Task[T] | None = None
        self._is_cancelling = False

    def start(self) -> None:
        """Let the coroutine run, in the caller's context."""
        try:
            self._loop.call_soon_threadsafe(self._start)
        except RuntimeError:  # the loop was closed in this moment
            self.give_up()

    def cancel(self) -> bool:
        """Ask the coroutine to end, once; whether there was something to ask."""
        if self.done():
            return False
        if not self._is_cancelling:
            self._is_cancelling = True
            with contextlib.suppress(RuntimeError):  # the loop was closed in this moment
                self._loop.call_soon_threadsafe(self._cancel_task)
        return True

    def give_up(self) -> None:
        """Let go whoever waits, though the coroutine did not end."""
        if self._task is None:
            self._coroutine.close()
        if not self.done():
            msg = "the host was closed before the coroutine had ended"
            self.set_exception(HostClosedError(msg))

    def _start(self) -> None:
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(self._end)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # who was to start it was interrupted before
            self._coroutine.close()
            self._end_cancelled()

    def _end(self, task: asyncio.Task[T]) -> None:
        if self.done():  # it was given up
            return
        if task.cancelled():
            self._end_cancelled()
            return
        error = task.exception()
        if error is None:
            self.set_result(task.result())
        else:
            self.set_exception(error)

    def _end_cancelled(self) -> None:
        super().cancel()
        self.set_running_or_notify_cancel()


class HostLoop:
    """An asyncio loop on a thread of its own, started when the first coroutine needs it.

    What `start` created on it works in every later handler, whichever loop or thread publishes.
    """

    def __init__(self, name: str = "plugbook-loop") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._jobs: set[Job[Any]] = set()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this loop's thread."""
        return self._thread is threading.current_thread()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Job[T]:
        """Run the coroutine on the loop, from any thread, in the caller's context.

        Raises:
            HostClosedError: the loop was closed.
        """
        job = self._job(coroutine)
        job.start()
        return job

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run the coroutine and wait for what it returns.

        An interrupt cancels it, and waits up to a second for it to end.

        Raises:
            DeadlockError: this is the loop's own thread.
            HostClosedError: the loop was closed.
            TimeoutError: it took more than `timeout` seconds, and was cancelled.
        """
        if self.is_current:
            coroutine.close()
            msg = "waiting on the host's own loop for a coroutine that runs there could never end: await it"
            raise DeadlockError(msg)
        job = self._job(coroutine)
        try:
            job.start()
            return job.result(timeout)
        except BaseException:
            if job.cancel():
                wait([job], GRACE_SECONDS)
            raise

    def tasks(self) -> set[asyncio.Task[Any]]:
        """Every task that has not ended."""
        with self._lock:
            return asyncio.all_tasks(self._loop) if self._loop is not None else set()

    def settle(self) -> None:
        """Wait until the loop has let go of what has just ended on it, up to a second.

        Who waits for a coroutine goes on while the loop is still in its last callback, and holds its task.
        """
        with self._lock:
            loop = self._loop
        if loop is None or self.is_current:
            return
        has_let_go = threading.Event()
        with contextlib.suppress(RuntimeError):  # the loop was closed in this moment
            loop.call_soon_threadsafe(has_let_go.set)
            has_let_go.wait(GRACE_SECONDS)

    def close(self, timeout: float = 5.0) -> list[str]:
        """Cancel what still runs, stop the loop and end its thread. Closing again does nothing.

        Args:
            timeout: seconds that tasks have to end once they are cancelled.

        Returns:
            The names of the tasks that did not end. Where one of them blocks the loop itself, its thread is
            left behind too.

        Raises:
            DeadlockError: this is the loop's own thread.
        """
        if self.is_current:
            msg = "the host's loop cannot be closed from a coroutine that runs on it: close it from outside"
            raise DeadlockError(msg)
        with self._lock:
            self._is_closed = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return []
        names = [task.get_name() for task in asyncio.all_tasks(loop)]
        job = Job(_cancel_others(timeout), loop)
        try:
            job.start()
            names = job.result(timeout + GRACE_SECONDS)
        except TimeoutError:
            _log.warning("the host's loop is blocked by one of %s, and is left behind", ", ".join(names))
        else:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        with self._lock:
            self._loop = self._thread = None
        for job in tuple(self._jobs):
            job.give_up()
        return names

    def _job(self, coroutine: Coroutine[Any, Any, T]) -> Job[T]:
        try:
            with self._lock:
                job = Job(coroutine, self._running())
        except BaseException:
            coroutine.close()
            raise
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    def _running(self) -> asyncio.AbstractEventLoop:
        """The loop, started if it was not yet; the caller has the lock."""
        if self._is_closed:
            msg = "the host is closed; its coroutines can no longer run"
            raise HostClosedError(msg)
        if self._loop is None:
            # In a context of its own: the loop keeps it for as long as it lives, with the errors of whoever was first.
            self._loop = contextvars.Context().run(asyncio.new_event_loop)
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped; a `sys.exit` in some task must not end everybody's loop."""
    while True:
        try:
            loop.run_forever()
            return
        except (SystemExit, KeyboardInterrupt) as error:
            _log.warning("a task on the host's loop raised %s; the loop goes on", type(error).__name__)


async def _cancel_others(seconds: float) -> list[str]:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    pending: set[asyncio.Task[Any]] = set()
    if others:
        _, pending = await asyncio.wait(others, timeout=seconds)
    await asyncio.get_running_loop().shutdown_asyncgens()
    return [task.get_name() for task in pending]


async def call_in_own_thread(
    name: str, function: Callable[..., T], *args: Any
) -> tuple[T | None, BaseException | None]:
    """Call `function` on a new thread, in this context; returns its result, or what it raised.

    The thread is a daemon: one that is left behind holds up neither others, as it would in a pool of
    threads, nor the end of the process. The error is returned because a future cannot hold every error.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(outcome: tuple[T | None, BaseException | None]) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def call() -> None:
        outcome: tuple[T | None, BaseException | None]
        try:
            outcome = context.run(function, *args), None
        except BaseException as error:
            outcome = None, error
        try:
            loop.call_soon_threadsafe(settle, outcome)
        except RuntimeError:
            _log.debug("%s ended after its loop was closed", name)

    threading.Thread(target=call, name=f"plugbook-{name}", daemon=True).start()
    return await ended


def waker(event: asyncio.Event) -> Callable[..., None]:
    """A function that sets an event of the loop that runs here, and that any thread may call."""
    loop = asyncio.get_running_loop()

    def wake(*_: object) -> None:
        with contextlib.suppress(RuntimeError):  # that loop was closed: nobody waits any more
            loop.call_soon_threadsafe(event.set)

    return wake
