"""Frames: how fast a recording becomes pandas, beside ``pandas.read_sql`` and unpacking in an SQL view.

Run with ``python -m tests.benchmarks.bench_frames [events]``. Rounds of all variants are interleaved in one process, and
the figure of each is its fastest; targets are for a quiet machine of 2 cores and 1,000,000 events of 10 calls.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

if __name__ == "__main__" and not __package__:
    sys.path.insert(0, str(Path(__file__).parents[2]))

import pandas as pd

from plugbook.trace.reading.metrics import handler_times
from plugbook.trace.reading.reader import Reader
from plugbook.trace.reading.recording import open_recording
from plugbook.trace.record import CallSite, Plan
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store
from tests.benchmarks.bench_store import BATCH, make

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugbook.trace.reading.recording import Recording

ROUNDS = 3
TEN = Plan([CallSite(f"Plugin{index}.handle", f"plugin{index}") for index in range(10)])
SLOW_EVENTS = 10_000
"""How many events the slow ways are given."""


def record(path: Path, count: int) -> None:
    """A recording of so many events with ten calls each."""
    recorder = Recorder(Store.create(path))
    for _ in range(count // BATCH):
        recorder.rows += [make(recorder, TEN) for _ in range(BATCH)]
        recorder.write()
    recorder.close()


def read_sql(path: Path) -> pd.DataFrame:
    """The plain way to a frame: for comparison."""
    with closing(sqlite3.connect(path)) as connection:
        return pd.read_sql("SELECT * FROM rows", connection)


def without_adbc(function: Callable[[], Any]) -> Callable[[], Any]:
    """The same without the fast reader, as where its extra is not installed."""

    def slower() -> Any:
        with mock.patch.object(Reader, "arrow", return_value=None):
            return function()

    return slower


def variants(
    recording: Recording, path: Path, scale: float
) -> dict[str, tuple[Callable[[], Any], float | None]]:
    """What is measured, each with the seconds it may take."""
    part = recording.select(seq=slice(0, 1024 * SLOW_EVENTS))
    return {
        "events()": (recording.events, 2.0 * scale),
        "events() without ADBC": (without_adbc(recording.events), None),
        "pandas.read_sql of the same rows": (lambda: read_sql(path), None),
        "calls()": (recording.calls, 5.0 * scale),
        "calls() without ADBC": (without_adbc(recording.calls), None),
        "handler_times()": (lambda: handler_times(recording), None),
        "summary()": (recording.summary, None),
        f"calls() of {SLOW_EVENTS:,} events": (part.calls, None),
        f"view calls of {SLOW_EVENTS:,} events": (
            lambda: recording.sql("SELECT * FROM calls WHERE event < ?", (1024 * SLOW_EVENTS,)),
            None,
        ),
        f"records() of {SLOW_EVENTS:,} events": (lambda: sum(1 for _ in part.records()), None),
        "stream() of all events": (lambda: sum(1 for _ in recording.stream()), None),
    }


def main() -> None:
    """Run everything and print it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(
        f"pandas {pd.__version__}, SQLite {sqlite3.sqlite_version}, {count:,} events x {len(TEN.sites)} calls"
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "run.plugbook"
        record(path, count)
        with open_recording(path) as recording:
            measured = variants(recording, path, count / 1_000_000)
            taken = dict.fromkeys(measured, float("inf"))
            for _ in range(ROUNDS):
                for what, (function, _target) in measured.items():
                    start = time.perf_counter()
                    function()
                    taken[what] = min(taken[what], time.perf_counter() - start)
    base = taken["pandas.read_sql of the same rows"]
    for what, (_function, target) in measured.items():
        goal = (
            ""
            if target is None
            else f"   target <= {target:.2f} s{'' if taken[what] <= target else '   MISSED'}"
        )
        print(f"{what:40} {taken[what]:8.3f} s   {taken[what] / base:6.2f} x read_sql{goal}")


if __name__ == "__main__":
    main()
