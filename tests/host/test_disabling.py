"""Plugins that a person keeps from starting: what it stops, what it keeps back, and who says so."""

import pytest

from plugbook import Bundle, Host, Plugin
from plugbook.errors import LifecycleError, UnknownPluginError


class Ledger(Plugin):
    pass


class Billing(Plugin, requires=["ledger"]):
    pass


class Mailer(Plugin, requires=["billing"]):
    pass


@pytest.fixture
def host():
    with Host([Mailer, Billing, Ledger]) as host:
        yield host


def test_a_disabled_plugin_is_not_started(host):
    """Whoever needs it waits as well, and everybody says why."""
    host.disable("billing")
    changes = host.start()
    assert [step.plugin for step in changes.done] == ["ledger"]
    assert changes.blocked["billing"] == "it is disabled. Let it start: host.enable('billing')"
    assert "needs billing" in changes.blocked["mailer"]
    why = host.why("mailer")
    assert why.chain == ("it needs billing, which is discovered", "billing is disabled")
    assert why.remedy == "enable 'billing'"
    assert "it is disabled" in repr(host)
    with pytest.raises(LifecycleError, match=r"host\.enable\('billing'\)") as caught:
        host.start("billing")
    assert caught.value.allowed == ("enable",)


def test_an_active_plugin_is_stopped_and_started_again_with_its_dependents(host):
    """Both say what they will do before they do it."""
    host.start()
    assert [str(step) for step in host.plan("disable", "ledger")] == [
        "stop mailer (it needs ledger)",
        "stop billing (it needs ledger)",
        "stop ledger",
        "disable ledger",
    ]
    assert str(host.disable("ledger")) == "stopped mailer, billing, ledger\ndisabled ledger"
    assert [str(step) for step in host.plan("enable", "ledger")] == [
        "enable ledger",
        "start ledger",
        "start billing (it was stopped)",
        "start mailer (it was stopped)",
    ]
    assert str(host.enable("ledger")) == "enabled ledger\nstarted ledger, billing, mailer"
    assert set(host.states.values()) == {"active"}
    assert host.why("ledger").remedy == ""


def test_what_disable_did_not_stop_enable_does_not_start(host):
    """A plugin that was not active may start again, and is not started."""
    host.disable("ledger")
    assert str(host.enable("ledger")) == "enabled ledger"
    assert str(host.enable("ledger")) == "nothing to do"
    assert host.states["ledger"] == "discovered"
    host.start()
    assert set(host.states.values()) == {"active"}


def test_it_stays_disabled_when_it_is_replaced_or_reloaded(host):
    """Only a person lets it start, and who is removed is forgotten."""
    host.start()
    host.disable("mailer")
    host.add(Mailer, replace=True)
    assert host.states["mailer"] == "discovered"
    assert host.plugins["mailer"].is_disabled
    host.remove("mailer")
    host.add(Mailer)
    assert host.states["mailer"] == "active"


def test_a_bundle_is_disabled_with_its_members():
    """None of them starts, also when the bundle is replaced; all of them start again with it."""

    class Shop(Bundle, members=[Ledger, Billing]): ...

    with Host([Shop]) as host:
        host.start()
        host.disable("shop")
        host.add(Shop, replace=True)
        assert set(host.start().blocked) == {"shop.ledger", "shop.billing", "shop"}
        host.enable("shop")
        host.start()
        assert set(host.states.values()) == {"active"}


def test_a_recording_tells(host):
    """Each is a change with its plugin, and a recording that begins later knows who is disabled."""
    host.start()
    host.disable("mailer")
    host.disable("mailer")
    changes = [each.name for each in host.recording.records() if each.kind == "change"]
    assert changes[-1:] == ["disable"]
    assert changes.count("disable") == 1
    assert host.recording.facts("disabled") == {"mailer": True}
    host.enable("mailer")
    assert host.recording.facts("disabled") == {"mailer": False}


def test_who_is_not_there_cannot_be_disabled(host):
    """The plugin that was meant is suggested, and nothing changes."""
    with pytest.raises(UnknownPluginError, match="'ledger'"):
        host.disable("leger")
