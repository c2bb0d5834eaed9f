"""The virtual clock: what goes by it, in which order, and what waits for whom."""

from datetime import UTC, datetime

import pytest

from plugbook import Event, Host, Plugin, Restart, on
from plugbook.errors import ClockError
from plugbook.testing.clock import VirtualClock

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Asked(Event):
    pass


class Ticked(Event):
    second: int


class Ticker(Plugin):
    def start(self, ctx):
        ctx.spawn(self.tick(1))
        ctx.spawn(self.tick(2.5))

    async def tick(self, every_s):
        while True:
            await self.ctx.clock.sleep(every_s)
            self.ctx.publish(Ticked(second=self.ctx.clock.now().second))


def test_plugins_read_the_clock_of_their_host(plugin_host, clock):
    """Time of day and monotonic time stand still, and move together by what the test says."""

    class Chronicle(Plugin):
        @on(Asked)
        def tell(self, event):
            return self.ctx.clock.now().isoformat(), self.ctx.clock.monotonic()

    host = plugin_host(Chronicle)
    first, again = host.publish(Asked()).calls[0].result, host.publish(Asked()).calls[0].result
    assert first == again == ("2026-01-01T00:00:00+00:00", 0.0)
    clock.advance(86_400.5)
    assert host.publish(Asked()).calls[0].result == ("2026-01-02T00:00:00.500000+00:00", 86_400.5)
    assert clock.now() == datetime(2026, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC)


def test_tasks_wake_at_their_moments_in_order(plugin_host, clock, events):
    """One step over several moments is as many steps: each task sees its own moment, and none is left out."""
    plugin_host(Ticker)
    clock.advance(5)
    assert [tick.second for tick in events.of(Ticked)] == [1, 2, 2, 3, 4, 5, 5]
    assert len(clock.waits_s) == 2


def test_the_host_may_be_there_before_the_clock(host, request, events):
    """A host that was made first goes by the clock from the moment at which there is one."""
    clock = request.getfixturevalue("clock")
    host.add(Ticker)
    host.start()
    clock.advance(1)
    assert events.of(Ticked) == [Ticked(second=1)]


def test_a_handler_that_waits_takes_the_time_with_it(plugin_host, clock):
    """Whoever published waits for the handler, and could not move the clock; so nobody waits for ever."""

    class Patient(Plugin):
        async def start(self, ctx):
            await ctx.clock.sleep(10)

        @on(Asked)
        async def wait(self, event):
            await self.ctx.clock.sleep(60)

    plugin_host(Patient).publish(Asked())
    assert clock.elapsed.total_seconds() == 70


def test_retries_of_effects_wait_by_it(plugin_host, clock):
    """The pauses between the attempts of an effect take no time, and are on the clock."""
    attempts = []

    def fetch():
        attempts.append(clock.elapsed.total_seconds())
        raise OSError("down")

    class Fetcher(Plugin):
        @on(Asked)
        def ask(self, event):
            self.ctx.effect.using(retries=3, backoff=10.0)(fetch)

    plugin_host(Fetcher).publish(Asked())
    assert attempts == [0, 10, 30, 70]


def test_restarts_wait_by_it(plugin_host, clock):
    """A plugin that is to start again after a while does so at that moment, and not before."""

    class Fragile(Plugin, policy=Restart(backoff=30.0)):
        @on(Asked)
        def fail(self, event):
            raise ValueError("no")

    host = plugin_host(Fragile)
    host.publish(Asked())
    assert host.states["fragile"] == "stopped"
    [wait_s] = clock.waits_s
    clock.advance(wait_s - 0.1)
    assert host.states["fragile"] == "stopped"
    clock.advance(0.1)
    assert host.states["fragile"] == "active"


def test_throttles_go_by_it(plugin_host, clock):
    """How many events a second get through is counted in its seconds."""
    host = plugin_host()
    host.throttle(Asked, per_second=1)
    host.subscribe(Asked, lambda event: None)
    assert [host.publish(Asked()).outcome for _ in range(2)] == ["ok", "skipped"]
    clock.advance(1)
    assert host.publish(Asked()).outcome == "ok"


def test_what_it_told_is_recorded_and_replayed(plugin_host, clock):
    """A reading is an input with its value, which a replay gives back whatever the time is by then."""

    class Chronicle(Plugin):
        @on(Asked)
        def tell(self, event):
            return self.ctx.clock.now().isoformat()

    host = plugin_host(Chronicle)
    clock.advance(60)
    host.publish(Asked())
    [change] = host.recording.select(kinds="change", where=lambda record: record.name == "use clock")
    assert change.payload["clock"] == "VirtualClock"
    other = plugin_host(Chronicle)
    clock.advance(60)
    with other.replay(host.recording, rate=None) as player:
        assert player.play().result.same
    [call] = other.recording.select(kinds="call")
    assert call.result == "2026-01-01T00:01:00+00:00"


def test_it_never_moves_back():
    """A negative or missing number is refused, and the clock stands where it stood."""
    clock = VirtualClock()
    for seconds in (-1, float("nan")):
        with pytest.raises(ClockError, match="moves on only"):
            clock.advance(seconds)
    assert clock.elapsed.total_seconds() == 0


def test_what_is_taken_back_is_not_called():
    """A wait that is given up is due no more."""
    clock, called = VirtualClock(), []
    forget = clock.call_later(1, lambda: called.append("first"))
    clock.call_later(1, lambda: called.append("second"))
    forget()
    forget()
    clock.advance(1)
    assert called == ["second"]
    assert "VirtualClock at 2026-01-01 00:00:01 UTC" in repr(clock)


def test_a_host_of_ones_own_can_go_by_it():
    """The clock needs no fixture: it governs any host."""
    clock = VirtualClock(datetime(2030, 6, 1, tzinfo=UTC))
    with Host([Ticker]) as host:
        clock.govern(host)
        host.start()
        assert "2030-06-01" in repr(host.plugins["ticker"].context.clock)
