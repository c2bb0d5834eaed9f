"""The file that a recording is written to: made, continued, committed to batch by batch, and closed as one file."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import weakref
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plugbook.errors import RecordingError, RecordingExistsError
from plugbook.trace import schema
from plugbook.trace.integrity import check_identity, settle
from plugbook.trace.lock import WriterLock
from plugbook.trace.record import BLOCK
from plugbook.trace.writing.location import is_on_network

if TYPE_CHECKING:
    from plugbook.trace.writing.packing import Batch, Row

_COLUMNS: Final = 17
_ONE_ROW: Final = f"({','.join('?' * _COLUMNS)})"
_UPDATE_ROW: Final = "UPDATE rows SET duration_ns=?, outcome=?, queued_ns=?, called=?, errors=?, calls=?, notes=?, plan=? WHERE seq=?"
_ROWS_AT_ONCE: Final = 1_000
"""How many rows one statement inserts: Python lets another thread run at each, and may wait 5 ms for its turn."""

_PAGE_BYTES: Final = 8_192
_CHECKPOINT_PAGES: Final = 2_000

being_written: dict[Path, Store] = {}
"""The recordings that this very process writes, by their resolved working path."""


class Store:
    """One recording, open for writing. Not safe across threads: its `Recorder` takes turns.

    Make one with `create` or `memory`.

    Attributes:
        path: where the recording will be found, or None in memory.
        working_path: where it is while it is written; elsewhere only if `path` is on a network file system.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None, working_path: Path | None) -> None:
        self.connection = connection
        self.path = path
        self.working_path = working_path
        self.lock: WriterLock | None = None
        most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // _COLUMNS
        self._at_once = min(_ROWS_AT_ONCE, most)

    @classmethod
    def memory(cls) -> Store:
        """A store without a file, for a host that nobody told to record."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        schema.create(connection)
        store = cls(connection, None, None)
        weakref.finalize(store, connection.close)
        return store

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], *, append: bool = False, local: bool | None = None
    ) -> Store:
        """A recording at `path`, made anew, or continued with `append`.

        Args:
            path: the file; its folder must exist.
            append: continue the recording that is there, if there is one.
            local: write to a folder of this machine and move the file at close; by default, where `path` is on a
                network file system.

        Raises:
            RecordingExistsError: there is a file already, and `append` was not asked for.
            RecordingBusyError: somebody else is writing to it.
            RecordingError: the place cannot be written to, or what is there is not a recording.
        """
        target = Path(path).absolute()
        if target.exists() and not append:
            msg = (
                f"There is a file at {target} already, and a recording never overwrites one. Choose another path, "
                "remove the file, or continue the recording with append=True."
            )
            raise RecordingExistsError(
                msg,
                path=str(target),
            )
        local = is_on_network(target.parent) if local is None else local
        working = _local_copy(target) if local else target
        try:
            return cls._open_locked(target, working)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, RecordingError):
                raise
            msg = f"Cannot record to {target}: {error}. Choose a path in an existing folder that you may write to."
            raise RecordingError(
                msg,
                path=str(target),
            ) from error

    @classmethod
    def _open_locked(cls, target: Path, working: Path) -> Store:
        lock = WriterLock(working)
        connection = None
        try:
            existed = working.exists() and working.stat().st_size > 0
            connection = sqlite3.connect(working, isolation_level=None, check_same_thread=False, timeout=10)
            if existed:
                check_identity(connection, target)
                schema.migrate(connection)
            _set_up(connection)
            if not existed:
                schema.create(connection)
            store = cls(connection, target, working)
            store.put_meta("closed", False)
        except BaseException:
            if connection is not None:
                connection.close()
            lock.release()
            raise
        store.lock = lock
        being_written[working.resolve()] = store
        return store

    # -- what was there before -------------------------------------------------------------------------

    def names(self) -> dict[str, int]:
        """The ids of names given out before."""
        return {text: id_ for id_, text in self.connection.execute("SELECT id, text FROM names")}

    def plans(self) -> dict[tuple[str, str, int], int]:
        """The ids of plans given out before, by layout, sites and version of the events."""
        return {tuple(key): id_ for id_, *key in self.connection.execute("SELECT * FROM plans")}

    def places(self) -> int:
        """The highest id of a place given out before."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM places"))

    def last(self) -> tuple[int, int]:
        """The highest seq, and the time of the last row; zeros in a new recording."""
        row = self.connection.execute("SELECT seq, time_ns FROM rows ORDER BY seq DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def first_free_block(self) -> int:
        """The first seq that no record has taken yet."""
        taken = self._one(
            "SELECT max((SELECT coalesce(max(last), 0) FROM commits), coalesce(max(first), 0)) FROM blocks"
        )
        return (max(int(taken), self.last()[0]) // BLOCK + 1) * BLOCK

    def redacted(self) -> tuple[str, ...]:
        """The names that were redacted so far, which whoever goes on has to redact, too."""
        names: dict[str, None] = {}
        for (data,) in self.connection.execute("SELECT data FROM facts WHERE what = 'options' ORDER BY seq"):
            kept = json.loads(data).get("redact", [])
            names |= dict.fromkeys(kept if isinstance(kept, list) else ["*"])  # hidden itself, as by ``*``
        return tuple(names)

    # -- writing -----------------------------------------------------------------------------------------

    def commit(self, batch: Batch, spent_ns: int) -> None:
        """Write a batch, durably: once this returns, it survives the end of the process and of the machine.

        Args:
            batch: what to write.
            spent_ns: time that recording has taken from the program since the last commit.

        Raises:
            sqlite3.Error: nothing was written.
        """
        try:
            self._commit(batch, spent_ns)
        except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8: escape it and write again
            _escape_surrogates(batch)
            self._commit(batch, spent_ns)

    def _commit(self, batch: Batch, spent_ns: int) -> None:
        execute, write_all = self.connection.execute, self.connection.executemany
        # Rows replace: one that is interrupted right after it was committed is committed again.
        execute("BEGIN IMMEDIATE")
        try:
            rows = self._in_order(batch.rows) if batch.disordered else batch.rows
            self._insert(rows)
            if batch.updates:
                write_all(_UPDATE_ROW, batch.updates)
            write_all("INSERT OR REPLACE INTO names VALUES (?, ?)", batch.names)
            write_all("INSERT OR REPLACE INTO plans VALUES (?, ?, ?, ?)", batch.plans)
            write_all("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?, ?)", batch.places)
            write_all("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", batch.blocks)
            write_all("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", batch.facts)
            changed = json.dumps([update[-1] for update in batch.updates]) if batch.updates else ""
            first = rows[0][0] if rows else None
            execute(
                "INSERT INTO commits(first, last, changed, spent_ns) VALUES (?, ?, ?, ?)",
                (first, batch.highest or None, changed, spent_ns),
            )
            execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                execute("ROLLBACK")
            raise

    def _insert(self, rows: list[Row]) -> None:
        for start in range(0, len(rows), self._at_once):
            part = rows[start : start + self._at_once]
            statement = f"INSERT OR REPLACE INTO rows VALUES {','.join([_ONE_ROW] * len(part))}"
            self.connection.execute(statement, list(chain.from_iterable(part)))

    def _in_order(self, rows: list[Row]) -> list[Row]:
        """Sort rows by seq and lift their times so that time never falls as seq rises.

        Threads take seq and clock without a lock, so that they come slightly out of order, and a row may even come
        after a commit that held later ones: then its time is kept between those of its neighbours.
        """
        last_seq, last_time = self.last()
        late_time = 0
        ordered = []
        for row in sorted(rows, key=itemgetter(0)):
            seq, time_ns = row[0], row[1]
            if seq < last_seq:
                before, after = self._neighbour_times(seq)
                late_time = time_ns = max(before, late_time, min(time_ns, after))
            else:
                last_time = time_ns = max(time_ns, last_time)
            ordered.append(row if time_ns == row[1] else (seq, time_ns, *row[2:]))
        return ordered

    def _neighbour_times(self, seq: int) -> tuple[int, int]:
        before = self.connection.execute(
            "SELECT time_ns FROM rows WHERE seq < ? ORDER BY seq DESC LIMIT 1", (seq,)
        ).fetchone()
        after = self.connection.execute(
            "SELECT time_ns FROM rows WHERE seq > ? ORDER BY seq LIMIT 1", (seq,)
        ).fetchone()
        return (before[0] if before else 0), after[0]

    def _one(self, query: str, *values: Any) -> Any:
        return self.connection.execute(query, values).fetchone()[0]

    def prune(self, most: int) -> int:
        """Drop the oldest rows beyond `most` and count them; only a store in memory does."""
        deleted = self.connection.execute(
            "DELETE FROM rows WHERE seq < (SELECT seq FROM rows ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (most - 1,),
        )
        return deleted.rowcount

    def put_meta(self, name: str, data: Any) -> None:
        """Write one fact about the recording itself."""
        self.connection.execute(
            "INSERT OR REPLACE INTO facts VALUES ('meta', ?, 0, ?)", (name, json.dumps(data))
        )

    # -- closing -----------------------------------------------------------------------------------------

    def close(self) -> str:
        """Mark the recording closed, make it one single file, and give up the lock.

        Returns:
            What a person should know: that somebody still reads the file, or ``""``.

        Raises:
            RecordingError: the file could not be moved from this machine to where it should be.
        """
        if self.path is None or self.working_path is None:
            return ""  # it stays readable for as long as somebody holds it
        try:
            self.put_meta("closed", True)
            remark = settle(self.connection, self.working_path)
        except sqlite3.Error as error:
            msg = (
                f"Everything was written to {self.working_path}, but it could not be made one file: {error}. "
                f"When that is mended, `plugbook close {self.working_path}` does it."
            )
            raise RecordingError(msg, path=str(self.working_path)) from error
        finally:
            self.connection.close()
            being_written.pop(self.working_path.resolve(), None)
            if self.lock is not None:
                self.lock.release()
        if self.working_path != self.path:
            _move(self.working_path, self.path)
        return remark

    def forget(self) -> None:
        """In a forked child: let go of everything without touching the parent's file."""
        _parents_connections.append(self.connection)
        if self.working_path is not None:
            being_written.pop(self.working_path.resolve(), None)
        if self.lock is not None:
            self.lock.forget()


_parents_connections: list[sqlite3.Connection] = []
"""Connections that a forked child inherited: closing one there could fold the log the parent is writing."""


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    connection.execute("PRAGMA trusted_schema=OFF")


def _local_copy(target: Path) -> Path:
    """A path on this machine to write at meanwhile, holding what there is at `target` already."""
    folder = Path(tempfile.mkdtemp(prefix="plugbook-"))
    working = folder / target.name
    if target.exists():
        shutil.copyfile(target, working)
    return working


def _move(working: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    try:
        shutil.copyfile(working, part)
        part.replace(target)
    except OSError as error:
        msg = f"The recording could not be moved to {target}: {error}. It is complete at {working}; copy it from there."
        raise RecordingError(
            msg,
            path=str(working),
        ) from error
    shutil.rmtree(working.parent, ignore_errors=True)


def _escape_surrogates(batch: Batch) -> None:
    for rows in (batch.rows, batch.updates, batch.names, batch.plans, batch.places, batch.facts):
        rows[:] = [
            tuple(
                value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
                for value in row
            )
            for row in rows
        ]
