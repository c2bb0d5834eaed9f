"""Restarts and quarantine: what the host does about plugins that fail."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook import Event, Host, Plugin, Restart, on
from plugbook.errors import LifecycleError, ManifestError, PluginError, UnknownPluginError
from tests.host.timer import timed

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Order(Event, topic="sale"):
    amount: int


class Book:
    """What the ledger gives to others."""


class Ledger(Plugin, policy=Restart(intensity=2, period=60, backoff=1)):
    seen: list

    def start(self, ctx):
        type(self).seen = []

    @on(Order)
    def post(self, event):
        if event.amount < 0:
            raise ValueError("no such amount")
        type(self).seen.append(event.amount)


class Billing(Plugin, requires=["ledger"]):
    @on(Order)
    def bill(self, event):
        return event.amount


class Mailer(Plugin):
    @on(Order)
    def send(self, event):
        return event.amount


GOOD, BAD = Order(amount=1), Order(amount=-1)


@pytest.fixture
def shop():
    with timed(Host([Mailer, Billing, Ledger])) as host:
        host.start()
        yield host


def transitions(host, plugin):
    """Every change of a plugin's state, as the recording has it, with the reason."""
    records = host.recording.select(kinds="state", plugins=plugin).records()
    return [(record.name, record.reason) for record in records]


# -- restarts -------------------------------------------------------------------------------------


def test_a_failing_plugin_is_stopped_and_started_again_after_its_wait(shop):
    """The restart begins when the event has reached everybody, and ends when the back-off is over."""
    instance = shop.plugins["ledger"].instance
    report = shop.publish(BAD)
    assert [call.outcome for call in report.calls] == ["ok", "error", "ok"]
    assert shop.states == {"mailer": "active", "billing": "stopped", "ledger": "stopped"}
    assert "Ledger.post failed (1 of 2 in 60 s), starts again in 1 s" in str(shop.why("ledger"))
    shop.timer.pass_s(1)
    assert set(shop.states.values()) == {"active"}
    assert shop.plugins["ledger"].instance is not instance


def test_each_wait_of_a_period_is_twice_as_long(shop):
    """The back-off doubles with every restart that still counts, and starts anew when none does."""
    shop.publish(BAD)
    assert shop.timer.waits_s == [1]
    shop.timer.pass_s(1)
    shop.publish(BAD)
    assert shop.timer.waits_s == [2]
    shop.timer.pass_s(100)
    shop.publish(BAD)
    assert shop.timer.waits_s == [1]


def test_a_restart_is_recorded_with_its_reason_and_its_cause(shop):
    """Each transition says why, and has the failing call as its cause, also when the wait is over."""
    report = shop.publish(BAD)
    failed = next(call for call in report.calls if call.outcome == "error")
    shop.timer.pass_s(1)
    told = transitions(shop, "ledger")[-4:]
    assert [name for name, _ in told] == [
        "active->stopping",
        "stopping->stopped",
        "stopped->starting",
        "starting->active",
    ]
    assert told[0][1] == "Ledger.post failed (1 of 2 in 60 s), starts again in 1 s"
    assert told[2][1] == "restarted after Ledger.post failed (1 of 2 in 60 s)"
    states = shop.recording.select(plugins="ledger", kinds="state").records()
    begun = [record for record in states if record.name in ("active->stopping", "stopped->starting")]
    assert [record.parent for record in begun] == [failed.seq, failed.seq]


def test_the_dependents_restart_with_it(shop):
    """What needs the plugin is stopped before it, and is started after it; others go on."""
    mailer = shop.plugins["mailer"].instance
    shop.publish(BAD)
    shop.timer.pass_s(1)
    order = [
        f"{record.plugin} {record.name.rpartition('>')[2]}"
        for record in shop.recording.select(kinds="state").records()
        if record.name in ("active->stopping", "starting->active")
    ]
    assert order[-4:] == ["billing stopping", "ledger stopping", "ledger active", "billing active"]
    assert shop.plugins["mailer"].instance is mailer
    assert ("stopped->starting", "ledger was restarted") in transitions(shop, "billing")


def test_a_plugin_restarts_alone_where_its_policy_says_so(shop):
    """With dependents=False those who need it go on, and nothing happens to them."""
    billing = shop.plugins["billing"].instance
    shop.set_policy("ledger", Restart(dependents=False, backoff=1))
    shop.publish(BAD)
    assert shop.states == {"mailer": "active", "billing": "active", "ledger": "stopped"}
    shop.timer.pass_s(1)
    assert set(shop.states.values()) == {"active"}
    assert shop.plugins["billing"].instance is billing


