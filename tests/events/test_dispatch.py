"""One contract for sync, async and mixed plans, timed or bare, by `publish` and `publish_async` alike."""

import asyncio
import inspect

import pytest

from plugbook.errors import EventError, HostClosedError
from plugbook.events.bus import Bus
from plugbook.events.event import Event

from .conftest import Even, Number


def test_handlers_run_by_priority_then_rank_then_registration(way, bus):
    """High priority first, then a provider before its dependents, then who came first."""
    ran = []
    wishes = [("c", 0, "dependent"), ("a", 5, ""), ("b", 0, "provider"), ("d", 0, ""), ("e", -1, "provider")]
    for place, (name, priority, plugin) in enumerate(wishes):

        def handler(event, name=name):
            ran.append(name)

        bus.subscribe(Number, way.handler(handler, place), name=name, priority=priority, plugin=plugin)
    bus.rank({"provider": 0, "dependent": 1})
    report = way.publish(bus, Number())
    assert ran == ["a", "b", "c", "d", "e"]
    assert [call.handler for call in report.calls] == ran
    assert [subscription.name for subscription in bus.subscriptions] == ran


def test_what_a_handler_publishes_waits_for_its_turn(way, bus):
    """An event published inside a handler is pending there, and delivered after the running event, in FIFO order."""
    ran, inner = [], []

    def first(event):
        ran.append(("first", event.n))
        if event.n == 0:
            inner.extend(bus.publish(Number(n=n)) for n in (1, 2))
            assert [report.outcome for report in inner] == ["open", "open"]

    def second(event):
        ran.append(("second", event.n))
        if event.n == 1:
            inner.append(bus.publish(Number(n=3)))

    bus.subscribe(Number, way.handler(first, 0))
    bus.subscribe(Number, way.handler(second, 1))
    report = way.publish(bus, Number())
    assert ran == [(name, n) for n in range(4) for name in ("first", "second")]
    assert report.outcome == "ok"
    assert [each.outcome for each in inner] == ["ok"] * 3


def test_the_trace_in_the_docstring_is_true(way, bus):
    """The call order that the bus prints in its docstring is the one that happens."""

    class A(Event):
        pass

    class B(Event):
        pass

    class C(Event):
        pass

    trace = []

    def tell(name, *published):
        def handler(event):
            trace.append(f"{type(event).__name__} -> {name}")
            for kind in published:
                bus.publish(kind())

        return handler

    bus.subscribe(A, way.handler(tell("Ledger.post", B), 0))
    bus.subscribe(A, way.handler(tell("Billing.bill", C), 1))
    bus.subscribe(B, way.handler(tell("Billing.check"), 2))
    bus.subscribe(C, way.handler(tell("Mailer.send"), 3))
    way.publish(bus, A())
    told = [
        line.split("#")[0].strip() for line in inspect.getmodule(Bus).__doc__.splitlines() if " -> " in line
    ]
    assert trace == told


def test_subscriptions_by_class_topic_and_predicate(way, bus):
    """A class hears its subclasses, a pattern what it fits, a predicate what it says yes to."""
    heard = []

    def listen(name):
        return lambda event: heard.append(name)

    targets = {
        "base": Number,
        "sub": Even,
        "exact": "test.number",
        "star": "test.*",
        "all": "test.**",
        "no": "x.**",
    }
    for place, (name, target) in enumerate(targets.items()):
        bus.subscribe(target, way.handler(listen(name), place), name=name)
    bus.subscribe(Number, way.handler(listen("big")), name="big", where=lambda event: event.n > 5)
    report = way.publish(bus, Number(n=1))
    assert heard == ["base", "exact", "star", "all"]
    assert report.calls[-1].outcome == "skipped"
    assert report.calls[-1].reason == "where= said no"
    assert report.outcome == "ok"
    heard.clear()
    way.publish(bus, Even(n=6))
    assert heard == ["base", "sub", "all", "big"]


def test_results_are_kept(way, bus):
    """What a handler returned is on its call; None, False and 0 are told apart."""
    for place, result in enumerate([None, False, 0, {"a": 1}]):
        bus.subscribe(Number, way.handler(lambda event, result=result: result, place))
    assert [call.result for call in way.publish(bus, Number()).calls] == [None, False, 0, {"a": 1}]


def test_one_failing_handler_hurts_nobody_else(way, bus):
    """An error is on its own call, with a traceback that starts in the handler; the others run."""
    ran = []

    def fail(event):
        raise ValueError("no")

    bus.subscribe(Number, way.handler(fail, 0), name="fail")
    bus.subscribe(Number, way.handler(ran.append, 1), name="after")
    bus.subscribe(
        Number, way.handler(lambda event: ran.append(event), 2), where=lambda event: 1 / 0, name="where"
    )
    report = way.publish(bus, Number())
    assert len(ran) == 1
    assert [call.outcome for call in report.calls] == ["error", "ok", "error"]
    assert [type(call.error) for call in report.errors] == [ValueError, ZeroDivisionError]
    assert report.outcome == "error"
    error = report.errors[0].error
    assert error.__traceback__.tb_frame.f_code.co_filename == __file__ or way.kind == "async"
    assert not error.__traceback__.tb_frame.f_globals["__name__"].startswith("plugbook")


