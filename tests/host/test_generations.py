"""Reloads by generations: the new one takes over in one step with the state of the old, or the old one goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import textwrap
import threading

import pytest

from plugbook import Event, ExtensionPoint, Host, Plugin, on
from plugbook.errors import PluginError, ReloadError, ServiceError


class Ping(Event, topic="ping"):
    n: int = 0


SOURCE = """
from plugbook import Plugin, on
{extra}

class Counter(Plugin, name="counter"):
    def __init__(self):
        self.seen = []

    def snapshot(self):
        return {{"seen": self.seen}}

    def restore(self, state):
        self.seen = state["seen"]
        {restore}

    def start(self, ctx):
        {start}

    def health(self):
        {health}

    @on("ping")
    def count(self, event):
        self.seen.append(event.n)
        return {result!r}
"""


def source(*, extra="", restore="pass", start="pass", health="pass", result="old"):
    return SOURCE.format(extra=extra, restore=restore, start=start, health=health, result=result)


class Folder:
    """A folder with a plugin in it, discovered and started."""

    def __init__(self, path):
        self.path = path
        (path / "plugin.toml").write_text('[plugin]\nname = "counter"\nentry_point = "code:Counter"\n')
        self.write(source())

    def write(self, text):
        (self.path / "code.py").write_text(textwrap.dedent(text))


@pytest.fixture
def folder(tmp_path):
    """A folder with the plugin `counter`."""
    return Folder(tmp_path)


@pytest.fixture
def host(folder):
    """A host on which it runs."""
    with Host() as host:
        host.discover(folder.path)
        host.start()
        host.publish(Ping(n=1))
        yield host


def module_of(handle):
    return sys.modules[type(handle.instance).__module__]


def results(host, n=2):
    return [call.result for call in host.publish(Ping(n=n)).calls]


def test_a_reload_runs_the_new_code_with_the_old_state(host, folder):
    """What was counted before is there, and the handle stays the same."""
    handle, before = host.plugins["counter"], module_of(host.plugins["counter"])
    folder.write(source(result="new"))
    changes = host.reload("counter")
    assert str(changes) == "reloaded counter (generation 2; state kept)"
    assert results(host) == ["new"]
    assert handle is host.plugins["counter"]
    assert handle.instance.seen == [1, 2]
    assert handle.generation == 2
    assert module_of(host.plugins["counter"]) is not before
    assert not changes.stale or str(changes.stale)


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("class Counter(Plugin", "import"),
        (source(extra="import no_such_module_at_all"), "import"),
        (source(extra="raise SystemExit(3)"), "import"),
        ("from plugbook import Plugin", "import"),
        (source(restore="raise ValueError('bad state')"), "restore"),
        (source().replace("def __init__(self):", "state_version = 2\n    def __init__(self):"), "migrate"),
        (source().replace("self.seen = []", "raise OSError('no disk')"), "__init__"),
        (source(start="ctx.subscribe('ping', print); raise ValueError('bad start')"), "start"),
        (source(health="raise RuntimeError('ill')"), "health"),
        (source(health="return False"), "health"),
        (source(health="return 'the disk is full'"), "health"),
        (source().replace('name="counter"', 'name="other"'), "import"),
        (source().replace('name="counter"', 'name="counter", requires=["absent"]'), "resolve"),
    ],
)
def test_what_fails_leaves_the_old_generation_serving(host, folder, text, phase):
    """Its instance, modules, subscriptions and state are as they were, and the error says where it went wrong."""
    handle, module = host.plugins["counter"], module_of(host.plugins["counter"])
    instance, scope = handle.instance, handle.scope
    subscriptions = host.subscriptions
    folder.write(text)
    with pytest.raises(ReloadError, match="generation 1 of counter goes on") as caught:
        host.reload("counter")
    assert caught.value.phase == phase
    assert (handle.instance, handle.scope, handle.generation) == (instance, scope, 1)
    assert host.subscriptions == subscriptions
    assert module_of(host.plugins["counter"]) is module
    assert results(host) == ["old"]
    assert instance.seen == [1, 2]
    folder.write(source(result="mended"))
    host.reload("counter")
    assert results(host, 3) == ["mended"]
    assert handle.instance.seen == [1, 2, 3]


def test_an_interrupted_reload_leaves_the_old_generation_serving(host, folder):
    """A KeyboardInterrupt in the new start ends the reload and nothing else."""
    folder.write(source(start="raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        host.reload("counter")
    assert results(host) == ["old"]
    assert host.plugins["counter"].generation == 1


class Interrupting:
    """A trace function that sends an interrupt when so many lines of plugbook have run."""

    def __init__(self, line):
        self.line = line
        self.count = 0

    def __call__(self, frame, event, arg):
        return self.step if "/plugbook/" in frame.f_code.co_filename else None

    def step(self, frame, event, arg):
        self.count += event == "line"
        if self.count == self.line:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return self.step


def test_an_interrupt_at_any_line_leaves_one_generation_serving(host):
    """Wherever Ctrl-C arrives, either the old one or the new one is there, whole, and no event is lost."""
    handle, line, outcomes = host.plugins["counter"], 1, set()
    while True:
        interrupting, tracing, before = Interrupting(line), sys.gettrace(), handle.generation
        sys.settrace(interrupting)
        try:
            host.reload("counter")
        except KeyboardInterrupt:
            outcomes.add(handle.generation - before)
        finally:
            sys.settrace(tracing)
        assert results(host, line) == ["old"]
        assert len(host.subscriptions) == 1
        assert module_of(handle).Counter is type(handle.instance) is handle.plugin_class
        assert not handle.scope.closed
        if interrupting.count < line:
            break
        line += 151
    assert handle.instance.seen == [1, *range(1, line + 1, 151)]
    assert outcomes == {0, 1}


def test_what_is_published_meanwhile_goes_to_the_new_generation(host, folder):
    """Events that are queued behind the reload are handled once, by whoever serves then."""
    folder.write(
        source(start="from plugbook import Event; ctx.publish(self.Late(n=7))", result="new").replace(
            "    def __init__",
            "    class Late(__import__('plugbook').Event, topic='ping'):\n        n: int = 0\n\n    def __init__",
            1,
        )
    )
    host.reload("counter")
    assert host.plugins["counter"].instance.seen == [1, 7]


def test_the_record_of_a_reload_says_what_was_kept(host, folder):
    """A generation change is a record with the old and new number, the state, and how long it took."""
    host.reload("counter")
    host.recording.flush()
    folder.write("def")
    with pytest.raises(ReloadError):
        host.reload("counter")
    changes = host.recording.changes()
    done, failed = changes[changes.name == "generation"].to_dict("records")
    kept = json.loads(done["payload"])
    assert (done["outcome"], failed["outcome"]) == ("ok", "error")
    assert kept["old"] == 1
    assert kept["new"] == 2
    assert kept["state"] == {"seen": [1]}
    assert done["duration_ns"] > 0
    assert "import of counter failed" in failed["reason"]


def test_a_plugin_without_a_snapshot_starts_anew_and_says_so():
    """The default keeps nothing."""

    class Plain(Plugin):
        def __init__(self):
            self.seen = []

        @on(Ping)
        def handle(self, event):
            self.seen.append(event.n)

    with Host([Plain]) as host:
        host.start()
        host.publish(Ping(n=1))
        assert (
            str(host.reload("plain")) == "reloaded plain (generation 2; no state kept: it had no snapshot())"
        )
        assert host.plugins["plain"].instance.seen == []


def test_a_replacement_keeps_the_state():
    """Another class of the name goes the same way as a reload."""

    def define(factor):
        class Total(Plugin):
            total = 0

            def snapshot(self):
                return self.total

            def restore(self, state):
                self.total = state

            @on(Ping)
            def add(self, event):
                self.total += factor * event.n

        return Total

    with Host([define(1)]) as host:
        host.start()
        host.publish(Ping(n=1))
        host.add(define(10), replace=True)
        host.publish(Ping(n=1))
        assert host.plugins["total"].instance.total == 11


class Book:
    """A service."""


def test_dependents_go_on_are_told_and_are_restarted_if_they_ask():
    """One has a hook, one asks to be restarted, and one does nothing: it goes on with what it has."""
    told = []

    class Ledger(Plugin):
        def start(self, ctx):
            ctx.provide(Book, Book())

    class Told(Plugin, requires=["ledger"]):
        def start(self, ctx):
            self.book = ctx.get(Book)

        def on_reload(self, plugin):
            told.append(plugin)
            self.book = self.ctx.get(Book)

    class Restarted(Plugin, requires=["ledger"], restart_with=["ledger"]):
        def start(self, ctx):
            self.book = ctx.get(Book)

    class Quiet(Plugin, requires=["ledger"]):
        def start(self, ctx):
            self.book = ctx.get(Book)

    with Host([Ledger, Told, Restarted, Quiet]) as host:
        host.start()
        before = {name: handle.instance for name, handle in host.plugins.items()}
        old = before["quiet"].book
        assert [str(step) for step in host.plan("reload", "ledger")] == [
            "reload ledger",
            "stop restarted (it restarts with ledger)",
            "start restarted (it restarts with ledger)",
        ]
        changes = host.reload("ledger")
        assert "told told" in str(changes)
        assert told == ["ledger"]
        instances = {name: handle.instance for name, handle in host.plugins.items()}
        assert instances["told"] is before["told"]
        assert instances["quiet"] is before["quiet"]
        assert instances["restarted"] is not before["restarted"]
        assert instances["told"].book is instances["restarted"].book is not old
        assert instances["quiet"].book is old


def test_a_hook_that_fails_is_told_and_stops_nothing():
    """The reload has happened; who failed is named."""

    class Ledger(Plugin):
        pass

    class Told(Plugin, requires=["ledger"]):
        def on_reload(self, plugin):
            raise ValueError("not now")

    with Host([Ledger, Told]) as host:
        host.start()
        with pytest.raises(PluginError, match="not now"):
            host.reload("ledger")
        assert host.plugins["ledger"].generation == 2
        assert set(host.states.values()) == {"active"}


# -- what runs meanwhile ------------------------------------------------------------------------------


def test_an_async_handler_that_is_under_way_ends_on_the_old_generation():
    """The reload waits for it; what comes after it goes to the new one."""
    entered, go_on = threading.Event(), threading.Event()
    ended = []

    class Slow(Plugin):
        @on(Ping)
        async def handle(self, event):
            entered.set()
            if event.n == 1:
                await asyncio.to_thread(go_on.wait, 10)
            ended.append((event.n, self))

    with Host([Slow]) as host:
        host.start()
        first = host.plugins["slow"].instance
        publisher = threading.Thread(target=host.publish, args=(Ping(n=1),))
        publisher.start()
        assert entered.wait(10)
        reloader = threading.Thread(target=host.reload, args=("slow",))
        reloader.start()
        host.publish(Ping(n=2))
        assert host.plugins["slow"].instance is first
        go_on.set()
        publisher.join(10)
        reloader.join(10)
        second = host.plugins["slow"].instance
        host.publish(Ping(n=3))
        assert second is not first
        assert ended[0] == (1, first)
        assert ended[-1] == (3, second)
        assert [n for n, _ in ended] == [1, 2, 3]


def test_async_hooks_are_awaited():
    """Every method that a reload calls may be a coroutine function."""
    order = []

    class Slow(Plugin):
        async def snapshot(self):
            order.append("snapshot")
            return 1

        async def restore(self, state):
            order.append(f"restore {state}")

        async def start(self, ctx):
            order.append("start")

        async def health(self):
            order.append("health")
            return True

    with Host([Slow]) as host:
        host.start()
        host.reload("slow")
        assert order == ["start", "snapshot", "restore 1", "start", "health", "snapshot"]


def test_nobody_sees_a_generation_before_the_switch():
    """Services, contributions and handlers of the new one are its own until it takes over."""
    seen = []
    shelves = ExtensionPoint("shop.shelves", str)

    class Ledger(Plugin):
        def start(self, ctx):
            self.book = Book()
            ctx.provide(Book, self.book)
            ctx.contribute(shelves, "ledger")
            ctx.subscribe("ping", self.hear)
            assert ctx.get(Book) is self.book

        def hear(self, event):
            return "late" if self is not host.plugins["ledger"].instance else "in time"

        def health(self):
            # An `ask` is answered at once, by who serves now.
            seen.append((host.ask(Ping()).value, look.ctx.get(Book), host.extensions["shop.shelves"].rows()))

    class Look(Plugin):
        def start(self, ctx):
            self.told = []
            ctx.declare(shelves)
            ctx.follow(shelves, self.told.append)

    with Host([Ledger, Look]) as host:
        host.start()
        look, old = host.plugins["look"].instance, host.plugins["ledger"].instance.book
        host.reload("ledger")
        assert seen == [("in time", old, [("ledger", "str", "")])]
        new = host.plugins["ledger"].instance.book
        assert look.ctx.get(Book) is new is not old
        assert host.extensions["shop.shelves"].rows() == [("ledger", "str", "")]
        assert look.told == [("ledger",)]
        host.stop("ledger")
        assert look.told[-1] == ()
        with pytest.raises(ServiceError):
            look.ctx.get(Book)


def test_a_migration_brings_the_state_to_the_new_version():
    """What an older class left is what the newer one restores; going back is a migration, too."""

    def define(version, key):
        class Total(Plugin):
            state_version = version

            def __init__(self):
                self.total = 0

            def snapshot(self):
                return {key: self.total}

            @classmethod
            def migrate(cls, state, from_version):
                return {key: next(iter(state.values())) * 10 ** (version - from_version)}

            def restore(self, state):
                self.total = state[key]

        return Total

    with Host([define(1, "euro")]) as host:
        host.start()
        host.plugins["total"].instance.total = 3
        changes = host.add(define(3, "cent"), replace=True)
        assert "state kept, migrated from version 1 to 3" in str(changes)
        assert host.plugins["total"].instance.total == 300
        host.add(define(1, "euro"), replace=True)
        assert host.plugins["total"].instance.total == 3


def test_a_start_that_throws_the_state_away_is_told():
    """What is set up in start is not there any more after a reload, which is hard to see otherwise."""

    class Forgetful(Plugin):
        def snapshot(self):
            return {"total": self.total}

        def restore(self, state):
            self.total = state["total"]

        def start(self, ctx):
            self.total = 0

        @on(Ping)
        def add(self, event):
            self.total += event.n

    with Host([Forgetful]) as host:
        host.start()
        host.publish(Ping(n=3))
        assert "but its start changed total: set up in __init__" in str(host.reload("forgetful"))


def test_a_state_of_another_form_and_the_same_version_is_told():
    """Whoever renames what snapshot gives is told of the migration that it takes."""

    def define(unit):
        class Total(Plugin, name="total"):
            def snapshot(self):
                return {unit: 1}

            def restore(self, state):
                pass

        return Total

    with Host([define("euro")]) as host:
        host.start()
        told = str(host.add(define("cents"), replace=True))
        assert "but its snapshot has no euro any more: count state_version up, and write migrate" in told


def test_what_plugbook_raises_is_told_in_its_own_words():
    """A refusal names no place inside of plugbook, and no class of its errors."""

    class Ill(Plugin):
        def health(self):
            return "no network"

    with Host([Ill]) as host:
        host.start()
        with pytest.raises(ReloadError) as refused:
            host.reload("ill")
        assert str(refused.value) == "generation 1 of ill goes on, for its health check failed: no network"


def test_a_paused_plugin_stays_paused_and_misses_nothing(host, folder):
    """What waits for it is brought to the generation that serves when it is resumed."""
    host.pause("counter")
    host.publish(Ping(n=2))
    folder.write(source(result="new"))
    host.reload("counter")
    host.publish(Ping(n=3))
    assert host.plugins["counter"].instance.seen == [1]
    host.resume("counter")
    assert host.plugins["counter"].instance.seen == [1, 2, 3]


def test_the_policy_of_the_new_manifest_holds():
    """What is done about a failing handler is what the new class says, also of handlers that it subscribes itself."""

    class Calm(Plugin, name="strict"):
        @on(Ping)
        def fail(self, event):
            raise ValueError("no")

    class Strict(Calm, name="strict", policy="raise"):
        pass

    with Host([Calm]) as host:
        host.start()
        assert host.publish(Ping()).errors
        host.add(Strict, replace=True)
        with pytest.raises(ValueError, match="no"):
            host.publish(Ping())


# -- bundles ------------------------------------------------------------------------------------------

BUNDLE = """
from plugbook import Bundle, Plugin, on

