"""`ask`: at once, as a child of the asking call; each answer with the plugin and handler it is from."""

import asyncio
import pickle
import threading

import pytest

from plugbook import Host, Plugin, on
from plugbook.errors import AskCycleError, DeadlockError, EventError, HostClosedError, NoAnswerError
from plugbook.events.bus import Bus
from plugbook.events.event import Event
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

from .conftest import Number, Way


class Price(Event, topic="price.asked"):
    item: str = "tea"


class Stock(Event, topic="stock.asked"):
    item: str = "tea"


KINDS = ("sync", "async", "mixed")


@pytest.fixture(params=[(kind, awaits) for kind in KINDS for awaits in (False, True)], ids=str)
def asks(request):
    """Each way to be asked, and to ask from outside of any handler."""
    kind, awaits = request.param

    class Asks:
        handler = staticmethod(Way(kind, awaits).handler)

        def ask(self, who, event, **options):
            return asyncio.run(who.ask_async(event, **options)) if awaits else who.ask(event, **options)

    return Asks()


def returns(value):
    return lambda event: value


def fail(event):
    raise ValueError("no")


# -- answers ----------------------------------------------------------------------------------------


def test_the_first_answer_ends_it(asks, bus):
    """None is no answer; who comes behind the answer is skipped, and the reason says who answered."""
    for place, (name, value) in enumerate([("a", None), ("b", 0), ("c", 5)]):
        bus.subscribe(Price, asks.handler(returns(value), place), name=name, plugin=f"plugin-{name}")
    answer = asks.ask(bus, Price())
    assert (answer.value, answer.plugin, answer.handler) == (0, "plugin-b", "b")
    assert [(call.outcome, call.reason) for call in answer.calls] == [
        ("ok", ""),
        ("ok", ""),
        ("skipped", "b answered"),
    ]
    assert answer.report.outcome == "ok"


def test_all_answers_are_attributed(asks, bus):
    """With all=True every handler is asked, and each answer names its plugin and handler."""
    for place, value in enumerate([None, 1, 2]):
        bus.subscribe(Price, asks.handler(returns(value), place), name=f"h{place}", plugin=f"p{place}")
    answers = asks.ask(bus, Price(), all=True)
    assert answers.values == [1, 2]
    assert [(each.plugin, each.handler) for each in answers] == [("p1", "h1"), ("p2", "h2")]
    assert [call.result for call in answers.calls] == [None, 1, 2]
    assert (len(answers), answers[0].value, [each.value for each in answers[1:]]) == (2, 1, [2])


def test_a_failing_handler_has_not_answered(asks, bus):
    """The next one is asked, and the error is kept."""
    bus.subscribe(Price, asks.handler(fail, 0), name="broken")
    bus.subscribe(Price, asks.handler(returns(3), 1), name="works")
    answer = asks.ask(bus, Price())
    assert (answer.value, answer.handler) == (3, "works")
    assert [(call.handler, str(call.error)) for call in answer.errors] == [("broken", "no")]
    assert answer.report.outcome == "error"


def test_nobody_answering_is_an_error_that_says_what_each_did(asks, bus):
    """It tells None from failing and from being skipped, and the failure is its cause."""
    bus.subscribe(Price, asks.handler(returns(None), 0), name="silent")
    bus.subscribe(Price, asks.handler(fail, 1), name="broken")
    bus.subscribe(Price, asks.handler(returns(1), 2), name="choosy", where=lambda event: False)
    with pytest.raises(NoAnswerError) as caught:
        asks.ask(bus, Price())
    text = str(caught.value)
    assert "nobody answered price.asked: silent returned None; broken failed with ValueError: no" in text
    assert "choosy skipped (where= said no)" in text
    assert isinstance(caught.value.__cause__, ValueError)
    assert pickle.loads(pickle.dumps(caught.value)).topic == "price.asked"


