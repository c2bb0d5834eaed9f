"""Remembers what was read from files until one of them changes, so that a second look costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

_SETTLED_NS = 2_000_000_000
"""A file that was touched less than this before it was read may change again without a new time stamp."""

Stamp = tuple[int, int] | None
Stamps = dict[Path, Stamp]
T = TypeVar("T")


def stamp(file: Path) -> Stamp:
    """What changes when a file does; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


class Readings(Generic[T]):
    """What was read, by a key, in this interpreter."""

    def __init__(self) -> None:
        self._readings: dict[tuple[str, ...], _Reading[T]] = {}

    def get(self, key: tuple[str, ...], file: Path, read: Callable[[Stamps], Iterable[T]]) -> tuple[T, ...]:
        """What `read` gives; it is called again only where a file that it looked at has changed.

        Args:
            key: of what is read.
            file: the first file it looks at.
            read: notes the stamps of all others it looks at in what it is given.
        """
        reading = self._readings.get(key)
        if reading is None or not reading.is_current():
            # The stamps come first: an edit during the reading makes them old, and it is read again.
            started_ns = time.time_ns()
            stamps: Stamps = {file: stamp(file)}
            found = tuple(read(stamps))
            newest = max((each[0] for each in stamps.values() if each), default=0)
            reading = _Reading(found, stamps, is_settled=started_ns - newest > _SETTLED_NS)
            self._readings[key] = reading
        return reading.found


@dataclass(frozen=True, slots=True)
class _Reading(Generic[T]):
    """What was found, and the files it was read from."""

    found: tuple[T, ...]
    stamps: Stamps
    is_settled: bool

    def is_current(self) -> bool:
        return self.is_settled and all(stamp(file) == was for file, was in self.stamps.items())
