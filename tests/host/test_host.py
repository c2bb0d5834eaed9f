"""The host: requests, plans, whys and the recording, through real plugins."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time

import pytest
from pydantic import BaseModel

from plugbook import Event, Host, Plugin, current, on, open_recording
from plugbook.errors import (
    ConfigError,
    CycleError,
    HostClosedError,
    LifecycleError,
    ManifestError,
    PluginError,
    ResolutionError,
    UnknownNameError,
    UnknownPluginError,
)
from tests.host.conftest import Billing, InvoiceSent, Ledger, Mailer, OrderPlaced


def test_start_starts_everything_in_dependency_order(shop):
    """Every plugin starts after what it requires, in whichever order they were given."""
    changes = shop.start()
    assert changes.is_complete
    assert [step.plugin for step in changes.done] == ["ledger", "mailer", "billing"] or [
        step.plugin for step in changes.done
    ] == ["ledger", "billing", "mailer"]
    assert set(shop.states.values()) == {"active"}


def test_an_event_reaches_its_handlers_and_what_they_cause(shop):
    """A handler's own event is queued, delivered, and has that handler's call as its parent."""
    shop.start()
    report = shop.publish(OrderPlaced(order_id=7))
    assert [call.handler for call in report.calls] == ["Ledger.post", "Billing.bill"]
    events = shop.recording.events()
    invoice = events[events.topic == "invoice.sent"].iloc[0]
    assert invoice.parent == report.calls[1].seq
    assert invoice.root == report.seq
    calls = shop.recording.calls()
    assert calls[calls.name == "Mailer.send"].result.tolist() == ["7"]


def test_stop_stops_dependents_first_and_says_so_before(shop):
    """The plan of a stop names the dependents, in the order in which they will stop."""
    shop.start()
    plan = shop.plan("stop", "ledger")
    assert [step.plugin for step in plan][-1] == "ledger"
    assert {step.plugin for step in plan} == {"billing", "mailer", "ledger"}
    assert shop.states["ledger"] == "active"
    assert [step.plugin for step in shop.stop("ledger").done] == [step.plugin for step in plan]
    assert set(shop.states.values()) == {"stopped"}


def test_start_of_one_starts_what_it_requires(shop):
    """Starting one plugin starts its requirements, and nothing else."""
    shop.start("billing")
    assert shop.states == {"mailer": "discovered", "billing": "active", "ledger": "active"}


def test_why_follows_a_stop_to_its_first_cause(shop):
    """A stopped dependent says which stop took it along."""
    shop.start()
    shop.stop("ledger")
    why = str(shop.why("billing"))
    assert "it needs ledger, which is stopped" in why
    assert "ledger was stopped at" in why
    assert "start 'billing'" in why


def test_a_plugin_that_fails_in_start_keeps_only_its_dependents_from_starting():
    """Others start; the failure is on the handle, in the changes, and its cleanup ran."""
    cleaned = []

    class Broken(Plugin):
        def start(self, ctx):
            ctx.defer(cleaned.append, "broken")
            raise ValueError("no book")

    class Needy(Plugin, requires=["broken"]):
        pass

    with Host([Needy, Broken, Ledger]) as host:
        changes = host.start()
        assert host.states == {"needy": "discovered", "broken": "failed", "ledger": "active"}
        assert isinstance(changes.failed["broken"], ValueError)
        assert cleaned == ["broken"]
        why = host.why("needy")
        assert "no book" in why.chain[-1]
        assert "test_host.py" in why.remedy
        with pytest.raises(PluginError, match="no book") as caught:
            host.start("needy")
        assert isinstance(caught.value.__cause__, ValueError)


def test_restart_and_reload_bring_dependents_back(shop):
    """What a restart stops, it starts again."""
    shop.start()
    first = shop.plugins["ledger"].instance
    shop.restart("ledger")
    assert set(shop.states.values()) == {"active"}
    assert shop.plugins["ledger"].instance is not first
    shop.reload("ledger")
    assert set(shop.states.values()) == {"active"}
    assert shop.plugins["ledger"].generation == 2


def test_add_to_a_running_host_starts_and_replace_swaps(shop):
    """A plugin added to a started host is active at once, and replace puts a new class in its place."""
    shop.start()
    seen = []

    class Counter(Plugin):
        @on(OrderPlaced)
        def count(self, event):
            seen.append("old")

    shop.add(Counter)
    shop.publish(OrderPlaced(order_id=1))
    with pytest.raises(ManifestError, match="already"):
        shop.add(Counter)

    class Better(Plugin, name="counter"):
        @on(OrderPlaced)
        def count(self, event):
            seen.append("new")

    shop.add(Better, replace=True)
    shop.publish(OrderPlaced(order_id=2))
    assert seen == ["old", "new"]


def test_replacing_keeps_the_options_that_the_new_class_still_takes():
    """A hot swap keeps the configuration; an option that is gone is named, not refused."""

    class Taxed(Plugin):
        class Config(BaseModel):
            tax: float = 0.0
            rounding: int = 2

    class Simpler(Plugin, name="taxed"):
        class Config(BaseModel):
            rounding: int = 0

    with Host([Taxed], config={"taxed": {"tax": 0.2, "rounding": 4}}) as host:
        host.start()
        changes = host.add(Simpler, replace=True)
        assert host.plugins["taxed"].config.rounding == 4
        assert "without tax" in str(changes)


def test_replacing_a_requirement_restarts_its_dependents(shop):
    """What was stopped to replace a plugin starts again."""
    shop.start()

    class NewLedger(Ledger, name="ledger", version="2.5", provides=["bookkeeping"]):
        pass

    shop.add(NewLedger, replace=True)
    assert set(shop.states.values()) == {"active"}
    assert type(shop.plugins["ledger"].instance) is NewLedger


def test_remove_leaves_dependents_stopped_and_says_why(shop):
    """A dependent of a removed plugin names it as missing."""
    shop.start()
    shop.remove("ledger")
    assert "ledger" not in shop.states
    assert shop.states["billing"] == "stopped"
    assert "there is no plugin ledger" in str(shop.why("billing"))


def test_unknown_names_are_refused_with_a_suggestion(shop):
    """A name that is nearly right is never ignored."""
    with pytest.raises(UnknownPluginError, match="Did you mean 'ledger'"):
        shop.start("leger")
    with pytest.raises(UnknownPluginError, match="Did you mean 'billing'"):
        Host([Billing], config={"biling": {}})
    with pytest.raises(LifecycleError, match="Did you mean 'restart'"):
        shop.plan("retsart", "ledger")


@pytest.mark.parametrize("request_name", ["stop", "restart"])
def test_an_illegal_request_raises_and_changes_nothing(shop, request_name):
    """What the state does not allow names the state and what is allowed."""
    before = shop.states
    with pytest.raises(LifecycleError) as caught:
        getattr(shop, request_name)("ledger")
    assert caught.value.state == "discovered"
    assert caught.value.allowed
    assert shop.states == before


def test_a_cycle_is_refused_with_the_shortest_circle():
    """Plugins that require each other name the circle, and the others still start."""

    class A(Plugin, requires=["b"]):
        pass

    class B(Plugin, requires=["a"]):
        pass

    with Host([A, B, Ledger]) as host:
        changes = host.start()
        assert host.states["ledger"] == "active"
        assert set(changes.blocked) == {"a", "b"}
        with pytest.raises(CycleError) as caught:
            host.start("a")
        assert caught.value.plugins[0] == caught.value.plugins[-1]


def test_a_missing_requirement_is_refused_by_name():
    """Starting a plugin whose requirement is not there says which, and what to add."""
    with Host([Billing]) as host, pytest.raises(ResolutionError, match="there is no plugin ledger"):
        host.start("billing")


def test_configuration_is_validated_with_the_path_of_the_field():
    """A wrong option fails the load, naming plugin and field; a right one arrives in ctx.config."""

    class Taxed(Plugin):
        class Config(BaseModel):
            rates: list[float] = [0.2]

        def start(self, ctx):
            self.rates = ctx.config.rates

    with Host([Taxed], config={"taxed": {"rates": [0.1]}}) as host:
        host.start()
        assert host.plugins["taxed"].instance.rates == [0.1]
    with Host([Taxed], config={"taxed": {"rates": ["much"]}}) as host:
        error = host.start().failed["taxed"]
        assert isinstance(error, ConfigError)
        assert error.path == "rates.0"
        assert "rates.0" in str(host.why("taxed"))


def test_a_request_inside_a_handler_is_pending_and_runs_afterwards():
    """A handler that stops its own plugin gets a pending result; it is stopped when the event has ended."""
    results = []

    class Once(Plugin):
        @on(OrderPlaced)
        def only(self, event):
            results.append((host.stop("once"), host.states["once"]))

    with Host([Once]) as host:
        host.start()
        host.publish(OrderPlaced(order_id=1))
        pending, state = results[0]
        assert state == "active"
        assert pending.done
        assert host.states["once"] == "stopped"
        assert host.publish(OrderPlaced(order_id=2)).outcome == "unhandled"


def test_async_start_and_background_tasks_end_at_stop():
    """What an async start spawned is cancelled at stop, and what it published arrives."""
    seen = threading.Event()
    ended = threading.Event()

    class Ticker(Plugin):
        async def start(self, ctx):
            import asyncio

            async def tick():
                try:
                    await ctx.publish_async(InvoiceSent(order_id=1))
                    await asyncio.Event().wait()
                finally:
                    ended.set()

            ctx.spawn(tick())

        @on(InvoiceSent)
        def arrived(self, event):
            seen.set()

    with Host([Ticker]) as host:
        host.start()
        assert seen.wait(5)
        assert not ended.is_set()
        host.stop()
        assert ended.wait(5)
        # The thread that waited for publish_async may need a moment to let go of what it waited for.
        deadline = time.monotonic() + 5
        while host.leaks() and time.monotonic() < deadline:
            pass
        assert host.leaks() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda self: self.poll, r"poll is a function\. Write ctx\.spawn\(self\.poll\(\)\)"),
        (lambda self: asyncio.sleep, r"sleep is a function\. Write ctx\.spawn\(sleep\(\)\)"),
        (lambda self: None, "takes a coroutine, which None is not"),
    ],
)
def test_a_background_task_that_is_no_coroutine_is_refused(given, message):
    """The message says what to write."""

    class Poller(Plugin):
        def start(self, ctx):
            with pytest.raises(LifecycleError, match=message):
                ctx.spawn(given(self))

        async def poll(self):
            pass

    with Host([Poller]) as host:
        host.start()
        assert host.states["poller"] == "active"


def test_a_failing_background_task_is_logged_in_the_recording():
    """What a spawned coroutine raises lands in the log, never nowhere."""

    class Crash(Plugin):
        def start(self, ctx):
            async def crash():
                raise ValueError("out of paper")

            self.future = ctx.spawn(crash(), name="printer")

    with Host([Crash]) as host:
        host.start()
        host.plugins["crash"].instance.future.result(5)
        logs = host.recording.logs()
        assert logs.level.tolist() == ["error"]
        assert "crash.printer" in logs.message[0]


def test_cleanup_that_fails_leaves_the_plugin_failed_and_the_rest_cleaned():
    """Every cleanup runs; the failures are one ExceptionGroup on the handle."""
    ran = []

    class Messy(Plugin):
        def start(self, ctx):
            ctx.defer(ran.append, "first")
            ctx.defer(lambda: 1 / 0)
            ctx.defer(ran.append, "last")

    with Host([Messy]) as host:
        host.start()
        changes = host.stop()
        assert ran == ["last", "first"]
        assert isinstance(changes.failed["messy"], ExceptionGroup)
        assert host.states["messy"] == "failed"
        assert "division by zero" in str(host.why("messy"))


def test_leaks_name_what_is_left_and_who_holds_it():
    """A thread, a subscription and an instance that outlive their plugin are named with their holders."""
    kept = []
    go_on = threading.Event()

    class Leaky(Plugin):
        def start(self, ctx):
            kept.append(self)
            self.thread = threading.Thread(target=self.run, name="leaky-thread", daemon=True)
            self.thread.start()
            host.bus.subscribe("**", self.peek)

        def run(self):
            go_on.wait(30)

        def peek(self, event):
            pass

    with Host([Leaky]) as host:
        host.start()
        host.stop()
        leaks = {leak.kind: leak for leak in host.leaks()}
        go_on.set()
        assert set(leaks) == {"instance", "thread", "subscription"}
        assert leaks["thread"].what == "leaky-thread"


def test_an_instance_kept_by_an_error_is_told_with_the_error():
    """A report that somebody keeps holds the traceback, and that the plugin."""

    class Broken(Plugin):
        @on(OrderPlaced)
        def fail(self, event):
            raise ValueError("no")

    with Host([Broken]) as host:
        host.start()
        kept = [host.publish(OrderPlaced(order_id=1))]
        host.stop()
        leak = host.leaks()[0]
        assert leak.kind == "instance"
        assert "in the traceback of a ValueError" in leak.path
        kept.clear()
        assert str(host.leaks()) == "nothing was left behind"


def test_a_clean_plugin_leaves_nothing(shop):
    """Plugins that took everything through ctx are gone after a stop."""
    shop.start()
    shop.publish(OrderPlaced(order_id=1))
    shop.stop()
    gc.collect()
    assert shop.leaks() == []


def test_recording_goes_to_a_file_and_back_to_memory(shop, tmp_path):
    """While a file is open everything lands in it; afterwards the host records in memory again."""
    path = tmp_path / "shop.plugbook"
    with shop.record(path) as recording:
        shop.start()
        shop.publish(OrderPlaced(order_id=1))
        assert shop.recording is recording
    shop.publish(OrderPlaced(order_id=2))
    opened = open_recording(path)
    assert opened.events().topic.tolist() == ["order.placed", "invoice.sent"]
    assert "active" in set(opened.states().after)
    assert opened.facts("manifest")["ledger"]["version"] == "2.1"
    assert len(shop.recording.events()) == 2


def test_state_records_tell_the_transitions_with_their_causes(shop):
    """A transition's second half has its first as parent, and an error has its traceback."""
    shop.start("ledger")
    states = shop.recording.states()
    assert states.after.tolist() == ["resolved", "loaded", "starting", "active"]
    assert states.parent.iloc[-1] == states.seq.iloc[-2]


