"""For each kind of thing that a plugin may leave behind: one that is found, and one that only looks like it."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import socket
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import blinker
import pytest
from ipywidgets import Button, HBox

from plugbook import Event, Host, Plugin, on

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Tick(Event, topic="clock.tick"):
    pass


@pytest.fixture
def run():
    """Starts a host with some plugins, and ends what they leave behind."""
    hosts = []

    def start(*plugins):
        host = Host(plugins)
        hosts.append(host)
        host.start()
        return host

    yield start
    for host in hosts:
        host.close()


def told(host, *, ahead=False):
    """Kind and name of each leak: of those of plugins that are over, or that run."""
    return [(leak.kind, leak.what) for leak in host.leaks() if leak.is_ahead is ahead]


def only(host):
    """The one leak that there is."""
    leaks = host.leaks()
    assert len(leaks) == 1, leaks
    return leaks[0]


# -- files ----------------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.txt"
    path.write_text("")
    return path


def test_a_file_of_an_instance_that_is_left_is_found_with_its_path(run, journal):
    """The file hangs on the instance, and that on whoever has it."""
    kept = []

    class Diary(Plugin):
        def start(self, ctx):
            kept.append(self)

        @on(Tick)
        def write(self, event):
            self.journal = journal.open()

    host = run(Diary)
    host.publish(Tick())
    host.stop()
    leaks = {leak.kind: leak for leak in host.leaks()}
    assert set(leaks) == {"instance", "file"}
    assert leaks["file"].what == f"{journal} (rb)"
    assert leaks["file"].path.endswith(".journal")
    assert "ctx.enter(open" in leaks["file"].remedy
    kept.pop().journal.close()
    assert not host.leaks()


def test_a_file_that_was_opened_in_start_is_found_wherever_it_is(run, journal):
    """A handler of logging that nobody takes away is told with the logger that has it."""
    logger = logging.getLogger("tests.diary")

    class Diary(Plugin):
        def start(self, ctx):
            logger.addHandler(logging.FileHandler(journal))

    host = run(Diary)
    host.stop()
    leak = only(host)
    assert (leak.kind, leak.plugin) == ("file", "diary")
    assert ".stream" in leak.path
    handler = logger.handlers.pop()
    handler.close()
    assert not host.leaks()


@pytest.mark.parametrize("way", ["enter", "defer", "own method", "closed"])
def test_a_file_that_a_cleanup_can_close_is_no_leak(run, journal, way):
    """Neither while the plugin runs, nor after."""

    class Diary(Plugin):
        def start(self, ctx):
            self.journal = journal.open()
            if way == "enter":
                ctx.enter(self.journal)
            elif way == "defer":
                ctx.defer(self.journal.close)
            elif way == "own method":
                ctx.defer(self.close)
            else:
                self.journal.close()

        def close(self):
            self.journal.close()

    host = run(Diary)
    assert not host.leaks()
    host.stop()
    assert not host.leaks()


def test_a_file_outside_the_scope_is_told_while_the_plugin_runs(run, journal):
    """What a handler opened and keeps would be left behind; the path says where the plugin has it."""

    class Diary(Plugin):
        @on(Tick)
        def write(self, event):
            self.journal = journal.open()

    host = run(Diary)
    assert not host.leaks()
    host.publish(Tick())
    leak = only(host)
    assert leak.is_ahead
    assert leak.path == "the running diary.journal"
    assert "holds a file outside its scope" in str(leak)
    host.plugins["diary"].instance.journal.close()


def test_a_file_that_was_lent_is_not_the_plugins(run, journal):
    """What others hold as well, or had before, is nobody's leak."""
    with journal.open() as lent:

        class Diary(Plugin):
            def start(self, ctx):
                self.journal = lent

        host = run(Diary)
        assert not host.leaks()
        assert lent


def test_the_service_of_another_plugin_is_its_own_affair(run, journal):
    """A file behind a service is told of the plugin that provides it, not of those that use it."""

    class Book:
        def __init__(self):
            self.journal = journal.open()

    class Ledger(Plugin):
        def start(self, ctx):
            self.book = Book()
            ctx.provide(Book, self.book)

    class Billing(Plugin, requires=["ledger"]):
        def start(self, ctx):
            self.own = ctx.get(Book)

    host = run(Billing, Ledger)
    assert [leak.plugin for leak in host.leaks()] == ["ledger"]
    host.plugins["ledger"].instance.book.journal.close()


def test_where_a_file_was_opened_is_told_if_python_kept_track(run, journal):
    """With tracemalloc also a file that a library has is found, and the line that asked for it."""
    library = []

    class Diary(Plugin):
        @on(Tick)
        def write(self, event):
            library.append(journal.open())

    host = run(Diary)
    tracemalloc.start(10)
    try:
        host.publish(Tick())
        host.stop()
        leak = only(host)
        assert leak.plugin == "diary"
        assert leak.place.startswith(__file__)
    finally:
        tracemalloc.stop()
    library.pop().close()


