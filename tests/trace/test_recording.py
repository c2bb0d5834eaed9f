"""Reading: records, frames, SQL views and selections tell the same story, whatever was recorded."""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugbook._clock import tick
from plugbook.errors import FrameTooLargeError, RecordingError, SelectionError, UnknownNameError
from plugbook.trace.reading.recording import open_recording
from plugbook.trace.reading.selection import Patterns
from plugbook.trace.record import BLOCK, KINDS, CallSite, Note, Plan
from tests.trace.builders import PLANS, Bench, complete, dispatch

pytestmark = pytest.mark.usefixtures("no_leaked_threads")

TOPICS = [
    "order",
    "order.placed",
    "order.placed.late",
    "invoice.sent",
    "pytest_runtest_call",
    "a..b",
    "x\0y",
    "ü\ud800",
]
PLUGINS = ["", "ledger", "billing", "tmpl.vars"]
# SQLite's JSON functions, which the views use, end a text at a NUL.
reasons = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
note = st.builds(
    Note,
    outcome=st.sampled_from(["ok", "error", "timeout", "cancelled", "skipped"]),
    reason=st.none() | reasons,
    result=json_values,
    error=st.none() | st.fixed_dictionaries({"type": st.text(max_size=4), "message": st.text(max_size=6)}),
    has_result=st.booleans(),
)


@st.composite
def plans(draw):
    sites = draw(
        st.lists(
            st.builds(CallSite, name=st.sampled_from(["f", "g", "A.b"]), plugin=st.sampled_from(PLUGINS)),
            max_size=4,
        )
    )
    return Plan(sites, layout=draw(st.sampled_from(["chain", "spans"])))


@st.composite
def dispatches(draw):
    """What `dispatch` takes: a plan with ticks that are complete or not, and notes of calls that were made."""
    plan = draw(plans())
    ended = draw(st.booleans())
    if plan.layout == "chain":
        ran = len(plan.sites) if ended else draw(st.integers(0, len(plan.sites)))
        steps = draw(st.lists(st.integers(0, 10**10), min_size=ran, max_size=ran))
        offsets = [sum(steps[:index]) for index in range(ran + 1)]
        ticks = [] if not ended and draw(st.booleans()) else offsets
        made = max(0, len(ticks) - 1)
    else:
        sites = draw(st.lists(st.integers(0, len(plan.sites) - 1), max_size=5)) if plan.sites else []
        made = len(sites)
        ticks = [0]
        for index, site in enumerate(sites):
            begin = index * 7
            ticks += [site, begin, begin + draw(st.integers(0, 50)) if ended or draw(st.booleans()) else -1]
        if ended:
            ticks.append(500)
    notes = draw(st.dictionaries(st.integers(0, made - 1), note, max_size=3)) if made else {}
    return {
        "topic": draw(st.sampled_from(TOPICS)),
        "plugin": draw(st.sampled_from(PLUGINS)),
        "plan": plan,
        "ticks": ticks,
        "notes": notes or None,
        "payload": draw(json_values),
        "cell": draw(st.none() | st.tuples(st.integers(1, 9), st.text("abc", max_size=3))),
        "task": draw(st.sampled_from(["", "Task-1"])),
    }


entries = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([kind for kind in KINDS if kind not in ("event", "call")]),
        "name": st.sampled_from(["starting->active", "info", "note", "odd"]),
        "plugin": st.sampled_from(PLUGINS),
        "duration_ns": st.none() | st.integers(0, 10**12),
        "outcome": st.sampled_from(["ok", "error", "cancelled"]),
        "reason": reasons,
        "payload": json_values,
        "result": json_values,
        "error": st.none()
        | st.fixed_dictionaries({"type": st.text(max_size=3), "message": st.text(max_size=3)}),
    }
)
stories = st.lists(dispatches() | entries, max_size=12)


def tell(recorder, story):
    """Record a story; the records that must be read back."""
    told = []
    for part in story:
        if "kind" in part:
            given = dict(part)
            seq = recorder.put(given.pop("kind"), given.pop("name"), **given)
            told.append({"seq": seq, **part})
            continue
        given = dict(part)
        start = tick()
        ticks = _absolute(given.pop("ticks"), part["plan"], start)
        made = dispatch(recorder, given.pop("topic"), ticks=ticks, **given)
        told += _expected(made, part)
    return told


