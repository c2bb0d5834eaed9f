"""A record in one line, as trees, summaries and the terminal show it."""

from __future__ import annotations

from plugbook.trace.reading.tree import describe, describe_failure
from plugbook.trace.record import Note, Record, describe_error
from tests.trace.builders import PLANS, dispatch


def failure():
    try:
        raise ValueError("no\n\nassert 1 == 2\n  +1")
    except ValueError as error:
        return describe_error(error)


def test_an_error_takes_one_line_and_says_where(bench):
    """Trees and summaries show the first line of a message, with file and line of the last frame."""
    recorder = bench.memory()
    event = dispatch(recorder, plan=PLANS["one"], notes={0: Note("error", error=failure())})
    recording = recorder.recording
    tree, summary = str(recording.tree(event.seq)), str(recording.summary())
    assert len(tree.splitlines()) == 2
    line = failure()["frames"][-1]["line"]
    for said in (tree, summary):
        assert f"ValueError: no (test_tree.py:{line})" in said
        assert "assert" not in said


def test_an_error_without_frames_has_no_place():
    """A recording may hold errors of which no more than the type is known."""
    assert describe_failure({"type": "Odd", "message": "", "frames": []}) == "Odd"
    assert describe_failure({"type": "Odd", "message": "no"}) == "Odd: no"


def test_what_a_log_or_a_mark_says_is_shown():
    """The line of a log holds its message, that of a mark its text, the first line of it."""
    log = Record(1024, 0, "log", "info", plugin="ledger", payload={"message": "booked\nmore"})
    assert describe(log) == "#1 log info (ledger) booked"
    mark = Record(2048, 0, "mark", "note", payload={"text": "before the fix"})
    assert describe(mark) == "#2 mark note before the fix"
    assert describe(Record(3072, 0, "log", "info", payload="odd")) == "#3 log info odd"
    assert describe(Record(3072, 0, "log", "info")) == "#3 log info"
    assert len(describe(Record(3072, 0, "mark", "note", payload={"text": "x" * 5_000}))) < 300
