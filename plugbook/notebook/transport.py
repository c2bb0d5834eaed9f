"""The transport of a replay: what a player says of itself as plain data, and what its buttons ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from plugbook.trace.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugbook.replay.player import Player

STEPS: Final = 1000
"""Positions of the slider, from the first event to the last by time."""


class Transport:
    """Steers one player at a time.

    Args:
        changed: called when the player moved, on the thread that plays.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.player: Player | None = None
        self._changed = changed
        self._disconnect: Callable[[], None] | None = None
        self._span = (0, 0)

    def attach(self, player: Player | None) -> None:
        """Steer another player, or none."""
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None
        self.player = player
        if player is not None:
            # Of the events alone: a host that took long to start would leave them a sliver of the slider.
            self._span = player.recording.select(kinds="event").span
            self._disconnect = player.on_change(lambda _player: self._changed())

    def view(self) -> dict[str, Any]:
        """What the front end draws: ``state``, ``rate`` (None: as fast as it goes), ``at`` and ``label``."""
        player = self.player
        if player is None:
            return {}
        state, position = str(player.state), player.position
        return {
            "state": state,
            "playing": state == "playing",
            "rate": player.rate,
            "at": STEPS if state == "ended" else self._slider(position.time_ns),
            "steps": STEPS,
            "label": f"{position.index:,} of {player.total:,} events · {duration_text(position.time_ns - self._span[0])}",
        }

    def act(self, action: str, value: Any = None) -> None:
        """Do what a button of the transport asks: ``play``, ``pause``, ``step``, ``seek`` or ``rate``."""
        player = self.player
        if player is None:
            return
        match action:
            case "play":
                player.play(background=True)
            case "pause":
                player.pause()
            case "step":
                player.step()
            case "seek":
                start_ns, end_ns = self._span
                player.seek(time=start_ns + (end_ns - start_ns) * int(value) // STEPS)
            case "rate":
                player.rate = None if value is None else float(value)

    def _slider(self, time_ns: int) -> int:
        start_ns, end_ns = self._span
        share = (time_ns - start_ns) / (end_ns - start_ns) if end_ns > start_ns else 0.0
        return round(min(max(share, 0.0), 1.0) * STEPS)
