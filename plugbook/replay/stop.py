"""Where a run pauses: at a seq, at a moment, or when a function says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from plugbook.trace.selection import LAST_SEQ, seq_number

if TYPE_CHECKING:
    from .stage import Played
    from .stream import Row, Stream

    Until = int | str | float | datetime | Callable[[Played], object] | None

_NEVER: Final = LAST_SEQ


class Stop:
    """Knows, of each event, whether a run pauses before or behind it.

    Args:
        until: an int or text is a seq, a float or datetime a moment, a function is asked after each event.
        stream: what is played.

    Raises:
        SelectionError: it is not a seq or a moment.
    """

    def __init__(self, until: Until, stream: Stream) -> None:
        self._asks = until if callable(until) else None
        self._last = _NEVER
        self._first_left_out = _NEVER
        if isinstance(until, int | str):
            self._last = seq_number(until)
        elif isinstance(until, float | datetime):
            self._first_left_out = stream.first_at(until)

    def before(self, row: Row) -> bool:
        """Whether the run pauses before this event."""
        return row.seq >= self._first_left_out or row.seq > self._last

    def behind(self, row: Row, played: Played | None) -> bool:
        """Whether the run pauses behind this event, which led to `played`."""
        if self._asks is not None:
            return played is not None and bool(self._asks(played))
        return row.seq >= self._last
