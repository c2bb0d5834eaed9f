"""Requests that must not run between two handlers of one event, such as starting or stopping a plugin."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Work(Generic[T]):
    """A request in the queue: pending until the drain comes to it."""

    __slots__ = ("_function", "_future")

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._future: Future[T] = Future()

    def run(self) -> None:
        """Do it; whoever waits gets the result or the error."""
        try:
            self._future.set_result(self._function())
        except BaseException as error:
            self._future.set_exception(error)
            if not isinstance(error, Exception):
                raise

    @property
    def done(self) -> bool:
        """Whether it ran."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> T:
        """What it returned, or raise what it raised; waits up to `timeout` seconds.

        Raises:
            TimeoutError: it did not run in time.
        """
        return self._future.result(timeout)

    def __repr__(self) -> str:
        if not self.done:
            return "<pending: it runs when the handlers that are running have ended>"
        error = self._future.exception()
        return repr(self._future.result() if error is None else error)
