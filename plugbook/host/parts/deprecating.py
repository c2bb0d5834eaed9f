"""The part of a host that announces what it will no longer offer, and says who uses it."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from plugbook.errors import ManifestError, PlugbookWarning, suggestion
from plugbook.events.dispatch.registrations import Redo, Registration
from plugbook.host.changes import record_change
from plugbook.host.registrations import registrar_for
from plugbook.plugins.settings.fields import accepted
from plugbook.plugins.warning import warn

if TYPE_CHECKING:
    from plugbook.events.subscription import Subscription
    from plugbook.host.engine import Engine
    from plugbook.host.registry import Registry
    from plugbook.plugins.deprecation import DeprecatedKind, Deprecation


class Deprecating(ABC):
    """What can be asked of a host about what it deprecates."""

    _registry: Registry
    _engine: Engine

    @abstractmethod
    def _check_open(self) -> None:
        """Refuse a host that was closed."""

    @property
    @abstractmethod
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who listens to what."""

    def deprecate(
        self,
        *,
        topic: str | None = None,
        service: type | None = None,
        plugin: str | None = None,
        option: str | None = None,
        since: str,
        removal: str,
        use: str = "",
    ) -> Deprecation:
        """Announce that this host will no longer offer something.

        A plugin that uses it is warned once, by name, and a `change` record says so. From the API version
        `removal` on it is refused: the plugin fails to start, or the call raises a `RemovedError`. Plugins
        that are active already are warned, and go on. What a cell of a notebook deprecates is no longer deprecated
        when the cell fails or runs again without it.

        Args:
            topic: of events, such as ``order.legacy``, or a pattern of topics.
            service: the type that a service is provided under.
            plugin: its name.
            option: of a plugin, such as ``billing.currency``.
            since: the API version that deprecates it.
            removal: the API version that will no longer have it.
            use: what to use instead, in words.

        Raises:
            ManifestError: not one thing is named, or a version is none.
            TopicError: the pattern is not well formed.
            HostClosedError: the host was closed.

        Warns:
            PlugbookWarning: there is no such plugin or option on this host, but one of nearly that name.
        """
        self._check_open()
        named: dict[DeprecatedKind, object] = {
            "topic": topic,
            "service": service,
            "plugin": plugin,
            "option": option,
        }
        things = [(kind, thing) for kind, thing in named.items() if thing is not None]
        if len(things) != 1:
            given = ", ".join(kind for kind, _ in things) or "nothing"
            msg = (
                f"one thing is deprecated at a time: topic=, service=, plugin= or option=; {given} was given."
            )
            raise ManifestError(msg)
        ((kind, what),) = things
        self._warn_of_typo(kind, str(what))
        deprecations = self._engine.deprecations
        known = set(deprecations.users)
        made = deprecations.add(kind, what, since=since, removal=removal, use=use)
        registrar = registrar_for(self._engine.bus)
        if registrar is not None and made not in known:
            undo = partial(Deprecating._take_back, what=made)
            registrar.note(Registration("deprecation", f"of {made}", weakref.ref(self), undo))
        for handle in self._registry.handles.values():
            if handle.context is not None:
                targets = [each.target for each in self.subscriptions if each.plugin == handle.name]
                deprecations.look_at(handle.context, targets, handle.manifest, handle.given)
        return made

    def _warn_of_typo(self, kind: DeprecatedKind, name: str) -> None:
        """Warn of a plugin or an option that is not there, where one is whose name is nearly that."""
        handles = self._registry.handles
        known = list(handles)
        if kind == "option":
            models = {
                each: handle.plugin_class.Config for each, handle in handles.items() if handle.plugin_class
            }
            known = [
                f"{each}.{option}" for each, model in models.items() if model for option in accepted(model)
            ]
        near = suggestion(name, known, listing=False)
        if kind in ("plugin", "option") and name not in known and near:
            warn(f"{kind} {name} is deprecated, which is not on this host.{near}", PlugbookWarning)

    def _take_back(self, reason: str, *, what: Deprecation) -> Redo | None:
        users = self._engine.deprecations.users.pop(what, None)
        if users is None:
            return None
        record_change(self._engine.bus, "take back", "", {"deprecated": str(what)}, reason=reason)

        def put_back(reason: str) -> None:
            self._engine.deprecations.users[what] = users
            record_change(self._engine.bus, "put back", "", {"deprecated": str(what)}, reason=reason)

        return put_back

    @property
    def deprecations(self) -> dict[Deprecation, tuple[str, ...]]:
        """What is deprecated, and which plugins were found to use it."""
        return {each: tuple(users) for each, users in self._engine.deprecations.users.items()}
