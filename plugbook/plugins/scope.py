"""What one plugin holds while it runs, and the promise that all of it is given back.

A `Scope` is a stack of cleanups. Closing it runs every one of them, last in first out, each exactly
once, whatever the others do:

    defer(a); defer(b); defer(c)
    close()  ->  c, b, a        also if c raises, or Ctrl-C arrives while b runs

Failures are collected into one `ExceptionGroup`. An interrupt (`KeyboardInterrupt`, `CancelledError`,
`SystemExit`) stops nothing either: it is raised again when everything has run, with the failures as its
cause. The cleanup that runs when the first Ctrl-C or cancellation arrives is left to end; the second one
interrupts it, and the others still run.
"""

from __future__ import annotations

import asyncio
import inspect
import reprlib
import signal
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, TypeVar

from plugbook.errors import LifecycleError
from plugbook.events.dispatch.report import Report

if TYPE_CHECKING:
    from plugbook._types import Disconnect

Failures = list[BaseException]
T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine to its end on some loop, blocking the caller, as `asyncio.run` does."""


class Held(NamedTuple):
    """One thing a scope holds, for people and leak reports.

    Attributes:
        kind: ``cleanup``, ``context``, ``task``, or what `Scope.adopt` was told.
        label: what it is, such as ``Billing.close_books``.
    """

    kind: str
    label: str


class Scope:
    """Everything a plugin took and has to give back.

    Safe to use from any thread. Cleanups run on the thread that closes.

    Args:
        owner: whose scope it is, for messages.

    Example:
        >>> scope = Scope("billing")
        >>> scope.defer(print, "close the books")
        <...>
        >>> scope.defer(print, "disconnect")
        <...>
        >>> scope.close()
        disconnect
        close the books
    """

    def __init__(self, owner: str = "") -> None:
        self.owner = owner
        self._stack: dict[int, _Cleanup] = {}
        self._lock = threading.RLock()
        self._closing = False
        self._closed = False

    # -- taking -----------------------------------------------------------------------------------

    def defer(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Disconnect:
        """Call `function` at close; if it returns an awaitable, that is awaited.

        Returns:
            A function that takes the cleanup back without running it.

        Raises:
            LifecycleError: the scope is closed, or `function` cannot be called.
        """
        if not callable(function):
            if inspect.iscoroutine(function):
                function.close()
            msg = (
                f"defer takes a function and its arguments, and {reprlib.repr(function)} cannot be called. "
                "Write defer(print, 'bye'), not defer(print('bye'))."
            )
            raise LifecycleError(msg, plugin=self.owner or None)
        return self._hold("cleanup", _label(function), lambda: function(*args, **kwargs))

    def adopt(self, kind: str, label: str, undo: Callable[[], Any]) -> Disconnect:
        """Hold a resource of some kind of its own, such as a subscription, undone by `undo` at close.

        Returns:
            A function that lets go of the resource without undoing it.

        Raises:
            LifecycleError: the scope is closed.
        """
        return self._hold(kind, label, undo)

    def enter(self, manager: AbstractContextManager[T]) -> T:
        """Enter a context manager now and leave it at close; returns what it gives.

        Raises:
            LifecycleError: the scope is closed; the manager was not entered.
        """
        self._check_open()
        value = manager.__enter__()
        self._hold("context", _label(type(manager)), lambda: manager.__exit__(None, None, None))
        return value

    async def aenter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter an async context manager now and leave it at close; returns what it gives.

        Raises:
            LifecycleError: the scope is closed; the manager was not entered.
        """
        self._check_open()
        value = await manager.__aenter__()
        self._hold("context", _label(type(manager)), lambda: manager.__aexit__(None, None, None))
        return value

    def adopt_task(self, task: asyncio.Task[Any]) -> None:
        """Hold a task: at close it is cancelled and waited for; a task that ends by itself is let go.

        What the task raised is its starter's to report, so it is no failure of the cleanup.

        Raises:
            LifecycleError: the scope is closed; the task was not touched.
        """
        let_go = self._hold("task", task.get_name(), lambda: None if task.done() else _end(task))
        task.add_done_callback(lambda _: let_go())

    # -- looking ----------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether everything has been given back."""
        return self._closed

    @property
    def held(self) -> tuple[Held, ...]:
        """What is held now, in the order it was taken."""
        with self._lock:
            return tuple(cleanup.held for cleanup in self._stack.values() if not cleanup.started)

    def cleanups(self, *kinds: str) -> tuple[Callable[[], Any], ...]:
        """What close would call for all that is held as one of these kinds, in the order it was taken."""
        with self._lock:
            mine = [each for each in self._stack.values() if each.held.kind in kinds and not each.settled]
            return tuple(cleanup.undo for cleanup in mine)

    def __len__(self) -> int:
        return len(self.held)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        state = "closed" if self._closed else "closing" if self._closing else "open"
        return f"<Scope of {self.owner or 'nobody'}: {state}, {len(self)} held>"

    # -- giving back ------------------------------------------------------------------------------

    def close(self, run: Run | None = None) -> None:
        """Run every cleanup, last in first out, each once. Closing again does nothing.

        What a cleanup takes meanwhile is given back as well. A call from inside a cleanup, or while
        another thread closes, returns at once.

        Args:
            run: runs what cleanups return to await, such as a loop's own `run`. Without it, a cleanup
                that has to be awaited is a failure like any other.

        Raises:
            ExceptionGroup: one or more cleanups failed; all of them ran.
            BaseException: an interrupt arrived; all of them ran, and failures are its cause.
        """
        failures: Failures = []
        with first_interrupt_waits(failures):
            if not self._claim():
                return
            try:
                self._unwind(run, failures)
            except BaseException as interrupt:  # a second one, which came between two cleanups
                failures.append(interrupt)
                self._unwind(run, failures)
            finally:
                self._finish()
        _raise(self.owner, failures)

    async def aclose(self) -> None:
        """As `close`, awaiting on the running loop what cleanups return.

        Raises:
            ExceptionGroup: one or more cleanups failed; all of them ran.
            BaseException: an interrupt arrived; all of them ran, and failures are its cause.
        """
        if not self._claim():
            return
        failures: Failures = []
        try:
            while (cleanup := self._top()) is not None:
                cleanup.call(failures)
                while not cleanup.settled:
                    try:
                        await cleanup.settle(failures)
                    except asyncio.CancelledError as cancelled:
                        cleanup.interrupt(cancelled, failures)
        finally:
            self._finish()
        _raise(self.owner, failures)

    def __enter__(self) -> Scope:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        held = self.held if hasattr(self, "_lock") else ()
        if held:
            warnings.warn(
                f"the scope of {self.owner or 'nobody'} was dropped while it held "
                f"{', '.join(f'{kind} {label}' for kind, label in held)}. Close it when its plugin stops.",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )

    # -- inside -----------------------------------------------------------------------------------

    def _hold(self, kind: str, label: str, undo: Callable[[], Any]) -> Disconnect:
        cleanup = _Cleanup(Held(kind, label), undo)
        with self._lock:
            self._check_open()
            self._stack[id(cleanup)] = cleanup
        return lambda: self._let_go(cleanup)

    def _let_go(self, cleanup: _Cleanup) -> None:
        with self._lock:
            if not cleanup.started:
                self._stack.pop(id(cleanup), None)

    def _check_open(self) -> None:
        if self._closed:
            msg = (
                f"the scope of {self.owner or 'nobody'} is closed: what is taken now would never be given "
                "back. Take resources between start and stop."
            )
            raise LifecycleError(
                msg,
                plugin=self.owner or None,
            )

    def _claim(self) -> bool:
        """Become the one who closes; False where it is closed, or somebody is at it."""
        with self._lock:
            if self._closed or self._closing:
                return False
            self._closing = True
            return True

    def _finish(self) -> None:
        with self._lock:
            self._closing = False
            self._closed = not self._stack

    def _top(self) -> _Cleanup | None:
        """The cleanup whose turn it is; it stays on the stack until it has settled, so none gets lost."""
        with self._lock:
            while self._stack:
                top = next(reversed(self._stack.values()))
                if not top.settled:
                    return top
                del self._stack[id(top)]
            return None

    def _unwind(self, run: Run | None, failures: Failures) -> None:
        while (cleanup := self._top()) is not None:
            cleanup.call(failures)
            while not cleanup.settled:
                cleanup.wait(run, failures)


