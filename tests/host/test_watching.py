"""A save reloads the plugins that come from the file."""

import importlib
import itertools
import logging
import logging.handlers
import queue
import sys

import pytest

from plugbook import Event, Host
from plugbook.errors import HostClosedError, UnknownPluginError

MAY_TAKE_S = 30
SOURCE = """
from plugbook import Plugin, on
{above}
class {name}(Plugin):
    def __init__(self):
        self.seen = []
    def snapshot(self):
        return self.seen
    def restore(self, state):
        self.seen = state
    @on("poke")
    def answer(self, event):
        self.seen.append(event.n)
        return ({answer}, len(self.seen))
"""
numbers = itertools.count()

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Poke(Event, topic="poke"):
    n: int = 0


class Workshop:
    """A package on disk, whose files are saved, and a host that watches."""

    def __init__(self, path):
        self.package = f"workshop{next(numbers)}"
        self.folder = path / self.package
        self.folder.mkdir()
        self.told = queue.Queue()
        (self.folder / "__init__.py").touch()

    def save(self, name, answer=1, above=""):
        file = self.folder / f"{name}.py"
        draft = self.folder / "draft"
        draft.write_text(SOURCE.format(name=name.title(), answer=answer, above=above))
        draft.replace(file)  # as most editors save

    def plugin(self, name):
        return getattr(importlib.import_module(f"{self.package}.{name}"), name.title())

    def next_reload(self):
        return self.told.get(timeout=MAY_TAKE_S)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    workshop = Workshop(tmp_path)
    yield workshop
    for name in [name for name in sys.modules if name.startswith(workshop.package)]:
        del sys.modules[name]


def answers(host):
    return {call.plugin: call.result for call in host.publish(Poke()).calls}


def test_a_save_brings_new_code_and_keeps_state(workshop):
    """What is saved serves the next event, with the state of what served before."""
    workshop.save("billing", answer=1)
    with Host([workshop.plugin("billing")]) as host:
        host.start()
        assert answers(host) == {"billing": (1, 1)}
        with host.watch("billing", tell=workshop.told.put) as watch:
            workshop.save("billing", answer=2)
            assert workshop.next_reload().changes.generations[0].new == 2
            assert answers(host) == {"billing": (2, 2)}
        assert watch.is_closed
        assert len(watch.reloads) == 1


def test_what_cannot_take_over_is_told_and_the_next_save_is_another_try(workshop):
    """A syntax error leaves the generation that runs, and mending it is enough."""
    workshop.save("billing", answer=1)
    with Host([workshop.plugin("billing")]) as host:
        host.start()
        host.watch(tell=workshop.told.put)
        workshop.save("billing", answer="(")
        assert "SyntaxError" in str(workshop.next_reload())
        assert answers(host) == {"billing": (1, 1)}
        workshop.save("billing", answer=3)
        assert workshop.next_reload().error is None
        assert answers(host) == {"billing": (3, 2)}


def test_a_plugin_that_failed_to_start_is_tried_again(workshop):
    """A plugin that could not even be imported starts when its file is mended."""
    workshop.save("broken", above="raise ValueError('not yet')")
    folder = workshop.folder
    (folder / "plugin.toml").write_text('[plugin]\nname = "broken"\nentry_point = "broken:Broken"\n')
    with Host() as host:
        host.discover(folder)
        host.start()
        assert host.states["broken"] == "failed"
        host.watch(tell=workshop.told.put)
        workshop.save("broken", answer=5)
        assert workshop.next_reload().error is None
        assert answers(host) == {"broken": (5, 1)}


def test_a_plugin_that_comes_later_is_watched(workshop):
    """A watch of all plugins takes in those that are added while it goes on, and leaves the stopped as they are."""
    workshop.save("billing")
    workshop.save("ledger")
    with Host([workshop.plugin("billing")]) as host:
        host.start()
        watch = host.watch(tell=workshop.told.put)
        host.add(workshop.plugin("ledger"))
        assert {path.name for path in watch.files} == {"billing.py", "ledger.py"}
        workshop.save("ledger", answer=7)
        assert workshop.next_reload().plugin == "ledger"
        assert answers(host)["ledger"] == (7, 1)
        host.stop("billing")
        workshop.save("billing", answer=7)
        assert "is not active" in str(workshop.next_reload())
        assert host.states["billing"] == "stopped"


def test_what_tells_may_fail(workshop, caplog):
    """An error of the function that is told is logged, and the watch goes on."""
    workshop.save("billing")

    def tell(reload):
        workshop.told.put(reload)
        raise RuntimeError("nobody is there")

    with Host([workshop.plugin("billing")]) as host:
        host.start()
        with host.watch(tell=tell):
            for answer in (2, 3):
                workshop.save("billing", answer=answer)
                workshop.next_reload()
        assert answers(host) == {"billing": (3, 1)}
    assert "telling of a reload failed" in caplog.text


@pytest.mark.parametrize(("tell", "level"), [(None, "WARNING"), (str, "INFO")])
def test_what_cannot_take_over_is_told_once(workshop, caplog, tell, level):
    """The log warns of it where nobody else is told."""
    caplog.set_level(logging.INFO, logger="plugbook.host")
    log, heard = logging.getLogger("plugbook.host"), logging.handlers.QueueHandler(workshop.told)
    workshop.save("billing")
    log.addHandler(heard)
    try:
        with Host([workshop.plugin("billing")]) as host:
            host.start()
            host.watch(tell=tell)
            workshop.save("billing", answer="(")
            assert workshop.next_reload().levelname == level
    finally:
        log.removeHandler(heard)


def test_a_watch_ends_with_its_host(workshop):
    """Closing the host closes its watches, and a closed host is not watched."""
    host = Host()
    watch = host.watch()
    assert host.watches == [watch]
    host.close()
    assert watch.is_closed
    assert host.watches == []
    with pytest.raises(HostClosedError):
        host.watch()


def test_an_unknown_plugin_is_refused(workshop):
    """A name that is nearly right gets a suggestion, and nothing is watched."""
    workshop.save("billing")
    with Host([workshop.plugin("billing")]) as host:
        with pytest.raises(UnknownPluginError, match="Did you mean 'billing'"):
            host.watch("biling")
        assert host.watches == []
