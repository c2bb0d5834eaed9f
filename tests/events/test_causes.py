"""Parents and roots: what an event published anywhere was caused by, and what a recording keeps of it."""

import asyncio
import contextvars
import threading

import pytest

from plugbook.events.bus import Bus, Cause, current_cause
from plugbook.events.event import Event
from plugbook.trace.reading.recording import open_recording
from plugbook.trace.record import JsonText
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

from .conftest import Even, Number, Way, until


@pytest.fixture
def recorded():
    """A bus that records into memory."""
    recorder = Recorder(Store.memory())
    bus = Bus(recorder)
    yield bus
    assert bus.loop.close() == []
    recorder.close()


def dispatches(bus):
    return [row for row in bus.recorder.rows if not isinstance(row, tuple)]


def test_an_event_without_a_cause_is_its_own_root(way, bus):
    """At the top there is no parent."""
    report = way.publish(bus, Number())
    assert (report.parent, report.root) == (None, report.seq)


@pytest.mark.parametrize("kind", ["sync", "async", "mixed"])
@pytest.mark.parametrize("awaits", [False, True])
def test_the_parent_is_the_call_that_published(bus, kind, awaits):
    """Inside a handler it is that handler's call, two levels deep; the root stays the first event."""
    way, inner = Way(kind, awaits), []

    def publish(event):
        if event.n < 2:
            inner.append(bus.publish(Number(n=event.n + 1)))

    bus.subscribe(Number, way.handler(lambda event: None, 1))
    bus.subscribe(Number, way.handler(publish, 0))
    outer = way.publish(bus, Number())
    assert [report.parent for report in inner] == [outer.calls[1].seq, inner[0].calls[1].seq]
    assert {report.root for report in inner} == {outer.seq}


def test_threads_and_tasks_of_a_handler_are_inside_it(bus):
    """A thread=True handler, a task and a to_thread of an async handler all publish in that handler's name."""
    inner = []

    def in_thread(event):
        inner.append(bus.publish(Even()))

    async def task():
        inner.append(bus.publish(Even()))

    async def handler(event):
        await asyncio.create_task(task())
        await asyncio.to_thread(in_thread, event)

    bus.subscribe("test.number", in_thread, thread=True)
    bus.subscribe("test.number", handler)
    outer = bus.publish(Number())
    first, second = (call.seq for call in outer.calls)
    assert [report.parent for report in inner] == [first, second, second]


def test_a_task_keeps_its_cause_after_its_handler_ended(bus):
    """A background task that a handler spawned still publishes as caused by that call, and may await it."""
    go_on, inner, tasks = threading.Event(), [], []

    async def later():
        await asyncio.to_thread(go_on.wait, 10)
        inner.append(await bus.publish_async(Even()))
        assert inner[0].done

    async def handler(event):
        tasks.append(asyncio.create_task(later(), name="spawned"))

    bus.subscribe("test.number", handler)
    outer = bus.publish(Number())
    go_on.set()
    until(lambda: inner and tasks[0].done())
    assert tasks[0].exception() is None
    assert (inner[0].parent, inner[0].root, inner[0].task) == (outer.calls[0].seq, outer.seq, "spawned")


def test_causes_do_not_leak_from_one_event_to_the_next(way, bus):
    """After a dispatch the publisher has no cause, and a queued event of another thread keeps its own."""
    others = []

    def handler(event):
        if event.n == 0:
            other = threading.Thread(target=lambda: others.append(bus.publish(Number(n=1))))
            other.start()
            other.join()

    bus.subscribe(Number, way.handler(handler))
    way.publish(bus, Number())
    assert current_cause.get() is None
    assert bus.cause() is None
    assert [report.parent for report in others] == [None]
    assert others[0].done
    assert way.publish(bus, Number(n=2)).parent is None


def test_a_transition_is_a_cause(bus):
    """Where the host sets a cause, events have it as their parent, and waiting is allowed."""

    def start():
        current_cause.set(Cause(7168, 1024))
        report = bus.publish(Number()).wait()
        return report.parent, report.root

    assert contextvars.copy_context().run(start) == (7168, 1024)


