"""Who draws the progress of long replays: this floor only says that there is something to draw."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from plugbook._types import Disconnect

    from .player import Player

LONG_S: Final = 2.0
"""How many seconds a run takes before it is drawn."""

Drawer = Callable[["Player"], None]

_log = logging.getLogger("plugbook.replay")
_drawers: list[Drawer] = []


def draw_with(drawer: Drawer) -> Disconnect:
    """Call `drawer` with every player whose run takes more than `LONG_S`, ten times a second and at its end.

    It is called on the thread that plays, and reads the player's `position`, `total` and `state`. One that
    raises is dropped.

    Returns:
        What ends it.
    """
    _drawers.append(drawer)

    def disconnect() -> None:
        if drawer in _drawers:
            _drawers.remove(drawer)

    return disconnect


def draw(player: Player) -> None:
    """Let everybody who draws draw."""
    tell(_drawers, player)


def tell(listeners: list[Drawer], player: Player) -> None:
    """Call each listener; one that raises is dropped, and noted in the log."""
    for listener in tuple(listeners):
        try:
            listener(player)
        except Exception:
            _log.exception("a listener of a player raised, and was dropped")
            listeners.remove(listener)
