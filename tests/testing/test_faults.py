"""Faults on demand: each does what it says, is seen in the recording, and leaves a plugin clean."""

from __future__ import annotations

import asyncio
import threading

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import EventError, PluginError, UnknownNameError, UnknownPluginError
from plugbook.testing.clock import VirtualClock
from plugbook.testing.faults import Faults


class Placed(Event, topic="fault.placed"):
    number: int


class Sent(Event, topic="fault.sent"):
    pass


class Billing(Plugin, name="billing"):
    """Handles one event inline and one on the loop, and notes what it is given."""

    def __init__(self):
        self.seen = []

    def start(self, ctx):
        ctx.defer(self.seen.clear)

    @on(Placed, timeout=0.05)
    async def bill(self, placed):
        self.seen.append(placed.number)
        return placed.number

    @on(Sent)
    def send(self, sent):
        self.seen.append("sent")

    def health(self):
        return True


class Thread(Plugin, name="thread"):
    @on(Placed, thread=True, timeout=0.05)
    def wait(self, placed):
        return "waited"


@pytest.fixture
def shop():
    with Host([Billing, Thread]) as host:
        host.start()
        yield host


@pytest.fixture
def faults(shop):
    return Faults(shop)


def seen(host):
    return host.plugins["billing"].instance.seen


def publish(host, number=1):
    return [(call.handler, call.outcome, call.reason) for call in host.publish(Placed(number=number)).calls]


def test_a_dropped_event_does_not_arrive(shop, faults):
    """A handler is not called while its events are dropped; the others are, and afterwards it is again."""
    with faults.drop(Placed, plugin="billing") as drop:
        calls = publish(shop)
    assert calls[0] == ("fault: drop(Billing.bill)", "ok", "fault: dropped; did not call what is behind it")
    assert calls[1][:2] == ("Billing.bill", "skipped")
    assert calls[2][:2] == ("Thread.wait", "ok")
    assert seen(shop) == []
    assert drop.count == 1
    assert publish(shop, 2) == [("Billing.bill", "ok", ""), ("Thread.wait", "ok", "")]


def test_other_events_of_the_plugin_arrive(shop, faults):
    """A fault is for its events alone, whether they are given as a type or as a pattern."""
    with faults.drop("fault.placed"):
        shop.publish(Sent())
        publish(shop)
    assert seen(shop) == ["sent"]


def test_a_fault_is_in_the_recording(shop, faults):
    """What a fault did can be read in the recording, as a call with its reason."""
    with faults.drop(Placed, plugin="billing"):
        publish(shop)
    calls = shop.recording.calls()
    assert "fault: dropped" in calls[calls.name == "fault: drop(Billing.bill)"].reason.iloc[0]


def test_a_duplicate_arrives_twice(shop, faults):
    """A handler is called twice with the same event, async and inline."""
    with faults.duplicate("fault.*", plugin="billing"):
        publish(shop, 7)
        shop.publish(Sent())
    assert seen(shop) == [7, 7, "sent", "sent"]


def test_a_failure_is_in_the_place_of_the_handler(shop, faults):
    """The error is raised, the handler is not called, and the others are."""
    with faults.fail(Placed, BlockingIOError, plugin="billing"):
        report = shop.publish(Placed(number=1))
    assert [type(call.error) for call in report.errors] == [BlockingIOError]
    assert seen(shop) == []
    assert report.calls[-1].result == "waited"


@pytest.mark.parametrize("plugin", ["billing", "thread"])
def test_what_hangs_is_ended_by_its_timeout(shop, faults, plugin):
    """A handler that never comes back is left when its time is up, async or on a thread, and nothing stays."""
    with faults.hang(Placed, plugin=plugin):
        outcomes = {call.handler: call.outcome for call in shop.publish(Placed(number=1)).calls}
    assert "timeout" in outcomes.values()
    for thread in threading.enumerate():
        if "Thread.wait" in thread.name:
            thread.join()
    shop.stop()
    faults.assert_clean()


def test_what_would_hang_for_ever_is_refused(shop, faults):
    """A handler that nobody could leave does not hang: its call fails, and says what it needs."""
    with faults.hang(Sent):
        [error] = shop.publish(Sent()).errors
    assert isinstance(error.error, EventError)
    assert "Give the handler a timeout" in str(error.error)


