"""Unpacking rows into records, one at a time: the exact reading that every faster one is tested against."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from plugbook.errors import SelectionError
from plugbook.trace.integrity import broken
from plugbook.trace.reading.reader import Dictionaries, Place, Reader
from plugbook.trace.record import BLOCK, KINDS, OUTCOMES, Record

if TYPE_CHECKING:
    from plugbook.trace.reading.selection import Selection

COLUMNS: Final = "seq, time_ns, kind, name, plugin, parent, root, duration_ns, outcome, place, plan, queued_ns, calls, notes, payload"
_NOWHERE: Final = Place(0, "", "", None)


def records(selection: Selection) -> Iterator[Record]:
    """The chosen records: rows in the order of seq, an event's calls right after it."""
    reader = selection.reader()
    rows = selection.rows()
    for chunk in reader.chunks(COLUMNS, rows.text, rows.values):
        known = reader.dictionaries()
        chosen = [
            chosen_seqs(reader, condition, chunk[0][0], chunk[-1][0]) for condition in selection.conditions
        ]
        for row in chunk:
            topic = known.names[row[3]] if row[2] == 0 else None
            for record in unpack(row, known, reader):
                if selection.accepts(record, topic) and all(record.seq in seqs for seqs in chosen):
                    yield record


def stream(selection: Selection) -> Iterator[tuple[int, int, str, str, int | None, int, str]]:
    """Seq, time, topic, plugin, parent, root and payload text of the chosen events."""
    if selection.conditions or selection.functions:
        selection = selection.resolved(
            {record.seq for record in records(selection) if record.kind == "event"}
        )
    reader = selection.reader()
    rows = selection.rows("event")
    columns = "seq, time_ns, name, plugin, parent, coalesce(root, seq), payload"
    for chunk in reader.chunks(columns, rows.text, rows.values):
        names = reader.dictionaries().names
        for seq, time_ns, name, plugin, parent, root, payload in chunk:
            yield seq, time_ns, names[name], names[plugin], parent, root, payload


def decoded(text: str) -> Any:
    """JSON that a recording holds.

    Raises:
        RecordingError: it is damaged.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise broken(None, error) from error


def chosen_seqs(reader: Reader, condition: str, first: int, last: int) -> set[int]:
    """The seqs of the records that meet somebody's SQL condition, of the rows from `first` to `last`.

    Raises:
        SelectionError: SQLite does not understand it.
    """
    # Two queries, each of which SQLite narrows to the rows by their key.
    parts = [
        f"SELECT seq FROM records WHERE {narrowed} BETWEEN {first} AND {last} AND ({condition}\n)"
        for narrowed in ("kind != 'call' AND seq", "kind = 'call' AND parent")
    ]
    try:
        return {seq for part in parts for (seq,) in reader.table(part, ())[1]}
    except sqlite3.Error as error:
        msg = (
            f"where={condition!r} is not understood: {error}. It is an SQL condition on the columns of the view "
            "records, such as: outcome = 'error' AND payload ->> 'amount' > 10"
        )
        raise SelectionError(msg) from error


def unpack(row: tuple[Any, ...], known: Dictionaries, reader: Reader) -> Iterator[Record]:
    """The record of a row and those of its calls.

    Raises:
        RecordingError: the row is damaged.
    """
    try:
        yield from _unpack(row, known)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise broken(reader.path, error) from error


def _unpack(row: tuple[Any, ...], known: Dictionaries) -> Iterator[Record]:
    (
        seq,
        time_ns,
        kind,
        name,
        plugin,
        parent,
        root,
        duration,
        outcome,
        place,
        plan,
        queued,
        calls,
        notes,
        payload,
    ) = row
    said: dict[str, Any] = json.loads(notes) if notes else {}
    where = known.places.get(place, _NOWHERE)
    own = said.get("self", {})
    top = seq if root is None else root
    yield Record(
        seq=seq,
        time_ns=time_ns,
        kind=KINDS[kind],
        name=known.names[name],
        plugin=known.names[plugin],
        parent=parent,
        root=top,
        duration_ns=duration,
        outcome=OUTCOMES[outcome],
        reason=own.get("reason", ""),
        payload=json.loads(payload) if payload else None,
        result=own.get("result"),
        error=own.get("error"),
        process=where.process,
        thread=where.thread,
        task=where.task,
        cell=where.cell,
    )
    if not calls:
        return
    layout, sites, _ = known.plans[plan]
    first_seqs = (
        [seq, *sorted(block for block, event in known.blocks.items() if event == seq)]
        if known.blocks
        else [seq]
    )
    for index, (site, start, length) in enumerate(_calls(layout, calls)):
        note = said.get(str(index), {})
        block, offset = divmod(index, BLOCK - 1)
        yield Record(
            seq=first_seqs[block] + 1 + offset,
            time_ns=time_ns + queued + start,
            kind="call",
            name=sites[site].name,
            plugin=sites[site].plugin,
            parent=seq,
            root=top,
            duration_ns=None if length < 0 else length,
            outcome=note.get("outcome", "open" if length < 0 else "ok"),
            reason=note.get("reason", ""),
            result=note.get("result"),
            error=note.get("error"),
            process=where.process,
            thread=where.thread,
            task=where.task,
            cell=where.cell,
        )


def _calls(layout: str, text: str) -> Iterable[tuple[int, int, int]]:
    """Site, start after the event's and duration of each call."""
    numbers = [int(number) for number in text.split(",")]
    if layout == "spans":
        yield from zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        return
    start = 0
    for site, length in enumerate(numbers):
        yield site, start, length
        start += length
