"""Giving back in a replay what effects gave in the recording, so that nothing touches the world a second time.

An effect and a recorded one belong together if they have the same cause path, as emissions do: the recorded event that
was being handled, the handler and the name of the effect. Among several, the first with the same arguments is given
back; where there is none, the first that nobody has asked for, and that is a difference. Where nothing is left, the
effect is refused.

What a plugin asks for outside of its handlers, in `start` and in background tasks, belongs to its start: the last
recorded one before the place where the replay stands, or else the first.
"""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

import json
import threading
import weakref
from bisect import bisect_right, insort
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn

from plugbook._clock import tick
from plugbook.errors import EffectReplayError
from plugbook.plugins.effects.performance import Recalled
from plugbook.plugins.effects.values import why_lost
from plugbook.trace.record import BLOCK, KINDS, OUTCOMES, show_seq
from plugbook.trace.writing.payload import HIDDEN, PayloadEncoder

from .rebuild import why_incomplete
from .result import MOST_KEPT, Difference, GivenBack, Skipped

if TYPE_CHECKING:
    from plugbook.plugins.effects.performance import Asked, Asker
    from plugbook.trace.reading.recording import Recording

    from .emissions import Place
    from .stream import Row, Stream

_INPUT: Final = KINDS.index("input")
_STATE: Final = KINDS.index("state")
_SAID: Final = "seq, outcome, payload, notes"


class _Site(NamedTuple):
    """Where effects are asked for: the call of an event, or with neither handler nor plugin the start of a plugin."""

    event: int
    handler: str
    plugin: str


