"""The words of replay: play a recording once more, and move about in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from plugbook.errors import SelectionError, UnknownNameError

from .deliveries import pause_plugin
from .kinds import PLUGIN, RATE, SEQ, TOPIC, chosen, moment
from .values import Text
from .words import NOTEBOOK, word

if TYPE_CHECKING:
    from plugbook.replay.player import Player

    from .door import Door


@word("recording, may use host")
@click.option("--rate", type=RATE, help="Multiple of real time, or max.")
@click.option("--topics", multiple=True, type=TOPIC, help="Play only events of these topics.")
@click.option("--plugins", multiple=True, type=PLUGIN, help="Play only what these plugins published.")
@click.option("--until", type=SEQ, help="Pause behind this event.")
@click.option("--paused", is_flag=True, help="Do not play yet: 'step' and 'continue' do.")
@click.option("--background", is_flag=True, help="Return at once, while it plays.")
def replay(door: Door, rate: float | None, paused: bool, background: bool, **options: Any) -> Player:
    """Play a recording's events to the host's plugins once more, or without a host to nobody.

    What the plugins publish meanwhile is compared with the recording, and not sent.
    """
    recording = door.recording()
    host = door.player_host()
    pace = door.defaults.rate if rate is None else rate
    words = chosen(options) | {"rate": None if pace == math.inf else pace}
    if door.player is not None:
        door.player.close()
    player: Player = recording.player(**words) if host is None else host.replay(recording, **words)
    door.player = player
    return player if paused else player.play(background=background)


@word(doors=NOTEBOOK)
@click.argument("name", type=PLUGIN, required=False)
def pause(door: Door, name: str | None) -> Player | Text:
    """Pause the replay, between two events; with a plugin's name, keep its events until 'resume'."""
    return _player(door).pause() if name is None else pause_plugin(door, name)


@word(name="continue", doors=NOTEBOOK)
def continue_(door: Door) -> Player:
    """Go on with the replay."""
    return _player(door).resume()


@word(doors=NOTEBOOK)
@click.argument("count", type=click.IntRange(1), default=1)
def step(door: Door, count: int) -> Any:
    """Play the next event of the replay, or some, and pause."""
    played = _player(door).step(count)
    if not played:
        return Text("The replay is at its end.")
    return played[0] if len(played) == 1 else played


@word(doors=NOTEBOOK)
@click.argument("seq", type=SEQ, required=False)
@click.option("--time", metavar="TIME", help="A moment instead: seconds from the start, or ISO.")
def seek(door: Door, seq: int | None, time: str | None) -> Player:
    """Go to an event of the replay; nothing between is published."""
    if (seq is None) == (time is None):
        msg = f"Say where to go: {door.prompt} seek 10, or {door.prompt} seek --time 1.5"
        raise SelectionError(msg)
    player = _player(door)
    player.seek(seq=seq, time=None if time is None else moment(time))
    return player


def _player(door: Door) -> Player:
    if door.player is None:
        msg = f"Nothing is replayed. Begin with: {door.prompt} replay [FILE] --paused"
        raise UnknownNameError(msg)
    player: Player = door.player
    return player