class _Cleanup:
    """One cleanup on its way: held, started, perhaps awaited, settled."""

    __slots__ = ("_awaited", "_interrupts", "_is_begun", "_task", "held", "settled", "started", "undo")

    def __init__(self, held: Held, undo: Callable[[], Any]) -> None:
        self.held = held
        self.started = False
        self.settled = False
        self.undo = undo
        self._awaited: Awaitable[Any] | None = None
        self._task: asyncio.Future[BaseException | None] | None = None
        self._is_begun = False
        self._interrupts = 0

    def call(self, failures: Failures) -> None:
        """Start it; it has settled unless it gave back something to await."""
        if self.started:
            return
        self.started = True
        try:
            result = self.undo()
        except BaseException as error:  # an interrupt is raised again at the end
            self._settle(failures, error)
            return
        if must_be_awaited(result):
            self._awaited = result
        else:
            self._settle(failures)

    def wait(self, run: Run | None, failures: Failures) -> None:
        """Wait for it from a thread that has no loop, once: see `settled` for whether that was enough."""
        if self._awaited is None:
            # An interrupt came between the call and its result: what it did cannot be known any more.
            self._settle(failures)
        elif run is None:
            self._forgo(failures, TypeError("it must be awaited; close with aclose() or close(run=...)"))
        else:
            self._wait_by(run, failures)

    def _wait_by(self, run: Run, failures: Failures) -> None:
        waiting = self.settle(failures)
        try:
            run(waiting)
        except Exception as error:  # the loop is closed, or refuses: nobody will await it
            if inspect.getcoroutinestate(waiting) == inspect.CORO_CREATED:
                waiting.close()
            self._forgo(failures, error)
        except BaseException as interrupt:  # raised again at the end
            self.interrupt(interrupt, failures)

    async def settle(self, failures: Failures) -> None:
        """Wait for it on the running loop; a cancellation ends the waiting, not the cleanup."""
        if self._task is None and self._awaited is not None:
            self._task = asyncio.ensure_future(self._outcome(self._awaited))
        if self._task is not None:
            if self._interrupts > 1:
                self._task.cancel()
            self._settle(failures, await asyncio.shield(self._task))

    async def _outcome(self, awaited: Awaitable[Any]) -> BaseException | None:
        """What went wrong, as a value: an interrupt raised inside a task would end the whole loop."""
        self._is_begun = True
        try:
            await awaited
        except BaseException as error:
            return error
        return None

    def interrupt(self, interrupt: BaseException, failures: Failures) -> None:
        """Note that somebody is tired of waiting: the second time cancels it, the third abandons it."""
        failures.append(interrupt)
        # A task that is cancelled before its first step never runs at all, and this one has to.
        self._interrupts += self._is_begun
        if self._interrupts > 2:
            self._settle(failures, TimeoutError("it went on after it was cancelled, and was abandoned"))

    def _forgo(self, failures: Failures, error: Exception) -> None:
        """Settle what nobody can await; a coroutine that never ran would warn."""
        if self._task is None and inspect.iscoroutine(self._awaited):
            self._awaited.close()
        self._settle(failures, error)

    def _settle(self, failures: Failures, error: BaseException | None = None) -> None:
        if self.settled:
            return
        if error is not None:
            error.add_note(f"while giving back {self.held.kind} {self.held.label}")
            failures.append(error)
        self.settled = True


