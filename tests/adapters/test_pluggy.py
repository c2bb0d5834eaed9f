"""The monitor of pluggy: what it records, and that the host never notices it."""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
import unittest
import weakref

import pluggy
import pytest

from plugbook.adapters.pluggy import Monitor, accepts
from plugbook.adapters.summary import Summaries
from plugbook.trace.record import BLOCK, Dispatch
from plugbook.trace.writing.packing import Entry, Fact
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

hookspec = pluggy.HookspecMarker("shop")
hookimpl = pluggy.HookimplMarker("shop")


class Hooks:
    @hookspec
    def price(self, item, amount): ...

    @hookspec(firstresult=True)
    def tax(self, item): ...

    @hookspec(historic=True)
    def opened(self, shop): ...


@pytest.fixture
def manager():
    manager = pluggy.PluginManager("shop")
    manager.add_hookspecs(Hooks)
    return manager


@pytest.fixture
def recorder():
    recorder = Recorder(Store.memory())
    yield recorder
    recorder.close()


@pytest.fixture
def watch(manager, recorder):
    """Attaches a monitor, and detaches it after the test."""
    monitors = []

    def attach(payloads="summary"):
        monitors.append(Monitor(manager, recorder, Summaries(payloads)))
        return monitors[-1]

    yield attach
    for monitor in reversed(monitors):
        monitor.detach()


class plugin:
    """A plugin object with these hook implementations."""

    def __init__(self, **implementations):
        vars(self).update(implementations)


def events(recorder):
    return [row for row in recorder.rows if isinstance(row, Dispatch)]


def entries(recorder, kind):
    found = [
        Entry._make(row) for row in recorder.rows if isinstance(row, tuple) and len(row) == len(Entry._fields)
    ]
    return [entry for entry in found if entry.kind == kind]


def manifests(recorder):
    facts = [
        Fact._make(row) for row in recorder.rows if isinstance(row, tuple) and len(row) == len(Fact._fields)
    ]
    return {fact.name: fact.data for fact in facts if fact.what == "manifest"}


def calls(event):
    """Plugin and note of each call, in the order of starting."""
    sites = [event.plan.sites[index] for index in event.ticks[1:-1:3]]
    notes = event.notes or {}
    return [(site.plugin, notes.get(number)) for number, site in enumerate(sites)]


def is_complete(event):
    ends = event.ticks[3::3]
    return len(event.ticks) % 3 == 2 and all(ends) and event.ticks[-1] >= max([*ends, event.ticks[0]])


@hookimpl
def doubled(item, amount):
    return amount * 2


@hookimpl
def silent(item, amount):
    return None


@hookimpl
def broken(item, amount):
    raise ValueError(f"no price for {item}")


def test_every_implementation_is_a_call_with_its_own_result(manager, recorder, watch):
    """Each implementation that ran is a call of its plugin, with what it returned, None included."""
    manager.register(plugin(price=doubled), "double")
    manager.register(plugin(price=silent), "silent")
    watch()
    assert manager.hook.price(item="tea", amount=2) == [4]
    (event,) = events(recorder)
    assert (event.name, event.parent, json.loads(event.payload)) == (
        "price",
        None,
        {"item": "tea", "amount": 2},
    )
    assert [(who, note.result, note.has_result) for who, note in calls(event)] == [
        ("silent", "null", True),
        ("double", "4", True),
    ]
    assert event.result.result == "[4]"
    assert is_complete(event)


def test_a_firstresult_hook_shows_who_answered_and_who_was_not_asked(manager, recorder, watch):
    """After the first answer nobody else is called, and so has no call."""

    @hookimpl
    def zero(item):
        return 0

    @hookimpl(trylast=True)
    def never(item):
        raise AssertionError

    manager.register(plugin(tax=never), "last")
    manager.register(plugin(tax=zero), "zero")
    watch()
    assert manager.hook.tax(item="tea") == 0
    (event,) = events(recorder)
    assert [who for who, _ in calls(event)] == ["zero"]
    assert [site.plugin for site in event.plan.sites] == ["zero", "last"]


