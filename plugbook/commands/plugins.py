"""The words about plugins: what there is, their lifecycle, and why they are as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from plugbook.errors import ConfigError
from plugbook.events.dispatch.registrations import current_registrar
from plugbook.trace.reading.roster import plugins_in

from .kinds import EXPRESSION, PLUGIN
from .values import Rows, Text
from .words import NOTEBOOK, word

if TYPE_CHECKING:
    from pydantic import BaseModel

    from plugbook.host.handle import PluginHandle

    from .door import Door

_COLUMNS = ("plugin", "version", "state", "why")
ACTIONS = ("start", "stop", "restart", "reload", "remove", "disable", "enable")

_name = click.argument("name", type=PLUGIN)
_name_or_all = click.argument("name", type=PLUGIN, required=False)


@word("either", name="list")
def list_(door: Door) -> Rows:
    """List the plugins: of a host with their states, of a recording as they were last, or those installed."""
    target = door.current()
    if target is None:
        return _installed()
    if not hasattr(target, "plugins"):
        seen = [(each.name, each.version, each.state, each.reason) for each in plugins_in(target)]
        return Rows(_COLUMNS, tuple(seen), "This recording names no plugin")
    rows = [_row(handle, target.held(name)) for name, handle in target.plugins.items()]
    return Rows(_COLUMNS, tuple(rows), "This host has no plugins yet")


@word("host")
def versions(door: Door) -> Rows:
    """Say which versions of plugins were found, which are used, and why the others are not."""
    rows = [
        (each.manifest.name, each.manifest.version, each.reason or "used", each.manifest.source)
        for each in door.host().available
    ]
    empty = "Nothing was looked for: 'add --folder plugins' does, or 'add' for installed plugins"
    return Rows(("plugin", "version", "why not", "from"), tuple(rows), empty)


@word("host")
def deprecations(door: Door) -> Rows:
    """Say what the host will no longer offer, and which plugins use it."""
    rows = [
        (each.name, each.kind, each.since, each.removal, each.use, ", ".join(users))
        for each, users in door.host().deprecations.items()
    ]
    columns = ("deprecated", "kind", "since", "gone with", "use instead", "used by")
    return Rows(columns, tuple(rows), "This host has deprecated nothing")


@word("host", doors=NOTEBOOK)
@click.argument("plugin", type=EXPRESSION, required=False)
@click.option("--config", type=EXPRESSION, help="Its options, a dict.")
@click.option("--replace", is_flag=True, help="Take the place of the plugin of that name.")
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Add the plugins in this folder (plugin.toml)."
)
def add(door: Door, plugin: str | None, config: str | None, replace: bool, folder: str | None) -> Any:
    """Add a plugin class; without one, every installed plugin (entry points plugbook.plugins)."""
    host = door.host()
    if plugin is None:
        return host.discover(*filter(None, [folder]))
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
    """Let the code that is in a plugin's files now take over, with the state of what runs."""
    return door.host().reload(name)


@word("host", doors=NOTEBOOK)
@_name
def disable(door: Door, name: str) -> Any:
    """Keep a plugin from starting; stop it, what needs it first, if it is active."""
    return door.host().disable(name)


@word("host", doors=NOTEBOOK)
@_name
def enable(door: Door, name: str) -> Any:
    """Let a plugin start again, and start it if 'disable' had stopped it."""
    return door.host().enable(name)


@word("host", doors=NOTEBOOK)
@click.argument("names", type=PLUGIN, nargs=-1)
@click.option("--stop", is_flag=True, help="Watch no more.")
def watch(door: Door, names: tuple[str, ...], stop: bool) -> Any:
    """Reload plugins when their files are saved, all or those that are named; each reload is told below."""
    host = door.host()
    if not stop:
        return host.watch(*names, tell=click.echo)
    watches = host.watches
    for each in watches:
        each.close()
    return Text("No file is watched any more" if watches else "No file was watched")


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
    """Say what plugins left behind, or hold outside their scope: who holds it, and what to write instead."""
    found = [
        (
            each.plugin,
            each.kind,
            each.what,
            "not yet" if each.is_ahead else "yes",
            each.path,
            each.place,
            each.remedy,
        )
        for each in door.host().leaks()
    ]
    columns = ("plugin", "kind", "what", "left", "held by", "from", "to mend it")
    return Rows(columns, tuple(found), "Nothing was left behind")


@word("host")
def extensions(door: Door) -> Rows:
    """List the extension points, and what plugins contribute to them, in order."""
    rows = [
        (point.name, point.owner or "(nobody)", point.contract, *told)
        for point in door.host().extensions.values()
        for told in point.rows()
    ]
    columns = ("point", "declared by", "expects", "contributed by", "what", "lacks")
    return Rows(columns, tuple(rows), "There are no extension points")


@word("host")
@click.argument("name", type=PLUGIN, required=False)
@click.argument("settings", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option("--reset", is_flag=True, help="Take back what was changed: of the options named, or of all.")
@click.option("--reload", is_flag=True, help="Read the configuration file and the environment again.")
def config(door: Door, name: str | None, settings: tuple[str, ...], reset: bool, reload: bool) -> Any:
    r"""Show a plugin's options and where they come from, or change some while it runs.

    \b
    config billing
    config billing currency=USD tax.rate=0.2 rates=[0.2,0.1]
    config billing --reset currency
    config --reload

    A value is JSON where the option is no text.
    """
    host = door.host()
    if reload:
        return host.reload_config()
    if name is None:
        msg = "Name the plugin, as in: config billing"
        raise click.UsageError(msg)
    if reset:
        return host.reset_config(name, *settings)
    if not settings:
        return host.config_of(name)
    handle = host.plugins[name]
    model = handle.plugin_class.Config if handle.plugin_class else None
    return host.configure(name, _settings(model, settings))


@word(doors=NOTEBOOK)
def keep(door: Door) -> Any:
    """Keep what this cell registers, though it may fail or run again."""
    registrar = current_registrar.get()
    if registrar is None:
        return Text("Cells keep what they register already: %config Plugbook.scoped_cells is False")
    registrar.keep()
    return None


def _row(handle: PluginHandle, held: str) -> tuple[str, str, str, str]:
    return handle.name, handle.manifest.version, handle.state.value, held or handle.reason


def _installed() -> Rows:
    from plugbook.plugins.finding.discovery import discover

    found = [
        (each.name, each.manifest.version, each.manifest.source)
        if each.manifest
        else (each.name, "", str(each.error))
        for each in discover()
    ]
    return Rows(
        ("plugin", "version", "from"), tuple(found), "No plugin is installed (entry points plugbook.plugins)"
    )


def _settings(model: type[BaseModel] | None, settings: Iterable[str]) -> dict[str, Any]:
    from plugbook.plugins.settings.environment import parsed_option
    from plugbook.plugins.settings.layers import merge

    options: dict[str, Any] = {}
    for text in settings:
        option, sign, value = text.partition("=")
        if not (sign and option):
            msg = f"{option!r} is no setting. Write OPTION=VALUE, as in currency=USD."
            raise ConfigError(msg)
        options = merge(options, parsed_option(model, option, value))
    return options
