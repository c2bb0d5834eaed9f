"""The explorer: in step with its host from any thread, asks before it takes others along, leaves nothing open."""

import shutil
import subprocess
import threading
import time

import comm
import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.notebook.assets import asset
from plugbook.notebook.explorer import Explorer, close_all
from plugbook.notebook.follower import Follower
from plugbook.notebook.palette import STATES
from plugbook.notebook.tally import Tally
from plugbook.plugins.lifecycle import State
from tests.notebook.fakes import FakeRecording, call, manifest, state

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


class Ping(Event, topic="ping"):
    n: int = 0


class Ledger(Plugin, name="ledger", version="1.2.0"):
    @on(Ping)
    def book(self, event: Ping) -> None:
        if event.n < 0:
            raise ValueError("a negative ping")


class Billing(Plugin, name="billing", requires=["ledger>=1"]):
    pass


class Lonely(Plugin, name="lonely", requires=["missing"]):
    pass


@pytest.fixture
def shop():
    with Host([Ledger, Billing, Lonely]) as host:
        host.start()
        yield host


@pytest.fixture
def explorer(shop):
    shown = Explorer(shop)
    yield shown
    shown.close()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    ticks = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        ticks.wait(0.01)


def states(explorer):
    return {row["name"]: row["state"] for row in explorer.plugins}


def ask(explorer, **request):
    """What a click in the page sends."""
    explorer._handle_custom_msg(request, [])


def test_it_shows_states_and_what_is_allowed(explorer):
    """Every plugin stands there with its state, why, and the buttons its state allows."""
    rows = {row["name"]: row for row in explorer.plugins}
    assert rows["ledger"]["state"] == "active"
    assert rows["ledger"]["allowed"] == ["stop", "restart"]
    assert rows["lonely"]["allowed"] == []
    assert "missing" in rows["lonely"]["why"]


def test_it_follows_changes_made_elsewhere(shop, explorer):
    """A plugin stopped from another thread is seen without anybody asking."""
    thread = threading.Thread(target=shop.stop, args=("billing",))
    thread.start()
    thread.join()
    until(lambda: states(explorer)["billing"] == "stopped")


def test_a_click_changes_the_host(shop, explorer):
    """A request of the front end is carried out, and the widget shows the new state at once."""
    ask(explorer, do="stop", plugin="billing")
    assert shop.states["billing"] == "stopped"
    assert states(explorer)["billing"] == "stopped"
    ask(explorer, do="start", plugin="billing")
    assert shop.states["billing"] == "active"


def test_it_asks_before_it_takes_others_along(shop, explorer):
    """Stopping what others need shows the steps first, and does nothing until it is confirmed."""
    ask(explorer, do="stop", plugin="ledger")
    assert explorer.notice["kind"] == "ask"
    assert any("billing" in step for step in explorer.notice["steps"])
    assert shop.states["ledger"] == "active"
    ask(explorer, do="stop", plugin="ledger", sure=True)
    assert shop.states == {"ledger": "stopped", "billing": "stopped", "lonely": "discovered"}
    assert explorer.notice == {}


def test_a_refusal_is_told(explorer):
    """A request the lifecycle does not allow becomes a notice that can be dismissed, not an exception."""
    ask(explorer, do="stop", plugin="lonely")
    assert explorer.notice["kind"] == "error"
    ask(explorer, do="dismiss")
    assert explorer.notice == {}


def test_a_failing_callback_lands_in_the_log(shop, explorer, monkeypatch):
    """What a callback raises unexpectedly is a notice, and a log record like everything else."""
    monkeypatch.setattr(shop, "plan", lambda *_: 1 / 0)
    ask(explorer, do="stop", plugin="ledger")
    assert "ZeroDivisionError" in explorer.notice["text"]
    until(lambda: any("ZeroDivisionError" in row["message"] for row in explorer.errors))


def test_errors_appear_newest_first(shop, explorer):
    """Failed calls appear by themselves, with event, handler and message, the latest on top."""
    for number in range(3):
        shop.publish(Ping(n=number - 3))
    until(lambda: explorer.error_count == 3)
    first, *_ = explorer.errors
    assert (first["where"], first["topic"], first["message"]) == (
        "Ledger.book",
        "ping",
        "ValueError: a negative ping",
    )
    assert [row["number"] for row in explorer.errors] == sorted(
        (row["number"] for row in explorer.errors), reverse=True
    )


def test_an_error_names_the_line_that_raised_it(shop, explorer):
    """Beside what was raised stands the line of the handler, in the widget and in its picture."""
    shop.publish(Ping(n=-1))
    until(lambda: explorer.error_count == 1)
    place = f"test_explorer.py:{Ledger.book.__code__.co_firstlineno + 3}"
    assert explorer.errors[0]["place"] == place
    assert place in explorer.picture()


def test_plugins_of_a_foreign_system_are_told_by_their_calls():
    """Where no states were recorded, calls and errors are shown for each plugin, the busiest first."""
    bad = {"outcome": "error", "error": "SMTPError: refused"}
    explorer = Explorer(
        FakeRecording(
            calls=[call(1, "mail", **bad), *(call(n, "cache") for n in range(2, 5)), call(9, "mail")]
        )
    )
    assert explorer.foreign
    assert explorer.counts == "2 plugins · 5 calls"
    assert [(row["name"], row["calls"], row["errors"]) for row in explorer.plugins] == [
        ("cache", 3, 0),
        ("mail", 2, 1),
    ]
    assert "active" not in explorer.picture()
    assert "3 calls" in explorer._words()
    explorer.close()