def test_policy_raise_ends_the_dispatch_and_keeps_the_queue(way, bus):
    """`publish` raises what the handler raised; its event's other calls are skipped, what is queued stays."""
    ran, inner = [], []

    def fail(event):
        inner.append(bus.publish(Even(n=2)))
        raise LookupError("stop here")

    bus.subscribe("test.number", way.handler(fail, 0), policy="raise", name="fail")
    bus.subscribe("test.number", way.handler(ran.append, 1), name="after")
    bus.subscribe(Even, way.handler(ran.append, 1), name="even")
    with pytest.raises(LookupError, match="stop here"):
        way.publish(bus, Number())
    assert ran == []
    assert inner[0].outcome == "open"
    bus.drain()
    assert ran == [Even(n=2)]
    assert inner[0].outcome == "ok"


def test_the_report_of_a_raised_failure_says_who_was_skipped(way, bus):
    """After policy raise the call is an error and the ones behind it are skipped, with the reason."""
    reports = []

    def publish_inner(event):
        reports.append(bus.publish(Even()))

    def fail(event):
        raise LookupError("no")

    bus.subscribe("test.number", way.handler(publish_inner))
    bus.subscribe(Even, way.handler(fail, 0), policy="raise", name="fail")
    bus.subscribe(Even, way.handler(lambda event: None, 1), name="after")
    with pytest.raises(LookupError):
        way.publish(bus, Number())
    assert [call.outcome for call in reports[0].calls] == ["error", "skipped"]
    assert reports[0].calls[1].reason == "LookupError in fail ended the dispatch"
    assert reports[0].done


def test_nobody_listening_is_unhandled(way, bus):
    """An event without a handler is done, and says `unhandled`."""
    report = way.publish(bus, Number())
    assert (report.done, report.outcome, report.reason, report.calls) == (True, "unhandled", "", [])


def test_a_redefined_event_class_is_named(way, bus):
    """When the class was defined anew, the report says who listens to the earlier definition."""

    def define():
        class Placed(Event):
            pass

        return Placed

    earlier, later = define(), define()
    bus.subscribe(earlier, way.handler(lambda event: None), name="Billing.bill")
    report = way.publish(bus, later())
    assert report.outcome == "unhandled"
    assert report.reason.startswith("Billing.bill listens to an earlier definition of Placed")
    assert way.publish(bus, earlier()).outcome == "ok"
    bus.subscribe("placed", way.handler(lambda event: None))
    report = way.publish(bus, later())
    assert report.outcome == "ok"
    assert report.reason.startswith("Billing.bill listens to an earlier definition of Placed")
    assert "earlier definition" in repr(report)


def test_a_redefined_event_class_is_named_when_another_handler_fails(way, bus):
    """What one handler raises does not hide that another one was not called."""

    def define():
        class Placed(Event):
            pass

        return Placed

    earlier, later = define(), define()
    bus.subscribe(earlier, way.handler(lambda event: None), name="Billing.bill")
    bus.subscribe("placed", way.handler(lambda event: 1 / 0))
    report = way.publish(bus, later())
    assert report.outcome == "error"
    assert "earlier definition of Placed" in report.reason


def test_a_bus_that_was_closed_refuses_events(bus):
    """What is published after the end is refused, not quietly unhandled."""
    bus.subscribe(Number, lambda event: None)
    bus.close()
    with pytest.raises(HostClosedError, match=r"test\.number"):
        bus.publish(Number())
    with pytest.raises(HostClosedError):
        asyncio.run(bus.publish_async(Number()))


def test_a_coroutine_returned_by_a_sync_handler_is_an_error(bus):
    """A coroutine that nobody would await is closed and reported, never dropped with a warning."""

    async def work(event):
        pass

    bus.subscribe(Number, lambda event: work(event), name="careless")
    bus.subscribe(Number, lambda event: work(event), name="slow", timeout=9)
    report = bus.publish(Number())
    assert [str(call.error).partition(":")[0] for call in report.errors] == [
        f"{name} returned a coroutine that nobody awaits" for name in ("careless", "slow")
    ]


def test_a_disconnected_handler_is_called_no_more(way, bus):
    """Not for later events, not for those in the queue, not even for the rest of the running dispatch."""
    ran, queued = [], []

    def first(event):
        ran.append(("first", event.n))
        if event.n == 0:
            queued.append(bus.publish(Number(n=1)))
            disconnect()
            disconnect()  # a second time does nothing

    bus.subscribe(Number, way.handler(first, 0))
    disconnect = bus.subscribe(Number, way.handler(lambda event: ran.append("second"), 1), name="second")
    report = way.publish(bus, Number())
    assert ran == [("first", 0), ("first", 1)]
    gone = report.calls[1]
    assert (gone.outcome, gone.reason) == ("skipped", "it was disconnected before its turn")
    assert len(queued[0].calls) == 1