class _Slot:
    """A recorded effect that was not given back to one that asks the same.

    Attributes:
        is_lent: whether it was given back to one with other arguments.
        arguments: of the recorded one, once they were looked at.
    """

    __slots__ = ("arguments", "is_lent", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.is_lent = False
        self.arguments: Any = None


Slots = dict[tuple[_Site, str, str], list[_Slot]]
"""By where they were asked for, by which plugin and under which name."""


class EffectRecall:
    """Answers effects from a recording while a player holds a host's plugins back.

    A plugin that starts while there is a player gets the effects of its recorded start. What a person's own events lead
    to is performed, as their emissions are sent; and while nothing is replayed, so is what background tasks of earlier
    starts ask for.

    Args:
        recording: where the effects are.
        stream: the events of it that are played.

    Attributes:
        active: whether a replay is on, so that background tasks are held back, too.
    """

    def __init__(self, recording: Recording, stream: Stream) -> None:
        self._inputs = _Inputs(recording)
        self._stream = stream
        self._encoder = PayloadEncoder(redact=recording.facts("options").get("", {}).get("redact", ()))
        self._since = tick()
        self._turn = threading.Lock()
        self._expected: dict[tuple[int, int], Slots] = {}
        self._of_starts: weakref.WeakKeyDictionary[Asker, Slots] = weakref.WeakKeyDictionary()
        self._matched = self._extra = 0
        self._differing: list[Difference] = []
        self._surplus: list[Difference] = []
        self._losses: list[Skipped] = []
        self._differs = self._lost = 0
        self.active = False

    def expect(self, run: int, row: Row) -> None:
        """A recorded event is about to be handled: what its handlers asked for is to come."""
        event, plan = row[0], row[6]
        inputs = self._inputs.by_event.get(event)
        if inputs is None:
            return
        sites: dict[int, _Site] = {}
        slots: Slots = {}
        for seq, name, plugin, parent in inputs:
            site = sites.get(parent)
            if site is None:
                found = self._stream.site(event, plan, parent) if parent != event else None
                site = sites[parent] = _Site(
                    event, found.name if found else "", found.plugin if found else ""
                )
            slots.setdefault((site, plugin, name), []).append(_Slot(seq))
        with self._turn:
            self._expected[run, event] = slots

    def give_back(self, asked: Asked, place: Place | None) -> Recalled | None:
        """What to give back for an effect; see `Recall`.

        Args:
            asked: who asks for what.
            place: the recorded call that the asking one stands for, or None.
        """
        with self._turn:
            if place is not None:
                site = _Site(place.event, place.handler, place.plugin)
                slots = self._expected.get((place.run, place.event), {})
            else:
                is_live = asked.cause is not None and asked.cause.report is not None
                if is_live or not (self.active or asked.asker.born > self._since):
                    return None
                site, slots = self._start_of(asked.asker)
            slot = self._choose(slots, site, asked)
        if slot is None:
            self._refuse(asked, site)
        recalled = self._inputs.recalled(slot.seq)
        if isinstance(recalled, str):
            self._lose(slot.seq, asked.name, recalled)
        return recalled

    def _lose(self, seq: int, name: str, reason: str) -> NoReturn:
        with self._turn:
            self._lost += 1
            if len(self._losses) < MOST_KEPT:
                self._losses.append(Skipped(seq, name, reason))
        msg = f"the effect {name} cannot be given back from #{show_seq(seq)} of the recording: {reason}"
        raise EffectReplayError(msg)

    def _start_of(self, asker: Asker) -> tuple[_Site, Slots]:
        slots = self._of_starts.get(asker)
        start = self._inputs.start_before(asker.plugin, self._stream.previous or 0)
        if slots is None:
            slots = {}
            for seq, name in self._inputs.of_start(asker.plugin, start):
                slots.setdefault((_Site(start, "", ""), asker.plugin, name), []).append(_Slot(seq))
            self._of_starts[asker] = slots
        elif slots:
            start = next(iter(slots))[0].event
        return _Site(start, "", ""), slots

    def _choose(self, slots: Slots, site: _Site, asked: Asked) -> _Slot | None:
        path = (site, asked.asker.plugin, asked.name)
        waiting = slots.get(path, [])
        arguments = json.loads(self._encoder.fact(asked.arguments))
        for index, slot in enumerate(waiting):
            if self._is_same(slot, arguments):
                del waiting[index]
                self._matched += 1
                return slot
        for slot in waiting:
            if not slot.is_lent:
                slot.is_lent = True
                self._differs += 1
                if len(self._differing) < MOST_KEPT:
                    self._differing.append(self._difference("differs", path, slot, arguments))
                return slot
        self._extra += 1
        if len(self._surplus) < MOST_KEPT:
            self._surplus.append(self._difference("extra", path, None, arguments))
        return None

    def _is_same(self, slot: _Slot, arguments: Any) -> bool:
        if slot.arguments is None:
            slot.arguments = self._inputs.arguments(slot.seq)
        return bool(slot.arguments == arguments or slot.arguments is _UNKNOWN)

    def _refuse(self, asked: Asked, site: _Site) -> NoReturn:
        where = (
            f"{site.handler} at #{show_seq(site.event)}"
            if site.handler
            else f"the start of {asked.asker.plugin}"
        )
        msg = (
            f"the effect {asked.name} has no counterpart in the recording, and a replay performs none: there is nothing "
            f"more to give back for {where}. See player.result; record anew where the plugin has changed."
        )
        raise EffectReplayError(msg)

    # -- the sum of it ------------------------------------------------------------------------------

    def counts(self) -> GivenBack:
        """What was given back so far, and where it was not what was recorded."""
        with self._turn:
            left = [
                (path, slot)
                for slots in (*self._expected.values(), *self._of_starts.values())
                for path, each in slots.items()
                for slot in each
                if not slot.is_lent
            ]
            return GivenBack(
                matched=self._matched - self._lost,
                lost=self._lost,
                losses=tuple(self._losses),
                differs=self._differs,
                missing=len(left),
                extra=self._extra,
                differences=(
                    *self._differing,
                    *(self._difference("missing", path, slot, None) for path, slot in left[:MOST_KEPT]),
                    *self._surplus,
                ),
            )

    def _difference(
        self,
        kind: Literal["differs", "missing", "extra"],
        path: tuple[_Site, str, str],
        slot: _Slot | None,
        arguments: Any,
    ) -> Difference:
        site, plugin, name = path
        recorded = "" if slot is None else _text(self._inputs.arguments(slot.seq))
        replayed = "" if arguments is None else _text(arguments)
        handler = site.handler or f"the start of {plugin}"
        return Difference(
            kind, name, site.event, handler, plugin, slot.seq if slot else None, recorded, replayed
        )


class _Unknown:
    """Stands for arguments of which the recording does not hold all: whatever is asked may be the same."""


_UNKNOWN: Final = _Unknown()


class _Inputs:
    """The effects that a recording holds, by what caused them; all that was recorded up to now.

    Of a file only their numbers are kept here. A recording in memory gives up its oldest rows, so it is read at once.

    Attributes:
        by_event: seq, name, plugin and call of the effects that handlers asked for, by the event they handled.
    """

    def __init__(self, recording: Recording) -> None:
        self._reader = recording.selection.reader
        self._is_outlined = recording.facts("options").get("", {}).get("payloads") == "summary"
        self.by_event: dict[int, list[tuple[int, str, str, int]]] = {}
        self._by_start: dict[tuple[str, int], list[tuple[int, str]]] = {}
        self._starts: dict[str, list[int]] = {}
        self._kept: dict[int, tuple[int, str, str]] = {}
        found = self._query("seq, name, plugin, parent", f"kind = {_INPUT} ORDER BY seq")
        if not found:
            return
        if recording.path is None:
            self._kept = {seq: tuple(row) for seq, *row in self._query(_SAID, f"kind = {_INPUT}")}
        self._index(found)

    def start_before(self, plugin: str, seq: int) -> int:
        """The last start of a plugin up to a seq, or else its first; 0 where none is known."""
        starts = self._starts.get(plugin, [0])
        return starts[max(bisect_right(starts, seq) - 1, 0)]

    def of_start(self, plugin: str, start: int) -> list[tuple[int, str]]:
        """Seq and name of what a plugin asked for in a start, and in the background tasks that came of it."""
        return self._by_start.get((plugin, start), [])

    def arguments(self, seq: int) -> Any:
        """The arguments of an effect."""
        payload = self._said(seq)[1]
        said = json.loads(payload) if payload else None
        if not isinstance(said, dict) or "arguments" not in said:
            return _UNKNOWN
        hidden = HIDDEN in payload  # then what is asked is compared as hidden as it is
        return (
            said["arguments"]
            if hidden or not why_incomplete(payload, outlined=self._is_outlined)
            else _UNKNOWN
        )

    def recalled(self, seq: int) -> Recalled | str:
        """What an effect gave, or why the recording does not hold it."""
        outcome_number, _, notes = self._said(seq)
        outcome = OUTCOMES[outcome_number]
        said = json.loads(notes).get("self", {}) if notes else {}
        if outcome == "cancelled":
            return "it was cancelled before it gave anything"
        if "error" in said:
            return Recalled(seq, outcome, None, said["error"])
        text = _text(said["result"]) if "result" in said else ""
        reason = why_lost(text) or why_incomplete(text, outlined=self._is_outlined, what="result")
        return reason or Recalled(seq, outcome, text, None)

    def _index(self, found: list[tuple[Any, ...]]) -> None:
        known = self._reader().dictionaries()
        starting = [id_ for id_, name in known.names.items() if name.endswith("->starting")]
        began = f"kind = {_STATE} AND name IN ({','.join(map(str, starting))}) ORDER BY seq"
        for seq, plugin in self._query("seq, plugin", began):
            self._starts.setdefault(known.names[plugin], []).append(seq)
        effects = {row[0] for row in found}
        for seq, name_number, plugin_number, parent in found:
            name, plugin = known.names[name_number], known.names[plugin_number]
            if parent in effects:  # it is part of that one, which is given back as a whole
                continue
            if parent is not None and parent % BLOCK:
                self.by_event.setdefault(known.event_of(parent), []).append((seq, name, plugin, parent))
                continue
            starts = self._starts.setdefault(plugin, [])
            if parent is not None and parent not in starts:  # a start before the recording began
                insort(starts, parent)
            start = self.start_before(plugin, seq) if parent is None and starts else parent or 0
            self._by_start.setdefault((plugin, start), []).append((seq, name))

    def _said(self, seq: int) -> tuple[int, str, str]:
        """Outcome, payload and notes of a record."""
        kept = self._kept.get(seq)
        if kept is None:
            _, *row = self._query(_SAID, f"seq = {seq}")[0]
            kept = (row[0], row[1], row[2])
        return kept

    def _query(self, columns: str, condition: str) -> list[tuple[Any, ...]]:
        return self._reader().query(f"SELECT {columns} FROM rows WHERE {condition}")


def _text(value: Any) -> str:
    return "" if value is _UNKNOWN else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
