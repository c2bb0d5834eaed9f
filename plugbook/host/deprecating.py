"""The part of a host that announces what it will no longer offer, and says who uses it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from plugbook.errors import ManifestError

if TYPE_CHECKING:
    from plugbook.events.subscription import Subscription
    from plugbook.host.engine import Engine
    from plugbook.host.registry import Registry
    from plugbook.plugins.deprecation import DeprecatedKind, Deprecation


class Deprecating(ABC):
    """What can be asked of a host about what it deprecates."""

    _registry: Registry
    _engine: Engine

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
        that are active already are warned, and go on.

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
        """
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
        deprecations = self._engine.deprecations
        made = deprecations.add(kind, what, since=since, removal=removal, use=use)
        for handle in self._registry.handles.values():
            if handle.context is not None:
                targets = [each.target for each in self.subscriptions if each.plugin == handle.name]
                deprecations.look_at(handle.context, targets, handle.manifest, handle.options)
        return made

    @property
    def deprecations(self) -> dict[Deprecation, tuple[str, ...]]:
        """What is deprecated, and which plugins were found to use it."""
        return {each: tuple(users) for each, users in self._engine.deprecations.users.items()}
