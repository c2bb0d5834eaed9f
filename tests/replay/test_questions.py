"""Questions in a replay: each is asked and answered once, in the place of the recorded one."""

from __future__ import annotations

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import EffectReplayError

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Ordered(Event):
    number: int


class Price(Event):
    number: int


class Looked(Event):
    number: int


WORLD: list[int] = []


def fetch(number: int) -> float:
    WORLD.append(number)
    return number * 1.5 + len(WORLD)


class Prices(Plugin):
    """Answers by an effect, and publishes that it was asked."""

    def start(self, ctx):
        self.asked = []

    @on(Price)
    def price(self, event):
        self.asked.append(event.number)
        self.ctx.publish(Looked(number=event.number))
        return self.ctx.effect(fetch, event.number)


def shop(numbers_of, *, is_async: bool = False) -> type[Plugin]:
    """A plugin that asks, for each order, the prices of the numbers that a function says."""

    class Shop(Plugin):
        def start(self, ctx):
            self.got = []
            ctx.subscribe(Ordered, self.take_later if is_async else self.take)

        def take(self, event):
            for number in numbers_of(event.number):
                answer = self.ctx.ask(Price(number=number), default=None)
                self.got.append(answer.value or answer.errors[0].error)

        async def take_later(self, event):
            for number in numbers_of(event.number):
                self.got.append((await self.ctx.ask_async(Price(number=number))).value)

    return Shop


def said(host: Host) -> tuple[list[int], list[float]]:
    """What was asked, and what was answered."""
    return host.plugins["prices"].instance.asked, host.plugins["shop"].instance.got


@pytest.fixture
def first():
    """A host that has handled three orders, each with questions."""
    hosts = []

    def record(plugin: type[Plugin]) -> Host:
        host = Host([Prices, plugin])
        hosts.append(host)
        host.start()
        for number in range(3):
            host.publish(Ordered(number=number))
        return host

    yield record
    for host in hosts:
        host.close()


def replayed(first: Host, plugin: type[Plugin], *, in_steps: bool = False):
    """Replay it to fresh plugins: what was asked, what was answered, and the result; the world is not touched."""
    touched = len(WORLD)
    with Host([Prices, plugin]) as host, host.replay(first.recording, rate=None) as player:
        host.start()
        while in_steps and player.step():
            pass
        player.play()
        asked, got = said(host)
        assert len(WORLD) == touched
        return asked, got, player.result


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("in_steps", [False, True])
def test_questions_are_answered_once_and_as_recorded(first, is_async, in_steps):
    """Those who answer are called once a question, what they ask the world for is given back, and nothing differs."""
    asking = shop(lambda number: range(number + 1), is_async=is_async)
    host = first(asking)
    asked, got, result = replayed(host, asking, in_steps=in_steps)
    assert (asked, got) == said(host)
    assert asked == [0, 0, 1, 0, 1, 2]
    assert result.same, result
    assert (result.matched, result.effects.matched) == (12, 6)
    assert result.published == 3 + 6 + 6


def test_another_question_differs_and_one_more_is_extra(first):
    """A question that the recording does not have is answered without touching the world."""
    numbers = {0: [1], 1: [2], 2: []}
    asking = shop(lambda number: numbers[number])
    host = first(asking)
    numbers.update({1: [3], 2: [4]})
    asked, got, result = replayed(host, asking)
    assert asked == [1, 3, 4]
    assert got[:2] == said(host)[1]
    assert isinstance(got[2], EffectReplayError)
    kinds = [(each.kind, each.topic, each.replayed) for each in result.differences]
    assert ("differs", "price", '{"number":3}') in kinds
    assert ("extra", "price", '{"number":4}') in kinds
    assert (result.effects.differs, result.effects.extra) == (1, 1)


def test_a_question_that_nobody_asks_any_more_is_missing(first):
    """Who answered it still gets it, as plugins get every recorded event."""
    numbers = {0: [1], 1: [2], 2: [3]}
    asking = shop(lambda number: numbers[number])
    host = first(asking)
    numbers[1] = []
    asked, got, result = replayed(host, asking)
    assert asked == [1, 2, 3]
    assert len(got) == 2
    assert [each.kind for each in result.differences] == ["missing"]


def test_questions_inside_questions(first):
    """Who answers may ask in turn; each question stands for the recorded one of the same call."""

    class Tax(Event):
        number: int

    class Taxes(Plugin):
        @on(Tax)
        def tax(self, event):
            return self.ctx.effect(fetch, -event.number)

    class Taxed(Prices, name="prices"):
        @on(Price)
        def price(self, event):
            self.asked.append(event.number)
            return self.ctx.ask(Tax(number=event.number + 1)).value + self.ctx.ask(Tax(number=0)).value

    asking = shop(lambda number: [number, number])
    plugins = [Taxed, Taxes, asking]
    with Host(plugins) as host, Host(plugins) as again:
        host.start()
        for number in range(2):
            host.publish(Ordered(number=number))
        touched = len(WORLD)
        with again.replay(host.recording, rate=None) as player:
            again.start()
            player.play()
            assert player.result.same, player.result
        assert said(again) == said(host)
        assert len(WORLD) == touched


def test_what_a_person_asks_meanwhile_is_answered_in_the_world(first):
    """A question that does not come out of the replay goes through, with its effects."""
    asking = shop(lambda number: [number])
    host = first(asking)
    touched = len(WORLD)
    with Host([Prices, asking]) as again, again.replay(host.recording, rate=None) as player:
        again.start()
        player.step()
        assert again.ask(Price(number=9)).value == 9 * 1.5 + touched + 1
        player.play()
        assert player.result.same
    assert len(WORLD) == touched + 1
