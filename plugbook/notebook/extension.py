"""``%load_ext plugbook``: what is put into an IPython shell, and how all of it is taken out again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

from . import display
from .cell_scope import CellScopes
from .cells import watch_cells
from .completion import matcher_for
from .magics import Notebook, PlugbookMagics
from .plugin_cell import PluginCell, PluginMagics
from .settings import Plugbook

_loaded: WeakKeyDictionary[Any, ExitStack] = WeakKeyDictionary()


def load(ip: Any) -> None:
    """Put the magics, their completion, the displays and the settings into a shell; once, however often called."""
    if ip in _loaded:
        return
    with ExitStack() as undo:
        settings = Plugbook(parent=ip)
        _append(ip.configurables, settings, undo)
        door = Notebook(ip, settings)
        undo.callback(door.close)
        _register_magics(ip, PlugbookMagics(ip, door), undo)
        plugin_cell = PluginCell(door)
        undo.callback(plugin_cell.close)
        _register_magics(ip, PluginMagics(ip, plugin_cell), undo)
        _append(ip.Completer.custom_matchers, matcher_for(door), undo)
        display.register(ip)
        undo.callback(display.unregister, ip)
        undo.callback(watch_cells(ip, CellScopes(ip, lambda: settings.scoped_cells)))
        _loaded[ip] = undo.pop_all()


def unload(ip: Any) -> None:
    """Take out everything that `load` put in, and close what the magics opened."""
    undo = _loaded.pop(ip, None)
    if undo is not None:
        undo.close()


def _append(things: list[Any], thing: Any, undo: ExitStack) -> None:
    things.append(thing)
    undo.callback(_discard, things, thing)


def _discard(things: list[Any], thing: Any) -> None:
    things[:] = [each for each in things if each is not thing]


def _register_magics(ip: Any, magics: Any, undo: ExitStack) -> None:
    """Register magics; IPython has no way back, and forgets what they hid: here it is remembered."""
    manager = ip.magics_manager
    hidden = {
        (kind, name): manager.magics[kind].get(name)
        for kind, names in magics.magics.items()
        for name in names
    }
    ip.register_magics(magics)

    def unregister() -> None:
        for (kind, name), before in hidden.items():
            if before is None:
                manager.magics[kind].pop(name, None)
            else:
                manager.magics[kind][name] = before
        manager.registry.pop(type(magics).__name__, None)
        _discard(ip.configurables, magics)

    undo.callback(unregister)
