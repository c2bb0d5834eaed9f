"""The store: durable appends, file size, seeking, filtering and sustained recording, beside a bare sqlite3 loop.

Run with ``python -m tests.benchmarks.bench_store [events]``. Rounds of all variants are interleaved in one process, and
the figure of each is its fastest; targets are for a quiet machine of 2 cores and 1,000,000 events.
"""

from __future__ import annotations

import gc
import itertools
import json
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__" and not __package__:
    sys.path.insert(0, str(Path(__file__).parents[2]))

from plugbook._clock import tick
from plugbook.trace.reading.recording import open_recording
from plugbook.trace.record import CallSite, Dispatch, JsonText, Plan
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugbook.trace.reading.recording import Recording

PAYLOAD = JsonText('{"text":"' + "x" * 189 + '"}')
BATCH = 1_000
ROUNDS = 5
QUIET = Plan([CallSite("Billing.bill", "billing")])
COLUMNS = 17
INSERT = f"INSERT INTO rows VALUES ({','.join('?' * COLUMNS)})"


def make(recorder: Recorder, plan: Plan, ticks: list[int] | None = None) -> Dispatch:
    """A dispatch as a bus would append it, all its calls done."""
    made = Dispatch()
    made.seq = made.root = recorder.next_seq()
    made.name, made.plugin, made.plan, made.payload = "order.placed", "shop", plan, PAYLOAD
    made.parent = made.notes = made.result = made.cell = None
    made.task, made.blocks, made.thread = "", (), threading.get_ident()
    made.born = start = tick()
    made.ticks = [start + 100 * index for index in range(len(plan.sites) + 1)] if ticks is None else ticks
    return made


def append(path: Path, count: int) -> float:
    """Seconds to append events in durable batches; making them is not counted."""
    recorder = Recorder(Store.create(path))
    recorder.flush()
    taken = 0.0
    for _ in range(0, count, BATCH):
        made = [make(recorder, QUIET) for _ in range(BATCH)]
        start = time.perf_counter()
        recorder.rows += made
        recorder.flush()
        taken += time.perf_counter() - start
    recorder.close()
    return taken


def append_bare(path: Path, count: int) -> float:
    """Seconds that sqlite3 alone takes for the same rows: the limit."""
    connection = connect_bare(path)
    text = str(PAYLOAD)
    rows = [
        (seq * 1024, 10**18 + seq, 0, 1, 2, None, None, 100, 0, 1, 1, 150, 1, 0, "100", "", text)
        for seq in range(count)
    ]
    start = time.perf_counter()
    for at in range(0, count, BATCH):
        connection.execute("BEGIN")
        connection.executemany(INSERT, rows[at : at + BATCH])
        connection.execute("COMMIT")
    taken = time.perf_counter() - start
    connection.close()
    return taken


def connect_bare(path: Path) -> sqlite3.Connection:
    """The same settings and table, and nothing of ours."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size=8192")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=2000")
    connection.execute(
        f"CREATE TABLE rows(seq INTEGER PRIMARY KEY, {', '.join(f'c{n}' for n in range(COLUMNS - 1))})"
    )
    return connection


def sustained(path: Path, count: int, plan: Plan) -> tuple[float, float]:
    """Seconds to publish and close as a bus does, and the growth of memory in MB."""
    gc.collect()
    before = peak_mb()
    recorder = Recorder(Store.create(path))
    rows = recorder.rows
    start = time.perf_counter()
    for _ in range(count):
        made = make(recorder, plan, ticks=[])
        stamp = made.ticks.append
        rows.append(made)
        stamp(made.born)
        for _ in plan.sites:
            stamp(tick())
        if made.born > recorder.deadline or len(rows) > recorder.limit:
            recorder.make_room()
    recorder.close()
    return time.perf_counter() - start, peak_mb() - before


def sustained_inline(path: Path, count: int, plan: Plan) -> float:
    """Seconds of the same publishing that writes its rows itself with ``executemany``, and no recorder."""
    connection = connect_bare(path)
    idle = Recorder(Store.memory())
    rows: list[Any] = []
    start = time.perf_counter()
    for _ in range(count):
        made = make(idle, plan, ticks=[])
        ticks = made.ticks
        ticks.append(made.born)
        for _ in plan.sites:
            ticks.append(tick())
        durations = [end - begin for begin, end in itertools.pairwise(ticks)]
        rows.append(
            (made.seq, 10**18 + made.born, 0, 1, 2, None, None, ticks[-1] - ticks[0], 0, 1, 1, ticks[0] - made.born,
             len(durations), 0, json.dumps(durations), "", str(made.payload))
        )  # fmt: skip
        if len(rows) == BATCH:
            connection.execute("BEGIN")
            connection.executemany(INSERT, rows)
            connection.execute("COMMIT")
            rows.clear()
    connection.close()
    idle.close()
    return time.perf_counter() - start


def peak_mb() -> float:
    """The largest memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024**2 if sys.platform == "darwin" else 1024
    )


