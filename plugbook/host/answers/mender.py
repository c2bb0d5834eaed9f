"""What would let a plugin of this host start: each proposal is tried on a copy before it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from plugbook.errors import ConfigError
from plugbook.plugins.config import check_options, settle
from plugbook.plugins.resolving.mending import Mend, find_mend
from plugbook.plugins.settings.fields import accepted

if TYPE_CHECKING:
    from plugbook.host.engine import Engine
    from plugbook.host.handle import PluginHandle
    from plugbook.host.registry import Registry


class Mender:
    """Finds mends for the plugins of one host; the host stays as it is."""

    def __init__(self, registry: Registry, engine: Engine) -> None:
        self._registry = registry
        self._engine = engine

    def mend(self, handle: PluginHandle) -> Mend | None:
        """What would let a plugin start that the resolver or its own configuration holds back, or None."""
        if handle.problem is not None:
            return find_mend(
                handle.name,
                {name: each.manifest for name, each in self._registry.handles.items()},
                available=self._registry.unused(),
                host_version=self._registry.api_version,
            )
        if isinstance(handle.error, ConfigError) and handle.plugin_class is not None:
            return self._mend_options(handle, handle.error.path or "")
        return None

    def _mend_options(self, handle: PluginHandle, path: str) -> Mend | None:
        for text, options in _other_options(handle, path):
            with suppress(ConfigError):
                self._check(handle, options)
                return Mend((text, f"start {handle.name!r} again"))
        return None

    def _check(self, handle: PluginHandle, options: Mapping[str, Any]) -> None:
        plugin_class = handle.plugin_class
        if plugin_class is not None:
            given = check_options(handle.name, options)
            sources = self._engine.sources
            settle(plugin_class, sources.layers(handle.name, plugin_class.Config, given, handle.edits))


def _other_options(handle: PluginHandle, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The options of a plugin without the one that is wrong: under the name that was meant, or not at all."""
    wrong = path.partition(".")[0]
    if wrong not in handle.options:
        return
    others = {name: value for name, value in handle.options.items() if name != wrong}
    model = handle.plugin_class.Config if handle.plugin_class is not None else None
    known = accepted(model) if model is not None else {}
    if wrong not in known:
        for near in get_close_matches(wrong, known.keys() - others.keys(), n=1, cutoff=0.6):
            yield (
                f"write {near!r} instead of {wrong!r} in its configuration",
                {**others, near: handle.options[wrong]},
            )
    yield f"take {wrong!r} out of its configuration", others