def test_a_plugin_that_provides_a_service_does_not_restart_alone():
    """Others would go on with what belongs to the instance that is gone."""

    class Books(Plugin, policy=Restart(dependents=False, backoff=0)):
        def start(self, ctx):
            ctx.provide(Book, Book())

        @on(Order)
        def post(self, event):
            raise ValueError(event.amount)

    class Reader(Plugin, requires=["books"]):
        def start(self, ctx):
            self.book = ctx.get(Book)

    with timed(Host([Books, Reader])) as host:
        host.start()
        before = host.plugins["reader"].instance.book
        host.publish(GOOD)
        assert host.plugins["reader"].instance.book is not before


def test_without_back_off_it_restarts_before_the_next_event():
    """A wait of 0 starts the plugin in the same request that stops it."""

    class Eager(Ledger, name="eager", policy=Restart(backoff=0)):
        pass

    with timed(Host([Eager])) as host:
        host.start()
        host.publish(BAD)
        assert host.timer.due == []
        assert host.publish(GOOD).outcome == "ok"
        assert Eager.seen == [1]


def test_the_restart_limit_ends_in_quarantine(shop):
    """One failure more than the period allows, and the plugin and its dependents stay stopped."""
    for _ in range(2):
        shop.publish(BAD)
        shop.timer.pass_s(2)
    shop.publish(BAD)
    assert shop.states == {"mailer": "active", "billing": "stopped", "ledger": "quarantined"}
    why = shop.why("ledger")
    assert why.chain == ("Ledger.post failed after 2 restarts in 60 s: ValueError: no such amount",)
    assert "release 'ledger'" in why.remedy
    assert "needs ledger, which is quarantined" in str(shop.why("billing"))
    assert shop.timer.due == []


def test_restarts_that_are_long_past_do_not_count(shop):
    """A plugin that fails now and then is restarted for ever."""
    for _ in range(10):
        shop.publish(BAD)
        shop.timer.pass_s(61)
    assert set(shop.states.values()) == {"active"}


def test_several_failures_before_the_restart_are_one():
    """However many calls fail while the restart is due, it is one restart."""

    class Clumsy(Plugin, policy="restart"):
        @on(Order, priority=1)
        def first(self, event):
            self.ctx.publish(Order(amount=event.amount + 1)) if event.amount < 2 else None
            raise ValueError("first")

        @on(Order)
        def second(self, event):
            raise ValueError("second")

    with timed(Host([Clumsy])) as host:
        host.start()
        host.publish(GOOD)
        changes = host.recording.select(kinds="change", plugins="clumsy").records()
        assert [record.name for record in changes].count("restart") == 1


@pytest.mark.parametrize("limit_s", [None, 0.01])
def test_a_failing_async_handler_counts(limit_s):
    """What a coroutine raises restarts its plugin, and so does one that takes too long."""

    class Slow(Plugin, policy=Restart(backoff=1)):
        @on(Order, timeout=limit_s)
        async def wait(self, event):
            if limit_s is None:
                raise ValueError("at once")
            await asyncio.Event().wait()

    with timed(Host([Slow])) as host:
        host.start()
        host.publish(GOOD)
        assert host.states == {"slow": "stopped"}
        verb = "failed" if limit_s is None else "timed out"
        assert host.plugins["slow"].reason.startswith(f"Slow.wait {verb} (1 of 3 in 60 s)")
        host.timer.pass_s(1)
        assert host.states == {"slow": "active"}


def test_a_failing_background_task_counts():
    """What a task raises that nobody awaits restarts its plugin, too."""
    stopped = threading.Event()

    class Poller(Plugin, policy=Restart(backoff=1)):
        def start(self, ctx):
            ctx.defer(stopped.set)

        @on(Order)
        def begin(self, event):
            self.ctx.spawn(self.poll())

        async def poll(self):
            raise OSError("unreachable")

    with timed(Host([Poller])) as host:
        host.start()
        host.publish(GOOD)
        assert stopped.wait(5)
        host.start("poller")  # a request: it runs when the recovery has ended
        told = dict(transitions(host, "poller"))["active->stopping"]
        assert told.startswith("background task poller.poll failed (1 of 3 in 60 s)")


# -- what goes wrong on the way -------------------------------------------------------------------


