"""Pause, mute and dead letters: who gets events when, and what becomes of those that were missed."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook import Event, Host, Plugin, Restart, on
from plugbook.errors import LifecycleError, UnknownPluginError
from tests.host.timer import timed

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Order(Event, topic="sale"):
    number: int
    is_bad: bool = False


class Paid(Event, topic="paid"):
    number: int


class Billing(Plugin):
    seen: ClassVar[list] = []

    @on(Order, where=lambda event: event.number >= 0)
    def bill(self, event):
        self.seen.append(event.number)
        if event.is_bad:
            raise ValueError("bad")
        self.ctx.publish(Paid(number=event.number))


class Mailer(Plugin):
    seen: ClassVar[list] = []

    @on("*", priority=-1)
    async def send(self, event):
        self.seen.append(event.number)


@pytest.fixture
def shop():
    Billing.seen.clear()
    Mailer.seen.clear()
    with timed(Host([Billing, Mailer])) as host:
        host.start()
        yield host


def publish(host, *numbers):
    return [host.publish(Order(number=number)) for number in numbers]


# -- pause ----------------------------------------------------------------------------------------


def test_a_paused_plugin_gets_its_events_later_in_order(shop):
    """Nothing is delivered while it is paused, and all of it when it is resumed, before anything new."""
    shop.pause("billing")
    publish(shop, 1, 2, 3)
    assert Billing.seen == []
    assert Mailer.seen == [1, 2, 3]
    assert str(shop.resume("billing")) == "redelivered 3: 3 ok"
    publish(shop, 4)
    assert Billing.seen == [1, 2, 3, 4]
    assert Mailer.seen == [1, 2, 3, 1, 2, 3, 4, 4]


def test_an_async_handler_is_paused_as_well(shop):
    """A coroutine is not even made while its plugin is paused."""
    shop.pause("mailer")
    publish(shop, 1)
    assert Mailer.seen == []
    shop.resume("mailer")
    assert Mailer.seen == [1, 1]


def test_each_missed_delivery_is_a_skipped_call(shop):
    """Report and recording say who missed the event, and why."""
    shop.pause("billing")
    (report,) = publish(shop, 1)
    call = report.calls[0]
    assert (call.handler, call.outcome, call.reason) == (
        "Billing.bill",
        "skipped",
        "billing is paused: kept as a dead letter",
    )
    assert report.outcome == "ok"
    assert shop.recording[call.seq].outcome == "skipped"


def test_an_event_that_was_not_wanted_is_not_kept(shop):
    """What a predicate refuses is refused, paused or not."""
    shop.pause("billing")
    (report,) = publish(shop, -1)
    assert report.calls[0].reason == "where= said no"
    assert len(shop.dead_letters("billing")) == 0


def test_handlers_connected_while_it_is_paused_are_paused_too(shop):
    """It is the plugin that is paused, also when it restarts meanwhile."""
    shop.pause("billing")
    shop.restart("billing")
    publish(shop, 1)
    assert Billing.seen == []
    shop.resume("billing")
    assert Billing.seen == [1]


def test_a_plugin_may_pause_another_between_two_handlers(shop):
    """A pause holds at once, also for the event that is being delivered."""

    class Gate(Plugin):
        @on(Order, priority=5)
        def close(self, event):
            shop.pause("billing")

    shop.add(Gate)
    (report,) = publish(shop, 1)
    assert [call.outcome for call in report.calls][:2] == ["ok", "skipped"]


def test_a_resume_inside_a_handler_is_pending(shop):
    """It runs when the event that is under way has been delivered."""
    pending = []

    class Gate(Plugin):
        @on(Order, priority=-5)
        def open(self, event):
            pending.append(shop.resume("billing"))

    shop.pause("billing")
    shop.add(Gate)
    publish(shop, 1)
    assert pending[0].done
    assert Billing.seen == [1]


def test_what_overflows_is_dropped_and_says_so():
    """Beyond the bound the newest event is dropped; its own call tells, and it is counted."""
    Billing.seen.clear()
    with Host([Billing], most_dead_letters=2) as host:
        host.start()
        host.pause("billing")
        reports = publish(host, 1, 2, 3)
        assert reports[-1].calls[0].reason == "billing is paused, and has its 2 dead letters: dropped"
        letters = host.dead_letters("billing")
        assert (len(letters), letters.dropped) == (2, 1)
        host.resume("billing")
        assert Billing.seen == [1, 2]


def test_to_pause_twice_or_to_resume_what_runs_does_nothing(shop):
    """A cell that pauses or resumes can be run again."""
    shop.pause("billing")
    shop.pause("billing")
    shop.resume("billing")
    assert str(shop.resume("billing")) == "nothing was redelivered"
    changes = [record.name for record in shop.recording.select(kinds="change", plugins="billing").records()]
    assert changes[-2:] == ["pause", "resume"]


def test_a_name_that_is_not_there_is_refused(shop):
    """Every request says which plugin was meant."""
    for request in (shop.pause, shop.mute, shop.resume, shop.dead_letters, shop.redeliver, shop.discard):
        with pytest.raises(UnknownPluginError, match="Did you mean 'billing'"):
            request("biling")


def test_why_says_that_a_plugin_is_held(shop):
    """An active plugin that gets nothing tells so, with the request that ends it."""
    shop.pause("billing")
    publish(shop, 1)
    why = str(shop.why("billing"))
    assert "it is paused, and 1 event waits for it" in why
    assert "To mend it: resume 'billing'" in why
    assert "paused" in repr(shop)


def test_middleware_is_paused_with_its_handler(shop):
    """What goes around a handler is not called either, and is there again when the plugin is."""
    around = []

    def watch(event, call_next):
        around.append(event.number)
        return call_next(event)

    class Wrapped(Plugin):
        seen: ClassVar[list] = []

        def start(self, ctx):
            ctx.subscribe(Order, self.take, name="Wrapped.take", middleware=[watch])

        def take(self, event):
            self.seen.append(event.number)
            if event.is_bad:
                raise ValueError("bad")

    shop.add(Wrapped)
    shop.pause("wrapped")
    (report,) = publish(shop, 1)
    assert [call.outcome for call in report.calls if call.plugin == "wrapped"] == ["skipped"]
    assert around == []
    shop.resume("wrapped")
    publish(shop, 2)
    assert around == Wrapped.seen == [1, 2]
    shop.set_policy("wrapped", "quarantine")
    shop.publish(Order(number=3, is_bad=True))
    assert shop.states["wrapped"] == "quarantined"


def test_a_question_is_not_kept(shop):
    """Nobody waits for the answer of a paused plugin, so that it is not asked later."""

    class Clerk(Plugin):
        @on(Paid)
        def answer(self, event):
            return "yes"

    shop.add(Clerk)
    shop.pause("clerk")
    assert shop.ask(Paid(number=1), default="nobody").value == "nobody"
    assert len(shop.dead_letters("clerk")) == 0
    shop.resume("clerk")
    assert shop.ask(Paid(number=1)).value == "yes"


# -- mute -----------------------------------------------------------------------------------------


def test_a_muted_plugin_misses_events_for_good(shop):
    """They are dropped, and each call says so."""
    shop.mute("billing")
    (report,) = publish(shop, 1)
    assert report.calls[0].reason == "billing is muted: dropped"
    assert shop.dead_letters("billing").dropped == 1
    shop.resume("billing")
    publish(shop, 2)
    assert Billing.seen == [2]


def test_what_was_kept_before_a_mute_is_kept(shop):
    """Muting a paused plugin drops what comes, not what came."""
    shop.pause("billing")
    publish(shop, 1)
    shop.mute("billing")
    publish(shop, 2)
    shop.resume("billing")
    assert Billing.seen == [1]


# -- dead letters ---------------------------------------------------------------------------------


def test_dead_letters_are_a_list_that_reads_well(shop):
    """Each says which event it is, whose, why and when; slices are dead letters again."""
    shop.pause("billing")
    reports = publish(shop, 1, 2)
    letters = shop.dead_letters("billing")
    assert [letter.seq for letter in letters] == [report.seq for report in reports]
    assert letters[0].event.number == 1
    assert letters[1:][0] is letters[1]
    text = repr(letters)
    assert text.startswith("billing: 2 dead letters\n  seq")
    assert "Billing.bill  paused" in text
    assert repr(shop.dead_letters("mailer")) == "mailer: no dead letters"


def test_a_redelivery_is_an_event_that_the_missed_one_caused(shop):
    """The recording has it with its reason, and with its handler alone."""
    shop.pause("billing")
    (missed,) = publish(shop, 1)
    (report,) = shop.resume("billing")
    assert report.parent == missed.seq
    assert report.reason == "redelivered to Billing.bill, which missed it: billing was paused"
    assert [call.handler for call in report.calls] == ["Billing.bill"]
    record = shop.recording[report.seq]
    assert (record.parent, record.root, record.reason) == (missed.seq, missed.root, report.reason)
    change = next(
        each for each in shop.recording.select(kinds="change").records() if each.name == "redeliver"
    )
    assert change.payload == {"event": report.seq, "handler": "Billing.bill"}


def test_dead_letters_of_a_quarantine_wait_for_a_person_and_come_in_order(shop):
    """Released, the plugin gets new events; the old ones come when they are asked for, each once."""
    shop.set_policy("billing", "quarantine")
    shop.publish(Order(number=0, is_bad=True))
    publish(shop, 1, 2, 3)
    with pytest.raises(LifecycleError, match=r"it is quarantined\. First: host\.release\('billing'\)"):
        shop.redeliver("billing")
    shop.release("billing")
    assert Billing.seen == [0]
    shop.redeliver("billing", shop.dead_letters("billing")[:1])
    shop.redeliver("billing")
    assert Billing.seen == [0, 1, 2, 3]
    assert len(shop.redeliver("billing")) == 0


def test_dead_letters_of_several_plugins_come_in_the_order_of_events():
    """After a restart with dependents, each event goes to all of them before the next does."""
    seen = []

    class First(Plugin, policy=Restart(backoff=1)):
        @on(Order, priority=-1)
        def take(self, event):
            seen.append(("first", event.number))
            if event.is_bad:
                raise ValueError("bad")

    class Second(Plugin, requires=["first"]):
        @on(Order)
        def take(self, event):
            seen.append(("second", event.number))

    with timed(Host([First, Second])) as host:
        host.start()
        host.publish(Order(number=0, is_bad=True))
        publish(host, 1, 2)
        seen.clear()
        host.timer.pass_s(1)
        assert seen == [("second", 1), ("first", 1), ("second", 2), ("first", 2)]


def test_a_letter_whose_handler_is_gone_is_kept(shop):
    """What nobody can take stays where it can be seen."""
    shop.pause("billing")
    publish(shop, 1)

    class Other(Plugin, name="billing"):
        pass

    shop.add(Other, replace=True)
    assert str(shop.resume("billing")) == "nothing was redelivered; kept 1, whose handler cannot be called"
    assert len(shop.dead_letters("billing")) == 1


def test_what_a_redelivered_handler_raises_is_in_its_report(shop):
    """One that fails stops neither the others nor the person, whatever the policy."""
    shop.set_policy("billing", "raise")
    shop.pause("billing")
    shop.publish(Order(number=1, is_bad=True))
    publish(shop, 2)
    redelivered = shop.resume("billing")
    assert [report.outcome for report in redelivered] == ["error", "ok"]
    assert Billing.seen == [1, 2]


def test_an_interrupted_redelivery_goes_on_where_it_was(shop):
    """Ctrl-C ends it; what was not delivered yet is still there."""

    class Stubborn(Plugin):
        seen: ClassVar[list] = []

        @on(Order)
        def take(self, event):
            self.seen.append(event.number)
            if event.number == 1:
                raise KeyboardInterrupt

    shop.add(Stubborn)
    shop.pause("stubborn")
    publish(shop, 1, 2)
    with pytest.raises(KeyboardInterrupt):
        shop.resume("stubborn")
    assert [letter.event.number for letter in shop.dead_letters("stubborn")] == [2]
    shop.redeliver("stubborn")
    assert Stubborn.seen == [1, 2]


def test_discarded_letters_are_gone_and_counted(shop):
    """All of them or some, and the recording says how many."""
    shop.pause("billing")
    publish(shop, 1, 2, 3)
    assert shop.discard("billing", shop.dead_letters("billing")[:1]) == 1
    assert shop.discard("billing") == 2
    assert shop.discard("billing") == 0
    assert shop.dead_letters("billing").dropped == 3
    shop.resume("billing")
    assert Billing.seen == []


def test_a_stop_by_a_person_keeps_nothing(shop):
    """Who stops a plugin does not want its events."""
    shop.stop("billing")
    publish(shop, 1)
    assert len(shop.dead_letters("billing")) == 0


def test_a_removed_plugin_leaves_nothing_behind(shop):
    """Its dead letters go with it, and so does whatever stood for its handlers."""
    shop.pause("billing")
    publish(shop, 1)
    shop.remove("billing")
    assert shop.leaks() == []
    shop.add(Billing)
    publish(shop, 2)
    assert Billing.seen == [2]


def test_what_stands_for_a_handler_is_no_leak(shop):
    """A quarantined plugin has left nothing behind."""
    shop.set_policy("billing", "quarantine")
    shop.publish(Order(number=0, is_bad=True))
    assert shop.leaks() == []


# -- whatever happens -----------------------------------------------------------------------------

ACTIONS = (
    "publish",
    "fail",
    "pause",
    "mute",
    "resume",
    "redeliver",
    "discard",
    "release",
    "wait",
    "restart",
    "stop",
)


@given(st.lists(st.sampled_from(ACTIONS), max_size=40), st.integers(0, 3), st.booleans())
def test_every_wanted_event_is_delivered_once_or_kept_or_counted(actions, most, is_timed):
    """Whatever is done in whatever order, nothing is delivered twice, out of order or lost without a trace."""
    Billing.seen.clear()
    policy = Restart(intensity=1, backoff=1, period=5)
    with timed(
        Host([Billing], policies={"billing": policy}, most_dead_letters=most, timing=is_timed)
    ) as host:
        host.start()
        wanted = 0
        for number, action in enumerate(actions):
            if action in ("publish", "fail"):
                is_heard = any(each.plugin == "billing" for each in host.subscriptions)
                host.publish(Order(number=number, is_bad=action == "fail"))
                wanted += is_heard
            elif action == "wait":
                host.timer.pass_s(2)
            else:
                with contextlib.suppress(LifecycleError):
                    getattr(host, action)("billing")
            letters = host.dead_letters("billing")
            assert len(Billing.seen) + len(letters) + letters.dropped == wanted
            assert len(letters) <= most
            assert max(Counter(Billing.seen).values(), default=1) == 1
            assert not set(Billing.seen) & {letter.event.number for letter in letters}


@given(st.lists(st.sampled_from(("publish", "pause", "resume", "restart")), max_size=30))
def test_a_plugin_that_is_only_paused_gets_everything_in_order(actions):
    """Pausing and resuming changes when an event comes, never its place among the others."""
    Billing.seen.clear()
    with Host([Billing]) as host:
        host.start()
        for number, action in enumerate(actions):
            if action == "publish":
                host.publish(Order(number=number))
            else:
                getattr(host, action)("billing")
        host.resume("billing")
    assert Billing.seen == [number for number, action in enumerate(actions) if action == "publish"]