class Base(Plugin, name="base"):
    def __init__(self):
        self.seen = []

    def snapshot(self):
        return self.seen

    def restore(self, state):
        self.seen = state

    @on("ping")
    def note(self, event):
        self.seen.append(event.n)
        return {edition}

class Till(Base, name="till"):
    {till}

class Ledger(Base, name="ledger", requires=["till"]):
    pass

class Stall(Bundle, members=[{members}]):
    pass
"""


def test_a_bundle_is_reloaded_as_one(tmp_path):
    """Members keep their state, new ones come and others go; a failure in one of them changes nothing for any."""

    def write(edition, members, till="pass"):
        text = BUNDLE.format(edition=edition, members=members, till=till)
        (tmp_path / "code.py").write_text(text)

    (tmp_path / "plugin.toml").write_text("[plugin]\nname = 'stall'\nentry_point = 'code:Stall'\n")
    write(1, "Till, Ledger")
    with Host() as host:
        host.discover(tmp_path)
        host.start()
        assert results(host, 1) == [1, 1]
        write(2, "Ledger, Till", till="def health(self): return 'it jams'")
        with pytest.raises(ReloadError, match=r"stall\.till's health check failed: .*it jams"):
            host.reload("stall")
        assert results(host, 2) == [1, 1]
        write(3, "Ledger, Till")
        changes = host.reload("stall")
        assert [(each.plugin, each.old, each.new) for each in changes.generations] == [
            ("stall.till", 1, 2),
            ("stall.ledger", 1, 2),
            ("stall", 1, 2),
        ]
        assert results(host, 3) == [3, 3]
        assert host.plugins["stall.till"].instance.seen == [1, 2, 3]
        write(4, "Till")
        host.reload("stall")
        assert host.states == {"stall.till": "active", "stall": "active"}
        assert results(host, 4) == [4]
        write(5, "Ledger, Till")
        host.reload("stall")
        assert set(host.states) == {"stall.till", "stall.ledger", "stall"}
        assert set(host.states.values()) == {"active"}
        assert host.plugins["stall.till"].instance.seen == [1, 2, 3, 4]
        assert host.plugins["stall.ledger"].instance.seen == []
        assert not host.leaks()


NEEDY = """
from plugbook import Plugin

