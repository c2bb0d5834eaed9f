"""Time as plugins read it: through `ctx.clock`, so that a replay gives back what was read, and a test moves it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.plugins.effects.effect import Effect, EffectRules

in_background: ContextVar[bool] = ContextVar("plugbook_in_background", default=False)
"""Whether what runs is a background task of a plugin: nobody waits for it, as a publisher does for a handler."""


class Time(Protocol):
    """What a host may go by instead of the system's clocks; see `Host.use_clock`."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never runs backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait here."""

    async def sleep_async(self, seconds: float) -> None:
        """Wait, while others go on."""

    def call_later(self, delay_s: float, function: Callable[[], object]) -> Disconnect:
        """Call a function, on any thread, in so many seconds; what is returned takes that back."""


class PluginClock:
    """``ctx.clock``: the time, by the clock that the host goes by.

    Every reading is an `input` record, which takes some microseconds, and a replay gives it back. In a test, the
    fixture `clock` moves it. What reads ``time.time()`` instead is neither replayed nor moved.

    >>> from plugbook import Event, Host, Plugin, on
    >>> class Asked(Event):
    ...     pass
    >>> class Chronicle(Plugin):
    ...     @on(Asked)
    ...     def tell(self, event: Asked) -> int:
    ...         return self.ctx.clock.now().year
    >>> with Host([Chronicle]) as host:
    ...     _ = host.start(), host.publish(Asked())
    ...     [record] = host.recording.select(kinds="input")
    >>> record.name, record.plugin
    ('clock.now', 'chronicle')
    """

    def __init__(self, effect: Effect, rules: EffectRules) -> None:
        self._effect = effect
        self._rules = rules

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return self._effect.using(name="clock.now")(self._now)

    def monotonic(self) -> float:
        """Seconds since some moment, on a clock that never runs backwards: for how long something takes."""
        return self._effect.using(name="clock.monotonic")(self._monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds, while others go on."""
        await self._effect.using(name="clock.sleep")(self._sleep, seconds)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._rules.time_ns() / 1e9, UTC)

    def _monotonic(self) -> float:
        return self._rules.monotonic_ns() / 1e9

    async def _sleep(self, seconds: float) -> None:
        await self._rules.sleep_async(seconds)

    def __repr__(self) -> str:
        return f"<clock at {self._now():%Y-%m-%d %H:%M:%S} UTC>"
