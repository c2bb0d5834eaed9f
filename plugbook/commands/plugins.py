"""The words about plugins: what there is, their lifecycle, and why they are as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from plugbook.errors import ConfigError, LifecycleError, UnknownPluginError, suggestion
from plugbook.events.registrations import current_registrar

from .kinds import EXPRESSION, PLUGIN
from .values import Rows, Text
from .words import NOTEBOOK, word

if TYPE_CHECKING:
    from pydantic import BaseModel

    from plugbook.host.handle import PluginHandle

    from .door import Door

ACTIONS = ("start", "stop", "restart", "reload", "remove")

_name = click.argument("name", type=PLUGIN)
_name_or_all = click.argument("name", type=PLUGIN, required=False)


@word("either", name="list")
def list_(door: Door) -> Rows:
    """List the plugins: of a host with their states, of a recording by what it holds, or those installed."""
    target = door.current()
    if target is None:
        return _installed()
    if not hasattr(target, "plugins"):
        manifests = target.facts("manifest")
        rows = [(name, _field(manifests.get(name), "version")) for name in target.names["plugins"]]
        return Rows(("plugin", "version"), tuple(rows), "This recording names no plugin")
    handles = target.plugins.values()
    return Rows(
        ("plugin", "version", "state", "why"), tuple(map(_row, handles)), "This host has no plugins yet"
    )


@word("host", doors=NOTEBOOK)
@click.argument("plugin", type=EXPRESSION, required=False)
@click.option("--config", type=EXPRESSION, help="Its options, a dict.")
@click.option("--replace", is_flag=True, help="Take the place of the plugin of that name.")
def add(door: Door, plugin: str | None, config: str | None, replace: bool) -> Any:
    """Add a plugin class; without one, every installed plugin (entry points plugbook.plugins)."""
    host = door.host()
    if plugin is None:
        return host.discover()
    options = door.evaluate(config) if config else None
    return host.add(door.evaluate(plugin), config=options, replace=replace)


@word("host", doors=NOTEBOOK)
@_name
def remove(door: Door, name: str) -> Any:
    """Stop a plugin and what needs it, unload it, and forget it."""
    return door.host().remove(name)


@word("host", doors=NOTEBOOK)
@_name_or_all
def start(door: Door, name: str | None) -> Any:
    """Start a plugin and what it requires, or all."""
    return door.host().start(name)


@word("host", doors=NOTEBOOK)
@_name_or_all
def stop(door: Door, name: str | None) -> Any:
    """Stop a plugin, what needs it first, or all."""
    return door.host().stop(name)


@word("host", doors=NOTEBOOK)
@_name
def restart(door: Door, name: str) -> Any:
    """Stop a plugin and what needs it, and start them again."""
    return door.host().restart(name)


@word("host", doors=NOTEBOOK)
@_name
def reload(door: Door, name: str) -> Any:
    """Restart a plugin with its code imported afresh."""
    return door.host().reload(name)


@word("host")
@_name
def why(door: Door, name: str) -> Any:
    """Say why a plugin is in its state, down to the first cause, and what would mend it."""
    return door.host().why(name)


@word("host")
@click.argument("action", type=click.Choice(ACTIONS))
@_name
def plan(door: Door, action: str, name: str) -> Any:
    """Say what a request would do, step by step; nothing is done."""
    return door.host().plan(action, name)


@word("host", doors=NOTEBOOK)
def leaks(door: Door) -> Rows:
    """Say what stopped or removed plugins left behind."""
    found = [(leak.plugin, leak.kind, leak.what, leak.held_by) for leak in door.host().leaks()]
    return Rows(("plugin", "kind", "what", "held by"), tuple(found), "Nothing was left behind")


@word("host")
@_name
@click.argument("settings", nargs=-1, metavar="[OPTION=VALUE]...")
def config(door: Door, name: str, settings: tuple[str, ...]) -> Any:
    r"""Show a plugin's options, or set some: the plugin is replaced by itself with the new ones.

    \b
    config billing
    config billing currency=USD rates=[0.2,0.1]

    A value is JSON, or else text.
    """
    host = door.host()
    handle = _handle(host.plugins, name)
    if not settings:
        return _options(handle)
    options = {**handle.options, **dict(map(_setting, settings))}
    if handle.plugin_class is None:
        msg = f"{name} was not loaded yet, so its options cannot be checked. Start it first."
        raise LifecycleError(msg, plugin=name, state=handle.state.value, request="config")
    from plugbook.plugins.config import validate

    validate(handle.plugin_class, options)  # before anything stops
    return host.add(handle.plugin_class, config=options, replace=True)


@word(doors=NOTEBOOK)
def keep(door: Door) -> Any:
    """Keep what this cell registers, though it may fail or run again."""
    registrar = current_registrar.get()
    if registrar is None:
        return Text("Cells keep what they register already: %config Plugbook.scoped_cells is False")
    registrar.keep()
    return None


def _row(handle: PluginHandle) -> tuple[str, str, str, str]:
    return handle.name, handle.manifest.version, handle.state.value, handle.reason


def _installed() -> Rows:
    from plugbook.plugins.discovery import discover

    found = [
        (each.name, each.manifest.version, each.manifest.source)
        if each.manifest
        else (each.name, "", str(each.error))
        for each in discover()
    ]
    return Rows(
        ("plugin", "version", "from"), tuple(found), "No plugin is installed (entry points plugbook.plugins)"
    )


def _field(data: Any, field: str) -> str:
    return str(data.get(field) or "") if isinstance(data, Mapping) else ""


def _handle(handles: Mapping[str, PluginHandle], name: str) -> PluginHandle:
    if name in handles:
        return handles[name]
    msg = f"There is no plugin {name!r} on this host.{suggestion(name, handles)}"
    raise UnknownPluginError(msg, name=name, known=handles)


def _setting(text: str) -> tuple[str, Any]:
    option, sign, value = text.partition("=")
    if not (sign and option):
        msg = f"{text!r} is no setting. Write OPTION=VALUE, as in currency=USD."
        raise ConfigError(msg)
    try:
        return option, json.loads(value)
    except ValueError:
        return option, value


def _options(handle: PluginHandle) -> Rows | Text:
    model: type[BaseModel] | None = handle.plugin_class.Config if handle.plugin_class else None
    if model is None:
        return Text(f"{handle.name} has no options")
    values = handle.config.model_dump(mode="json") if handle.config else {}
    rows = [
        (
            option,
            _shown(values, option),
            str(field.annotation and _type_name(field.annotation)),
            field.description or "",
        )
        for option, field in model.model_fields.items()
    ]
    return Rows(("option", "value", "type", "what"), tuple(rows), f"{handle.name} has no options")


def _shown(values: Mapping[str, Any], option: str) -> str:
    return json.dumps(values[option]) if option in values else "(not started)"


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
