"""Marks: notes that change nothing of what a recording says."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from plugbook.errors import RecordingError
from plugbook.trace.reading.recording import open_recording
from tests.trace.builders import dispatch


@pytest.fixture
def finished(bench):
    """A recording of two events that was closed; the second one happened 5 s after the first."""
    recorder = bench.recorder(payloads="summary", sources=False)
    dispatch(recorder)
    dispatch(recorder).born += 5_000_000_000
    recorder.close()
    return recorder.store.path


def test_a_mark_on_a_finished_file_changes_no_statistics(bench, finished):
    """Span, overhead, options and origin stay what they were, however late the mark is made."""
    with open_recording(finished) as before:
        summary, info = before.summary(), before.info
        before.mark("looked at")
    with closing(sqlite3.connect(finished)) as connection, connection:  # as if it was made a day later
        connection.execute("UPDATE rows SET time_ns = time_ns + 86400000000000 WHERE kind = 7")
    after = bench.keep(open_recording(finished))
    told = after.summary()
    assert (told.span_ns, told.overhead_ns) == (summary.span_ns, summary.overhead_ns)
    assert told.span_ns == pytest.approx(5e9, rel=0.1)
    assert told.counts == summary.counts | {"mark": 1}
    assert {key: after.info[key] for key in ("origin", "options", "closed")} == {
        key: info[key] for key in ("origin", "options", "closed")
    }


def test_marks_are_read_back(bench, finished):
    """Each mark has a seq after all others, says what was written, and is found again."""
    with open_recording(finished) as recording:
        seqs = [recording.mark("one"), recording.mark("two", plugin="billing")]
    after = bench.keep(open_recording(finished))
    assert [after[seq].payload for seq in seqs] == [{"text": "one"}, {"text": "two"}]
    assert after[seqs[1]].plugin == "billing"
    assert [record.seq for record in after][-2:] == seqs


def test_a_recording_in_memory_takes_no_marks_once_closed(bench):
    """There is no file to put them into."""
    recorder = bench.memory()
    recorder.close()
    with pytest.raises(RecordingError, match="takes no marks"):
        recorder.recording.mark("late")