def fastest(function: Callable[[], Any], rounds: int = 20) -> float:
    """The fastest of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def reading(recording: Recording, count: int) -> None:
    """Seek and filter in a recording of so many events."""
    middle = recording.seek(seq=1024 * (count // 2))
    by_seq = fastest(lambda: recording[middle])
    begin, end = (recording[recording.seek(seq=middle + 1024 * at)].time_ns for at in (0, 999))
    by_time = fastest(lambda: recording.seek(time=begin))
    part = recording.select(topics="order.*", time=(begin, end))
    rows = len(part.events())
    filtered = fastest(part.events)
    say("seek by seq", f"{by_seq * 1e3:8.3f} ms", by_seq <= 1e-3, "<= 1 ms")
    say("seek by time", f"{by_time * 1e3:8.3f} ms", by_time <= 1e-3, "<= 1 ms")
    say(
        f"filter of {rows:,} rows by time and topic",
        f"{filtered * 1e3:8.2f} ms",
        filtered <= 25e-3,
        "<= 25 ms",
    )


def say(what: str, figure: str, met: bool, target: str) -> None:
    """One line of the report."""
    print(f"{what:42} {figure:>16}   target {target}{'' if met else '   MISSED'}")


def main() -> None:
    """Run everything and print it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(
        f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}, {count:,} events of 200-byte payloads"
    )
    each = max(BATCH, count // ROUNDS)
    ours, bare, busy, inline = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        three = Plan([CallSite(f"Plugin.handle{index}", f"plugin{index}") for index in range(3)])
        grown = sustained(folder / "memory.plugbook", count, three)[1]
        for number in range(ROUNDS):
            ours.append(append(folder / f"ours{number}.plugbook", each) / each)
            bare.append(append_bare(folder / f"bare{number}.db", each) / each)
            busy.append(sustained(folder / f"busy{number}.plugbook", each, three)[0] / each)
            inline.append(sustained_inline(folder / f"inline{number}.db", each, three) / each)
        rate, limit, under, plain = 1 / min(ours), 1 / min(bare), 1 / min(busy), 1 / min(inline)
        size = (folder / "ours0.plugbook").stat().st_size / each
        say("durable append", f"{rate:,.0f}/s", rate >= 100_000, ">= 100,000/s")
        say("  bare sqlite3 loop", f"{limit:,.0f}/s", True, f"the limit; ratio {rate / limit:.2f}")
        say("file size", f"{size:.0f} B/event", size <= 300, "<= 300 B/event")
        ratio = under / plain
        say("sustained, 3 handlers, with close()", f"{under:,.0f}/s", ratio >= 0.7, ">= 0.70 of inline")
        say("  the same with inline executemany", f"{plain:,.0f}/s", ratio >= 0.7, f"ratio {ratio:.2f}")
        say("  memory growth", f"{grown:.0f} MB", grown <= 64, "<= 64 MB")
        append(folder / "read.plugbook", count)
        with open_recording(folder / "read.plugbook") as recording:
            reading(recording, count)


if __name__ == "__main__":
    main()
