"""The frame of calls, of which a row holds many: they are spread out in NumPy, whose own times are told from nesting."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from plugbook.trace.integrity import broken
from plugbook.trace.reading.frames import (
    Table,
    bounds,
    categorical,
    check_budget,
    check_limit,
    choose_columns,
    error_line,
    nullable,
    parse,
    read_table,
    refuse_beyond,
    times,
)
from plugbook.trace.reading.own_time import own_times
from plugbook.trace.reading.selection import Criterion, RowFilter, Selection
from plugbook.trace.reading.unpacking import chosen_seqs, records
from plugbook.trace.record import BLOCK, OUTCOMES

if TYPE_CHECKING:
    import pandas as pd

    from plugbook.trace.reading.frames import Numbers
    from plugbook.trace.reading.reader import Dictionaries

CALL_COLUMNS: Final = (
    "seq", "time", "event", "topic", "name", "plugin", "duration_ns", "own_ns", "outcome", "reason", "result", "error",
    "root", "order",
)  # fmt: skip

_SOURCES: Final = (
    "seq", "time_ns", "coalesce(root, seq) AS root", "name", "plan", "queued_ns", "called", "calls", "notes",
)  # fmt: skip
_COLUMN_BYTES: Final = {"seq": 8, "time": 8, "event": 8, "root": 8, "duration_ns": 9, "own_ns": 9}
_WORKING_BYTES: Final = 48
"""What each call takes while it is being unpacked."""

_COUNTED_ROWS: Final = 50_000
"""How many events are unpacked at once to count their calls."""

_OK: Final = OUTCOMES.index("ok")
_OPEN: Final = OUTCOMES.index("open")


def call_frame(
    selection: Selection, columns: Iterable[str] | str | None, limit: int | None, budget_bytes: int
) -> pd.DataFrame:
    """The chosen calls, one a row, those of an event together in the order in which they started.

    Args:
        selection: what to choose.
        columns: those wanted; all where left out.
        limit: how many rows at most: the first, or with a negative number the last.
        budget_bytes: how much memory the frame may take.

    Raises:
        SelectionError: there is no such column, or `limit` is no number.
        FrameTooLargeError: it would not fit.
    """
    import pandas as pd

    check_limit(limit)
    wanted = choose_columns(columns, CALL_COLUMNS)
    table, known = _read(selection, wanted, limit, budget_bytes)
    calls = _Calls(table, known, with_notes=True)
    keep = _kept(calls, selection)
    if keep is not None:
        calls.keep(keep)
    if limit is not None:
        calls.keep(slice(None, limit) if limit >= 0 else slice(limit, None))
    frame = {column: calls.column(column) for column in wanted if column != "own_ns"}
    if "own_ns" in wanted:
        frame["own_ns"] = nullable(_own_times(calls, selection))
    return pd.DataFrame(frame, columns=list(wanted), copy=False)


def call_count(selection: Selection) -> int:
    """How many calls are chosen; somebody's own conditions are not looked at."""
    reader, rows = selection.reader(), _rows_with_calls(selection)
    if not _narrows_calls(selection):
        total = reader.query(f"SELECT coalesce(sum(called), 0) FROM rows WHERE {rows.text}", rows.values)
        return int(total[0][0])
    with_notes = any(each.outcomes is not None for each in selection.criteria)
    count, last = 0, -1
    while True:
        rest = RowFilter(f"{rows.text} AND seq > {last}", rows.values)
        table = read_table(reader, list(_SOURCES), rest, _COUNTED_ROWS)
        if table.length == 0:
            return count
        count += int(_kept(_Calls(table, reader.dictionaries(), with_notes=with_notes), selection).sum())
        last = int(table.numbers["seq"][-1])


def _own_times(calls: _Calls, selection: Selection) -> Any:
    """The own time of each call; what a call contains need not be chosen, so all of them are read for it."""
    import numpy as np

    if not calls.has_spans:
        return calls.duration
    reader = selection.reader()
    table = read_table(reader, [*_SOURCES, "place"], _rows_with_calls(Selection(selection.reader)), None)
    every = _Calls(table, reader.dictionaries(), with_notes=False)
    numbers = table.numbers
    starts = (numbers["time_ns"] + numbers["queued_ns"])[every.row] + every.start
    own = own_times(starts, every.duration, numbers["place"][every.row])
    order = np.argsort(every.seq)
    return own[order[np.searchsorted(every.seq, calls.seq, sorter=order)]]


