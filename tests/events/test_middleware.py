"""Middleware: layers around a handler, each a call of its own in the report and in the recording."""

import asyncio
import functools
import threading

import pytest

from plugbook.errors import EventError
from plugbook.events.bus import Bus
from plugbook.events.middleware import Layer, guard, retry, timing
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

from .conftest import Even, Number, Way, until

KINDS = [
    Way(kind, awaits, timing)
    for kind in ("sync", "async")
    for awaits in (False, True)
    for timing in (True, False)
]


@pytest.fixture(params=KINDS, ids=str)
def way(request):
    """Each kind of handler that can have layers, and each way to publish."""
    return request.param


def layer_of(way, function, name="layer"):
    """A middleware of the handler's kind; `function` gets the event and a function that gives the result."""

    def sync(event, call_next):
        return function(event, lambda event: call_next(event))

    async def in_async(event, call_next):
        await asyncio.sleep(0)
        results = {}

        def later(event):
            results["event"] = event
            raise _Later

        try:
            return function(event, later)
        except _Later:
            result = await call_next(results["event"])
            return function(event, lambda event: result)

    chosen = in_async if way.kind == "async" else sync
    chosen.__name__ = name
    return chosen


class _Later(Exception):
    """Stops the first half of a layer at its call of what is behind."""


def shape(report):
    """Depth, name, outcome and result of each call."""
    return [(call.depth, call.handler, call.outcome, call.result) for call in report.calls]


# -- nesting ----------------------------------------------------------------------------------------


def test_layers_are_called_from_the_outside_in(way, bus):
    """Each layer is a call inside the one around it; the result comes from the innermost that gives it."""
    outer = layer_of(way, lambda event, call_next: call_next(event), "outer")
    inner = layer_of(way, lambda event, call_next: call_next(event) + 1, "inner")
    bus.subscribe(Number, way.handler(lambda event: event.n), name="h", middleware=(outer, inner), plugin="p")
    report = way.publish(bus, Number(n=1))
    assert shape(report) == [(0, "outer(h)", "ok", None), (1, "inner(h)", "ok", 2), (2, "h", "ok", 1)]
    assert [call.reason for call in report.calls] == ["", "replaced the result", ""]
    assert {call.plugin for call in report.calls} == {"p"}
    assert (report.done, report.outcome) == (True, "ok")
    spans = [call.duration_ns for call in report.calls]
    assert spans == sorted(spans, reverse=True)


def test_handlers_without_layers_are_called_beside_them(way, bus):
    """The order of handlers is what it is without middleware, and each result is its own."""
    bus.subscribe(Number, way.handler(lambda event: "plain"), name="first")
    bus.subscribe(Number, way.handler(lambda event: "layered"), name="second", middleware=[timing()])
    bus.subscribe(Number, way.handler(lambda event: "skipped"), name="third", where=lambda event: False)
    assert shape(way.publish(bus, Number())) == [
        (0, "first", "ok", "plain"),
        (0, "timing(second)", "ok", None),
        (1, "second", "ok", "layered"),
        (0, "third", "skipped", None),
    ]


def test_a_layer_may_change_the_event(way, bus):
    """What is behind it gets what it calls next with."""
    double = layer_of(way, lambda event, call_next: call_next(Number(n=event.n * 2)))
    bus.subscribe(Number, way.handler(lambda event: event.n), middleware=[double], name="h")
    assert way.publish(bus, Number(n=4)).calls[1].result == 8


def test_a_layer_that_does_not_call_next_is_a_short_circuit(way, bus):
    """The handler is skipped, and the reason says which layer answered."""
    cached = layer_of(way, lambda event, call_next: 7, "cached")
    ran = []
    bus.subscribe(Number, way.handler(ran.append), name="h", middleware=[timing(), cached, retry()])
    report = way.publish(bus, Number())
    assert shape(report) == [
        (0, "timing(h)", "ok", None),
        (1, "cached(h)", "ok", 7),
        (2, "retry(h)", "skipped", None),
        (3, "h", "skipped", None),
    ]
    assert [call.reason for call in report.calls[1:]] == [
        "did not call what is behind it",
        "cached answered",
        "cached answered",
    ]
    assert ran == []


