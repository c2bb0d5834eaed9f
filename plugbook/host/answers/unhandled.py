"""Says of an event that nobody handled which of the host's plugins would have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plugbook.events.subscription import is_for
from plugbook.plugins.lifecycle import State

if TYPE_CHECKING:
    from plugbook.events.event import Event
    from plugbook.host.handle import PluginHandle

_NOT_YET = (State.DISCOVERED, State.RESOLVED, State.LOADED)
_BROKEN = (State.FAILED, State.QUARANTINED)


def who_would_handle(handles: Mapping[str, PluginHandle], kind: type[Event]) -> str:
    """Which plugin that is not active listens to events of this type, and how to have it called; ``""`` if none.

    Args:
        handles: the plugins of the host, by name.
        kind: the type of an event that nobody handled.
    """
    everyone = tuple(handles.values())
    idle = [each for each in everyone if not each.is_active and _listens(each, kind)]
    started = any(each.is_active for each in everyone)
    if not idle:
        return _no_one_is_active(everyone) if not started else ""
    first = idle[0]
    if not started and first.state in _NOT_YET:
        return f"{first.name} is not started: host.start()"
    if first.state in _NOT_YET or first.state is State.STOPPED:
        state = "not started" if first.state in _NOT_YET else "stopped"
        return f"{first.name} is {state}: host.start({first.name!r})"
    return f"{first.name} is {first.state}: host.why({first.name!r})"


def _no_one_is_active(everyone: tuple[PluginHandle, ...]) -> str:
    """What to do where no plugin is active; the one that was started and is not tells more than one that was not."""
    tried = next((each for each in everyone if each.state in _BROKEN), None)
    if tried is not None:
        return f"{tried.name} is {tried.state}: host.why({tried.name!r})"
    return "no plugin was started: host.start()" if everyone else ""


def _listens(handle: PluginHandle, kind: type[Event]) -> bool:
    plugin_class = handle.plugin_class
    return plugin_class is not None and any(is_for(spec.target, kind) for spec in plugin_class.handlers())