def test_a_default_stands_in_for_an_answer(asks, bus):
    """Nobody's answer is the default, also where nobody listens; None is a default too."""
    assert asks.ask(bus, Price(), default=None).value is None
    bus.subscribe(Price, asks.handler(returns(None)), name="silent")
    answer = asks.ask(bus, Price(), default=7)
    assert (answer.value, answer.plugin, answer.handler) == (7, "", "")
    assert len(answer.calls) == 1
    assert not asks.ask(bus, Price(), all=True)


def test_what_cannot_be_asked_is_refused(bus):
    """A default for all answers, a class, and no event at all; nothing is dispatched."""
    bus.subscribe(Price, fail)
    with pytest.raises(EventError, match="default= is for the first answer"):
        bus.ask(Price(), all=True, default=1)
    with pytest.raises(EventError, match="call it"):
        bus.ask(Price)
    bus.close()
    with pytest.raises(HostClosedError):
        bus.ask(Price())


def test_policy_raise_raises_at_the_asker(asks, bus):
    """The asker gets what the handler raised; who is behind it is skipped."""
    bus.subscribe(Price, asks.handler(fail, 0), name="strict", policy="raise")
    bus.subscribe(Price, asks.handler(returns(1), 1), name="after")
    with pytest.raises(ValueError, match="no"):
        asks.ask(bus, Price())


def test_the_repr_shows_the_answer_and_every_call(bus):
    """Whoever looks at an answer sees who gave it and what the others did."""
    bus.subscribe(Price, returns(3.5), name="Catalog.price", plugin="catalog")
    bus.subscribe(Price, returns(9), name="Other.price", plugin="other")
    lines = repr(bus.ask(Price())).splitlines()
    assert lines[0] == "Answer 3.5 by Catalog.price"
    assert lines[1].split()[:3] == ["Catalog.price", "catalog", "ok"]
    assert lines[2].split() == ["Other.price", "other", "skipped", "Catalog.price", "answered"]
    assert repr(bus.ask(Price(), all=True)).startswith("Answers to price.asked: 2 answers")
    assert "the default, for nobody answered" in repr(bus.ask(Stock(), default=1))


# -- from inside a handler ----------------------------------------------------------------------------


def asking(bus, kind, got, event=Price, **options):
    """A handler of that kind that asks."""

    def ask(_):
        got.append(bus.ask(event(), **options))

    async def ask_async(_):
        got.append(await bus.ask_async(event(), **options))

    return ask if kind in ("sync", "thread") else ask_async


@pytest.mark.parametrize("asker", ["sync", "thread", "async"])
@pytest.mark.parametrize("answerer", ["sync", "async", "thread"])
def test_inside_a_handler_it_is_answered_at_once(bus, asker, answerer):
    """Before the asking handler goes on, before what was queued, and as a child of the asking call."""
    order, got = [], []

    def answer(event):
        order.append("answered")
        bus.publish(Number(n=2))
        return 4

    async def answer_async(event):
        await asyncio.sleep(0)
        return answer(event)

    def first(event):
        bus.publish(Number(n=1))

    bus.subscribe(Stock, first)
    bus.subscribe(Stock, asking(bus, asker, got), name="asker", thread=asker == "thread")
    bus.subscribe(Stock, lambda event: order.append("after the asker"))
    bus.subscribe(
        Price, answer_async if answerer == "async" else answer, name="answer", thread=answerer == "thread"
    )
    bus.subscribe(Number, lambda event: order.append(event.n))
    report = bus.publish(Stock())
    bus.drain()
    assert order == ["answered", "after the asker", 1, 2]
    assert got[0].value == 4
    asked = got[0].report
    assert (asked.parent, asked.root) == (report.calls[1].seq, report.seq)


