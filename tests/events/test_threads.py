"""Many threads and loops at once: every event delivered exactly once, and never two handlers together."""

import asyncio
import threading
from collections import Counter

import pytest

from .conftest import Even, Number, Way

THREADS, EVENTS = 6, 60


class Watch:
    """A handler that notices when it is run together with another one."""

    def __init__(self):
        self.seen, self.overlaps, self._inside = [], 0, False

    def __call__(self, event):
        self.overlaps += self._inside
        self._inside = True
        self.seen.append(event.n)
        self._inside = False


def run_all(*functions):
    """Run the functions at once, each on a thread, and raise what they raise."""
    errors = []

    def guarded(function):
        try:
            barrier.wait(10)
            function()
        except BaseException as error:
            errors.append(error)

    barrier = threading.Barrier(len(functions))
    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []


@pytest.mark.parametrize("kind", ["sync", "async", "mixed"])
@pytest.mark.parametrize("tasks", [0, 3, THREADS])
def test_every_event_is_delivered_exactly_once(bus, kind, tasks):
    """By publish and publish_async from many threads, all wake-ups arrive and no handlers overlap."""
    watch, reports = Watch(), []
    for place in range(2):
        bus.subscribe(Number, Way(kind, awaits=False).handler(watch, place), name=str(place))

    def publish(number):
        reports.extend(bus.publish(Number(n=number * EVENTS + n)) for n in range(EVENTS))

    def publish_async(number):
        async def main():
            for n in range(EVENTS):
                report = await bus.publish_async(Number(n=number * EVENTS + n))
                assert report.done
                reports.append(report)

        asyncio.run(main())

    run_all(
        *(
            lambda number=number: (publish_async if number < tasks else publish)(number)
            for number in range(THREADS)
        )
    )
    for report in reports:
        report.wait(10)
    assert set(Counter(watch.seen).values()) == {2}
    assert len(watch.seen) == THREADS * EVENTS * 2
    assert watch.overlaps == 0
    assert len({report.seq for report in reports}) == THREADS * EVENTS


def test_no_wake_up_is_lost_when_a_drain_ends(bus):
    """What is queued in the moment in which another drain lets go is delivered without any further publish."""
    bus.subscribe(Number, Way("async", awaits=False).handler(lambda event: None))
    for _ in range(20):
        reports = []

        def awaiting():
            asyncio.run(bus.publish_async(Number()))

        def publishing(reports=reports):
            reports.append(bus.publish(Number()))

        run_all(awaiting, publishing, publishing)
        deadline = threading.Event()
        for _ in range(500):
            if all(report.done for report in reports):
                break
            deadline.wait(0.01)
        assert all(report.done for report in reports)


def test_tasks_of_the_hosts_loop_publish(bus):
    """Background tasks of plugins publish to sync and async handlers; all of it is delivered."""
    watch = Watch()
    bus.subscribe("test.number", watch)
    bus.subscribe(Even, Way("async", awaits=False).handler(watch))

    async def task(number):
        for n in range(20):
            kind = Even if n % 2 else Number
            report = bus.publish(kind(n=number * 20 + n))
            await asyncio.sleep(0)
            report = await bus.publish_async(kind(n=1000 + number * 20 + n))
            assert report.done

    async def main():
        await asyncio.gather(*(task(number) for number in range(8)))

    bus.loop.run(main())
    bus.publish(Number(n=-1)).wait(10)
    assert Counter(watch.seen) == Counter([-1, *range(160), *range(1000, 1160)])
    assert watch.overlaps == 0


def test_subscriptions_from_many_threads_are_all_kept(bus):
    """Subscribing and disconnecting at once loses nothing."""

    def work(number):
        for n in range(40):
            disconnect = bus.subscribe(Number, print, name=f"{number}.{n}")
            bus.plan_of(Number)
            if n % 2:
                disconnect()

    run_all(*(lambda number=number: work(number) for number in range(4)))
    expected = {f"{number}.{n}" for number in range(4) for n in range(0, 40, 2)}
    assert {each.name for each in bus.subscriptions} == expected
    assert {site.name for site in bus.plan_of(Number).sites} == expected