def test_an_error_belongs_to_the_plugin_that_raised_it(manager, recorder, watch):
    """The error is on the call that raised it; wrappers it went through say that they passed it on."""

    @hookimpl(wrapper=True)
    def wrapped(item, amount):
        return (yield)

    manager.register(plugin(price=broken), "broken")
    manager.register(plugin(price=wrapped), "wrapper")
    watch()
    with pytest.raises(ValueError, match="no price for tea"):
        manager.hook.price(item="tea", amount=1)
    (event,) = events(recorder)
    (_, passed), (who, note) = calls(event)
    assert (passed.outcome, passed.reason) == ("ok", "passed the error on")
    assert (who, note.outcome, note.error["type"]) == ("broken", "error", "ValueError")
    assert note.error["frames"][-1]["function"] == "broken"
    assert event.result.outcome == "error"


@pytest.mark.parametrize("style", ["wrapper", "hookwrapper"])
def test_wrappers_say_what_they_made_of_the_result(manager, recorder, watch, style):
    """A wrapper's call lasts until its teardown ends and tells passing on from replacing."""
    new = style == "wrapper"

    @hookimpl(**{style: True})
    def passes(item, amount):
        outcome = yield
        return outcome if new else None

    @hookimpl(**{style: True})
    def replaces(item, amount):
        outcome = yield
        if new:
            return ["replaced"]
        outcome.force_result(["replaced"])
        return None

    manager.register(plugin(price=passes), "passes")
    manager.register(plugin(price=doubled), "double")
    manager.register(plugin(price=replaces), "replaces")
    watch()
    assert manager.hook.price(item="tea", amount=1) == ["replaced"]
    (event,) = events(recorder)
    notes = dict(calls(event))
    assert notes["replaces"].reason == "replaced the result"
    assert notes["replaces"].result == '["replaced"]'
    assert notes["passes"] is None
    assert [site.role for site in event.plan.sites][:2] == [("" if new else "old-style ") + "wrapper"] * 2
    outer, inner = event.ticks[1:4], event.ticks[7:10]
    assert outer[1] <= inner[1] <= inner[2] <= outer[2]


def test_a_wrapper_that_handles_an_error_is_told_from_the_one_that_raised(manager, recorder, watch):
    """The event is ok where a wrapper answered in place of the error, and says so."""

    @hookimpl(wrapper=True)
    def rescue(item, amount):
        try:
            return (yield)
        except ValueError:
            return []

    manager.register(plugin(price=broken), "broken")
    manager.register(plugin(price=rescue), "rescue")
    watch()
    assert manager.hook.price(item="tea", amount=1) == []
    (event,) = events(recorder)
    assert dict(calls(event))["rescue"].reason == "handled the error"
    assert (event.result.outcome, event.result.reason) == ("ok", "a wrapper handled the error")


def test_a_hook_called_by_an_implementation_has_that_call_as_its_parent(manager, recorder, watch):
    """The parent is the very call that made it, also in the setup and the teardown of a wrapper."""

    @hookimpl
    def asks(item, amount):
        manager.hook.tax(item="inside")
        return amount

    @hookimpl(wrapper=True)
    def surrounds(item, amount):
        manager.hook.tax(item="setup")
        result = yield
        manager.hook.tax(item="teardown")
        return result

    manager.register(plugin(price=asks), "asks")
    manager.register(plugin(price=surrounds), "surrounds")
    watch()
    manager.hook.price(item="tea", amount=1)
    outer, setup, inside, teardown = events(recorder)
    assert [json.loads(event.payload)["item"] for event in (setup, inside, teardown)] == [
        "setup",
        "inside",
        "teardown",
    ]
    assert setup.parent == teardown.parent == outer.call_seq(0)
    assert inside.parent == outer.call_seq(1)
    assert {event.root for event in (outer, setup, inside, teardown)} == {outer.seq}
    manager.hook.tax(item="after")
    assert events(recorder)[-1].parent is None


