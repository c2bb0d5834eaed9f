"""Three ways to write a plugin, and one thing underneath: classes, decorated functions, and a chain of calls."""

import asyncio
import functools
import re

import pytest
from pydantic import BaseModel

from plugbook import Event, Host, Plugin, on, plugin
from plugbook.errors import ConfigError, LifecycleError, ManifestError, OptionError, PluginError
from plugbook.plugins.authoring.builder import PluginBuilder
from plugbook.plugins.plugin import _BESIDES, _KEYWORDS


class OrderPlaced(Event, topic="order.placed"):
    amount: float


class InvoiceSent(Event, topic="invoice.sent"):
    text: str


def is_large(event):
    return event.amount > 5


def through(event, call_next):
    return call_next(event)


# -- the same plugin, three times -----------------------------------------------------------------


class Billing(Plugin, name="billing", version="1.2", requires=["ledger>=1"], summary="Writes invoices."):
    class Config(BaseModel):
        currency: str = "USD"

    def start(self, ctx):
        self.total = 0.0
        ctx.publish(InvoiceSent(text="open"))
        ctx.defer(self.close)

    def close(self):
        self.ctx.publish(InvoiceSent(text=f"closed at {self.total}"))

    @on(OrderPlaced, priority=5, where=is_large)
    def bill(self, event):
        self.total += event.amount
        self.ctx.publish(InvoiceSent(text=f"{event.amount} {self.ctx.config.currency}"))
        return self.total

    @on("invoice.*")
    async def count(self, event):
        await asyncio.sleep(0)
        return len(event.text)


def by_class():
    return Billing


def by_decorators():
    billing = plugin("billing", version="1.2", requires=["ledger>=1"], summary="Writes invoices.")
    billing.config(currency="USD")

    @billing.on_start
    def start(ctx):
        ctx.state.total = 0.0
        ctx.publish(InvoiceSent(text="open"))

    @billing.on_stop
    def close(ctx):
        ctx.publish(InvoiceSent(text=f"closed at {ctx.state.total}"))

    @billing.on(OrderPlaced, priority=5, where=is_large)
    def bill(event, ctx):
        ctx.state.total += event.amount
        ctx.publish(InvoiceSent(text=f"{event.amount} {ctx.config.currency}"))
        return ctx.state.total

    @billing.on("invoice.*")
    async def count(event):
        await asyncio.sleep(0)
        return len(event.text)

    return billing


def by_chain():
    def start(ctx):
        ctx.state.total = 0.0
        ctx.publish(InvoiceSent(text="open"))

    def close(ctx):
        ctx.publish(InvoiceSent(text=f"closed at {ctx.state.total}"))

    def bill(event, ctx):
        ctx.state.total += event.amount
        ctx.publish(InvoiceSent(text=f"{event.amount} {ctx.config.currency}"))
        return ctx.state.total

    async def count(event):
        await asyncio.sleep(0)
        return len(event.text)

    return (
        plugin("billing")
        .version("1.2")
        .summary("Writes invoices.")
        .requires("ledger>=1")
        .config(currency="USD")
        .starting(start)
        .stopping(close)
        .on(OrderPlaced, bill, priority=5, where=is_large)
        .on("invoice.*", count)
        .build()
    )


class Ledger(Plugin, version="1.0"):
    @on(OrderPlaced)
    def post(self, event):
        return event.amount


def what_happened(host):
    """The records of a host, without what no two runs share."""
    return [
        (each.kind, each.name, each.plugin, each.outcome, each.reason, each.payload, each.result)
        for each in host.recording.records()
    ]


SHOWN = """\
<plugin billing 1.2
  requires  ledger>=1
  summary   Writes invoices.
  on        OrderPlaced (order.placed): bill, where=is_large, priority=5
            invoice.*: count
  config    currency: str = 'USD'>"""

WAYS = [by_class, by_decorators, by_chain]


@pytest.mark.parametrize("way", WAYS)
def test_the_manifest_is_the_same(way):
    """Whatever way a plugin is written in, it says the same about itself."""
    made = way()
    assert made.manifest == Billing.manifest
    shown = repr(made if isinstance(made, PluginBuilder) else made())
    assert shown == repr(Billing()) == SHOWN


