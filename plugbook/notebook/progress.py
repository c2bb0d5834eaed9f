"""Draws the progress of long replays into the cell that started them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from plugbook.trace.units import count_text

from .markup import bar, head, page

if TYPE_CHECKING:
    from plugbook.replay.player import Player


class ProgressBars:
    """One bar for each player: displayed when a run turns out long, then updated in place."""

    def __init__(self) -> None:
        self._handles: WeakKeyDictionary[Player, Any] = WeakKeyDictionary()

    def __call__(self, player: Player) -> None:
        """Draw where the player stands; called on the thread that plays."""
        import IPython.display

        display: Any = IPython.display.display
        shown = _bundle(player)
        handle = self._handles.get(player)
        if handle is None:
            self._handles[player] = display(shown, raw=True, display_id=True)
        else:
            handle.update(shown, raw=True)


def _bundle(player: Player) -> dict[str, str]:
    done, total = player.position.index, player.total
    share = done / total if total else 1.0
    words = f"{done:,} of {count_text(total, 'event')}"
    filled = round(share * 30)
    return {
        "text/plain": f"Replay [{'█' * filled}{'·' * (30 - filled)}] {words}, {player.state}",
        "text/html": page(head("Replay", bar(share, words), str(player.state))),
    }
