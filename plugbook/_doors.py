"""The few methods of lower rooms that lead to higher ones, and where each one leads.

`Host.replay` or `Recording.explore` belong where a person looks for them, but what they make lives above,
and imports run downward only. They go through this table, which is resolved when they are called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

DOORS: Final = {
    "player": "plugbook.replay.player:Player",
    "explorer": "plugbook.notebook.explorer:Explorer",
}


def behind(door: str) -> Callable[..., Any]:
    """What makes the thing that is behind a door.

    Raises:
        KeyError: there is no such door.
    """
    module, _, name = DOORS[door].partition(":")
    made: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return made