def test_an_event_goes_to_whoever_listens_when_its_turn_comes(way, bus):
    """Who subscribes while it is queued hears it, with a seq for the call, however many they are."""
    ran = []

    def first(event):
        if event.n == 0:
            queued.append(bus.publish(Even(n=1)))
            for place in range(1030):
                bus.subscribe(Even, way.handler(lambda event: ran.append(event.n), place))

    queued = []
    bus.subscribe("test.number", way.handler(first, 0))
    way.publish(bus, Number())
    assert ran == [1] * 1030
    assert len({call.seq for call in queued[0].calls}) == 1030
    assert queued[0].outcome == "ok"


def test_more_calls_than_a_block_of_seqs_holds(way, bus):
    """With more than 1,023 handlers every call still has a seq of its own."""
    ran = []
    for place in range(1100):
        bus.subscribe(Number, way.handler(lambda event, place=place: ran.append(place), place))
    report = way.publish(bus, Number())
    assert ran == list(range(1100))
    assert len(report.calls) == 1100
    if report.seq:
        seqs = {call.seq for call in report.calls}
        assert len(seqs) == 1100
        other = bus.publish(Number())
        assert not seqs & {other.seq, *(call.seq for call in other.calls)}


@pytest.mark.parametrize("wrong", [Number, None, 3, "test.number", {}])
def test_what_is_not_an_event_is_refused(way, bus, wrong):
    """A class, a text or anything else is refused, saying what publish takes."""
    with pytest.raises(EventError, match="publish takes an event"):
        way.publish(bus, wrong)
    assert way.publish(bus, Number()).done


def test_a_handler_may_be_any_callable(bus):
    """Bound methods, partials and objects work, sync and async."""
    from functools import partial, wraps

    class Object:
        def __call__(self, event):
            return "sync object"

    class AsyncObject:
        async def __call__(self, event):
            return "async object"

        async def method(self, extra, event):
            return f"async {extra}"

    bus.subscribe(Number, Object())
    bus.subscribe(Number, AsyncObject())
    bus.subscribe(Number, partial(AsyncObject().method, "partial"))
    bus.subscribe(Number, partial(max, Number(n=1), key=lambda event: event.n))
    bus.subscribe(Number, wraps(lambda event, books: 1)(lambda event: "wrapped"))
    report = bus.publish(Number())
    assert [call.result for call in report.calls] == [
        "sync object",
        "async object",
        "async partial",
        Number(n=1),
        "wrapped",
    ]
    assert [call.handler for call in report.calls][:2] == [
        "test_a_handler_may_be_any_callable.<locals>.Object",
        "test_a_handler_may_be_any_callable.<locals>.AsyncObject",
    ]


async def _async_generator(event):
    yield


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": int}, "cannot listen to"),
        ({"target": Number()}, "cannot listen to"),
        ({"handler": 3}, "must be callable"),
        ({"handler": lambda: 1}, r"called with one event, and this one takes \(\)"),
        ({"handler": lambda event, other: 1}, r"this one takes \(event, other\)"),
        ({"handler": lambda event: (yield)}, "'yield' in it"),
        ({"handler": _async_generator}, "'yield' in it"),
        ({"handler": asyncio.sleep, "thread": True}, "thread=True is for sync handlers"),
        ({"where": 3}, "where must be a sync function"),
        ({"where": asyncio.sleep}, "where must be a sync function"),
        ({"priority": "high"}, "priority must be a number"),
        ({"priority": float("nan")}, "priority must be a number"),
        ({"timeout": 0}, "timeout must be a number of seconds"),
        ({"timeout": "1"}, "timeout must be a number of seconds"),
        ({"policy": "ignore"}, "policy must be one of continue, raise"),
        ({"target": "a..b"}, "not a topic pattern"),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(bus, options, message):
    """What cannot work is refused when it is subscribed, and nothing is left behind."""
    options = {"target": Number, "handler": print, "name": "Billing.bill"} | options
    with pytest.raises(ValueError, match=message):
        bus.subscribe(options.pop("target"), options.pop("handler"), **options)
    assert bus.subscriptions == ()


def test_a_handler_that_exits_ends_the_publish_and_not_the_loop(way, bus):
    """`sys.exit` in a handler comes out of publish, and later coroutines still run."""

    def leave(event):
        raise SystemExit(3)

    disconnect = bus.subscribe(Number, way.handler(leave, 1), name="leave")
    bus.subscribe(Number, way.handler(lambda event: None, 1), name="after")
    with pytest.raises(SystemExit):
        way.publish(bus, Number())
    disconnect()
    assert way.publish(bus, Number()).outcome == "ok"
