"""The ready lifecycle machine: plugins that behave pass it, and each way to misbehave is found."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from pydantic import BaseModel, Field, field_validator

from plugbook import Event, Host, Plugin, on
from plugbook.errors import PluginError
from plugbook.testing.machine import LifecycleMachine, lifecycle_machine

FEW = settings(max_examples=15, stateful_step_count=10, deadline=None, database=None)
SEARCH = settings(
    phases=[Phase.generate],
    max_examples=60,
    stateful_step_count=10,
    deadline=None,
    database=None,
    derandomize=True,  # what there is to be found is found each time, or never
    report_multiple_bugs=False,
)


class Paid(Event, topic="machine.paid"):
    amount: Annotated[int, Field(ge=1, le=9)]


class Booked(Event, topic="machine.booked"):
    amount: int


class Ledger(Plugin, name="ledger"):
    """Keeps what it is given while it runs."""

    def start(self, ctx):
        self.total = 0
        ctx.defer(self.close)

    def close(self):
        self.total = None

    @on(Paid)
    def post(self, paid):
        self.total += paid.amount
        self.ctx.publish(Booked(amount=self.total))


class Billing(Plugin, name="billing", requires=["ledger"]):
    """Needs the ledger, and an option."""

    class Config(BaseModel):
        currency: str

    async def start(self, ctx):
        ctx.defer(self.close)
        await asyncio.sleep(0)

    async def close(self):
        await asyncio.sleep(0)

    @on("machine.*")
    async def bill(self, event):
        assert self.ctx.config.currency == "USD"


class TestTwo(LifecycleMachine.of(Ledger, Billing, config={"billing": {"currency": "USD"}})):
    """Two plugins, one of which needs the other, hold all the rules."""

    settings = FEW


TestLedger = lifecycle_machine([Ledger])
TestLedger.settings = FEW


def run(machine, budget=SEARCH):
    machine.settings = budget
    machine("runTest").debug()


def test_a_handler_that_raises_is_found():
    """An event that a handler cannot take is found, and told with the event."""

    class Picky(Plugin, name="picky"):
        @on(Paid)
        def take(self, paid):
            if paid.amount > 1:
                raise ArithmeticError

    with pytest.raises(ArithmeticError) as caught:
        run(LifecycleMachine.of(Picky))
    assert "was given Paid(amount=" in "".join(caught.value.__notes__)
    run(LifecycleMachine.of(Picky, allowed_errors=(ArithmeticError,)), FEW)


def test_what_is_left_behind_is_found():
    """A thread that outlives its plugin fails the test, with its name."""
    over = threading.Event()

    class Careless(Plugin, name="careless"):
        def start(self, ctx):
            threading.Thread(target=over.wait, name="forgotten", daemon=True).start()

    try:
        with pytest.raises(AssertionError, match="left behind"):
            run(LifecycleMachine.of(Careless))
    finally:
        over.set()


def test_a_restart_that_fails_is_found():
    """A plugin that cannot be started a second time in one process fails the test."""
    started = []

    class Once(Plugin, name="once"):
        def start(self, ctx):
            if started:
                raise BlockingIOError
            started.append(1)
            ctx.defer(lambda: None)

    class Own(LifecycleMachine):
        plugins = (Once,)

        def make_host(self):
            started.clear()
            return super().make_host()

    with pytest.raises(PluginError, match="once"):
        run(Own.TestCase)


def test_rules_of_ones_own_join():
    """A subclass adds rules and hosts of its own, and they run among the others."""
    ran = []

    class Own(LifecycleMachine):
        plugins = (Ledger,)

        def make_host(self):
            return Host(self.plugins, timing=False)

        @rule(amount=st.integers(1, 9))
        def pay(self, amount):
            ran.append(amount)
            self.publish(Paid(amount=amount))

    run(Own.TestCase, FEW)
    assert ran


class Even(Event, topic="numbers.even"):
    number: int

    @field_validator("number")
    @classmethod
    def check(cls, number):
        if number % 2:
            raise ValueError(number)
        return number


def test_events_that_check_more_have_a_strategy_of_their_own():
    """Where a schema does not tell what an event checks, the strategy that is given makes it."""
    seen = []

    class Halves(Plugin, name="halves"):
        @on(Even)
        def halve(self, even):
            seen.append(even.number)

    made = st.integers().map(lambda number: Even(number=number * 2))
    run(LifecycleMachine.of(Halves, strategies={Even: made}))
    assert seen