def test_an_error_is_that_of_the_layer_that_raised_it(way, bus):
    """A layer around it has passed it on; whoever is behind was not called."""

    def fail(event, call_next):
        raise LookupError("no")

    broken = layer_of(way, fail, "broken")
    bus.subscribe(Number, way.handler(lambda event: 1), name="h", middleware=[timing(), broken])
    bus.subscribe(Number, way.handler(lambda event: 2), name="other")
    report = way.publish(bus, Number())
    assert [(call.handler, call.outcome, call.reason) for call in report.calls] == [
        ("timing(h)", "ok", "passed the error on"),
        ("broken(h)", "error", ""),
        ("h", "skipped", "broken failed"),
        ("other", "ok", ""),
    ]
    assert report.outcome == "error"
    assert [type(call.error) for call in report.errors] == [LookupError]


def test_a_predicate_is_asked_before_any_layer(way, bus):
    """Where it says no, or raises, no layer is called."""
    ran = []
    bus.subscribe(
        Number,
        way.handler(ran.append),
        name="h",
        middleware=[timing(tell=ran.append)],
        where=lambda e: 1 / e.n,
    )
    bus.subscribe(Number, way.handler(ran.append), name="g", middleware=[timing()], where=lambda e: False)
    report = way.publish(bus, Number())
    assert [(call.handler, call.outcome) for call in report.calls] == [("h", "error"), ("g", "skipped")]
    assert isinstance(report.calls[0].error, ZeroDivisionError)
    assert ran == []


def test_policy_raise_raises_through_the_layers(way, bus):
    """The error leaves `publish`; the calls behind it are skipped."""

    def fail(event):
        raise LookupError("stop")

    reports = []
    bus.subscribe(Even, way.handler(lambda event: None), name="before")
    bus.subscribe(Even, way.handler(fail), name="h", middleware=[timing()], policy="raise")
    bus.subscribe(Even, way.handler(lambda event: None), name="after", middleware=[timing()])
    bus.subscribe("test.number", lambda event: reports.append(bus.publish(Even())))
    with pytest.raises(LookupError, match="stop"):
        way.publish(bus, Number(n=9))
    assert [(call.handler, call.outcome) for call in reports[0].calls] == [
        ("before", "ok"),
        ("timing(h)", "ok"),
        ("h", "error"),
        ("after", "skipped"),
    ]
    assert reports[0].calls[3].reason == "LookupError in h ended the dispatch"
    assert reports[0].outcome == "error"


def test_what_a_layer_publishes_is_caused_by_its_call(way, bus):
    """And what the handler publishes by the handler's."""
    reports = {}

    def publish(event, call_next):
        result = call_next(event)
        reports["layer"] = bus.publish(Even())
        return result

    def handler(event):
        reports["handler"] = bus.publish(Even())

    bus.subscribe("test.number", way.handler(handler), name="h", middleware=[layer_of(way, publish)])
    calls = way.publish(bus, Number()).calls
    assert (reports["layer"].parent, reports["handler"].parent) == (calls[0].seq, calls[1].seq)


def test_disconnecting_lets_go_of_the_layers(way, bus):
    """A report that is kept keeps neither the handler nor its middleware, and nobody is called any more."""
    ran = []
    disconnect = bus.subscribe(Number, way.handler(ran.append), name="h", middleware=[timing()])
    subscription = bus.subscriptions[0]
    kept = way.publish(bus, Number())
    disconnect()
    assert subscription.middleware == ()
    assert not any(hasattr(call, "layers") for call in kept.plan.calls)
    assert way.publish(bus, Number()).calls == []
    assert len(ran) == 1


# -- time limits, threads, interrupts ----------------------------------------------------------------