def test_what_is_shown_leaves_nothing_out_and_tells_no_secret():
    """Every field that was stated is there, a required option without a default, and a secret one hidden."""
    made = (
        plugin("mail", version="2", needs=["smtp"], provides=["mail"], policy="quarantine")
        .middleware(through)
        .config(host=str, password="hunter2")
    )
    assert repr(made) == (
        "<plugin mail 2\n"
        "  provides    mail\n"
        "  needs       smtp\n"
        "  policy      quarantine\n"
        "  middleware  through\n"
        "  config      host: str\n"
        "              password: str = **********>"
    )


def run(made):
    with Host([made, Ledger], config={"billing": {"currency": "EUR"}}) as host:
        host.start()
        for amount in (9.0, 1.0, 7.5):
            report = host.publish(OrderPlaced(amount=amount))
        handlers = [(call.handler, call.plugin, call.outcome, call.result) for call in report.calls]
        host.stop("billing")
        return handlers, what_happened(host)


@pytest.mark.parametrize("way", WAYS)
def test_what_happens_is_the_same(way):
    """Started, used and stopped, it leaves the same records."""
    assert run(way()) == run(Billing)


REFUSED = {
    "a range": (lambda: plugin("x", requires=["ledger>="]), "requires.0"),
    "a name": (lambda: plugin("Has Blank"), "has-blank"),
    "a keyword": (lambda: plugin("x", requries=[]), "Did you mean 'requires'"),
    "itself": (lambda: plugin("x").requires("x"), "itself"),
    "a policy": (lambda: plugin("x").policy("shrug"), "policy"),
    "a version": (lambda: plugin("x").version("one"), "PEP 440"),
    "a capability": (lambda: plugin("x").provides("a>=1"), "range"),
    "a layer": (lambda: plugin("x").middleware(3), "retry(3)"),
    "no text": (lambda: plugin("x").needs(int), "not a class"),
    "used as a decorator": (lambda: plugin(is_large), "billing = plugin('billing')"),
    "two names": (lambda: plugin("x", name="y"), "one name"),
    "no model": (lambda: plugin("x").config(3), "pydantic model"),
    "model and defaults": (lambda: plugin("x").config(BaseModel, size=1), "either"),
    "an option of BaseModel's": (lambda: plugin("x").config(copy=1), "copy"),
    "a private option": (lambda: plugin("x").config(_size=1), "underscore"),
    "a default of no type": (lambda: plugin("x").config(size=len), "cannot be made of size"),
    "no event": (lambda: plugin("x").on(int, is_large), "no Event class"),
    "a pattern": (lambda: plugin("x").on("a..b", is_large), "not a topic pattern"),
    "a bare on": (lambda: plugin("x").on(is_large), "does not say what to listen to"),
    "an option of on": (lambda: plugin("x").on("a", is_large, prio=1), "'priority'"),
    "a priority": (lambda: plugin("x").on("a", is_large, priority="high"), "whole number"),
    "no function": (lambda: plugin("x").on("a", 3), "3 is no function"),
    "a class": (lambda: plugin("x").on("a", Ledger), "is no function"),
    "too few arguments": (lambda: plugin("x").on("a", lambda: 1), "called with the event"),
    "too many arguments": (lambda: plugin("x").on("a", lambda a, b, c: 1), "called with the event"),
    "a generator": (lambda: plugin("x").on("a", lambda event: (yield)), "yields"),
    "a start of two": (lambda: plugin("x").on_start(lambda ctx, more: 1), "called with the plugin's context"),
    "a stop of two": (lambda: plugin("x").on_stop(lambda ctx, more: 1), "called with the plugin's context"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_where_it_is_made(case):
    """The message is the one that a class statement gives, and says where the plugin or function is."""
    mistake, text = REFUSED[case]
    with pytest.raises((ManifestError, OptionError), match=re.escape(text)) as caught:
        mistake()
    if case != "an option of on":
        assert re.search(r"test_builder\.py:\d+", str(caught.value))


def test_a_refused_call_leaves_the_builder_as_it_was():
    """What was there before is still there, and nothing else."""
    made = plugin("x", version="1.0").requires("ledger").on("a", is_large)
    before = made.build()
    for mistake in (
        lambda: made.version("one"),
        lambda: made.requires("tax", "led ger"),
        lambda: made.on("b..", is_large),
        lambda: made.config(_a=1),
        lambda: made.on_start(3),
    ):
        with pytest.raises(ManifestError):
            mistake()
    assert made.build() is before


def test_a_handler_cannot_take_the_place_of_what_every_plugin_has():
    """A function called `handlers` is refused with the advice to rename it."""

    def handlers(event): ...

    with pytest.raises(ManifestError, match="Rename the function"):
        plugin("x").on("a", handlers)


def test_every_class_keyword_has_a_word_in_the_chain():
    """A new class keyword needs a method of that name in PluginBuilder."""
    words = {*_KEYWORDS, *_BESIDES} - {"name"}
    assert words <= set(dir(PluginBuilder))


def test_a_misspelt_word_of_the_chain_suggests_the_one_that_was_meant():
    """It is an AttributeError, as for any object."""
    with pytest.raises(AttributeError, match="Did you mean 'requires'"):
        plugin("x").requries("y")


# -- functions ------------------------------------------------------------------------------------


def calls_of(made, event=None):
    with Host([made]) as host:
        host.start()
        return [(call.handler, call.result) for call in host.publish(event or OrderPlaced(amount=1)).calls]


def test_the_context_is_given_to_functions_of_two_arguments():
    """One that could do with the event alone gets the context where it asks for `ctx` by name."""

    def one(event, more=None):
        return more

    def two(event, context):
        return context.plugin

    def named(event, ctx=None):
        return ctx.plugin

    made = plugin("x").on("order.*", one).on("order.*", two).on("order.*", named)
    assert calls_of(made) == [("X.one", None), ("X.two", "x"), ("X.named", "x")]


def test_whatever_can_be_called_can_handle():
    """Methods, partial and built-in functions, lambdas and objects: each has a name of its own."""

    class Counter:
        async def __call__(self, event, ctx):
            return ctx.plugin

    def scaled(factor, event):
        return factor * event.amount

    seen, more = [], []
    made = plugin("x").on("order.*", seen.append).on("order.*", more.append)
    made.on("order.*", functools.partial(scaled, 3)).on(OrderPlaced, Counter())
    made.on(OrderPlaced, lambda event: 1).on(OrderPlaced, lambda event: 2)
    assert calls_of(made) == [
        ("X.append", None),
        ("X.append_2", None),
        ("X.scaled", 3.0),
        ("X.Counter", "x"),
        ("X.on_order_placed", 1),
        ("X.on_order_placed_2", 2),
    ]
    assert seen == more == [OrderPlaced(amount=1)]


def test_decorators_may_be_stacked():
    """As on methods, they are kept as they are read, and the function stays as it was."""
    made = plugin("x")

    @made.on(OrderPlaced, priority=2)
    @made.on("invoice.*")
    def both(event):
        return event.__topic__

    assert [spec.target for spec in made.build().handlers()] == [OrderPlaced, "invoice.*"]
    assert both(OrderPlaced(amount=1)) == "order.placed"


def test_a_function_that_is_defined_again_takes_the_place_of_its_former_self():
    """Running a cell again does not double what it registers; closures of one definition are several."""
    made = plugin("x")
    cell = (
        "@made.on('order.*')\ndef handle(event): return {}\n@made.on_start\ndef begin(ctx): ctx.state.n = {}"
    )
    for n in (1, 2):
        exec(compile(cell.format(n, n), f"<cell {n}>", "exec"), {"made": made, "__name__": "cells"})
    assert calls_of(made) == [("X.handle", 2)]

    def of(n):
        return lambda event: n

    made.on("order.*", of(3)).on("order.*", of(4))
    assert [result for _, result in calls_of(made)] == [2, 3, 4]


def test_a_plugin_changes_for_a_host_when_it_is_given_again():
    """What is built is the same class until something is added."""
    made = plugin("x").on("order.*", is_large)
    with Host([made]) as host:
        host.start()
        assert host.plugins["x"].plugin_class is made.build()
        made.on("order.*", lambda event: "added")
        assert len(host.publish(OrderPlaced(amount=1)).calls) == 1
        host.add(made, replace=True)
        assert len(host.publish(OrderPlaced(amount=1)).calls) == 2
        host.stop(made)
        assert host.states["x"] == "stopped"


# -- start, stop and options ----------------------------------------------------------------------


def test_starts_run_in_order_and_stops_in_reverse():
    """Sync and async ones alike, with the context or with nothing."""
    seen = []
    made = plugin("x")

    @made.on_start
    def first():
        seen.append("first")

    @made.on_start
    async def second(ctx):
        await asyncio.sleep(0)
        seen.append(ctx.plugin)

    @made.on_stop
    def last():
        seen.append("last")

    @made.on_stop
    async def before(ctx):
        seen.append("before")

    with Host([made]) as host:
        host.start()
        assert seen == ["first", "x"]
    assert seen[2:] == ["before", "last"]


def test_what_stops_does_not_run_where_the_start_has_failed():
    """What was deferred until then does."""
    seen = []
    made = plugin("x").stopping(lambda: seen.append("stopped"))

    @made.on_start
    def begin(ctx):
        ctx.defer(seen.append, "deferred")
        raise OSError("no")

    with Host([made]) as host:
        host.start()
        assert host.states["x"] == "failed"
    assert seen == ["deferred"]


def test_the_state_is_fresh_at_each_start():
    """What a former start kept is gone."""
    made = plugin("x").on("order.*", lambda event, ctx: vars(ctx.state).setdefault("n", event.amount))
    with Host([made]) as host:
        host.start()
        host.publish(OrderPlaced(amount=1))
        host.restart("x")
        assert host.publish(OrderPlaced(amount=2)).calls[0].result == 2


def test_options_take_the_types_of_their_defaults():
    """A type in place of a default makes an option required; a model is taken as it is."""
    made = plugin("x", config={"currency": "EUR", "rate": 0.2, "tags": [], "key": str})
    model = made.build().Config
    assert model(key="k").model_dump() == {"currency": "EUR", "rate": 0.2, "tags": [], "key": "k"}
    with Host([made], config={"x": {"rate": "a lot"}}) as host:
        changes = host.start()
        assert isinstance(changes.failed["x"], ConfigError)
        assert re.search("rate: .*; key: Field required", str(changes.failed["x"]))
    assert plugin("y").config(Billing.Config).build().Config is Billing.Config


def test_a_host_takes_names_of_what_was_built():
    """Requests and questions take the builder as they take a class."""
    made = plugin("x")
    with Host([made]) as host:
        host.start(made)
        assert str(host.why(made)).startswith("x is active")
        with pytest.raises(LifecycleError):
            host.plan("halt", made)


@pytest.mark.parametrize("is_async", [False, True])
def test_functions_are_told_of_another_configuration(is_async):
    """They are called in order, with the context if they take it, and what one raises refuses the configuration."""
    heard = []
    billing = plugin("billing").config(currency="USD")

    @billing.on_config_change
    def first(old, new):
        heard.append((old.currency, new.currency))
        if new.currency == "XXX":
            raise ValueError("no such currency")

    def second(old, new, ctx):
        heard.append(ctx.config is new)

    async def later(old, new, ctx):
        await asyncio.sleep(0)
        second(old, new, ctx)

    assert billing.configuring(later if is_async else second) is billing
    with Host([billing]) as host:
        host.start()
        host.configure("billing", currency="EUR")
        assert heard == [("USD", "EUR"), True]
        with pytest.raises(PluginError, match="no such currency"):
            host.configure("billing", currency="XXX")
        assert host.config_of("billing")["currency"].value == "EUR"


def test_a_listener_of_the_configuration_that_cannot_be_called_is_refused():
    """The message says with what it is called, and the builder stays as it was."""
    billing = plugin("billing")
    with pytest.raises(ManifestError, match=r"def changed\(old, new, ctx\)"):

        @billing.on_config_change
        def changed(new): ...

    assert billing.build().on_config_change is Plugin.on_config_change


def test_a_builder_that_was_changed_after_a_host_took_it_says_so():
    """The host keeps what it took, so the builder shows how to bring the change, until that is done."""
    billing = plugin("billing")
    with Host([billing]) as host:
        assert repr(billing) == "<plugin billing 0.0.0>"
        billing.version("2")
        assert repr(billing).splitlines()[-1].endswith("host.add(billing, replace=True)")
        host.add(billing, replace=True)
        assert repr(billing) == "<plugin billing 2>"