def test_what_the_answering_handler_publishes_is_its_child(bus):
    """The tree goes from the asking call over the question to the answering call."""
    reports, got = [], []
    bus.subscribe(Stock, asking(bus, "sync", got), name="asker")
    bus.subscribe(Price, lambda event: reports.append(bus.publish(Number())) or 1, name="answer")
    asked = bus.publish(Stock())
    assert reports[0].parent == got[0].calls[0].seq
    assert reports[0].root == asked.seq


def test_after_an_answer_the_asking_call_is_the_cause_again(bus):
    """What is published behind the question is caused by the asker."""
    reports = []

    def asker(event):
        bus.ask(Price())
        reports.append(bus.publish(Number()))

    bus.subscribe(Price, returns(1))
    bus.subscribe(Stock, asker)
    report = bus.publish(Stock())
    assert reports[0].parent == report.calls[0].seq


def test_questions_nest(bus):
    """Who answers may ask somebody else, who may ask again."""

    class Tax(Event):
        pass

    bus.subscribe(Tax, returns(0.1))
    bus.subscribe(Stock, lambda event: bus.ask(Tax()).value + 1)
    bus.subscribe(Price, lambda event: bus.ask(Stock()).value * 2)
    assert bus.ask(Price()).value == pytest.approx(2.2)


# -- what could never end -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async", "thread"])
def test_a_cycle_is_refused_and_printed(bus, kind):
    """A question that is being answered cannot be asked again further down."""
    bus.subscribe(Price, asking(bus, kind, [], Stock), name="Catalog.price", thread=kind == "thread")
    bus.subscribe(Stock, asking(bus, kind, [], Price), name="Warehouse.count", thread=kind == "thread")
    with pytest.raises(NoAnswerError) as caught:
        bus.ask(Price())
    error = caught.value.__cause__
    while not isinstance(error, AskCycleError):
        error = error.__cause__
    assert "price.asked -> Catalog.price -> stock.asked -> Warehouse.count asks price.asked" in str(error)
    assert error.cycle == ("price.asked", "stock.asked", "price.asked")
    assert pickle.loads(pickle.dumps(error)).args == error.args


def test_a_handler_cannot_ask_what_it_is_handling(bus):
    """An event that was published counts as much as one that was asked."""
    bus.subscribe(Price, asking(bus, "sync", []), name="Catalog.price")
    report = bus.publish(Price())
    assert isinstance(report.errors[0].error, AskCycleError)
    assert len(report.calls) == 1


def test_the_same_question_may_be_asked_twice(bus):
    """One after the other is no cycle."""
    bus.subscribe(Price, returns(1))
    bus.subscribe(Stock, lambda event: bus.ask(Price()).value + bus.ask(Price()).value)
    assert bus.ask(Stock()).value == 2


def test_waiting_on_the_loop_for_a_coroutine_is_refused(bus):
    """An async handler that asks without await is told what to write; a sync answer needs no await."""

    async def asker(event):
        return bus.ask(Price()).value

    disconnect = bus.subscribe(Price, Way("async", awaits=False).handler(returns(1)), name="Catalog.price")
    bus.subscribe(Stock, asker)
    with pytest.raises(NoAnswerError) as caught:
        bus.ask(Stock())
    assert isinstance(caught.value.__cause__, DeadlockError)
    assert "Catalog.price needs the host's loop" in str(caught.value.__cause__)
    assert "await ctx.ask_async(event)" in str(caught.value.__cause__)
    disconnect()
    bus.subscribe(Price, returns(2))
    assert bus.ask(Stock()).value == 2


def test_asking_while_ones_own_loop_drives_the_drain_is_refused(bus):
    """A coroutine of the loop that awaits the drain cannot wait for the drain's next turn."""
    reached, done = threading.Event(), threading.Event()

    async def slow(event):
        reached.set()
        await asyncio.to_thread(done.wait, 10)

    async def main():
        publishing = asyncio.ensure_future(bus.publish_async(Number()))
        await asyncio.to_thread(reached.wait, 10)
        with pytest.raises(DeadlockError, match="await"):
            bus.ask(Price())
        asked = asyncio.ensure_future(bus.ask_async(Price()))
        await asyncio.sleep(0)
        done.set()
        await publishing
        return (await asked).value

    bus.subscribe(Number, slow)
    bus.subscribe(Price, returns(5))
    assert asyncio.run(main()) == 5


