"""Whether a file is a whole recording, and how one whose writer died is made whole: nothing is read as zeros."""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from plugbook.errors import RecordingError, RecordingMissingError
from plugbook.trace import schema
from plugbook.trace.lock import WriterLock, is_locked

_MAGIC = b"SQLite format 3\0"
_SAYS_CLOSED = "SELECT data = 'true' FROM facts WHERE what = 'meta' AND name = 'closed'"


class Folded(NamedTuple):
    """What `fold` did.

    Attributes:
        log_bytes: how many were folded in from the log.
        removed: the names of the files that stood beside the recording and are gone.
        was_closed: whether its writer had closed it.
        remark: why it is not one file yet, or ``""``.
    """

    log_bytes: int
    removed: tuple[str, ...]
    was_closed: bool
    remark: str

    def __str__(self) -> str:
        if self.remark:
            return self.remark
        if self.log_bytes:
            return f"one file now: {self.log_bytes:,} bytes were folded in"
        if self.removed:
            return f"one file now: {' and '.join(self.removed)} held nothing more and went"
        return "one file already" if self.was_closed else "one file already, and is marked closed now"


def log_path(recording: Path) -> Path:
    """SQLite's write-ahead log of a recording; it is gone once the recording was closed."""
    return recording.with_name(recording.name + "-wal")


def log_size(recording: Path) -> int:
    """How many bytes of a recording are in its write-ahead log only, as far as the file system says."""
    try:
        return log_path(recording).stat().st_size
    except FileNotFoundError:
        return 0


def left_beside(recording: Path) -> tuple[str, ...]:
    """The names of SQLite's own files beside a recording: they stay until its last reader closes."""
    beside = (log_path(recording), _index_path(recording))
    return tuple(each.name for each in beside if each.exists())


def _index_path(recording: Path) -> Path:
    return recording.with_name(recording.name + "-shm")


def check_header(path: Path) -> None:
    """Refuse a file that is missing, is no recording, or is cut off.

    To be called before this process has the file open in SQLite: closing it here would drop SQLite's locks.

    Raises:
        RecordingMissingError: there is no such file.
        RecordingError: it is not a recording, or shorter than its header says.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        msg = f"There is no recording at {path}. Check the path; recordings end in .plugbook by custom."
        raise RecordingMissingError(
            msg,
            path=str(path),
        ) from error
    except OSError as error:
        msg = f"Cannot read {path}: {error}."
        raise RecordingError(msg, path=str(path)) from error
    if not header.startswith(_MAGIC) or len(header) < 100:
        msg = (
            f"{path} is not a recording: a recording is an SQLite file, and this is none ({size:,} bytes). "
            "If it was copied, copy it again."
        )
        raise RecordingError(
            msg,
            path=str(path),
            offset=0,
        )
    page_bytes, pages = _page_size(header), struct.unpack(">I", header[28:32])[0]
    # A log that holds pages may hold those that are missing here; SQLite then counts by the log.
    if size < page_bytes * pages and log_size(path) == 0:
        msg = (
            f"{path} is cut off: its header says {page_bytes * pages:,} bytes, there are {size:,}. "
            "What came last is not in it. Copy it again from where it was whole."
        )
        raise RecordingError(
            msg,
            path=str(path),
            offset=size,
        )


def _page_size(header: bytes) -> int:
    size = int(struct.unpack(">H", header[16:18])[0])
    return 65_536 if size == 1 else size


def check_identity(connection: sqlite3.Connection, path: Path) -> int:
    """Refuse a database that is not a recording, or is from a newer plugbook.

    Returns:
        The version of the recording's layout.

    Raises:
        RecordingError: saying which.
    """
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
    except sqlite3.DatabaseError as error:
        raise broken(path, error) from error
    if application != schema.APPLICATION_ID or not {"rows", "facts", "commits"} <= tables:
        msg = f"{path} is an SQLite database, but not a recording of plugbook. Open it with sqlite3."
        raise RecordingError(
            msg,
            path=str(path),
        )
    if version > schema.VERSION:
        msg = (
            f"{path} was written by a newer plugbook: its layout is version {version}, and this plugbook knows "
            f"{schema.VERSION}. Update plugbook: pip install --upgrade plugbook"
        )
        raise RecordingError(
            msg,
            path=str(path),
        )
    return version


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Read every page and refuse a recording with broken ones; half a second for a million events.

    Raises:
        RecordingError: naming what SQLite found first.
    """
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise broken(path, error) from error
    if found != "ok":
        msg = f"{path} is damaged: {found}. Copy it again, or save what can be read with: sqlite3 {path.name} .recover"
        raise RecordingError(
            msg,
            path=str(path),
        )