def test_a_delay_goes_by_the_clock_of_the_host(shop, faults):
    """Handlers begin so much later, and with a virtual clock nobody waits for it."""
    clock = VirtualClock()
    clock.govern(shop)
    with faults.delay("fault.*", 3_600, plugin="billing"):
        publish(shop, 7)
        shop.publish(Sent())
    assert clock.elapsed.total_seconds() == 7_200
    assert seen(shop) == [7, "sent"]


def test_the_nth_time_alone(shop, faults):
    """With nth, a fault strikes once, that time."""
    with faults.drop(Placed, plugin="billing", nth=2) as drop:
        for number in (1, 2, 3):
            publish(shop, number)
    assert seen(shop) == [1, 3]
    assert drop.count == 1


def test_chance_is_repeatable(shop):
    """With a probability it strikes sometimes, and the same seed gives the same faults."""

    def survivors(seed):
        seen(shop).clear()
        with Faults(shop, seed=seed).drop(Sent, probability=0.5) as drop:
            got = [bool(shop.publish(Sent()) and seen(shop) and seen(shop).pop()) for _ in range(40)]
        assert 0 < drop.count < 40
        return got

    assert survivors(1) == survivors(1) != survivors(2)


def test_plugins_that_start_meanwhile_have_it_too(shop, faults):
    """A fault is around the handlers of a plugin that is restarted inside of it."""
    with faults.drop(Placed, plugin="billing") as drop:
        shop.restart("billing")
        publish(shop)
    assert drop.count == 1
    assert [each.middleware for each in shop.subscriptions] == [(), (), ()]


def test_an_error_in_start(shop, faults):
    """A start that fails does so with this error, leaves nothing behind, and works again afterwards."""
    shop.stop("billing")
    with faults.raise_in("billing", "start", BlockingIOError) as fault, pytest.raises(PluginError) as caught:
        shop.start("billing")
    assert isinstance(caught.value.__cause__, BlockingIOError)
    assert fault.count == 1
    marks = [record.payload["text"] for record in shop.recording.select(kinds="mark")]
    assert marks == ["fault: BlockingIOError raised in start"]
    shop.start("billing")
    assert shop.states["billing"] == "active"
    assert "start" in vars(Billing)


def test_an_error_in_an_inherited_method(shop, faults):
    """A method that the class does not have of its own is given back as it was."""
    shop.stop("thread")
    with faults.raise_in("thread", "start", OSError("no")), pytest.raises(PluginError, match="no"):
        shop.start("thread")
    assert "start" not in vars(Thread)
    shop.start("thread")


def test_an_error_in_cleanup(shop, faults):
    """When a cleanup fails, the others run all the same, and nothing is held."""
    kept = seen(shop)
    kept.append("something")
    with faults.raise_in("billing", "stop", BlockingIOError), pytest.raises(PluginError):
        shop.stop("billing").check()
    assert kept == []
    faults.assert_clean()


def test_what_is_held_is_told(shop, faults):
    """What stays behind after a fault fails the assertion, which names it."""
    never = asyncio.Event()  # held here, or the collector may take it and the task that waits for it

    class Careless(Plugin, name="careless"):
        async def start(self, ctx):
            self.task = asyncio.create_task(never.wait(), name="forgotten")

    shop.add(Careless)
    shop.stop("careless")
    with pytest.raises(AssertionError, match="careless"):
        faults.assert_clean()


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda f: f.drop(Placed, plugin="biling"), UnknownPluginError, "Did you mean 'billing'"),
        (lambda f: f.drop(7), EventError, "cannot listen"),
        (lambda f: f.drop(Placed, nth=0), EventError, "nth must be"),
        (lambda f: f.drop(Placed, probability=2), EventError, "between 0 and 1"),
        (lambda f: f.drop(Placed, probabilty=1), EventError, "Did you mean 'probability'"),
        (lambda f: f.delay(Placed, -1), EventError, "0 or more"),
        (lambda f: f.raise_in("billing", "helth", OSError), UnknownNameError, "Did you mean 'health'"),
        (lambda f: f.raise_in("nobody", "start", OSError), UnknownPluginError, "nobody"),
    ],
)
def test_what_cannot_be_is_refused(shop, faults, make, error, told):
    """A fault that cannot be is refused when it is made, with what to do."""
    with pytest.raises(error, match=told):
        make(faults)


def test_without_a_fault_dispatch_is_what_it_was(shop, faults):
    """Making faults, and ending them, leaves plans that are called inline."""
    with faults.drop(Sent):
        assert not shop.bus.plan_of(Sent).is_inline
    assert shop.bus.plan_of(Sent).is_inline
