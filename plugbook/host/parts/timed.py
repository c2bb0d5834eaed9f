"""The part of a host that says which clock it goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugbook.host.changes import record_change
from plugbook.host.supervision.supervisor import ClockTimer

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.host.engine import Engine
    from plugbook.host.supervision.supervisor import Supervisor
    from plugbook.plugins.effects.clock import Time


class Timed:
    """A host whose time can be that of another clock than the system's."""

    bus: Bus
    _engine: Engine
    _supervisor: Supervisor

    def use_clock(self, clock: Time) -> None:
        """Go by another clock from now on, as a test or a simulation does.

        By it go `ctx.clock`, throttles, the waits of restarts, and those of effects that are tried again. Not by it
        go the times of records, the timeouts of handlers and effects, and what a plugin reads past its `ctx`.

        Args:
            clock: such as `plugbook.testing.clock.VirtualClock`.
        """
        effects = self._engine.effects
        effects.time_ns, effects.monotonic_ns = clock.time_ns, clock.monotonic_ns
        effects.sleep, effects.sleep_async = clock.sleep, clock.sleep_async
        self.bus.throttle_by(clock.monotonic_ns)
        self._supervisor.timer = ClockTimer(clock)
        facts = {"clock": type(clock).__name__, "time_ns": clock.time_ns()}
        record_change(self.bus, "use clock", "", facts)
