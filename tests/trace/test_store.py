"""The file: what was flushed survives anything, and nothing that is wrong with a file goes unsaid."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from plugbook._clock import tick
from plugbook.errors import (
    RecordingBusyError,
    RecordingError,
    RecordingExistsError,
    RecordingMissingError,
    SelectionError,
)
from plugbook.trace import schema
from plugbook.trace.integrity import fold
from plugbook.trace.reading.recording import open_recording
from plugbook.trace.record import BLOCK
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store
from tests.trace.builders import PLANS, dispatch

pytestmark = pytest.mark.usefixtures("no_leaked_threads")

REPOSITORY = Path(__file__).parents[2]
WRITER = """
import sys
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store
from tests.trace.builders import dispatch

recorder = Recorder(Store.create(sys.argv[1]))
published = 0
for line in sys.stdin:
    for _ in range(int(line)):
        dispatch(recorder, payload={"number": published})
        published += 1
    recorder.flush()
    print(published, flush=True)
    # From here until the next line it may be killed in the middle of more, which nobody was promised.
    for number in range(50):
        dispatch(recorder, payload={"number": published})
        published += 1
        if number == 25:
            recorder.write()
"""


def start_writer(path):
    """A process that publishes as many events as it is told, flushes, and says how many there are."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def ask(writer, count):
    writer.stdin.write(f"{count}\n")
    writer.stdin.flush()
    return int(writer.stdout.readline())


def kill(writer):
    writer.kill()
    writer.wait()
    writer.stdin.close()
    writer.stdout.close()


@pytest.mark.parametrize("seed", range(20))
def test_kill_loses_nothing_that_was_flushed(tmp_path, seed):
    """A writer killed at a random point has lost nothing that flush() returned for, and the file opens."""
    choice = random.Random(seed)
    path = tmp_path / "run.plugbook"
    writer = start_writer(path)
    for _ in range(choice.randint(1, 12)):
        acknowledged = ask(writer, choice.randint(1, 400))
    if choice.random() < 0.5:
        writer.stdin.write("100000\n")  # killed while it publishes
        writer.stdin.flush()
    kill(writer)
    with open_recording(path, check=True) as recording:
        numbers = [record.payload["number"] for record in recording if record.kind == "event"]
        assert not recording.info["closed"]
        assert "plugbook close" in recording.info["remark"]
    assert numbers == [*range(len(numbers))]
    assert len(numbers) >= acknowledged
    fold(path)
    assert names_in(tmp_path) == ["run.plugbook"]
    with open_recording(path, check=True) as recording:
        assert len(recording.select(kinds="event").events()) == len(numbers)
        assert recording.info["closed"]
        assert recording.info["folded"]
        assert recording.info["remark"] == ""


def test_a_second_process_reads_while_the_first_writes(tmp_path):
    """A reader sees every flush of another process as soon as it returned, and never a part of a batch."""
    path = tmp_path / "run.plugbook"
    writer = start_writer(path)
    try:
        seen = ask(writer, 10)
        with open_recording(path) as recording:
            for count in (1, 300, 5):
                assert recording.info["being_written"]
                assert len(recording.events(columns="seq")) >= seen
                version = recording.version
                seen = ask(writer, count)
                assert recording.version > version
            assert [record.payload["number"] for record in recording if record.kind == "event"][:seen] == [
                *range(seen)
            ]
            with pytest.raises(RecordingBusyError, match=f"process {writer.pid}"):
                Store.create(path, append=True)
    finally:
        kill(writer)


def test_a_hang_leaves_the_culprit_on_file(bench):
    """While a handler runs, the file says that it is open; once it ends, how it ended."""
    recorder = bench.recorder()
    stuck = dispatch(recorder, ticks=[tick()])
    spans = dispatch(recorder, plan=PLANS["spans"], ticks=[tick(), 0, tick(), 0])
    waiting = dispatch(recorder, ticks=[])
    recorder.flush()
    with open_recording(recorder.store.path) as recording:
        assert [record.outcome for record in recording if record.kind == "event"] == ["open"] * 3
        assert [record.name for record in recording.select(outcome="open", kinds="call")] == [
            "Ledger.post",
            "outer",
        ]
        spans.ticks[3] = tick()
        recorder.flush()
        assert [record.name for record in recording.select(outcome="open", kinds="call")] == ["Ledger.post"]
        for made in (stuck, waiting):
            made.ticks.extend([tick()] * (4 - len(made.ticks)))
        spans.ticks.append(tick())
        recorder.flush()
        assert [record.outcome for record in recording.select(kinds=["event", "call"])] == ["ok"] * 10


