"""The events of a recording in the order of delivery, and the cursor in them."""

from __future__ import annotations

import pytest

from plugbook.replay.stream import Stream
from plugbook.trace.record import BLOCK, CallSite, Dispatch, Plan
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store


def dispatch(seq: int, *, born: int, ticks: list[int], plan: Plan, parent: int | None = None) -> Dispatch:
    made = Dispatch()
    made.seq, made.name, made.plugin, made.parent, made.root = seq, "a.b", "p", parent, parent or seq
    made.plan, made.payload, made.born, made.ticks = plan, {}, born, ticks
    made.notes = made.cell = made.result = None
    made.thread, made.task, made.blocks = 1, "", ()
    return made


@pytest.fixture
def recorder():
    recorder = Recorder(Store.memory())
    yield recorder
    recorder.close()


def seqs(stream: Stream) -> list[int]:
    found = []
    while (row := stream.peek()) is not None:
        stream.pass_over(row)
        found.append(row[0])
    return found


def test_events_come_in_the_order_in_which_they_were_served(recorder):
    """Two threads may take their numbers in one order and be served in the other; what never began comes last."""
    plan = Plan([CallSite("f")])
    recorder.rows += [
        dispatch(10 * BLOCK, born=100, ticks=[170, 180], plan=plan),
        dispatch(11 * BLOCK, born=110, ticks=[], plan=plan),
        dispatch(12 * BLOCK, born=120, ticks=[130, 140], plan=plan),
    ]
    stream = Stream(recorder.recording)
    assert seqs(stream) == [12 * BLOCK, 10 * BLOCK, 11 * BLOCK]
    assert stream.total == stream.index == 3


def test_a_call_is_traced_to_its_handler_in_both_layouts(recorder):
    """The handler behind a parent is found where calls stand in the plan's order, and where they do not."""
    chain = Plan([CallSite("f", "p"), CallSite("g", "q")])
    spans = Plan([CallSite("f", "p"), CallSite("g", "q")], layout="spans")
    recorder.rows += [
        dispatch(10 * BLOCK, born=1, ticks=[2, 3, 4], plan=chain),
        dispatch(11 * BLOCK, born=5, ticks=[6, 1, 6, 7, 0, 7, 8, 9], plan=spans),
    ]
    stream = Stream(recorder.recording)
    first, second = stream.peek(), None
    stream.pass_over(first)
    second = stream.peek()
    assert stream.site(first[0], first[6], first[0] + 2).name == "g"
    assert stream.site(second[0], second[6], second[0] + 1).name == "g"
    assert stream.site(second[0], None, second[0] + 1) is None


def test_a_call_beyond_the_first_block_is_traced_too(recorder):
    """An event of more calls than fit into a block of seqs still names each of its handlers."""
    plan = Plan([CallSite(f"f{number}") for number in range(BLOCK + 10)])
    event = dispatch(10 * BLOCK, born=1, ticks=list(range(BLOCK + 11)), plan=plan)
    event.blocks = (11 * BLOCK,)
    recorder.rows.append(event)
    stream = Stream(recorder.recording)
    row = stream.peek()
    for index in (0, BLOCK - 2, BLOCK - 1, BLOCK + 9):
        assert stream.site(row[0], row[6], event.call_seq(index)).name == f"f{index}"


def test_an_empty_recording_has_an_end_and_no_events(recorder):
    """Nothing recorded is nothing to play."""
    stream = Stream(recorder.recording)
    assert stream.peek() is None
    assert (stream.total, stream.position.seq, stream.position.index) == (0, None, 0)


def test_what_is_recorded_later_is_not_part_of_it(recorder):
    """A stream ends where the recording ended when it was made."""
    plan = Plan()
    recorder.rows.append(dispatch(10 * BLOCK, born=1, ticks=[2], plan=plan))
    stream = Stream(recorder.recording)
    recorder.rows.append(dispatch(11 * BLOCK, born=3, ticks=[4], plan=plan))
    assert seqs(stream) == [10 * BLOCK]