def test_a_plugin_that_fails_only_while_stopping_is_started_again():
    """A cleanup that raises is on record, and does not keep the plugin from restarting."""

    class Messy(Ledger, name="messy", policy=Restart(backoff=0)):
        def start(self, ctx):
            super().start(ctx)
            ctx.defer(self.close_books)

        def close_books(self):
            raise OSError("the books are stuck")

    with timed(Host([Messy])) as host:
        host.start()
        host.publish(BAD)
        assert host.states == {"messy": "active"}
        assert [name for name, _ in transitions(host, "messy")][-4:] == [
            "active->stopping",
            "stopping->failed",
            "failed->starting",
            "starting->active",
        ]
        failed = host.recording.select(kinds="state", outcome="error").records()
        assert "the books are stuck" in str([record.error for record in failed])


def test_a_failure_during_recovery_is_the_next_failure():
    """A start that raises is tried again after a longer wait, and at the limit the plugin is quarantined."""

    class Fragile(Ledger, name="fragile", policy=Restart(intensity=2, backoff=1)):
        is_broken = False

        def start(self, ctx):
            super().start(ctx)
            if self.is_broken:
                raise OSError("no disk")

    with timed(Host([Fragile])) as host:
        host.start()
        Fragile.is_broken = True
        host.publish(BAD)
        host.timer.pass_s(1)
        assert host.states == {"fragile": "failed"}
        assert host.timer.waits_s == [2]
        host.timer.pass_s(2)
        assert host.states == {"fragile": "quarantined"}
        assert "its start failed after 2 restarts in 60 s: OSError: no disk" in str(host.why("fragile"))


def test_dependents_wait_until_the_recovery_succeeds(shop):
    """They are started with the attempt that brings the plugin up, not before."""
    original, broken = Ledger.start, []

    def start(self, ctx):
        original(self, ctx)
        if broken:
            raise OSError(broken.pop())

    Ledger.start = start
    try:
        shop.publish(BAD)
        broken.append("no disk")
        shop.timer.pass_s(1)
        assert shop.states["billing"] == "stopped"
        shop.timer.pass_s(2)
        assert set(shop.states.values()) == {"active"}
    finally:
        Ledger.start = original


def test_a_dependent_that_recovers_itself_waits_for_what_it_needs():
    """One whose own wait ends while its requirement is down is started with that."""

    class Needy(Plugin, requires=["ledger"], policy=Restart(backoff=1)):
        @on(Order, priority=1)
        def take(self, event):
            if event.amount == 0:
                raise ValueError("nothing")

    with timed(Host([Ledger, Needy])) as host:
        host.start()
        host.publish(Order(amount=0))
        assert host.states == {"ledger": "active", "needy": "stopped"}
        host.set_policy("ledger", Restart(backoff=5))
        host.publish(BAD)
        host.timer.pass_s(1)
        assert host.states == {"ledger": "stopped", "needy": "stopped"}
        host.timer.pass_s(4)
        assert host.states == {"ledger": "active", "needy": "active"}


def test_an_interrupt_during_recovery_leaves_the_plugin_to_a_person(shop):
    """Ctrl-C reaches whoever published; the plugin is stopped, keeps what it misses, and can be started."""
    original, interrupted = Ledger.start, []

    def start(self, ctx):
        original(self, ctx)
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    shop.set_policy("ledger", Restart(backoff=0))
    Ledger.start = start
    try:
        with pytest.raises(KeyboardInterrupt):
            shop.publish(BAD)
        assert shop.states == {"mailer": "active", "billing": "stopped", "ledger": "stopped"}
        assert "its start was interrupted" in str(shop.why("ledger"))
        shop.publish(GOOD)
        assert len(shop.dead_letters("ledger")) == 1
        shop.start()
        assert set(shop.states.values()) == {"active"}
        shop.redeliver("ledger")
        assert Ledger.seen == [1]
    finally:
        Ledger.start = original


def test_who_is_started_meanwhile_is_not_restarted_again(shop):
    """A person is faster than the wait: it goes on with what is left to do."""
    shop.publish(BAD)
    shop.start("ledger")
    instance = shop.plugins["ledger"].instance
    shop.timer.pass_s(1)
    assert shop.plugins["ledger"].instance is instance
    assert set(shop.states.values()) == {"active"}


def test_nobody_is_started_again_once_everything_was_stopped(shop):
    """`stop` without a name calls off what waits, and so does closing the host."""
    shop.publish(BAD)
    shop.stop()
    assert shop.timer.due == []
    assert "active" not in shop.states.values()


def test_a_plugin_that_was_removed_meanwhile_is_forgotten(shop):
    """The end of its wait finds nobody, and does nothing."""
    shop.publish(BAD)
    shop.remove("ledger")
    shop.timer.pass_s(1)
    assert shop.states == {"mailer": "active", "billing": "stopped"}
    assert "ledger" not in {each.plugin for each in shop.subscriptions}