def test_a_time_limit_holds_for_all_layers_together(bus):
    """The outermost layer has timed out, and the handler inside was cancelled."""

    async def forever(event):
        await asyncio.sleep(30)

    bus.subscribe(Number, forever, name="h", middleware=[retry(2)], timeout=0.02)
    bus.subscribe(Number, lambda event: 1, name="after")
    report = bus.publish(Number())
    assert [(call.handler, call.outcome) for call in report.calls] == [
        ("retry(h)", "timeout"),
        ("h", "cancelled"),
        ("after", "ok"),
    ]
    assert (report.outcome, report.reason) == ("timeout", "h: took more than 0.02 s")


def test_a_thread_that_is_left_behind_writes_nothing_more(bus):
    """Its calls end when its time is up, and what it does later is not recorded."""
    go_on, ended = threading.Event(), threading.Event()

    def stuck(event):
        go_on.wait(10)

    def layer(event, call_next):
        call_next(event)
        call_next(event)
        ended.set()

    bus.subscribe(Number, stuck, name="h", middleware=[layer], thread=True, timeout=0.02)
    report = bus.publish(Number())
    before = list(report.ticks)
    assert [(call.handler, call.outcome) for call in report.calls] == [
        ("layer(h)", "timeout"),
        ("h", "timeout"),
    ]
    go_on.set()
    assert ended.wait(10)
    assert report.ticks == before


def test_a_late_sync_handler_is_marked(bus):
    """With layers as without."""
    bus.subscribe(Number, lambda event: 5, name="h", middleware=[timing()], timeout=1e-9)
    report = bus.publish(Number())
    assert (report.outcome, report.calls[0].outcome) == ("timeout", "timeout")
    assert bus.ask(Number()).value == 5


def test_an_interrupt_closes_every_layer(bus):
    """The calls under way are cancelled, those behind skipped, and the next event goes as ever."""
    reports = []

    def interrupted(event):
        raise KeyboardInterrupt

    bus.subscribe(Even, interrupted, name="h", middleware=[timing()])
    bus.subscribe(Even, print, name="after", middleware=[timing()])
    bus.subscribe("test.number", lambda event: reports.append(bus.publish(Even())))
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Number(n=9))
    assert [(call.handler, call.outcome) for call in reports[0].calls] == [
        ("timing(h)", "ok"),
        ("h", "cancelled"),
        ("after", "skipped"),
    ]
    assert reports[0].outcome == "cancelled"
    assert reports[0].done


# -- the stock layers ---------------------------------------------------------------------------------


def failing(times, error=ValueError):
    """A handler that fails so often, and then gives its number of calls."""
    calls = []

    def handler(event):
        calls.append(event)
        if len(calls) <= times:
            raise error(f"attempt {len(calls)}")
        return len(calls)

    return handler


def test_retry_calls_again_what_fails(way, bus):
    """Each attempt is a call; the event is not an error, and its reason says who handled one."""
    bus.subscribe(Number, way.handler(failing(2)), name="h", middleware=[retry(2)])
    report = way.publish(bus, Number())
    assert shape(report) == [
        (0, "retry(h)", "ok", None),
        (1, "h", "error", None),
        (1, "h", "error", None),
        (1, "h", "ok", 3),
    ]
    assert report.calls[0].reason == "retry 2 of 2"
    assert (report.outcome, report.reason) == ("ok", "retry handled an error of h")


def test_retry_gives_up_with_the_last_error(way, bus):
    """After so many retries the failure is the event's."""
    bus.subscribe(Number, way.handler(failing(5)), name="h", middleware=[retry(1)])
    report = way.publish(bus, Number())
    assert [str(call.error) for call in report.errors] == ["attempt 1", "attempt 2"]
    assert report.calls[0].reason == "retry 1 of 1; passed the error on"
    assert report.outcome == "error"


def test_retry_lets_other_errors_through(way, bus):
    """Only what it is for is tried again."""
    bus.subscribe(
        Number, way.handler(failing(1, LookupError)), name="h", middleware=[retry(2, retry_on=(ValueError,))]
    )
    assert [call.outcome for call in way.publish(bus, Number()).calls] == ["ok", "error"]


