"""Export, metrics, locks, places and errors: the smaller tools of the trace."""

from __future__ import annotations

import csv
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.errors import MissingExtraError, RecordingError, RecordingExistsError, SelectionError
from plugbook.events.topics import compile_pattern
from plugbook.trace.reading.metrics import handler_times, histogram, topic_rates
from plugbook.trace.reading.selection import Patterns
from plugbook.trace.record import Note, describe_error, extent, parse_seq, show_seq
from plugbook.trace.writing.location import is_on_network
from plugbook.trace.writing.origin import origin, source_of
from tests.trace.builders import PLANS, dispatch


@pytest.fixture
def recording(bench):
    """Five orders, one of them failing in billing."""
    recorder = bench.memory()
    for number in range(5):
        failed = {1: Note("error", error={"type": "ValueError", "message": "no"})} if number == 3 else None
        dispatch(recorder, payload={"number": number}, notes=failed, cell=(2, "abc"))
    return recorder.recording


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])
def test_an_export_holds_every_chosen_record(recording, tmp_path, ending):
    """Each format holds one row a record with the documented columns, and reads back."""
    path = recording.select(topics="order.*").export(tmp_path / f"out{ending}")
    records = list(recording)
    if ending == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    elif ending == ".parquet":
        rows = pd.read_parquet(path).to_dict("records")
    elif ending == ".json":
        rows = json.loads(path.read_text(encoding="utf-8"))
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [int(row["seq"]) for row in rows] == [record.seq for record in records]
    assert [row["name"] for row in rows] == [record.name for record in records]
    payload = rows[0]["payload"]
    assert (json.loads(payload) if isinstance(payload, str) else payload) == {"number": 0}
    assert int(rows[0]["cell"]) == 2
    with pytest.raises(RecordingExistsError, match="never overwrites"):
        recording.export(path)


def test_an_empty_export_is_valid(recording, tmp_path):
    """Where nothing is chosen the file is still of its format."""
    nothing = recording.select(kinds="mark")
    assert json.loads(nothing.export(tmp_path / "out.json").read_text(encoding="utf-8")) == []
    assert pd.read_parquet(nothing.export(tmp_path / "out.parquet")).empty


def test_an_unknown_format_is_refused(recording, tmp_path, monkeypatch):
    """The message names the formats there are; Parquet without its library names the extra."""
    with pytest.raises(SelectionError, match=r"\.parquet, \.csv"):
        recording.export(tmp_path / "out.xls")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"plugbook\[fast\]"):
        recording.export(tmp_path / "out.parquet")


def test_an_export_to_nowhere_says_so(recording, tmp_path):
    """A folder that is missing is told in a sentence, whatever the format."""
    for ending in (".csv", ".json", ".jsonl", ".parquet"):
        with pytest.raises(RecordingError, match="existing folder"):
            recording.export(tmp_path / "nowhere" / f"out{ending}")


def test_handler_times_are_exact(bench):
    """Counts, errors, sums and percentiles are those of the recorded calls."""
    recorder = bench.memory()
    for length in range(1, 101):
        now = 10**12
        dispatch(recorder, plan=PLANS["one"], ticks=[now, now + length])
    dispatch(recorder, plan=PLANS["one"], ticks=[now])
    (row,) = handler_times(recorder.recording).to_dict("records")
    assert (row["name"], row["plugin"], row["calls"], row["errors"]) == ("Billing.bill", "billing", 101, 0)
    assert (row["total_ns"], row["mean_ns"], row["max_ns"]) == (5050, 50, 100)
    assert (row["p50_ns"], row["p95_ns"], row["p99_ns"]) == (51, 96, 100)


def test_calls_that_were_skipped_took_no_time(bench):
    """A handler that never ran is not among the slowest, and what it skipped does not count as its calls."""
    recorder = bench.memory()
    skipped = {0: Note("skipped", "where= said no")}
    dispatch(recorder, plan=PLANS["one"], ticks=[10**12, 10**12 + 500], notes=skipped)
    assert handler_times(recorder.recording).empty
    assert "slowest" not in str(recorder.recording.summary())
    dispatch(recorder, plan=PLANS["one"], ticks=[10**12, 10**12 + 7])
    (row,) = handler_times(recorder.recording).to_dict("records")
    assert (row["calls"], row["total_ns"]) == (1, 7)


def test_metrics_of_nothing_are_empty(bench):
    """A recording without events gives frames with their columns and no rows."""
    recording = bench.memory().recording
    assert handler_times(recording).empty
    assert topic_rates(recording).empty
    assert histogram([]).empty
    assert str(recording.summary())


