"""The host's own event loop: one thread on which every coroutine of every plugin runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from plugbook.errors import HostClosedError

T = TypeVar("T")


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

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this loop's thread."""
        return self._thread is threading.current_thread()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run the coroutine on the loop, from any thread, in the caller's context.

        Raises:
            HostClosedError: the loop was closed.
        """
        try:
            loop = self._running()
        except HostClosedError:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run the coroutine and wait for what it returns; an interrupt cancels it.

        Raises:
            HostClosedError: the loop was closed.
            TimeoutError: it took more than `timeout` seconds, and was cancelled.
        """
        future = self.submit(coroutine)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def close(self, timeout: float = 5.0) -> list[str]:
        """Cancel what still runs, stop the loop and end its thread.

        Args:
            timeout: seconds that tasks have to end once they are cancelled.

        Returns:
            The names of the tasks that did not end.
        """
        with self._lock:
            self._is_closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return []
        left = asyncio.run_coroutine_threadsafe(_cancel_others(timeout), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        return left

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._is_closed:
                msg = "the host is closed; its coroutines can no longer run"
                raise HostClosedError(msg)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop


async def _cancel_others(seconds: float) -> list[str]:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if not others:
        return []
    _, pending = await asyncio.wait(others, timeout=seconds)
    await asyncio.get_running_loop().shutdown_asyncgens()
    return [task.get_name() for task in pending]