def test_a_hook_may_call_itself(manager, recorder, watch):
    """A call inside a call of the same hook has ticks of its own."""

    @hookimpl
    def recursive(item, amount):
        return manager.hook.price(item=item, amount=amount - 1) if amount else 0

    manager.register(plugin(price=recursive), "deep")
    watch()
    for _ in range(2):
        assert manager.hook.price(item="tea", amount=3) == [[[[0]]]]
    runs = events(recorder)
    assert len(runs) == 8
    assert all(map(is_complete, runs))
    assert [run.parent for run in runs[1:4]] == [run.call_seq(0) for run in runs[:3]]


def test_the_order_is_recorded_with_its_reason(manager, recorder, watch):
    """Sites stand in the order of calling, each with why it stands there."""
    for name, options in {
        "last": {"trylast": True},
        "one": {},
        "two": {},
        "first": {"tryfirst": True},
        "around": {"wrapper": True},
        "outermost": {"wrapper": True, "tryfirst": True},
    }.items():

        def price(item, amount):
            return None

        def wrapping(item, amount):
            return (yield)

        manager.register(plugin(price=hookimpl(wrapping if "wrapper" in options else price, **options)), name)
    watch()
    manager.hook.price(item="tea", amount=1)
    assert [(site.plugin, site.order) for site in events(recorder)[0].plan.sites] == [
        ("outermost", "wrapper tryfirst"),
        ("around", "wrapper"),
        ("first", "tryfirst"),
        ("two", "registration, last first"),
        ("one", "registration, last first"),
        ("last", "trylast"),
    ]
    assert all(site.file == __file__ and site.line for site in events(recorder)[0].plan.sites)


def test_one_plan_serves_every_call_until_the_plugins_change(manager, recorder, watch):
    """The plan is shared, so that it is stored once; a new plugin makes a new one."""
    manager.register(plugin(price=doubled), "double")
    watch()
    for _ in range(3):
        manager.hook.price(item="tea", amount=1)
    manager.register(plugin(price=silent), "silent")
    manager.hook.price(item="tea", amount=1)
    first, second, third, other = events(recorder)
    assert first.plan is second.plan is third.plan is not other.plan


def test_a_hook_without_implementations_is_recorded(manager, recorder, watch):
    """A hook that nobody implements is an event without calls."""
    watch()
    assert manager.hook.tax(item="tea") is None
    (event,) = events(recorder)
    assert event.plan.sites == ()
    assert len(event.ticks) == 2


def test_functions_passed_for_one_call_are_recorded_and_not_kept(manager, recorder, watch):
    """What `call_extra` brings along is a call of no plugin, and is let go of afterwards."""

    def extra(item):
        return item

    watch()
    assert manager.hook.tax.call_extra([extra], {"item": "tea"}) == "tea"
    (event,) = events(recorder)
    assert [(site.plugin, site.order) for site in event.plan.sites] == [("", "extra, for this call only")]
    gone = weakref.ref(extra)
    del extra
    gc.collect()
    assert gone() is None


def test_historic_hooks_are_recorded_for_plugins_that_come_later(manager, recorder, watch):
    """The replay of a historic call to a new plugin is an event of its own."""
    watch()
    manager.hook.opened.call_historic(kwargs={"shop": "corner"})
    manager.register(plugin(opened=hookimpl(lambda shop: None)), "late")
    assert [[who for who, _ in calls(event)] for event in events(recorder)] == [[], ["late"]]


def test_registration_changes_are_recorded(manager, recorder, watch):
    """Register, unregister, block and unblock are changes, noticed at the next hook call."""
    watch()
    thing = plugin(price=doubled)
    for change in (
        lambda: manager.register(thing, "double"),
        lambda: manager.set_blocked("double"),
        lambda: manager.unblock("double"),
        lambda: manager.register(plugin(), "empty"),
        lambda: manager.unregister(name="empty"),
    ):
        change()
        manager.hook.price(item="tea", amount=1)
    assert [(entry.name, entry.plugin) for entry in entries(recorder, "change")] == [
        ("register", "double"),
        ("unregister", "double"),
        ("block", "double"),
        ("unblock", "double"),
        ("register", "empty"),
        ("unregister", "empty"),
    ]
    assert manifests(recorder)["double"]["hooks"] == ["price"]


