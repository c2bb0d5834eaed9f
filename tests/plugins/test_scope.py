"""What a plugin holds is given back: last in first out, once, whatever happens on the way."""

import asyncio
import contextlib
import gc
import signal
import sys
import threading
import warnings

import pytest

from plugbook.errors import HostClosedError, LifecycleError
from plugbook.events.bus import Bus
from plugbook.events.dispatch.loop import HostLoop
from plugbook.events.event import Event
from plugbook.plugins import scope as scope_module
from plugbook.plugins.scope import Held, Scope

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


@pytest.fixture
def loop():
    loop = HostLoop()
    yield loop
    loop.close()


@pytest.fixture
def log():
    return []


@pytest.mark.parametrize("call", [lambda: None, lambda: 3, lambda: asyncio.sleep(0)])
def test_what_cannot_be_called_is_refused_at_once(call):
    """A call written in place of a function is told what to write, and nothing is held."""
    scope = Scope("billing")
    with pytest.raises(LifecycleError, match=r"cannot be called\. Write defer\(print, 'bye'\)"):
        scope.defer(call())
    assert len(scope) == 0


def test_cleanups_run_last_in_first_out_and_once(log):
    """Closing runs every cleanup in reverse order, and closing again runs none."""
    scope = Scope("billing")
    for number in range(3):
        scope.defer(log.append, number)
    scope.close()
    scope.close()
    assert log == [2, 1, 0]
    assert scope.closed


def test_a_context_manager_is_entered_now_and_left_at_close(log):
    """`enter` gives what the manager gives, and leaves it at close."""

    @contextlib.contextmanager
    def manager():
        log.append("in")
        yield "value"
        log.append("out")

    scope = Scope()
    assert scope.enter(manager()) == "value"
    assert log == ["in"]
    scope.close()
    assert log == ["in", "out"]


def test_a_manager_that_fails_to_enter_is_not_left(log):
    """Where `__enter__` raises there is nothing to give back."""

    @contextlib.contextmanager
    def manager():
        raise ValueError
        yield

    scope = Scope()
    with pytest.raises(ValueError):  # noqa: PT011
        scope.enter(manager())
    assert len(scope) == 0
    scope.close()


def test_async_managers_and_tasks_are_given_back_on_the_loop(loop, log):
    """`aenter` and `adopt_task` are undone by `close` with the loop's runner: the task is cancelled first."""

    @contextlib.asynccontextmanager
    async def manager():
        yield "value"
        await asyncio.sleep(0)
        log.append("out")

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            log.append("task")

    async def take():
        assert await scope.aenter(manager()) == "value"
        task = asyncio.create_task(work(), name="work")
        scope.adopt_task(task)
        await asyncio.sleep(0)

    scope = Scope()
    loop.run(take())
    assert scope.held == (Held("context", "_AsyncGeneratorContextManager"), Held("task", "work"))
    scope.close(run=loop.run)
    assert log == ["task", "out"]


def test_a_task_that_ended_is_let_go(loop):
    """A task that is done holds nothing any more."""
    scope = Scope()

    async def take():
        task = asyncio.create_task(asyncio.sleep(0))
        scope.adopt_task(task)
        await task
        await asyncio.sleep(0)

    loop.run(take())
    assert scope.held == ()
    scope.close()


def test_one_failure_does_not_stop_the_others_and_none_is_lost(log):
    """All failures come in one group, each naming its cleanup."""
    scope = Scope("billing")

    def fail(text):
        log.append(text)
        raise ValueError(text)

    scope.defer(fail, "first")
    scope.defer(log.append, "middle")
    scope.defer(fail, "last")
    with pytest.raises(ExceptionGroup, match="2 cleanups of billing failed") as caught:
        scope.close()
    assert log == ["last", "middle", "first"]
    assert [str(error) for error in caught.value.exceptions] == ["last", "first"]
    assert "fail" in caught.value.exceptions[0].__notes__[0]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupt_is_raised_when_all_have_run(interrupt, log):
    """An interrupt from a cleanup is raised at the end, with the other failures as its cause."""
    scope = Scope()

    def stop():
        raise interrupt

    def fail():
        raise ValueError

    scope.defer(log.append, "first")
    scope.defer(fail)
    scope.defer(stop)
    with pytest.raises(interrupt) as caught:
        scope.close()
    assert log == ["first"]
    assert isinstance(caught.value.__cause__, ExceptionGroup)


