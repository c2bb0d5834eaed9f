"""Which events reach a handler: filters by who publishes, and throttling."""

import asyncio

import pytest

from plugbook import Host, Plugin, on
from plugbook.errors import EventError, ManifestError

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