def test_a_database_is_a_file(run, tmp_path):
    """An SQLite connection that was not closed is found, one that was is not."""

    class Ledger(Plugin):
        def start(self, ctx):
            self.open = sqlite3.connect(tmp_path / "open.db")
            self.closed = sqlite3.connect(tmp_path / "closed.db")
            self.closed.close()

    host = run(Ledger)
    assert only(host).what == "an SQLite connection"
    host.plugins["ledger"].instance.open.close()
    assert not host.leaks()


# -- sockets --------------------------------------------------------------------------------------


def test_a_socket_is_found_by_its_address(run):
    """One that listens is a leak, one whose close is deferred is not."""

    class Server(Plugin):
        def start(self, ctx):
            self.left = socket.create_server(("127.0.0.1", 0))
            self.closed = socket.create_server(("127.0.0.1", 0))
            ctx.defer(self.closed.close)

    host = run(Server)
    leak = only(host)
    server = host.plugins["server"].instance
    assert (leak.kind, leak.what) == ("socket", f"127.0.0.1:{server.left.getsockname()[1]}")
    server.left.close()


# -- processes ------------------------------------------------------------------------------------

WAIT = [sys.executable, "-c", "input()"]


def test_a_child_process_that_runs_is_found_and_one_that_ended_is_not(run):
    """Its arguments are not told, and a child that has ended is still there for its owner to ask."""

    class Shell(Plugin):
        def start(self, ctx):
            self.left = subprocess.Popen([*WAIT, "secret"], stdin=subprocess.PIPE)
            self.ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
            self.ended.stdout.read()
            self.deferred = subprocess.Popen(WAIT, stdin=subprocess.PIPE)
            ctx.enter(self.deferred)
            ctx.defer(self.deferred.stdin.close)

    host = run(Shell)
    shell = host.plugins["shell"].instance
    leaks = {leak.what: leak for leak in host.leaks() if leak.kind == "process"}
    name = f"(pid {shell.left.pid})"
    assert [what.rpartition(" (")[2] for what in leaks] == [f"pid {shell.left.pid})"], leaks
    assert name in str(leaks)
    assert "secret" not in str(leaks)
    assert "process.terminate" in next(iter(leaks.values())).remedy
    assert shell.ended.wait() == 0
    shell.ended.stdout.close()
    shell.left.communicate()


def test_a_process_of_multiprocessing_is_found(run):
    """It is told by its name while it runs, and not when it has ended."""
    context = multiprocessing.get_context("spawn")
    go_on = context.Event()

    class Pool(Plugin):
        def start(self, ctx):
            context.Process(target=go_on.wait, name="worker").start()

    host = run(Pool)
    host.stop()
    assert next(leak.what for leak in host.leaks() if leak.kind == "process").startswith("worker (pid ")
    go_on.set()
    for child in multiprocessing.active_children():
        child.join()
    assert not host.leaks()


# -- threads and tasks ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["event", "attribute", "join", "pool"])
def test_a_thread_that_a_cleanup_can_end_is_no_leak(run, way):
    """The cleanup may set what the thread waits for, in whatever way both can get at it."""

    class Poller(Plugin):
        def start(self, ctx):
            ended = self.ended = threading.Event()
            if way == "pool":
                pool = ctx.enter(ThreadPoolExecutor(1))
                pool.submit(int).result()
                return
            target = self.poll if way == "attribute" else ended.wait
            self.thread = threading.Thread(target=target)
            self.thread.start()
            if way == "join":
                ctx.defer(self.thread.join)
            ctx.defer(ended.set)

        def poll(self):
            self.ended.wait()

    host = run(Poller)
    assert not host.leaks()
    host.stop()


def test_a_timer_that_a_handler_started_is_found(run):
    """A thread that runs the plugin's code is its own, though it was not started in its start."""
    timers = []

    class Alarm(Plugin):
        @on(Tick)
        def set(self, event):
            timers.append(threading.Timer(300, self.ring))
            timers[0].start()

        def ring(self):
            pass

    host = run(Alarm)
    assert not host.leaks()
    host.publish(Tick())
    assert [leak.kind for leak in host.leaks() if leak.is_ahead] == ["thread"]
    host.stop()
    leaks = {leak.kind: leak for leak in host.leaks()}
    assert set(leaks) == {"thread", "instance"}
    assert "now at" in leaks["thread"].path
    timers.pop().cancel()


def test_a_task_that_was_not_spawned_is_found(run):
    """asyncio.create_task in a handler makes a task that no scope knows; one of ctx.spawn is cancelled at stop."""

    class Clock(Plugin):
        def start(self, ctx):
            ctx.spawn(self.run())

        @on(Tick)
        async def tick(self, event):
            self.task = asyncio.create_task(self.run(), name="stray")

        async def run(self):
            await asyncio.sleep(300)

    host = run(Clock)
    assert not host.leaks()
    host.publish(Tick())
    leak = only(host)
    assert (leak.kind, leak.what, leak.is_ahead) == ("task", "stray", True)
    assert "ctx.spawn" in leak.remedy
    host.stop()
    assert ("task", "stray") in told(host)


