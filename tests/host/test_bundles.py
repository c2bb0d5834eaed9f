"""A bundle on a host: started, stopped, replaced and removed as one, and told of as such."""

import pytest
from pydantic import BaseModel

from plugbook import Bundle, Effects, Event, Host, Plugin, on
from plugbook.errors import ConfigError, LifecycleError, ManifestError, PlugbookWarning, PluginError


class OrderPlaced(Event, topic="order.placed"):
    amount: float = 1.0


class Ledger(Plugin, version="2.1"):
    class Config(BaseModel):
        size: int = 1

    @on(OrderPlaced)
    def post(self, event):
        return self.ctx.config.size


class Billing(Plugin, requires=["ledger>=2"]):
    breaks = False

    def start(self, ctx):
        if self.breaks:
            raise OSError("no printer")

    @on(OrderPlaced)
    def bill(self, event):
        return "billed"


class Shop(Bundle, members=[Billing, Ledger], requires=["db"]):
    class Config(BaseModel):
        currency: str = "EUR"

    def start(self, ctx):
        self.currency = ctx.config.currency

    @on(OrderPlaced, priority=-1)
    def count(self, event):
        return self.currency


class Db(Plugin):
    pass


class Web(Plugin, requires=["shop"]):
    pass


@pytest.fixture
def host():
    with Host([Web, Shop, Db], config={"shop": {"currency": "USD", "ledger": {"size": 7}}}) as host:
        yield host


@pytest.fixture
def broken(monkeypatch):
    monkeypatch.setattr(Billing, "breaks", True)


def states(host):
    return {name: state.value for name, state in host.states.items()}


def test_starting_a_bundle_starts_its_members_first(host):
    """What it requires comes before them, and nobody else is started."""
    assert str(host.start("shop")) == "started db, shop.ledger, shop.billing, shop"
    assert states(host)["web"] == "discovered"


def test_handlers_of_members_run_in_their_own_names(host):
    """Each with its own options; dependency order holds inside the bundle as well."""
    host.start()
    calls = host.publish(OrderPlaced()).calls
    assert [(call.handler, call.plugin, call.result) for call in calls] == [
        ("Ledger.post", "shop.ledger", 7),
        ("Billing.bill", "shop.billing", "billed"),
        ("Shop.count", "shop", "USD"),
    ]


def test_a_plan_says_what_a_bundle_is_made_of(host):
    """Start, stop, restart, reload and remove tell it step by step."""
    host.start("db")
    assert str(host.plan("start", "web")).splitlines()[1:3] == [
        "  1. start shop.ledger (shop is made of it)",
        "  2. start shop.billing (shop is made of it)",
    ]
    host.start()
    assert [str(step) for step in host.plan("stop", "shop")] == [
        "stop web (it needs shop)",
        "stop shop",
        "stop shop.billing (shop is made of it)",
        "stop shop.ledger (shop is made of it)",
    ]
    assert [str(step) for step in host.plan("reload", "shop")] == [
        "reload shop.ledger (shop is made of it)",
        "reload shop.billing (shop is made of it)",
        "reload shop",
    ]


@pytest.mark.parametrize("request_", ["stop", "restart", "reload", "remove"])
def test_a_request_for_the_bundle_is_one_for_its_members(host, request_):
    """They stop after it, and what is started again starts in order."""
    host.start()
    getattr(host, request_)("shop")
    now = states(host)
    if request_ == "stop":
        assert now == {
            "web": "stopped",
            "shop.billing": "stopped",
            "shop.ledger": "stopped",
            "shop": "stopped",
            "db": "active",
        }
    elif request_ == "remove":
        assert now == {"web": "stopped", "db": "active"}
    else:
        assert set(now.values()) == {"active"}
    assert not host.leaks()


def test_a_member_that_is_stopped_alone_stops_the_bundle(host):
    """The members that do not need it run on, and starting the bundle starts it again."""
    host.start()
    host.stop("shop.billing")
    assert states(host) == {"web": "stopped", "shop.billing": "stopped", "shop.ledger": "active", "shop": "stopped", "db": "active"}  # fmt: skip
    assert str(host.why("shop")).splitlines()[-1] == "To mend it: start 'shop'"
    host.start("shop")
    assert states(host)["shop.billing"] == states(host)["shop"] == "active"


