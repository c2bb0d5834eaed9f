"""Reading a recording's database: safe to open, short transactions, names and plans looked up once."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from plugbook.trace import schema
from plugbook.trace.integrity import (
    broken,
    check_header,
    check_identity,
    check_pages,
    log_path,
    log_size,
    tidy,
)
from plugbook.trace.lock import is_locked
from plugbook.trace.record import BLOCK, CallSite, Layout
from plugbook.trace.writing.store import being_written

if TYPE_CHECKING:
    import pyarrow as pa

    from plugbook.trace.writing.recorder import Recorder

_CHUNK_ROWS: Final = 50_000
_TABLE_ROWS: Final = 1_000
_open_here: dict[Path, int] = {}
"""How many readers of this process have a file open: its header is not read again meanwhile."""


class StoredPlan(NamedTuple):
    """A plan as a recording holds it; `version` is that of the events it is for, 0 where that is not known."""

    layout: Layout
    sites: tuple[CallSite, ...]
    version: int = 0


class Place(NamedTuple):
    """Where something ran; `cell` is the execution count and the id of the notebook cell."""

    process: int
    thread: str
    task: str
    cell: tuple[int, str] | None


@dataclass(slots=True)
class Dictionaries:
    """What the rows of a recording refer to by number, by that number."""

    names: dict[int, str]
    plans: dict[int, StoredPlan]
    places: dict[int, Place]
    blocks: dict[int, int]

    def event_of(self, seq: int) -> int:
        """The seq of the row that holds a record: its own, or of a call its event's."""
        block = seq - seq % BLOCK
        return self.blocks.get(block, block)


