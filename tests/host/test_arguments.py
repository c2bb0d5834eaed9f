"""What a host is given by mistake, and what it says then."""

from __future__ import annotations

import pytest

from plugbook import Event, Host, Plugin
from plugbook.errors import ConfigError, ManifestError, RecordingError, SelectionError, UnknownPluginError
from tests.host.conftest import Billing, Ledger, Mailer, OrderPlaced


def test_one_class_in_place_of_a_list_is_told_what_to_write():
    """A host takes several plugins, and says how one is given."""
    with pytest.raises(ManifestError, match=r"Write Host\(\[Ledger\]\)"):
        Host(Ledger)
    with pytest.raises(ManifestError, match="list of plugin classes"):
        Host("ledger")


@pytest.mark.parametrize("config", [[1], "ledger", {"ledger": 3}, {"ledger": [1]}])
def test_a_configuration_of_another_shape_is_refused(config):
    """Options come by plugin and by name, and what does not is a ConfigError."""
    with pytest.raises(ConfigError, match="'EUR'"):
        Host([Ledger], config=config)


def test_options_of_another_shape_are_refused_when_a_plugin_is_added():
    """What is added is checked as what a host begins with."""
    with Host() as host:
        with pytest.raises(ConfigError, match="'EUR'"):
            host.add(Ledger, config=3)
        assert host.plugins == {}


def test_a_path_is_replayed_as_the_recording_that_is_there(shop, tmp_path):
    """The path of a recording will do where the recording is wanted."""
    path = tmp_path / "shop.plugbook"
    with shop.record(path):
        shop.start()
        shop.publish(OrderPlaced(order_id=7))
    with Host([Ledger, Billing, Mailer]) as other, other.replay(path, rate=None) as player:
        other.start()
        player.play()
        assert other.plugins["ledger"].instance.entries == [7]
    with pytest.raises(SelectionError, match="not int"):
        shop.replay(3)
    with pytest.raises(SelectionError, match="rate='fast'"):
        shop.replay(path, rate="fast")


def test_a_class_will_do_where_a_name_is_wanted(shop):
    """Every request takes the plugin's class for its name."""
    shop.start()
    assert shop.why(Ledger).state == "active"
    assert [step.plugin for step in shop.plan("stop", Billing)] == ["billing"]
    shop.stop(Mailer)
    shop.start(Mailer)
    shop.restart(Mailer)
    shop.reload(Mailer)
    shop.remove(Mailer)
    assert set(shop.states) == {"billing", "ledger"}
    with pytest.raises(UnknownPluginError, match="'mailer'"):
        shop.stop(Mailer)


def test_an_unknown_name_among_the_plugins_is_told_with_the_one_that_was_meant(shop):
    """Looking a plugin up is as helpful as asking for one."""
    with pytest.raises(UnknownPluginError, match="Did you mean 'ledger'"):
        shop.plugins["ledgr"]


def test_an_option_of_a_plugin_without_options_is_told_how_to_declare_it():
    """Who reads ctx.config without a Config model is told to write one."""

    class Bell(Plugin):
        def start(self, ctx):
            assert not ctx.config
            self.volume = ctx.config.volume

    with Host([Bell]) as host:
        error = host.start().failed["bell"]
        assert isinstance(error, AttributeError)
        assert "bell declares no options" in str(error)
        assert "class Config(BaseModel)" in str(error)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"payloads": "ful"}, "Did you mean 'full'"),
        ({"payloads": None}, "one of full, summary, reference, none"),
        ({"cap_bytes": -1}, "from 0"),
        ({"redact": [7]}, "no text"),
    ],
)
def test_what_a_recording_keeps_is_checked_before_there_is_a_file(tmp_path, options, said):
    """A mode, a cap or a name that cannot be is refused, and no file is made."""
    with Host() as host, pytest.raises(RecordingError, match=said):
        host.record(tmp_path / "a.plugbook", **options)
    assert list(tmp_path.iterdir()) == []


def test_one_name_to_redact_is_one_name(tmp_path):
    """A name that is given alone is hidden as one, and not letter by letter."""

    class Paid(Event):
        iban: str

    with Host() as host, host.record(tmp_path / "a.plugbook", redact="iban") as recording:
        host.publish(Paid(iban="DE02"))
        (record,) = recording.select(kinds="event")
        assert record.payload["iban"] != "DE02"