def test_stopping_a_bundle_that_runs_in_part_stops_that_part(host):
    """A bundle of which nothing runs refuses to be stopped."""
    host.start("shop.ledger")
    assert str(host.stop("shop")) == "stopped shop.ledger"
    with pytest.raises(LifecycleError):
        host.stop("shop")


def test_a_failing_member_fails_the_bundle(host, broken):
    """What was started for it is stopped again, and why leads to the first cause."""
    with pytest.raises(PluginError, match=r"shop\.billing failed: OSError: no printer"):
        host.start("shop")
    assert states(host) == {"web": "discovered", "shop.billing": "failed", "shop.ledger": "stopped", "shop": "failed", "db": "active"}  # fmt: skip
    why = host.why("shop")
    assert why.chain[0] == "it needs shop.billing, which is failed"
    assert "OSError: no printer" in why.chain[1]
    assert "test_bundles.py" in why.remedy


def test_a_failed_bundle_can_be_started_when_its_member_was_mended(host, monkeypatch):
    """Also with everything else, in one request."""
    monkeypatch.setattr(Billing, "breaks", True)
    changes = host.start()
    assert set(changes.failed) == {"shop.billing", "shop"}
    assert "shop" in changes.blocked["web"]
    monkeypatch.undo()
    assert host.start().is_complete
    assert set(states(host).values()) == {"active"}


def test_a_bundle_that_fails_itself_stops_its_members(host, monkeypatch):
    """What ran before the request runs on."""
    monkeypatch.setattr(Shop, "start", lambda self, ctx: 1 / 0)
    host.start("shop.ledger")
    with pytest.raises(PluginError):
        host.start("shop")
    assert states(host) == {"web": "discovered", "shop.billing": "stopped", "shop.ledger": "active", "shop": "failed", "db": "active"}  # fmt: skip


def test_a_member_is_removed_with_its_bundle_only(host):
    """The refusal says what to do instead."""
    with pytest.raises(LifecycleError, match="Remove the bundle"):
        host.remove("shop.ledger")
    assert "shop.ledger" in host.plugins


def test_replacing_a_bundle_keeps_the_options_of_its_members(host):
    """A member that the new class does not have any more is gone."""
    host.start()

    class Smaller(Bundle, name="shop", members=[Ledger]):
        pass

    changes = host.add(Smaller, replace=True)
    assert "without currency, which it no longer takes" in str(changes.done)
    assert states(host) == {"db": "active", "web": "active", "shop.ledger": "active", "shop": "active"}
    assert [call.result for call in host.publish(OrderPlaced()).calls] == [7]


def test_a_member_whose_name_is_taken_is_refused_with_the_whole_bundle(host):
    """Nothing of it was added."""

    class Till(Plugin, name="stall.ledger"):
        pass

    class Stall(Bundle, members=[Billing, Ledger]):
        pass

    host.add(Till)
    before = list(host.plugins)
    with pytest.raises(ManifestError, match=r"'stall\.ledger' on this host already"):
        host.add(Stall)
    assert list(host.plugins) == before


def test_a_recording_says_who_is_a_member(host):
    """The manifests on file name the members of a bundle and the bundle of a member."""
    host.start()
    manifests = host.recording.facts("manifest")
    assert manifests["shop"]["members"] == ["shop.billing", "shop.ledger"]
    assert manifests["shop.ledger"]["bundle"] == "shop"
    reasons = [
        each.reason
        for each in host.recording.records()
        if each.kind == "state" and each.plugin == "shop.ledger"
    ]
    assert reasons


def test_a_bundle_from_an_entry_point_brings_its_members(tmp_path, monkeypatch):
    """They are known when it has been imported, and a reload imports them anew."""
    source = """
from plugbook import Bundle, Plugin

class Till(Plugin, version={version!r}):
    pass

class Stall(Bundle, members=[Till]):
    pass
"""
    module = tmp_path / "stall_bundle.py"
    module.write_text(source.format(version="1.0"))
    info = tmp_path / "stall-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stall\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[plugbook.plugins]\nstall = stall_bundle:Stall\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Host() as host:
        host.discover()
        host.start()
        assert states(host) == {"stall": "active", "stall.till": "active"}
        module.write_text(source.format(version="2.0"))
        host.reload("stall")
        assert host.plugins["stall.till"].manifest.version == "2.0"
        assert states(host) == {"stall": "active", "stall.till": "active"}


