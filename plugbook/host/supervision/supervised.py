"""The part of a host that looks after plugins that fail or that a person holds back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from plugbook.errors import EventError, ManifestError, refuses_misspelt
from plugbook.events.dispatch.registrations import noted
from plugbook.host.handle import PluginName, name_of
from plugbook.host.registrations import registrar_for, told
from plugbook.host.supervision.dead_letters import DeadLetter
from plugbook.host.supervision.deliveries import check_callable
from plugbook.plugins.policy import as_policy

if TYPE_CHECKING:
    from plugbook.events.dispatch.work import Work
    from plugbook.host.engine import Engine
    from plugbook.host.plan import Changes
    from plugbook.host.registry import Registry
    from plugbook.host.supervision.dead_letters import DeadLetters, Redelivered
    from plugbook.host.supervision.deliveries import Deliveries, Mode
    from plugbook.host.supervision.supervisor import Supervisor
    from plugbook.plugins.policy import Policy

T = TypeVar("T")


class Supervised(ABC):
    """What can be asked of a host about its failing, paused and quarantined plugins."""

    _registry: Registry
    _engine: Engine
    _deliveries: Deliveries
    _supervisor: Supervisor

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether it was closed."""

    @abstractmethod
    def _request(self, function: Callable[[], T]) -> T | Work[T]:
        """Run a request while no handler runs; inside a handler it is pending."""

    @abstractmethod
    def _check_open(self) -> None:
        """Refuse a host that was closed."""

    # -- policies ---------------------------------------------------------------------------------

    def policy_of(self, name: PluginName) -> Policy:
        """What is done about a plugin that fails: what the host was told, or else what its manifest says.

        A member of a bundle for which neither says more than the default, ``continue``, follows its nearest bundle.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        return self._supervisor.policy_of(self._registry[name_of(name)])

    def set_policy(self, name: PluginName, policy: Policy | str | Mapping[str, Any]) -> None:
        """Have another policy hold for a plugin from now on, whatever its manifest says.

        The recording has it as a `change` record with the old and the new one, and as the fact ``policy``.

        Args:
            name: which plugin.
            policy: ``continue``, ``restart``, ``quarantine``, ``raise``, or a `Restart`.

        Raises:
            UnknownPluginError: there is no such plugin.
            ManifestError: it is no policy; says what to write.
        """
        self._check_open()
        handle = self._registry[name_of(name)]
        checked = _checked(handle.name, policy)

        def look(host: Supervised) -> Policy | None:
            return None if host.is_closed else host._engine.policies.get(handle.name)

        def put(host: Supervised, policy: Policy | None, reason: str) -> None:
            if handle.name in host._registry.handles:
                host._supervisor.set_policy(host._registry[handle.name], policy, reason)

        registrar = registrar_for(self._engine.bus)
        with noted(self, registrar, "policy", f"of {handle.name}", look, put):
            self._supervisor.set_policy(handle, checked)

    # -- who gets events --------------------------------------------------------------------------

    def pause(self, name: PluginName) -> None:
        """Keep a plugin's events as dead letters from now on, until `resume` brings them to it, in order.

        Each is a `skipped` call meanwhile. The plugin stays as it is, and may go on publishing. A bundle is paused,
        muted and resumed with all its members.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        self._hold(name, "paused")

    def mute(self, name: PluginName) -> None:
        """Drop a plugin's events from now on, until `resume`; each is a `skipped` call that says so.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        self._hold(name, "muted")

    def held(self, name: PluginName) -> Literal["", "paused", "muted"]:
        """Whether a person keeps events from a plugin.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        return self._deliveries.mode(self._registry[name_of(name)].name)

    def resume(self, name: PluginName) -> Redelivered | Work[Redelivered]:
        """Bring a plugin what it missed while it was paused, in order, and then every event again.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        names = self._with_members(name)

        def resume() -> Redelivered:
            held = {each: self._registry[each].is_active for each in names}
            redelivered = self._deliveries.resume(held)
            self._engine.tell()
            return redelivered

        return self._request(resume)

    def release(self, name: PluginName) -> Changes | Work[Changes]:
        """Let a plugin out of quarantine, and start it and what was stopped for it, if the host was started.

        What it missed stays in its dead letters; `redeliver` brings it.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: it is not quarantined.
            PluginError: it did not start.
        """
        return self._request(lambda: self._supervisor.release(name_of(name)).check())

    # -- dead letters -----------------------------------------------------------------------------

    def dead_letters(self, name: PluginName) -> DeadLetters:
        """The events that a plugin has missed while it was paused, quarantined or being restarted, oldest first.

        Those of a bundle are its own and those of all its members; see `DeadLetter.plugin`.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        *members, whole = self._with_members(name)
        return self._deliveries.letters(whole, members)

    @refuses_misspelt
    def redeliver(
        self, name: PluginName, letters: DeadLetter | Iterable[DeadLetter] | None = None
    ) -> Redelivered | Work[Redelivered]:
        """Bring dead letters to the handlers that missed them, in order; each is a new event, caused by the missed one.

        Those of a bundle are brought to its members as well; what a member cannot take stays, as `Redelivered` says.

        Args:
            name: which plugin.
            letters: which of its `dead_letters`, one or several; by default all.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: it is not active, or paused or muted; nothing was delivered.
            EventError: what was given is no dead letter.
        """
        handle, names = self._registry[name_of(name)], self._with_members(name)
        chosen = _several(letters)

        def redeliver() -> Redelivered:
            check_callable(handle, self._deliveries.mode(handle.name))
            return self._deliveries.redeliver(names, chosen)

        return self._request(redeliver)

    def discard(self, name: PluginName, letters: DeadLetter | Iterable[DeadLetter] | None = None) -> int:
        """Drop dead letters, of a bundle those of its members as well.

        Args:
            name: which plugin.
            letters: which of its `dead_letters`, one or several; by default all.

        Returns:
            How many were dropped.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        chosen = _several(letters)
        return sum(self._deliveries.discard(each, chosen) for each in self._with_members(name))

    # -- inside -----------------------------------------------------------------------------------

    def _hold(self, name: PluginName, mode: Literal["paused", "muted"]) -> None:
        self._check_open()
        names = self._with_members(name)

        def look(host: Supervised) -> dict[str, Mode]:
            return {} if host.is_closed else {each: host._deliveries.mode(each) for each in names}

        def put(host: Supervised, modes: dict[str, Mode], reason: str) -> None:
            with told(
                host._engine, "take back", reason, {"plugins": list(names), "held": list(modes.values())}
            ):
                host._request(partial(host._deliver_by, modes))

        kind = "pause" if mode == "paused" else "mute"
        with noted(self, registrar_for(self._engine.bus), kind, f"of {names[-1]}", look, put):
            self._deliver_by(dict.fromkeys(names, mode))

    def _deliver_by(self, modes: Mapping[str, Mode]) -> None:
        """Hold back the events of plugins, or resume with them, as it is said of each."""
        changed = [self._deliveries.hold(name, mode) for name, mode in modes.items() if mode]
        resumed = [name for name, mode in modes.items() if not mode]
        if resumed:
            self._deliveries.resume({name: self._registry[name].is_active for name in resumed})
        if resumed or any(changed):
            self._engine.tell()

    def _with_members(self, name: PluginName) -> tuple[str, ...]:
        """The names of a plugin and, of a bundle, of all it is made of."""
        handle = self._registry[name_of(name)]
        return (*self._registry.members_of(handle.name), handle.name)


def _several(letters: DeadLetter | Iterable[DeadLetter] | None) -> tuple[DeadLetter, ...] | None:
    if letters is None:
        return None
    given = (letters,) if isinstance(letters, DeadLetter) else tuple(letters)
    wrong = [each for each in given if not isinstance(each, DeadLetter)]  # type: ignore[redundant-expr]  # callers are people
    if wrong:
        msg = f"{wrong[0]!r} is no dead letter. Take them from host.dead_letters(name), or leave them out for all."
        raise EventError(msg)
    return given


def _checked(name: str, policy: object) -> Any:
    try:
        return as_policy(policy)
    except ValueError as error:
        msg = f"the policy of {name!r}: {error}"
        raise ManifestError(msg, plugin=name, field="policy") from None
