"""The quarantine file: what a host remembers of the plugins it set aside."""

from __future__ import annotations

import json
import logging
from typing import ClassVar

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import QuarantineError


class Order(Event, topic="sale"):
    amount: int


class Billing(Plugin, version="1.0", policy="quarantine"):
    seen: ClassVar[list] = []

    @on(Order)
    def bill(self, event):
        if event.amount < 0:
            raise ValueError("no such amount")
        self.seen.append(event.amount)


class Mailer(Plugin, requires=["billing"]):
    pass


@pytest.fixture
def file(tmp_path):
    """A quarantine file in which billing is."""
    path = tmp_path / "shop.quarantine.json"
    with Host([Billing], quarantine_file=path) as host:
        host.start()
        host.publish(Order(amount=-1))
    return path


def test_a_quarantine_is_kept_over_a_restart_of_the_host(file):
    """Another host with that file has the plugin quarantined before anything is started, and says why and since when."""
    with Host([Mailer, Billing], quarantine_file=file) as host:
        assert host.states == {"mailer": "discovered", "billing": "quarantined"}
        changes = host.start()
        assert "host.release('billing')" in changes.blocked["billing"]
        assert "needs billing, which is quarantined" in changes.blocked["mailer"]
        told = str(host.why("billing"))
        assert "Billing.bill failed: ValueError: no such amount (quarantined on 20" in told
        assert "release 'billing'" in told


def test_it_misses_nothing_though_it_never_ran(file):
    """What its class listens to is kept from the start, and delivered when a person wants it."""
    Billing.seen.clear()
    with Host([Billing], quarantine_file=file) as host:
        host.start()
        host.publish(Order(amount=1))
        host.publish(Order(amount=2))
        assert [letter.why for letter in host.dead_letters("billing")] == ["quarantined"] * 2
        host.release("billing")
        assert Billing.seen == []
        host.redeliver("billing")
        assert Billing.seen == [1, 2]


def test_who_was_released_stays_out(file):
    """The file forgets a plugin that a person lets out, removes or replaces."""
    with Host([Billing], quarantine_file=file) as host:
        host.start()
        host.release("billing")
    with Host([Billing], quarantine_file=file) as host:
        assert host.start().is_complete


@pytest.mark.parametrize(
    "act", [lambda host: host.remove("billing"), lambda host: host.add(Billing, replace=True)]
)
def test_who_is_removed_or_replaced_is_out(file, act):
    """Only people do that."""
    with Host([Billing], quarantine_file=file) as host:
        act(host)
    assert json.loads(file.read_text())["quarantined"] == {}


def test_another_version_is_quarantined_too_and_the_reason_says_so(file):
    """A person, not a version number, lets a plugin out."""

    class Newer(Billing, name="billing", version="1.1"):
        pass

    with Host([Newer], quarantine_file=file) as host:
        assert "as 1.0; here is 1.1" in host.plugins["billing"].reason


def test_plugins_that_are_not_there_are_remembered(file):
    """A host without the plugin leaves its entry in the file."""

    class Other(Plugin, policy="quarantine"):
        @on(Order)
        def fail(self, event):
            raise ValueError(event.amount)

    with Host([Other], quarantine_file=file) as host:
        host.start()
        host.publish(Order(amount=1))
    assert set(json.loads(file.read_text())["quarantined"]) == {"billing", "other"}


def test_the_file_is_for_people_too(file):
    """It holds the reason, the moment and the version of each plugin, and nothing else is left beside it."""
    kept = json.loads(file.read_text())["quarantined"]["billing"]
    assert kept["reason"] == "Billing.bill failed: ValueError: no such amount"
    assert kept["version"] == "1.0"
    assert kept["since"].startswith("20")
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"{}]", b'{"quarantined": {"billing": 1}}', b'{"format": 99}', b"[]"]
)
def test_a_file_that_cannot_be_read_is_refused_and_left_as_it_is(tmp_path, content):
    """Nobody is started by mistake, and nothing in the file is lost."""
    path = tmp_path / "shop.quarantine.json"
    path.write_bytes(content)
    with pytest.raises(QuarantineError, match="Mend it, or move it away") as caught:
        Host([Billing], quarantine_file=path)
    assert caught.value.path == str(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path):
    """Not when the first plugin fails."""
    with pytest.raises(QuarantineError, match="Make it first"):
        Host([Billing], quarantine_file=tmp_path / "no" / "shop.json")


def test_a_file_that_cannot_be_written_stops_nobody(tmp_path, caplog):
    """The plugin is quarantined for as long as the host runs, and the log says what will be forgotten."""
    folder = tmp_path / "gone"
    folder.mkdir()
    with Host([Billing], quarantine_file=folder / "shop.json") as host:
        host.start()
        folder.rmdir()
        with caplog.at_level(logging.WARNING, "plugbook.host"):
            host.publish(Order(amount=-1))
        assert host.states == {"billing": "quarantined"}
    assert "could not be written" in caplog.text


def test_who_was_stopped_for_a_quarantined_plugin_starts_with_its_successor():
    """Removed and added anew, it is followed by those whom the host had stopped, and whom no person has."""
    with Host([Mailer, Billing]) as host:
        host.start()
        host.publish(Order(amount=-1))
        assert host.states == {"mailer": "stopped", "billing": "quarantined"}
        host.remove("billing")
        host.add(Billing)
        assert host.states == {"mailer": "active", "billing": "active"}
        host.remove("mailer")
        host.remove("billing")
        assert str(host.add(Billing)) == "added billing\nstarted billing"