def test_a_change_inside_a_call_has_that_call_as_its_parent(manager, recorder, watch):
    """The recording says which implementation registered a plugin."""

    @hookimpl
    def loads(item, amount):
        manager.register(plugin(), "loaded")
        manager.hook.tax(item="tea")

    manager.register(plugin(price=loads), "loader")
    watch()
    manager.hook.price(item="tea", amount=1)
    (change,) = entries(recorder, "change")
    assert change.parent == events(recorder)[0].call_seq(0)


def test_plugins_without_a_name_are_shown_by_their_class(manager, recorder, watch):
    """A name that pluggy made from an address would differ in every run."""
    manager.register(plugin(price=doubled))
    manager.register(plugin(price=silent))
    watch()
    manager.hook.price(item="tea", amount=1)
    assert [who for who, _ in calls(events(recorder)[0])] == ["plugin #2", "plugin"]
    assert set(manifests(recorder)) == {"plugin", "plugin #2"}


def test_arguments_and_results_are_not_kept_alive(manager, recorder, watch):
    """Once a hook call has returned, nothing of ours refers to what went in or came out."""

    class Thing:
        pass

    @hookimpl
    def hands_back(item):
        return [item]

    manager.register(plugin(tax=hands_back), "back")
    watch()
    thing = Thing()
    gone = weakref.ref(thing)
    manager.hook.tax(item=thing)
    del thing
    assert gone() is None
    assert json.loads(events(recorder)[0].payload) == {"item": "<Thing>"}


def test_plugins_that_were_unregistered_are_let_go(manager, recorder, watch):
    """The cache of stand-ins keeps a plugin alive no longer than until the next hook call."""
    thing = plugin(price=doubled)
    manager.register(thing, "double")
    watch()
    manager.hook.price(item="tea", amount=1)
    gone = weakref.ref(thing)
    manager.unregister(thing)
    del thing
    manager.hook.price(item="tea", amount=1)
    gc.collect()
    assert gone() is None


def test_without_payloads_nothing_of_the_values_is_kept(manager, recorder, watch):
    """`payloads="none"` keeps times and errors alone."""
    manager.register(plugin(price=doubled), "double")
    watch("none")
    manager.hook.price(item="tea", amount=1)
    (event,) = events(recorder)
    assert (event.payload, event.notes, event.result) == (None, None, None)
    assert is_complete(event)


def test_results_that_are_to_be_awaited_are_shown_and_not_awaited(manager, recorder, watch):
    """A coroutine handed back to the host reaches it untouched."""

    @hookimpl
    def later(item):
        async def answer():
            return item

        return answer()

    manager.register(plugin(tax=later), "later")
    watch()
    coroutine = manager.hook.tax(item="tea")
    with pytest.raises(StopIteration, match="tea"):
        coroutine.send(None)
    (_, note), *_ = calls(events(recorder)[0])
    assert "coroutine, not awaited" in note.result
    assert "later" in note.result


