"""A host of plugins over its life: found in folders, configured, bundled, set aside when they fail, and let go of."""

import pytest

SHOP = """
import warnings
from plugbook import Hidden, NeedsRestart, Restart
from typing import Annotated

class Order(Event, topic="p.order"):
    amount: int

class Tax(BaseModel):
    rate: float = Field(0.2, ge=0)

class Billing(Plugin, version="1.0"):
    class Config(BaseModel):
        currency: str = Field("EUR", max_length=3, description="Of the invoices.")
        tax: Tax = Tax()
        key: SecretStr = SecretStr("")
        port: Annotated[int, NeedsRestart] = 80
    def on_config_change(self, old, new):
        if new.currency == "XXX":
            raise ValueError("no such currency")
    @on(Order)
    def bill(self, event):
        return self.ctx.config.currency

class Fragile(Plugin, policy="quarantine"):
    @on(Order)
    def post(self, event):
        if event.amount < 0:
            raise ValueError("no such amount")
        return event.amount
"""


@pytest.fixture(scope="module")
def shop(notebook):
    """The notebook with the plugins of a shop."""
    notebook.run(SHOP)
    return notebook


def test_each_option_says_where_it_comes_from(shop):
    """File, environment, host and live edits stand above each other; what cannot be is refused with line and suggestion."""
    (shop.folder / "shop.toml").write_text(
        '[billing]\ncurrency = "CHF"\nkey = "hush"\n[billing.tax]\nrate = 0.1\n'
    )
    shop.run("""
        import os
        os.environ["PLUGBOOK_BILLING__TAX__RATE"] = "0.3"
        host = Host([Billing], config_file="shop.toml", config={"billing": {"port": 81}})
        host.start()
        use(host)
        """)
    shown = shop.run("%pb config billing")
    for told in ("shop.toml line 2", "PLUGBOOK_BILLING__TAX__RATE", "host"):
        assert told in shown
    assert "hush" not in shown
    assert "configured billing (currency, tax.rate)" in shop.run(
        "%pb config billing currency=USD tax.rate=0.5"
    )
    assert "live edit" in shop.run("%pb config billing")
    assert "port needs a restart" in shop.run("host.configure('billing', port=82).done")
    assert "no such currency" in shop.fail("host.configure('billing', currency='XXX')")
    assert "Did you mean 'currency'" in shop.fail("%pb config billing curency=USD")
    assert "currency" in shop.fail("host.configure('billing', currency='EURO')")
    shop.run("%pb config billing --reset")
    assert "'CHF'" in shop.run("host.publish(Order(amount=1)).calls[0].result")
    (shop.folder / "shop.toml").write_text('[billing]\ncurrency = "SEK"\n')
    shop.run("%pb config --reload")
    assert "'SEK'" in shop.run("host.publish(Order(amount=1)).calls[0].result")
    shop.run("host.close(); use(None); del os.environ['PLUGBOOK_BILLING__TAX__RATE']")


def test_a_plugin_that_fails_is_set_aside_and_misses_nothing(shop):
    """Quarantined, it says why over a restart of the host; its events wait as dead letters until it is released."""
    shop.run("""
        host = Host([Fragile, Billing], quarantine_file="shop.quarantine.json")
        host.start(); use(host)
        host.publish(Order(amount=-1)); host.publish(Order(amount=7))
        """)
    assert "no such amount" in shop.run("%pb why fragile")
    assert "quarantined" in shop.run("%pb list")
    assert "p.order" in shop.run("%pb dead-letters fragile")
    shop.run(
        "host.close(); host = Host([Fragile], quarantine_file='shop.quarantine.json'); host.start(); use(host)"
    )
    assert "quarantined" in shop.run("%pb list")
    shop.run("host.publish(Order(amount=8))")
    shop.run("%pb release fragile")
    assert "1 ok" in shop.run("%pb redeliver fragile")
    assert "is paused" in shop.run("%pb pause fragile")
    shop.run("host.publish(Order(amount=9))")
    assert "redelivered 1" in shop.run("%pb resume fragile")
    assert "is muted" in shop.run("%pb mute fragile")
    shop.run("%pb resume fragile")
    assert "0 dead letters" in shop.run("%pb discard fragile")
    shop.run("%pb disable fragile")
    assert "disabled" in shop.run("%pb why fragile")
    shop.run("%pb enable fragile")
    assert shop.run("host.publish(Order(amount=3)).calls[0].result") == "3"
    shop.run("host.close(); use(None)")


def test_a_bundle_is_started_and_stopped_as_one(shop):
    """Its members are plugins of their own, with the bundle's name before theirs, and go with it."""
    shop.run("""
        class Ledger(Plugin, version="2.1"):
            @on(Order)
            def post(self, event):
                return event.amount
        class Clerk(Plugin, requires=["ledger>=2"]):
            pass
        class Office(Bundle, version="3.0", members=[Clerk, Ledger]):
            pass
        host = Host([Office]); use(host)
        """)
    assert "started office.ledger, office.clerk, office" in shop.run("host.start('office')")
    assert "office is made of it" in shop.run("%pb plan stop office")
    assert "Remove the bundle" in shop.fail("host.remove('office.ledger')")
    shop.run("host.stop('office.clerk')")
    assert "office.clerk" in shop.run("%pb why office")
    assert "stopped office.ledger" in shop.run("host.stop('office')")
    shop.run("host.close(); use(None)")


def test_plugins_in_folders_are_found_and_the_best_versions_used(shop):
    """Of several versions one is used, the others say why not, and a broken folder stops nobody."""
    for name, version, requires in [
        ("till", "2.0", '["drawer>=3"]'),
        ("till", "1.0", '["drawer<2"]'),
        ("drawer", "2.0", "[]"),
        ("drawer", "1.0", "[]"),
    ]:
        folder = shop.folder / "found" / f"{name}-{version}"
        folder.mkdir(parents=True)
        (folder / "plugin.toml").write_text(
            f'[plugin]\nname = "{name}"\nversion = "{version}"\nentry_point = "code:It"\nrequires = {requires}\n'
        )
        (folder / "code.py").write_text(
            f"from plugbook import Plugin\n\nclass It(Plugin, name={name!r}, version={version!r}, requires={requires}): ...\n"
        )
    broken = shop.folder / "found" / "broken"
    broken.mkdir()
    (broken / "plugin.toml").write_text('[plugin]\nname = "broken"\nentry_pont = "code:It"\n')
    assert "entry_point" in shop.run(
        "host = Host(); use(host); changes = host.discover('found'); print(changes)"
    )
    assert "started drawer, till" in shop.run("host.start()")
    versions = shop.run("%pb versions")
    assert "2.0" in versions
    assert "1.0" in versions
    shop.run("host.close(); use(None)")
