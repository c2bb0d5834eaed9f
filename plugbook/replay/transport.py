"""Playing, pausing and pacing, apart from what is played: states, threads and the clock."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from typing import Final

from plugbook._clock import tick

_BURST_NS: Final = 50_000_000
_LONGEST_WAIT_S: Final = 3600.0

_log = logging.getLogger("plugbook.replay")


class PlayState(StrEnum):
    """What a player is doing."""

    READY = "ready"
    PLAYING = "playing"
    PAUSED = "paused"
    ENDED = "ended"
    CLOSED = "closed"


class Pace:
    """When a recorded moment is due, at a multiple of real time.

    Args:
        rate: 2.0 is twice as fast as it happened; None as fast as it goes.
        time_ns: the recorded moment that is due now.
    """

    def __init__(self, rate: float | None, time_ns: int) -> None:
        self.rate = rate
        self._recorded_ns = time_ns
        self._begun = tick()

    @property
    def due_ns(self) -> int | None:
        """The recorded moment that is due now; everything up to it may be played. None if everything is."""
        if self.rate is None:
            return None
        return self._recorded_ns + round((tick() - self._begun) * self.rate)

    def wait_s(self, time_ns: int) -> float:
        """How many seconds are left until a recorded moment is due."""
        if self.rate is None:
            return 0.0
        return (time_ns - self._recorded_ns) / self.rate / 1e9 - (tick() - self._begun) / 1e9


class Transport:
    """Runs `advance` on this thread or another one, until somebody pauses it or it says that it is over.

    Args:
        advance: called with the recorded moment that is due, or None for no limit, and the tick at which to
            return at the latest; it returns early when `is_wanted` is set. Returns the recorded moment it has
            to wait for, or the state in which the run ends, or None to be called again at once.
        now: the recorded moment at the cursor, in ns since the epoch.
        tell: called after each step and each change.

    Attributes:
        state: what it is doing.
        is_wanted: whether somebody waits for the run to stop between two events.
        error: what ended a run on another thread, or None.
    """

    def __init__(
        self,
        advance: Callable[[int | None, int], int | PlayState | None],
        now: Callable[[], int],
        tell: Callable[[], None],
    ) -> None:
        self._advance = advance
        self._now = now
        self._tell = tell
        self.state = PlayState.READY
        self.is_wanted = False
        self.error: BaseException | None = None
        self._rate: float | None = None
        self._pace = Pace(None, 0)
        self._control = threading.RLock()
        self._turn = threading.Condition()
        self._is_busy = False
        self._is_moved = False
        self._holds = 0
        self._runner: int | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    @property
    def rate(self) -> float | None:
        """The multiple of real time; a run follows a change at once."""
        return self._rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._rate = rate
        self._wake.set()

    @property
    def is_runner(self) -> bool:
        """Whether the caller is on the thread that plays."""
        return self._runner == threading.get_ident()

    def play(self, *, background: bool) -> None:
        """Run until it is paused or over; on a thread of its own, return at once."""
        if self.is_runner:  # a listener plays on what was paused meanwhile
            self.is_wanted = False
            self.state = PlayState.PLAYING
            return
        with self._control, self._turn:
            if self.state is PlayState.PLAYING:
                return
            self._turn.wait_for(lambda: not self._is_busy)
            self.error = None
            self.is_wanted = False
            self._is_busy = True
            self.state = PlayState.PLAYING
        if background:
            # In the caller's context, so that what handlers print lands in the cell that started it.
            run = partial(contextvars.copy_context().run, self._run_in_background)
            self._thread = threading.Thread(target=run, name="plugbook-player", daemon=True)
            self._thread.start()
        else:
            self._run()

    def pause(self, state: PlayState = PlayState.PAUSED, *, wait: bool = True) -> None:
        """End the run between two events, and wait until it has ended."""
        if self.state is PlayState.PLAYING:
            self.state = state
            self.is_wanted = True
            self._wake.set()
        if wait and not self.is_runner:
            with self._turn:
                self._turn.wait_for(lambda: not self._is_busy)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the run standing between two events meanwhile; afterwards it goes on from where it then is."""
        if self.is_runner:  # it stands still while a listener runs; whoever else wants it waits for that
            self._is_moved = True
            yield
            return
        with self._control:
            with self._turn:
                self._holds += 1
                self.is_wanted = True
                self._wake.set()
                self._turn.wait_for(lambda: not self._is_busy)
            try:
                yield
            finally:
                with self._turn:
                    self._holds -= 1
                    self.is_wanted = self._holds > 0
                    self._is_moved = True
                    self._turn.notify_all()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread of a run in the background to end."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    # -- the run ------------------------------------------------------------------------------------

    def _run_in_background(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.error = error
            _log.exception("a replay in the background ended")
            self._tell()

    def _run(self) -> None:
        try:
            self._runner = threading.get_ident()
            self._is_moved = True
            self._tell()
            while self.state is PlayState.PLAYING:
                self._let_others_in()
                self._step()
                self._tell()
        except KeyboardInterrupt:
            self.state = PlayState.PAUSED
        finally:
            if self.state is PlayState.PLAYING:
                self.state = PlayState.PAUSED
            with self._turn:
                self._runner = None
                self._is_busy = False
                self._turn.notify_all()
            self._tell()

    def _step(self) -> None:
        if self._is_moved or self._pace.rate != self._rate:
            self._is_moved = False
            self._pace = Pace(self._rate, self._now())
        following = self._advance(self._pace.due_ns, tick() + _BURST_NS)
        if isinstance(following, PlayState):
            if self.state is PlayState.PLAYING:
                self.state = following
        elif following is not None:
            self._wake.wait(min(max(self._pace.wait_s(following), 0.0), _LONGEST_WAIT_S))
            self._wake.clear()

    def _let_others_in(self) -> None:
        """Stand still while anybody holds the run."""
        if not self._holds or self.state is not PlayState.PLAYING:
            return
        with self._turn:
            self._is_busy = False
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._holds)
            self._is_busy = True
