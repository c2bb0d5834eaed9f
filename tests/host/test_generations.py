"""Reloads by generations: the new one takes over in one step with the state of the old, or the old one goes on."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import PluginError, ReloadError


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