def test_current_is_the_host_started_last(shop):
    """A started host becomes plugbook.current()."""
    shop.start()
    assert current() is shop


def test_a_closed_host_refuses_and_closing_again_does_nothing(shop):
    """After close every request says that the host is closed."""
    shop.start()
    shop.close()
    shop.close()
    assert set(shop.states.values()) == {"stopped"}
    with pytest.raises(HostClosedError):
        shop.start()


@pytest.mark.parametrize(
    "request_",
    [
        lambda host: host.subscribe("order.*", print),
        lambda host: host.throttle("order.*", per_second=1),
        lambda host: host.unthrottle("order.*"),
        lambda host: host.deprecate(topic="order.old", since="1.0", removal="2.0"),
        lambda host: host.pause("billing"),
        lambda host: host.mute("billing"),
        lambda host: host.set_policy("billing", "restart"),
        lambda host: host.replay(host.recording),
    ],
)
def test_a_closed_host_takes_nothing_on(shop, request_):
    """What would wait for events that cannot come is refused, and changes nothing."""
    shop.start()
    shop.close()
    before = (shop.subscriptions, dict(shop.bus.throttles), shop.deprecations, shop.policy_of("billing"))
    with pytest.raises(HostClosedError, match="make a new one"):
        request_(shop)
    assert before == (
        shop.subscriptions,
        dict(shop.bus.throttles),
        shop.deprecations,
        shop.policy_of("billing"),
    )


