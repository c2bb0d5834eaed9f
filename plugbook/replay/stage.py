"""What happens to an event that is played: plugins get it, or nobody does."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from plugbook.errors import ReplayError

from .emissions import Emissions, settle
from .rebuild import EventTypes, RebuildError
from .recall import EffectRecall
from .result import MOST_KEPT, Result, Skipped
from .routes import routes_of

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.report import Report
    from plugbook.plugins.effects.effect import EffectRules
    from plugbook.plugins.effects.performance import Asked, Recalled
    from plugbook.trace.reading.recording import Recording
    from plugbook.trace.record import Record

    from .stream import Row, Stream

    Played = Report | Record


class Stage(Protocol):
    """Where a player plays."""

    @property
    def is_waiting(self) -> bool:
        """Whether anything is left to be compared with the rest of the recording."""

    def begin(self) -> None:
        """A run begins."""

    def play(self, row: Row) -> Played | None:
        """Play an event; None where there is nothing to show for it."""

    def pass_over(self, row: Row) -> None:
        """Pass an event that is not to be played."""

    def jump(self) -> None:
        """The cursor was moved."""

    def end(self) -> None:
        """The last event was played."""

    def close(self) -> None:
        """Nothing more will be played."""

    def result(self, passed: int, *, is_over: bool) -> Result:
        """What was done, given how many events were played."""


class Desk:
    """Plays to nobody: events are looked at, and no plugin code runs."""

    is_waiting = False

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def begin(self) -> None:
        """Nothing has to be prepared."""

    def play(self, row: Row) -> Record:
        """The record of the event."""
        return self._recording[row[0]]

    def pass_over(self, row: Row) -> None:
        """Nothing is compared."""

    def jump(self) -> None:
        """Nothing is expected."""

    def end(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The recording stays open, for it belongs to somebody else."""

    def result(self, passed: int, *, is_over: bool) -> Result:
        """How many events were looked at."""
        return Result(events=passed)


class Republisher:
    """Plays to the plugins on a bus.

    Args:
        bus: where the plugins are.
        effects: what the host says about effects; while this plays, that they are given back.
        stream: what is played.
        recording: where it comes from.
        is_playing: whether a run is on at this moment.
    """

    def __init__(
        self,
        bus: Bus,
        effects: EffectRules,
        stream: Stream,
        recording: Recording,
        is_playing: Callable[[], bool],
    ) -> None:
        self._bus = bus
        self._effects = effects
        self._stream = stream
        self._recording = recording
        self._recall = EffectRecall(recording, stream)
        self._emissions = Emissions(bus, stream, is_playing, self._recall.expect)
        if not (isinstance(bus.gate, Emissions) and bus.gate.is_playing()):
            effects.recall = self._give_back  # plugins may start before anything is played
        self._routes = routes_of(stream)
        self._types = EventTypes((), (), {})
        self._published = self._calls = self._errors = self._unhandled = self._skipped = 0
        self._skips: list[Skipped] = []
        self._reconfigured = [
            Skipped(seq, f"{plugin} was configured", _told(payload))
            for seq, plugin, payload in stream.reconfigured()
        ]

    @property
    def is_waiting(self) -> bool:
        """Whether handlers published what has not come up in the recording yet."""
        return self._emissions.is_waiting

    def begin(self) -> None:
        """Put the gate before the bus, and find the classes of events as they are defined now.

        Raises:
            ReplayError: another player is playing on this host.
        """
        gate = self._bus.gate
        if gate is not self._emissions:
            if isinstance(gate, Emissions) and gate.is_playing():
                msg = "another player is playing on this host: pause or close it first, or replay on another host"
                raise ReplayError(msg)
            self._bus.gate = self._emissions
            self._mark("replay", {"recording": str(self._recording.path or "in memory")})
        self._effects.recall = self._give_back
        self._emissions.active = self._recall.active = True
        targets = [each.target for each in self._bus.subscriptions]
        self._types = EventTypes(
            [target for target in targets if not isinstance(target, str)],
            self._stream.schemas(),
            self._recording.facts("schema"),
            outlined=self._recording.facts("options").get("", {}).get("payloads") == "summary",
        )

    def play(self, row: Row) -> Report | None:
        """Deliver the event; None if it could not be made again."""
        seq, _, _, topic_number, plugin, parent, plan, payload, how = row
        emissions, names = self._emissions, self._stream.known.names
        if emissions.answered and seq in emissions.answered:
            return self._counted(emissions.answered.pop(seq))
        cause, held = emissions.reached(row) if parent is not None else (None, None)
        topic = names[topic_number]
        try:
            event = self._types.rebuild(topic, seq, payload, self._stream.version(plan))
        except RebuildError as error:
            self._skip(Skipped(seq, topic, str(error)))
            return None
        announce = partial(emissions.deliver, row)
        report = self._bus.deliver(
            event,
            plugin=names[plugin],
            cause=cause,
            announce=announce,
            to=self._routes.get(seq),
            asked="" if how == "publish" else how,
        )
        if held is not None:
            settle(held, report)
        return self._counted(report)

    def _counted(self, report: Report) -> Report:
        self._published += 1
        calls = report.plan.count(report.ticks)
        self._calls += calls
        if not (calls or report.plan.is_fixed):  # of those, somebody got it elsewhere
            self._unhandled += 1
        if report.notes is not None:
            self._errors += sum(note.outcome == "error" for note in report.notes.values())
        return report

    def _give_back(self, asked: Asked) -> Recalled | None:
        return self._recall.give_back(asked, self._emissions.place_of(asked.cause))

    def _skip(self, skipped: Skipped) -> None:
        self._skipped += 1
        if len(self._skips) < MOST_KEPT:
            self._skips.append(skipped)

    def pass_over(self, row: Row) -> None:
        """Compare the event with what its handler published, and let it be."""
        if self._emissions.answered.pop(row[0], None) is None:
            self._emissions.reached(row)

    def jump(self) -> None:
        """Expect nothing of what was played before."""
        self._emissions.jump()

    def end(self) -> None:
        """Let background tasks publish again; what comes out of the replayed events is still held back."""
        self._emissions.active = self._recall.active = False
        self._mark("replay ended", {})

    def close(self) -> None:
        """Take the gate away."""
        self._emissions.active = self._recall.active = False
        if self._bus.gate is self._emissions:
            self._bus.gate = None
        if self._effects.recall == self._give_back:
            self._effects.recall = None

    def result(self, passed: int, *, is_over: bool) -> Result:
        """What was done and compared so far."""
        return Result(
            events=passed,
            published=self._published,
            calls=self._calls,
            errors=self._errors,
            unhandled=self._unhandled,
            skipped=self._skipped,
            skips=tuple(self._skips),
            effects=self._recall.counts(),
            unapplied=tuple(each for each in self._reconfigured if each.seq < (self._stream.previous or 0)),
            remarks=dict(self._types.remarks),
            **self._emissions.counts(is_over=is_over),
        )

    def _mark(self, text: str, more: dict[str, Any]) -> None:
        recorder = self._bus.recorder
        if recorder is not None:
            recorder.put("mark", text, payload={"text": text, **more})


def _told(payload: str) -> str:
    """What a change of options was, as a person reads it."""
    said = json.loads(payload) if payload else {}
    old, new = said.get("old", {}), said.get("new", {})
    return ", ".join(f"{option} {old.get(option)!r} -> {value!r}" for option, value in new.items())
