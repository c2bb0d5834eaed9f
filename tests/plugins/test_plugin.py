"""Defining a plugin: its manifest, its handlers, and the mistakes that are refused in the class statement."""

import re
import textwrap

import pytest
from pydantic import BaseModel

from plugbook.errors import ManifestError, OptionError, PlugbookWarning
from plugbook.events.event import Event
from plugbook.plugins.plugin import HandlerSpec, Plugin, on


class OrderPlaced(Event, topic="order.placed"):
    order_id: int


def define(body, keywords=""):
    """Run a class statement whose text a test gives."""
    source = f"class Sample(Plugin{keywords}):\n{textwrap.indent(textwrap.dedent(body), '    ')}"
    names = {"Plugin": Plugin, "on": on, "OrderPlaced": OrderPlaced, "__name__": "sample"}
    exec(compile(source, "/somewhere/sample.py", "exec"), names)
    return names["Sample"]


def test_the_manifest_is_read_from_the_class_statement():
    """Class keywords, the docstring's first line and the place of the class make the manifest."""

    class Billing(Plugin, name="bills", version="1.2", requires=["ledger>=1,<3"], provides=["invoicing"]):
        """Writes invoices.

        And more.
        """

    manifest = Billing.manifest
    assert (manifest.name, manifest.version, manifest.summary) == ("bills", "1.2", "Writes invoices.")
    assert manifest.requires == ("ledger<3,>=1",)
    assert manifest.entry_point.endswith("test_plugin:" + Billing.__qualname__)


def test_a_plugin_needs_no_keywords():
    """The name comes from the class in kebab-case, the version is 0.0.0, and the default start does nothing."""

    class GitHubLogin(Plugin):
        pass

    assert str(GitHubLogin.manifest) == "git-hub-login 0.0.0"
    assert GitHubLogin().start(None) is None
    assert repr(GitHubLogin()) == "<plugin git-hub-login 0.0.0>"


def test_a_subclass_inherits_what_its_parent_needs():
    """Version and relations are inherited unless they are given again; name and summary are not."""

    class Base(Plugin, version="2.0", requires=["ledger"], needs=["tax"]):
        """A base."""

    class Child(Base, needs=[]):
        pass

    manifest = Child.manifest
    assert (manifest.name, manifest.version, manifest.summary) == ("child", "2.0", "")
    assert (manifest.requires, manifest.needs) == (("ledger",), ())


def test_handlers_come_in_the_order_of_their_definitions():
    """Inherited ones come first, stacked decorators as they are read, with all their options."""

    def paid(event):
        return True

    class Base(Plugin):
        @on("a.*")
        def first(self, event): ...

        @on("b.*")
        def second(self, event): ...

    class Child(Base):
        @on("c.*", priority=3)
        @on(OrderPlaced, where=paid, timeout=1.5, thread=True)
        def third(self, event): ...

    assert Child.handlers() == (
        HandlerSpec("first", "a.*"),
        HandlerSpec("second", "b.*"),
        HandlerSpec("third", "c.*", priority=3),
        HandlerSpec("third", OrderPlaced, where=paid, timeout=1.5, thread=True),
    )
    assert len(Base.handlers()) == 2


def test_overriding_a_handler():
    """A plain override keeps what it listens to, one with `on` replaces it, and None takes it away."""

    class Base(Plugin):
        @on("a")
        def one(self, event): ...

        @on("b")
        def two(self, event): ...

        @on("c")
        def three(self, event): ...

    class Child(Base):
        def one(self, event, extra=None): ...

        @on("x")
        def two(self, event): ...

        three = None

    assert Child.handlers() == (HandlerSpec("one", "a"), HandlerSpec("two", "x"))


def test_mixins_may_bring_handlers():
    """A class that is no plugin may carry handlers for those that are."""

    class Mixin:
        @on("a")
        async def listen(self, event): ...

    class Mixed(Mixin, Plugin):
        pass

    assert Mixed.handlers() == (HandlerSpec("listen", "a"),)


