"""The recorder: bounded, prompt, safe from any thread, and never in the way of the program that it records."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plugbook._clock import tick
from plugbook.errors import RecordingError
from plugbook.trace.reading.recording import open_recording
from plugbook.trace.writing import recorder as recorder_module
from tests.trace.builders import PLANS, dispatch

pytestmark = pytest.mark.usefixtures("no_leaked_threads")

REPOSITORY = Path(__file__).parents[2]


def wait_for(what, timeout_s=10.0):
    """Poll until something is true."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


def count_rows(path):
    """The rows that another process would see."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        count = connection.execute("SELECT count(*) FROM rows").fetchone()[0]
    connection.close()
    return count


def test_rows_are_committed_without_a_flush(bench):
    """What was recorded is on file within a quarter of a second although nobody flushes."""
    recorder = bench.recorder()
    recorder.flush()
    for number in range(1, 4):
        begin = time.monotonic()
        dispatch(recorder)
        wait_for(lambda number=number: count_rows(recorder.store.path) == number)
        assert time.monotonic() - begin < 1.0, "a busy machine may double it, not more"


def test_an_idle_recorder_puts_the_deadline_off(bench):
    """After a pause the first publish does not have to write: the timer does it."""
    recorder = bench.recorder()
    recorder.flush()
    before = recorder.deadline
    wait_for(lambda: recorder.deadline > before + 300_000_000)
    assert recorder.deadline > tick()


def test_the_limit_follows_the_size_of_payloads(bench):
    """The larger the payloads, the fewer rows the buffer holds before whoever publishes makes room."""
    recorder = bench.recorder()
    dispatch(recorder)
    recorder.write()
    assert recorder.limit == recorder_module.PACKED_ROWS
    for _ in range(20):
        dispatch(recorder, payload="x" * 60_000)
    recorder.write()
    assert 100 <= recorder.limit <= recorder_module.MOST_BYTES // 60_000


def test_put_writes_when_the_buffer_is_full(bench, monkeypatch):
    """Records that are not dispatches do not grow the buffer without bound either."""
    monkeypatch.setattr(recorder_module, "_WRITE_AFTER_NS", 1 << 60)
    recorder = bench.recorder()
    recorder.deadline = 1 << 62
    recorder.limit = 50
    for _ in range(52):
        recorder.put("log", "info", payload={"message": "again"})
    assert len(recorder.rows) < 50


def test_a_publisher_packs_and_commits_what_is_overdue_or_much(bench, monkeypatch):
    """A full buffer is packed at once and committed by the timer; without the timer the publisher commits, too."""
    monkeypatch.setattr(recorder_module, "_TIMER_S", 3600.0)
    recorder = bench.recorder()
    recorder.flush()
    recorder.deadline = 1 << 62
    dispatch(recorder)
    recorder.make_room()
    assert (len(recorder.rows), count_rows(recorder.store.path)) == (0, 0)
    recorder.deadline = 0
    recorder.make_room()
    assert count_rows(recorder.store.path) == 1
    monkeypatch.setattr(recorder_module, "MOST_ROWS", recorder_module.WAITING_ROWS + 10)
    for _ in range(11):
        dispatch(recorder)
    recorder.make_room()
    assert count_rows(recorder.store.path) == 12


def test_a_publisher_does_not_wait_for_who_commits(bench):
    """While another thread commits, a publisher goes on, and waits only when the buffer is full."""
    recorder = bench.recorder()
    recorder.flush()
    commit = recorder.store.commit
    begun, may_end = threading.Event(), threading.Event()

    def commit_slowly(batch, spent_ns):
        begun.set()
        assert may_end.wait(10)
        commit(batch, spent_ns)

    recorder.store.commit = commit_slowly
    dispatch(recorder)
    committing = threading.Thread(target=recorder.write)
    committing.start()
    assert begun.wait(10)
    dispatch(recorder)
    recorder.make_room()
    assert len(recorder.rows) == 1
    threading.Timer(0.05, may_end.set).start()
    for _ in range(recorder_module.WAITING_ROWS):
        dispatch(recorder)
    recorder.make_room()
    assert may_end.is_set()
    assert not recorder.rows
    committing.join()


def test_many_threads_lose_nothing(bench):
    """Threads that publish and write at once lose no row, and time never falls as seq rises."""
    recorder = bench.recorder()

    def publish():
        for number in range(300):
            dispatch(recorder, plan=PLANS["one"], payload=number)
            if number % 50 == 0:
                recorder.write()

    threads = [threading.Thread(target=publish, name=f"publisher {index}") for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    events = recorder.recording.events()
    assert len(events) == 1800
    assert events["seq"].is_unique
    assert events["time"].is_monotonic_increasing
    assert sorted(events["thread"].unique()) == [f"publisher {index}" for index in range(6)]


def test_a_thread_is_not_taken_for_one_that_had_its_number(bench):
    """Rows of threads that run one after the other, often with the same number, are each attributed to their own."""
    recorder = bench.recorder()

    def publish():
        dispatch(recorder)
        recorder.write()

    for index in range(5):
        thread = threading.Thread(target=publish, name=f"publisher {index}")
        thread.start()
        thread.join()
    recorder.close()
    assert recorder.recording.events()["thread"].tolist() == [f"publisher {index}" for index in range(5)]


def test_a_thread_that_nobody_saw_is_not_called_by_another_name(bench):
    """A thread that came and went between two batches has a number for a name, rather than a wrong one."""
    recorder = bench.recorder()

    def publish():
        dispatch(recorder)
        recorder.write()

    seen = threading.Thread(target=publish, name="seen")
    seen.start()
    seen.join()
    for _ in range(2):  # its end is seen, and then believed
        dispatch(recorder)
        recorder.write()
    unseen = threading.Thread(target=dispatch, args=(recorder,), name="unseen")
    unseen.start()
    unseen.join()
    recorder.close()
    first, *_, last = recorder.recording.events()["thread"]
    assert first == "seen"
    assert last in (f"thread {unseen.ident}", "unseen")  # the timer may have packed it meanwhile


class Talkative:
    """A payload whose text publishes: user code that runs while a batch is packed."""

    def __init__(self, recorder):
        self.recorder = recorder

    def __plugbook_json__(self):
        dispatch(self.recorder, "from.inside")
        self.recorder.write()
        self.recorder.flush()
        return '"talkative"'


def test_packing_that_publishes_does_not_deadlock(bench):
    """A payload whose serialising publishes and flushes neither deadlocks nor loses anything."""
    recorder = bench.recorder()
    dispatch(recorder, payload=Talkative(recorder))
    recorder.flush()
    recorder.flush()
    assert [record.name for record in recorder.recording if record.kind == "event"] == [
        "order.placed",
        "from.inside",
    ]


class FullDisk:
    """A store whose commits fail while it is full."""

    def __init__(self, store):
        self.store = store
        self.full = True
        self.commit_really = store.commit
        store.commit = self.commit

    def commit(self, batch, spent_ns):
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        self.commit_really(batch, spent_ns)


def test_a_full_disk_does_not_stop_the_program(bench, caplog, monkeypatch):
    """While nothing can be written, publishing goes on, it is said once, flush raises, and later all is written."""
    monkeypatch.setattr(recorder_module, "MOST_ROWS", 100)
    recorder = bench.recorder()
    recorder._stop.set()  # the timer would say it too, or be about to
    recorder.flush()
    disk = FullDisk(recorder.store)
    for _ in range(10):
        dispatch(recorder)
        recorder.write()
    assert caplog.text.count("disk is full") == 1
    for close_or_flush in (recorder.flush, recorder.close):
        with pytest.raises(RecordingError, match=r"10 rows could not be written.*disk is full"):
            close_or_flush()
    assert not recorder.closed
    disk.full = False
    recorder.flush()
    assert len(recorder.recording.events()) == 10
    disk.full = True
    for _ in range(130):
        dispatch(recorder)
    recorder.write()
    assert recorder.dropped == 30
    disk.full = False
    recorder.close()
    assert len(recorder.recording.events()) == 110
    assert recorder.recording.summary().dropped == 30
    assert "oldest 30 rows" in str(recorder.recording.summary())


def test_memory_is_bounded_and_keeps_the_newest(bench, monkeypatch):
    """Without a file the newest rows and all facts are kept, and the summary says what was dropped."""
    monkeypatch.setattr(recorder_module, "MOST_ROWS", 100)
    recorder = bench.memory()
    recorder.limit = 100
    recorder.describe("manifest", "billing", {"version": "1"})
    for number in range(1000):
        dispatch(recorder, payload=number)
        if len(recorder.rows) > recorder.limit:
            recorder.make_room()
    assert len(recorder.rows) <= 101
    recording = recorder.recording
    numbers = [record.payload for record in recording if record.kind == "event"]
    assert numbers == [*range(1000 - len(numbers), 1000)]
    assert len(numbers) >= 50
    for _ in range(300):
        dispatch(recorder)
    assert len(recording.events()) == 100
    assert recording.facts("manifest") == {"billing": {"version": "1"}}
    assert recording.summary().dropped == 1200


def test_marks_are_kept(bench):
    """A note is kept by a live recording, one in memory, and one that was closed."""
    for recorder in (bench.recorder(), bench.memory()):
        recorder.recording.mark("here it hangs")
        assert recorder.recording.marks()["payload"].tolist() == ['{"text":"here it hangs"}']
    path = bench.recorder("b.plugbook").store.path
    bench.close()
    with open_recording(path) as recording:
        seq = recording.mark("seen later", plugin="billing")
        assert recording[seq].payload == {"text": "seen later"}
        assert recording[seq].plugin == "billing"


def test_a_cell_and_a_task_are_on_the_record(bench):
    """Records say in which notebook cell and asyncio task they were made."""
    import asyncio

    recorder = bench.memory()
    recorder.cell = (7, "abc")

    async def note():
        asyncio.current_task().set_name("worker")
        recorder.put("log", "info", payload={"message": "hello"})

    asyncio.run(note())
    (record,) = recorder.recording
    assert record.cell == (7, "abc")
    assert record.task == "worker"
    assert record.thread == "MainThread"
    assert record.process == os.getpid()


def test_sources_and_origin_are_stored(bench):
    """A recording holds the source text of what was called and where it comes from; both can be read without code."""
    from plugbook.trace.record import CallSite, Plan, extent

    file, line, end = extent(test_sources_and_origin_are_stored.__code__)
    plan = Plan([CallSite("test", "tests", file=file, line=line, end=end)])
    recorder = bench.recorder()
    dispatch(recorder, plan=plan)
    (source,) = recorder.recording.facts("source").values()
    assert source.startswith("def test_sources_and_origin_are_stored(bench):")
    assert source.rstrip().endswith("secret is absent")
    origin = recorder.recording.info["origin"]
    assert origin["packages"]["pytest"] == pytest.__version__
    assert origin["python"] == sys.version.split()[0]
    without = bench.recorder("b.plugbook", sources=False)
    dispatch(without, plan=plan)
    assert without.recording.facts("source") == {}  # secret is absent


FORK = """
import os, sys
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store
from tests.trace.builders import dispatch

