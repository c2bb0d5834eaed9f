"""A ready state machine for hypothesis: the lifecycle of plugins under arbitrary use, and what must hold all the time.

A plugin's own tests try what its author thought of. This one starts, stops, restarts, reloads, adds and removes its
plugins in any order, with generated events in between, and shows the shortest run after which something is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

from plugbook.errors import LifecycleError, PluginError, ResolutionError, UnknownPluginError, missing_extra
from plugbook.events.subscription import ABSENT
from plugbook.events.versions.known import types_for
from plugbook.host.host import Host, PluginClass
from plugbook.plugins.lifecycle import TRANSITIONS, State
from plugbook.plugins.plugin import as_class
from plugbook.testing.scopes import ScopeWatch, leaks_of
from plugbook.testing.strategies import events

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
except ImportError as error:
    missing_extra("plugbook.testing.machine", "testing", error)

if TYPE_CHECKING:
    from unittest import TestCase

    from hypothesis.strategies import SearchStrategy

    from plugbook.events.event import Event

_REFUSALS = (LifecycleError, ResolutionError, UnknownPluginError)
"""What a host says to a request that does not fit the states of its plugins; then nothing has changed."""


def _of_machine(choose: Callable[[LifecycleMachine], SearchStrategy[Any]]) -> SearchStrategy[Any]:
    """A strategy that depends on the plugins of the machine that draws from it."""
    return st.runner().flatmap(choose)


_names = _of_machine(lambda machine: st.sampled_from(machine.names()))
_events = _of_machine(lambda machine: st.one_of(machine.generated()))


class LifecycleMachine(RuleBasedStateMachine):
    """Plugins on a host, in whatever order they are started, stopped, reloaded, added, removed and given events.

    Two lines are a test, of which hypothesis runs a hundred orders and shows the shortest that fails::

        class TestBilling(LifecycleMachine.of(Billing, Ledger)):
            pass

    A subclass may add rules and invariants of its own; then ``TestBilling = BillingMachine.TestCase``::

        class BillingMachine(LifecycleMachine):
            plugins = (Billing, Ledger)
            config = {"billing": {"currency": "USD"}}

    What must hold: every change of a state is one that the lifecycle knows, a request that is refused changes
    nothing, a plugin that is not active has given back all it took and hears nothing, one that is active has what it
    requires, no handler raises, and nothing is left behind in the end.

    Attributes:
        plugins: their classes.
        config: their options, by plugin name.
        strategies: how events are made of which the schema does not tell everything that they check, by class.
        allowed_errors: what handlers may raise.
        host: the host of this run.
    """

    plugins: ClassVar[tuple[PluginClass, ...]] = ()
    config: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    strategies: ClassVar[Mapping[type[Event], SearchStrategy[Any]]] = {}
    allowed_errors: ClassVar[tuple[type[BaseException], ...]] = ()

    host: Host

    @classmethod
    def of(cls, *plugins: PluginClass, **options: Any) -> type[TestCase]:
        """A test of these plugins, for pytest or unittest to collect.

        Args:
            *plugins: their classes.
            **options: `config`, `strategies` and `allowed_errors`, as the attributes of those names.
        """
        name = "".join(as_class(plugin).__name__ for plugin in plugins)
        machine: Any = type(f"{name}Lifecycle", (cls,), {"plugins": plugins, **options})
        return cast("type[TestCase]", machine.TestCase)

    def make_host(self) -> Host:
        """The host that each run begins with; a subclass may make another one."""
        return Host(self.plugins, config=self.config, env_prefix=None)

    @classmethod
    def names(cls) -> list[str]:
        """The names of the plugins."""
        return [as_class(plugin).manifest.name for plugin in cls.plugins]

    @classmethod
    def kinds(cls) -> list[type[Event]]:
        """The types of events that the plugins listen to; of a topic pattern, those that there are."""
        targets = [spec.target for plugin in cls.plugins for spec in as_class(plugin).handlers()]
        return list(dict.fromkeys(kind for target in targets for kind in types_for(target)))

    @classmethod
    def generated(cls) -> list[SearchStrategy[Any]]:
        """How the events of each type are made."""
        known = cls.strategies
        return [known[kind] if kind in known else _events_of(kind) for kind in cls.kinds()]

    # -- what is done -------------------------------------------------------------------------------

    @initialize()
    def open(self) -> None:
        """Make the host."""
        self.host = self.make_host()
        self._before = self.host.states
        self._wrong: list[str] = []
        self._scopes = ScopeWatch(self.host)
        self.host.on_change(self._look)

    @rule(name=st.none() | _names)
    def start(self, name: str | None) -> None:
        """Start one plugin, or all of them."""
        self._ask(self.host.start, name)

    @rule(name=st.none() | _names)
    def stop(self, name: str | None) -> None:
        """Stop one plugin, or all of them."""
        self._ask(self.host.stop, name)

    @rule(name=_names)
    def restart(self, name: str) -> None:
        """Stop a plugin, and start it again."""
        self._ask(self.host.restart, name)

    @rule(name=_names)
    def reload(self, name: str) -> None:
        """Let another generation of a plugin take its place."""
        self._ask(self.host.reload, name)

    @rule(name=_names)
    def remove(self, name: str) -> None:
        """Take a plugin off the host."""
        self._ask(self.host.remove, name)

    @rule(name=_names)
    def add(self, name: str) -> None:
        """Put a plugin on the host, in the place of the one of that name where there is one."""
        plugin = self.plugins[self.names().index(name)]
        config = self.config.get(name)
        self._ask(lambda: self.host.add(plugin, config=config, replace=name in self.host.plugins))

    @precondition(lambda self: self.kinds())
    @rule(event=_events)
    def publish(self, event: Event) -> None:
        """Bring an event to whoever is active."""
        before = self.host.states
        for call in self.host.publish(event).calls:
            if call.plugin and call.outcome != "skipped":
                state = before.get(call.plugin, "not on the host")
                _must(state is State.ACTIVE, f"{call.handler} was called while {call.plugin} was {state}")
            if call.error is not None and not isinstance(call.error, self.allowed_errors):
                call.error.add_note(f"raised by {call.handler} when it was given {event!r}")
                raise call.error

    # -- what must hold -----------------------------------------------------------------------------

    @invariant()
    def changes_are_legal(self) -> None:
        """Every change of a state is one that the lifecycle's table has, and none is left half done."""
        _must(not self._wrong, "; ".join(self._wrong))
        between = {
            name: state
            for name, state in self.host.states.items()
            if state in (State.STARTING, State.STOPPING)
        }
        _must(not between, f"left between two states: {between}")

    @invariant()
    def what_is_over_holds_nothing(self) -> None:
        """Every cleanup of what does not run any more has run."""
        left = self._scopes.left()
        _must(not left, "; ".join(left))

    @invariant()
    def what_is_not_active_hears_nothing(self) -> None:
        """No handler is connected whose plugin is not active."""
        states = self.host.states
        for each in self.host.subscriptions:
            if each.plugin and each.handler is not ABSENT:
                state = states.get(each.plugin)
                _must(state is State.ACTIVE, f"{each.name} is connected, and {each.plugin} is {state}")

    @invariant()
    def what_is_active_has_what_it_needs(self) -> None:
        """Nothing is active while something that it requires is not."""
        states = self.host.states
        for edge in self.host.graph:
            if edge.kind == "requires" and states.get(edge.source) is State.ACTIVE:
                state = states.get(edge.target)
                _must(state is State.ACTIVE, f"{edge.source} is active, and {edge.target} is {state}")

    def teardown(self) -> None:
        """Stop everything, and look for what is left; an error that is on its way holds things itself."""
        if not hasattr(self, "host"):
            return
        try:
            if sys.exc_info()[0] is None:
                self.host.stop()
                leaks = leaks_of(self.host)
                _must(not leaks, f"left behind when everything was stopped:\n{leaks}")
        finally:
            self.host.close()

    # -- inside -------------------------------------------------------------------------------------

    def _ask(self, request: Callable[..., object], *arguments: object) -> None:
        before = self.host.states
        try:
            request(*arguments)
        except _REFUSALS as refusal:
            after = self.host.states
            _must(after == before, f"refused, and yet it is {after} and no longer {before}: {refusal}")

        except PluginError as error:
            if error.__cause__ is not None:
                raise  # the plugin itself failed; otherwise it was only kept from starting

    def _look(self) -> None:
        """Note what has changed; what is wrong is told by the next invariant, for a listener must not raise."""
        after = self.host.states
        for name, state in after.items():
            was = self._before.get(name)
            if was is not None and was is not state and state not in TRANSITIONS[was].values():
                self._wrong.append(f"{name} went from {was} to {state}")
        self._before = after


def lifecycle_machine(plugins: Iterable[PluginClass], **options: Any) -> type[TestCase]:
    """Make a test of some plugins in one line, as `LifecycleMachine.of` does.

    >>> from hypothesis import settings
    >>> from plugbook import Event, Plugin, on
    >>> class Rung(Event, topic="doorbell.rung"):
    ...     times: int
    >>> class Doorbell(Plugin):
    ...     @on(Rung)
    ...     def ring(self, rung: Rung) -> None:
    ...         pass
    >>> TestDoorbell = lifecycle_machine([Doorbell])
    >>> TestDoorbell.settings = settings(max_examples=5, stateful_step_count=10)
    >>> TestDoorbell("runTest").debug()
    """
    return LifecycleMachine.of(*plugins, **options)


def _must(holds: object, told: str) -> None:
    if not holds:
        raise AssertionError(told)


_events_of = cache(events)
