"""Reloads and mishaps in any order, at every step of a reload: no event is lost, and none is handled twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plugbook import Event, ExtensionPoint, Host, Plugin, on
from plugbook.errors import PlugbookError

SHELVES = ExtensionPoint("shop.shelves", str)
STEPS = ("snapshot", "migrate", "restore", "__init__", "start", "after the start", "health", "cleanup")


class Came(Event, topic="came"):
    number: int


class Ask(Event, topic="reload.please"):
    """Makes a handler ask for a reload, between two events that it publishes."""


class Service:
    """What the plugin provides; knows the generation that it belongs to."""

    def __init__(self, owner):
        self.owner = owner


class Journal:
    """What happened to the instances of the plugin, and what is to go wrong next."""

    def __init__(self):
        self.next_mishaps = {}
        self.taken = Counter()
        self.cleaned = Counter()

    def mishap(self, step):
        error = self.next_mishaps.pop(step, None)
        if error is not None:
            raise error(step)


def make(journal, version, *, is_async):
    """A class of the plugin; each has a snapshot, a service, a contribution and a cleanup."""

    class Base(Plugin, name="base"):
        state_version = version

        def __init__(self):
            journal.mishap("__init__")
            self.seen = []

        def snapshot(self):
            journal.mishap("snapshot")
            return {"seen": self.seen}

        def migrate(self, state, from_version):
            journal.mishap("migrate")
            return state

        def restore(self, state):
            journal.mishap("restore")
            self.seen = state["seen"]

        def start(self, ctx):
            journal.taken[id(self)] += 1
            ctx.defer(self.clean_up)
            journal.mishap("start")
            ctx.provide(Service, Service(self))
            ctx.contribute(SHELVES, "shelf")
            ctx.subscribe("came.early", print)
            journal.mishap("after the start")

        def clean_up(self):
            journal.cleaned[id(self)] += 1
            journal.mishap("cleanup")

        def health(self):
            journal.mishap("health")
            assert self.ctx.get(Service).owner is self

    class Sync(Base, name="keeper"):
        @on(Came)
        def keep(self, event):
            self.seen.append(event.number)

    class Async(Base, name="keeper"):
        @on(Came)
        async def keep(self, event):
            await asyncio.sleep(0)
            self.seen.append(event.number)

    return Async if is_async else Sync


class GenerationsMachine(RuleBasedStateMachine):
    """One plugin that keeps every number, a host, and another plugin that asks for reloads from inside a handler."""

    @initialize(is_async=st.booleans())
    def open(self, is_async):
        self.journal = Journal()
        self.keep_alive = []
        self.sent = 0
        self.swaps = 0
        machine = self

        class Asker(Plugin):
            def start(self, ctx):
                ctx.declare(SHELVES)

            @on(Ask)
            def ask(self, event):
                self.ctx.publish(machine.next_event())
                machine.host.reload("keeper")
                self.ctx.publish(machine.next_event())

        self.host = Host([Asker, make(self.journal, 1, is_async=is_async)])
        self.host.start().check()

    @property
    def handle(self):
        return self.host.plugins["keeper"]

    def next_event(self):
        self.sent += 1
        return Came(number=self.sent)

    def ask(self, request):
        """Make a request that may fail; what was taken by an instance is judged by its id, so none may be reused."""
        self.keep_alive.append(self.handle.instance)
        before = self.handle.generation
        with contextlib.suppress(PlugbookError, KeyboardInterrupt, asyncio.CancelledError):
            request()
        self.keep_alive.append(self.handle.instance)
        self.swaps += self.handle.generation - before

    @rule(
        step=st.sampled_from(STEPS),
        error=st.sampled_from([ValueError, KeyboardInterrupt, asyncio.CancelledError]),
    )
    def something_will_go_wrong(self, step, error):
        self.journal.next_mishaps[step] = error

    @rule()
    def publish(self):
        self.host.publish(self.next_event())

    @rule()
    def reload(self):
        self.ask(lambda: self.host.reload("keeper"))

    @rule(version=st.integers(1, 3), is_async=st.booleans())
    def replace(self, version, is_async):
        made = make(self.journal, version, is_async=is_async)
        self.ask(lambda: self.host.add(made, replace=True))

    @rule()
    def reload_from_a_handler(self):
        self.ask(lambda: self.host.publish(Ask()))
        self.host.bus.drain()  # an interrupt leaves the rest queued

    @invariant()
    def nothing_is_lost_and_nothing_comes_twice(self):
        """The generation that serves has seen every number once, in order."""
        assert self.handle.is_active
        assert self.handle.instance.seen == list(range(1, self.sent + 1))

    @invariant()
    def one_generation_serves(self):
        """What it provides, contributes and listens to is its own, and there once."""
        instance = self.handle.instance
        assert self.handle.context.get(Service).owner is instance
        assert self.host.extensions["shop.shelves"].rows() == [("keeper", "str", "")]
        mine = [each for each in self.host.subscriptions if each.plugin == "keeper"]
        assert sorted(each.target_text for each in mine) == ["Came", "came.early"]
        assert not self.handle.context.is_waiting

    @invariant()
    def everybody_else_has_cleaned_up(self):
        """An instance that started has run its cleanup once when it does not serve, and not before."""
        serving = id(self.handle.instance)
        for instance, taken in self.journal.taken.items():
            assert taken == 1
            assert self.journal.cleaned[instance] == (0 if instance == serving else 1)

    def teardown(self):
        if hasattr(self, "host"):
            self.journal.next_mishaps.clear()
            self.host.close()


GenerationsMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestGenerations = GenerationsMachine.TestCase
