"""Configuration on a host: where each value comes from, and how it changes while plugins run."""

import re
from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr

from plugbook import Event, Host, NeedsRestart, Plugin, on
from plugbook.errors import (
    ConfigError,
    LifecycleError,
    PlugbookWarning,
    PluginError,
    UnknownNameError,
    UnknownPluginError,
)
from plugbook.host.host import Host as HostClass
from plugbook.trace.writing.payload import HIDDEN
from plugbook.trace.writing.recorder import Recorder
from tests.host.conftest import OrderPlaced

SECRET = "hunter2-swordfish"


class Tax(BaseModel):
    rate: float = Field(0.2, ge=0, description="Share of the price.")
    name: str = "VAT"


class Billing(Plugin, version="1.0"):
    class Config(BaseModel):
        currency: str = Field("EUR", max_length=3, description="Of the invoices.")
        tax: Tax = Tax()
        password: str = ""
        key: SecretStr = SecretStr("")
        port: Annotated[int, NeedsRestart] = 80

    def start(self, ctx):
        self.heard = []
        if ctx.config.port == 666:
            raise ValueError("no such port")

    def on_config_change(self, old, new):
        assert self.ctx.config is new
        for config in (old, new):
            with pytest.raises(ConfigError, match="cannot be set"):
                config.currency = "GBP"
        self.heard.append((old.currency, new.currency))
        if new.currency == "XXX":
            raise ValueError(f"no such currency, {new.password}")


