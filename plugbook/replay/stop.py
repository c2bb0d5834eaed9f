"""Where a run pauses: at a seq, at a moment, or when a function says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from plugbook.trace.reading.selection import LAST_SEQ, seq_number

if TYPE_CHECKING:
    from .stage import Played
    from .stream import Stream

    Until = int | str | float | datetime | Callable[[Played], object] | None


class Stop:
    """Knows where a run pauses.

    Args:
        until: an int or text is a seq, a float or datetime a moment, a function is asked after each event.
        stream: what is played.

    Attributes:
        last: the last seq to be played.
        reached: asked behind each event whether the run pauses there, or None.

    Raises:
        SelectionError: it is not a seq or a moment.
    """

    def __init__(self, until: Until, stream: Stream) -> None:
        self.last = LAST_SEQ
        self.reached: Callable[[Played], object] | None = None
        if isinstance(until, int | str):
            self.last = seq_number(until)
        elif isinstance(until, float | datetime):
            self.last = stream.first_at(until) - 1
        elif until is not None:
            self.reached = until
