"""What `why` says of plugins that are active and fail all the same."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from plugbook import Event, Host, Plugin, on


class Tick(Event, topic="clock.tick"):
    n: int = 0


class Tax(BaseModel):
    rate: float = 0.2


class Shaky(Plugin):
    """Divides by what it is given."""

    def start(self, ctx):
        self.future = None

    @on(Tick)
    def divide(self, event):
        return 1 / event.n

    @on("clock.spawn")
    def spawn(self, event):
        self.future = self.ctx.spawn(self.fail(), name="printer")

    async def fail(self):
        raise ValueError("out of paper\nand ink")


class Spawn(Event, topic="clock.spawn"):
    pass


@pytest.fixture
def host():
    with Host([Shaky]) as host:
        host.start()
        yield host


def test_why_of_an_active_plugin_counts_its_failed_calls_and_tells_the_last(host):
    """The first question about a broken plugin is answered with the error, its place and the event."""
    for n in (0, 1, 0):
        report = host.publish(Tick(n=n))
    why = host.why("shaky")
    assert len(why.troubles) == 1
    told = why.troubles[0]
    assert told.startswith("2 calls failed since; the last: Shaky.divide for clock.tick")
    assert f"#{report.calls[0].seq // 1024}" in told
    assert "ZeroDivisionError: division by zero (test_why.py:" in told
    assert "test_why.py:" in why.remedy
    assert told in str(why)


def test_what_failed_before_a_restart_counts_no_more(host):
    """A plugin that was started again has a clean record."""
    host.publish(Tick())
    host.restart("shaky")
    assert host.why("shaky").troubles == ()
    assert host.why("shaky").remedy == ""


def test_why_tells_of_a_failed_background_task(host):
    """What a spawned coroutine raised is no secret of the log, and the recording counts it as an error."""
    host.publish(Spawn())
    host.plugins["shaky"].instance.future.result(5)
    (told,) = host.why("shaky").troubles
    assert told.startswith("1 background task failed since; the last: background task shaky.printer failed")
    assert "ValueError: out of paper (test_why.py:" in told
    assert "ValueError: out of paper" in str(host.recording.summary())


def test_a_host_that_records_nothing_still_says_why():
    """Without a recording there is nothing to say of failures."""
    with Host([Shaky], timing=False) as host:
        host.start()
        host.publish(Tick())
        assert host.why("shaky").troubles == ()


class Billing(Plugin, requires=["ledger>=2"]):
    """Needs a ledger."""

    class Config(BaseModel):
        currency: str = "EUR"
        rate: float = 1.0


class Ledger(Plugin, version="1.0"):
    """Too old."""


class Ledger2(Plugin, name="ledger", version="2.0"):
    """New enough."""


def test_why_tells_a_mend_that_was_tried():
    """What is told was applied to a copy, and doing it for real has the plugin start."""
    with Host([Billing, Ledger]) as host:
        why = host.why("billing")
        assert why.remedy == "Use ledger>=2 instead of 1.0."
        assert why.mend.changes == ("use ledger>=2 instead of 1.0",)
        assert "To mend it: Use ledger>=2" in str(why)
        assert host.plugins["ledger"].manifest.version == "1.0"
        host.add(Ledger2, replace=True)
        assert host.start().is_complete
        assert host.why("billing").mend is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"curency": "USD"}, "write 'currency' instead of 'curency' in its configuration"),
        ({"rate": "much"}, "take 'rate' out of its configuration"),
        ({"colour": "red"}, "take 'colour' out of its configuration"),
    ],
)
def test_why_mends_an_option(options, told):
    """An option that cannot be is mended by the smallest change of the options after which they fit."""
    with Host([Billing, Ledger2], config={"billing": options}) as host:
        host.start()
        why = host.why("billing")
        assert why.mend.changes == (told, "start 'billing' again")
        assert host.plugins["billing"].options == options


def test_two_wrong_options_have_no_single_mend():
    """Where no change of one option would do, none is promised."""
    with Host([Billing, Ledger2], config={"billing": {"rate": "much", "colour": "red"}}) as host:
        host.start()
        assert host.why("billing").mend is None
        assert host.why("billing").remedy


class Keyed(Plugin):
    class Config(BaseModel):
        key: str
        tax: Tax = Tax()


def test_a_missing_option_is_given_by_configure():
    """The mend is the call itself, and it works."""
    with Host([Keyed]) as host:
        host.start()
        assert host.why("keyed").remedy == "host.configure('keyed', key=...), then start 'keyed' again"
        host.configure("keyed", key="k")
        host.start("keyed")
        assert host.states == {"keyed": "active"}


def test_a_wrong_option_of_a_table_is_given_by_configure(monkeypatch):
    """What is said elsewhere than by the host, here by a variable, is overruled in the same way."""
    monkeypatch.setenv("PLUGBOOK_KEYED__TAX__RATE", "much")
    with Host([Keyed], config={"keyed": {"key": "k"}}) as host:
        host.start()
        assert host.why("keyed").remedy.startswith("host.configure('keyed', tax={'rate': ...})")


def test_a_capability_among_the_requirements_is_said_to_belong_to_the_needs():
    """Who requires a word that a plugin provides is told to need it, and that was tried."""

    class Invoices(Plugin, provides=["invoicing"]): ...

    class Mailer(Plugin, requires=["invoicing"]): ...

    with Host([Mailer, Invoices]) as host:
        told = host.start().blocked["mailer"]
        assert "Write needs=['invoicing'] instead of requires: invoices provides invoicing." in told
        why = host.why("mailer")
        assert "write needs=['invoicing'] in mailer" in why.remedy.lower()
        assert why.mend.manifests["mailer"].needs == ("invoicing",)