class Mailer(Plugin, requires=["billing"]):
    class Config(BaseModel):
        sender: str = "shop"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("PLUGBOOK_BILLING__CURRENCY", "PLUGBOOK_BILLING__TAX__RATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text('[billing]\ncurrency = "CHF"\n[billing.tax]\nname = "MWST"\n')
    return path


@pytest.fixture
def host():
    with Host([Billing, Mailer]) as host:
        host.start()
        yield host


def billing(host: HostClass) -> Billing:
    return host.plugins["billing"].instance


def snapshot(host: HostClass) -> list:
    """All of a host that a refused change must leave as it was."""
    return [
        (
            handle.state,
            handle.since_seq,
            handle.config,
            handle.edits,
            handle.instance,
            handle.context and handle.context.config,
            str(host.config_of(name)),
        )
        for name, handle in host.plugins.items()
    ]


# -- layers -------------------------------------------------------------------------------------------


def test_each_value_says_where_it_comes_from(file, monkeypatch):
    """Defaults, file, environment, host and live edits stand above each other, and what is below is still told."""
    monkeypatch.setenv("PLUGBOOK_BILLING__TAX__RATE", "0.3")
    monkeypatch.setattr(Recorder, "cell", (5, "id"))
    with Host([Billing], config={"billing": {"currency": "USD"}}, config_file=file) as host:
        host.start()
        host.configure("billing", currency="SEK")
        shown = host.config_of("billing")
    assert (shown["tax.rate"].value, shown["tax.rate"].source) == (
        0.3,
        "environment variable PLUGBOOK_BILLING__TAX__RATE",
    )
    assert (shown["tax.name"].value, shown["tax.name"].source) == ("MWST", "shop.toml line 4")
    assert (shown["port"].source, shown["port"].needs_restart) == ("default", True)
    currency = shown["currency"]
    assert (currency.value, currency.type, currency.default, currency.description) == (
        "SEK",
        "str",
        "EUR",
        "Of the invoices.",
    )
    assert re.fullmatch(r"live edit at \d\d:\d\d, cell 5", currency.source)
    assert currency.below == (("host", "USD"), ("shop.toml line 2", "CHF"))


def test_an_option_that_is_not_there_is_named(host):
    """Asking for a misspelt option says which one was meant."""
    with pytest.raises(UnknownNameError, match=r"'tax.rate'"):
        host.config_of("billing")["tax.rat"]
    assert host.config_of("billing").get("nothing") is None


def test_an_error_names_the_place_of_the_value(file, monkeypatch):
    """What does not fit is told by the layer that said it."""
    file.write_text('[billing]\n\ncurrency = "EURO"\n')
    monkeypatch.setenv("PLUGBOOK_BILLING__TAX__RATE", "much")
    with Host([Billing], config={"billing": {"port": "x"}}, config_file=file) as host:
        told = str(host.start().failed["billing"])
        assert (
            "tax.rate: Input should be a valid number, unable to parse string as a number (environment"
            in told
        )
        assert "(shop.toml line 3)" in told
        assert "port: Input should be a valid integer, unable to parse string as an integer (host)" in told
        shown = host.config_of("billing")
        assert (shown["currency"].value, shown["currency"].source) == ("EURO", "shop.toml line 3")
        assert shown.problem == told


def test_a_misspelt_option_in_the_file_names_its_line(file):
    """An unknown option is refused with its line and the option that was meant."""
    file.write_text("[billing.tax]\nrat = 1\n")
    with Host([Billing], config_file=file) as host:
        told = str(host.start().failed["billing"])
    assert "'tax.rat' (shop.toml line 2). Did you mean 'rate'?" in told


def test_what_fits_nothing_is_warned_of_once(file, monkeypatch):
    """A table or a variable that names no plugin or option is said to be passed over; the host starts."""
    file.write_text("[biling]\ncurrency = 1\n")
    monkeypatch.setenv("SHOP_BILLING__CURENCY", "USD")
    with Host([Billing], config_file=file, env_prefix="SHOP_") as host:
        with pytest.warns(PlugbookWarning) as caught:
            host.start()
        told = sorted(str(each.message) for each in caught)
        assert "Did you mean 'SHOP_BILLING__CURRENCY'?" in told[1]
        assert "shop.toml line 1 is passed over" in told[0]
        assert "Did you mean 'billing'?" in told[0]
        host.start()
        assert host.states["billing"] == "active"


def test_a_file_is_not_given_as_config(file):
    """Who gives a path as config= is told of config_file=."""
    with pytest.raises(ConfigError, match="config_file="):
        Host([Billing], config=str(file))


# -- live changes -------------------------------------------------------------------------------------


def test_a_running_plugin_takes_a_change_over(host):
    """The plugin goes on, finds the new configuration in its context, and is told of old and new."""
    before = host.plugins["billing"].since_seq
    changes = host.configure("billing", currency="USD", tax={"rate": 0.1})
    assert str(changes) == "configured billing (currency, tax.rate)"
    assert billing(host).heard == [("EUR", "USD")]
    assert billing(host).ctx.config.tax == Tax(rate=0.1)
    assert host.plugins["billing"].since_seq == before


def test_an_async_listener_is_awaited():
    """on_config_change may be async, and has ended when configure returns."""

    class Slow(Plugin):
        class Config(BaseModel):
            size: int = 0

        async def on_config_change(self, old, new):
            self.size = new.size

    with Host([Slow]) as host:
        host.start()
        host.configure(Slow, size=3)
        assert host.plugins["slow"].instance.size == 3


def test_a_plugin_that_listens_not_finds_it_in_its_context(host):
    """Without on_config_change the new configuration is simply there."""
    host.configure("mailer", sender="office")
    assert host.plugins["mailer"].context.config.sender == "office"


REFUSED = {
    "does not fit": ("billing", {"currency": "EURO"}, ConfigError, "currency"),
    "misspelt": ("billing", {"curency": "USD"}, ConfigError, "Did you mean 'currency'"),
    "misspelt in a table": ("billing", {"tax": {"rat": 1}}, ConfigError, "Did you mean 'rate'"),
    "nothing": ("billing", {}, ConfigError, "nothing was said"),
    "no such plugin": ("biling", {"currency": "USD"}, UnknownPluginError, "Did you mean 'billing'"),
    "by the plugin": ("billing", {"currency": "XXX"}, PluginError, "ValueError: no such currency"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_change_leaves_everything_as_it_was(host, case):
    """What does not fit, or what the plugin refuses, changes nothing; the error says what and why."""
    name, options, error, told = REFUSED[case]
    before = snapshot(host)
    with pytest.raises(error, match=told):
        host.configure(name, options)
    assert snapshot(host) == before


def test_what_needs_a_restart_restarts(host):
    """A marked option is changed by a restart of the plugin and what needs it, which the changes say."""
    instance = billing(host)
    changes = host.configure("billing", port=81)
    assert str(changes).splitlines() == [
        "configured billing (port)",
        "stopped mailer, billing",
        "started billing, mailer",
    ]
    assert "port needs a restart" in str(changes.done[2])
    assert billing(host) is not instance
    assert billing(host).ctx.config.port == 81


def test_a_plugin_that_does_not_start_again_has_its_old_configuration(host):
    """Where a restart fails with the new configuration, plugin and dependents run with the old one."""
    with pytest.raises(PluginError, match=r"no such port.*old one is back"):
        host.configure("billing", port=666)
    assert set(host.states.values()) == {"active"}
    assert billing(host).ctx.config.port == 80
    assert host.config_of("billing")["port"].source == "default"


def test_a_stopped_plugin_starts_with_the_change(host):
    """What is changed while a plugin is stopped holds from its next start on, and is checked at once."""
    host.stop("billing")
    with pytest.raises(ConfigError):
        host.configure("billing", currency="EURO")
    host.configure("billing", currency="USD", port=81)
    host.start("billing")
    assert billing(host).ctx.config.currency == "USD"


def test_a_configuration_that_failed_can_be_mended(file):
    """A plugin whose configuration did not fit is configured, and starts."""
    file.write_text('[billing]\ncurrency = "EURO"\n')
    with Host([Billing], config_file=file) as host:
        host.start()
        host.configure("billing", currency="USD")
        host.start("billing")
        assert billing(host).ctx.config.currency == "USD"


def test_what_was_never_loaded_cannot_be_configured(monkeypatch):
    """Of a plugin whose code was not imported nobody knows the options, and that is said."""
    with Host() as host:
        host.add(Billing)
        host.plugins["billing"].plugin_class = None
        for request in (host.config_of, host.reset_config, lambda name: host.configure(name, port=1)):
            with pytest.raises(LifecycleError, match="Start it first"):
                request("billing")


def test_live_edits_are_taken_back(host):
    """One, several or all; a name that is no option is refused."""
    host.configure("billing", currency="USD", tax={"rate": 0.1, "name": "MWST"})
    host.configure("billing", currency="SEK")
    host.reset_config("billing", "currency", "tax.rate")
    assert billing(host).ctx.config == Billing.Config(tax=Tax(name="MWST"))
    with pytest.raises(ConfigError, match="Did you mean 'rate'"):
        host.reset_config("billing", "tax.rat")
    host.reset_config("billing")
    assert billing(host).ctx.config == Billing.Config()
    assert host.plugins["billing"].edits == ()
    assert str(host.reset_config("billing")) == "nothing to do"


def test_an_option_with_two_names_is_one():
    """What was changed by one of its names is changed again and taken back by another."""

    class Named(Plugin):
        class Config(BaseModel):
            most: int = Field(1, validation_alias=AliasChoices("max", "limit"))

    with Host([Named]) as host:
        host.start()
        host.configure("named", limit=3)
        host.configure("named", max=4)
        assert len(host.plugins["named"].edits) == 1
        assert host.config_of("named")["max"].value == 4
        host.reset_config("named", "limit")
        assert host.plugins["named"].config.most == 1


def test_edits_that_are_overridden_are_forgotten(host):
    """A thousand changes of one option keep one edit."""
    for number in range(1_000):
        host.configure("mailer", sender=str(number))
    assert len(host.plugins["mailer"].edits) == 1


def test_a_change_inside_a_handler_waits_for_its_end(host):
    """Nothing changes between two handlers of an event."""

    class Editor(Plugin):
        @on(OrderPlaced)
        def edit(self, event):
            work = host.configure("mailer", sender="edited")
            return work.done, host.plugins["mailer"].context.config.sender

    host.add(Editor)
    report = host.publish(OrderPlaced(order_id=1))
    assert report.calls[0].result == (False, "shop")
    assert host.plugins["mailer"].context.config.sender == "edited"


def test_an_interrupt_puts_the_old_configuration_back(host, monkeypatch):
    """Whoever interrupts on_config_change finds plugin and context with one and the same configuration."""

    def interrupted(self, old, new):
        raise KeyboardInterrupt

    monkeypatch.setattr(Billing, "on_config_change", interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.configure("billing", currency="USD")
    assert billing(host).ctx.config.currency == host.plugins["billing"].config.currency == "EUR"


# -- the file, again ----------------------------------------------------------------------------------


def test_a_file_is_read_again(file):
    """What changed in it reaches the plugins; the others are left alone, and live edits stay above it."""
    with Host([Billing, Mailer], config_file=file) as host:
        host.start()
        host.configure("billing", tax={"rate": 0.1})
        file.write_text('[billing]\ncurrency = "SEK"\ntax.rate = 0.5\n')
        assert str(host.reload_config()) == "configured billing (currency, tax.name)"
        assert billing(host).ctx.config == Billing.Config(currency="SEK", tax=Tax(rate=0.1))
        assert host.config_of("billing")["tax.rate"].below == (("shop.toml line 3", 0.5),)


@pytest.mark.parametrize(
    "text",
    [
        "[billing",
        '[billing]\ncurrency = "USD"\n[mailer]\nsender = 3\n',
        '[mailer]\nsender="a"\n[billing]\ncurrency="XXX"',
    ],
    ids=["no TOML", "does not fit", "a plugin refuses"],
)
def test_a_file_that_cannot_be_taken_over_changes_nothing(file, text):
    """Broken, wrong for one plugin or refused by one: all of them keep what they had."""
    with Host([Mailer, Billing], config_file=file) as host:
        host.start()
        before = snapshot(host)
        file.write_text(text)
        with pytest.raises((ConfigError, PluginError)):
            host.reload_config()
        assert snapshot(host) == before


# -- hot swap -----------------------------------------------------------------------------------------


def test_a_hot_swap_keeps_every_layer(file):
    """The new class has the options of file, host and live edits, as far as it takes them."""
    with Host([Billing], config={"billing": {"port": 81}}, config_file=file) as host:
        host.start()
        host.configure("billing", tax={"rate": 0.1}, password="x" * 9)

        class Newer(Plugin, name="billing"):
            class Config(BaseModel):
                currency: str = "EUR"
                tax: Tax = Tax()
                port: int = 80

        assert "without password" in str(host.add(Newer, replace=True))
        assert host.plugins["billing"].config == Newer.Config(
            currency="CHF", tax=Tax(rate=0.1, name="MWST"), port=81
        )
        host.add(Newer, config={"port": 82}, replace=True)
        assert host.plugins["billing"].config == Newer.Config(currency="CHF", tax=Tax(name="MWST"), port=82)


# -- what is recorded, and what is not ----------------------------------------------------------------


def test_a_change_is_recorded_with_its_reason(host, tmp_path):
    """Old and new values and their sources are in the recording, and cause what the plugin does meanwhile."""

    class Loud(Plugin):
        class Config(BaseModel):
            size: int = 0
            token: str = ""

        def on_config_change(self, old, new):
            self.ctx.log.info("grown")

    host.add(Loud)
    with host.record(tmp_path / "run.plugbook") as recording:
        host.configure("loud", size=3, token=SECRET)
        host.reset_config("loud", "size")
        recording.flush()
        rows = recording.changes().query("name == 'configure'").to_dict("records")
        logs = recording.logs().to_dict("records")
        facts = recording.facts("config")["loud"], recording.facts("config_source")["loud"]
    assert [row["reason"] for row in rows] == ["live edit", "live edits taken back"]
    assert '"old":{"size":0,"token":""},"new":{"size":3,"token":"**********"}' in rows[0]["payload"]
    assert '"size":"live edit at ' in rows[0]["payload"]
    assert logs[0]["parent"] == rows[0]["seq"]
    assert facts[0] == {"size": 0, "token": HIDDEN}
    assert list(facts[1]) == ["token"]


def test_a_refusal_is_recorded(host, tmp_path):
    """What a plugin refused, and why, can be read later."""
    with host.record(tmp_path / "run.plugbook") as recording:
        with pytest.raises(PluginError):
            host.configure("billing", currency="XXX")
        recording.flush()
        row = recording.changes().query("name == 'configure'").to_dict("records")[0]
    assert row["outcome"] == "error"
    assert "no such currency" in row["error"]


def test_a_secret_is_never_seen(host, file, tmp_path, monkeypatch):
    """Whoever gives it, in no repr, error, log, record or byte of the recording does a secret appear."""
    path = tmp_path / "run.plugbook"
    monkeypatch.setenv("PLUGBOOK_BILLING__KEY", f"{SECRET}-environment")
    file.write_text(f'[billing]\npassword = "{SECRET}-file"\n')
    seen = []
    with Host([Billing], config_file=file, config={"billing": {"password": f"{SECRET}-host"}}) as host:
        host.record(path)
        host.start()
        seen.append(host.configure("billing", password=f"{SECRET}-live"))
        seen.append(host.config_of("billing"))
        billing(host).ctx.log.info("running with %s", billing(host).ctx.config)
        billing(host).ctx.log.warning("logged in with %s", billing(host).ctx.config.password)
        for wrong in ({"currency": "XXX"}, {"key": [SECRET]}, {"password": 3, "tax": {"rate": SECRET}}):
            with pytest.raises((ConfigError, PluginError)) as caught:
                host.configure("billing", wrong)
            error = caught.value
            seen += [error, error.__cause__, error.__context__]
        seen += [
            host,
            host.plugins["billing"],
            host.plugins["billing"].edits,
            billing(host).ctx,
            billing(host).ctx.config,
        ]
        seen += [host.plugins["billing"].config, host.why("billing")]
        rows = host.recording.changes()
        seen.append(rows.to_string())
    assert SECRET not in "".join(f"{each!r} {each}" for each in seen)
    assert SECRET.encode() not in path.read_bytes()


def test_what_fails_with_a_secret_does_not_record_it(tmp_path):
    """A message of the plugin's own, its event and the cell that gave the secret are recorded without it."""

    class LoggedIn(Event):
        name: str

    class Login(Plugin):
        class Config(BaseModel):
            password: str

        def start(self, ctx):
            ctx.publish(LoggedIn(name=f"ada:{ctx.config.password}"))
            raise PermissionError(f"{ctx.config.password!r} was refused")

    path = tmp_path / "run.plugbook"
    with Host([Login], config={"login": {"password": SECRET}}) as host:
        host.record(path)
        host.start()
        assert "ada:**********" in host.recording.events().to_string()
        assert "refused" in host.recording.states().to_string()
    assert SECRET.encode() not in path.read_bytes()


def test_an_option_set_inside_a_plugin_is_refused():
    """The message names the request that changes it; neither the host nor a model that others share is touched."""
    mine = Tax(rate=0.1)
    with Host([Billing], config={"billing": {"tax": mine}}) as host:
        host.start()
        config = host.plugins["billing"].context.config
        with pytest.raises(ConfigError, match=r"configure\('billing', currency=\.\.\.\)"):
            config.currency = "USD"
        with pytest.raises(ConfigError, match=r"configure\('billing', tax=\{'rate': \.\.\.\}\)"):
            config.tax.rate = 0.3
        assert (host.config_of("billing")["tax.rate"].value, config.tax.rate) == (0.1, 0.1)
        mine.rate = 0.5
        host.configure("billing", currency="USD")
        with pytest.raises(ConfigError):
            del host.plugins["billing"].context.config.currency