def test_an_interrupted_start_is_cleaned_up_and_raised():
    """Ctrl-C in start runs the plugin's cleanups, leaves it stopped, and reaches the caller."""
    cleaned = []

    class Slow(Plugin):
        def start(self, ctx):
            ctx.defer(cleaned.append, 1)
            raise KeyboardInterrupt

    with Host([Slow]) as host:
        with pytest.raises(KeyboardInterrupt):
            host.start()
        assert cleaned == [1]
        assert host.states["slow"] == "stopped"


def test_listeners_hear_of_every_change_and_a_raising_one_is_dropped(shop):
    """A listener is called after each change until it is disconnected; one that raises is dropped."""
    heard = []

    def bad():
        heard.append("bad")
        raise ValueError

    shop.on_change(bad)
    disconnect = shop.on_change(lambda: heard.append("good"))
    shop.start("ledger")
    disconnect()
    count = heard.count("good")
    shop.stop("ledger")
    assert heard.count("bad") == 1
    assert heard.count("good") == count >= 4


def test_a_bare_host_records_nothing_and_still_works():
    """With timing off, handlers run and nothing is numbered."""
    with Host([Ledger], timing=False) as host:
        host.start()
        assert host.publish(OrderPlaced(order_id=1)).outcome == "ok"
        assert host.recording is None