class Ledger(Plugin, name="ledger", version="{version}", requires={requires}):
    pass
"""


def test_a_manifest_that_does_not_fit_what_runs_is_refused(host, tmp_path):
    """A version that a dependent cannot use, or a requirement that is not running, changes nothing."""

    class Billing(Plugin, requires=["ledger<2"]):
        pass

    folder = tmp_path / "ledger"
    folder.mkdir()
    code = folder / "code.py"
    code.write_text(NEEDY.format(version="1.0", requires=[]))
    (folder / "plugin.toml").write_text("[plugin]\nname = 'ledger'\nentry_point = 'code:Ledger'\n")
    host.discover(folder)
    host.add(Billing)
    code.write_text(NEEDY.format(version="2.0", requires=[]))
    with pytest.raises(
        ReloadError, match=r"its manifest does not fit: .*billing 0\.0\.0 requires ledger<2"
    ) as caught:
        host.reload("ledger")
    assert caught.value.phase == "resolve"
    host.stop("counter")
    code.write_text(NEEDY.format(version="1.0", requires=["counter"]))
    with pytest.raises(ReloadError, match="ledger needs counter, which is not active"):
        host.reload("ledger")
    assert host.states == {"counter": "stopped", "ledger": "active", "billing": "active"}
    assert host.plugins["ledger"].manifest.version == "1.0"


def test_another_class_that_does_not_fit_takes_the_place_all_the_same():
    """Who asks for it by replace= gets it, and `why` says what it means for the others."""

    class Ledger(Plugin, version="1.0"):
        pass

    class Billing(Plugin, requires=["ledger<2"]):
        pass

    class Ledger2(Plugin, name="ledger", version="2.0"):
        pass

    with Host([Ledger, Billing]) as host:
        host.start()
        host.add(Ledger2, replace=True)
        assert host.states == {"billing": "stopped", "ledger": "active"}
        assert "ledger<2" in str(host.why("billing"))


def test_a_host_made_after_another_was_closed_sees_edits(host, folder):
    """What an earlier host had imported of a plugin's folder is imported afresh by the reload of a later one."""
    host.close()
    with Host() as later:
        later.discover(folder.path)
        later.start()
        folder.write(source(result="new"))
        later.reload("counter")
        assert results(later) == ["new"]
        assert [path.name for path in later.files_of("counter")] == ["plugin.toml", "code.py"]


def test_a_host_made_after_another_was_closed_starts_with_what_is_on_disk(host, folder):
    """A file that was edited while no host ran is imported afresh by the next one, without a reload."""
    host.close()
    folder.write(source(result="new"))
    with Host() as later:
        later.discover(folder.path)
        later.start()
        assert results(later) == ["new"]
