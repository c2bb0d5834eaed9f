"""What a person has chosen from a recording, put into words: how much it is, and what does not occur in it."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from plugbook.errors import UnknownNameError, suggestion
from plugbook.trace.reading.selection import Patterns, Selection
from plugbook.trace.record import BLOCK, show_seq
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    from plugbook.trace.reading.reader import Reader
    from plugbook.trace.reading.recording import Recording

_COUNTED_BYTES: Final = 4 * 1024 * 1024
"""Up to which size of a recording a choice by ``where=`` is counted for a repr: each record is asked."""


def describe_choice(part: Recording) -> str:
    """A selection in a few words: how many records it holds, and which names it asks for in vain."""
    count = _count(part)
    told = "a selection" if count is None else f"a selection of {count_text(count, 'record')}"
    return " ".join([f"({told})", *part.unknown_names])


def _count(part: Recording) -> int | None:
    """How many records are chosen; None where finding out would keep a person waiting."""
    selection = part.selection
    asks_each = selection.functions or selection.conditions
    if asks_each and selection.reader().size_bytes() > _COUNTED_BYTES:
        return None
    return len(part)


def unknown_names(part: Recording) -> Iterator[str]:
    """A sentence for each topic and plugin that a selection asks for and that does not occur, with what comes near."""
    if not any(each.topics or each.plugins for each in part.selection.criteria):
        return
    names = part.names
    plugins = {*names["plugins"], *part.facts("manifest"), *part.facts("state")}
    for each in part.selection.criteria:
        for what, asked, known in (
            ("topic", each.topics, names["topics"]),
            ("plugin", each.plugins, plugins),
        ):
            for name in asked or ():
                if name and not any(other in Patterns((name,)) for other in known):
                    lead = (
                        f"No {what} matches {name!r}."
                        if "*" in name
                        else f"There is no {what} {name!r} here."
                    )
                    yield f"{lead}{suggestion(name, known)}"


def last_root(reader: Reader, selection: Selection) -> int:
    """The seq of the last chosen event that nothing caused.

    Raises:
        UnknownNameError: there is none.
    """
    rows = selection.rows("event")
    text = f"SELECT seq FROM rows WHERE {rows.text} AND parent IS NULL ORDER BY seq DESC LIMIT 1"
    for (seq,) in reader.query(text, rows.values):
        return int(seq)
    msg = (
        "There is no event here that nothing caused, so there is no tree to draw. Name a record: tree('10')."
    )
    raise UnknownNameError(msg)


def other_form(seq: int, *, as_shown: bool) -> int:
    """The seq that was meant where a number was taken in the wrong one of its two forms.

    Args:
        seq: the packed number that no record has.
        as_shown: whether it was given as text, the way people see it, and not as the packed number.
    """
    return seq // BLOCK if as_shown else seq * BLOCK


def no_such_seq(reader: Reader, seq: int, meant: int | None, *, as_shown: bool) -> UnknownNameError:
    """What to raise where no record has a seq.

    Args:
        reader: of the recording.
        seq: the packed number.
        meant: the seq of the record that it is in its other form, or None.
        as_shown: as for `other_form`.
    """
    first, last = reader.query("SELECT min(seq), max(seq) FROM rows")[0]
    remedy = f"Did you mean {show_seq(meant)!r}? " if meant is not None else ""
    there = (
        "The recording is empty." if first is None else f"They go from {show_seq(first)} to {show_seq(last)}."
    )
    if as_shown:
        msg = f"No record has the seq {show_seq(seq)}. {remedy}{there}"
    else:
        msg = (
            f"No record has the packed seq {seq}, shown as {show_seq(seq)}. {remedy}{there} An int is the packed "
            "number, as frames and SQL hold it; text is what trees show."
        )
    return UnknownNameError(msg, name=show_seq(seq))