def test_the_first_ctrl_c_waits_for_the_cleanup_that_runs(log):
    """One Ctrl-C in the middle of a cleanup lets it end; the next one interrupts the cleanup it hits."""
    scope = Scope()

    def press(text):
        signal.raise_signal(signal.SIGINT)
        log.append(text)

    scope.defer(press, "third")
    scope.defer(press, "second")
    scope.defer(press, "first")
    with pytest.raises(KeyboardInterrupt):
        scope.close()
    assert log == ["first"]
    assert scope.closed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_may_arrive_at_any_line(log):
    """Wherever a Ctrl-C hits the closing, every cleanup runs once, in order, and the scope can be closed again."""
    for line in range(1, 1_000):
        log.clear()
        scope = Scope()
        for number in range(3):
            scope.defer(log.append, number)
        with press_ctrl_c_at(line) as pressed, contextlib.suppress(KeyboardInterrupt):
            scope.close()
        scope.close()
        assert log == [2, 1, 0], f"interrupted at line event {line}"
        assert scope.closed
        if not pressed:
            break
    assert line > 50


@contextlib.contextmanager
def press_ctrl_c_at(count):
    """Send the signal when that many lines of scope.py have run."""
    pressed = []
    lines = iter(range(1, count + 1))

    def trace(frame, event, _):
        if frame.f_code.co_filename != scope_module.__file__:
            return None
        if event == "line" and next(lines, None) == count:
            pressed.append(frame.f_lineno)
            signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    gc.disable()  # or the signal may hit the end of some older scope
    sys.settrace(trace)
    try:
        yield pressed
    finally:
        sys.settrace(before)
        gc.enable()


def test_an_interrupt_between_two_cleanups_stops_nothing(log, monkeypatch):
    """Whatever is raised while the next cleanup is looked up, the rest of them run."""
    scope = Scope()
    for number in range(3):
        scope.defer(log.append, number)
    look_up = Scope._top

    def hit(self):
        if log == [2]:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return look_up(self)

    monkeypatch.setattr(Scope, "_top", hit)
    with pytest.raises(KeyboardInterrupt):
        scope.close()
    assert log == [2, 1, 0]


def test_a_closed_scope_may_be_closed_on_a_loop():
    """`aclose` after `close` does nothing, and fails as `close` does where a cleanup fails."""

    async def main():
        scope = Scope()
        scope.close()
        await scope.aclose()
        scope = Scope("billing")
        scope.defer(int, "x")
        with pytest.raises(ExceptionGroup, match="1 cleanup of billing failed"):
            await scope.aclose()

    asyncio.run(main())


def test_a_foreign_signal_handler_is_left_alone(log):
    """Where an application handles Ctrl-C itself, closing does not take that over."""
    scope = Scope()
    scope.defer(lambda: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, lambda *_: log.append("theirs"))
    try:
        scope.close()
    finally:
        signal.signal(signal.SIGINT, before)
    assert log == ["theirs"]


