"""Questions in a replay: handlers ask again and are answered here; what comes of it is compared as ever."""

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.events.middleware import retry


class Ordered(Event, topic="tea.ordered"):
    item: str = "tea"


class Price(Event, topic="tea.priced"):
    item: str


class Looked(Event, topic="tea.looked"):
    item: str


class Invoice(Event, topic="tea.billed"):
    amount: float


class Catalog(Plugin):
    """Answers, and publishes while it does."""

    asked = 0

    @on(Price)
    def price(self, event):
        type(self).asked += 1
        self.ctx.publish(Looked(item=event.item))
        return 3.5


class Billing(Plugin, requires=["catalog"]):
    """Asks, and publishes the answer."""

    @on(Ordered)
    def bill(self, event):
        amount = self.ctx.ask(Price(item=event.item)).value
        self.ctx.publish(Invoice(amount=amount))


class Archive(Plugin):
    """Keeps what was published."""

    def start(self, ctx):
        self.kept = []

    @on(Looked)
    @on(Invoice)
    def keep(self, event):
        self.kept.append(type(event).__topic__)


def started(*plugins):
    Catalog.asked = 0
    host = Host(plugins)
    host.start()
    return host


@pytest.fixture
def recording(tmp_path):
    """Three orders, and a question that a person asked."""
    with started(Catalog, Billing, Archive) as host:
        recording = host.record(tmp_path / "run.plugbook")
        for item in ("tea", "milk", "tea"):
            host.publish(Ordered(item=item))
        host.ask(Price(item="by hand"))
        recording.close()
    return recording


def test_what_a_handler_asks_is_asked_again_and_not_published(recording):
    """Each question once; what the answering handler publishes comes at its recorded place, once."""
    with started(Catalog, Billing, Archive) as host:
        archive = host.plugins["archive"].instance
        with host.replay(recording, rate=None) as player:
            result = player.play().result
        assert Catalog.asked == 4
        assert archive.kept == ["tea.looked", "tea.billed"] * 3 + ["tea.looked"]
    assert result.differences == ()
    assert (result.differs, result.missing, result.extra) == (0, 0, 0)
    assert result.matched == 3 * 3 + 1
    assert result.errors == 0


def test_a_question_of_a_person_is_asked_by_the_player(recording):
    """The first answer ends it, as it did in the recording."""

    class Other(Plugin, requires=["catalog"]):
        @on(Price)
        def price(self, event):
            return 9

    with started(Catalog, Billing, Archive, Other) as host, host.replay(recording, rate=None) as player:
        asked = [report for report in player.step(20) if report.topic == "tea.priced"]
    assert len(asked) == 4
    assert {report.reason for report in asked} == {"asked: Catalog.price answered"}
    assert asked[-1].event.item == "by hand"
    assert [call.outcome for call in asked[-1].calls] == ["ok", "skipped"]


def test_without_a_host_questions_are_events_like_others(recording):
    """Who looks at a recording step by step sees them."""
    with recording.player(rate=None) as player:
        assert [record.name for record in player.step(20)].count("tea.priced") == 4


def test_another_question_is_a_difference(recording):
    """Payloads are compared; a question that is not asked is missing, one more is extra."""

    class Changed(Plugin, name="billing", requires=["catalog"]):
        @on(Ordered)
        def bill(self, event):
            if event.item == "milk":
                self.ctx.ask(Price(item="oat milk"))
                self.ctx.ask(Price(item="milk"))
            self.ctx.publish(Invoice(amount=3.5))

    Changed.__name__ = "Billing"
    with started(Catalog, Changed, Archive) as host, host.replay(recording, rate=None) as player:
        result = player.play().result
    of_asking = [each for each in result.differences if each.topic == "tea.priced"]
    assert sorted(each.kind for each in of_asking) == ["differs", "extra", "missing", "missing"]


def test_a_replay_goes_on_from_the_middle(recording):
    """What handlers asked before the place it starts at is not missed."""
    orders = [record.seq for record in recording.select(topics="tea.ordered", kinds="event").records()]
    with (
        started(Catalog, Billing, Archive) as host,
        host.replay(recording, rate=None, seq=orders[2]) as player,
    ):
        result = player.play().result
        assert Catalog.asked == 2
    assert (result.missing, result.extra, result.differs) == (0, 0, 0)


def test_what_was_throttled_is_not_delivered_by_the_player(tmp_path):
    """It reached nobody in the recording; a handler that publishes it again is as recorded."""

    class Chatty(Plugin):
        @on(Ordered)
        def chat(self, event):
            for _ in range(3):
                self.ctx.publish(Invoice(amount=1))

    with started(Chatty, Archive) as host:
        recording = host.record(tmp_path / "run.plugbook")
        host.throttle("tea.billed", per_second=0.001)
        host.publish(Ordered())
        host.publish(Invoice(amount=2))
        recording.close()
    with started(Chatty, Archive) as host:
        archive = host.plugins["archive"].instance
        with host.replay(recording, rate=None) as player:
            result = player.play().result
        assert archive.kept == ["tea.billed"]
    assert (result.matched, result.missing, result.extra) == (3, 0, 0)


def test_layers_replay_as_they_were_recorded(tmp_path):
    """What a handler with middleware publishes is matched, each attempt in its turn."""

    class Shaky(Plugin):
        def start(self, ctx):
            self.calls = 0
            ctx.subscribe(Ordered, self.bill, middleware=[retry(1)])

        def bill(self, event):
            self.calls += 1
            self.ctx.publish(Invoice(amount=self.calls))
            if self.calls == 1:
                raise ConnectionError

    with started(Shaky, Archive) as host:
        recording = host.record(tmp_path / "run.plugbook")
        host.publish(Ordered())
        host.publish(Ordered())
        recording.close()
    with started(Shaky, Archive) as host, host.replay(recording, rate=None) as player:
        result = player.play().result
    assert (result.matched, result.differs, result.missing, result.extra) == (3, 0, 0, 0)


def test_effects_of_an_answering_handler_are_given_back(tmp_path):
    """Who answers once more does not touch the world once more, be it asked by a handler or by a person."""
    touched = []

    def look(item):
        touched.append(item)
        return len(touched)

    class Weather(Plugin):
        @on(Price)
        def answer(self, event):
            return self.ctx.effect(look, event.item)

    class Asker(Plugin):
        @on(Ordered)
        def ask(self, event):
            return self.ctx.ask(Price(item=event.item)).value

    with started(Weather, Asker) as host:
        recording = host.record(tmp_path / "run.plugbook")
        host.publish(Ordered())
        host.ask(Price(item="by hand"))
        recording.close()
    with started(Weather, Asker) as host, host.replay(recording, rate=None) as player:
        reports = player.step(9)
        result = player.result
    assert touched == ["tea", "by hand"]
    assert [report.calls[0].result for report in reports] == [1, 1, 2]
    assert (result.effects.matched, result.effects.extra) == (2, 0)
