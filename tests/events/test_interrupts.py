"""An interrupt leaves a stated condition: the call cancelled, the rest skipped, the queue kept."""

import asyncio
import contextlib
import itertools
import random
import signal
import threading
import time

import pytest

from plugbook.events.bus import Bus

from .conftest import Even, Number, until

MAIN = threading.main_thread()
pytestmark = pytest.mark.skipif(
    threading.current_thread() is not MAIN, reason="signals reach the main thread alone"
)


def interrupt_main():
    """What Ctrl-C does."""
    signal.pthread_kill(MAIN.ident, signal.SIGINT)


@pytest.fixture(params=["inline", "waiting", "bare"])
def kind(request):
    return request.param


only_waiting = pytest.mark.parametrize("kind", ["waiting"], indirect=True)


@pytest.fixture
def bus(kind):
    bus = Bus(timing=kind != "bare")
    yield bus
    assert bus.loop.close() == []
    assert bus._drain.free == {0: True}


@pytest.fixture
def scene(bus, kind):
    """Three handlers, of which the second publishes and is then interrupted, once."""
    return _Scene(bus, is_async=kind == "waiting")


class _Scene:
    def __init__(self, bus, *, is_async):
        self.bus, self.ran, self.inner, self.reports = bus, [], [], []
        self.cleaned_up = threading.Event()
        self.is_interrupted = False
        bus.subscribe("test.number", self.first, name="first")
        bus.subscribe("test.number", self.second_async if is_async else self.second, name="second")
        bus.subscribe("test.number", self.third, name="third")
        bus.subscribe(Even, lambda event: self.ran.append(("even", event.n)), name="even")

    def first(self, event):
        self.ran.append(("first", event.n))

    def begin_second(self, event):
        self.ran.append(("second", event.n))
        self.inner = [self.bus.publish(Even(n=n)) for n in (1, 2)]

    def second(self, event):
        if not self.is_interrupted:
            self.begin_second(event)
            self.is_interrupted = True
            interrupt_main()
            until(lambda: False)

    async def second_async(self, event):
        if not self.is_interrupted:
            self.begin_second(event)
            self.is_interrupted = True
            interrupt_main()
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0.01)  # cleanup takes its time, and is waited for
                self.cleaned_up.set()

    def third(self, event):
        self.ran.append(("third", event.n))


def test_an_interrupt_ends_the_call_and_keeps_the_queue(bus, scene, kind):
    """KeyboardInterrupt comes out of publish; the events published before it are delivered by the next one."""
    with pytest.raises(KeyboardInterrupt) as caught:
        bus.publish(Number(n=0))
    if kind == "waiting":
        assert scene.cleaned_up.is_set()
        assert caught.value.__notes__ == ["plugbook was waiting for second, and has cancelled it"]
    assert scene.ran == [("first", 0), ("second", 0)]
    assert [report.outcome for report in scene.inner] == ["open", "open"]
    report = bus.publish(Number(n=9))
    assert scene.ran[2:] == [("even", 1), ("even", 2), ("first", 9), ("third", 9)]
    assert report.outcome == "ok"


def test_drain_and_wait_deliver_what_an_interrupt_left(bus, scene):
    """So do `drain`, and waiting for one of the reports."""
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Number(n=0))
    assert scene.inner[1].wait(5) is scene.inner[1]
    assert scene.ran[2:] == [("even", 1), ("even", 2)]
    bus.drain()
    assert len(scene.ran) == 4


def test_the_report_of_an_interrupted_event_says_how_it_ended(bus, scene):
    """Its current call is cancelled, those behind it are skipped, and the event itself is cancelled."""
    outer = []
    bus.subscribe("outer", lambda event: outer.append(bus.publish(Number(n=0))))

    class Outer(Number, topic="outer"):
        pass

    with pytest.raises(KeyboardInterrupt):
        bus.publish(Outer())
    report = outer[0]
    assert [call.outcome for call in report.calls] == ["ok", "cancelled", "skipped"]
    assert report.calls[2].reason == "KeyboardInterrupt in second ended the dispatch"
    assert (report.done, report.outcome, report.reason) == (True, "cancelled", "second: KeyboardInterrupt")


@only_waiting
def test_cancelling_publish_async_is_an_interrupt(bus, scene):
    """The handler's coroutine is cancelled and waited for, the rest skipped, the queue kept."""
    slept = threading.Event()

    async def sleep_first(event):
        slept.set()
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)
            scene.cleaned_up.set()

    disconnect = bus.subscribe("test.number", sleep_first, name="sleeper", priority=9)

    async def main():
        task = asyncio.create_task(bus.publish_async(Number(n=0)))
        await asyncio.to_thread(slept.wait, 10)
        queued = bus.publish(Even(n=7))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert scene.cleaned_up.is_set()
        return queued

    queued = asyncio.run(main())
    assert (scene.ran, queued.outcome) == ([], "open")
    disconnect()
    bus.publish(Even(n=8))
    assert scene.ran == [("even", 7), ("even", 8)]


@only_waiting
def test_a_coroutine_that_refuses_to_end_is_given_up(bus, monkeypatch):
    """Who interrupts waits for a handler's cleanup, but not for ever; what it returns later changes nothing."""
    monkeypatch.setattr("plugbook.events.dispatch.loop.GRACE_SECONDS", 0.05)
    go_on, ended, reports = threading.Event(), threading.Event(), []

    async def stubborn(event):
        if event.n:
            return None
        reports.append(bus._drain.current)
        interrupt_main()
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.to_thread(go_on.wait, 10)
        ended.set()
        return "too late"

    bus.subscribe(Number, stubborn, name="stubborn")
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Number())
    assert reports[0].calls[0].outcome == "cancelled"
    go_on.set()
    assert ended.wait(5)
    assert bus.publish(Number(n=1)).outcome == "ok"
    assert (reports[0].calls[0].outcome, reports[0].calls[0].result) == ("cancelled", None)


@pytest.mark.parametrize("timing", [True, False])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_interrupt_anywhere_leaves_the_bus_usable(timing, is_async):
    """Wherever Ctrl-C arrives, the drain is free again, and every event is delivered or closed, in order."""
    bus = Bus(timing=timing)
    seen, inside, numbers = [], [], itertools.count()

    def handle(event):
        assert not inside
        inside.append(event.n)
        seen.append(event.n)
        if event.n % 3 == 0:
            reports.append(bus.publish(Even(n=event.n + 1_000_000)))
        inside.clear()

    async def handle_async(event):
        handle(event)

    bus.subscribe(Number, handle_async if is_async else handle)
    bus.subscribe(Number, lambda event: None)
    reports = []
    rounds = 40 if is_async else 200
    chance = random.Random(7)
    for _ in range(rounds):
        delay = chance.random() * 2e-4

        def shoot(delay=delay):
            begun = time.perf_counter()
            while time.perf_counter() - begun < delay:
                pass
            interrupt_main()

        thread = threading.Thread(target=shoot)
        try:
            thread.start()
            while True:
                reports.append(bus.publish(Number(n=next(numbers))))
        except KeyboardInterrupt:
            inside.clear()
        thread.join()
        assert bus._drain.free == {0: True}
        assert bus._drain.thread == bus._drain.driver == 0
    bus.drain()
    assert not bus._drain.queue
    assert all(report.done for report in reports)
    assert len(set(seen)) == len(seen)
    straight = [n for n in seen if n < 1_000_000]
    assert straight == sorted(straight)
    assert bus.publish(Number(n=next(numbers))).outcome == "ok"
    bus.loop.close()