def test_the_middleware_of_a_bundle_stands_outside_that_of_its_members():
    """Every layer is a call of its own, and a member of its own name keeps what it is wrapped in."""
    seen = []

    def named(name):
        def layer(event, call_next):
            seen.append(name)
            return call_next(event)

        layer.__name__ = name
        return layer

    class Till(Plugin, middleware=[named("inner")]):
        @on(OrderPlaced)
        def take(self, event):
            seen.append("Till.take")
            return event.amount

    class Stall(Bundle, members=[Till], middleware=[named("outer")]):
        pass

    with Host([Stall]) as host:
        host.start()
        calls = host.publish(OrderPlaced()).calls
        assert seen == ["outer", "inner", "Till.take"]
        assert {call.plugin for call in calls} == {"stall.till"}
        assert len(calls) == 3


def test_a_file_nests_the_options_of_members(tmp_path):
    """A table inside that of the bundle is the member's, and each value says where it stands."""
    file = tmp_path / "shop.toml"
    file.write_text("[shop]\ncurrency = 'USD'\n\n[shop.ledger]\nsize = 4\n")
    with Host([Shop, Db], config_file=file) as host:
        host.start()
        assert [call.result for call in host.publish(OrderPlaced()).calls] == [4, "billed", "USD"]
        assert "shop.toml line 5" in str(host.config_of("shop.ledger"))
        file.write_text("[shop]\n\n[shop.ledger]\nsize = 5\n")
        host.reload_config()
        assert host.publish(OrderPlaced()).calls[0].result == 5
        assert host.plugins["shop"].config.currency == "EUR"


@pytest.mark.parametrize("variable", ["PLUGBOOK_SHOP__LEDGER__SIZE", "PLUGBOOK_SHOP_LEDGER__SIZE"])
def test_a_variable_nests_the_options_of_members(monkeypatch, variable):
    """A member is named inside its bundle or by its full name, above the file, and nobody takes it for a stranger."""
    monkeypatch.setenv(variable, "6")
    with Host([Shop, Db]) as host:
        host.start()
        assert host.publish(OrderPlaced()).calls[0].result == 6
        assert host.config_of("shop.ledger")["size"].source == f"environment variable {variable}"


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PLUGBOOK_SHOP__LEDGER__SIZ", "PLUGBOOK_SHOP__LEDGER__SIZE"),
        ("PLUGBOOK_SHOP__LEGDER__SIZE", "PLUGBOOK_SHOP__LEDGER"),
    ],
)
def test_a_misspelt_variable_of_a_member_is_named(monkeypatch, variable, meant):
    """The warning names the member or the option that was meant."""
    monkeypatch.setenv(variable, "6")
    with Host([Shop, Db]) as host, pytest.warns(PlugbookWarning, match=f"{variable} .*'{meant}'"):
        host.start()


def test_a_live_edit_of_a_bundle_reaches_its_members(host):
    """Options of members are nested, as at the beginning; what one of them refuses changes nothing for any."""
    host.start()
    changes = host.configure("shop", currency="CHF", ledger={"size": 9})
    assert str(changes) == "configured shop.ledger (size), shop (currency)"
    with pytest.raises(ConfigError, match=r"shop\.ledger"):
        host.configure("shop", currency="USD", ledger={"size": "many"})
    with pytest.raises(ConfigError, match="has no option 'leger'"):
        host.configure("shop", currency="USD", leger={"size": 1})
    assert host.plugins["shop"].config.currency == "CHF"
    assert host.plugins["shop.ledger"].config.size == 9


def test_a_live_edit_of_a_member_is_its_own(host):
    """It is configured by its full name."""
    host.start()
    host.configure("shop.ledger", size=9)
    assert host.publish(OrderPlaced()).calls[0].result == 9