def broken(path: Path | None, error: Exception) -> RecordingError:
    """The error for what SQLite or a decoder could not read in a recording."""
    return RecordingError(
        f"{path or 'The recording'} cannot be read: {error}. If it was copied while it was written, copy it again "
        "after closing it.",
        path=str(path) if path else None,
    )


def remark(path: Path, *, closed: bool) -> str:
    """What should be done about a recording that nobody is writing, or ``""``.

    Args:
        path: the file.
        closed: whether it says that it was closed.
    """
    mend = f"`plugbook close {path}` makes it one whole file"
    if closed and (beside := left_beside(path)):
        return (
            f"Nothing is missing, but {' and '.join(beside)} stay beside the file until its last reader closes: do not "
            f"copy it without them. If nobody reads it, {mend}."
        )
    if log_size(path):
        name = log_path(path).name
        return f"The newest records are in {name}, left behind by a writer that did not close: {mend}."
    if not closed:
        return f"The recording was not closed; what was flushed is in it. {mend[0].upper()}{mend[1:]}."
    return ""


def settle(connection: sqlite3.Connection, path: Path) -> str:
    """Fold the log into the file and leave one single file behind.

    Returns:
        What a person should know if somebody still reads the file, or ``""``.
    """
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError:  # database is locked: a reader has it open
        left = log_size(path)
        what = (
            "everything is in the file" if left == 0 else f"{left:,} bytes are still in {log_path(path).name}"
        )
        return (
            f"{path} is still being read: {what}, but {log_path(path).name} stays beside it until its last reader "
            f"closes. If it is still there then, `plugbook close {path}` leaves one file."
        )
    return ""


def tidy(path: Path) -> None:
    """Make a closed recording one file, once its last reader is gone: with one on it the writer could not.

    What was not closed is left as it is, and so is what somebody writes or reads, or what cannot be written to.
    """
    if not left_beside(path) or is_locked(path):
        return
    if not (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)):
        return
    try:
        lock = WriterLock(path)
    except (OSError, RecordingError):
        return
    try:
        # Asked read-only, for merely closing a connection that may write folds the log of a writer that died.
        with closing(_connect(path, "ro")) as connection:
            closed = connection.execute(_SAYS_CLOSED).fetchone() == (1,)
        if closed:
            with closing(_connect(path, "rw")) as connection:
                settle(connection, path)
    except sqlite3.Error:
        pass  # the files stay, and `remark` names them
    finally:
        lock.release()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)


def fold(path: str | os.PathLike[str]) -> Folded:
    """Make a recording one whole file again: what ``plugbook close FILE`` does after its writer has died.

    Nothing is lost by it: what was committed is in the log, and SQLite takes it from there.

    Returns:
        What was folded in, what is gone, and why it is not one file yet where somebody still reads it.

    Raises:
        RecordingMissingError: there is no such file.
        RecordingBusyError: it is being written at this moment.
        RecordingError: it is not a recording, or the folder cannot be written to.
    """
    target = Path(path)
    check_header(target)
    connection = None
    lock = None
    try:
        lock = WriterLock(target)
        folded, beside = log_size(target), left_beside(target)
        connection = sqlite3.connect(target, isolation_level=None)
        check_identity(connection, target)
        connection.execute("PRAGMA synchronous=FULL")
        closed = connection.execute(_SAYS_CLOSED).fetchone() == (1,)
        if not closed:
            connection.execute("INSERT OR REPLACE INTO facts VALUES ('meta', 'closed', 0, 'true')")
            connection.execute("INSERT OR REPLACE INTO facts VALUES ('meta', 'folded', 0, 'true')")
        remark = settle(connection, target)
        if not remark:
            _index_path(target).unlink(missing_ok=True)  # without a log it means nothing
    except RecordingError:
        raise
    except (OSError, sqlite3.Error) as error:
        msg = (
            f"Cannot fold the log into {target}: {error}. Copy {target.name} and {log_path(target).name} together "
            "into a folder that you may write to, and close that copy."
        )
        raise RecordingError(
            msg,
            path=str(target),
        ) from error
    finally:
        if connection is not None:
            connection.close()
        if lock is not None:
            lock.release()
    still = left_beside(target)
    return Folded(folded, tuple(name for name in beside if name not in still), closed, remark)
