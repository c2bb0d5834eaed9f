"""One writer to a recording: a lock on a file beside it, which the system drops with the process that holds it.

The recording itself is never locked here: closing any descriptor of a file drops the locks that SQLite holds on it
in the same process.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

from plugbook.errors import RecordingBusyError

_TRIES: Final = 5
_TRY_AGAIN_S: Final = 0.01

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others may read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_path(recording: Path) -> Path:
    """The file beside a recording that its writer holds locked."""
    return recording.with_name(recording.name + ".lock")


class WriterLock:
    """Held from its making to `release`.

    Raises:
        RecordingBusyError: somebody else holds it; the message says which process.
        OSError: the folder cannot be written to.
    """

    def __init__(self, recording: Path) -> None:
        self.path = lock_path(recording)
        self._descriptor: int | None = self._acquire(recording)
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def _acquire(self, recording: Path) -> int:
        tries = itertools.count()
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _try_lock(descriptor)
            except OSError as busy:
                os.close(descriptor)
                if next(tries) < _TRIES:  # a reader that asks `is_locked` holds it for a moment
                    time.sleep(_TRY_AGAIN_S)
                    continue
                msg = (
                    f"{recording} is being written by {_holder(self.path)}. Close that recording first, "
                    "or record to another path."
                )
                raise RecordingBusyError(
                    msg,
                    path=str(recording),
                ) from busy
            # A writer that closes removes the file: then the lock was won on a file that is gone.
            if _same_file(descriptor, self.path):
                return descriptor
            os.close(descriptor)

    def release(self) -> None:
        """Give the lock up and remove its file; a second time does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if sys.platform == "win32":  # which does not remove what is open
            os.close(descriptor)
            self.path.unlink(missing_ok=True)
        else:
            self.path.unlink(missing_ok=True)
            os.close(descriptor)

    def forget(self) -> None:
        """Close a forked child's copy: the lock stays with the parent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(recording: Path) -> bool:
    """Whether somebody is writing to a recording at this moment."""
    try:
        descriptor = os.open(lock_path(recording), os.O_RDWR)
    except OSError:
        return False
    try:
        _try_lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"