recorder = Recorder(Store.create(sys.argv[1]))
dispatch(recorder, "before")
child = os.fork()
if child == 0:
    dispatch(recorder, "in.child")
    recorder.write()
    recorder.flush()
    recorder.close()
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
dispatch(recorder, "after")
recorder.close()
"""

FORGOTTEN = """
import sys
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store
from tests.trace.builders import dispatch

dispatch(Recorder(Store.create(sys.argv[1])), "forgotten")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_file_alone(tmp_path):
    """What a forked child does with the recorder it inherited does not reach or harm the parent's file."""
    path = tmp_path / "run.plugbook"
    subprocess.run([sys.executable, "-W", "error", "-c", FORK, path], check=True, cwd=REPOSITORY)
    with open_recording(path, check=True) as recording:
        assert [record.name for record in recording if record.kind == "event"] == ["before", "after"]
        assert recording.info["closed"]
    assert [file.name for file in tmp_path.iterdir()] == ["run.plugbook"]


def test_a_forgotten_close_loses_nothing(tmp_path):
    """A program that ends without closing its recording leaves a closed one."""
    path = tmp_path / "run.plugbook"
    subprocess.run([sys.executable, "-c", FORGOTTEN, path], check=True, cwd=REPOSITORY)
    with open_recording(path) as recording:
        assert [record.name for record in recording if record.kind == "event"] == ["forgotten"]
        assert recording.info["closed"]


