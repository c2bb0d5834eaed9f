"""What a host will no longer offer: each plugin that uses it is warned once, recorded, and refused in the end."""

import warnings

import pytest
from pydantic import BaseModel

from plugbook import Event, Host, Plugin, on
from plugbook.errors import (
    ManifestError,
    PlugbookDeprecationWarning,
    PlugbookWarning,
    RemovedError,
    TopicError,
)


class Legacy(Event, topic="order.legacy"):
    pass


class Placed(Event, topic="order.placed"):
    pass


class Books:
    pass


class Ledger(Plugin, version="1.0"):
    def start(self, ctx):
        ctx.provide(Books, Books())


class Listener(Plugin, requires=["ledger"]):
    class Config(BaseModel):
        currency: str = "EUR"

    def start(self, ctx):
        self.books = ctx.get(Books)

    @on(Legacy)
    def old(self, event):
        pass

    @on("order.*")
    def any_order(self, event):
        pass


class Publisher(Plugin):
    @on(Placed)
    def pass_on(self, event):
        self.ctx.publish(Legacy())


def deprecate(host, **thing):
    return host.deprecate(**thing, since="2.1", removal="3.0", use="something new")


def told(caught):
    return [str(each.message) for each in caught]


@pytest.fixture
def host():
    with Host(
        [Ledger, Listener, Publisher], api_version="2.4", config={"listener": {"currency": "USD"}}
    ) as host:
        yield host


USES = {
    "topic": ("order.legacy", ["listener listens to the topic order.legacy"]),
    "service": (Books, ["ledger provides the service Books", "listener gets the service Books"]),
    "plugin": ("ledger", ["listener requires the plugin ledger"]),
    "option": ("listener.currency", ["listener is configured with the option listener.currency"]),
}


@pytest.mark.parametrize("kind", USES)
def test_a_use_is_warned_of_once_and_recorded(host, kind):
    """The warning names the plugin, the thing, when it goes and what to use; starting again says nothing new."""
    thing, said = USES[kind]
    made = deprecate(host, **{kind: thing})
    with pytest.warns(PlugbookDeprecationWarning) as caught:
        host.start()
    rest = ", which is deprecated since API version 2.1 of this host and will be gone with 3.0. Use something new instead."
    assert told(caught) == [text + rest for text in said]
    assert host.deprecations == {made: tuple(text.partition(" ")[0] for text in said)}
    host.recording.flush()
    records = [each for each in host.recording.select(kinds="change") if each.name == "deprecated"]
    assert [(each.plugin, each.reason) for each in records] == [
        (text.partition(" ")[0], text + rest) for text in said
    ]
    host.restart("ledger")


def test_a_publisher_is_warned_when_it_publishes(host):
    """Who publishes a deprecated topic is found out by doing so; a pattern such as order.* says nothing."""
    deprecate(host, topic="order.legacy")
    with pytest.warns(PlugbookDeprecationWarning, match="^listener listens"):
        host.start()
    with pytest.warns(PlugbookDeprecationWarning, match="^publisher publishes the topic order.legacy"):
        host.publish(Placed())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not host.publish(Placed()).errors


def test_plugins_that_are_active_are_warned_at_once(host):
    """A deprecation that comes later finds those that listen, and those that publish from then on."""
    host.start()
    with pytest.warns(PlugbookDeprecationWarning, match="^listener listens"):
        deprecate(host, topic="*.legacy")
    with pytest.warns(PlugbookDeprecationWarning, match="^publisher publishes"):
        host.publish(Placed())


@pytest.mark.parametrize("kind", USES)
def test_what_is_gone_is_refused(kind):
    """From its removal on, a plugin that uses it fails to start, and why says what to use instead."""
    thing, said = USES[kind]
    options = {"listener": {"currency": "USD"}}
    with Host([Ledger, Listener, Publisher], api_version="3.0", config=options) as host:
        deprecate(host, **{kind: thing})
        changes = host.start()
        user = said[0].partition(" ")[0]
        assert isinstance(changes.failed[user], RemovedError)
        expected = f"{said[0]}, which API version 3.0 of this host removed. Use something new instead."
        assert expected in str(host.why(user))
        assert host.states["publisher"] == "active"


