"""Tests of the host's own loop: where coroutines run, how they are cancelled, and how it ends."""

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
import weakref

import pytest

from plugbook.errors import DeadlockError, HostClosedError
from plugbook.events.dispatch.loop import HostLoop, call_in_own_thread


@pytest.fixture
def loop():
    loop = HostLoop("test-loop")
    yield loop
    loop.close(0.1)


async def name_of_thread():
    return threading.current_thread().name


def test_every_coroutine_runs_on_the_one_thread(loop):
    """Whichever thread submits; the thread is started by the first coroutine."""
    assert not any(thread.name == "test-loop" for thread in threading.enumerate())
    assert loop.run(name_of_thread()) == "test-loop"
    assert loop.submit(name_of_thread()).result(5) == "test-loop"
    assert not loop.is_current


def test_what_a_coroutine_raises_comes_back(loop):
    """`run` and `submit` give the error itself."""
    with pytest.raises(ZeroDivisionError):
        loop.run(_fail())
    assert isinstance(loop.submit(_fail()).exception(5), ZeroDivisionError)


async def _fail():
    return 1 / 0


def test_a_cancelled_job_is_done_when_its_cleanup_has_run(loop):
    """Cancelling asks; the job ends with the coroutine, and asking twice does not disturb the cleanup."""
    began, order = threading.Event(), []

    async def work():
        try:
            began.set()
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.02)
            order.append("cleaned up")

    job = loop.submit(work())
    assert began.wait(5)
    assert job.cancel()
    assert job.cancel()
    assert not job.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        job.result(5)
    assert order == ["cleaned up"]
    assert not job.cancel()


def test_run_gives_up_after_its_timeout(loop):
    """The coroutine is cancelled, and has ended when TimeoutError is raised."""
    ended = threading.Event()

    async def work():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        ended.set()

    with pytest.raises(TimeoutError):
        loop.run(work(), timeout=0.01)
    assert ended.is_set()


def test_waiting_on_the_loop_for_itself_is_refused(loop):
    """`run` and `close` on the loop's own thread would never return."""

    async def inside():
        assert loop.is_current
        with pytest.raises(DeadlockError):
            loop.run(name_of_thread())
        with pytest.raises(DeadlockError):
            loop.close()

    loop.run(inside())


def test_a_task_that_exits_does_not_end_the_loop(loop, caplog):
    """SystemExit in somebody's background task is logged; the others run on."""

    async def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        loop.submit(leave()).result(5)
    assert loop.run(name_of_thread()) == "test-loop"
    assert "raised SystemExit; the loop goes on" in caplog.text


def test_close_cancels_what_runs_and_ends_the_thread(loop):
    """Tasks end, the thread is gone, later coroutines are refused, and closing again does nothing."""
    job = loop.submit(asyncio.sleep(30))
    assert len(loop.tasks()) <= 1
    assert loop.close() == []
    assert job.done()
    assert loop.tasks() == set()
    assert not any(thread.name == "test-loop" for thread in threading.enumerate())
    assert loop.close() == []
    with pytest.raises(HostClosedError):
        loop.submit(name_of_thread())
    with pytest.raises(HostClosedError):
        loop.run(name_of_thread())


def test_close_names_a_task_that_refuses_to_end(loop, caplog):
    """It is left behind after the timeout, its name is returned, and whoever waits for it is let go."""

    async def refuse():
        asyncio.current_task().set_name("stubborn")
        began.set()
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)

    began = threading.Event()
    job = loop.submit(refuse())
    assert began.wait(5)
    assert loop.close(0.05) == ["stubborn"]
    with pytest.raises(HostClosedError):
        job.result(5)
    del job
    gc.collect()
    assert "Task was destroyed but it is pending" in caplog.text


def test_close_does_not_wait_for_a_blocked_loop(loop, caplog, monkeypatch):
    """A task that blocks the loop itself is named, and the thread left behind."""
    monkeypatch.setattr("plugbook.events.dispatch.loop.GRACE_SECONDS", 0.05)
    began, go_on = threading.Event(), threading.Event()

    async def block():
        asyncio.current_task().set_name("blocker")
        began.set()
        go_on.wait(10)

    job = loop.submit(block())
    assert began.wait(5)
    assert loop.close(0.05) == ["blocker"]
    assert "blocked by one of blocker" in caplog.text
    with pytest.raises(HostClosedError):
        job.result(5)
    go_on.set()


def test_a_function_on_its_own_thread_gives_back_whatever_it_did(loop):
    """Results and all errors, StopIteration and SystemExit among them; the thread has its name."""

    async def work(function):
        return await call_in_own_thread("mine", function)

    assert loop.run(work(lambda: threading.current_thread().name)) == ("plugbook-mine", None)
    for error in (ValueError("x"), StopIteration(), SystemExit(2), asyncio.CancelledError()):

        def fail(error=error):
            raise error

        assert loop.run(work(fail)) == (None, error)


class Held:
    async def wait_for(self, gate):
        gate.wait()
        return self


def test_what_has_ended_is_let_go(loop):
    """After `settle` the loop holds nothing of a coroutine that has ended, as who looks for leaks relies on."""
    gate, still_there, held = threading.Event(), threading.Event(), Held()
    seen = weakref.ref(held)
    job = loop.submit(held.wait_for(gate))
    job.add_done_callback(lambda _: still_there.wait())
    gate.set()
    job.result()
    del job, held
    assert seen() is not None
    threading.Timer(0.02, still_there.set).start()
    loop.settle()
    assert seen() is None