def test_closing_leaves_one_file(bench, tmp_path):
    """After close() there is one file, marked closed, with neither log nor lock beside it."""
    recorder = bench.recorder()
    dispatch(recorder)
    recorder.flush()
    recorder.recording.events()
    assert len(names_in(tmp_path)) > 1
    recorder.close()
    recorder.close()
    assert names_in(tmp_path) == ["run.plugbook"]
    assert recorder.remark == ""
    assert recorder.recording.info["closed"]
    assert len(recorder.recording) == 4


def test_closing_says_when_somebody_still_reads(bench, caplog):
    """With a reader on the file close() keeps everything readable, says so, and folding later leaves one file."""
    recorder = bench.recorder()
    dispatch(recorder)
    recorder.flush()
    with open_recording(recorder.store.path) as recording:
        assert len(recording) == 4
        recorder.close()
        assert "still being read" in recorder.remark
        assert "still being read" in caplog.text
        assert len(recording) == 4
    with open_recording(recorder.store.path) as recording:
        assert recording.info["closed"]
        assert len(recording) == 4
    assert str(fold(recorder.store.path)) == "one file already"


def test_the_last_reader_leaves_one_file(bench, tmp_path):
    """A reader that closes after the writer leaves one file if it is the last; until then what is beside is named."""
    recorder = bench.recorder()
    dispatch(recorder)
    first, last = (bench.keep(open_recording(recorder.store.path)) for _ in range(2))
    recorder.close()
    first.close()
    assert "run.plugbook-wal" in last.info["remark"]
    assert "plugbook close" in last.info["remark"]
    last.close()
    assert names_in(tmp_path) == ["run.plugbook"]
    with open_recording(recorder.store.path, check=True) as recording:
        assert recording.info["remark"] == ""
        assert len(recording) == 4
    assert names_in(tmp_path) == ["run.plugbook"]


def test_folding_says_what_it_did(bench, tmp_path):
    """Folding says that somebody still reads, that files went that held nothing, or that there was nothing to do."""
    recorder = bench.recorder()
    dispatch(recorder)
    path = recorder.store.path
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("SELECT count(*) FROM rows").fetchone()
        recorder.close()
        assert "still being read" in str(fold(path))
        beside = {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path) if name != path.name}
    for name, data in beside.items():
        (tmp_path / name).write_bytes(data)
    done = fold(path)
    assert done.removed == ("run.plugbook-wal", "run.plugbook-shm")
    assert str(done).startswith("one file now: run.plugbook-wal and run.plugbook-shm")
    assert names_in(tmp_path) == ["run.plugbook"]
    assert str(fold(path)) == "one file already"


def test_an_existing_path_is_refused(bench, tmp_path):
    """A file that is there is never overwritten; the message says what to do."""
    (tmp_path / "run.plugbook").write_text("my diary")
    with pytest.raises(RecordingExistsError, match="append=True"):
        bench.recorder()
    with pytest.raises(RecordingError, match="not a"):
        bench.recorder(append=True)
    assert (tmp_path / "run.plugbook").read_text() == "my diary"
    assert names_in(tmp_path) == ["run.plugbook"]


def test_appending_continues(bench):
    """Appending goes on with higher seqs, times that do not fall, and the names and plans there are."""
    for round_ in range(3):
        recorder = bench.recorder(append=True)
        dispatch(recorder, payload=round_)
        dispatch(recorder, plan=PLANS["many"])
        recorder.close()
    with open_recording(recorder.store.path) as recording:
        records = [record for record in recording if record.kind != "call"]
        assert [record.payload for record in records][::2] == [0, 1, 2]
        assert len({record.seq for record in recording}) == len(recording)
        assert [record.time_ns for record in records] == sorted(record.time_ns for record in records)
        assert recording.sql("SELECT count(*) AS n FROM plans")["n"].tolist() == [2]
        assert recording.info["closed"]


def test_a_clock_that_was_set_back_does_not_break_the_order(bench):
    """Where the wall clock was set back between two runs, time still never falls."""
    recorder = bench.recorder()
    dispatch(recorder)
    recorder.close()
    recorder = bench.recorder(append=True)
    recorder.clock.anchor_ns -= 10**12
    recorder._packer._anchor_ns -= 10**12
    late = dispatch(recorder)
    recorder.close()
    with open_recording(recorder.store.path) as recording:
        assert [*recording.events()["time"].diff().dt.total_seconds().dropna()] == [0.0]
        assert recording.seek(time=recording[late.seq].time_ns) is not None


def test_one_writer_at_a_time(bench):
    """A second writer is refused while the first one writes, and let in after it."""
    recorder = bench.recorder()
    with pytest.raises(RecordingBusyError, match=f"process {os.getpid()}"):
        bench.recorder(append=True)
    recorder.close()
    bench.recorder(append=True)