@pytest.fixture(params=["file", "environment"])
def place(request, tmp_path, monkeypatch):
    """The keywords of a host whose listener is configured elsewhere than in the call."""
    if request.param == "environment":
        monkeypatch.setenv("PLUGBOOK_LISTENER__CURRENCY", "USD")
        return {}
    (tmp_path / "shop.toml").write_text("[listener]\ncurrency = 'USD'\n")
    return {"config_file": tmp_path / "shop.toml"}


def test_an_option_is_noticed_wherever_it_is_given(place):
    """The file and the environment count like the host's own config, before its removal and after."""
    with Host([Ledger, Listener], api_version="2.4", **place) as host:
        deprecate(host, option="listener.currency")
        with pytest.warns(PlugbookDeprecationWarning, match=r"configured with the option listener\.currency"):
            host.start()
    with Host([Ledger, Listener], api_version="3.0", **place) as host:
        deprecate(host, option="listener.currency")
        assert isinstance(host.start().failed["listener"], RemovedError)


def test_a_live_edit_of_an_option_is_noticed():
    """It is warned of once, and refused when the option is gone; the plugin stays as it is."""
    with Host([Ledger, Listener], api_version="2.4") as host:
        deprecate(host, option="listener.currency")
        host.start()
        with pytest.warns(PlugbookDeprecationWarning, match=r"configured with the option listener\.currency"):
            host.configure("listener", currency="USD")
        host.configure("listener", currency="CHF")
    with Host([Ledger, Listener], api_version="3.0") as host:
        deprecate(host, option="listener.currency")
        host.start()
        with pytest.raises(RemovedError, match=r"API version 3\.0 of this host removed"):
            host.configure("listener", currency="USD")
        assert host.plugins["listener"].config.currency == "EUR"


def test_publishing_what_is_gone_fails_the_call():
    """The handler that does so fails, and nothing is published."""
    with Host([Publisher], api_version="3.1") as host:
        deprecate(host, topic="order.legacy")
        host.start()
        report = host.publish(Placed())
        assert "API version 3.0 of this host removed" in str(report.errors[0])


def test_a_context_is_as_it_was_where_nothing_is_deprecated(host):
    """The feature costs nothing while it is not used."""
    host.start()
    assert "publish" not in vars(host.plugins["publisher"].context)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, "nothing was given"),
        ({"topic": "a", "plugin": "b"}, "topic, plugin was given"),
        ({"service": "Books"}, "Give the type"),
        ({"topic": Books}, "Give its name as text"),
        ({"topic": "a", "removal": "2.1"}, "Let it go with a later version"),
        ({"topic": "a", "since": "old"}, "'old' is not a version"),
        ({"topic": "a b"}, "not a topic pattern"),
    ],
)
def test_a_deprecation_that_cannot_be_is_refused(host, keywords, said):
    """It says what to write, and nothing is deprecated."""
    with pytest.raises((ManifestError, TopicError), match=said):
        host.deprecate(**{"since": "2.1", "removal": "3.0"} | keywords)
    assert host.deprecations == {}


@pytest.mark.parametrize(
    ("thing", "meant"),
    [
        ({"option": "listener.curency"}, "listener.currency"),
        ({"option": "listner.currency"}, "listener.currency"),
        ({"plugin": "leger"}, "ledger"),
    ],
)
def test_a_misspelt_thing_is_warned_of(thing, meant):
    """What is nearly the name of something on the host was meant to be that."""
    with Host([Ledger, Listener]) as host:
        with pytest.warns(PlugbookWarning, match=f"not on this host.*'{meant}'") as caught:
            deprecate(host, **thing)
        assert caught[0].filename == __file__


def test_what_may_come_later_can_be_deprecated():
    """A plugin or an option that is like nothing on the host is deprecated without a word."""
    with Host([Ledger, Listener]) as host:
        deprecate(host, option="mailer.sender")
        deprecate(host, plugin="mailer")
        deprecate(host, option="listener.currency")
        assert len(host.deprecations) == 3