def test_threads_do_not_mix(manager, recorder, watch):
    """Each thread has a causal tree of its own, with hook calls of its own."""
    together = threading.Barrier(4)

    @hookimpl
    def nested(item, amount):
        together.wait(10)
        return manager.hook.tax(item=item)

    @hookimpl
    def echo(item):
        together.wait(10)
        return item

    manager.register(plugin(price=nested, tax=echo), "nested")
    watch()
    threads = [
        threading.Thread(target=lambda n=n: [manager.hook.price(item=n, amount=1) for _ in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    runs = {event.seq: event for event in events(recorder)}
    inner = [event for event in runs.values() if event.parent is not None]
    assert (len(runs), len(inner)) == (160, 80)
    for event in inner:
        outer = runs[event.parent // BLOCK * BLOCK]
        assert (outer.thread, outer.payload[:9]) == (event.thread, event.payload[:9])
        assert is_complete(event)


def test_more_implementations_than_a_block_holds(manager, recorder, watch):
    """A hook with more than 1,023 implementations takes further blocks of seqs."""
    for number in range(1_100):
        manager.register(plugin(price=silent), f"p{number}")
    watch("none")
    manager.hook.price(item="tea", amount=1)
    manager.hook.price(item="tea", amount=1)
    first, second = events(recorder)
    assert len(calls(first)) == 1_100
    assert len(first.blocks) == 1
    assert first.call_seq(1_099) < second.seq


def test_detaching_restores_the_manager(manager, recorder, watch):
    """Afterwards the manager is as it was, and nothing is recorded any more."""
    manager.register(plugin(price=doubled), "double")
    execute = manager._inner_hookexec
    registered = manager.hook.price.get_hookimpls()
    functions = [impl.function for impl in registered]
    monitor = watch()
    manager.hook.price(item="tea", amount=1)
    assert manager.hook.price.get_hookimpls() == registered
    assert monitor.detach() == ""
    assert manager._inner_hookexec is execute
    assert [impl.function for impl in manager.hook.price.get_hookimpls()] == functions
    manager.hook.price(item="tea", amount=1)
    assert len(events(recorder)) == 1
    assert monitor.detach() == ""


def test_a_foreign_monitor_on_top_leaves_ours_in_place_and_inert(manager, recorder, watch, caplog):
    """Undoing would silence the foreign monitor; ours does nothing instead, and says so."""
    seen = []
    monitor = watch()
    undo = manager.add_hookcall_monitoring(lambda *args: seen.append(args[0]), lambda *args: None)
    with caplog.at_level(logging.WARNING):
        assert "reverse order" in monitor.detach()
    assert "reverse order" in caplog.text
    assert entries(recorder, "log")[0].name == "warning"
    manager.hook.tax(item="tea")
    assert seen == ["tax"]
    undo()
    manager.hook.tax(item="tea")
    assert seen == ["tax"]
    assert events(recorder) == []


def test_a_monitor_that_was_revived_stays_inert(manager, recorder, watch):
    """Undoing in the wrong order brings an undone monitor back into pluggy's chain; it does nothing there."""
    monitor = watch()
    undo = manager.add_hookcall_monitoring(lambda *args: None, lambda *args: None)
    monitor.detach()
    monitor._undo()
    undo()
    manager.hook.tax(item="tea")
    assert events(recorder) == []


def test_two_recordings_at_once(manager, recorder, watch):
    """A second monitor sees the same calls of the same plugins."""
    manager.register(plugin(price=doubled), "double")
    watch()
    watch()
    assert manager.hook.price(item="tea", amount=1) == [2]
    assert [calls(event)[0][0] for event in events(recorder)] == ["double", "double"]


def test_detaching_inside_a_hook_call_ends_well(manager, recorder, watch):
    """The call that is under way returns as if nothing had happened."""
    monitors = []

    @hookimpl
    def leaves(item, amount):
        monitors[0].detach()
        return amount

    manager.register(plugin(price=leaves), "leaves")
    monitors.append(watch())
    assert manager.hook.price(item="tea", amount=1) == [1]
    assert is_complete(events(recorder)[0])


@pytest.mark.parametrize("failing", ["arguments", "result"])
def test_a_failure_of_ours_never_reaches_the_host(manager, recorder, watch, caplog, monkeypatch, failing):
    """The monitor becomes inert, says so in the recording and in the log, and the host goes on."""
    manager.register(plugin(price=silent), "silent")
    monitor = watch()

    def fail(*args):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Summaries, failing, fail)
    with caplog.at_level(logging.ERROR):
        assert manager.hook.price(item="tea", amount=1) == []
    assert monitor.inert
    (log,) = entries(recorder, "log")
    assert (log.name, log.error["type"]) == ("error", "ZeroDivisionError")
    assert "ZeroDivisionError: ours" in caplog.text
    monkeypatch.undo()
    assert manager.hook.price(item="tea", amount=1) == []
    assert monitor.detach() == ""


def test_endless_recursion_raises_what_it_raised_before(manager, recorder, watch):
    """A hook that calls itself without end raises RecursionError, and recording goes on afterwards."""

    @hookimpl
    def endless(item, amount):
        return manager.hook.price(item=item, amount=amount)

    manager.register(plugin(price=endless), "endless")
    monitor = watch()
    with pytest.raises(RecursionError):
        manager.hook.price(item="tea", amount=1)
    assert not monitor.inert
    manager.hook.tax(item="tea")
    assert events(recorder)[-1].name == "tax"
    assert events(recorder)[-1].parent is None


def test_a_stand_in_that_was_kept_still_calls_the_original(manager, recorder, watch):
    """A monitor below ours sees the stand-ins and may keep one beyond the call."""
    kept = []
    manager.register(plugin(price=doubled), "double")
    manager.add_hookcall_monitoring(lambda name, impls, kwargs: kept.extend(impls), lambda *args: None)
    watch()
    manager.hook.price(item="tea", amount=1)
    (stand_in,) = kept
    assert isinstance(stand_in, pluggy.HookImpl)
    assert (stand_in.plugin_name, stand_in.function("tea", 5)) == ("double", 10)
    assert len(events(recorder)) == 1
    assert is_complete(events(recorder)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_records_nothing(manager, recorder, watch):
    """The recording belongs to the parent."""
    monitor = watch()
    child = os.fork()
    if not child:
        os._exit(0 if monitor.inert else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not monitor.inert


def test_only_a_plugin_manager_is_accepted(manager):
    """The adapter says itself what it can attach to."""
    assert accepts(manager)
    assert not accepts(pluggy)
    assert not accepts("manager")


def states(recorder):
    """The state of each plugin as it was last told."""
    facts = [
        Fact._make(row) for row in recorder.rows if isinstance(row, tuple) and len(row) == len(Fact._fields)
    ]
    return {fact.name: fact.data for fact in facts if fact.what == "state"}


def test_plugins_have_a_state_for_as_long_as_they_are_registered(manager, recorder, watch):
    """A registered plugin is active, one that was taken out or blocked is unloaded, one that is back is active."""
    manager.register(plugin(price=doubled), "double")
    manager.register(plugin(price=silent), "silent")
    watch()
    assert states(recorder) == {"double": "active", "silent": "active"}
    manager.register(plugin(), "late")
    manager.set_blocked("double")
    manager.hook.tax(item="tea")
    assert states(recorder) == {"double": "unloaded", "silent": "active", "late": "active"}
    manager.unblock("double")
    manager.register(plugin(price=doubled), "double")
    manager.hook.price(item="tea", amount=1)
    assert states(recorder)["double"] == "active"


def raising(kind, text):
    """An implementation that raises."""

    @hookimpl
    def price(item, amount):
        raise kind(text)

    return price


@pytest.mark.parametrize(
    ("kind", "outcome", "reason"),
    [
        (pytest.skip.Exception, "skipped", "no network"),
        (unittest.SkipTest, "skipped", "no network"),
        (pytest.xfail.Exception, "skipped", "xfail: no network"),
        (pytest.exit.Exception, "cancelled", "exit: no network"),
    ],
)
def test_what_pytest_ends_on_purpose_is_no_error(manager, recorder, watch, kind, outcome, reason):
    """A skip, an expected failure or an exit is an outcome with its reason, of the call and of the event."""
    manager.register(plugin(price=raising(kind, "no network")), "skips")
    watch()
    with pytest.raises(kind):
        manager.hook.price(item="tea", amount=1)
    (event,) = events(recorder)
    ((_, note),) = calls(event)
    assert (note.outcome, note.reason, note.error) == (outcome, reason, None)
    assert (event.result.outcome, event.result.reason) == (outcome, reason)


def test_what_pytest_fails_on_purpose_is_an_error(manager, recorder, watch):
    """pytest.fail fails a test, as any other error does."""
    manager.register(plugin(price=raising(pytest.fail.Exception, "no")), "fails")
    watch()
    with pytest.raises(pytest.fail.Exception):
        manager.hook.price(item="tea", amount=1)
    (event,) = events(recorder)
    assert [note.error["type"] for _, note in calls(event)] == ["Failed"]
    assert event.result.outcome == "error"
