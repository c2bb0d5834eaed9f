"""The transport of a replay: what a player says of itself as plain data, and what its buttons ask of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .units import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 1000
"""Positions of the slider, from the first record to the last by time."""


class Transport:
    """Steers one player at a time.

    Args:
        changed: called, on any thread, when the player moved.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.player: Any = None
        self._changed = changed
        self._disconnect: Callable[[], None] | None = None

    def attach(self, player: Any) -> None:
        """Steer another player, or none."""
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None
        self.player = player
        if player is not None and hasattr(player, "on_change"):
            self._disconnect = player.on_change(self._changed)

    def view(self) -> dict[str, Any]:
        """What the front end draws: ``state``, ``rate`` (None: as fast as it goes), ``at`` and ``label``."""
        player = self.player
        if player is None:
            return {}
        state = str(player.state)
        start_ns, end_ns = player.recording.span
        now_ns = self._time_of(player.position, start_ns)
        share = (now_ns - start_ns) / (end_ns - start_ns) if end_ns > start_ns else 0.0
        return {
            "state": state,
            "playing": state == "playing",
            "rate": player.rate,
            "at": round(share * STEPS),
            "steps": STEPS,
            "label": f"{duration_text(now_ns - start_ns)} of {duration_text(end_ns - start_ns)}",
        }

    def act(self, action: str, value: Any = None) -> None:
        """Do what a button of the transport asks: ``play``, ``pause``, ``step``, ``seek`` or ``rate``."""
        player = self.player
        if player is None:
            return
        if action == "play":
            # Playing lasts as long as the recording: not on the thread that handles the next button.
            threading.Thread(target=player.play, name="plugbook-player", daemon=True).start()
        elif action in ("pause", "step"):
            getattr(player, action)()
        elif action == "seek":
            start_ns, end_ns = player.recording.span
            player.seek(time=start_ns + (end_ns - start_ns) * int(value) // STEPS)
        elif action == "rate":
            player.rate = None if value is None else float(value)

    def _time_of(self, position: int | None, start_ns: int) -> int:
        if position is None:
            return start_ns
        try:
            return int(self.player.recording[position].time_ns)
        except LookupError:
            return start_ns
