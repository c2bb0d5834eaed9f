"""One clock for everything: ticks on the hot path, wall time anchored to them wherever a person looks.

A tick is a reading of ``time.perf_counter_ns``. It never runs backwards, which wall clocks do; so wall
time is read once, when a `Clock` is made, and every later time is that anchor plus the ticks since.
"""

from __future__ import annotations

import time

tick = time.perf_counter_ns


class Clock:
    """Turns ticks into nanoseconds since the epoch, monotonically.

    >>> clock = Clock()
    >>> clock.wall_ns(tick()) <= clock.wall_ns(tick())
    True
    """

    __slots__ = ("anchor_ns",)

    def __init__(self) -> None:
        self.anchor_ns = time.time_ns() - tick()

    def wall_ns(self, ticks: int) -> int:
        """The wall time of a tick, in ns since the epoch."""
        return self.anchor_ns + ticks

    def now_ns(self) -> int:
        """The wall time now, in ns since the epoch."""
        return self.anchor_ns + tick()
