"""The loop of who writes a plugin: edit, save, see it run with its state, and learn what was left behind."""

import pytest

COUNTER = """
from plugbook import Event, Plugin, on

class Tick(Event, topic="r.tick"):
    n: int = 1

class Counter(Plugin, version="1.0"):
    state_version = {version}

    def __init__(self):
        self.total = 0

    def start(self, ctx):
        {start}

    @on("r.tick")
    def count(self, event):
        self.total += event.n * {factor}
        return self.total

    def snapshot(self):
        return {{"total": self.total}}

    def restore(self, state):
        self.total = state["total"]
    {more}
"""

MIGRATE = """
    @classmethod
    def migrate(cls, state, from_version):
        return {"total": state["total"] * 100}
"""


class Files:
    """Writes the plugin's file, each time a little different."""

    def __init__(self, folder):
        self.path = folder / "counter" / "counter_plugin.py"
        self.path.parent.mkdir(parents=True)
        (self.path.parent / "plugin.toml").write_text(
            '[plugin]\nname = "counter"\nentry_point = "counter_plugin:Counter"\n'
        )

    def write(self, factor=1, version=1, start="pass", more=""):
        self.path.write_text(COUNTER.format(factor=factor, version=version, start=start, more=more))


@pytest.fixture
def files(tmp_path):
    """The folder of a plugin that counts."""
    return Files(tmp_path)


@pytest.fixture
def host(notebook, files):
    """A host with that plugin found in its folder, and an event counted."""
    files.write()
    notebook.run(f"""
        host = Host()
        host.discover({str(files.path.parents[1])!r})
        host.start()
        use(host)
        class Tick(Event, topic="r.tick"):
            n: int = 1
        host.publish(Tick(n=5))
        """)
    yield notebook
    notebook.run("host.close(); use(None)")


def count(notebook):
    """What the plugin answers to the next tick."""
    return notebook.run("host.publish(Tick()).calls[0].result")


def test_a_saved_change_runs_with_the_state_it_had(host, files):
    """After `host.reload`, the new code goes on counting where the old one was, though the edit has the same size."""
    files.write(factor=2)
    assert "reload" in host.run("host.reload('counter')")
    assert count(host) == "7"
    files.write(factor=3)
    host.run("%pb reload counter")
    assert count(host) == "10"
    files.write(factor=1, version=2, more=MIGRATE)
    host.run("host.reload('counter')")
    assert count(host) == "1001"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"factor": "("}, "SyntaxError"),
        ({"start": "raise OSError('no disk')"}, "no disk"),
        ({"version": 2}, "version"),
        ({"more": "def health(self):\n        return 'no heartbeat'"}, "no heartbeat"),
    ],
)
def test_a_reload_that_fails_leaves_the_old_code_serving(host, files, change, told):
    """Wherever the new code goes wrong, the error says so, and the next event is counted as if nothing had happened."""
    files.write(**change)
    assert told in host.fail("host.reload('counter').check()")
    assert count(host) == "6"
    assert "Did you mean 'counter'?" in host.fail("host.reload('countr')")


def test_files_that_are_saved_are_reloaded_while_watched(host, files):
    """`%pb watch` reloads when a file is saved, and says so; afterwards a save changes nothing."""
    assert "counter" in host.run("watching = host.watch('counter')\nwatching")
    before = host.run("host.plugins['counter'].generation")
    files.write(factor=10)
    host.run(f"""
        import time
        deadline = time.monotonic() + 20
        while host.plugins["counter"].generation == {before} and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        """)
    assert count(host) == "15"
    host.run("%pb watch --stop")
    assert "No file was watched" in host.run("%pb watch --stop")


def test_a_plugin_cell_that_runs_again_goes_on_with_its_state(notebook):
    """A `%%plugin` cell is replaced by its next run; one that fails leaves the former one there."""
    notebook.run("%pb list")
    cell = """
        %%plugin
        class Celled(Plugin):
            @on("r.tock")
            def hear(self, event):
                return {answer}
        """
    notebook.run("class Tock(Event, topic='r.tock'): pass")
    assert "started celled" in notebook.run(cell.format(answer=1))
    notebook.run(cell.format(answer=2))
    assert "2" in notebook.run("%pb publish Tock()")
    assert "SyntaxError" in notebook.fail(cell.format(answer="1 +* 2"))
    assert "2" in notebook.run("%pb publish Tock()")
    notebook.run("import plugbook\nplugbook.current().close()")


def test_what_a_plugin_leaves_behind_is_named_with_its_holder(notebook):
    """Threads, tasks, subscriptions, open files, child processes and instances: each is told with what to write instead."""
    notebook.run("""
        import subprocess, sys
        KEPT, OVER = [], threading.Event()
        class Leaky(Plugin):
            def hear(self, event):
                return 1
            def start(self, ctx):
                KEPT.append(self)
                threading.Thread(target=OVER.wait, name="poller", daemon=True).start()
                self.file = open("left.txt", "w")
                self.child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
                KEPT.append(self.child)
        class Tasks(Plugin):
            async def start(self, ctx):
                self.task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
        leaky = Host([Leaky, Tasks])
        leaky.start()
        use(leaky)
        leaky.subscribe("r.tick", leaky.plugins["leaky"].instance.hear)
        """)
    before = notebook.run("print(*leaky.leaks(), sep='\\n')")
    assert "poller" in before
    notebook.run("changes = leaky.stop()")
    told = notebook.run("print(*leaky.leaks(), sep='\\n')")
    for part in ("poller", "forgotten", "left.txt", "KEPT"):
        assert part in told, told
    assert "leaky" in notebook.run("%pb leaks")
    notebook.run("""
        OVER.set()
        KEPT[0].file.close()
        KEPT[1].communicate()
        KEPT.clear()
        leaky.close(); use(None)
        """)
