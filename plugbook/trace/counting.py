"""Counting chosen records without making any, wherever SQL or NumPy can tell."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plugbook.trace.call_frames import call_count
from plugbook.trace.record import KINDS
from plugbook.trace.unpacking import records

if TYPE_CHECKING:
    from plugbook.trace.selection import Selection

_ALL_IN_ONE: Final = "SELECT count(*) + coalesce(sum(called), 0) FROM rows"


def count(selection: Selection, kind: str | None = None) -> int:
    """How many records are chosen, of one kind or of all."""
    if selection.conditions or selection.functions:  # somebody's own condition is asked of records
        return sum(1 for record in records(selection) if kind in (None, record.kind))
    reader = selection.reader()
    if kind is None and selection.everything:
        return int(reader.query(_ALL_IN_ONE)[0][0])
    if kind is None:
        return sum(count(selection, each) for each in KINDS)
    if kind == "call":
        return call_count(selection)
    chosen = selection.rows(kind)
    return int(reader.query(f"SELECT count(*) FROM rows WHERE {chosen.text}", chosen.values)[0][0])