def test_a_real_wait_ends_on_the_hosts_loop():
    """Without a timer of a test's own, the plugin is started by the host itself."""
    started = threading.Event()

    class Quick(Plugin, policy=Restart(backoff=0.001)):
        starts = 0

        def start(self, ctx):
            type(self).starts += 1
            if self.starts == 2:
                started.set()

        @on(Order)
        def fail(self, event):
            raise ValueError(event.amount)

    with Host([Quick]) as host:
        host.start()
        host.publish(GOOD)
        assert started.wait(5)


# -- quarantine -----------------------------------------------------------------------------------


def test_the_first_failure_quarantines_where_the_policy_says_so(shop):
    """Under ``quarantine`` nothing is tried again."""
    shop.set_policy("ledger", "quarantine")
    shop.publish(BAD)
    assert shop.states == {"mailer": "active", "billing": "stopped", "ledger": "quarantined"}
    assert shop.plugins["ledger"].reason == "Ledger.post failed: ValueError: no such amount"
    assert shop.timer.due == []


def test_a_quarantined_plugin_is_not_started(shop):
    """A start by name is refused and says how to let it out; a start of all passes it over."""
    shop.set_policy("ledger", "quarantine")
    shop.publish(BAD)
    with pytest.raises(LifecycleError, match="Allowed now: release, reload, remove"):
        shop.start("ledger")
    with pytest.raises(LifecycleError, match="quarantined"):
        shop.plan("start", "ledger")
    assert "host.release('ledger')" in shop.start().blocked["ledger"]
    with pytest.raises(PluginError, match="ledger, which is quarantined"):
        shop.start("billing")


def test_release_lets_it_out_with_nothing_held_against_it(shop):
    """It starts with what was stopped for it, and has all its restarts again."""
    shop.set_policy("ledger", Restart(intensity=0))
    shop.publish(BAD)
    shop.set_policy("ledger", Restart(intensity=1, backoff=1))
    assert str(shop.release("ledger")) == "released ledger\nstarted ledger, billing"
    assert set(shop.states.values()) == {"active"}
    shop.publish(BAD)
    assert shop.states["ledger"] == "stopped"


@pytest.mark.parametrize(
    "act", [lambda host: host.add(Ledger, replace=True), lambda host: host.reload("ledger")]
)
def test_who_was_stopped_with_it_starts_again_however_it_comes_out(shop, act):
    """A reload and another in its place start its dependents as a release does; the plan of a reload says so."""
    shop.set_policy("ledger", "quarantine")
    shop.publish(BAD)
    starts = [step.plugin for step in shop.plan("reload", "ledger") if step.action == "start"]
    assert starts == ["ledger", "billing"]
    act(shop)
    assert set(shop.states.values()) == {"active"}
    shop.stop("billing")
    shop.publish(BAD)
    shop.release("ledger")
    assert shop.states["billing"] == "stopped"


def test_why_names_the_quarantine_before_what_else_is_missing():
    """A quarantined plugin would not run if its needs did."""

    class Needy(Plugin, requires=["ledger"], policy="quarantine"):
        @on(Order)
        def fail(self, event):
            raise ValueError("needy")

    with timed(Host([Ledger, Needy])) as host:
        host.start()
        host.publish(GOOD)
        host.stop("ledger")
        assert host.why("needy").chain == ("Needy.fail failed: ValueError: needy",)


def test_only_who_is_quarantined_is_released(shop):
    """Any other is refused, and stays as it is."""
    with pytest.raises(LifecycleError, match="cannot release 'mailer': it is active"):
        shop.release("mailer")
    with pytest.raises(UnknownPluginError, match="Did you mean 'mailer'"):
        shop.release("mialer")
    assert shop.states["mailer"] == "active"


def test_a_plugin_in_whose_place_another_comes_is_out(shop):
    """New code of that name is a new plugin."""
    shop.set_policy("ledger", "quarantine")
    shop.publish(BAD)

    class Mended(Plugin, name="ledger"):
        pass

    shop.add(Mended, replace=True)
    assert shop.states["ledger"] == "active"


# -- policies -------------------------------------------------------------------------------------


