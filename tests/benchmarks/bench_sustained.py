"""Sustained: publishes to three handlers until the recording is closed, beside rows that are written by hand.

Run with ``python -m tests.benchmarks.bench_sustained [publishes]``. Memory is that of the first, full run; then all
ways take turns with a fifth of the publishes, and the figure of each is its fastest. The same rows are written by hand
twice: by whoever publishes on a bus, which shows what the recorder adds, and by a loop that calls the handlers itself
and knows nothing but this one event and these three handlers, which is the limit.
"""

from __future__ import annotations

import gc
import itertools
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from operator import sub
from pathlib import Path
from typing import Any, Final

from plugbook._clock import tick
from plugbook.events.bus import Bus
from plugbook.events.event import Event
from plugbook.trace.reading.recording import open_recording
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

PUBLISHES: Final = 1_000_000
ROUNDS: Final = 5
BATCH: Final = 1_000
COLUMNS: Final = 17
INSERT: Final = f"INSERT INTO rows VALUES ({','.join('?' * COLUMNS)})"


class Reading(Event, topic="sensor.reading"):
    """A small event, as most are."""

    number: int
    sensor: str
    value: float


EVENTS: Final = [
    Reading(number=number, sensor=f"sensor {number % 7}", value=number / 7) for number in range(BATCH)
]


def first(event: Reading) -> None:
    """Do nothing."""


def second(event: Reading) -> None:
    """Do nothing."""


def third(event: Reading) -> None:
    """Do nothing."""


HANDLERS: Final = (first, second, third)


def with_plugbook(path: Path, count: int) -> float:
    """Seconds to publish and close."""
    recorder = Recorder(Store.create(path))
    bus = Bus(recorder)
    for handler in HANDLERS:
        bus.subscribe(Reading, handler)
    publish = bus.publish
    start = time.perf_counter()
    for event in itertools.islice(itertools.cycle(EVENTS), count):
        publish(event)
    recorder.close()
    return time.perf_counter() - start


class HandWritten:
    """Stands in for a recorder: writes what was published with ``executemany``, and can do nothing else."""

    cell = None
    deadline = 1 << 62
    limit = BATCH

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.rows: list[Any] = []
        self.next_seq = itertools.count(1024, 1024).__next__
        self._connection = connection

    def put(self, *_: Any, **__: Any) -> None:
        """Leave out what is not an event."""

    describe = put

    def make_room(self) -> None:
        """Write one batch."""
        write(self._connection, [row_of(report.seq, report.ticks, report.event) for report in self.rows])
        self.rows.clear()


def by_hand_on_a_bus(path: Path, count: int) -> float:
    """Seconds to publish on a bus that writes the same rows by hand."""
    connection = connect(path)
    recorder: Any = HandWritten(connection)
    bus = Bus(recorder)
    for handler in HANDLERS:
        bus.subscribe(Reading, handler)
    publish = bus.publish
    start = time.perf_counter()
    for event in itertools.islice(itertools.cycle(EVENTS), count):
        publish(event)
    recorder.make_room()
    connection.close()
    return time.perf_counter() - start


def by_hand(path: Path, count: int) -> float:
    """Seconds to call the same handlers, timed, and write the same rows, without any bus."""
    connection = connect(path)
    rows: list[tuple[Any, ...]] = []
    start = time.perf_counter()
    for seq, event in enumerate(itertools.islice(itertools.cycle(EVENTS), count), 1):
        ticks = [tick()]
        for handler in HANDLERS:
            handler(event)
            ticks.append(tick())
        rows.append(row_of(seq * 1024, ticks, event))
        if len(rows) == BATCH:
            write(connection, rows)
            rows.clear()
    write(connection, rows)
    connection.close()
    return time.perf_counter() - start


def row_of(seq: int, ticks: list[int], event: Reading) -> tuple[Any, ...]:
    """The row that a recording has of an event whose three handlers returned nothing."""
    durations = "%d,%d,%d" % tuple(map(sub, ticks[1:], ticks))  # noqa: UP031 (as the recorder does it)
    payload = event.__plugbook_json__()
    return (
        seq,
        ticks[0],
        0,
        1,
        2,
        None,
        None,
        ticks[-1] - ticks[0],
        0,
        1,
        1,
        0,
        3,
        0,
        durations,
        "",
        payload,
    )


def connect(path: Path) -> sqlite3.Connection:
    """The settings and the shape of a recording, and nothing of ours."""
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in ("page_size=8192", "journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=2000"):
        connection.execute(f"PRAGMA {setting}")
    columns = ", ".join(f"c{number}" for number in range(COLUMNS - 1))
    connection.execute(f"CREATE TABLE rows(seq INTEGER PRIMARY KEY, {columns})")
    return connection


def write(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    """One durable batch."""
    connection.execute("BEGIN")
    connection.executemany(INSERT, rows)
    connection.execute("COMMIT")


def peak_mb() -> float:
    """The largest memory this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def say(what: str, figure: str, target: str, *, met: bool) -> None:
    """One line of the report."""
    print(f"{what:44} {figure:>14}   target {target}{'' if met else '   MISSED'}")


def main() -> None:
    """Run everything and print it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHES
    each = max(BATCH, count // ROUNDS)
    ways: dict[Callable[[Path, int], float], float] = dict.fromkeys(
        (with_plugbook, by_hand_on_a_bus, by_hand), float("inf")
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with_plugbook(folder / "warm.plugbook", BATCH)
        gc.collect()
        before = peak_mb()
        whole = with_plugbook(folder / "whole.plugbook", count)
        growth = peak_mb() - before
        with open_recording(folder / "whole.plugbook") as recording:
            written = recording.sql("SELECT count(*) AS n FROM rows WHERE kind = 0")["n"][0]
        for number in range(ROUNDS):
            for way in ways:
                ways[way] = min(ways[way], way(folder / f"{number}.{way.__name__}", each) / each)
    print(
        f"{count:,} publishes to 3 handlers; Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    )
    say(
        "all of them, close() included",
        f"{count / whole:,.0f}/s",
        f"{count:,} events written",
        met=written == count,
    )
    say("a fifth at a time", f"{1 / ways[with_plugbook]:,.0f}/s", "none", met=True)
    for way, what in (
        (by_hand_on_a_bus, "the same rows by hand on a bus"),
        (by_hand, "the same rows by hand alone"),
    ):
        ratio = ways[way] / ways[with_plugbook]
        say(what, f"{1 / ways[way]:,.0f}/s", f"ratio {ratio:.2f} >= 0.7", met=ratio >= 0.7)
    say("growth of memory", f"{growth:.0f} MB", "<= 64 MB", met=growth <= 64)


if __name__ == "__main__":
    main()
