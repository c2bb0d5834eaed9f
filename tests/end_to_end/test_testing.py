"""A suite of tests for plugins, written and run from a notebook: what passes, and what a red test tells."""

import pytest

SHOP = '''
%%writefile shop.py
"""The plugins under test."""
from typing import Annotated, Literal
from pydantic import BaseModel, Field
from plugbook import Event, Plugin, on

class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: Annotated[str, Field(pattern=r"^\\d{4}$")]

class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    coins: list[Annotated[int, Field(ge=1, le=200)]] = Field(default_factory=list, max_length=3)

class Ordered(Event, topic="shop.ordered"):
    order_id: Annotated[int, Field(ge=1, lt=1000)]
    amount: Annotated[float, Field(gt=0, le=100, multiple_of=0.5)] = 1.0
    paid_by: Annotated[Card | Cash, Field(discriminator="kind")] = Cash()
    labels: dict[str, int] = {}
    size: tuple[int, bool] | None = None

class Invoiced(Event, topic="shop.invoiced"):
    order_id: int

class Billing(Plugin, version="1.0"):
    """Sends an invoice for each order."""

    def start(self, ctx):
        self.total = 0.0
        self.opened = ctx.clock.now().isoformat()
        ctx.defer(self.close)

    def close(self):
        self.total = None

    @on(Ordered)
    def bill(self, order):
        self.total += order.amount
        self.ctx.publish(Invoiced(order_id=order.order_id))
        return {"total": self.total, "since": self.opened}

class Post(Plugin, version="1.0"):
    """Sends what was invoiced, after a while."""

    @on(Invoiced, timeout=0.2)
    async def send(self, invoice):
        return invoice.order_id
'''

GREEN = """
%%writefile test_green.py
import pytest
from hypothesis import given, settings
from plugbook.errors import PluginError
from plugbook.testing.conformance import conformance
from plugbook.testing.faults import Faults
from plugbook.testing.machine import LifecycleMachine
from plugbook.testing.strategies import events as any_event, from_schema
from shop import Billing, Card, Cash, Invoiced, Ordered, Post

TestBilling = conformance(Billing)
TestLife = LifecycleMachine.of(Billing, Post)
TestLife.settings = settings(max_examples=5, stateful_step_count=6, deadline=None, database=None)

@pytest.fixture
def shop(plugin_host):
    return plugin_host(Billing, Post)

def test_events(shop, events, recording):
    shop.publish(Ordered(order_id=7, amount=9.5))
    assert events.assert_published(Invoiced).order_id == 7
    assert events == [Ordered(order_id=7, amount=9.5), Invoiced(order_id=7)]
    assert events.by("billing") == [Invoiced(order_id=7)]
    events.assert_not_published("shop.refunded")
    assert recording.count("event") == 2

def test_clock(shop, clock):
    clock.advance(60)
    shop.restart("billing")
    [call] = shop.publish(Ordered(order_id=1)).calls
    assert call.result["since"] == "2026-01-01T00:01:00+00:00"

@settings(max_examples=20, database=None, deadline=None)
@given(order=any_event(Ordered))
def test_every_order_is_valid(order):
    assert 1 <= order.order_id < 1000
    assert isinstance(order.paid_by, Card | Cash)

def test_faults(shop, events):
    faults = Faults(shop)
    with faults.drop(Invoiced, plugin="post") as drop, faults.duplicate(Ordered):
        shop.publish(Ordered(order_id=1))
    assert drop.count == 2
    with faults.fail(Ordered, OSError("no paper"), plugin="billing"):
        shop.publish(Ordered(order_id=2))
    with faults.hang(Invoiced, plugin="post"):
        shop.publish(Ordered(order_id=3))
    shop.stop()
    faults.assert_clean()
    with faults.raise_in("billing", "start", OSError), pytest.raises(PluginError):
        shop.start("billing")

def test_delay(shop, clock):
    with Faults(shop).delay("shop.*", 3_600, plugin="post"):
        shop.publish(Ordered(order_id=1))
    assert clock.elapsed.total_seconds() == 3_600

def test_record(plugin_host):
    shop = plugin_host(Billing, Post, start=False)
    with shop.record("shop.plugbook"):
        shop.start()
        for order_id in (1, 2):
            shop.publish(Ordered(order_id=order_id))

def test_replay(assert_replays):
    assert len(assert_replays("shop.plugbook", Billing, Post).story) == 4
"""