def test_a_host_overrides_what_a_manifest_says():
    """Policies given to the host, or set later, hold for handlers that are connected already."""
    with timed(Host([Ledger, Mailer], policies={"ledger": "continue"})) as host:
        host.start()
        host.publish(BAD)
        assert host.states["ledger"] == "active"
        assert host.policy_of("ledger") == "continue"
        host.set_policy(Ledger, {"intensity": 5})
        assert host.policy_of("ledger") == Restart(intensity=5)
        host.publish(BAD)
        assert host.states["ledger"] == "stopped"
        host.start("ledger")
        host.set_policy("ledger", "raise")
        with pytest.raises(ValueError, match="no such amount"):
            host.publish(BAD)


def policy_changes(recording):
    """Whose policy was changed, and what it was and is."""
    records = recording.select(kinds="change").records()
    return [(record.plugin, record.payload) for record in records if record.name == "policy"]


def test_the_recording_has_what_the_host_was_told_instead_of_the_manifest(tmp_path):
    """Each change of a policy is a record with both, and the fact says which one holds, in every recording."""
    restart = {"intensity": 2, "period": 60, "backoff": 1, "dependents": True, "action": "restart"}
    with timed(Host([Ledger, Mailer], policies={"ledger": "continue", "mailer": "continue"})) as host:
        assert policy_changes(host.recording) == [("ledger", {"old": restart, "new": "continue"})]
        recording = host.record(tmp_path / "shop.plugbook")
        assert recording.facts("policy")["ledger"] == "continue"
        host.set_policy("ledger", Restart(intensity=2, period=60, backoff=1))
        assert recording.facts("policy")["ledger"] == restart
        assert policy_changes(recording) == [("ledger", {"old": "continue", "new": restart})]


def test_a_policy_that_only_the_manifest_states_is_no_fact_of_its_own(shop):
    """Whom the host was told nothing about has no fact of a policy, and no record of a change."""
    assert shop.recording.facts("policy") == {}
    assert policy_changes(shop.recording) == []


def test_a_policy_that_is_none_is_refused(shop):
    """It names the plugin and what to write, and the old policy holds."""
    with pytest.raises(ManifestError, match=r"'ledger': 'restrat' is no policy\. Did you mean 'restart'"):
        shop.set_policy("ledger", "restrat")
    with pytest.raises(UnknownPluginError):
        Host([Ledger], policies={"leger": "restart"})
    assert shop.policy_of("ledger") == Restart(intensity=2, period=60, backoff=1)


def test_handlers_connected_in_start_are_under_the_policy_too():
    """What `ctx.subscribe` connects belongs to the plugin as much as its methods do."""

    class Dynamic(Plugin, policy="quarantine"):
        def start(self, ctx):
            ctx.subscribe(Order, self.fail)

        def fail(self, event):
            raise ValueError("dynamic")

    with timed(Host([Dynamic])) as host:
        host.start()
        host.publish(GOOD)
        assert host.states == {"dynamic": "quarantined"}
        host.publish(GOOD)
        assert [letter.topic for letter in host.dead_letters("dynamic")] == ["sale"]


def test_a_plugin_that_never_ran_is_not_supervised():
    """A first start that fails is told to whoever asked for it, and nothing is tried again."""

    class Stillborn(Plugin, policy="restart"):
        def start(self, ctx):
            raise OSError("no disk")

    with timed(Host([Stillborn])) as host:
        assert "stillborn" in host.start().failed
        assert host.timer.due == []


def test_policies_work_without_timing():
    """A host that neither times nor records restarts its plugins all the same."""
    with timed(Host([Ledger], timing=False)) as host:
        host.start()
        host.publish(BAD)
        host.publish(GOOD)
        assert len(host.dead_letters("ledger")) == 1
        host.timer.pass_s(1)
        assert host.states == {"ledger": "active"}
        assert Ledger.seen == [1]


@given(
    failures=st.lists(st.integers(0, 30), max_size=12),
    intensity=st.integers(0, 4),
    period=st.integers(1, 60),
)
def test_no_period_has_more_restarts_than_allowed(failures, intensity, period):
    """However failures are spread, restarts stay within the limit, or the plugin is quarantined."""
    policy = Restart(intensity=intensity, period=period, backoff=0)
    with timed(Host([Ledger], policies={"ledger": policy})) as host:
        host.start()
        moments = []
        for wait_s in failures:
            host.timer.pass_s(wait_s)
            if host.states["ledger"] == "active":
                host.publish(BAD)
                moments.append(host.timer.now())
        restarts = moments[:-1] if host.states["ledger"] == "quarantined" else moments
        for moment in restarts:
            assert sum(moment - period < each <= moment for each in restarts) <= intensity
        if host.states["ledger"] == "quarantined":
            assert sum(moments[-1] - each < period for each in moments[:-1]) >= intensity
