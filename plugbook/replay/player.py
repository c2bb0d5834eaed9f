"""The player: a recording's events once more, at the recorded pace or another, step by step or all at once."""

from __future__ import annotations

import time as clock
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from plugbook._clock import tick
from plugbook.errors import DeadlockError, ReplayError, SelectionError, refuses_misspelt
from plugbook.trace.reading.selection import LAST_SEQ, seq_number
from plugbook.trace.record import show_seq

from . import progress
from .stage import Desk, Republisher
from .stop import Stop
from .stream import Position, Row, Stream
from .transport import PlayState, Transport

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.host.host import Host
    from plugbook.trace.reading.recording import Recording
    from plugbook.trace.reading.selection import Moment, Names

    from .result import Result
    from .stage import Played, Stage
    from .stop import Until

_TELL_EVERY_S: Final = 0.1


class Player:
    """Publishes the events of a recording to a host's plugins, each of them once, in the recorded order.

    What handlers publish meanwhile is not sent: it is held back and compared with what they published in the
    recording, whose events come at their recorded places. `result` says where the two differ. So are the
    events of plugins' background tasks, from the first event that is played until the end; what a person
    publishes on the host goes through.

    Without a host it plays to nobody: `step` gives the recorded events, and `plugin_states` the states that
    plugins were in.

    Args:
        recording: what to play; a selection of one will do.
        host: whose plugins get the events, or None.
        rate: multiple of real time; None for as fast as it goes.
        topics: play only events with such a topic: a pattern or several.
        plugins: play only events that such a plugin published: a pattern or several.
        seq: where to start: at this event, by its number or as shown in the log.
        time: where to start: at the first event from this moment on.
        until: where `play` pauses: behind the event with that seq (an int, or text as shown in the log),
            before the first event after a moment (a datetime, or seconds from the recording's start as
            float), or behind the event for which a function of its `Report` says yes (without a host, of
            its `Record`).

    Raises:
        SelectionError: a pattern, seq or moment is not one, or both `seq` and `time` are given.

    >>> from plugbook import Event, Host, Plugin, on
    >>> class Ping(Event):
    ...     n: int
    >>> class Echo(Plugin):
    ...     @on(Ping)
    ...     def answer(self, ping: Ping) -> int:
    ...         return ping.n
    >>> with Host([Echo]) as host:
    ...     _ = host.start(), host.publish(Ping(n=7))
    ...     with host.replay(host.recording, rate=None) as player:
    ...         print(player.play())
    Player ended at 1 of 1 events
      1 published, 1 call, 0 errors
    """

    @refuses_misspelt
    def __init__(
        self,
        recording: Recording,
        *,
        host: Host | None = None,
        rate: float | None = 1.0,
        topics: Names = None,
        plugins: Names = None,
        seq: int | str | None = None,
        time: Moment = None,
        until: Until = None,
    ) -> None:
        self.recording = recording
        self.host = host
        self.until = until
        is_narrowed = topics is not None or plugins is not None
        chosen = recording.select(topics=topics, plugins=plugins) if is_narrowed else recording
        self._stream = Stream(chosen, is_live=host is not None)
        self._transport = Transport(self._advance, lambda: self.position.time_ns, self._tell)
        self.rate = rate
        self._stage: Stage = Desk(recording)
        if host is not None:
            # The host must not keep a player that everybody else has forgotten, or it would hold plugins back.
            player = weakref.ref(self)
            self._stage = Republisher(
                host.bus, host.effects, self._stream, recording, lambda: _is_playing(player())
            )
            weakref.finalize(self, self._stage.close).atexit = False
        self._passed = 0
        self._stop = Stop(until, self._stream)
        self._is_background = False
        self._listeners: list[progress.Drawer] = []
        self._begun = self._told = 0.0
        if seq is not None or time is not None:
            self.seek(seq=seq, time=time)

    # -- looking ------------------------------------------------------------------------------------

    @property
    def state(self) -> PlayState:
        """``ready``, ``playing``, ``paused``, ``ended`` or ``closed``."""
        return self._transport.state

    @property
    def position(self) -> Position:
        """Where it stands, between two events."""
        return self._stream.position

    @property
    def total(self) -> int:
        """How many events there are to play."""
        return self._stream.total

    @property
    def rate(self) -> float | None:
        """Multiple of real time, or None for as fast as it goes; it may be changed while playing.

        Raises:
            SelectionError: it is not above 0.
        """
        return self._transport.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        if rate is not None and not _is_positive(rate):
            msg = f"rate={rate!r}: give a number above 0, such as 2.0, or None for as fast as it goes"
            raise SelectionError(msg)
        self._transport.rate = rate

    @property
    def error(self) -> BaseException | None:
        """What ended the last run in the background before its time, or None."""
        return self._transport.error

    @property
    def result(self) -> Result:
        """What it has done so far, and where handlers did not do what was recorded."""
        is_over = not self._stream.has_chosen and self.state in (PlayState.ENDED, PlayState.CLOSED)
        return self._stage.result(self._passed, is_over=is_over)

    def plugin_states(self) -> dict[str, str]:
        """The lifecycle state of each plugin in the recording, at this position."""
        following = self.position.seq
        return self._stream.states(LAST_SEQ if following is None else following)

    def on_change(self, listener: Callable[[Player], None]) -> Disconnect:
        """Call `listener` after each change, and while playing ten times a second, on the thread that plays."""
        self._listeners.append(listener)

        def disconnect() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return disconnect

    # -- playing ------------------------------------------------------------------------------------

    def play(self, *, until: Until = None, background: bool = False) -> Self:
        """Play on from here, until the end, `until`, or a pause. At the end it does nothing.

        A KeyboardInterrupt pauses.

        Args:
            until: where to pause, in place of the player's own `until`.
            background: play on a thread of its own, and return at once.

        Raises:
            DeadlockError: the caller is a handler.
            ReplayError: the player was closed, or another one is playing on the host.
        """
        self._check("played")
        if self.state is PlayState.ENDED:
            return self
        self._stop = Stop(self.until if until is None else until, self._stream)
        self._is_background = background
        return self._run() if until is not None else self._run_past_stop()

    def pause(self) -> Self:
        """Stop between two events; when this returns no handler is running, unless a handler calls it."""
        self._transport.pause(wait=not self._is_inside())
        return self

    def resume(self) -> Self:
        """Play on from here as the last `play` did; where that paused at its `until`, to the end."""
        self._check("played")
        return self if self.state is PlayState.ENDED else self._run_past_stop()

    def toggle(self) -> Self:
        """Pause where it is playing, and otherwise `resume`. At the end it does nothing.

        Raises:
            DeadlockError: the caller is a handler, and it is not playing.
            ReplayError: the player was closed, or another one is playing on the host.
        """
        return self.pause() if self.state is PlayState.PLAYING else self.resume()

    def step(self, n: int = 1) -> list[Played]:
        """Play the next `n` events and pause.

        Returns:
            The report of each event that was published, or without a host its record.

        Raises:
            DeadlockError: the caller is a handler.
            ReplayError: the player was closed, or another one is playing on the host.
        """
        self._check("stepped")
        self.pause()
        played: list[Played] = []
        with self._transport.held():
            self._stage.begin()
            last = min(self._stream.index + n, self.total)
            try:
                while self._stream.index < last and (row := self._stream.peek()) is not None:
                    done = self._pass(row)
                    if done is not None:
                        played.append(done)
            finally:
                self._transport.state = PlayState.PAUSED if self._stream.has_chosen else self._end()
        self._tell(now=True)
        return played

    def seek(self, *, seq: int | str | None = None, time: Moment = None) -> Position:
        """Go to the first event at or after a seq or a moment; nothing between is published.

        Plugins keep the state that they are in. A run goes on from there.

        Raises:
            SelectionError: neither or both are given, or it is not a seq or a moment.
            DeadlockError: the caller is a handler.
            ReplayError: the player was closed.
        """
        self._check("moved")
        if (seq is None) == (time is None):
            msg = "seek takes either seq= or time="
            raise SelectionError(msg)
        target = self._stream.first_at(time) if seq is None else seq_number(seq)
        with self._transport.held():
            self._stream.seek(target)
            self._stage.jump()
            if self.state is PlayState.ENDED and self._stream.has_chosen:
                self._transport.state = PlayState.PAUSED
        self._tell(now=True)
        return self.position

    def close(self) -> None:
        """Stop, and let go of the host: from now on its plugins publish again. A second time does nothing.

        Raises:
            DeadlockError: the caller is a handler.
        """
        if self.state is PlayState.CLOSED:
            return
        self._check("closed")
        self._transport.pause()
        self._transport.join()
        self._transport.state = PlayState.CLOSED
        self._stage.close()
        self._tell(now=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------

    def _run_past_stop(self) -> Self:
        """Run on, to the end where the seq or moment to pause at lies behind."""
        if (self.position.seq or 0) > self._stop.last:
            self._stop = Stop(None, self._stream)
        return self._run()

    def _run(self) -> Self:
        self._stage.begin()
        self._begun = clock.monotonic()
        self._transport.play(background=self._is_background)
        return self

    def _advance(self, due_ns: int | None, deadline: int) -> int | PlayState | None:
        """Play what is due; see `Transport`."""
        # One event in a few microseconds: what the loop touches is local, and rows are plain tuples.
        stream, transport, play = self._stream, self._transport, self._stage.play
        total, last, reached = stream.total, self._stop.last, self._stop.reached
        due = LAST_SEQ if due_ns is None else due_ns
        while stream.index < total and (row := stream.peek()) is not None:
            if row[0] > last:
                return PlayState.PAUSED
            if row[1] > due:
                return row[1]
            stream.pass_over(row)
            if not row[8]:
                self._stage.pass_over(row)
                continue
            self._passed += 1
            played = play(row)
            if reached is not None and played is not None and reached(played):
                break
            if tick() > deadline or transport.is_wanted:
                return None
        return PlayState.PAUSED if stream.index < total else self._end()

    def _pass(self, row: Row) -> Played | None:
        self._stream.pass_over(row)
        if not row[8]:
            self._stage.pass_over(row)
            return None
        self._passed += 1
        return self._stage.play(row)

    def _end(self) -> PlayState:
        """Compare what is left of the recording with what handlers published, and stop holding plugins back."""
        while self._stage.is_waiting and (row := self._stream.peek()) is not None:
            self._stream.pass_over(row)
            self._stage.pass_over(row)
        self._stage.end()
        return PlayState.ENDED

    def _check(self, what: str) -> None:
        if self.state is PlayState.CLOSED:
            msg = "this player was closed; make another one with host.replay(recording)"
            raise ReplayError(msg)
        if self._is_inside():
            msg = f"a player cannot be {what} from inside a handler, for it waits until that has ended; pause() can"
            raise DeadlockError(msg)

    def _is_inside(self) -> bool:
        """Whether the caller is a handler, or runs on the loop that handlers run on."""
        if self.host is None:
            return False
        cause = self.host.bus.cause()
        return self.host.bus.loop.is_current or (cause is not None and cause.report is not None)

    def _tell(self, *, now: bool = False) -> None:
        time_s = clock.monotonic()
        if not now and self.state is PlayState.PLAYING and time_s - self._told < _TELL_EVERY_S:
            return
        self._told = time_s
        progress.tell(self._listeners, self)
        if self._begun and time_s - self._begun > progress.LONG_S:
            progress.draw(self)
        if self.state is not PlayState.PLAYING:
            self._begun = 0.0

    def __repr__(self) -> str:
        position, total = self.position, self.total
        at = "" if position.seq is None else f", next {show_seq(position.seq)}"
        return f"Player {self.state} at {position.index:,} of {total:,} events{at}\n  {self.result}"


def _is_playing(player: Player | None) -> bool:
    return player is not None and player.state is PlayState.PLAYING


def _is_positive(rate: object) -> bool:
    return isinstance(rate, int | float) and 0 < rate < float("inf")
