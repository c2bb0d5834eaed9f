"""Counting chosen records without making any, wherever SQL or NumPy can tell."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from plugbook.trace.reading.call_frames import call_count
from plugbook.trace.reading.unpacking import records
from plugbook.trace.record import KINDS

if TYPE_CHECKING:
    from plugbook.trace.reading.selection import Selection

_ALL_IN_ONE: Final = "SELECT count(*) + coalesce(sum(called), 0) FROM rows"


def count(selection: Selection, kind: str | None = None) -> int:
    """How many records are chosen, of one kind or of all."""
    if selection.conditions or selection.functions:  # somebody's own condition is asked of records
        return sum(1 for record in records(selection) if kind in (None, record.kind))
    reader = selection.reader()
    if kind is None and selection.everything:
        return int(reader.query(_ALL_IN_ONE)[0][0])
    if kind is None:
        return sum(counts(selection).values())
    if kind == "call":
        return call_count(selection)
    chosen = selection.rows(kind)
    return int(reader.query(f"SELECT count(*) FROM rows WHERE {chosen.text}", chosen.values)[0][0])


def counts(selection: Selection) -> dict[str, int]:
    """How many records of each kind are chosen; the rows are gone through once for all kinds."""
    if selection.conditions or selection.functions:
        told = Counter(record.kind for record in records(selection))
        return {kind: told[kind] for kind in KINDS}
    chosen = {kind: selection.rows(kind) for kind in KINDS if kind != "call"}
    within = selection.rows()
    sums = ", ".join(f"coalesce(sum({rows.text}), 0)" for rows in chosen.values())
    values = [value for rows in (*chosen.values(), within) for value in rows.values]
    found = selection.reader().query(f"SELECT {sums} FROM rows WHERE {within.text}", values)[0]
    of_rows = dict(zip(chosen, map(int, found), strict=True))
    return {kind: call_count(selection) if kind == "call" else of_rows[kind] for kind in KINDS}