def _read(
    selection: Selection, wanted: tuple[str, ...], limit: int | None, budget_bytes: int
) -> tuple[Table, Dictionaries]:
    reader = selection.reader()
    rows = _rows_with_calls(selection)
    narrow = _narrows_calls(selection)
    # Each event that is read has a call at least, so that so many events are enough.
    most = None if narrow else limit
    check_budget(reader, rows, _SOURCES, most, budget_bytes)
    if reader.size_bytes() * 20 > budget_bytes:
        chosen = f"SELECT called FROM rows WHERE {rows.text} {bounds(most)}"
        count = reader.query(f"SELECT coalesce(sum(called), 0) FROM ({chosen})", rows.values)[0][0]
        each = sum(_COLUMN_BYTES.get(column, 2) for column in wanted) + _WORKING_BYTES
        refuse_beyond(count * each, count, budget_bytes)
    table = read_table(reader, list(_SOURCES), rows, most)
    return table, reader.dictionaries()


def _rows_with_calls(selection: Selection) -> RowFilter:
    rows = selection.rows("call")
    return RowFilter(f"{rows.text} AND called > 0", rows.values)


def _narrows_calls(selection: Selection) -> bool:
    return bool(selection.functions or selection.conditions) or any(
        each.plugins is not None or each.outcomes is not None or each.seqs != Criterion.seqs
        for each in selection.criteria
    )


def _kept(calls: _Calls, selection: Selection) -> Any:
    """Which calls are chosen, as a mask; None where all are."""
    import numpy as np

    mask = np.ones(len(calls.duration), bool)
    if not _narrows_calls(selection):
        return None
    for each in selection.criteria:
        if each.plugin_patterns is not None:
            fits = np.array([site.plugin in each.plugin_patterns for site in calls.sites], bool)
            mask &= fits[calls.site]
        if each.outcomes is not None:
            mask &= np.isin(calls.outcome, [OUTCOMES.index(name) for name in each.outcomes])
        if each.seqs != Criterion.seqs:
            mask &= (calls.seq >= each.seqs[0]) & (calls.seq <= each.seqs[1])
    reader = selection.reader()
    for condition in selection.conditions:
        rows = calls.table.numbers["seq"]
        first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
        mask &= np.isin(calls.seq, list(chosen_seqs(reader, condition, first, last)))
    if selection.functions:
        mask &= np.isin(calls.seq, [record.seq for record in records(selection) if record.kind == "call"])
    return mask


