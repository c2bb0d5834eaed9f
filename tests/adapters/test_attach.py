"""`attach`: finding the adapter, and the recording it gives back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import types

import pluggy
import pytest

from plugbook import attach, open_recording
from plugbook.errors import AdapterError, RecordingExistsError

hookimpl = pluggy.HookimplMarker("shop")


class Shop:
    @hookimpl
    def price(self, item):
        return len(item)


@pytest.fixture
def manager():
    manager = pluggy.PluginManager("shop")
    manager.register(Shop(), "shop")
    return manager


def test_an_attached_recording_is_a_recording(manager):
    """What happens while it is attached can be looked at at once."""
    with attach(manager) as recording:
        manager.hook.price(item="tea")
        calls = recording.calls()
        assert calls[["plugin", "topic", "name", "result"]].values.tolist() == [
            ["shop", "price", "Shop.price", "3"]
        ]
        assert recording.facts("manifest")["shop"]["hooks"] == ["price"]


def test_a_file_can_be_opened_by_somebody_else_afterwards(manager, tmp_path):
    """With a path the recording is a file, complete once it is closed."""
    path = tmp_path / "run.plugbook"
    with attach(manager, path) as recording:
        manager.hook.price(item="tea")
        assert str(path) in repr(recording)
    manager.hook.price(item="not recorded")
    assert [file.name for file in tmp_path.iterdir()] == ["run.plugbook"]
    stored = open_recording(path)
    assert stored.info["closed"]
    (event,) = [record for record in stored.records() if record.kind == "event"]
    assert (event.name, event.payload, event.result) == ("price", {"item": "tea"}, [3])
    stored.close()


def test_a_detached_recording_stays_readable(manager):
    """Detaching ends the watching, not the recording."""
    recording = attach(manager)
    manager.hook.price(item="tea")
    recording.detach()
    recording.detach()
    manager.hook.price(item="tea")
    assert "detached" in repr(recording)
    assert len(recording.events()) == 1
    recording.close()
    recording.close()
    assert "closed" in repr(recording)


def test_detaching_below_another_monitor_warns(manager):
    """Whoever detaches learns that the manager could not be restored."""
    with attach(manager) as recording:
        undo = manager.add_hookcall_monitoring(lambda *args: None, lambda *args: None)
        with pytest.warns(RuntimeWarning, match="reverse order"):
            recording.detach()
        undo()
        assert recording.logs()["level"].tolist() == ["warning"]


def test_secrets_are_hidden(manager):
    """Values of the names to redact are stored nowhere, at any depth."""
    with attach(manager, redact=["item", "*token"]) as recording:
        manager.hook.price(item="tea")
        manager.hook.price(item={"a": 1})
        text = recording.events()["payload"].str.cat()
    assert "tea" not in text
    assert "*****" in text


def test_the_right_handle_is_suggested(manager, tmp_path):
    """What cannot be attached to is named, with what can, and nothing is created."""
    path = tmp_path / "run.plugbook"
    application = types.ModuleType("application")
    application.pm = manager
    with pytest.raises(
        AdapterError, match=r"the module application: .* Attach to its attribute 'pm' instead"
    ):
        attach(application, path)
    with pytest.raises(AdapterError, match=r"Cannot attach to builtins\.int: .* a pluggy PluginManager\."):
        attach(5, path)
    assert not path.exists()


def test_an_existing_file_is_refused(manager, tmp_path):
    """Nothing is overwritten, and nothing is attached."""
    path = tmp_path / "run.plugbook"
    path.write_text("mine")
    with pytest.raises(RecordingExistsError):
        attach(manager, path)
    assert path.read_text() == "mine"
    assert manager._inner_hookexec.__name__ == "_multicall"


def test_attaching_needs_neither_pydantic_nor_the_foreign_library():
    """Floors 1 and 2 and the adapter alone are imported; the foreign library only by whoever has made the target."""
    script = """
        import sys
        import plugbook
        try:
            plugbook.attach(object())
        except plugbook.PlugbookError:
            pass
        assert "pluggy" not in sys.modules
        import pluggy
        with plugbook.attach(pluggy.PluginManager("shop")):
            pass
        heavy = {"pydantic", "pandas", "numpy", "IPython", "altair", "ipywidgets", "traitlets", "click"}
        rooms = {name.split(".")[1] for name in sys.modules if name.startswith("plugbook.")}
        print(sorted(heavy & set(sys.modules)), sorted(rooms - {"_clock", "_doors", "_types", "errors"}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[] ['adapters', 'trace']"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_datasette_shows_which_plugin_answered():
    """The hooks of a real application are recorded, and what it awaits is shown and not awaited."""
    plugins = pytest.importorskip("datasette.plugins")
    from datasette.app import Datasette

    with attach(plugins.pm) as recording:
        response = asyncio.run(Datasette(memory=True).client.get("/"))
        assert response.status_code == 200
        calls = recording.select(topics="permission_allowed").calls()
        assert set(calls["plugin"]) == {"datasette.default_permissions"}
        assert calls["result"].str.contains("<function").all()
        assert (recording.events()["task"] != "").any()
