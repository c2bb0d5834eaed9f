"""Handlers that publish for each other without an end, and those that only publish much."""

from __future__ import annotations

import asyncio
import logging

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import EventError, PublishCycleError
from plugbook.events.bus import Bus

MOST = 50


class Ping(Event, topic="circle.ping"):
    n: int = 0


class Pong(Event, topic="circle.pong"):
    n: int = 0


@pytest.fixture
def bus(request):
    """A bus that looks for circles early, in each way that the test's `way` may want."""
    bus = Bus(timing=request.getfixturevalue("way").timing, most_caused=MOST)
    yield bus
    assert bus.loop.close() == []
    assert not bus._circles._trees


def publishing(bus, make, errors, *, times=1):
    """A handler that publishes, and notes what that raises."""

    def handler(event):
        for _ in range(times):
            try:
                bus.publish(make(event))
            except PublishCycleError as error:
                errors.append(error)

    return handler


@pytest.mark.parametrize("times", [1, 2])
def test_a_handler_that_publishes_what_it_listens_to_is_ended(way, bus, times):
    """Each event may cause some more, and then the next one is refused, naming the handler and its topic."""
    errors = []
    bus.subscribe(
        Ping, way.handler(publishing(bus, lambda e: Ping(n=e.n + 1), errors, times=times)), name="again"
    )
    way.publish(bus, Ping())
    assert errors[0].cycle == ("circle.ping", "circle.ping")
    assert "circle.ping -> again -> circle.ping" in str(errors[0])


def test_a_circle_of_handlers_is_named_with_all_its_topics(way, bus):
    """A -> B -> A is refused like A -> A, and whoever stands beside the circle is not named."""
    errors = []
    bus.subscribe(Ping, way.handler(lambda _: None, 0), name="beside")
    bus.subscribe(Ping, way.handler(publishing(bus, lambda e: Pong(n=e.n + 1), errors), 1), name="there")
    bus.subscribe(Pong, way.handler(publishing(bus, lambda e: Ping(n=e.n + 1), errors), 2), name="back")
    way.publish(bus, Ping())
    [error] = errors
    assert error.cycle in (
        ("circle.ping", "circle.pong", "circle.ping"),
        ("circle.pong", "circle.ping", "circle.pong"),
    )
    assert "there -> circle.pong -> back" in str(error) or "back -> circle.ping -> there" in str(error)


def test_many_events_of_one_root_are_no_circle(way, bus):
    """A handler may publish as many events as it likes, where they do not lead back to it."""
    seen = []

    def burst(event):
        for n in range(MOST * 5):
            bus.publish(Pong(n=n))

    bus.subscribe(Ping, way.handler(burst))
    bus.subscribe(Pong, way.handler(lambda event: seen.append(event.n)))
    way.publish(bus, Ping())
    assert seen == list(range(MOST * 5))


def test_what_ends_by_itself_before_the_limit_is_left_alone(way, bus):
    """A countdown shorter than the limit runs to its end, as often as it is started."""
    seen = []

    def count(event):
        seen.append(event.n)
        if event.n:
            bus.publish(Ping(n=event.n - 1))

    bus.subscribe(Ping, way.handler(count))
    for _ in range(4):
        way.publish(bus, Ping(n=MOST))
    assert seen == list(range(MOST, -1, -1)) * 4


def test_a_clock_may_tick_as_long_as_its_plugin_runs():
    """What a background task publishes on its own account is no circle, however old the start is that spawned it."""

    class Clock(Plugin):
        def start(self, ctx):
            self.seen = 0
            self.done = ctx.spawn(self.tick(ctx))

        async def tick(self, ctx):
            for _ in range(MOST * 5):
                await ctx.publish_async(Ping())
                await asyncio.sleep(0.002)  # a clock leaves the host idle between its ticks

        @on(Ping)
        def countdown(self, event):
            self.seen += 1
            if event.n < 3:
                self.ctx.publish(Ping(n=event.n + 1))

    with Host([Clock], most_caused=MOST) as host:
        host.start()
        clock = host.plugins["clock"].instance
        clock.done.result(10)
        assert clock.seen == MOST * 5 * 4


def test_a_refused_event_is_on_record(caplog):
    """The recording has the event as skipped, with the circle, and the call that published it as failed; the log has it once."""

    class Echo(Plugin):
        @on(Ping)
        def again(self, event):
            self.ctx.publish(Ping(n=event.n + 1))

    with Host([Echo], most_caused=MOST) as host, caplog.at_level(logging.ERROR, "plugbook.events"):
        host.start()
        host.publish(Ping())
        [skipped] = host.recording.select(kinds="event", outcome="skipped")
        [failed] = host.recording.select(kinds="call", outcome="error")
        assert skipped.reason == "it would go on for ever: circle.ping -> Echo.again -> circle.ping"
        assert skipped.parent == failed.seq
        assert failed.error["type"] == "PublishCycleError"
        assert "give the host a higher most_caused" in failed.error["message"]
        assert host.publish(Ping()).outcome == "ok"
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "many"])
def test_a_limit_that_cannot_be_is_refused(most):
    """It is a whole number above 0."""
    with pytest.raises(EventError, match="most_caused is a whole number of events above 0"):
        Host(most_caused=most)