class _Calls:
    """The calls of a table of events, as columns of one length.

    Attributes:
        sites: the sites of all plans, one after the other.
        row: of each call, which event it belongs to, counted in the table.
        site: index into `sites`.
        index: the number of the call in its event.
        start: ns after its event's start.
        duration: in ns; -1 while it had not ended.
        outcome: index into `OUTCOMES`.
        seq: its own.
        has_spans: whether any of them may contain others.
    """

    def __init__(self, table: Table, known: Dictionaries, *, with_notes: bool) -> None:
        import numpy as np

        self.table = table
        self._known = known
        self.sites = [site for plan in known.plans.values() for site in plan.sites]
        called = table.numbers["called"]
        numbers = _parse_numbers(table)
        # A row per plan: where its sites begin in `sites`, and whether it has spans.
        size = max(known.plans, default=0) + 1
        first_site, has_spans = np.zeros(size, np.int64), np.zeros(size, bool)
        first = 0
        for id_, plan in known.plans.items():
            first_site[id_], has_spans[id_] = first, plan.layout == "spans"
            first += len(plan.sites)
        plans = table.numbers["plan"]
        spans = has_spans[plans]
        if len(numbers) != int((called * np.where(spans, 3, 1)).sum()):
            raise broken(None, ValueError("the calls of some events do not add up"))
        self.row = np.repeat(np.arange(len(called)), called)
        self.index = np.arange(len(self.row)) - np.repeat(np.cumsum(called) - called, called)
        self.has_spans = bool(spans.any())
        if not self.has_spans:
            self._unpack_chains(numbers, called)
            site = self.index
        elif spans.all():
            site, self.start, self.duration = numbers[0::3], numbers[1::3], numbers[2::3]
        else:
            site = self._unpack_mixed(numbers, called, spans)
        self.site = first_site[plans][self.row] + site
        self.outcome = np.where(self.duration < 0, _OPEN, _OK).astype(np.int8)
        self.seq = table.numbers["seq"][self.row] + 1 + self.index
        self._renumber_overflow(called)
        self._said: dict[str, dict[int, str]] = {"reason": {}, "result": {}, "error": {}}
        if with_notes:
            self._read_notes(called)
        self._kept: Any = None

    def _unpack_chains(self, durations: Numbers, called: Numbers) -> None:
        import numpy as np

        ends = np.cumsum(durations)
        starts = ends - durations
        before = starts[np.cumsum(called) - called] if len(called) else starts
        self.start = starts - np.repeat(before, called)
        self.duration = durations

    def _unpack_mixed(self, numbers: Numbers, called: Numbers, spans: Numbers) -> Numbers:
        import numpy as np

        width = np.where(spans, 3, 1)
        in_spans = np.repeat(spans, called * width)
        triples, durations = numbers[in_spans], numbers[~in_spans]
        of_spans = spans[self.row]
        self._unpack_chains(durations, called[~spans])
        starts, ended = self.start, self.duration
        self.start = np.empty(len(self.row), np.int64)
        self.duration = np.empty(len(self.row), np.int64)
        site: Numbers = self.index.copy()
        self.start[~of_spans], self.duration[~of_spans] = starts, ended
        site[of_spans], self.start[of_spans], self.duration[of_spans] = (
            triples[0::3],
            triples[1::3],
            triples[2::3],
        )
        return site

    def _renumber_overflow(self, called: Numbers) -> None:
        import numpy as np

        firsts: dict[int, list[int]] = {}
        for block, event in sorted(self._known.blocks.items()):
            firsts.setdefault(event, []).append(block)
        for row in np.flatnonzero(called >= BLOCK):
            begin = int(called[:row].sum())
            event = int(self.table.numbers["seq"][row])
            for number, first in enumerate(firsts.get(event, ()), 1):
                offset = number * (BLOCK - 1)
                part = slice(begin + offset, begin + min(offset + BLOCK - 1, int(called[row])))
                self.seq[part] = first + 1 + np.arange(part.stop - part.start)

    def _read_notes(self, called: Numbers) -> None:
        import json

        import numpy as np

        begins = np.cumsum(called) - called
        for row, text in _noted(self.table.texts["notes"]):
            begin = int(begins[row])
            for key, note in parse(text).items():
                if not key.isdecimal() or int(key) >= called[row]:
                    continue
                at = begin + int(key)
                if "outcome" in note:
                    self.outcome[at] = OUTCOMES.index(note["outcome"])
                if "reason" in note:
                    self._said["reason"][at] = note["reason"]
                if "result" in note:
                    self._said["result"][at] = json.dumps(
                        note["result"], ensure_ascii=False, separators=(",", ":")
                    )
                if "error" in note:
                    self._said["error"][at] = error_line(note["error"])

    def keep(self, chosen: Any) -> None:
        """Keep only the calls of a mask or slice."""
        import numpy as np

        kept = np.arange(len(self.row)) if self._kept is None else self._kept
        self._kept = kept[chosen]
        for name in ("row", "site", "start", "duration", "outcome", "seq"):
            setattr(self, name, getattr(self, name)[chosen])

    def column(self, name: str) -> Any:
        numbers = self.table.numbers
        if name in self._said:
            return self._sparse(self._said[name])
        if name == "time":
            return times((numbers["time_ns"] + numbers["queued_ns"])[self.row] + self.start)
        if name == "event":
            return numbers["seq"][self.row]
        if name == "root":
            return numbers["root"][self.row]
        if name == "topic":
            return categorical(numbers["name"][self.row], self._known.names)
        if name == "duration_ns":
            return nullable(self.duration)
        if name == "outcome":
            return categorical(self.outcome, dict(enumerate(OUTCOMES)))
        if name == "seq":
            return self.seq
        return categorical(self.site, {id_: getattr(site, name) for id_, site in enumerate(self.sites)})

    def _sparse(self, said: dict[int, str]) -> Any:
        """A column of texts of which most are empty, as categories."""
        import numpy as np

        codes = np.zeros(len(self.row) if self._kept is None else self._size(), np.int32)
        found: dict[str, int] = {"": 0}
        for at, text in said.items():
            codes[at] = found.setdefault(text, len(found))
        if self._kept is not None:
            codes = codes[self._kept]
        return categorical(codes, {code: text for text, code in found.items()})

    def _size(self) -> int:
        return int(self.table.numbers["called"].sum())


def _parse_numbers(table: Table) -> Numbers:
    """All the integers that the calls of all rows hold, in order."""
    import numpy as np

    calls = table.texts["calls"]
    if isinstance(calls, list):
        text: Any = ",".join(calls)
    else:
        import pyarrow.compute as pc

        text = b"".join(_data(pc.binary_join_element_wise(chunk, "", ",")) for chunk in calls.chunks)
    if not text:
        return np.empty(0, np.int64)
    try:
        return np.fromstring(text, dtype=np.int64, sep=",")
    except (ValueError, DeprecationWarning) as error:
        raise broken(None, ValueError("the calls of some events are not numbers")) from error


def _data(texts: Any) -> Any:
    """The bytes of an Arrow array of texts, which lie one after the other."""
    import numpy as np

    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(texts.buffers()[2])[offsets[0] : offsets[-1]] if len(texts) else b""


def _noted(notes: Any) -> Iterable[tuple[int, str]]:
    """The rows that have notes, with them."""
    if isinstance(notes, list):
        return [(row, text) for row, text in enumerate(notes) if text]
    import pyarrow.compute as pc

    rows = pc.indices_nonzero(pc.not_equal(notes, ""))
    return zip(rows.to_pylist(), notes.take(rows).to_pylist(), strict=True)
