"""Following a bus: every event is seen, and nothing else about it is another."""

import pytest

from plugbook import Event
from plugbook.events.bus import Bus


class Ping(Event):
    n: int = 0


@pytest.fixture(params=[True, False], ids=["timed", "bare"])
def bus(request):
    return Bus(timing=request.param)


def test_a_follower_sees_every_event_before_its_handlers(bus):
    """Published, asked and unhandled events are seen, in order, on the thread that publishes."""
    told = []
    bus.subscribe(Ping, lambda ping: told.append(("handled", ping.n)), name="h")
    bus.follow(lambda report: told.append((report.asked, report.event.n)))
    bus.publish(Ping(n=1))
    bus.ask(Ping(n=2), default=None)
    assert told == [("", 1), ("handled", 1), ("first", 2), ("handled", 2)]


def test_a_follower_is_no_handler(bus):
    """An event that nobody handles is unhandled, whoever follows."""
    bus.follow(lambda report: None)
    assert bus.publish(Ping()).outcome == "unhandled"
    assert bus.subscriptions == ()


def test_who_stops_following_leaves_no_trace(bus):
    """Undone, it sees nothing more, and publishing is what it was."""
    seen, before = [], dict(vars(bus))
    unfollow = bus.follow(seen.append)
    unfollow()
    bus.publish(Ping())
    assert not seen
    assert vars(bus).keys() == before.keys()
