"""The one palette: a colour and a glyph for each state and outcome, in charts, tables and the explorer alike.

Based on Okabe and Ito's set, which people with any colour vision tell apart; a glyph says the same once more.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Mark(NamedTuple):
    """How one state or outcome is shown.

    Attributes:
        colour: as ``#rrggbb``; chosen to stand out on white and on dark grey.
        glyph: one character that differs where colours might be mistaken for each other.
    """

    colour: str
    glyph: str


STATES: Final[dict[str, Mark]] = {
    "discovered": Mark("#a3abb5", "○"),
    "resolved": Mark("#7f93a8", "○"),
    "loaded": Mark("#5f86ad", "◌"),
    "starting": Mark("#56b4e9", "◔"),
    "active": Mark("#009e73", "●"),
    "stopping": Mark("#e0a100", "◕"),
    "stopped": Mark("#77808b", "■"),
    "failed": Mark("#d55e00", "✕"),
    "quarantined": Mark("#b8579a", "▲"),
    "unloaded": Mark("#b9bec5", "·"),
}
"""Every lifecycle state, in the order of a plugin's life."""

OUTCOMES: Final[dict[str, Mark]] = {
    "ok": Mark("#3b7dbd", "✓"),
    "error": Mark("#d55e00", "✕"),
    "timeout": Mark("#e0a100", "◷"),
    "cancelled": Mark("#8a6fb0", "⊘"),
    "skipped": Mark("#a3abb5", "–"),
    "unhandled": Mark("#b8579a", "?"),
    "open": Mark("#56b4e9", "…"),
}
"""Every outcome of a record."""

UNKNOWN: Final = Mark("#77808b", "?")
"""For a state or outcome that a foreign system made up, or that was not recorded."""

SERIES: Final = ("#3b7dbd", "#e0a100", "#009e73", "#b8579a", "#56b4e9", "#8c6d46", "#5a5fb5", "#93a445")
"""Colours for series without a meaning of their own, such as topics; vermilion is kept for errors."""

REST: Final = "#c3c8ce"
"""For what is left over once the largest series have a colour each."""

INK: Final = "#24292f"
MUTED: Final = "#5b6470"
FAINT: Final = "#e4e7eb"
PAPER: Final = "#ffffff"


def state_mark(state: str) -> Mark:
    """How a lifecycle state is shown.

    >>> state_mark("active").glyph
    '●'
    """
    return STATES.get(str(state), UNKNOWN)


def outcome_mark(outcome: str) -> Mark:
    """How the outcome of an event, a call or a transition is shown."""
    return OUTCOMES.get(str(outcome), UNKNOWN)