def test_a_request_from_another_thread_waits_for_the_running_handler():
    """A stop from elsewhere never comes between two handlers of one event."""
    inside, stopped, order = threading.Event(), [], []

    class First(Plugin):
        @on(OrderPlaced)
        def handle(self, event):
            thread.start()
            inside.wait(5)
            order.append("first")

    class Second(Plugin):
        @on(OrderPlaced)
        def handle(self, event):
            order.append("second")

    with Host([First, Second]) as host:
        host.start()

        def stop():
            inside.set()
            stopped.append(host.stop("second"))
            order.append("stopped")

        thread = threading.Thread(target=stop)
        host.publish(OrderPlaced(order_id=1))
        thread.join(5)
    assert order == ["first", "second", "stopped"]
    assert stopped[0].is_complete


@pytest.mark.parametrize("wrong", [Ledger(), "ledger", 3, Plugin, Event])
def test_only_plugin_classes_are_taken(wrong):
    """Anything else is refused with what it is and what is wanted."""
    with pytest.raises(ManifestError, match="plugin classes"):
        Host([wrong])


def test_mailer_is_listed(shop):
    """The repr lists every plugin with its state."""
    assert repr(shop).count("discovered") == 4
    assert Mailer.manifest.name in repr(shop)


def test_a_plugin_from_a_distribution_is_imported_at_start_and_gone_after_removal(tmp_path, monkeypatch):
    """Discovery adds what is installed without importing it; what only the class says counts once it is loaded."""
    (tmp_path / "shipped.py").write_text(
        "from plugbook import Plugin\n"
        "needed = ['ledger>=2']\n"
        "class Parcel(Plugin, name='parcel', version='1.5', requires=needed):\n"
        "    pass\n"
    )
    info = tmp_path / "shipped-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shipped\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[plugbook.plugins]\nparcel = shipped:Parcel\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Host() as host:
        assert [step.plugin for step in host.discover().done] == ["parcel"]
        assert "shipped" not in sys.modules
        assert "it needs ledger" in host.start().blocked["parcel"] or host.states["parcel"] == "loaded"
        host.add(Ledger)
        host.start("parcel")
        assert host.plugins["parcel"].manifest.requires == ("ledger>=2",)
        assert host.states == {"parcel": "active", "ledger": "active"}
        host.remove("parcel")
        assert "shipped" not in sys.modules