@pytest.mark.parametrize("keep", [50, 100, 4096, 0.5, -1])
def test_a_cut_off_file_is_named(bench, tmp_path, keep):
    """A file that lost its end is refused with its name and sizes, never read as zeros."""
    recorder = bench.recorder()
    for _ in range(500):
        dispatch(recorder, payload="x" * 100)
    recorder.close()
    data = recorder.store.path.read_bytes()
    end = int(len(data) * keep) if isinstance(keep, float) else keep
    (tmp_path / "cut.plugbook").write_bytes(data[:end])
    with pytest.raises(RecordingError, match=r"cut\.plugbook is (cut off|not a recording)") as caught:
        open_recording(tmp_path / "cut.plugbook")
    assert caught.value.path == str(tmp_path / "cut.plugbook")


def test_damaged_pages_are_found_on_request(bench):
    """A file with pages of zeros in the middle opens, and check=True finds them."""
    recorder = bench.recorder()
    for _ in range(2000):
        dispatch(recorder, payload="x" * 100)
    recorder.close()
    with recorder.store.path.open("r+b") as file:
        file.seek(4096 * 20)
        file.write(bytes(4096 * 3))
    with pytest.raises(RecordingError, match=r"damaged|malformed"):
        open_recording(recorder.store.path, check=True)
    with open_recording(recorder.store.path) as recording, pytest.raises(RecordingError):
        list(recording.records())


def test_what_is_not_a_recording_is_named(bench, tmp_path):
    """A missing file, another SQLite file and a recording of a newer plugbook are each said to be so."""
    with pytest.raises(RecordingMissingError, match="no recording at"):
        open_recording(tmp_path / "nothing.plugbook")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE diary(text)")
    with pytest.raises(RecordingError, match="not a recording of plugbook"):
        open_recording(tmp_path / "other.db")
    recorder = bench.recorder()
    recorder.close()
    with closing(sqlite3.connect(recorder.store.path)) as newer:
        newer.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    with pytest.raises(RecordingError, match="newer plugbook"):
        open_recording(recorder.store.path)
    with pytest.raises(RecordingError, match="newer plugbook"):
        bench.recorder(append=True)


def test_an_older_recording_is_migrated(bench, monkeypatch):
    """Reading an older recording migrates a copy of it in memory; appending migrates the file."""
    recorder = bench.recorder()
    dispatch(recorder)
    recorder.close()
    before = recorder.store.path.read_bytes()
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setitem(schema.MIGRATIONS, schema.VERSION - 1, "CREATE TABLE added(x)")
    with open_recording(recorder.store.path) as recording:
        assert len(recording) == 4
        assert recording.sql("SELECT count(*) AS n FROM added")["n"].tolist() == [0]
    assert recorder.store.path.read_bytes() == before
    bench.recorder(append=True).close()
    with closing(sqlite3.connect(recorder.store.path)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_a_recording_of_the_first_layout_is_read_and_continued(bench):
    """Plans of recordings from before they had a version have version 0, and appending adds plans that have one."""
    recorder = bench.recorder()
    dispatch(recorder)
    recorder.close()
    with closing(sqlite3.connect(recorder.store.path)) as file:
        file.executescript("ALTER TABLE plans DROP COLUMN version; PRAGMA user_version=1;")
    with open_recording(recorder.store.path) as recording:
        assert len(recording) == 4
        assert recording.sql("SELECT DISTINCT version FROM plans")["version"].tolist() == [0]
    continued = bench.recorder(append=True)
    dispatch(continued)
    continued.close()
    with open_recording(recorder.store.path) as recording:
        assert len(recording) == 8


def test_a_hostile_file_executes_nothing(bench):
    """Views and triggers that somebody put into a file are not used when it is read."""
    recorder = bench.recorder()
    dispatch(recorder)
    recorder.close()
    with closing(sqlite3.connect(recorder.store.path)) as file:
        file.executescript(
            "DROP VIEW records; CREATE VIEW records AS SELECT load_extension('evil') AS seq; "
            "CREATE VIEW trap AS SELECT load_extension('evil') AS x"
        )
    with open_recording(recorder.store.path) as recording:
        assert len(recording.sql("SELECT * FROM records")) == 4
        assert len(recording.select(where="kind = 'call'")) == 3
        with pytest.raises(SelectionError, match=r"unsafe|no such function|not authorized"):
            recording.sql("SELECT * FROM trap")


def test_a_log_left_behind_is_named_and_folded(tmp_path):
    """Where the writer died, the recording opens with its log, says so, and folding leaves one whole file."""
    path = tmp_path / "run.plugbook"
    writer = start_writer(path)
    count = ask(writer, 100)
    kill(writer)
    with open_recording(path) as recording:
        assert recording.info["log_bytes"] > 0
        assert "run.plugbook-wal" in recording.info["remark"]
        assert len(recording.events(columns="seq")) >= count
    with open_recording(path) as recording:
        assert recording.info["log_bytes"] > 0, "reading must not change the files"
    assert fold(path).log_bytes > 0
    assert names_in(tmp_path) == ["run.plugbook"]
    with open_recording(path) as recording:
        assert len(recording.events(columns="seq")) >= count


READ = """
import os, sys
from pathlib import Path
from plugbook.trace.reading.recording import open_recording
Path().absolute().as_uri()  # which imports, what another user might not be let to
if os.getuid() == 0:  # whom permissions do not stop
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with open_recording(sys.argv[1]) as recording:
    print(sum(1 for _ in recording), recording.info["remark"])
"""


@pytest.mark.parametrize("died", [False, True])
def test_a_read_only_folder_opens(bench, died):
    """A recording in a folder that cannot be written to opens, with its log if its writer died."""
    if not hasattr(os, "getuid"):
        pytest.skip("needs POSIX permissions")
    with tempfile.TemporaryDirectory() as name:  # not in tmp_path, whose parents only its owner may enter
        folder = Path(name)
        recorder = bench.recorder()
        dispatch(recorder)
        recorder.flush()
        if died:
            for ending in ("", "-wal"):
                shutil.copy(f"{recorder.store.path}{ending}", folder / f"run.plugbook{ending}")
        recorder.close()
        if not died:
            shutil.copy(recorder.store.path, folder / "run.plugbook")
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READ, str(folder / "run.plugbook")],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=False,
            # Who may not write here cannot report what was covered, either.
            env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        )
        folder.chmod(0o755)
    assert done.stderr == ""
    assert done.stdout.startswith("4 ")
    assert ("did not close" in done.stdout) == died


