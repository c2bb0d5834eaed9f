"""The words about who gets events: plugins that are held back, quarantined, or have missed something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from plugbook.trace.units import count_text

from .kinds import PLUGIN
from .values import Text
from .words import NOTEBOOK, word

if TYPE_CHECKING:
    from .door import Door

_name = click.argument("name", type=PLUGIN)


def pause_plugin(door: Door, name: str) -> Text:
    """Keep a plugin's events; the word is that of a replay, which pauses where no plugin is named."""
    door.host().pause(name)
    return Text(f"{name} is paused: what it misses is kept, until {door.prompt} resume {name}")


@word(doors=NOTEBOOK)
@_name
def resume(door: Door, name: str) -> Any:
    """Bring a plugin what it missed while it was paused, in order, and then every event again."""
    return door.host().resume(name)


@word(doors=NOTEBOOK)
@_name
def mute(door: Door, name: str) -> Text:
    """Drop a plugin's events, until 'resume'."""
    door.host().mute(name)
    return Text(f"{name} is muted: its events are dropped, until {door.prompt} resume {name}")


@word("host")
@_name
def release(door: Door, name: str) -> Any:
    """Let a plugin out of quarantine, and start it on a host that was started."""
    return door.host().release(name)


@word(name="dead-letters", doors=NOTEBOOK)
@_name
def dead_letters(door: Door, name: str) -> Any:
    """Show the events that a plugin has missed while it was paused, quarantined or being restarted."""
    return door.host().dead_letters(name)


@word(doors=NOTEBOOK)
@_name
def redeliver(door: Door, name: str) -> Any:
    """Bring a plugin the events that it has missed, in order."""
    return door.host().redeliver(name)


@word(doors=NOTEBOOK)
@_name
def discard(door: Door, name: str) -> Text:
    """Drop the events that a plugin has missed."""
    dropped = door.host().discard(name)
    return Text(f"{count_text(dropped, 'dead letter')} of {name} dropped")
