"""Frames of the kinds of records that are a row each, and what every frame has in common: columns, limits, budget."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from plugbook.errors import FrameTooLargeError, SelectionError, suggestion
from plugbook.trace.integrity import broken
from plugbook.trace.reading.selection import RowFilter, Selection
from plugbook.trace.reading.unpacking import chosen_seqs, records
from plugbook.trace.record import OUTCOMES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from plugbook.trace.reading.reader import Dictionaries, Reader

    Numbers = np.ndarray[Any, np.dtype[Any]]

BUDGET_BYTES: Final = 2 * 1024**3
"""How much memory a frame may take before it is refused."""

_NUMBER_BYTES: Final = 9
_ROW_TEXTS: Final = ("payload", "notes")

EVENT_COLUMNS: Final = (
    "seq", "time", "topic", "plugin", "parent", "root", "outcome", "calls", "errors", "duration_ns", "queued_ns",
    "payload", "process", "thread", "task", "cell",
)  # fmt: skip
STATE_COLUMNS: Final = (
    "seq", "time", "plugin", "before", "after", "duration_ns", "outcome", "reason", "error", "parent",
)  # fmt: skip
LOG_COLUMNS: Final = ("seq", "time", "plugin", "level", "message", "parent")
OTHER_COLUMNS: Final = (
    "seq", "time", "name", "plugin", "parent", "root", "duration_ns", "outcome", "reason", "payload", "result", "error",
)  # fmt: skip

# What a frame's column is read from. Numbers that may be missing are read as -1: the fast reader judges a column by
# its first rows, where all may be missing.
_READ: Final = {
    "seq": "seq",
    "time": "time_ns",
    "topic": "name",
    "name": "name",
    "before": "name",
    "after": "name",
    "level": "name",
    "plugin": "plugin",
    "parent": "coalesce(parent, -1) AS parent",
    "root": "coalesce(root, seq) AS root",
    "outcome": "outcome",
    "calls": "called",
    "errors": "errors",
    "duration_ns": "coalesce(duration_ns, -1) AS duration_ns",
    "queued_ns": "queued_ns",
    "payload": "payload",
    "message": "payload",
    "reason": "notes",
    "result": "notes",
    "error": "notes",
    "process": "place",
    "thread": "place",
    "task": "place",
    "cell": "place",
}


class Table:
    """Columns as they were read: numbers as arrays, texts as pandas takes them."""

    def __init__(self, numbers: dict[str, Numbers], texts: dict[str, Any], length: int) -> None:
        self.numbers = numbers
        self.texts = texts
        self.length = length


def frame(
    selection: Selection,
    kind: str,
    known_columns: tuple[str, ...],
    columns: Iterable[str] | str | None,
    limit: int | None,
    budget_bytes: int,
) -> pd.DataFrame:
    """The chosen records of one kind other than ``call``, one a row, in the order of seq.

    Args:
        selection: what to choose.
        kind: of the records.
        known_columns: the columns there are.
        columns: those wanted; all where left out.
        limit: how many rows at most: the first, or with a negative number the last.
        budget_bytes: how much memory the frame may take.

    Raises:
        SelectionError: there is no such column, or `limit` is no number.
        FrameTooLargeError: it would not fit.
    """
    import pandas as pd

    check_limit(limit)
    wanted = choose_columns(columns, known_columns)
    reader = selection.reader()
    rows = _with_conditions(selection, kind, reader)
    filtered = bool(selection.functions)
    sources = dict.fromkeys([_READ[column] for column in ("seq", *wanted)])
    most = None if filtered else limit
    check_budget(reader, rows, sources, most, budget_bytes)
    table = read_table(reader, list(sources), rows, most)
    known = reader.dictionaries()
    build = _Columns(table, known, kind)
    made = pd.DataFrame({column: build.column(column) for column in wanted}, columns=list(wanted), copy=False)
    if filtered:
        keep = pd.Index([record.seq for record in records(selection) if record.kind == kind], dtype="int64")
        made = take(made[pd.Index(table.numbers["seq"]).isin(keep)].reset_index(drop=True), limit)
    return made


def choose_columns(columns: Iterable[str] | str | None, known: Sequence[str]) -> tuple[str, ...]:
    """The columns wanted, checked.

    Raises:
        SelectionError: there is no such column.
    """
    if columns is None:
        return tuple(known)
    wanted = (columns,) if isinstance(columns, str) or not isinstance(columns, Iterable) else tuple(columns)
    for column in wanted:
        if column not in known:
            msg = f"There is no column {column!r}.{suggestion(str(column), known)} The columns are: {', '.join(known)}."
            raise SelectionError(msg)
    return wanted


def check_limit(limit: object) -> None:
    """Refuse a limit that is no number of rows.

    Raises:
        SelectionError: it is none.
    """
    if limit is not None and not (isinstance(limit, SupportsIndex) and not isinstance(limit, bool)):
        msg = f"limit={limit!r} is no number of rows: write limit=100 for the first, limit=-100 for the last."
        raise SelectionError(msg)


def take(made: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """The first `limit` rows, or with a negative number the last."""
    if limit is None:
        return made
    return made.head(limit) if limit >= 0 else made.tail(-limit)


def check_budget(
    reader: Reader, rows: RowFilter, sources: Iterable[str], limit: int | None, budget_bytes: int
) -> None:
    """Refuse rows that would take more memory than allowed; a recording smaller than that is not counted.

    Args:
        reader: what answers queries.
        rows: the chosen ones.
        sources: the columns that are read of them.
        limit: how many of them are read at most: the first, or with a negative number the last.
        budget_bytes: how much memory they may take.

    Raises:
        FrameTooLargeError: naming what narrows it.
    """
    if reader.size_bytes() * 4 < budget_bytes:
        return
    names = list(sources)
    texts = [name for name in _ROW_TEXTS if name in names]
    lengths = " + ".join(f"coalesce(sum(length({text})), 0)" for text in texts) or "0"
    chosen = f"SELECT payload, notes FROM rows WHERE {rows.text} {bounds(limit)}"
    count, text_bytes = reader.query(f"SELECT count(*), {lengths} FROM ({chosen})", rows.values)[0]
    need = count * (_NUMBER_BYTES * len(names) + 60 * len(texts)) + 2 * text_bytes
    refuse_beyond(need, count, budget_bytes)


def bounds(limit: int | None) -> str:
    """The end of a query that reads the first `limit` rows, or with a negative number the last, by seq."""
    if limit is None:
        return ""
    return f"ORDER BY seq {'DESC' if limit < 0 else 'ASC'} LIMIT {abs(int(limit))}"


def allowance(budget_bytes: int) -> Callable[[list[tuple[Any, ...]]], None]:
    """What is told the rows of somebody's own query, some at a time, and refuses those that do not fit.

    Nobody knows beforehand how many there will be, so their memory is added up while they are read.
    """
    rows = need_bytes = 0

    def take_in(more: list[tuple[Any, ...]]) -> None:
        nonlocal rows, need_bytes
        rows += len(more)
        need_bytes += sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in more)
        if need_bytes > budget_bytes:
            msg = (
                f"The result of the query takes more than the {budget_bytes / 1e9:.1f} GB allowed: that was reached at "
                f"row {rows:,}. Narrow the query with WHERE, LIMIT or fewer columns; or take a frame with "
                "select(topics=, plugins=, seq=, time=, ...) and limit=; or raise recording.frame_budget_bytes."
            )
            raise FrameTooLargeError(msg)

    return take_in


def refuse_beyond(need_bytes: int, rows: int, budget_bytes: int) -> None:
    """Raise if a frame of so many rows would take more than the budget.

    Raises:
        FrameTooLargeError: naming what narrows it.
    """
    if need_bytes > budget_bytes:
        msg = (
            f"A frame of {rows:,} rows would take about {need_bytes / 1e9:.1f} GB, more than the "
            f"{budget_bytes / 1e9:.1f} GB allowed. Narrow it with select(topics=, plugins=, seq=, time=, ...), take "
            "fewer columns with columns=, or fewer rows with limit=; or raise recording.frame_budget_bytes."
        )
        raise FrameTooLargeError(msg)


def _with_conditions(selection: Selection, kind: str, reader: Reader) -> RowFilter:
    rows = selection.rows(kind)
    text = rows.text
    for condition in selection.conditions:
        chosen_seqs(reader, condition, 0, -1)  # says so now if it is not understood
        text += f" AND seq IN (SELECT seq FROM records WHERE kind = '{kind}' AND ({condition}\n))"
    return RowFilter(text, rows.values)


def read_table(reader: Reader, sources: list[str], rows: RowFilter, limit: int | None) -> Table:
    """Read columns of the chosen rows, by the fastest way there is."""
    names = [source.rpartition(" ")[2] for source in sources]
    order = "DESC" if limit is not None and limit < 0 else "ASC"
    most = "" if limit is None else f"LIMIT {abs(int(limit))}"
    text = f"SELECT {', '.join(sources)} FROM rows WHERE {rows.text} ORDER BY seq {order} {most}"
    arrow = None if limit is not None and abs(limit) < 10_000 else _read_arrow(reader, text, rows, names)
    table = arrow or _read_rows(reader, text, sources, names, rows, limit)
    return _reversed(table) if order == "DESC" else table


def _read_arrow(reader: Reader, text: str, rows: RowFilter, names: list[str]) -> Table | None:
    if "records" in rows.text:  # a view of ours, which the other connection does not have
        return None
    table = reader.arrow(text, rows.values)
    if table is None or table.num_rows == 0:  # which has texts typed as numbers
        return None
    numbers = {name: table.column(name).to_numpy() for name in names if not _is_text(name)}
    texts = {name: table.column(name) for name in names if _is_text(name)}
    return Table(numbers, texts, table.num_rows)


def _read_rows(
    reader: Reader, text: str, sources: list[str], names: list[str], rows: RowFilter, limit: int | None
) -> Table:
    import numpy as np

    chunks: Iterable[list[tuple[Any, ...]]]
    if limit is None:
        chunks = reader.chunks(", ".join(sources), rows.text, rows.values)
    else:
        chunks = [reader.query(text, rows.values)]
    numbers: dict[str, list[Numbers]] = {
        name: [np.empty(0, np.int64)] for name in names if not _is_text(name)
    }
    read: dict[str, list[str]] = {name: [] for name in names if _is_text(name)}
    for chunk in chunks:
        for name, column in zip(names, zip(*chunk, strict=True), strict=False):
            if _is_text(name):
                read[name] += column
            else:
                numbers[name].append(np.array(column, np.int64))
    joined = {name: np.concatenate(parts) for name, parts in numbers.items()}
    return Table(joined, read, len(joined["seq"]))


def _is_text(name: str) -> bool:
    return name in ("payload", "notes", "calls")


def _reversed(table: Table) -> Table:
    numbers = {name: values[::-1] for name, values in table.numbers.items()}
    return Table(
        numbers, {name: list(to_texts(values))[::-1] for name, values in table.texts.items()}, table.length
    )


def to_texts(values: Any) -> list[str]:
    """A column of texts as a list, from whichever reader it came."""
    return values if isinstance(values, list) else values.to_pylist()


class _Columns:
    """Makes the columns of a frame out of those of a table."""

    def __init__(self, table: Table, known: Dictionaries, kind: str) -> None:
        self._table = table
        self._known = known
        self._kind = kind
        self._said: list[dict[str, Any]] | None = None
        self._makers: dict[str, Callable[[], Any]] = {
            "time": lambda: times(table.numbers["time_ns"]),
            "topic": lambda: categorical(table.numbers["name"], known.names),
            "name": lambda: categorical(table.numbers["name"], known.names),
            "level": lambda: categorical(table.numbers["name"], known.names),
            "before": lambda: self._state(0),
            "after": lambda: self._state(2),
            "plugin": lambda: categorical(table.numbers["plugin"], known.names),
            "parent": lambda: nullable(table.numbers["parent"]),
            "outcome": lambda: categorical(table.numbers["outcome"], dict(enumerate(OUTCOMES))),
            "calls": lambda: table.numbers["called"],
            "duration_ns": lambda: nullable(table.numbers["duration_ns"]),
            "payload": lambda: texts(table.texts["payload"]),
            "message": self._messages,
            "reason": lambda: texts([said.get("reason", "") for said in self._notes()]),
            "result": lambda: texts([_json_text(said, "result") for said in self._notes()]),
            "error": lambda: texts([error_line(said.get("error")) for said in self._notes()]),
            "process": lambda: self._place(lambda place: place.process),
            "thread": lambda: self._place(lambda place: place.thread),
            "task": lambda: self._place(lambda place: place.task),
            "cell": self._cells,
        }

    def column(self, name: str) -> Any:
        maker = self._makers.get(name)
        return maker() if maker else self._table.numbers[name]

    def _state(self, side: int) -> Any:
        sides = {id_: name.partition("->")[side] for id_, name in self._known.names.items()}
        return categorical(self._table.numbers["name"], sides)

    def _place(self, of: Callable[[Any], Any]) -> Any:
        known = {id_: of(place) for id_, place in self._known.places.items()}
        return categorical(self._table.numbers["place"], known)

    def _cells(self) -> Any:
        import numpy as np

        counts = np.full(max(self._known.places, default=0) + 1, -1, np.int64)
        for id_, place in self._known.places.items():
            counts[id_] = place.cell[0] if place.cell else -1
        return nullable(counts[self._table.numbers["place"]])

    def _notes(self) -> list[dict[str, Any]]:
        if self._said is None:
            self._said = [
                parse(text).get("self", {}) if text else {} for text in to_texts(self._table.texts["notes"])
            ]
        return self._said

    def _messages(self) -> Any:
        return texts([_message(text) for text in to_texts(self._table.texts["payload"])])


def _message(payload: str) -> str:
    said = json.loads(payload) if payload else ""
    message = said.get("message", payload) if isinstance(said, dict) else said
    return message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)


def _json_text(said: dict[str, Any], name: str) -> str:
    return json.dumps(said[name], ensure_ascii=False, separators=(",", ":")) if name in said else ""


def parse(notes: str) -> dict[str, Any]:
    """The notes of a row.

    Raises:
        RecordingError: they are damaged.
    """
    try:
        said = json.loads(notes)
    except ValueError as error:
        raise broken(None, error) from error
    return said if isinstance(said, dict) else {}


def error_line(error: Any) -> str:
    """An error in one line: type and message."""
    if not isinstance(error, dict):
        return "" if error is None else str(error)
    return f"{error.get('type', '')}: {error.get('message', '')}"


def times(values: Numbers) -> Any:
    """Nanoseconds since the epoch as times in UTC."""
    import pandas as pd

    return pd.DatetimeIndex(values.view("M8[ns]")).tz_localize("UTC")


def nullable(values: Numbers) -> Any:
    """Integers of which those below 0 are missing."""
    import pandas as pd

    return pd.arrays.IntegerArray(values, values < 0)


def texts(values: Any) -> Any:
    """A column of texts, from whichever reader it came."""
    import pandas as pd

    return pd.Series(values, dtype="str") if isinstance(values, list) else values.to_pandas()


def categorical(ids: Numbers, known: dict[int, Any]) -> Any:
    """Texts given by number, as categories: those that occur, in the order of their numbers.

    Args:
        ids: of each row.
        known: number -> text; several numbers may stand for one text.
    """
    import numpy as np
    import pandas as pd

    used = np.flatnonzero(np.bincount(ids)) if len(ids) else np.empty(0, np.int64)
    codes = np.zeros(int(used[-1]) + 1 if len(used) else 1, np.int32)
    found: dict[Any, int] = {}
    for id_ in used:
        codes[id_] = found.setdefault(known.get(int(id_), ""), len(found))
    return pd.Categorical.from_codes(
        codes[ids], categories=pd.Index(list(found), dtype=None if found else "str")
    )