class Reader:
    """Answers queries on one recording, each in a transaction of its own, so that a writer's log never grows.

    Args:
        connection: to the recording.
        path: the file, or None in memory.
        turn: the lock that whoever uses the connection takes.
        elsewhere: the connection is not to the file itself, but to a copy of it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | None,
        turn: threading.RLock,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.path = path
        self.elsewhere = elsewhere
        self._connection = connection
        self._turn = turn
        self._known = Dictionaries({}, {}, {}, {})
        self._resolved = path.resolve() if path else None
        if self._resolved:
            _open_here[self._resolved] = _open_here.get(self._resolved, 0) + 1
            # Nothing is lost with a reader that nobody closes, so it closes itself without a warning.
            self._finish = weakref.finalize(self, _release, connection, self._resolved)

    @classmethod
    def open(cls, path: Path) -> Reader:
        """Open a file for reading; nothing that it holds is executed.

        Raises:
            RecordingMissingError: there is no such file.
            RecordingError: it is not a whole recording.
        """
        resolved = path.resolve()
        if resolved not in being_written and resolved not in _open_here:
            check_header(path)
        connection, elsewhere = _connect(path)
        try:
            if check_identity(connection, path) < schema.VERSION:
                connection, elsewhere = _migrated_copy(connection), True
            schema.create_trusted_views(connection)
            connection.execute("PRAGMA query_only=ON")
            if log_size(path) and not is_locked(path) and path.stat().st_size < _expected_size(connection):
                check_pages(connection, path)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise broken(path, error) from error
        except BaseException:
            connection.close()
            raise
        return cls(connection, path, threading.RLock(), elsewhere=elsewhere)

    @classmethod
    def on_memory(cls, recorder: Recorder) -> Reader:
        """Read a recording that is kept in memory, taking turns with its recorder."""
        return cls(recorder.store.connection, None, recorder.turn)

    def query(self, text: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            RecordingError: the file is damaged.
        """
        with self._reading() as connection:
            return connection.execute(text, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several queries in one transaction, which is faster and sees one state; to be kept short."""
        with self._reading() as connection:
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("COMMIT")

    def table(
        self,
        text: str,
        values: Sequence[Any] | dict[str, Any],
        take_in: Callable[[list[tuple[Any, ...]]], None] | None = None,
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of somebody's own query; SQLite's errors are passed on.

        Args:
            text: the query.
            values: of its parameters.
            take_in: told each part of the rows as it is read; reading ends with what it raises.
        """
        with self._turn:
            if self.path is None:
                self._connection.execute("PRAGMA query_only=ON")
            try:
                with closing(self._connection.execute(text, values)) as cursor:
                    rows: list[tuple[Any, ...]] = []
                    while part := cursor.fetchmany(_TABLE_ROWS):
                        if take_in is not None:
                            take_in(part)
                        rows += part
                    return [column[0] for column in cursor.description or ()], rows
            finally:
                if self.path is None:
                    self._connection.execute("PRAGMA query_only=OFF")

    def chunks(self, columns: str, where: str, values: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
        """Rows in the order of seq, in chunks, each read in a transaction of its own; the first column is seq."""
        last = -1
        while True:
            rows = self.query(
                f"SELECT {columns} FROM rows WHERE seq > ? AND ({where}) ORDER BY seq LIMIT {_CHUNK_ROWS}",
                (last, *values),
            )
            if rows:
                yield rows
            if len(rows) < _CHUNK_ROWS:
                return
            last = rows[-1][0]

    def arrow(self, text: str, values: Sequence[Any]) -> pa.Table | None:
        """All rows of a query as an Arrow table, or None where that is not possible.

        It needs ADBC, which brings an SQLite of its own. Two of them in one process drop each other's locks on a
        file, so it is used only on files that were closed.
        """
        path = self.path
        if (
            path is None
            or self.elsewhere
            or self._is_wal()
            or log_size(path)
            or self._resolved in being_written
        ):
            return None
        try:
            from adbc_driver_sqlite import dbapi
        except ImportError:
            return None
        with dbapi.connect(_uri(path)) as connection, connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
            cursor.execute(text, values or None)
            return cursor.fetch_arrow_table()

    def dictionaries(self) -> Dictionaries:
        """What rows refer to; call it after reading the rows, for they may refer to entries that are new."""
        known = self._known
        with self._turn:
            for id_, text in self.query("SELECT id, text FROM names WHERE id > ?", (len(known.names),)):
                known.names[id_] = text
            for id_, layout, sites, version in self.query(
                "SELECT * FROM plans WHERE id > ?", (len(known.plans),)
            ):
                known.plans[id_] = StoredPlan(layout, self._sites(sites), version)
            for id_, process, thread, task, count, cell in self.query(
                "SELECT * FROM places WHERE id > ?", (len(known.places),)
            ):
                known.places[id_] = Place(process, thread, task, None if count is None else (count, cell))
            last = max(known.blocks, default=0)
            known.blocks.update(self.query("SELECT first, event FROM blocks WHERE first > ?", (last,)))
        return known

    def _sites(self, text: str) -> tuple[CallSite, ...]:
        try:
            return tuple(CallSite(**site) for site in json.loads(text))
        except (TypeError, ValueError) as error:
            raise broken(self.path, error) from error

    def check(self) -> None:
        """Read every page of the file.

        Raises:
            RecordingError: some are damaged.
        """
        if self.path is not None:
            with self._reading() as connection:
                check_pages(connection, self.path)

    def size_bytes(self) -> int:
        """How much the recording takes on disk, or in memory."""
        if self.path is None:
            pages, size = self.query("PRAGMA page_count")[0][0], self.query("PRAGMA page_size")[0][0]
            return int(pages * size)
        return self.path.stat().st_size + log_size(self.path)

    def close(self) -> None:
        """Close the connection; of a recording in memory it belongs to the recorder.

        The last reader of a closed recording leaves one file behind, as its writer would have.
        """
        resolved = self._resolved
        if resolved is None:
            return
        self._finish()
        if not (self.elsewhere or resolved in _open_here or resolved in being_written):
            tidy(resolved)

    def _is_wal(self) -> bool:
        return bool(self.query("PRAGMA journal_mode")[0][0] == "wal")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            try:
                yield self._connection
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                raise broken(self.path, error) from error


def _release(connection: sqlite3.Connection, resolved: Path) -> None:
    connection.close()
    left = _open_here.get(resolved, 1) - 1
    if left:
        _open_here[resolved] = left
    else:
        _open_here.pop(resolved, None)


def _uri(path: Path, *, immutable: bool = False) -> str:
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"


def _connect(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open read-only; and say whether what is opened is a copy."""
    try:
        return _connect_as(_uri(path)), False
    except sqlite3.Error as error:
        if os.access(path.absolute().parent, os.W_OK):
            raise broken(path, error) from error
    # SQLite needs to write beside a file that has a log, or could have one. Here it cannot.
    try:
        if log_size(path) == 0:
            return _connect_as(_uri(path, immutable=True)), False
        return _connect_to_copy(path), True
    except (sqlite3.Error, OSError) as error:
        raise broken(path, error) from error


def _connect_to_copy(path: Path) -> sqlite3.Connection:
    """Read a file with its log into memory, by way of a folder that can be written to."""
    with tempfile.TemporaryDirectory(prefix="plugbook-") as folder:
        copied = Path(folder) / path.name
        shutil.copyfile(path, copied)
        shutil.copyfile(log_path(path), log_path(copied))
        with closing(_connect_as(_uri(copied))) as connection:
            return _in_memory(connection)


def _in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.backup(copy)
    _be_careful(copy)
    return copy


def _connect_as(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        _be_careful(connection)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _be_careful(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA mmap_size=0")
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)


def _migrated_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """An older recording brought up to date in memory: reading never changes a file."""
    with closing(connection):
        copy = _in_memory(connection)
    schema.migrate(copy)
    return copy


def _expected_size(connection: sqlite3.Connection) -> int:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    return int(pages * connection.execute("PRAGMA page_size").fetchone()[0])