def test_timing_tells_what_takes_long(way, bus, caplog):
    """What is over the limit is in the record, in the log, and told; what is under it is not."""
    told = []
    slow, quick = timing(over=0.0, tell=lambda name, seconds: told.append(name)), timing(over=60)
    bus.subscribe(Number, way.handler(lambda event: None), name="h", middleware=[slow, quick])
    report = way.publish(bus, Number())
    assert "more than 0 s" in report.calls[0].reason
    assert report.calls[1].reason == ""
    assert told == ["h"]
    assert "h took" in caplog.text


def test_guard_keeps_events_from_a_handler(way, bus):
    """The record says which predicate said no, and that the handler was not called."""

    def is_big(event):
        return event.n > 5

    bus.subscribe(Number, way.handler(lambda event: event.n), name="h", middleware=[guard(is_big, default=0)])
    report = way.publish(bus, Number(n=1))
    assert shape(report) == [(0, "guard(h)", "ok", 0), (1, "h", "skipped", None)]
    assert report.calls[0].reason == "is_big said no; did not call what is behind it"
    assert way.publish(bus, Number(n=6)).calls[1].result == 6


def test_guard_keeps_failures_from_everybody_else(way, bus):
    """The handler's error stays its own, and the event is fine."""
    bus.subscribe(Number, way.handler(failing(9)), name="h", middleware=[guard(ValueError, default="none")])
    report = way.publish(bus, Number())
    assert [(call.outcome, call.result, call.reason) for call in report.calls] == [
        ("ok", "none", "handled the error"),
        ("error", None, ""),
    ]
    assert (report.outcome, report.reason) == ("ok", "guard handled an error of h")


@pytest.mark.parametrize(
    "make",
    [
        lambda: retry(0),
        lambda: retry(True),
        lambda: retry(101),
        lambda: retry(backoff=-1),
        lambda: retry(backoff=float("nan")),
        lambda: retry(retry_on=int),
        lambda: retry(retry_on=()),
        lambda: timing(over=-1),
        lambda: timing(tell=5),
        lambda: guard(),
        lambda: guard(5),
        lambda: guard(int),
        lambda: guard(asyncio.sleep),
    ],
)
def test_a_layer_that_cannot_be_is_refused(make):
    """Where it is made, and not when the first event arrives."""
    with pytest.raises(EventError):
        make()


# -- what is given ------------------------------------------------------------------------------------


def test_sync_and_async_cannot_be_mixed(bus):
    """The message says which is which, and what to write; nothing is subscribed."""

    async def around(event, call_next):
        return await call_next(event)

    async def handler(event): ...

    with pytest.raises(EventError, match="the middleware around is async, and the handler is sync"):
        bus.subscribe(Number, print, middleware=[around])
    with pytest.raises(EventError, match="is sync, and the handler is async"):
        bus.subscribe(Number, handler, middleware=[lambda event, call_next: None])
    for wrong in (retry, 5):
        with pytest.raises(EventError, match="function of event and call_next"):
            bus.subscribe(Number, print, middleware=[wrong])
    with pytest.raises(EventError, match=r"write middleware=\["):
        bus.subscribe(Number, print, middleware=retry())
    assert bus.subscriptions == ()


def test_a_forgotten_await_is_the_layers_error(bus):
    """A sync handler that gives a coroutine is told so, inside its layers too."""

    async def later(event): ...

    bus.subscribe(Number, lambda event: later(event), name="h", middleware=[timing()])
    assert isinstance(bus.publish(Number()).calls[1].error, EventError)


