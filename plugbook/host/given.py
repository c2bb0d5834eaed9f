"""Checks what a host is given as plugins, and refuses what is none in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from plugbook.errors import ManifestError
from plugbook.plugins.plugin import Buildable, Plugin

if TYPE_CHECKING:
    from plugbook.host.handle import PluginHandle
    from plugbook.plugins.manifest import Manifest


def several(plugins: Any) -> Iterable[Any]:
    """The plugins, where they were given as several.

    Raises:
        ManifestError: they were not.
    """
    if isinstance(plugins, Iterable) and not isinstance(plugins, str):
        return plugins
    what = plugins.__name__ if isinstance(plugins, type) else repr(plugins)
    msg = f"a host takes a list of plugin classes, not {what} alone. Write Host([{what}])."
    raise ManifestError(msg)


def tell_taken(given: object) -> None:
    """Tell what can still be changed that a host has it as it is now."""
    if isinstance(given, Buildable):
        given.taken()


def check_not_given(
    manifest: Manifest, plugin_class: type[Plugin], given: Mapping[str, PluginHandle]
) -> None:
    """Refuse a second plugin of one name among those that a new host is given."""
    if manifest.name not in given:
        return
    first = given[manifest.name].plugin_class
    if first is plugin_class:
        msg = f"{plugin_class.__name__} was given to the host twice. Leave one out."
    else:
        classes = " and ".join(
            f"{each.__module__}.{each.__qualname__}" for each in (first, plugin_class) if each
        )
        msg = f"the host was given two plugins called {manifest.name!r}: {classes}. Give one another name=."
    raise ManifestError(msg, plugin=manifest.name, field="name")


def manifest_of(plugin: Any) -> Manifest:
    """The manifest of a plugin class.

    Raises:
        ManifestError: it is none.
    """
    if isinstance(plugin, type) and issubclass(plugin, Plugin) and plugin is not Plugin:
        return plugin.manifest
    what = f"an instance of {type(plugin).__name__}" if isinstance(plugin, Plugin) else repr(plugin)
    msg = f"a host takes plugin classes, subclasses of plugbook.Plugin, not {what}"
    raise ManifestError(msg)