def test_on_a_network_file_system_it_records_locally(tmp_path):
    """Where SQLite's log cannot work, the file is written on this machine and moved to its place at close."""
    path = tmp_path / "share" / "run.plugbook"
    path.parent.mkdir()
    for round_ in (1, 2):
        recorder = Recorder(Store.create(path, append=True, local=True))
        dispatch(recorder)
        recorder.flush()
        assert [path.name] * (round_ - 1) == names_in(path.parent)
        assert len(recorder.recording.events()) == round_
        recorder.close()
        assert names_in(path.parent) == [path.name]
        assert not recorder.store.working_path.parent.exists()
        assert len(recorder.recording.events()) == round_
        recorder.recording.close()


def test_a_move_that_fails_names_the_file(tmp_path):
    """If the file cannot be moved to where it should be, the error says where it is, whole."""
    path = tmp_path / "share" / "run.plugbook"
    path.parent.mkdir()
    recorder = Recorder(Store.create(path, local=True))
    dispatch(recorder)
    path.parent.rmdir()
    with pytest.raises(RecordingError, match="complete at") as caught:
        recorder.close()
    with open_recording(caught.value.path) as recording:
        assert len(recording) == 4
    shutil.rmtree(recorder.store.working_path.parent)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    """Recording into a folder that does not exist says what to do, and leaves nothing behind."""
    with pytest.raises(RecordingError, match="existing folder"):
        Store.create(tmp_path / "no" / "run.plugbook")
    with pytest.raises(RecordingMissingError):
        fold(tmp_path / "no.plugbook")
    assert names_in(tmp_path) == []


def test_late_rows_keep_time_in_order(bench):
    """Rows that threads bring out of order, also after a commit, keep time from falling as seq rises."""
    recorder = bench.recorder()
    seqs = [recorder.next_seq() for _ in range(6)]
    now = tick()
    for at, offset in ((0, 50), (5, 100), (3, 300)):
        recorder.put("mark", "note", seq=seqs[at], tick=now + offset)
    recorder.flush()
    for at, offset in ((4, 0), (2, 10**9), (1, 70)):
        recorder.put("mark", "note", seq=seqs[at], tick=now + offset)
        if at == 2:
            recorder.flush()
    recorder.flush()
    records = list(recorder.recording)
    assert [record.seq for record in records] == seqs
    times = [record.time_ns for record in records]
    assert times == sorted(times)
    assert times[0] == recorder.clock.wall_ns(now + 50)
    assert times[1] == recorder.clock.wall_ns(now + 70)


def test_seqs_of_a_continued_file_are_fresh(bench):
    """Blocks that an event's calls took are not given out again by the next run."""
    recorder = bench.recorder()
    big = dispatch(recorder, plan=PLANS["many"])
    recorder.close()
    assert bench.recorder(append=True).next_seq() >= big.blocks[-1] + BLOCK