def test_an_async_layer_that_forgets_await_is_refused(bus):
    """What it gives is closed, the handler is shown as skipped, and the layer outside it may handle the error."""

    async def handler(event): ...

    async def hasty(event, call_next):
        return call_next(event)

    async def busy(event, call_next):
        return asyncio.create_task(call_next(event))

    for layer in (hasty, busy):
        disconnect = bus.subscribe(Number, handler, name="h", middleware=[guard(EventError), layer])
        calls = bus.publish(Number()).calls
        assert [call.outcome for call in calls] == ["ok", "error", "skipped"]
        with pytest.raises(EventError, match=r"returned what nobody awaits: write await call_next\(event\)"):
            raise calls[1].error
        disconnect()


def test_a_result_that_can_be_awaited_is_the_handlers_to_give(bus):
    """A layer that hands on what the handler gave has forgotten nothing."""
    tasks = []

    async def handler(event):
        tasks.append(asyncio.create_task(asyncio.sleep(0)))
        return tasks[0]

    bus.subscribe(Number, handler, name="h", middleware=[timing()])
    report = bus.publish(Number())
    assert [call.outcome for call in report.calls] == ["ok", "ok"]
    assert report.calls[1].result is tasks[0]


def test_own_layers_have_names(bus):
    """A partial is called as its function, an object as its class, a `Layer` as it says."""

    def tag(event, call_next, what):
        return call_next(event)

    class Own(Layer):
        name = "own"

        def __call__(self, event, call_next):
            return call_next(event)

    class Around:
        def __call__(self, event, call_next):
            return call_next(event)

    bus.subscribe(Number, print, name="h", middleware=[functools.partial(tag, what=1), Own(), Around()])
    names = [call.handler for call in bus.publish(Number()).calls]
    assert names == ["tag(h)", "own(h)", "Around(h)", "h"]


# -- asked, and recorded --------------------------------------------------------------------------------


def test_an_answer_is_attributed_to_who_gave_it(way, bus):
    """To the handler where layers only pass it on, to the layer that answers in its place."""
    bus.subscribe(Number, way.handler(lambda event: None), name="none", middleware=[timing()])
    bus.subscribe(
        Number, way.handler(lambda event: 1), name="h", middleware=[guard(lambda event: event.n, default=0)]
    )
    ask = (lambda event: asyncio.run(bus.ask_async(event))) if way.awaits else bus.ask
    assert (ask(Number()).value, ask(Number()).handler) == (0, "guard(h)")
    assert (ask(Number(n=1)).value, ask(Number(n=1)).handler) == (1, "h")


def test_each_layer_is_recorded_inside_the_one_around_it(way, tmp_path):
    """What is read from a recording is what the report said, seqs and all."""
    recorder = Recorder(Store.create(tmp_path / "run.plugbook"))
    bus = Bus(recorder)
    bus.subscribe(Number, way.handler(failing(1)), name="h", middleware=[timing(), retry()], plugin="p")
    bus.subscribe(Number, way.handler(lambda event: 2), name="plain")
    report = way.publish(bus, Number())
    handled = way.publish(bus, Number())
    recorder.flush()
    told = [
        (record.seq, record.name, record.outcome, record.result, record.reason, record.duration_ns)
        for record in recorder.recording.select(kinds="call").records()
    ]
    assert told == [
        (call.seq, call.handler, call.outcome, call.result, call.reason, call.duration_ns)
        for each in (report, handled)
        for call in each.calls
    ]
    events = list(recorder.recording.select(kinds="event").records())
    assert [(event.outcome, event.reason) for event in events] == [
        ("ok", "retry handled an error of h"),
        ("ok", ""),
    ]
    assert len(recorder.recording.calls()) == 9
    recorder.close()
    assert bus.loop.close() == []


def test_layers_are_recorded_while_they_run(bus):
    """A reader of a running event sees the calls that are open, the innermost of them as the one that runs."""
    seen = []

    def look(event):
        report = bus._drain.current
        seen.append(([call.outcome for call in report.calls], report.running_name(), report.outcome))

    bus.subscribe(Number, look, name="h", middleware=[timing()])
    report = bus.publish(Number())
    until(lambda: report.done)
    assert seen == [(["open", "open"], "h", "open")]
    assert repr(report).splitlines()[2].startswith("    h")
