"""Requests that must not run between two handlers of one event, such as starting or stopping a plugin."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Generic, Never, TypeVar

from plugbook.errors import DeadlockError

if TYPE_CHECKING:
    from plugbook.events.dispatch.report import Waiter

T = TypeVar("T")


class Work(Generic[T]):
    """A request in the queue: pending until the drain comes to it.

    Args:
        function: what is asked for.
        context: the context of whoever asks, in which it runs.
        waiter: waits for it.
    """

    __slots__ = ("_context", "_function", "_future", "_waiter")

    def __init__(self, function: Callable[[], T], context: Context, waiter: Waiter) -> None:
        self._function = function
        self._context = context
        self._waiter = waiter
        self._future: Future[T] = Future()

    def run(self) -> None:
        """Do it; whoever waits gets the result or the error."""
        self._context.run(current_work.set, self)
        try:
            self._future.set_result(self._context.run(self._function))
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
            DeadlockError: it could never end, because this very call has to return first.
            TimeoutError: it did not run in time.
        """
        if not self.done:
            self._waiter("the request", lambda: self.done, timeout)
        return self._future.result()

    def __await__(self) -> Generator[Any, None, Never]:
        """Refuse to be awaited, saying what can be done.

        Raises:
            DeadlockError: always.
        """
        msg = (
            "a request that is made inside a handler runs when that has ended, so that it cannot be awaited there. "
            "Leave it pending, or look at its result() later, elsewhere."
        )
        raise DeadlockError(msg)

    def __repr__(self) -> str:
        if not self.done:
            return "<pending: it runs when the handlers that are running have ended>"
        error = self._future.exception()
        return repr(self._future.result() if error is None else error)


current_work: ContextVar[Work[Any] | None] = ContextVar("plugbook_work", default=None)
"""The request that runs here, in its coroutines too, which run on another thread than the drain's."""