def test_a_replacement_whose_options_do_not_fit_changes_nothing():
    """The old plugin goes on running when the new one's configuration is refused."""

    class Taxed(Plugin):
        class Config(BaseModel):
            tax: float = 0.0

    class Strict(Plugin, name="taxed"):
        class Config(BaseModel):
            tax: int = 0

    with Host([Taxed], config={"taxed": {"tax": 0.5}}) as host:
        host.start()
        instance = host.plugins["taxed"].instance
        with pytest.raises(ConfigError):
            host.add(Strict, replace=True)
        assert host.plugins["taxed"].instance is instance
        assert host.states == {"taxed": "active"}


def test_a_plugin_whose_policy_is_raise_lets_publish_raise():
    """With policy="raise" a handler's failure reaches whoever published; the plugin goes on running."""

    class Strict(Plugin, policy="raise"):
        @on(OrderPlaced)
        def refuse(self, event):
            raise ValueError("not today")

    with Host([Strict]) as host:
        host.start()
        with pytest.raises(ValueError, match="not today"):
            host.publish(OrderPlaced(order_id=1))
        assert host.states == {"strict": "active"}
    with pytest.raises(ManifestError, match="policy"):
        type("Lax", (Plugin,), {}, policy="ignore")


def test_a_host_that_nobody_closed_is_closed_when_python_ends(tmp_path):
    """At the end of the process every cleanup runs, also of plugins whose tasks still run."""
    script = (
        "import asyncio\n"
        "from plugbook import Host, Plugin\n"
        "class Ticker(Plugin):\n"
        "    def start(self, ctx):\n"
        "        async def tick():\n"
        "            while True:\n"
        "                await asyncio.sleep(0)\n"
        "        ctx.spawn(tick())\n"
        "        ctx.defer(print, 'cleaned up')\n"
        "host = Host([Ticker])\n"
        "host.start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert done.stdout == "cleaned up\n"
    assert done.stderr == ""


def test_a_limit_is_taken_away_by_what_it_was_set_for(shop):
    """`unthrottle` needs no more than the target, and names the nearest one where there is none."""
    shop.throttle("order.*", per_second=1)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'order\.\*'"):
        shop.unthrottle("orde.*")
    shop.unthrottle("order.*")
    assert shop.bus.throttles == {}