def test_the_writing_half_needs_the_standard_library_alone():
    """Recording, in a Python that has nothing installed, imports nothing but the standard library."""
    script = (
        "import sys; from plugbook.trace.writing.recorder import Recorder; from plugbook.trace.writing.store import Store; "
        "from plugbook.trace.record import Plan; r = Recorder(Store.memory()); r.put('log', 'info'); r.flush(); "
        "import plugbook.trace.reading.recording; assert len(r.recording) == 1; "
        "foreign = {m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names) - {'plugbook', '__main__'}; "
        "assert not foreign, foreign"
    )
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_overhead_is_measured(bench):
    """The time that writing took is on file, and the summary tells its share."""
    recorder = bench.recorder()
    for _ in range(200):
        dispatch(recorder, payload={"x": 1})
    recorder.flush()
    dispatch(recorder)
    summary = recorder.recording.summary()
    assert summary.overhead_ns > 0
    assert summary.overhead > 0


class Interrupts:
    """A payload during whose packing the person interrupts, once."""

    def __init__(self):
        self.left = 1

    def __plugbook_json__(self):
        if self.left:
            self.left -= 1
            raise KeyboardInterrupt
        return '"done"'


def test_an_interrupt_loses_and_doubles_nothing(bench):
    """Interrupted while a batch is packed or just after it was committed, every row is recorded once."""
    recorder = bench.recorder()
    dispatch(recorder, payload=1)
    dispatch(recorder, payload=Interrupts())
    with pytest.raises(KeyboardInterrupt):
        recorder.write()
    dispatch(recorder, payload=3)
    commit = recorder.store.commit

    def commit_and_interrupt(batch, spent_ns):
        commit(batch, spent_ns)
        raise KeyboardInterrupt

    recorder.store.commit = commit_and_interrupt
    with pytest.raises(KeyboardInterrupt):
        recorder.write()
    recorder.store.commit = commit
    dispatch(recorder, payload=4)
    recorder.flush()
    assert [record.payload for record in recorder.recording if record.kind == "event"] == [1, "done", 3, 4]


def test_a_row_made_wrongly_costs_no_other(bench, caplog):
    """A dispatch that cannot be packed is dropped and logged; the others are recorded, and write does not raise."""
    recorder = bench.recorder()
    dispatch(recorder)
    dispatch(recorder, cell=["unhashable"])
    stuck = dispatch(recorder, plan=PLANS["spans"], ticks=[tick(), 0, tick(), 0])
    recorder.write()
    stuck.ticks.append("not a number")
    dispatch(recorder)
    recorder.write()
    recorder.flush()
    assert len(recorder.recording.events()) == 3
    assert recorder.dropped == 1
    assert "could not be recorded" in caplog.text


def test_a_recording_in_memory_can_be_read_after_it_ended(bench):
    """Closing a recorder without a file leaves what it recorded readable."""
    recorder = bench.memory()
    dispatch(recorder)
    recorder.close()
    assert len(recorder.recording) == 4
