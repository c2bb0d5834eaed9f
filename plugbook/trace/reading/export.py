"""Taking records elsewhere: one a row or line, with the columns of the view ``records``."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from plugbook.errors import RecordingError, RecordingExistsError, SelectionError, missing_extra

if TYPE_CHECKING:
    from plugbook.trace.record import Record

_NESTED: Final = ("payload", "result", "error")
_ROWS_AT_ONCE: Final = 20_000
_INTEGERS: Final = ("seq", "time_ns", "parent", "root", "duration_ns", "process", "cell")

FIELDS: Final = (
    "seq", "time_ns", "kind", "name", "plugin", "parent", "root", "duration_ns", "outcome", "reason", "payload",
    "result", "error", "process", "thread", "task", "cell",
)  # fmt: skip
"""The columns: those of the view ``records``; payload, result and error are JSON, `cell` the execution count."""


def export(records: Iterable[Record], path: Path) -> Path:
    """Write records to a new file, in the format that its ending names.

    Raises:
        RecordingExistsError: there is a file at that path.
        RecordingError: the file cannot be written there.
        SelectionError: the ending says no format that is known.
        MissingExtraError: Parquet needs pyarrow.
    """
    write = _FORMATS.get(path.suffix.lower())
    if write is None:
        msg = f"Cannot export to {path.name}: the ending must be one of {', '.join(_FORMATS)}."
        raise SelectionError(msg)
    if path.exists():
        msg = f"There is a file at {path} already; an export never overwrites one. Choose another path or remove it."
        raise RecordingExistsError(
            msg,
            path=str(path),
        )
    try:
        write(map(_fields, records), path)
    except OSError as error:
        msg = f"Cannot export to {path}: {error.strerror or error}. Choose a path in an existing folder that you may write to."
        raise RecordingError(msg, path=str(path)) from error
    return path


def _fields(record: Record) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in FIELDS}
    fields["cell"] = record.cell[0] if record.cell else None
    return fields


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    for name in _NESTED:
        value = fields[name]
        fields[name] = "" if value is None else json.dumps(value, ensure_ascii=False)
    return fields


def _write_csv(rows: Iterator[dict[str, Any]], path: Path) -> None:
    with path.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(map(_flat, rows))


def _write_lines(rows: Iterator[dict[str, Any]], path: Path) -> None:
    with path.open("x", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def _write_json(rows: Iterator[dict[str, Any]], path: Path) -> None:
    with path.open("x", encoding="utf-8") as file:
        _write_array(rows, file)


def _write_array(rows: Iterator[dict[str, Any]], file: IO[str]) -> None:
    before = "[\n"
    for row in rows:
        file.write(before + json.dumps(row))
        before = ",\n"
    file.write("\n]\n" if before == ",\n" else "[]\n")


def _write_parquet(rows: Iterator[dict[str, Any]], path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        missing_extra("Exporting to Parquet", "fast", error)
    schema = pa.schema([(name, pa.int64() if name in _INTEGERS else pa.string()) for name in FIELDS])
    with pq.ParquetWriter(path, schema) as writer:
        flat = map(_flat, rows)
        while part := list(itertools.islice(flat, _ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(part, schema))


_FORMATS: Final[dict[str, Callable[[Iterator[dict[str, Any]], Path], None]]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".json": _write_json,
    ".jsonl": _write_lines,
}
