"""Open up a running plugin system and see why it does what it does.

In a notebook, ``%load_ext plugbook``; in the terminal, ``plugbook --help``; in Python::

    from plugbook import Event, Host, Plugin, attach, on, open_recording, plugin

Importing this package costs next to nothing: each name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugbook.adapters import attach as attach
    from plugbook.errors import PlugbookError as PlugbookError
    from plugbook.events import middleware as middleware
    from plugbook.events.envelope import from_cloudevent as from_cloudevent
    from plugbook.events.envelope import to_cloudevent as to_cloudevent
    from plugbook.events.event import Event as Event
    from plugbook.events.versions.schemas import schemas as schemas
    from plugbook.events.versions.schemas import upcaster as upcaster
    from plugbook.host.current import current as current
    from plugbook.host.current import use as use
    from plugbook.host.host import Host as Host
    from plugbook.notebook import charts as charts
    from plugbook.plugins.authoring.builder import plugin as plugin
    from plugbook.plugins.authoring.bundle import Bundle as Bundle
    from plugbook.plugins.context import Context as Context
    from plugbook.plugins.effects.effect import Effects as Effects
    from plugbook.plugins.extending.extension import ExtensionPoint as ExtensionPoint
    from plugbook.plugins.extending.extension import contributes as contributes
    from plugbook.plugins.plugin import Plugin as Plugin
    from plugbook.plugins.plugin import on as on
    from plugbook.plugins.policy import Restart as Restart
    from plugbook.plugins.settings.marks import Hidden as Hidden
    from plugbook.plugins.settings.marks import NeedsRestart as NeedsRestart
    from plugbook.trace.reading.recording import open_recording as open_recording

_FACE = {  # name -> module; a module that has the name itself is given whole
    "Bundle": "plugbook.plugins.authoring.bundle",
    "Context": "plugbook.plugins.context",
    "Effects": "plugbook.plugins.effects.effect",
    "Event": "plugbook.events.event",
    "ExtensionPoint": "plugbook.plugins.extending.extension",
    "Hidden": "plugbook.plugins.settings.marks",
    "Host": "plugbook.host.host",
    "NeedsRestart": "plugbook.plugins.settings.marks",
    "PlugbookError": "plugbook.errors",
    "Plugin": "plugbook.plugins.plugin",
    "Restart": "plugbook.plugins.policy",
    "attach": "plugbook.adapters",
    "charts": "plugbook.notebook.charts",
    "contributes": "plugbook.plugins.extending.extension",
    "current": "plugbook.host.current",
    "from_cloudevent": "plugbook.events.envelope",
    "middleware": "plugbook.events.middleware",
    "on": "plugbook.plugins.plugin",
    "open_recording": "plugbook.trace.reading.recording",
    "plugin": "plugbook.plugins.authoring.builder",
    "schemas": "plugbook.events.versions.schemas",
    "to_cloudevent": "plugbook.events.envelope",
    "upcaster": "plugbook.events.versions.schemas",
    "use": "plugbook.host.current",
}

__all__ = [
    "Bundle",
    "Context",
    "Effects",
    "Event",
    "ExtensionPoint",
    "Hidden",
    "Host",
    "NeedsRestart",
    "PlugbookError",
    "Plugin",
    "Restart",
    "attach",
    "charts",
    "contributes",
    "current",
    "from_cloudevent",
    "middleware",
    "on",
    "open_recording",
    "plugin",
    "schemas",
    "to_cloudevent",
    "upcaster",
    "use",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("plugbook")
    if name not in _FACE:
        msg = f"module 'plugbook' has no attribute {name!r}"
        raise AttributeError(msg)
    module = importlib.import_module(_FACE[name])
    value = (
        module if _FACE[name].endswith(f".{name}") and not hasattr(module, name) else getattr(module, name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(ip: Any) -> None:
    """``%load_ext plugbook``."""
    from plugbook.notebook.extension import load

    load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """``%unload_ext plugbook``."""
    from plugbook.notebook.extension import unload

    unload(ip)