@given(st.lists(st.none() | st.integers(0, 2**52), max_size=50))
def test_a_histogram_counts_every_duration_once(durations):
    """Each duration is counted in the bucket that holds it; buckets join without gaps."""
    buckets = histogram(pd.array(durations, dtype="Int64"))
    known = np.array([value for value in durations if value is not None], dtype=np.int64)
    for begin, end, count in buckets.itertuples(index=False):
        assert count == ((known >= begin) & (known < end)).sum()
    assert buckets["count"].sum() == len(known)
    assert (buckets["from_ns"][1:].tolist()) == (buckets["to_ns"][:-1].tolist())


def test_topic_rates_count_events(recording):
    """Every event is in one bin of its topic."""
    rates = topic_rates(recording, every_s=3600)
    assert rates["events"].sum() == 5
    assert set(rates["topic"]) == {"order.placed"}


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home /mnt/home nfs4 rw 0 0
me@host: /mnt/my\\040files fuse.sshfs rw 0 0
/dev/vdb /mnt/home/local ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/x", False),
        ("/mnt/home/me/run.plugbook", True),
        ("/mnt/homely/run.plugbook", False),
        ("/mnt/home/local/run.plugbook", False),
        ("/mnt/my files/run.plugbook", True),
        ("/run/x", False),
    ],
)
def test_a_network_file_system_is_recognised(path, expected):
    """The innermost mount that holds a path decides, blanks in its name included."""
    assert is_on_network(Path(path), MOUNTS) == expected
    assert not is_on_network(Path(path), "")


def test_errors_are_described_to_their_end():
    """Causes, contexts and groups are described, each error once, circles and long recursions included."""
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    described = describe_error(one)
    assert described["cause"]["type"] == "KeyError"
    assert "cause" not in described["cause"]
    group = ExceptionGroup("several", [one, TypeError("three")])
    assert [member["message"] for member in describe_error(group)["members"]] == ["one", "three"]

    def forever():
        forever()

    with pytest.raises(RecursionError) as caught:
        forever()
    described = describe_error(caught.value)
    assert len(described["frames"]) == 100
    assert described["frames"][0]["file"] == __file__
    json.dumps(described)


def test_an_error_whose_text_raises_is_described():
    """An exception with a broken __str__ still has a message."""

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    assert "raised RuntimeError" in describe_error(Odd())["message"]


@given(st.integers(0, 2**50))
def test_a_shown_seq_reads_back(seq):
    """What people see of a seq stands for that seq."""
    assert parse_seq(show_seq(seq)) == seq


words = st.sampled_from(["order", "placed", "late", "x"])
topics = st.lists(words, min_size=1, max_size=4).map(".".join)
patterns = st.lists(words | st.sampled_from(["*", "**"]), min_size=1, max_size=4).map(".".join)


@given(topic=topics, pattern=patterns)
def test_selections_and_subscriptions_mean_the_same_by_a_pattern(topic, pattern):
    """A topic pattern chooses in a selection what it chooses in a subscription."""
    assert (topic in Patterns([pattern])) == compile_pattern(pattern)(topic)


def test_origin_finds_the_commit(tmp_path, monkeypatch):
    """The commit is found loose, packed, detached, from a folder below, and not at all outside of a checkout."""
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert origin()["commit"] == ""
    (git / "packed-refs").write_text("# pack-refs\naaa refs/heads/main\n")
    assert origin()["commit"] == "aaa"
    (git / "refs" / "heads" / "main").write_text("bbb\n")
    assert origin()["commit"] == "bbb"
    (git / "HEAD").write_text("ccc\n")
    assert origin()["commit"] == "ccc"
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    (worktree / ".git").write_text("gitdir: ../.git\n")
    monkeypatch.chdir(worktree)
    assert origin()["commit"] == "ccc"


def test_source_that_is_gone_is_nothing(tmp_path):
    """A file that is missing, too short or no longer Python gives no source and no error."""
    assert source_of(str(tmp_path / "gone.py"), 1, 2) == ""
    changed = tmp_path / "changed.py"
    changed.write_text("def f(:\n")
    assert source_of(str(changed), 1, 9) == "def f(:\n"
    assert source_of(str(changed), 99, 100) == ""


def test_source_is_the_whole_function(tmp_path):
    """The source of a function is what Python's own tools say it is, with all that leaves no code behind."""
    checked = 0
    for module in (inspect, json, Path):
        for function in vars(module).values():
            code = getattr(function, "__code__", None)
            if (
                code is None
                or code.co_filename != inspect.getsourcefile(module)
                or hasattr(function, "__wrapped__")
            ):
                continue
            assert source_of(*extent(code)) == inspect.getsource(function)
            checked += 1
    assert checked > 50


def test_source_without_code_below(tmp_path):
    """What leaves no code behind belongs to a function's source, and what follows the function does not."""
    text = 'def documented():\n    """First.\n\n    Second.\n    """\n\n    # the end\n\n\nafter = 1\n'
    file = tmp_path / "module.py"
    file.write_text(text)
    names: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), names)
    assert source_of(*extent(names["documented"].__code__)) == text.partition("\n\n\nafter")[0] + "\n"
