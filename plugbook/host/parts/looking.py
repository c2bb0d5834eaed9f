"""The part of a host that only answers questions: what there is, in which state and why, and what a request would do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from plugbook.host.answers.troubles import with_troubles
from plugbook.host.answers.why import explain
from plugbook.host.handle import PluginName, name_of
from plugbook.host.registrations import note_listener
from plugbook.host.registry import Handles

if TYPE_CHECKING:
    from pathlib import Path

    from plugbook._types import Disconnect
    from plugbook.events.bus import Bus
    from plugbook.events.subscription import Subscription
    from plugbook.host.answers.leaking import Leaking
    from plugbook.host.answers.mender import Mender
    from plugbook.host.available import Available
    from plugbook.host.engine import Engine
    from plugbook.host.handle import PluginHandle
    from plugbook.host.plan import Plan, Why
    from plugbook.host.registry import Registry
    from plugbook.host.requests import Requests
    from plugbook.host.supervision.deliveries import Deliveries
    from plugbook.plugins.effects.effect import EffectRules
    from plugbook.plugins.extending.contributions import ExtensionTable
    from plugbook.plugins.leaks import Leaks
    from plugbook.plugins.lifecycle import State
    from plugbook.plugins.resolving.resolution import Edge
    from plugbook.trace.reading.live import LiveRecording


class Looking(ABC):
    """What can be seen of a host; nothing here changes it."""

    bus: Bus
    _registry: Registry
    _engine: Engine
    _deliveries: Deliveries
    _requests: Requests
    _mender: Mender
    _leaking: Leaking

    @property
    @abstractmethod
    def recording(self) -> LiveRecording | None:
        """What is being recorded."""

    @property
    def plugins(self) -> dict[str, PluginHandle]:
        """Every plugin on the host, by name, in the order they were added."""
        return Handles(self._registry.handles)

    @property
    def states(self) -> dict[str, State]:
        """The state of every plugin, by name."""
        return {name: handle.state for name, handle in self._registry.handles.items()}

    @property
    def effects(self) -> EffectRules:
        """What plugins may ask of the world, and how; rules set here count from the next effect on."""
        return self._engine.effects

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who listens to what, in the order in which handlers are called."""
        return self.bus.subscriptions

    @property
    def extensions(self) -> ExtensionTable:
        """The extension points that plugins declare or contribute to, and what is contributed, in order."""
        return self._engine.extensions.table()

    @property
    def graph(self) -> tuple[Edge, ...]:
        """Who requires, may use, conflicts with or needs whom."""
        return self._registry.resolve().edges

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The plugins that can start, by layers: each needs nothing but the layers before it."""
        return self._registry.resolve().layers

    def why(self, name: PluginName) -> Why:
        """Why a plugin is in the state it is in, down to the first cause, and what would mend it.

        What other manifests or other options would mend was tried on a copy before it is said; see `Why.mend`.
        Of an active plugin it also says which of its calls and background tasks failed since it was started.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        handle = self._registry[name_of(name)]
        resolution = self._registry.resolve()
        why = explain(handle, self._registry.handles, resolution, self._mender.mend)
        return self._deliveries.explain(with_troubles(why, handle, self.recording))

    def plan(self, action: str, name: PluginName) -> Plan:
        """What a request would do, step by step; nothing is done.

        Args:
            action: ``start``, ``stop``, ``restart``, ``reload``, ``remove``, ``disable`` or ``enable``.
            name: which plugin, or its class, as in every request.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: there is no such action, or the plugin's state does not allow it.
        """
        return self._registry.plan(action, name_of(name))

    def files_of(self, name: PluginName) -> tuple[Path, ...]:
        """The source files that a reload of a plugin would read again; none where its class comes from no file.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        return self._requests.files_of(name_of(name))

    def leaks(self) -> Leaks:
        """What stopped or removed plugins left behind, and what those that run hold outside their scope.

        Threads, tasks, subscriptions, instances, modules, open files and sockets, child processes and widgets, each
        with who holds it. What a library opened for a plugin in a handler, and keeps, is only found where Python was
        told to keep track, by ``tracemalloc.start(10)`` or ``python -X tracemalloc=10``; this also says the line.

        What is found for the first time is also written into the recording, as a `mark` of the name ``leak``.
        """
        return self._leaking.find((*self._registry.handles.values(), *self._requests.removed))

    def on_change(self, listener: Callable[[], None]) -> Disconnect:
        """Call `listener` after every change of a state or of the set of plugins, on whichever thread."""
        return note_listener(self.bus, listener, lambda: self._engine.connect(listener))

    @property
    def available(self) -> tuple[Available, ...]:
        """Every version of every plugin that `discover` found, and why it is not used."""
        return self._registry.available()