def _absolute(offsets, plan, start):
    if plan.layout == "chain" or not offsets:
        return [start + offset for offset in offsets]
    absolute = [start]
    for at in range(1, len(offsets) - 2, 3):
        site, begin, end = offsets[at : at + 3]
        absolute += [site, start + begin, 0 if end < 0 else start + end]
    return absolute + [start + end for end in offsets[1 + 3 * ((len(offsets) - 1) // 3) :]]


def _expected(made, part):
    plan, ticks = made.plan, made.ticks
    if plan.layout == "chain":
        lengths = [b - a for a, b in itertools.pairwise(ticks)]
        done = len(ticks) == len(plan.sites) + 1
        calls = [(site, length) for site, length in enumerate(lengths)]
        if ticks and not done:
            calls.append((len(lengths), None))
    else:
        done = len(ticks) % 3 == 2
        spans = [ticks[at : at + 3] for at in range(1, len(ticks) - 2, 3)]
        calls = [(site, end - begin if end else None) for site, begin, end in spans]
    notes = made.notes or {}
    failed = any(note.outcome == "error" for note in notes.values())
    outcome = "open" if not done else "unhandled" if not plan.sites else "error" if failed else "ok"
    yield {
        "seq": made.seq,
        "kind": "event",
        "name": part["topic"],
        "plugin": part["plugin"],
        "payload": part["payload"],
        "outcome": outcome,
        "duration_ns": ticks[-1] - ticks[0] if done else None,
    }
    for index, (site, length) in enumerate(calls):
        said = notes.get(index, Note("open" if length is None else "ok"))
        if length is None and said.outcome == "ok":
            said = said._replace(outcome="open")
        yield {
            "seq": made.seq + 1 + index,
            "kind": "call",
            "name": plan.sites[site].name,
            "plugin": plan.sites[site].plugin,
            "duration_ns": length,
            "outcome": said.outcome,
            "reason": said.reason or "",
            "result": said.result if said.has_result else None,
            "error": said.error,
        }


def stored(text):
    """Text as a recording can hold it: half of a surrogate pair has no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


@settings(max_examples=40)
@given(story=stories)
def test_whatever_is_recorded_is_read_back(story):
    """Records, frames and SQL views give back what was put in, of finished and of open dispatches."""
    with tempfile.TemporaryDirectory() as folder, closing(Bench(Path(folder))) as bench:
        recorder = bench.recorder()
        told = tell(recorder, story)
        recorder.flush()
        check(recorder.recording, told)
        recorder.close()
        with open_recording(recorder.store.path) as closed:
            check(closed, told)
            times = [record.time_ns for record in closed if record.kind != "call"]
            assert times == sorted(times)


def check(recording, told):
    """Compare a recording with what was told, by each of the ways to read it."""
    read = list(recording.records())
    assert len(read) == len(told) == len(recording)
    for record, expected in zip(read, told, strict=True):
        for name, value in expected.items():
            given = getattr(record, name)
            assert given == (stored(value) if name == "name" else value), (name, given, value)
    calls, events = recording.calls(), recording.events()
    as_called = [record for record in read if record.kind == "call"]
    assert [*calls["seq"]] == [record.seq for record in as_called]
    assert [*calls["name"]] == [record.name for record in as_called]
    assert [*calls["plugin"]] == [record.plugin for record in as_called]
    assert [*calls["outcome"]] == [record.outcome for record in as_called]
    assert [*calls["reason"]] == [record.reason for record in as_called]
    assert [*calls["time"].astype("int64")] == [record.time_ns for record in as_called]
    assert [None if pd.isna(value) else value for value in calls["duration_ns"]] == [
        record.duration_ns for record in as_called
    ]
    assert [json.loads(text) if text else None for text in calls["result"]] == [
        record.result for record in as_called
    ]
    as_published = [record for record in read if record.kind == "event"]
    assert [*events["seq"]] == [record.seq for record in as_published]
    assert [*events["topic"]] == [record.name for record in as_published]
    assert [*events["outcome"]] == [record.outcome for record in as_published]
    assert [json.loads(text) if text else None for text in events["payload"]] == [
        record.payload for record in as_published
    ]
    view = recording.sql(
        "SELECT seq, time_ns, kind, name, plugin, outcome, reason, parent, root FROM records ORDER BY seq"
    )
    for record, row in zip(read, view.itertuples(index=False), strict=True):
        assert tuple(None if pd.isna(value) else value for value in row) == (
            record.seq, record.time_ns, record.kind, record.name, record.plugin, record.outcome, record.reason,
            record.parent, record.root,
        )  # fmt: skip


patterns = st.sampled_from(["order.*", "order.**", "**", "*", "order", "nobody", "tmpl.*", "led*", "billing"])
selections = st.fixed_dictionaries(
    {},
    optional={
        "topics": patterns | st.lists(patterns, max_size=2),
        "plugins": patterns | st.lists(patterns, max_size=2),
        "kinds": st.sampled_from(KINDS) | st.lists(st.sampled_from(KINDS), max_size=3),
        "outcome": st.sampled_from(["ok", "error", "open", "unhandled", "skipped"]),
        "seq": st.tuples(st.integers(BLOCK, 12 * BLOCK), st.integers(0, 5 * BLOCK)).map(
            lambda ends: (ends[0], sum(ends))
        ),
        "where": st.sampled_from(
            ["plugin = 'billing'", "kind = 'call' OR duration_ns > 100", "seq % 2 = 0 -- odd"]
        ),
    },
)
MEANS = {
    "plugin = 'billing'": lambda r: r.plugin == "billing",
    "kind = 'call' OR duration_ns > 100": lambda r: r.kind == "call" or (r.duration_ns or 0) > 100,
    "seq % 2 = 0 -- odd": lambda r: r.seq % 2 == 0,
}


def as_list(names):
    return [names] if isinstance(names, str) else names


def plainly(records, asked):
    """What a selection must give, by looking at each record in turn."""
    topic = None
    for record in records:
        if record.kind != "call":
            topic = record.name if record.kind == "event" else None
        first, last = asked.get("seq", (0, math.inf))
        last = last if last is math.inf or last % BLOCK else last + BLOCK - 1
        if (
            ("topics" not in asked or (topic is not None and topic in Patterns(as_list(asked["topics"]))))
            and ("plugins" not in asked or record.plugin in Patterns(as_list(asked["plugins"])))
            and ("kinds" not in asked or record.kind in as_list(asked["kinds"]))
            and ("outcome" not in asked or record.outcome == asked["outcome"])
            and first <= record.seq <= last
            and ("where" not in asked or MEANS[asked["where"]](record))
        ):
            yield record


@settings(max_examples=40)
@given(story=stories, asked=selections, again=selections)
def test_a_selection_is_a_plain_filter(story, asked, again):
    """A selection, and a selection of it, give in every way what a plain filter of the records gives."""
    recorder = Bench(Path()).memory()
    tell(recorder, story)
    whole = recorder.recording
    part = whole.select(**asked).select(**again)
    chosen = {record.seq for record in plainly(whole, asked)} & {
        record.seq for record in plainly(whole, again)
    }
    expected = [record for record in whole if record.seq in chosen]
    assert list(part.records()) == expected
    for kind, frame in (
        ("event", part.events),
        ("call", part.calls),
        ("state", part.states),
        ("log", part.logs),
    ):
        seqs = [record.seq for record in expected if record.kind == kind]
        assert [*frame(columns="seq")["seq"]] == seqs
        assert [*frame(columns="seq", limit=2)["seq"]] == seqs[:2]
        assert [*frame(columns="seq", limit=-2)["seq"]] == seqs[-2:]
        assert part.count(kind) == len(seqs)
    by_function = whole.select(where=lambda record: record.seq in chosen)
    assert list(by_function) == expected
    assert [*by_function.calls()["seq"]] == [record.seq for record in expected if record.kind == "call"]
    assert [row[0] for row in part.stream()] == [record.seq for record in expected if record.kind == "event"]
    assert len(part) == len(expected)


@pytest.fixture
def shop(bench):
    """A small closed recording: an order, what it caused, a transition and a log line."""
    recorder = bench.recorder()
    order = dispatch(
        recorder,
        payload={"amount": 9.5},
        notes={1: Note("error", error={"type": "ValueError", "message": "no"})},
    )
    inside = order.call_seq(1)
    invoice = dispatch(
        recorder, "invoice.sent", plan=PLANS["one"], parent=inside, root=order.seq, plugin="billing"
    )
    recorder.put("state", "starting->active", plugin="billing", duration_ns=5_000)
    recorder.put(
        "log",
        "warning",
        plugin="billing",
        payload={"message": "late"},
        parent=invoice.call_seq(0),
        root=order.seq,
    )
    recorder.describe("manifest", "billing", {"version": "1.0"})
    recorder.close()
    return bench.keep(open_recording(recorder.store.path))


def test_times_select_rows(shop):
    """A time may be given in every way that people write one, and both ends belong to the selection."""
    first, *_, last = (record for record in shop if record.kind != "call")
    begin, end = pd.Timestamp(first.time_ns, tz="UTC"), pd.Timestamp(last.time_ns, tz="UTC")
    assert len(shop.select(time=(begin, end))) == len(shop)
    assert len(shop.select(time=(begin.isoformat(), None))) == len(shop)
    assert len(shop.select(time=(None, first.time_ns))) == 4
    assert len(shop.select(time=(0.0, 3600.0))) == len(shop)
    assert len(shop.select(time=(last.time_ns + 1, None))) == 0
    assert shop.seek(time=last.time_ns) == last.seq


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"kinds": "evnt"}, "Did you mean 'event'"),
        ({"outcome": "failed"}, "no outcome 'failed'"),
        ({"seq": "10.x"}, "not a seq"),
        ({"seq": 1.5}, "not a seq"),
        ({"seq": 303}, "Write '303', as trees show it"),
        ({"seq": (303, 310)}, "Write '303'"),
        ({"seq": ("20", "10")}, "backwards, from 20 to 10"),
        ({"seq": slice("20", "10")}, "backwards"),
        ({"seq": ("1", "2", "3")}, "3 parts"),
        ({"time": "yesterday"}, "two moments"),
        ({"topics": 3}, "3 is no text"),
        ({"plugins": ["billing", None]}, "None is no text"),
        ({"where": 3}, "3 is neither"),
        ({"topic": "order.*"}, "Did you mean 'topics'"),
        ({"time": ("never", None)}, "not a moment"),
        ({"time": (3.0, 1.0)}, "backwards, from 3.0 to 1.0"),
        ({"where": "nonsense ("}, "not understood"),
        ({"where": "1); DELETE FROM rows; --"}, "not understood"),
    ],
)
def test_what_cannot_be_selected_is_said(shop, asked, says):
    """A selection that names what cannot be is refused with what is wrong and what there is."""
    with pytest.raises(SelectionError, match=says):
        list(shop.select(**asked))


def test_a_record_is_found_by_what_people_see(shop):
    """`recording["1.2"]` is the record the log shows so, and an unknown seq is refused."""
    event = next(record for record in shop if record.kind == "event")
    assert shop[event.seq] == event
    assert shop[f"{event.seq // BLOCK}.2"].name == "Billing.bill"
    with pytest.raises(UnknownNameError, match=r"No record has the seq 9999. They go from \d+ to \d+"):
        shop["9999"]


def test_a_seq_in_the_other_form_is_recognised(shop):
    """Whoever gives as text what frames hold, or as an int what trees show, is told what to write."""
    event = next(record for record in shop if record.kind == "event")
    shown = str(event.seq // BLOCK)
    for mistaken in (int(shown), str(event.seq)):
        for ask in (shop.__getitem__, shop.tree):
            with pytest.raises(UnknownNameError, match=f"Did you mean '{shown}'?"):
                ask(mistaken)


def test_what_has_a_seq_stands_for_it(shop):
    """A record, or a report and its calls, are taken wherever a seq is."""
    event = next(record for record in shop if record.kind == "event")
    assert shop[event] == event
    assert shop.tree(event).record == shop.tree(event.seq).record


def test_a_seq_of_any_length_is_answered(shop):
    """A number beyond all that a recording can hold is no record's, and chooses nothing."""
    for huge in ("9" * 30, 10**30):
        with pytest.raises(UnknownNameError, match="No record has the"):
            shop[huge]
        assert len(shop.select(seq=huge)) == 0
    with pytest.raises(UnknownNameError, match=r"the seq 5000\. They go"):
        shop["5000"]


def test_what_is_no_recording_and_no_limit_is_said(shop):
    """A path that is none, a limit that is no number and columns that are no names are refused in words."""
    with pytest.raises(RecordingError, match=r"open_recording\('run.plugbook'\)"):
        open_recording(3)
    for frame in (shop.calls, shop.events, shop.logs):
        with pytest.raises(SelectionError, match="limit='x' is no number of rows"):
            frame(limit="x")
        with pytest.raises(SelectionError, match="no column 3"):
            frame(columns=3)


def test_a_tree_shows_what_caused_what(shop):
    """The tree of a root holds everything it caused, each below its cause; that of another record its causes too."""
    log = next(record for record in shop if record.kind == "log")
    whole = ["event", "call", "call", "event", "call", "log", "call"]
    assert [node.record.kind for node in shop.tree(log.root)] == whole
    tree = shop.tree(log.seq)
    assert [node.record.kind for node in tree] == ["event", "call", "event", "call", "log"]
    assert "ValueError: no" in str(tree)
    assert str(tree).count("◀") == 1
    assert "└─" in str(tree)


def test_frames_have_their_columns(shop):
    """Frames have the documented columns with times in UTC, also where nothing is chosen."""
    states, logs = shop.states(), shop.logs()
    assert states.loc[0, ["plugin", "before", "after"]].tolist() == ["billing", "starting", "active"]
    assert logs.loc[0, ["level", "message"]].tolist() == ["warning", "late"]
    assert shop.events()["errors"].tolist() == [1, 0]
    assert str(shop.events()["time"].dtype) == "datetime64[ns, UTC]"
    empty = shop.select(topics="nobody")
    for frame in (shop.events(), shop.calls(), states, logs, shop.changes(), shop.inputs(), shop.marks()):
        assert frame.columns.is_unique
    assert [*empty.events().columns] == [*shop.events().columns]
    assert [*empty.calls().columns] == [*shop.calls().columns]
    with pytest.raises(SelectionError, match="Did you mean 'topic'"):
        shop.events(columns=["topics"])


def test_a_frame_that_does_not_fit_is_refused(shop):
    """A frame over the memory budget is refused, naming select; a narrower one is made."""
    shop.frame_budget_bytes = 300
    with pytest.raises(FrameTooLargeError, match="select"):
        shop.events()
    with pytest.raises(FrameTooLargeError, match="select"):
        shop.calls()
    assert len(shop.events(columns="seq", limit=1)) == 1


@pytest.mark.parametrize("limit", [10**9, -(10**9), 2])
def test_a_limit_does_not_lift_the_memory_budget(shop, limit):
    """A limit is held against the memory budget like anything else: by the rows that it lets through."""
    shop.frame_budget_bytes = 300
    for frame in (shop.events, shop.calls):
        with pytest.raises(FrameTooLargeError, match="limit="):
            frame(limit=limit)


def test_a_query_is_held_against_the_memory_budget(shop):
    """A person's own query that gives more than the memory budget is refused, naming select and limit."""
    shop.frame_budget_bytes = 300
    with pytest.raises(FrameTooLargeError, match=r"select.*limit="):
        shop.sql("SELECT * FROM records")
    assert shop.sql("SELECT count(*) AS n FROM records")["n"].tolist() == [len(shop)]


def test_sql_reads_and_never_writes(shop):
    """A person's own query gives a frame; one that would write is refused."""
    assert shop.sql("SELECT count(*) AS n FROM calls WHERE outcome = ?", ("error",))["n"].tolist() == [1]
    for text in (
        "DELETE FROM rows",
        "CREATE TABLE x(y)",
        "PRAGMA user_version=9; SELECT 1",
        "SELECT nothing",
        3,
    ):
        with pytest.raises(SelectionError):
            shop.sql(text)
    assert shop.facts("manifest") == {"billing": {"version": "1.0"}}


def test_a_summary_says_what_a_person_asks_first(shop):
    """Counts, slowest handlers, errors, what the recording allows and what it cost are in the summary."""
    summary = shop.summary()
    assert summary.counts == {"event": 2, "call": 4, "state": 1, "log": 1}
    assert summary.error_count == 1
    text = str(summary)
    for said in ("order.placed 1", "ValueError: no", "replay    yes", "recording took"):
        assert said in text
    assert shop.select(topics="invoice.*").summary().counts == {"event": 1, "call": 1}


def test_a_name_that_is_nearly_right_gets_a_suggestion(shop):
    """A selection by a name that does not occur is empty, and its summary says which name comes near."""
    part = shop.select(topics=["order.placd", "invoice.*"], plugins="biling")
    assert len(part) == 0
    assert "no topic 'order.placd' here. Did you mean 'order.placed'?" in str(part.summary())
    assert "no topic 'order.placd' here" in repr(part)
    (told,) = shop.select(topics="odrer.*").unknown_names
    assert told == "No topic matches 'odrer.*'. There are: invoice.sent, order.placed."
    assert shop.select(plugins=["billing", ""]).unknown_names == []


@pytest.mark.parametrize(
    "asked",
    [
        {"topics": "order.*"},
        {"plugins": "billing"},
        {"kinds": "call"},
        {"kinds": ["call", "log"], "outcome": "error"},
        {"where": "kind = 'call'"},
    ],
)
def test_the_repr_of_a_selection_says_how_much_it_is(shop, asked):
    """A selection shows how many records are chosen, calls included."""
    part = shop.select(**asked)
    assert f"(a selection of {len(part)} record" in repr(part)


def test_an_export_of_a_misspelt_name_is_refused(shop, tmp_path):
    """Where a name does not occur and nothing is chosen, no file is written, and the message says which name."""
    with pytest.raises(SelectionError, match=r"no topic 'order\.placd' here"):
        shop.select(topics="order.placd").export(tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_the_order_of_a_call_is_text_everywhere(bench):
    """What `calls()` and the view say of the order of a call is the same text, also of digits alone."""
    recorder = bench.memory()
    dispatch(recorder, plan=Plan([CallSite("f", "p", "10"), CallSite("g", "p")]))
    recording = recorder.recording
    assert recording.calls()["order"].tolist() == ["10", ""]
    assert recording.sql('SELECT "order" FROM calls ORDER BY seq')["order"].tolist() == ["10", ""]


def test_a_closed_recording_says_so(shop):
    """Asking a recording that was closed names the way to open it again."""
    shop.close()
    with pytest.raises(RecordingError, match="open_recording"):
        shop.events()


def test_calls_beyond_a_block_have_their_own_seqs(bench):
    """An event of more than 1,023 calls takes further blocks, and each call is found by its seq."""
    recorder = bench.recorder()
    dispatch(recorder)
    big = dispatch(recorder, plan=PLANS["many"])
    dispatch(recorder)
    recorder.close()
    recording = bench.keep(open_recording(recorder.store.path))
    seqs = [big.call_seq(index) for index in range(2 * BLOCK)]
    assert [record.seq for record in recording if record.parent == big.seq] == seqs
    calls = recording.calls()
    assert calls.loc[calls["event"] == big.seq, "seq"].tolist() == seqs
    assert (
        recording.sql("SELECT seq FROM calls WHERE event = ? ORDER BY time_ns, seq", (big.seq,))[
            "seq"
        ].tolist()
        == seqs
    )
    late = seqs[1500]
    assert recording[late].name == "handler 1500"
    assert [record.seq for record in recording.select(seq=(late, late + 1))] == [late, late + 1]
    assert recording.select(seq=late).calls()["seq"].tolist() == [late]


def test_both_layouts_in_one_frame(bench):
    """Calls of chains and of spans stand in one frame in the order of their events."""
    recorder = bench.memory()
    for name in ("three", "spans", "one", "spans", "none"):
        dispatch(recorder, name, plan=PLANS[name])
    calls = recorder.recording.calls()
    assert calls["topic"].tolist() == ["three"] * 3 + ["spans"] * 2 + ["one"] + ["spans"] * 2
    assert calls["duration_ns"].tolist() == [100] * 8
    assert calls["seq"].is_monotonic_increasing


def test_since_gives_what_a_live_tail_lacks(bench):
    """After each commit, `since` gives the new rows and those that were open and have changed."""
    recorder = bench.recorder()
    slow = dispatch(recorder, ticks=[])
    recorder.flush()
    recording = recorder.recording
    seen = recording.version
    quick = dispatch(recorder)
    slow.ticks.extend(complete(slow.plan, tick()))
    recorder.flush()
    assert recording.version > seen
    assert [*recording.since(seen).events()["seq"]] == [slow.seq, quick.seq]
    assert len(recording.since(recording.version)) == 0