RED = """
%%writefile test_red.py
import threading
from hypothesis import Phase, settings
from plugbook import Plugin, on
from plugbook.testing.conformance import conformance
from plugbook.testing.machine import LifecycleMachine
from shop import Billing, Invoiced, Ordered, Post

class Picky(Plugin):
    @on(Ordered)
    def take(self, order):
        raise ArithmeticError

class Leaky(Plugin):
    def start(self, ctx):
        threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()

class Forgetful(Billing, name="billing", version="2.0"):
    @on(Ordered)
    def bill(self, order):
        return {"total": 0}

TestPicky = LifecycleMachine.of(Picky)
TestPicky.settings = settings(phases=[Phase.generate], max_examples=20, deadline=None, database=None)
TestLeaky = conformance(Leaky)

def test_missing(plugin_host, events):
    plugin_host(Billing).publish(Ordered(order_id=7, amount=9.0))
    events.assert_published(Ordered, amount=9.5)

def test_difference(plugin_host, events, recording):
    plugin_host(Billing).publish(Ordered(order_id=7))
    assert events == [Ordered(order_id=7), Invoiced(order_id=8), Invoiced(order_id=9)]

def test_leak(plugin_host):
    plugin_host(Leaky)

def test_broken(plugin_host):
    class Broken(Plugin):
        def start(self, ctx):
            raise ValueError("no such table")
    plugin_host(Broken)

def test_misspelt(plugin_host):
    from plugbook.testing.faults import Faults
    Faults(plugin_host(Billing)).drop(Ordered, plugin="biling")

def test_replay(assert_replays):
    assert_replays("shop.plugbook", Forgetful, Post)
"""

RUN = "!python -m pytest -q -p no:cacheprovider -p no:randomly --rootdir ."


@pytest.fixture(scope="module")
def green(notebook):
    """What the suite of a shop that works prints."""
    notebook.run(SHOP)
    notebook.run(GREEN)
    return notebook.run(f"{RUN} test_green.py")


@pytest.fixture(scope="module")
def red(notebook, green):
    """What a suite prints in which everything goes wrong, beside the recording that the green one left."""
    notebook.run(RED)
    return notebook.run(f"{RUN} test_red.py")


def test_a_suite_with_every_tool_passes(green):
    """Fixtures, strategies, conformance, the lifecycle machine, faults and replay work together, without a warning."""
    assert " passed" in green, green
    assert "failed" not in green, green
    assert "warning" not in green, green


def test_a_red_test_says_what_was_expected_and_what_came(red):
    """Who reads the failure needs to print nothing: events, differences, causes and remedies are all in it."""
    for told in (
        "ArithmeticError",
        "raised by Picky.take when it was given Ordered(",
        "no Ordered with amount=9.5 was published. The nearest:",
        "amount: 9.5 was expected, 9.0 was published",
        "2 events published == 3 events expected",
        "- missing: Invoiced(order_id=9)",
        "ValueError: no such table",
        "Did you mean 'billing'?",
    ):
        assert told in red


def test_a_plugin_that_leaks_is_told_what_and_how_to_mend_it(red):
    """The fixture and the conformance suite both name what was left, who holds it, and what gives it back."""
    assert "leaky left a thread behind: poller" in red
    assert "ctx.defer(thread.join)" in red
    assert "Leaky has no version" in red


def test_a_replay_that_differs_shows_the_first_difference(red):
    """The call that answers another thing is shown as it was recorded and as it is now."""
    assert "The first difference is at event" in red
    assert "kept at" in red