def test_a_cancelled_close_still_runs_everything(log):
    """Cancelling `aclose` once lets the awaited cleanup end and the others run."""

    async def slow(text):
        await asyncio.sleep(0.01)
        log.append(text)

    async def main():
        scope = Scope()
        scope.defer(slow, "first")
        scope.defer(slow, "second")
        closing = asyncio.create_task(scope.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert scope.closed

    asyncio.run(main())
    assert log == ["second", "first"]


def test_a_cleanup_that_will_not_end_is_cancelled_then_abandoned(log):
    """The second cancellation cancels the cleanup, the third gives it up, and the others still run."""

    async def stubborn():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                log.append("cancelled")
                if log.count("cancelled") > 5:
                    raise

    async def main():
        scope = Scope()
        scope.defer(log.append, "first")
        scope.defer(stubborn)
        closing = asyncio.create_task(scope.aclose())
        while not closing.done():
            await asyncio.sleep(0)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await closing
        assert "abandoned" in str(caught.value.__cause__.exceptions)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        while not all(task.done() for task in others):
            for task in others:
                task.cancel()
            await asyncio.sleep(0)

    asyncio.run(main())
    assert log[-1] != "first"
    assert "first" in log


def test_what_must_be_awaited_is_refused_without_a_loop(log):
    """`close()` reports a cleanup that returned a coroutine, leaves none unawaited, and runs the others."""

    async def slow():
        log.append("never")

    scope = Scope()
    scope.defer(log.append, "first")
    scope.defer(slow)
    with pytest.raises(ExceptionGroup) as caught:
        scope.close()
    assert "aclose" in str(caught.value.exceptions[0])
    assert log == ["first"]


def test_a_closed_loop_is_a_failure_like_any_other(log):
    """If the loop is gone, the async cleanup fails and the sync ones run."""

    async def slow():
        log.append("never")

    loop = HostLoop()
    loop.close()
    scope = Scope()
    scope.defer(log.append, "first")
    scope.defer(slow)
    with pytest.raises(ExceptionGroup) as caught:
        scope.close(run=loop.run)
    assert isinstance(caught.value.exceptions[0], HostClosedError)
    assert log == ["first"]


@pytest.mark.parametrize("take", ["defer", "adopt", "enter"])
def test_a_closed_scope_takes_nothing(take):
    """Taking a resource after the close raises, and a manager is not even entered."""
    scope = Scope("billing")
    scope.close()
    arguments = {"defer": (print,), "adopt": ("thread", "t", print), "enter": (threading.Lock(),)}
    with pytest.raises(LifecycleError, match="billing"):
        getattr(scope, take)(*arguments[take])
    assert not arguments["enter"][0].locked()


def test_a_cleanup_may_take_something_that_is_given_back_too(log):
    """What is taken while closing is given back next."""
    scope = Scope()
    scope.defer(log.append, "first")
    scope.defer(lambda: scope.defer(log.append, "taken late"))
    scope.close()
    assert log == ["taken late", "first"]


def test_what_was_taken_back_does_not_run(log):
    """`defer` returns the way to take it back, which does nothing the second time."""
    scope = Scope()
    take_back = scope.defer(log.append, "no")
    scope.defer(log.append, "yes")
    take_back()
    take_back()
    scope.close()
    take_back()
    assert log == ["yes"]


def test_a_dropped_scope_warns(log):
    """A scope that is collected while it holds something warns and names it."""
    scope = Scope("billing")
    scope.defer(log.append, "never")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        del scope
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert "billing" in str(caught[0].message)
    assert "append" in str(caught[0].message)


def test_two_threads_close_once(log):
    """However many threads close, every cleanup runs once."""
    scope = Scope()
    barrier = threading.Barrier(4)
    for number in range(100):
        scope.defer(log.append, number)

    def close():
        barrier.wait(5)
        scope.close()

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert log == list(reversed(range(100)))


def test_the_scope_shows_what_it_holds():
    """Its repr counts what is held and says whether it is open."""
    scope = Scope("billing")
    scope.adopt("thread", "worker", lambda: None)
    assert repr(scope) == "<Scope of billing: open, 1 held>"
    assert scope.held == (Held("thread", "worker"),)
    with scope:
        assert bool(scope)
    assert repr(scope) == "<Scope of billing: closed, 0 held>"


def test_a_cleanup_that_publishes_has_nothing_to_be_awaited():
    """A deferred publish returns a report, which refuses to be awaited, and so it is left alone."""
    bus, heard = Bus(), []
    bus.subscribe(Event, heard.append)
    with Scope() as scope:
        scope.defer(bus.publish, Event())
    assert heard == [Event()]