REFUSED = {
    "an unknown keyword": ("pass", ", nmae='x'", "Did you mean 'name'?"),
    "a bad name": ("pass", ", name='Has Blank'", "has-blank"),
    "a bad range": ("pass", ", requires=['ledger>=']", "requires.0"),
    "a bare @on": ("@on\ndef f(self, event): ...", "", "Write @on(OrderPlaced) or @on('order.*') above f"),
    "a class that is no event": ("@on(int)\ndef f(self, event): ...", "", "no Event class"),
    "an instance": ("@on(OrderPlaced(order_id=1))\ndef f(self, event): ...", "", "no Event class"),
    "a bad pattern": ("@on('order..x')\ndef f(self, event): ...", "", "'order..x' is not a topic pattern"),
    "a handler without event": ("@on('a')\ndef f(self): ...", "", "Write def f(self, event)"),
    "a handler of two": ("@on('a')\ndef f(self, event, more): ...", "", "Write def f(self, event)"),
    "a handler that needs a keyword": ("@on('a')\ndef f(self, event, *, more): ...", "", "one event"),
    "a generator": ("@on('a')\ndef f(self, event): yield", "", "yields"),
    "an async generator": ("@on('a')\nasync def f(self, event): yield", "", "yields"),
    "a static method": ("@on('a')\n@staticmethod\ndef f(event): ...", "", "Put it directly on a method"),
    "a static method outside": ("@staticmethod\n@on('a')\ndef f(event): ...", "", "Make it a method"),
    "a predicate that is none": ("@on('a', where=3)\ndef f(self, event): ...", "", "cannot be called"),
    "a priority of text": ("@on('a', priority='high')\ndef f(self, event): ...", "", "whole number"),
    "a timeout of 0": ("@on('a', timeout=0)\ndef f(self, event): ...", "", "above 0"),
    "an async handler on a thread": ("@on('a', thread=True)\nasync def f(self, event): ...", "", "thread"),
    "a Config that is no model": ("class Config: ...", "", "class Config(BaseModel)"),
    "an __init__ with arguments": ("def __init__(self, size): ...", "", "'size'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_in_the_class_statement(case):
    """The class is not made; the error says what, why and what to write, with file and line."""
    body, keywords, text = REFUSED[case]
    with pytest.raises(ManifestError) as caught:
        define(body, keywords)
    assert text in str(caught.value)
    assert re.search(r"sample\.py:\d+", str(caught.value))


def test_a_plugin_may_declare_its_configuration():
    """A nested pydantic model is the plugin's Config; without one there is none."""

    class Billing(Plugin):
        class Config(BaseModel):
            currency: str = "EUR"

    assert Billing.Config().currency == "EUR"
    assert Plugin.Config is None


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("def start(self): pass", "def start(self, ctx)"),
        ("def start(self, ctx, more): pass", "def start(self, ctx)"),
        ("def start(self, ctx): yield", "ctx.defer"),
        ("start = 3", "not a method"),
        ("def on_config_change(self, new): pass", "def on_config_change(self, old, new)"),
        ("def on_config_change(self, old, new): yield", "would run nothing. Write"),
    ],
)
def test_a_method_that_could_not_be_called_is_refused_in_the_class_statement(signature, text):
    """What start and on_config_change take is checked where it is written, as it is for handlers."""
    with pytest.raises(ManifestError, match=re.escape(text)) as caught:
        define(signature)
    assert "sample.py:1" in str(caught.value)


@pytest.mark.parametrize("signature", ["(self, ctx)", "(self, *args)", "(self, ctx, more=1)"])
def test_a_start_that_can_be_called_is_taken(signature):
    """What takes one argument is enough, sync or async."""
    for keyword in ("def", "async def"):
        assert define(f"{keyword} start{signature}: pass")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("stop", "ctx.defer(self.stop)"),
        ("on_start", "start(self, ctx)"),
        ("on_configure", "on_config_change(self, old, new)"),
    ],
)
def test_a_method_that_nobody_calls_is_warned_of(name, remedy):
    """Who expects the host to call another system's method is told what to write instead."""
    with pytest.warns(PlugbookWarning, match=re.escape(remedy)) as caught:
        define(f"def {name}(self): pass")
    assert caught[0].filename == "/somewhere/sample.py"


def test_a_method_that_the_plugin_uses_itself_is_its_own_affair():
    """A stop that start defers, or that handles an event, is not warned of."""
    define("def start(self, ctx): ctx.defer(lambda: self.stop())\ndef stop(self): pass")
    define("@on('app.ended')\ndef stop(self, event): pass")


def test_a_misspelt_option_of_on_suggests_the_one_that_was_meant():
    """An option that @on does not have is refused by name."""
    with pytest.raises(OptionError, match="Did you mean 'priority'") as caught:
        on("order.*", prioriti=3)
    assert caught.value.option == "prioriti"


def test_a_mistake_in_a_notebook_is_placed_in_its_cell():
    """The file that a kernel makes up for a cell is never shown."""
    source = "class Sample(Plugin, nam='x'):\n    pass"
    with pytest.raises(ManifestError, match=r"class Sample \(the cell, line 1\)"):
        exec(compile(source, "/tmp/ipykernel_12/1931058564.py", "exec"), {"Plugin": Plugin, "__name__": "x"})
