"""Defining a bundle: its members become plugins of their own, and mistakes are refused in the class statement."""

import pytest
from pydantic import BaseModel

from plugbook import Bundle, Plugin, plugin
from plugbook.errors import ConfigError, ManifestError
from plugbook.plugins.authoring.bundle import gather, unfold
from plugbook.plugins.resolving.resolver import resolve


def outer(event, call_next):
    return call_next(event)


def inner(event, call_next):
    return call_next(event)


class Ledger(Plugin, version="2.1", provides=["books"], middleware=[inner]):
    """Keeps the books."""

    class Config(BaseModel):
        size: int = 1


class Billing(Plugin, requires=["ledger>=2"], optional=["mail"], conflicts=["fax"]):
    pass


class Shop(
    Bundle, version="3.0", members=[Billing, Ledger], requires=["db"], needs=["books"], middleware=[outer]
):
    class Config(BaseModel):
        currency: str = "EUR"


def test_members_are_called_after_the_bundle():
    """They keep what they say of themselves, and the bundle requires all of them."""
    assert Shop.manifest.members == ("shop.billing", "shop.ledger")
    assert Shop.manifest.requires == ("db", "shop.billing", "shop.ledger")
    ledger = Shop.members()["ledger"]
    assert issubclass(ledger, Ledger)
    manifest = ledger.manifest
    assert (str(manifest), manifest.bundle, manifest.summary) == (
        "shop.ledger 2.1",
        "shop",
        "Keeps the books.",
    )
    assert manifest.entry_point == Ledger.manifest.entry_point
    assert Ledger.manifest.name == "ledger"


def test_members_name_each_other_as_they_always_did():
    """Inside the bundle a name means the member; what is not a member is sought on the host."""
    billing = Shop.members()["billing"].manifest
    assert billing.requires == ("shop.ledger>=2", "db")
    assert (billing.optional, billing.conflicts) == (("mail",), ("fax",))


def test_what_the_bundle_requires_and_needs_is_there_before_its_members():
    """But a member that provides a capability does not need it."""
    members = Shop.members()
    assert members["ledger"].manifest.requires == ("db",)
    assert (members["ledger"].manifest.needs, members["billing"].manifest.needs) == ((), ("books",))


def test_the_layers_of_the_bundle_stand_outside():
    """Those of a member are inside of them."""
    assert Shop.members()["ledger"].layers() == (outer, inner)
    assert Shop.members()["billing"].layers() == Shop.layers() == (outer,)


def test_bundles_in_bundles():
    """Names, requirements and layers go all the way down."""

    class Mall(Bundle, members=[Shop, Ledger], requires=["guard"]):
        pass

    shop = Mall.members()["shop"]
    assert shop.manifest.members == ("mall.shop.billing", "mall.shop.ledger")
    billing = shop.members()["billing"]
    assert billing.manifest.requires == ("mall.shop.ledger>=2", "db", "guard")
    assert billing.manifest.bundle == "mall.shop"
    assert billing.layers() == (outer,)


def test_the_members_of_bundles_resolve_by_themselves():
    """The same plugin may be in two bundles, and stand alone as well."""

    class Stall(Bundle, members=[Ledger]):
        pass

    entries = [entry for each in (Shop, Stall, Ledger) for entry in unfold(each.manifest, each, None)]
    db = plugin("db").manifest
    resolution = resolve([*(entry.manifest for entry in entries), db])
    assert not resolution.problems
    assert {"db", "shop.ledger", "shop.billing"} <= set(resolution.requirements_of("shop"))
    assert resolution.requirements_of("stall") == ("stall.ledger",)


def test_a_subclass_has_the_members_of_its_bases_and_its_own():
    """One of the same name takes the other's place; an empty list takes all of them away."""

    class Mailer(Plugin):
        pass

    class BetterLedger(Ledger, name="ledger", version="3.0"):
        pass

    class Web(Shop, members=[Mailer, BetterLedger]):
        pass

    class Empty(Shop, members=[]):
        pass

    assert Web.manifest.members == ("web.billing", "web.ledger", "web.mailer")
    assert Web.members()["ledger"].manifest.version == "3.0"
    assert Web.manifest.requires == ("db", "web.billing", "web.ledger", "web.mailer")
    assert (Empty.manifest.members, Empty.manifest.requires) == ((), ("db",))


def test_options_of_members_are_nested():
    """Each member gets its own part, from either way of writing it."""
    config = {"shop": {"currency": "USD", "ledger": {"size": 2}}, "shop.ledger": {"size": 3}}
    entries = unfold(Shop.manifest, Shop, gather(Shop.manifest, Shop, config))
    assert [(entry.manifest.name, entry.options) for entry in entries] == [
        ("shop.billing", {}),
        ("shop.ledger", {"size": 3}),
        ("shop", {"currency": "USD"}),
    ]


def test_an_option_of_a_bundle_without_options_must_be_a_member():
    """The member that was meant is suggested."""

    class Stall(Bundle, members=[Ledger]):
        pass

    with pytest.raises(ConfigError, match="Did you mean 'ledger'") as caught:
        list(unfold(Stall.manifest, Stall, {"leger": {}}))
    assert caught.value.path == "leger"


def test_members_may_be_written_as_functions():
    """A bundle takes what `plugin` returned."""

    class Stall(Bundle, members=[plugin("till", version="1.0")]):
        pass

    assert str(Stall.members()["till"].manifest) == "stall.till 1.0"


def test_a_bundle_may_be_written_as_a_chain():
    """It has members, options and layers like a class, and a refused member leaves it as it was."""
    made = plugin("shop", version="3.0", requires=["db"], needs=["books"], middleware=[outer])
    made.config(currency="EUR").members(Billing).members(Ledger)
    assert made.manifest.members == Shop.manifest.members
    assert made.manifest.requires == Shop.manifest.requires
    assert made.build().members()["ledger"].layers() == (outer, inner)
    before = made.build()
    for wrong in (int, Ledger):
        with pytest.raises(ManifestError, match=r"plugin 'shop' \(test_bundle\.py:\d+\)"):
            made.members(wrong)
    assert made.build() is before
    assert plugin("stall", members=[Ledger]).manifest.members == ("stall.ledger",)


REFUSED = {
    "no list": (lambda: type("Stall", (Bundle,), {}, members=Ledger), "members takes a list"),
    "no plugin": (lambda: type("Stall", (Bundle,), {}, members=[int]), "is no plugin class"),
    "the base itself": (lambda: type("Stall", (Bundle,), {}, members=[Bundle]), "is no plugin class"),
    "twice": (lambda: type("Stall", (Bundle,), {}, members=[Ledger, Ledger]), "two members are called 'ledger'"),
    "an option": (
        lambda: type("Stall", (Bundle,), {"Config": type("C", (BaseModel,), {"ledger": 1, "__annotations__": {"ledger": int}})}, members=[Ledger]),
        "both an option and a member",
    ),
    "members of a plugin": (lambda: type("Stall", (Plugin,), {}, members=[Ledger]), r"Subclass plugbook\.Bundle"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_in_the_class_statement(case):
    """The error says what is wrong and where the class is."""
    mistake, text = REFUSED[case]
    with pytest.raises(ManifestError, match=text) as caught:
        mistake()
    assert "class Stall (test_bundle.py:" in str(caught.value)
