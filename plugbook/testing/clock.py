"""A clock that stands still until a test moves it: what waits by it is woken at its moment, in order, without waiting."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from plugbook.errors import ClockError
from plugbook.plugins.effects.clock import in_background

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.host.host import Host

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Where a clock starts that is not told: the same moment on every run."""

_SECOND_NS: Final = 1_000_000_000
_ROUNDS: Final = 50
"""How many turns a host's loop gets after a moment: what a task does at once then is done before the next moment."""

_Due = tuple[int, int, Callable[[], object]]


class VirtualClock:
    """The time of the hosts that go by it, which only `advance` moves.

    A background task that waits by ``ctx.clock.sleep``, a restart with a back-off and an effect that is tried again
    are due at their moments. Where a handler waits, whoever published is waiting for it, and could not move the clock:
    so its waiting itself moves it. `asyncio.sleep`, timeouts and what reads ``time.time()`` go by the real time.

    >>> from plugbook import Event, Host, Plugin
    >>> class Ticked(Event):
    ...     second: int
    >>> class Ticker(Plugin):
    ...     def start(self, ctx):
    ...         ctx.spawn(self.tick())
    ...
    ...     async def tick(self):
    ...         while True:
    ...             await self.ctx.clock.sleep(1)
    ...             self.ctx.publish(Ticked(second=self.ctx.clock.now().second))
    >>> clock, seconds = VirtualClock(), []
    >>> with Host([Ticker]) as host:
    ...     clock.govern(host)
    ...     _ = host.subscribe(Ticked, lambda ticked: seconds.append(ticked.second)), host.start()
    ...     clock.advance(3)
    >>> seconds
    [1, 2, 3]

    Args:
        start: the time at which it starts; by default the beginning of 2026, UTC.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start_ns = round(start.timestamp()) * _SECOND_NS
        self._passed_ns = 0
        self._due: list[_Due] = []
        self._numbers = itertools.count()
        self._turn = threading.RLock()
        self._hosts: weakref.WeakSet[Host] = weakref.WeakSet()

    # -- what a test does ---------------------------------------------------------------------------

    def govern(self, host: Host) -> None:
        """Have a host go by this clock."""
        self._hosts.add(host)
        host.use_clock(self)

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.fromtimestamp(self._start_ns / _SECOND_NS, UTC) + self.elapsed

    @property
    def elapsed(self) -> timedelta:
        """How far it was moved so far."""
        return timedelta(microseconds=self._passed_ns / 1_000)

    @property
    def waits_s(self) -> list[float]:
        """In how many seconds something is due, the soonest first."""
        with self._turn:
            return [(due_ns - self._passed_ns) / _SECOND_NS for due_ns, *_ in sorted(self._due)]

    def advance(self, seconds: float) -> None:
        """Move on; what is due on the way happens at its moment, and has happened when this returns.

        Whether a task is woken by this, and what it does then without waiting for the world, is part of it.

        Raises:
            ClockError: it would move back.
        """
        if not seconds >= 0:
            msg = f"a clock moves on only: advance takes seconds from 0, not {seconds!r}"
            raise ClockError(msg)
        self._settle()
        self._pass(seconds, self._settle)
        self._settle()

    # -- what a host asks ---------------------------------------------------------------------------

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._start_ns + self._passed_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock was made."""
        return self._passed_ns

    def sleep(self, seconds: float) -> None:
        """Wait on behalf of a sync handler, for which the time passes."""
        self._pass(seconds, _nothing)

    async def sleep_async(self, seconds: float) -> None:
        """Wait: in the background until somebody moves the clock, in a handler by moving it."""
        if seconds <= 0 or not in_background.get():
            self._pass(max(seconds, 0), _nothing)
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        forget = self.call_later(seconds, lambda: loop.call_soon_threadsafe(woken.set))
        try:
            await woken.wait()
        finally:
            forget()

    def call_later(self, delay_s: float, function: Callable[[], object]) -> Disconnect:
        """Call a function when the clock has moved by so many seconds, on the thread that moves it."""
        with self._turn:
            due = (self._passed_ns + round(delay_s * _SECOND_NS), next(self._numbers), function)
            heapq.heappush(self._due, due)

        def forget() -> None:
            with self._turn:
                if due in self._due:
                    self._due.remove(due)
                    heapq.heapify(self._due)

        return forget

    # -- inside -------------------------------------------------------------------------------------

    def _pass(self, seconds: float, settle: Callable[[], object]) -> None:
        target = self._passed_ns + round(seconds * _SECOND_NS)
        while (due := self._next_until(target)) is not None:
            due()
            settle()
        with self._turn:
            self._passed_ns = max(self._passed_ns, target)

    def _next_until(self, target: int) -> Callable[[], object] | None:
        """Move to the next moment at which something is due, and say what; None where nothing is, up to the target."""
        with self._turn:
            if not self._due or self._due[0][0] > target:
                return None
            due_ns, _, function = heapq.heappop(self._due)
            self._passed_ns = max(self._passed_ns, due_ns)
            return function

    def _settle(self) -> None:
        """Wait until the tasks of the hosts have done what they do at this moment, and its events are handled."""
        for host in list(self._hosts):
            if host.is_closed or host.bus.loop.is_current:
                continue
            host.bus.loop.run(_give_turns())
            host.bus.perform(_nothing)

    def __repr__(self) -> str:
        waiting = f", {len(self._due)} waiting" if self._due else ""
        return f"<VirtualClock at {self.now():%Y-%m-%d %H:%M:%S} UTC{waiting}>"


async def _give_turns() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)


def _nothing() -> None:
    """What there is to do at a moment at which nothing is to be done."""
