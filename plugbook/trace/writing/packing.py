"""Packing what the hot path appended into the rows of a recording, a batch at a time."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from operator import sub
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from plugbook.trace.record import KINDS, OUTCOMES, CallSite, Dispatch, JsonText, Note, Plan, describe_error
from plugbook.trace.writing.origin import cell_text, source_of

if TYPE_CHECKING:
    from plugbook._types import Json, Kind, Outcome
    from plugbook.trace.writing.payload import PayloadEncoder

Row = tuple[Any, ...]

_KIND: Final = {kind: index for index, kind in enumerate(KINDS)}
_OUTCOME: Final = {outcome: index for index, outcome in enumerate(OUTCOMES)}
_OK: Final = _OUTCOME["ok"]
_ERROR: Final = _OUTCOME["error"]
_UNHANDLED: Final = _OUTCOME["unhandled"]
_OPEN: Final = _OUTCOME["open"]
_MOST_CACHED: Final = 20_000


class Entry(NamedTuple):
    """Any record that is not the dispatch of an event, as `Recorder.put` appends it."""

    seq: int
    kind: Kind
    name: str
    plugin: str
    parent: int | None
    root: int | None
    tick: int
    duration_ns: int | None
    outcome: Outcome
    reason: str
    payload: Any
    result: Any
    error: Json
    thread: int
    task: str
    cell: tuple[int, str] | None


class Fact(NamedTuple):
    """What a recording says besides records: a manifest, a schema, a source; `seq` is since when."""

    seq: int
    what: str
    name: str
    data: Any


@dataclass(slots=True)
class Batch:
    """What one commit writes.

    Attributes:
        rows: new rows, in the order of the columns of the table ``rows``.
        updates: what has changed of rows written before, their seq last.
        names, plans, places, blocks, facts: new entries of those tables.
        size_bytes: about how much text it holds.
        highest: the highest seq that is taken.
        disordered: whether seq or time fell anywhere, so that the rows need sorting.
    """

    rows: list[Row] = field(default_factory=list)
    updates: list[Row] = field(default_factory=list)
    names: list[Row] = field(default_factory=list)
    plans: list[Row] = field(default_factory=list)
    places: list[Row] = field(default_factory=list)
    blocks: list[Row] = field(default_factory=list)
    facts: list[Row] = field(default_factory=list)
    size_bytes: int = 0
    highest: int = 0
    disordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.updates or self.facts)


class _KnownPlan(NamedTuple):
    """What packing needs to know of a plan that was seen before."""

    id: int
    complete: int  # how many ticks a complete chain has; -1 for spans
    text: str  # formats the durations of a complete chain


class Packer:
    """Packs dispatches, entries and facts into batches, and remembers what is written already.

    Args:
        payloads: writes payloads and results as text.
        anchor_ns: the wall time of tick 0, in ns since the epoch.
        names, plans: the ids that the recording has given out before, where it is being continued.
        places: the highest id of a place given out before.
        sources: whether to keep the source text of what plans call.
    """

    def __init__(
        self,
        payloads: PayloadEncoder,
        anchor_ns: int,
        *,
        names: dict[str, int] | None = None,
        plans: dict[tuple[str, str, int], int] | None = None,
        places: int = 0,
        sources: bool = True,
    ) -> None:
        self.payloads = payloads
        self._anchor_ns = anchor_ns
        self._names = names or {}
        self._plans: dict[Plan, _KnownPlan] = {}
        self._plan_ids = plans or {}
        self._places: dict[Any, int] = {}
        self._last_place = places
        self._threads: dict[
            int, tuple[str, int | None]
        ] = {}  # by ident: name, and what is not given out again
        self._ended: set[int] = set()
        self._process = os.getpid()
        self._sources: set[str] | None = set() if sources else None
        self._open: dict[int, tuple[Dispatch, tuple[int, ...]]] = {}
        self._last_time = self._last_seq = 0

    def pack(self, items: Sequence[Any], batch: Batch) -> None:
        """Add `items` to the batch, and what has happened since to dispatches that were still open."""
        self._look_at_threads()
        self._pack_changes(batch)
        # Everything the loop touches is a local: this loop decides what recording costs.
        add = batch.rows.append
        plans, names, places = self._plans, self._names, self._places
        to_text, as_it_is = self.payloads.text, self.payloads.kept_as_it_is
        anchor_ns, last_time, last_seq = self._anchor_ns, self._last_time, self._last_seq
        size_bytes = 0
        for item in items:
            if isinstance(item, tuple):
                row = self._pack_entry(item, batch)
                if row is None:
                    continue
            else:
                plan = plans.get(item.plan) or self._know_plan(item.plan, item.seq, batch)
                ticks = item.ticks
                if len(ticks) == plan.complete and item.notes is None and item.result is None:
                    start = ticks[0]
                    called = plan.complete - 1
                    measured = (
                        ticks[-1] - start,
                        _OK if called else _UNHANDLED,
                        start - item.born,
                        called,
                        0,
                        plan.text % tuple(map(sub, ticks[1:], ticks)),
                        "",
                    )
                else:
                    measured = self._measure_and_watch(item, plan)
                payload = item.payload
                if payload is None:
                    payload = ""
                elif payload.__class__ is JsonText and len(payload) <= as_it_is:
                    payload = str(payload)
                else:
                    payload = to_text(payload)
                name, plugin = item.name, item.plugin
                place = (item.thread, item.task, item.cell)
                seq = item.seq
                duration, outcome, queued, called, errors, calls, notes = measured
                row = (
                    seq,
                    anchor_ns + item.born,
                    0,
                    names.get(name) or self._know_name(name, batch),
                    names.get(plugin) or self._know_name(plugin, batch),
                    item.parent,
                    item.root if item.root != seq else None,
                    duration,
                    outcome,
                    places.get(place) or self._know_place(place, batch),
                    plan.id,
                    queued,
                    called,
                    errors,
                    calls,
                    notes,
                    payload,
                )
                size_bytes += len(calls) + len(notes) + len(payload)
                if item.blocks:
                    batch.blocks += [(first, seq, number) for number, first in enumerate(item.blocks, 1)]
                    batch.highest = max(batch.highest, *item.blocks)
            if row[0] < last_seq or row[1] < last_time:
                batch.disordered = True
            else:
                last_seq, last_time = row[0], row[1]
            add(row)
        self._last_time, self._last_seq = last_time, last_seq
        batch.highest = max(batch.highest, last_seq)
        batch.size_bytes += size_bytes + 100 * len(items)

    @property
    def has_open(self) -> bool:
        """Whether any dispatch had not ended when it was packed."""
        return bool(self._open)

    @property
    def last(self) -> tuple[int, int]:
        """The highest seq and time that rows were given; where a recording is continued, set it first."""
        return self._last_seq, self._last_time

    @last.setter
    def last(self, seq_and_time: tuple[int, int]) -> None:
        self._last_seq, self._last_time = seq_and_time

    # -- dispatches that have notes, or that had not ended when they were written ------------------

    def _pack_changes(self, batch: Batch) -> None:
        for seq, (dispatch, before) in list(self._open.items()):
            try:
                now = _progress(dispatch)
                if now == before:
                    continue
                plan = self._plans.get(dispatch.plan) or self._know_plan(dispatch.plan, seq, batch)
                measured = self._measure(dispatch, plan)
            except Exception:
                del self._open[seq]  # what cannot be measured any more is not tried again
                raise
            batch.updates.append((*measured, plan.id, seq))  # who is called may be settled after publishing
            if measured[1] == _OPEN:
                self._open[seq] = (dispatch, now)
            else:
                del self._open[seq]

    def _measure_and_watch(self, dispatch: Dispatch, plan: _KnownPlan) -> tuple[Any, ...]:
        """The same as `_measure`; what has not ended is looked at again when the next batch is packed."""
        if plan.complete < 0 and len(dispatch.ticks) % 3 == 2:
            return self._measure(dispatch, plan)
        progress = _progress(dispatch)  # before it is measured, for it may be getting on meanwhile
        measured = self._measure(dispatch, plan)
        if measured[1] == _OPEN:
            self._open[dispatch.seq] = (dispatch, progress)
        return measured

    def _measure(self, dispatch: Dispatch, plan: _KnownPlan) -> tuple[Any, ...]:
        """Duration, outcome, queued, called, errors, calls and notes of a dispatch as it stands now."""
        ticks = dispatch.ticks.copy()  # it may be running on another thread
        if not ticks:
            return None, _OPEN, 0, 0, 0, "", ""
        start = ticks[0]
        if plan.complete >= 0:
            done = len(ticks) == plan.complete
            packed = list(map(sub, ticks[1:], ticks))
            if not done:
                packed.append(-1)
            called = len(packed)
            calls = ",".join(map(str, packed))
        else:
            done = len(ticks) % 3 == 2
            called = (len(ticks) - 1) // 3
            calls = _spans(ticks, start)
        notes, errors = self._pack_notes(dispatch)
        if not done:
            outcome = _OPEN
        elif dispatch.result is not None:
            outcome = _OUTCOME[dispatch.result.outcome]
        elif not dispatch.plan.sites:
            outcome = _UNHANDLED
        else:
            outcome = _ERROR if errors else _OK
        duration = ticks[-1] - start if done else None
        return duration, outcome, start - dispatch.born, called, errors, calls, notes

    def _pack_notes(self, dispatch: Dispatch) -> tuple[str, int]:
        parts = []
        errors = 0
        if dispatch.notes:
            for index, note in sorted(dispatch.notes.copy().items()):
                errors += note.outcome == "error"
                parts.append(f'"{index}":{self._note(note)}')
        if dispatch.result is not None:
            parts.append(f'"self":{self._note(dispatch.result)}')
        if dispatch.asked:
            parts.append(f'"asked":"{dispatch.asked}"')
        return ("{" + ",".join(parts) + "}" if parts else ""), errors

    def _note(self, note: Note) -> str:
        outcome, reason, result, error, has_result = note
        if not has_result:
            said = ""
        elif result.__class__ is JsonText and len(result) <= self.payloads.kept_as_it_is:
            said = result
        else:
            said = self.payloads.text(result)
        if outcome == "ok" and not reason and error is None:  # a result and nothing else, as nearly always
            return f'{{"result":{said}}}' if said else "{}"
        parts = []
        if outcome != "ok":
            parts.append(f'"outcome":"{outcome}"')
        if reason:
            parts.append(f'"reason":{json.dumps(self.payloads.concealed(reason))}')
        if said:
            parts.append(f'"result":{said}')
        if error is not None:
            described = describe_error(error) if isinstance(error, BaseException) else error
            parts.append(f'"error":{self.payloads.fact(described)}')
        return "{" + ",".join(parts) + "}"

    # -- everything that is not a dispatch -----------------------------------------------------------

    def _pack_entry(self, item: Any, batch: Batch) -> Row | None:
        if len(item) == len(Fact._fields):
            seq, what, name, data = item
            encode = self.payloads.schema if what == "schema" else self.payloads.fact
            batch.facts.append((what, name, seq, encode(data)))
            return None
        entry = Entry._make(item)
        note = Note("ok", entry.reason, entry.result, entry.error, entry.result is not None)
        said = self._note(note)
        notes = "" if said == "{}" else f'{{"self":{said}}}'
        payload = "" if entry.payload is None else self.payloads.text(entry.payload)
        place = (entry.thread, entry.task, entry.cell)
        root = entry.parent if entry.root is None else entry.root
        batch.size_bytes += len(notes) + len(payload)
        return (
            entry.seq,
            self._anchor_ns + entry.tick,
            _KIND[entry.kind],
            self._names.get(entry.name) or self._know_name(entry.name, batch),
            self._names.get(entry.plugin) or self._know_name(entry.plugin, batch),
            entry.parent,
            root if root != entry.seq else None,
            entry.duration_ns,
            _OUTCOME[entry.outcome],
            self._places.get(place) or self._know_place(place, batch),
            None,
            0,
            0,
            0,
            "",
            notes,
            payload,
        )

    # -- ids: given out here, written with the batch that first needs them ---------------------------

    def _know_name(self, name: str, batch: Batch) -> int:
        id_ = self._names[name] = len(self._names) + 1
        batch.names.append((id_, name))
        return id_

    def _know_place(self, place: tuple[int, str, tuple[int, str] | None], batch: Batch) -> int:
        thread, task, cell = place
        if len(self._places) > _MOST_CACHED:
            self._places.clear()
        self._last_place += 1
        self._places[place] = self._last_place
        count, cell_id = cell or (None, "")
        if cell is not None:
            self._keep_cell(cell, batch)
        batch.places.append(
            (self._last_place, self._process, self._thread_name(thread), task, count, cell_id)
        )
        return self._last_place

    def _look_at_threads(self) -> None:
        """Forget the places of threads whose number is another's by now, or whose end a batch ago was seen.

        Python gives the number of a thread that has ended to the next one; the rows of a batch are of threads that
        run, or have ended since the batch before.
        """
        running = {each.ident: (each.name, each.native_id) for each in threading.enumerate() if each.ident}
        known = self._threads
        ended = known.keys() - running.keys()
        stale = {ident for ident, who in running.items() if known.get(ident, who) != who} | (
            ended & self._ended
        )
        known.update(running)
        self._ended = ended - stale
        for ident in stale - running.keys():
            del known[ident]
        if stale:
            self._places = {place: id_ for place, id_ in self._places.items() if place[0] not in stale}

    def _thread_name(self, ident: int) -> str:
        name, _ = self._threads.get(ident, (f"thread {ident}", None))
        return name

    def _know_plan(self, plan: Plan, seq: int, batch: Batch) -> _KnownPlan:
        sites = json.dumps(
            [_site_facts(site) for site in plan.sites], ensure_ascii=False, separators=(",", ":")
        )
        key = (plan.layout, sites, plan.version)
        id_ = self._plan_ids.get(key)
        if id_ is None:
            id_ = self._plan_ids[key] = len(self._plan_ids) + 1
            batch.plans.append((id_, *key))
            self._keep_sources(plan, seq, batch)
        if len(self._plans) > _MOST_CACHED:
            self._plans.clear()
        complete = len(plan.sites) + 1 if plan.layout == "chain" else -1
        known = _KnownPlan(id_, complete, ",".join(["%d"] * len(plan.sites)))
        self._plans[plan] = known
        return known

    def _keep_cell(self, cell: tuple[int, str], batch: Batch) -> None:
        name = f"cell {cell[0]}"
        if self._sources is None or name in self._sources:
            return
        self._sources.add(name)
        if text := self.payloads.concealed(cell_text(cell, self.payloads.redact)):
            batch.facts.append(("cell", str(cell[0]), self._last_seq, json.dumps(text, ensure_ascii=False)))

    def _keep_sources(self, plan: Plan, seq: int, batch: Batch) -> None:
        if self._sources is None:
            return
        for site in plan.sites:
            place = f"{site.file}:{site.line}"
            if site.file and place not in self._sources:
                self._sources.add(place)
                source = source_of(site.file, site.line, site.end, self.payloads.redact)
                if text := self.payloads.concealed(source):
                    batch.facts.append(("source", place, seq, json.dumps(text, ensure_ascii=False)))


def _site_facts(site: CallSite) -> dict[str, Any]:
    return {
        name: value for name, value in asdict(site).items() if value or name in ("name", "plugin", "order")
    }


def _progress(dispatch: Dispatch) -> tuple[int, ...]:
    """What changes whenever an open dispatch gets on: in spans an end is set without a tick being added."""
    return len(dispatch.ticks), sum(dispatch.ticks), len(dispatch.notes or ())


def _spans(ticks: list[int], start: int) -> str:
    """Site, delay since the start and duration of each call; a duration of -1 has not ended."""
    # By index: cutting three lists out of this one and going through them side by side takes twice as long.
    return ",".join(
        [
            f"{ticks[at]},{ticks[at + 1] - start},{ticks[at + 2] - ticks[at + 1] if ticks[at + 2] else -1}"
            for at in range(1, len(ticks) - 2, 3)
        ]
    )
