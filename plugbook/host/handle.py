"""One plugin on a host, as others may hold it: its state, and what it has at the moment."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from plugbook.plugins.leaks import Begun
from plugbook.plugins.lifecycle import State
from plugbook.plugins.plugin import Buildable, Plugin, as_class

if TYPE_CHECKING:
    from pydantic import BaseModel

    from plugbook.plugins.context import Context
    from plugbook.plugins.manifest import Manifest
    from plugbook.plugins.reloading.stale import Remains
    from plugbook.plugins.resolving.resolution import Problem
    from plugbook.plugins.scope import Scope
    from plugbook.plugins.settings.layers import Layers, Said

_OF_A_GENERATION: Final = (
    *("manifest", "plugin_class", "options", "edits", "layers", "config"),
    *("instance", "context", "scope", "load_ns", "start_ns", "begun"),
)

PluginName = str | type[Plugin] | Buildable


def name_of(plugin: Any) -> str:
    """The name of a plugin, where its class may have been given."""
    given = as_class(plugin)
    return given.manifest.name if isinstance(given, type) and issubclass(given, Plugin) else str(given)


@dataclass(eq=False, slots=True)
class PluginHandle:
    """A plugin on its host. It stays the same when the plugin restarts; instance and scope do not.

    Only the host changes it.

    Attributes:
        manifest: what the plugin says about itself.
        plugin_class: its class, once loaded.
        options: what the host was given about its configuration.
        edits: what was changed of it since, the oldest first.
        layers: all that was said about it when it was validated.
        config: the configuration as it was validated when it was loaded or changed last.
        state: where it is in its lifecycle.
        since_ns: since when, ns since the epoch.
        since_seq: the number of the record that says so; 0 where nothing is recorded.
        reason: why it is there, such as ``ledger was stopped``.
        is_disabled: whether a person keeps it from starting.
        error: what it failed with, while it is `failed`.
        phase: what it was doing when it failed.
        problem: why it cannot start, where the resolver found something.
        instance: the plugin itself while it is starting, active or stopping.
        load_ns: how long its last import took.
        start_ns: how long its last start took.
        generation: how often its code was loaded.
        former: its instances that should be gone.
        begun: what came to life while it started, as far as it is there.
        remains: the generations that were replaced, and of which something may be alive.
    """

    manifest: Manifest
    plugin_class: type[Plugin] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    edits: tuple[Said, ...] = ()
    layers: Layers | None = None
    config: BaseModel | None = None
    state: State = State.DISCOVERED
    since_ns: int = 0
    since_seq: int = 0
    reason: str = ""
    is_disabled: bool = False
    error: BaseException | None = None
    phase: str = ""
    problem: Problem | None = None
    instance: Plugin | None = None
    context: Context | None = None
    scope: Scope | None = None
    load_ns: int | None = None
    start_ns: int | None = None
    generation: int = 0
    former: list[weakref.ref[Plugin]] = field(default_factory=list)
    begun: Begun = field(default_factory=Begun)
    remains: list[Remains] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.manifest.name

    @property
    def given(self) -> list[str]:
        """All the names of the options that it was given when it was validated, wherever that was said."""
        return self.layers.names() if self.layers is not None else list(self.options)

    def take_over(self, generation: PluginHandle) -> None:
        """Be what another generation of the plugin is, which was made beside it."""
        for name in _OF_A_GENERATION:
            setattr(self, name, getattr(generation, name))
        self.generation += 1

    def disable(self) -> None:
        """Keep it from starting."""
        self.is_disabled, self.reason = True, "it is disabled"

    def enable(self) -> None:
        """Let it start again."""
        self.is_disabled, self.reason = False, ""

    @property
    def is_active(self) -> bool:
        """Whether its handlers are called."""
        return self.state is State.ACTIVE

    @property
    def is_imported(self) -> bool:
        """Whether its class comes from an entry point, so that the host can import and unload it."""
        return self.manifest.source != "class"

    def __repr__(self) -> str:
        return f"<{self.manifest}: {self.state}>"
