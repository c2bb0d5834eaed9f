"""Which events reach a handler: filters by who publishes, and throttling."""

import asyncio

import pytest

from plugbook import Host, Plugin, on
from plugbook.errors import EventError, ManifestError, TopicError, UnknownNameError
from plugbook.events.bus import Bus
from plugbook.events.event import Event

from .conftest import Even, Number

# -- source= ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "heard"),
    [
        ("billing", [1]),
        (["billing", "ledger"], [1, 2]),
        ("shop-*", [3]),
        ("*", [1, 2, 3]),
        ("", [0]),
        (("", "ledger"), [0, 2]),
        (None, [0, 1, 2, 3]),
    ],
)
def test_source_lets_through_what_these_plugins_publish(way, bus, source, heard):
    """A name, several, a pattern, nobody; the call of any other event is skipped."""
    got = []
    bus.subscribe(Number, way.handler(lambda event: got.append(event.n)), source=source, name="picky")
    for n, plugin in enumerate(["", "billing", "ledger", "shop-eu"]):
        if way.awaits:
            report = asyncio.run(bus.publish_async(Number(n=n), plugin=plugin))
        else:
            report = bus.publish(Number(n=n), plugin=plugin)
        assert report.calls[0].outcome == ("ok" if n in heard else "skipped")
    assert got == heard


def test_the_reason_names_the_filter_and_the_publisher(bus):
    """Whoever wonders why a handler was not called reads both in the record."""
    bus.subscribe(Number, print, source=["billing", ""])
    assert (
        bus.publish(Number(), plugin="ledger").calls[0].reason == "source= billing, '': published by ledger"
    )
    bus.subscribe(Even, print, source="billing")
    assert bus.publish(Even()).calls[1].reason == "source= billing: published by no plugin"


@pytest.mark.parametrize("source", [5, [], ["billing", 5], {"billing"}])
def test_a_source_that_cannot_be_is_refused(bus, source):
    """On the bus and in a class statement alike, and nothing is subscribed."""
    with pytest.raises(EventError, match="source must be"):
        bus.subscribe(Number, print, source=source)
    assert bus.subscriptions == ()
    with pytest.raises(ManifestError, match="source must be"):

        class Picky(Plugin):
            @on(Number, source=source)
            def hear(self, event): ...


def test_plugins_filter_by_source():
    """`on` and `ctx.subscribe` take it, and it holds for what is asked, too."""
    heard = []

    class Ui(Plugin):
        @on(Even)
        def relay(self, event):
            self.ctx.publish(Number(n=1))

    class Log(Plugin):
        def start(self, ctx):
            ctx.subscribe(Number, lambda event: heard.append("subscribed"), source="ui")

        @on("test.number", source="ui")
        def note(self, event):
            heard.append("on")
            return 1

    with Host([Ui, Log]) as host:
        host.start()
        host.publish(Number())
        assert host.ask(Number(), default=None).value is None
        assert heard == []
        host.publish(Even())
    assert heard == ["subscribed", "on"]


# -- throttling -------------------------------------------------------------------------------------


class Moved(Event, topic="mouse.moved"):
    x: int = 0


class Clicked(Event, topic="mouse.clicked"):
    pass


SECOND_NS = 1_000_000_000


@pytest.fixture
def clock():
    """The time in ns, as a list of one number that a test moves on."""
    return [0]


@pytest.fixture(params=[True, False], ids=["timed", "bare"])
def throttled(request, clock):
    """A bus that goes by that clock, and what reached its handler."""
    bus = Bus(timing=request.param, clock=lambda: clock[0])
    got = []
    bus.subscribe("mouse.*", lambda event: got.append(event), name="h")
    return bus, got


def test_no_more_than_the_limit_is_delivered_in_any_second(throttled, clock):
    """The window moves with the time: what is delivered counts for one second."""
    bus, got = throttled
    bus.throttle("mouse.*", per_second=2)
    outcomes = []
    for at in (0, 100, 200, 999, 1_000, 1_050, 1_100, 1_101):
        clock[0] = at * 1_000_000
        outcomes.append(bus.publish(Moved(x=at)).outcome)
    assert [event.x for event in got] == [0, 100, 1_000, 1_100]
    assert outcomes == ["ok", "ok", "skipped", "skipped", "ok", "skipped", "ok", "skipped"]


def test_the_report_says_why(throttled):
    """It has no calls, and the reason names the limit; nothing waits for it."""
    bus, _ = throttled
    bus.throttle(Moved, per_second=0.5)
    bus.publish(Moved())
    report = bus.publish(Moved())
    assert (report.done, report.calls, report.outcome) == (True, [], "skipped")
    assert report.reason == "throttled: more than 0.5 a second of mouse.moved"
    assert "skipped, not delivered: throttled" in repr(report)
    assert asyncio.run(bus.publish_async(Moved())).outcome == "skipped"