def test_deliver_publishes_with_a_given_cause_past_the_gate(bus):
    """A replay holds back what handlers publish, and delivers the recorded events itself."""
    held, ran = [], []

    def gate(event, plugin):
        held.append((event, plugin))
        return report

    def handler(event):
        ran.append(event.n)
        bus.publish(Even(n=5), plugin="billing")
        raise LookupError

    report = bus.publish(Even())
    bus.subscribe("test.number", handler, policy="raise")
    bus.gate = gate
    delivered = bus.deliver(Number(n=1), plugin="shop", cause=Cause(99, 98))
    assert (delivered.parent, delivered.root, delivered.plugin) == (99, 98, "shop")
    assert delivered.outcome == "error"
    assert (ran, held) == ([1], [(Even(n=5), "billing")])
    assert asyncio.run(bus.publish_async(Number())) is report
    bus.gate = None
    with pytest.raises(LookupError):
        bus.publish(Number(n=2))
    assert ran == [1, 2]


# -- what is recorded -----------------------------------------------------------------------------


def test_a_payload_is_recorded_as_it_was_published(recorded):
    """A handler that changes a list inside an event changes nothing of the record."""

    class Basket(Event):
        items: list[int]

    recorded.subscribe(Basket, lambda event: event.items.append(2))
    report = recorded.publish(Basket(items=[1]))
    assert report.event.items == [1, 2]
    assert report.payload == JsonText('{"items":[1]}')


def test_every_dispatch_is_in_the_recorders_buffer_from_its_start(recorded):
    """A queued one and a running one are there while they are pending; complete ones have all their ticks."""
    during = []

    def handler(event):
        if event.n == 0:
            recorded.publish(Number(n=1))
            during.append([len(each.ticks) for each in dispatches(recorded)])

    recorded.subscribe(Number, handler)
    recorded.publish(Number())
    assert during == [[1, 0]]
    assert [len(each.ticks) for each in dispatches(recorded)] == [2, 2]
    assert all(each.born <= each.ticks[0] <= each.ticks[1] for each in dispatches(recorded))


def test_a_recording_is_written_while_events_are_published(tmp_path):
    """Whoever publishes past the deadline or the limit writes a batch, also in the middle of a long drain."""

    class Impatient(Recorder):
        written = 0

        def make_room(self):
            self.written += 1
            self.rows.clear()

    recorder = Impatient(Store.memory())
    recorder.limit = 5
    bus = Bus(recorder)
    bus.subscribe(Number, lambda event: event.n and bus.publish(Number(n=event.n - 1)))
    bus.publish(Number(n=30))
    assert recorder.written >= 4
    before = recorder.written
    for _ in range(12):
        bus.publish(Even())
    assert recorder.written - before >= 2
    recorder.close()


def test_subscriptions_and_schemas_are_recorded(recorded):
    """Who came and went is a change record; what events look like is stored once for each type and recorder."""
    disconnect = recorded.subscribe("test.**", print, plugin="shop", name="Shop.show", priority=2)
    recorded.publish(Number())
    recorded.publish(Number())
    disconnect()
    rows = [row for row in recorded.recorder.rows if isinstance(row, tuple)]
    changes = [(row[2], row[3], row[10]) for row in rows if len(row) > 4 and row[1] == "change"]
    payload = {"target": "test.**", "handler": "Shop.show", "priority": 2}
    assert changes == [("subscribe", "shop", payload), ("unsubscribe", "shop", payload)]
    assert [row[2] for row in rows if row[1] == "schema"] == ["test.number@1"]


def test_a_recording_names_who_was_called_in_the_end(tmp_path):
    """An event that was written while it was queued is updated with the handlers it went to."""
    recorder = Recorder(Store.create(tmp_path / "late.plugbook"))
    bus = Bus(recorder)

    def first(event):
        bus.publish(Even())
        recorder.flush()
        bus.subscribe(Even, lambda event: None, name="late", plugin="p")

    bus.subscribe("test.number", first, name="first")
    bus.publish(Number())
    recorder.close()
    with open_recording(tmp_path / "late.plugbook") as recording:
        assert list(recording.calls()["name"]) == ["first", "late"]


def test_a_recorder_makes_a_bare_bus_record():
    """Without timing nothing is recorded; with a recorder everything is timed and recorded again."""
    bus = Bus(timing=False)
    bus.subscribe(Number, lambda event: None)
    assert bus.publish(Number()).duration_ns is None
    bus.recorder = Recorder(Store.memory())
    report = bus.publish(Number())
    assert report.duration_ns is not None
    assert dispatches(bus) == [report]
    bus.recorder.close()
    bus.recorder = None
    assert bus.publish(Number()).duration_ns is None