def test_a_foreign_system_that_was_attached_to_is_told_by_its_calls():
    """That its plugins are registered says little; what they did is shown for them, too."""
    recording = FakeRecording(
        calls=[call(1, "mail")],
        facts={"state": {"mail": "active"}, "origin": {"plugin_system": {"system": "pluggy"}}},
    )
    explorer = Explorer(recording)
    assert explorer.counts == "1 plugin · 1 call"
    explorer.close()


def test_counting_calls_is_left_alone_for_a_while(monkeypatch):
    """A recording that grows is counted again, but never more than a tenth of the time."""
    now = iter(range(100))
    monkeypatch.setattr("plugbook.notebook.tally.monotonic", lambda: float(next(now)))
    recording, tally = FakeRecording(calls=[call(1, "mail")]), Tally()
    assert tally.read(recording)
    assert not tally.read(recording)
    recording.version = 2
    assert not tally.read(recording)
    until(lambda: tally.read(recording))
    assert tally.of == {"mail": (1, 0)}


def test_it_follows_a_host_into_another_recording(shop, explorer, tmp_path):
    """Errors recorded after the host switched to a file are seen as well."""
    with shop.record(tmp_path / "shop.plugbook"):
        shop.publish(Ping(n=-1))
        until(lambda: explorer.error_count == 1)


def test_a_recording_has_no_buttons():
    """A recording is shown as it ended: states and errors, and nothing to press."""
    recording = FakeRecording(
        calls=[call(1, "mail", outcome="error", error="SMTPError: refused")],
        states=[state(1, "mail", "resolved", "active")],
        facts={"manifest": {"mail": manifest()}},
    )
    explorer = Explorer(recording)
    assert not explorer.live
    assert [(row["name"], row["state"], row["allowed"]) for row in explorer.plugins] == [
        ("mail", "active", [])
    ]
    assert explorer.errors[0]["message"] == "SMTPError: refused"
    explorer.close()


def test_the_errors_of_a_long_recording_come_later(monkeypatch):
    """Where reading them would keep a cell waiting, the explorer is there at once and the errors follow."""
    monkeypatch.setattr("plugbook.notebook.explorer._READ_AT_ONCE", 0)
    recording = FakeRecording(calls=[call(1, "mail", outcome="error", error="SMTPError: refused")])
    ready = threading.Event()
    frames = recording.logs
    recording.logs = lambda **words: ready.wait(10) and frames(**words)
    explorer = Explorer(recording)
    assert explorer.error_count == 0
    ready.set()
    until(lambda: explorer.error_count == 1)
    explorer.close()


def test_closing_leaves_no_comm_and_no_listener(shop):
    """After closing, the comm is gone, the host has no listener and no thread runs; again is harmless."""
    before = set(comm.get_comm_manager().comms)
    explorer = Explorer(shop)
    explorer.close()
    explorer.close()
    assert set(comm.get_comm_manager().comms) == before
    assert shop._engine.listeners == []


def test_unloading_closes_every_explorer(shop):
    """`close_all`, which unloading calls, closes those that are still open."""
    explorer = Explorer(shop)
    close_all()
    assert explorer.comm is None


def test_a_stored_notebook_shows_a_picture(shop, explorer):
    """Beside the widget, the output holds words and a small picture that needs no kernel."""
    shop.publish(Ping(n=-1))
    until(lambda: explorer.error_count == 1)
    data, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "a negative ping" in data["text/html"]
    assert "ledger" in data["text/plain"]
    assert len(data["text/html"]) < 300_000


def test_every_state_has_a_mark():
    """The palette knows each lifecycle state, so that none is drawn as unknown."""
    assert set(STATES) == {state.value for state in State}


def test_the_front_end_is_valid_javascript():
    """The module parses as an ES module."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    source = asset("explorer.js").read_bytes()
    subprocess.run([node, "--check", "--input-type=module"], input=source, check=True, capture_output=True)


def test_a_follower_survives_a_failing_refresh(caplog):
    """A refresh that raises is logged, and the next wake refreshes again."""
    calls = []
    second = threading.Event()

    def refresh():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("once")
        second.set()

    follower = Follower(refresh, look_every_s=None)
    follower.wake()
    until(lambda: calls)
    follower.wake()
    assert second.wait(10)
    follower.stop()
    assert "could not be refreshed" in caplog.text


def test_many_changes_are_few_refreshes():
    """A thousand wakes in a moment cost a handful of refreshes, not a thousand."""
    calls = []
    follower = Follower(lambda: calls.append(1), look_every_s=None)
    for _ in range(1000):
        follower.wake()
    until(lambda: calls)
    follower.stop()
    assert len(calls) < 50


def test_the_transport_steers_a_replay(shop):
    """Step, play, seek and speed reach the player; the view follows where it stands."""
    for number in range(5):
        shop.publish(Ping(n=number))
    with shop.replay(shop.recording, rate=None) as player:
        explorer = Explorer(player)
        assert explorer.transport["label"].startswith("0 of 5 events")
        ask(explorer, do="step")
        assert explorer.transport["label"].startswith("1 of 5 events")
        ask(explorer, do="rate", value=2)
        assert player.rate == 2
        ask(explorer, do="rate", value=None)
        ask(explorer, do="play")
        until(lambda: explorer.transport["state"] == "ended")
        assert explorer.transport["at"] == explorer.transport["steps"]
        ask(explorer, do="seek", value=0)
        assert player.position.index == 0
        explorer.close()
    assert player._listeners == []


def test_a_refused_speed_is_told(shop, explorer):
    """What the player refuses is a notice, not an exception."""
    shop.publish(Ping())
    with shop.replay(shop.recording) as player:
        explorer.player = player
        ask(explorer, do="rate", value=-1)
        assert explorer.notice["kind"] == "error"
        explorer.player = None
    assert explorer.transport == {}