def test_less_than_one_a_second_is_one_in_so_many_seconds(throttled, clock):
    """A limit of 0.5 delivers one event in two seconds."""
    bus, got = throttled
    bus.throttle(Moved, per_second=0.5)
    for seconds in range(6):
        clock[0] = seconds * SECOND_NS
        bus.publish(Moved(x=seconds))
    assert [event.x for event in got] == [0, 2, 4]


def test_each_topic_has_the_limit_for_itself(throttled):
    """A flood of one topic keeps no other from being delivered, and other topics have no limit."""
    bus, got = throttled
    bus.subscribe(Number, got.append)
    bus.throttle("mouse.*", per_second=1)
    for kind in (Moved, Moved, Clicked, Clicked, Number, Number):
        bus.publish(kind())
    assert [type(event) for event in got] == [Moved, Clicked, Number, Number]


def test_limits_are_replaced_and_taken_away(throttled):
    """The last limit of a target counts; an undo that is not its own any more does nothing."""
    bus, got = throttled
    undo_first = bus.throttle(Moved, per_second=1)
    undo_last = bus.throttle(Moved, per_second=3)
    undo_first()
    assert bus.throttles == {"Moved": 3.0}
    for _ in range(5):
        bus.publish(Moved())
    assert len(got) == 3
    undo_last()
    undo_last()
    assert bus.throttles == {}
    bus.publish(Moved())
    assert len(got) == 4
    assert "publish" not in vars(bus) or not bus._timing


def test_a_limit_can_be_taken_away_by_its_name(throttled):
    """A name that is nearly right gets a suggestion."""
    bus, _ = throttled
    bus.throttle("mouse.*", per_second=1)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'mouse\.\*'"):
        bus.unthrottle("mous.*")
    bus.unthrottle("mouse.*")
    assert bus.throttles == {}


def test_several_limits_hold_together(throttled):
    """The strictest one decides, and what it refuses does not count for the others."""
    bus, got = throttled
    bus.throttle("mouse.*", per_second=5)
    bus.throttle(Moved, per_second=1)
    for _ in range(4):
        bus.publish(Moved())
    assert len(got) == 1


@pytest.mark.parametrize("per_second", [0, -1, float("nan"), float("inf"), True, "10", None])
def test_a_limit_that_is_no_number_above_0_is_refused(throttled, per_second):
    """And nothing has changed."""
    bus, _ = throttled
    with pytest.raises(EventError, match="per_second must be"):
        bus.throttle("mouse.*", per_second=per_second)
    with pytest.raises(TopicError):
        bus.throttle("mouse..x", per_second=1)
    with pytest.raises(EventError, match="cannot listen to"):
        bus.throttle(5, per_second=1)
    assert bus.throttles == {}
    assert "publish" not in vars(bus) or not bus._timing


def test_a_question_is_always_asked(throttled):
    """Who asks needs the answer."""
    bus, got = throttled
    bus.throttle(Moved, per_second=1)
    bus.publish(Moved())
    assert not bus.ask(Moved(), all=True)
    assert len(got) == 2


def test_what_is_not_an_event_is_refused_as_ever(throttled):
    """The limit looks at events alone."""
    bus, _ = throttled
    bus.throttle("**", per_second=1)
    with pytest.raises(EventError, match="call it"):
        bus.publish(Moved)


def test_throttling_is_recorded(tmp_path):
    """Both the limit and each event that was one too many, inside a handler as its child."""

    class Ui(Plugin):
        @on(Clicked)
        def relay(self, event):
            for x in range(3):
                self.ctx.publish(Moved(x=x))

    class Canvas(Plugin):
        @on(Moved)
        def draw(self, event): ...

    with Host([Ui, Canvas]) as host:
        host.start()
        recording = host.record(tmp_path / "run.plugbook")
        undo = host.throttle("mouse.moved", per_second=1)
        report = host.publish(Clicked())
        undo()
        moved = list(recording.select(topics="mouse.moved", kinds="event").records())
        changes = [(each.name, each.payload) for each in recording.select(kinds="change").records()]
    assert [event.outcome for event in moved] == ["ok", "skipped", "skipped"]
    assert {event.reason for event in moved[1:]} == {"throttled: more than 1 a second of mouse.moved"}
    assert {event.parent for event in moved} == {report.calls[0].seq}
    limit = {"target": "mouse.moved", "per_second": 1}
    assert changes == [("throttle", limit), ("unthrottle", limit)]
