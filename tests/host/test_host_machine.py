"""A host under arbitrary use: starts, stops, failures and interrupts in any order, and every cleanup still runs."""

from __future__ import annotations

import contextlib
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plugbook import Event, Host, Plugin, on
from plugbook.errors import PlugbookError
from plugbook.plugins.lifecycle import State

NAMES = ("ledger", "billing", "mailer", "parcels")
REQUIRES = {"ledger": (), "billing": ("ledger",), "mailer": ("billing",), "parcels": ("ledger",)}

plugins = st.sampled_from(NAMES)
mishaps = st.sampled_from([None, ValueError, KeyboardInterrupt])


class Ping(Event):
    """What every plugin listens to."""


class Journal:
    """What the plugins of one host took and gave back, and what is to go wrong next."""

    def __init__(self):
        self.held = {name: [] for name in NAMES}
        self.taken = Counter()
        self.returned = Counter()
        self.out_of_order = []
        self.next_mishap = {}

    def take(self, name, number, instance):
        token = (name, number, self.taken[name], instance)
        self.taken[name] += 1
        self.held[name].append(token)
        return token

    def give_back(self, token):
        name, *_, instance = token
        held = [each for each in self.held[name] if each[-1] == instance]
        if not held or held[-1] != token:
            self.out_of_order.append(token)
        self.held[name] = [each for each in self.held[name] if each != token]
        self.returned[name] += 1
        self.mishap("cleanup", name)

    def mishap(self, where, name):
        error = self.next_mishap.pop((where, name), None)
        if error is not None:
            raise error(f"{where} of {name}")


def make(name, journal, *, is_async):
    """A plugin that takes three things, and fails where the journal says so."""

    class Base(Plugin, name=name, requires=list(REQUIRES[name])):
        @on(Ping)
        def handle(self, event):
            journal.mishap("handle", name)

        def take_all(self, ctx):
            for number in range(3):
                ctx.defer(journal.give_back, journal.take(name, number, id(self)))
                if number == 1:
                    journal.mishap("start", name)

    class Sync(Base, name=name, requires=list(REQUIRES[name])):
        def start(self, ctx):
            self.take_all(ctx)

    class Async(Base, name=name, requires=list(REQUIRES[name])):
        async def start(self, ctx):
            self.take_all(ctx)

    return Async if is_async else Sync


class HostMachine(RuleBasedStateMachine):
    """Requests and mishaps in any order, on plugins that require each other."""

    @initialize(kinds=st.lists(st.booleans(), min_size=len(NAMES), max_size=len(NAMES)))
    def open(self, kinds):
        self.journal = Journal()
        self.classes = {
            name: make(name, self.journal, is_async=kind) for name, kind in zip(NAMES, kinds, strict=True)
        }
        self.host = Host(self.classes.values())

    def ask(self, request, *arguments):
        with contextlib.suppress(PlugbookError, KeyboardInterrupt):
            request(*arguments)

    @rule(name=plugins, where=st.sampled_from(["start", "cleanup", "handle"]), error=mishaps)
    def something_will_go_wrong(self, name, where, error):
        self.journal.next_mishap[where, name] = error

    @rule(name=st.none() | plugins)
    def start(self, name):
        self.ask(self.host.start, name)

    @rule(name=st.none() | plugins)
    def stop(self, name):
        self.ask(self.host.stop, name)

    @rule(name=plugins, how=st.sampled_from(["restart", "reload"]))
    def again(self, name, how):
        self.ask(getattr(self.host, how), name)

    @rule(name=plugins)
    def replace(self, name):
        self.ask(lambda: self.host.add(self.classes[name], replace=True))

    @rule(name=plugins)
    def remove(self, name):
        self.ask(self.host.remove, name)

    @rule()
    def publish(self):
        self.ask(self.host.publish, Ping())

    @invariant()
    def what_does_not_run_holds_nothing(self):
        """A plugin has taken three things exactly while it is active; otherwise it has given all of them back."""
        for name in NAMES:
            is_active = self.host.states.get(name) is State.ACTIVE
            assert len(self.journal.held[name]) == (3 if is_active else 0), name
            assert self.journal.taken[name] - self.journal.returned[name] == (3 if is_active else 0)
        assert self.journal.out_of_order == []

    @invariant()
    def what_is_active_has_what_it_needs(self):
        """No plugin is active while something it requires is not, and none is left between two states."""
        states = self.host.states
        assert not {State.STARTING, State.STOPPING} & set(states.values())
        for name, state in states.items():
            if state is State.ACTIVE:
                assert all(states.get(need) is State.ACTIVE for need in REQUIRES[name]), name

    def teardown(self):
        if not hasattr(self, "host"):
            return
        self.journal.next_mishap.clear()
        self.host.close()
        assert not any(self.journal.held.values())
        assert self.journal.taken == self.journal.returned


HostMachine.TestCase.settings = settings(settings.default, stateful_step_count=25)
TestHost = HostMachine.TestCase
