"""Replays of runs in which plugins were paused, restarted or quarantined."""

from __future__ import annotations

import pytest

from plugbook import Event, Host, Plugin, Restart, on
from tests.host.timer import timed

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Order(Event, topic="sale"):
    number: int


class Paid(Event, topic="paid"):
    number: int


class Billing(Plugin, policy=Restart(backoff=1)):
    def start(self, ctx):
        self.seen = []

    @on(Order)
    def bill(self, event):
        self.seen.append(event.number)
        if event.number < 0:
            raise ValueError("no such order")
        self.ctx.publish(Paid(number=event.number))


class Mailer(Plugin):
    def start(self, ctx):
        self.seen = []

    @on("*")
    async def send(self, event):
        self.seen.append((event.__topic__, event.number))


@pytest.fixture
def shop(tmp_path):
    with timed(Host([Billing, Mailer])) as host:
        host.start()
        host.file = host.record(tmp_path / "shop.plugbook")
        yield host


def replay(host):
    """Play what a host has recorded to the same plugins on another; the result, and what each of them saw."""
    host.file.close()
    with timed(Host([Billing, Mailer])) as again, again.replay(host.file, rate=None) as player:
        again.start()
        result = player.play().result
        assert set(again.states.values()) == {"active"}
        seen = {name: handle.instance.seen for name, handle in again.plugins.items()}
    return result, seen


def test_a_pause_replays_as_it_was(shop):
    """What was missed comes where it came in the recording, to that handler alone, and once."""
    shop.publish(Order(number=1))
    shop.pause("billing")
    shop.publish(Order(number=2))
    shop.publish(Order(number=3))
    shop.resume("billing")
    shop.publish(Order(number=4))
    seen = {name: handle.instance.seen for name, handle in shop.plugins.items()}
    result, again = replay(shop)
    assert again == seen
    assert result.same
    assert result.unhandled == 0


def test_an_event_that_several_missed_reaches_each_once(shop):
    """Two handlers that get an event at different times do so in the replay."""
    shop.pause("billing")
    shop.pause("mailer")
    shop.publish(Order(number=1))
    shop.resume("mailer")
    shop.publish(Order(number=2))
    shop.resume("billing")
    seen = {name: handle.instance.seen for name, handle in shop.plugins.items()}
    result, again = replay(shop)
    assert again == seen
    assert result.same


def test_a_restart_replays_without_restarting(shop):
    """The failure happens again, and is not acted on again; what was missed meanwhile comes where it came."""
    shop.publish(Order(number=1))
    shop.publish(Order(number=-1))
    shop.publish(Order(number=2))
    shop.timer.pass_s(1)
    shop.publish(Order(number=3))
    result, seen = replay(shop)
    assert seen["billing"] == [1, -1, 2, 3]
    assert result.same
    assert result.errors == 1


def test_a_quarantine_replays_and_its_plugin_gets_what_it_missed_for_good(shop):
    """Nobody is quarantined by a failure of the past; what comes of the rest is told as extra."""
    shop.set_policy("billing", "quarantine")
    shop.publish(Order(number=-1))
    shop.publish(Order(number=2))
    assert shop.states["billing"] == "quarantined"
    result, seen = replay(shop)
    assert seen["billing"] == [-1, 2]
    assert (result.extra, result.missing, result.differs) == (1, 0, 0)


def test_a_replay_of_dead_letters_without_payloads_in_changes(tmp_path):
    """Who missed what is told by the rows alone, so that it does not matter what was kept of payloads."""
    with timed(Host([Billing])) as host:
        host.start()
        host.file = host.record(tmp_path / "outline.plugbook", payloads="summary")
        host.pause("billing")
        host.publish(Order(number=1))
        host.resume("billing")
        result, seen = replay(host)
    assert seen["billing"] == [1]
    assert result.same


def test_policies_hold_again_when_the_player_is_closed(shop):
    """A host that replays takes care of its plugins as soon as it plays no more."""
    shop.publish(Order(number=-1))
    shop.timer.pass_s(1)
    shop.file.close()
    with timed(Host([Billing])) as again:
        again.start()
        with again.replay(shop.file, rate=None) as player:
            player.play()
            assert again.states == {"billing": "active"}
        again.publish(Order(number=-1))
        assert again.states == {"billing": "stopped"}