@contextmanager
def first_interrupt_waits(failures: Failures) -> Iterator[None]:
    """Hold the first Ctrl-C back until the block has ended; a second one is raised where it arrives.

    Python may raise a KeyboardInterrupt between calling a cleanup and its first line, and nobody could
    tell that it never ran. Only the main thread gets signals, and a handler of somebody else is theirs.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def note(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        failures.append(KeyboardInterrupt())

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _raise(owner: str, failures: Failures) -> None:
    """Raise what was collected: the first interrupt, or the group of all failures."""
    interrupt = next((failure for failure in failures if not isinstance(failure, Exception)), None)
    others = [failure for failure in failures if failure is not interrupt]
    group: BaseException | None = None
    if others:
        what = "1 cleanup" if len(others) == 1 else f"{len(others)} cleanups"
        group = BaseExceptionGroup(f"{what} of {owner or 'a scope'} failed; all of them ran", others)
    if interrupt is not None:
        raise interrupt from group
    if group is not None:
        raise group


def must_be_awaited(result: object) -> TypeGuard[Awaitable[Any]]:
    """Whether a call's result is still to be awaited; a `Report` refuses to be, and says so to whoever tries."""
    return inspect.isawaitable(result) and not isinstance(result, Report)


def _label(function: Any) -> str:
    """What a cleanup is called, without asking its own code."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__