# -- subscriptions --------------------------------------------------------------------------------


def test_a_subscription_past_the_context_is_found(run):
    """What was subscribed on the host, and not through ctx, has no end."""

    class Listener(Plugin):
        def start(self, ctx):
            ctx.subscribe("**", self.listen)

        @on(Tick)
        def tick(self, event):
            host.subscribe("clock.*", self.listen)

        def listen(self, event):
            pass

    host = run(Listener)
    assert not host.leaks()
    host.publish(Tick())
    assert [(leak.kind, leak.is_ahead) for leak in host.leaks()] == [("subscription", True)]
    host.stop()
    leak = next(leak for leak in host.leaks() if leak.kind == "subscription")
    assert not leak.is_ahead
    assert "test_leak_kinds.py" in leak.place


def test_a_connection_in_another_system_is_told_as_what_keeps_the_instance(run):
    """A signal of blinker that holds a method is on the path to the plugin; one that holds it weakly is not."""
    signal = blinker.Signal()

    class Strong(Plugin):
        def start(self, ctx):
            signal.connect(self.receive, weak=False)

        def receive(self, sender):
            pass

    class Weak(Plugin):
        def start(self, ctx):
            signal.connect(self.receive)

        def receive(self, sender):
            pass

    host = run(Strong, Weak)
    host.stop()
    leak = only(host)
    assert (leak.kind, leak.plugin) == ("instance", "strong")
    assert "receivers" in leak.path
    assert "bound as" in leak.path


# -- modules --------------------------------------------------------------------------------------

MODULE = """
from plugbook import Plugin
class Helper:
    pass
class Diary(Plugin, name="diary"):
    def start(self, ctx):
        if {is_kept}:
            import registry_of_tests
            registry_of_tests.kept.append(Helper)
"""


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_module_of_which_something_is_held_is_found(run, tmp_path, monkeypatch, is_kept):
    """A class that somebody keeps holds on to the old module; what nobody keeps is gone."""
    folder = tmp_path / "plugins" / "diary"
    folder.mkdir(parents=True)
    (folder / "diary_of_tests.py").write_text(MODULE.format(is_kept=is_kept))
    (folder / "plugin.toml").write_text(
        '[plugin]\nname = "diary"\nversion = "1.0.0"\nentry_point = "diary_of_tests:Diary"\n'
    )
    (tmp_path / "registry_of_tests.py").write_text("kept = []")
    monkeypatch.syspath_prepend(tmp_path)
    host = run()
    host.discover(tmp_path / "plugins")
    assert not host.leaks()
    host.remove("diary")
    leaks = host.leaks()
    sys.modules.pop("registry_of_tests", None)
    if not is_kept:
        assert not leaks
        return
    assert [leak.kind for leak in leaks] == ["module"]
    assert leaks[0].what.endswith("diary_of_tests (Helper)")
    assert leaks[0].path == "registry_of_tests.kept[0]"


# -- widgets --------------------------------------------------------------------------------------


def test_widgets_are_found_by_who_made_them_and_whom_they_call(run):
    """Those that start made, and those whose click goes to the plugin; what is part of another one is not listed."""
    made = []

    class Board(Plugin):
        def start(self, ctx):
            self.box = HBox([Button(description="in the box")])
            closed = Button(description="deferred")
            ctx.defer(closed.close)

        @on(Tick)
        def show(self, event):
            button = Button(description="later")
            button.on_click(self.clicked)
            made.append(button)

        def clicked(self, button):
            pass

    foreign = Button(description="foreign")
    host = run(Board)
    host.publish(Tick())
    leaks = {leak.what: leak for leak in host.leaks()}
    assert set(leaks) == {"HBox", "Button 'later'"}
    host.stop()
    assert {leak.what for leak in host.leaks() if leak.kind == "widget"} == {"HBox", "Button 'later'"}
    for each in (*made, foreign):
        each.close()
    HBox.close_all()
    made.clear()


# -- what is written down -------------------------------------------------------------------------


def test_a_leak_is_in_the_recording_once(run):
    """The first time that it is found it becomes a mark, which says all that the report does."""
    kept = []

    class Diary(Plugin):
        def start(self, ctx):
            kept.append(self)

    host = run(Diary)
    host.stop()
    host.leaks()
    host.leaks()
    marks = host.recording.marks()
    assert marks.name.tolist() == ["leak"]
    assert marks.plugin.tolist() == ["diary"]
    payload = next(record for record in host.recording if record.kind == "mark").payload
    assert payload["kind"] == "instance"
    assert payload["text"] == str(host.leaks()[0])