class Leaf(Plugin):
    @on(OrderPlaced)
    def fail(self, event):
        raise OSError("no disk")


class Firm(Plugin, policy="raise"): ...


class Inner(Bundle, members=[Leaf]): ...


class Outer(Bundle, members=[Inner, Firm], policy="quarantine"): ...


def test_members_without_a_policy_follow_that_of_their_nearest_bundle():
    """A member follows its nearest bundle that has a policy, also one set later; its own goes before it."""
    with Host([Outer]) as host:
        host.start()
        assert host.policy_of("outer.inner.leaf") == "quarantine"
        assert host.policy_of("outer.firm") == "raise"
        host.set_policy("outer.inner", "continue")
        assert host.policy_of("outer.inner.leaf") == "continue"
        host.set_policy("outer.inner", "raise")
        with pytest.raises(OSError, match="no disk"):
            host.publish(OrderPlaced())
        host.set_policy("outer.inner.leaf", "continue")
        host.publish(OrderPlaced())


def test_effect_rules_of_a_bundle_hold_for_its_members():
    """Rules go before those of every plugin where they are of a bundle, and before those where a member's own."""
    rules = {
        "*": Effects(retries=1, backoff=1.0, timeout=1.0),
        "outer": Effects(retries=2, backoff=2.0, deny=["smtplib.*"]),
        "outer.inner.leaf": Effects(retries=3),
    }
    with Host([Outer], effects=rules) as host:
        limits = host.effects.limits("outer.inner.leaf", {})
        assert (limits.retries, limits.backoff, limits.timeout) == (3, 2.0, 1.0)
        assert host.effects.denied_by("outer.inner.leaf", ["smtplib.SMTP"]) == "smtplib.*"


def test_a_bundle_is_paused_and_resumed_with_its_members():
    """What all its members missed meanwhile comes in the order in which it was missed, and muting drops for all of them."""
    got = []

    class Left(Plugin):
        @on(OrderPlaced)
        def take(self, order):
            got.append(("left", order.amount))

    class Right(Plugin):
        @on(OrderPlaced)
        def take(self, order):
            got.append(("right", order.amount))

    class Both(Bundle, members=[Left, Right]): ...

    with Host([Both]) as host:
        host.start()
        host.pause("both")
        assert [host.held(name) for name in ("both", "both.left", "both.right")] == ["paused"] * 3
        for number in (1, 2):
            host.publish(OrderPlaced(amount=number))
        assert got == []
        host.resume("both")
        assert got == [("left", 1), ("right", 1), ("left", 2), ("right", 2)]
        host.mute("both")
        host.publish(OrderPlaced(amount=3))
        host.resume("both")
        host.publish(OrderPlaced(amount=4))
        assert got[4:] == [("left", 4), ("right", 4)]


def test_a_bundle_hands_on_the_dead_letters_of_its_members():
    """What its members missed is shown, redelivered and discarded through the bundle, in the order it was missed."""
    got = []

    class Left(Plugin, policy="quarantine"):
        @on(OrderPlaced)
        def take(self, order):
            if order.amount == 0:
                raise ValueError("no amount")
            got.append(("left", order.amount))

    class Right(Plugin):
        @on(OrderPlaced)
        def take(self, order):
            got.append(("right", order.amount))

    class Both(Bundle, members=[Left, Right]): ...

    with Host([Both]) as host:
        host.start()
        for number in (0, 1, 2):
            host.publish(OrderPlaced(amount=number))
        with pytest.raises(LifecycleError, match="start"):
            host.redeliver("both")
        host.release("both.left")
        host.pause("both.right")
        host.publish(OrderPlaced(amount=3))
        missed = [(each.plugin, each.event.amount) for each in host.dead_letters("both")]
        assert missed == [("both.left", 1), ("both.left", 2), ("both.right", 3)]
        assert host.discard("both", host.dead_letters("both")[:1]) == 1
        assert host.dead_letters("both").dropped == 1
        got.clear()
        assert str(host.redeliver("both")) == "redelivered 1: 1 ok; kept 1, whose handler cannot be called"
        assert got == [("left", 2)]
        assert host.discard("both") == 1