def test_asking_waits_for_the_handlers_of_another_thread(bus):
    """Elsewhere than in a handler, the question takes its turn."""
    reached, go_on, order = threading.Event(), threading.Event(), []

    def slow(event):
        reached.set()
        assert go_on.wait(10)
        order.append("slow")

    bus.subscribe(Number, slow)
    bus.subscribe(Price, lambda event: order.append("asked") or 1)
    thread = threading.Thread(target=bus.publish, args=(Number(),))
    thread.start()
    assert reached.wait(10)
    threading.Timer(0, go_on.set).start()
    assert bus.ask(Price()).value == 1
    thread.join()
    assert order == ["slow", "asked"]


def test_an_interrupt_while_answering_ends_both_calls(bus):
    """The question and the asking event are closed, and the next one goes as ever."""

    def interrupted(event):
        raise KeyboardInterrupt

    disconnect = bus.subscribe(Price, interrupted, name="answer")
    got = []
    bus.subscribe(Stock, asking(bus, "sync", got), name="asker")
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Stock())
    disconnect()
    bus.subscribe(Price, returns(1))
    bus.publish(Stock())
    assert got[0].value == 1


def test_cancelling_the_asker_cancels_who_answers(bus):
    """A timeout of the asking handler ends the answering one, and the drain goes on."""
    ended = []

    async def answer(event):
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    bus.subscribe(Price, answer, name="answer")
    bus.subscribe(Stock, asking(bus, "async", []), name="asker", timeout=0.05)
    assert bus.publish(Stock()).outcome == "timeout"
    assert ended == [True]


# -- on a host, and in the recording --------------------------------------------------------------------


class Catalog(Plugin):
    @on(Price)
    def price(self, event):
        return 3.5 if event.item == "tea" else None


def test_plugins_ask_while_they_start_too():
    """Inside a sync or async start nobody's turn has to be waited for."""
    got = []

    class Sync(Plugin, requires=["catalog"]):
        def start(self, ctx):
            got.append(ctx.ask(Price()).value)

    class Async(Plugin, requires=["sync"]):
        async def start(self, ctx):
            got.append((await ctx.ask_async(Price())).value)
            await ctx.publish_async(Number())

    with Host([Catalog, Sync, Async]) as host:
        host.start()
    assert got == [3.5, 3.5]


def test_a_question_is_recorded_with_its_answer(tmp_path):
    """The event has the result and who gave it; its parent is the asking call."""

    class Shop(Plugin, requires=["catalog"]):
        @on(Stock)
        def count(self, event):
            return self.ctx.ask(Price(item=event.item), default=0).value

    with Host([Catalog, Shop]) as host:
        host.start()
        recording = host.record(tmp_path / "run.plugbook")
        host.publish(Stock())
        host.ask(Price(item="milk"), all=True)
        asked, unanswered = recording.select(topics="price.asked", kinds="event").records()
        call = next(iter(recording.select(topics="stock.asked", kinds="call").records()))
    assert (asked.parent, asked.plugin) == (call.seq, "shop")
    assert (asked.outcome, asked.result, asked.reason) == ("ok", 3.5, "asked: Catalog.price answered")
    assert (unanswered.result, unanswered.reason) == (None, "asked: nobody answered")


def test_an_unheard_question_is_unhandled():
    """Nobody listening is told apart from nobody answering."""
    bus = Bus(Recorder(Store.memory()))
    report = bus.ask(Price(), default=1).report
    assert report.outcome == "unhandled"
    assert report.reason.startswith("asked: nobody answered")
