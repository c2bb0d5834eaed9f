"""The charts: right rows, bounded, never an exception, and shown without a network."""

import json
import struct
import subprocess
import sys
from base64 import b64decode

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook import Event, Host, Plugin, on
from plugbook.errors import RecordingError
from plugbook.notebook import charts
from plugbook.notebook.chart_data import nice_width
from plugbook.notebook.chart_style import (
    RENDERER,
    VEGALITE_MIME,
    label_room,
    mime_bundle,
    restore_renderer,
)
from tests.notebook.fakes import FakeHost, FakeRecording, call, event, manifest, state

ALL = [charts.dependency_graph, charts.timeline, charts.handler_latency, charts.topic_rate]


@pytest.fixture(autouse=True)
def own_renderer():
    """Leave Altair as it was."""
    yield
    restore_renderer()


def shop(events=30, span_ms=300):
    plugins = ["ledger", "billing", "mail"]
    numbers = range(events)
    return FakeRecording(
        events=[event(n, f"order.{n % 3}", at_ms=n * span_ms / events) for n in numbers],
        calls=[
            call(
                n, p, at_ms=n * span_ms / events, duration_ns=1_000 * (n + 1), **(BAD if p == "mail" else {})
            )
            for n in numbers
            for p in plugins
        ],
        states=[state(n + 1, p, "resolved", "active") for n, p in enumerate(plugins)],
        facts={
            "manifest": {
                "ledger": manifest(),
                "billing": manifest(requires=["ledger>=1,<3"]),
                "mail": manifest(),
            }
        },
    )


BAD = {"outcome": "error", "error": "SMTPError: refused"}


def rows_sent(chart):
    return sum(len(rows) for rows in chart.to_dict()["datasets"].values())


def subtitle(chart):
    text = chart.to_dict()["title"]["subtitle"]
    return " ".join(text) if isinstance(text, list) else text


@pytest.mark.parametrize("draw", ALL)
def test_an_empty_recording_gives_a_chart_that_says_so(draw):
    """Where there is nothing to draw, a small chart says what is missing, and nothing is raised."""
    spec = draw(FakeRecording()).to_dict()
    assert "nothing to draw" in spec["title"]["subtitle"]
    assert len(json.dumps(spec)) < 5_000


@pytest.mark.parametrize("draw", ALL[1:])
def test_a_host_that_records_nothing_gives_a_chart_that_says_so(draw):
    """A host without timing has no recording; its charts say so."""
    with Host(timing=False) as host:
        assert "timing=False" in json.dumps(draw(host).to_dict())


@pytest.mark.parametrize("draw", ALL)
def test_a_real_host_is_drawn(draw):
    """A host with a plugin that took an event gives each chart."""

    class Poked(Event, topic="test.poked"):
        pass

    class Listener(Plugin, name="listener"):
        @on(Poked)
        def take(self, event: Poked) -> None:
            pass

    with Host([Listener]) as host:
        host.start()
        host.publish(Poked())
        spec = json.dumps(draw(host).to_dict())
    assert "nothing to draw" not in spec
    assert "listener" in spec or "test.poked" in spec


@pytest.mark.parametrize("draw", ALL)
def test_a_chart_draws_both_live_and_as_a_picture(draw):
    """A chart reaches the page as Vega-Lite 5, as a picture and as words."""
    bundle, _ = mime_bundle(draw(shop()).to_dict())
    assert "/v5" in bundle[VEGALITE_MIME]["$schema"]
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"].startswith("Chart: ")


def test_a_picture_of_pixels_is_as_large_as_the_others(monkeypatch):
    """A picture too long to be stored as lines is shown at the size of the chart, not at that of its pixels."""
    monkeypatch.setattr("plugbook.notebook.chart_style._SVG_KEPT", 1000)
    bundle, sizes = mime_bundle(charts.topic_rate(shop()).to_dict())
    width, _height = struct.unpack(">II", b64decode(bundle["image/png"])[16:24])
    assert 600 < sizes["image/png"]["width"] < 800
    assert width == pytest.approx(sizes["image/png"]["width"] * 1.5, abs=2)


def test_nothing_of_a_chart_is_cut_off():
    """Subtitles are wrapped to the width of the chart, and the names of handlers have the room they take."""
    long = "DatasetteRouter.handle_what_somebody_asked_for_at_last"
    spec = charts.handler_latency(FakeRecording(calls=[{**call(1), "name": long}])).to_dict()
    assert spec["config"]["axis"]["labelLimit"] >= label_room([long]) > 300
    assert spec["width"] + label_room([long]) < 760
    assert all(len(line) < 115 for line in charts.dependency_graph(shop()).to_dict()["title"]["subtitle"])


@pytest.mark.parametrize("draw", ALL)
def test_a_chart_of_a_path_opens_the_recording_there(draw, tmp_path):
    """A path is as good as the recording at it, which is closed again."""
    with Host() as host, host.record(tmp_path / "run.plugbook"):
        pass
    for path in (tmp_path / "run.plugbook", str(tmp_path / "run.plugbook")):
        assert draw(path).to_dict()["title"]["text"]


@pytest.mark.parametrize("draw", ALL)
@pytest.mark.parametrize("source", [3, None, Host, {"a": 1}])
def test_a_chart_of_something_else_says_what_is_wanted(draw, source):
    """Neither host nor recording nor path: the error says what to give."""
    with pytest.raises(RecordingError, match="give a host, a recording, a player, or the path"):
        draw(source)


def test_a_chart_of_a_player_is_of_what_it_plays():
    """A player is drawn as its host."""
    with Host() as host, host.replay(host.recording, rate=None) as player:
        assert "no plugins here" in json.dumps(charts.dependency_graph(player).to_dict())


@pytest.mark.parametrize("draw", ALL[1:])
def test_a_long_recording_sends_a_bounded_number_of_rows(draw):
    """However much was recorded, at most 5,000 rows go to the browser."""
    assert rows_sent(draw(shop(events=4_000, span_ms=60_000))) <= 5_000


def test_a_large_graph_sends_a_bounded_number_of_rows():
    """A graph of 400 plugins with two requirements each stays below the limit as well."""
    names = [f"p{n}" for n in range(400)]
    edges = [(names[n], names[n // d], "requires") for n in range(3, 400) for d in (2, 3)]
    assert rows_sent(charts.dependency_graph(FakeHost(dict.fromkeys(names, "active"), edges))) <= 5_000


def test_a_cut_is_said():
    """When calls are added up, or handlers left out, the subtitle says so."""
    assert "added up" in subtitle(charts.timeline(shop(events=4_000)))
    assert "the 2 that cost the most" in subtitle(charts.handler_latency(shop(), handlers=2))


def test_the_timeline_marks_errors():
    """Each failed call is among the marked errors, with its message."""
    spec = json.dumps(charts.timeline(shop()).to_dict())
    assert "30 errors" in spec
    assert "SMTPError: refused" in spec


def test_more_lanes_than_fit_share_the_last():
    """With two lanes asked for, the rarer plugins share one."""
    spec = charts.timeline(shop(), lanes=2).to_dict()
    assert "(all others)" in json.dumps(spec)


def test_the_timeline_refuses_other_lanes():
    """Lanes by anything but plugin or topic are refused, naming the two."""
    with pytest.raises(ValueError, match="'plugin' or by 'topic'"):
        charts.timeline(shop(), by="thread")


def test_latency_shows_the_percentiles_of_each_handler():
    """Median, slowest and number of errors are those of the calls."""
    rows = next(iter(charts.handler_latency(shop()).to_dict()["datasets"].values()))
    mail = next(row for row in rows if row["plugin"] == "mail")
    assert mail["median"] == "15.5 µs"
    assert mail["slowest"] == "30 µs"
    assert mail["errors"] == 30


def test_the_timeline_marks_states_that_lasted():
    """A plugin that became active is marked; the states it passed through on the way are not."""
    recording = FakeRecording(
        calls=[call(1, "mail")],
        states=[state(1, "mail", "loaded", "starting"), state(2, "mail", "starting", "active")],
    )
    spec = json.dumps(charts.timeline(recording).to_dict(), ensure_ascii=False)
    assert "starting → active" in spec
    assert "loaded → starting" not in spec


def test_rates_add_up_to_all_events():
    """Every event is in exactly one bar."""
    rows = next(iter(charts.topic_rate(shop(events=500), topics=1).to_dict()["datasets"].values()))
    assert sum(row["events"] for row in rows) == 500
    assert {row["series"] for row in rows} == {"(all others)", "order.0"} or len(
        {r["series"] for r in rows}
    ) == 2


def test_a_graph_of_a_recording_uses_its_manifests_and_last_states():
    """Without a host, edges come from the manifests and states from the last transitions."""
    spec = charts.dependency_graph(shop()).to_dict()
    nodes = [row for rows in spec["datasets"].values() for row in rows if "needed by" in row]
    assert {node["name"]: node["state"] for node in nodes} == dict.fromkeys(
        ["ledger", "billing", "mail"], "active"
    )
    assert next(node for node in nodes if node["name"] == "billing")["needs"] == "ledger"


def test_a_graph_of_a_foreign_system_shows_its_plugins_without_states():
    """Plugins that are known by their calls alone are drawn, their state not recorded."""
    spec = json.dumps(charts.dependency_graph(FakeRecording(calls=[call(1, "pytest-cov")])).to_dict())
    assert "pytest-cov" in spec
    assert "state not recorded" in spec


def test_a_long_name_keeps_its_end():
    """Names of one family differ at their end, so a long one is cut in the middle."""
    spec = json.dumps(
        charts.dependency_graph(FakeHost({"datasette.default_permissions_of_all": "active"})).to_dict()
    )
    assert "_permissions_of_all" in spec.replace("datasette.default_permissions_of_all", "")


def test_the_renderer_leaves_the_choice_of_the_user_alone():
    """A renderer the user enabled stays; the default one is replaced until it is given back."""
    alt.renderers.enable("json")
    charts.topic_rate(shop())
    assert alt.renderers.active == "json"
    alt.renderers.enable("default")
    restore_renderer()
    charts.topic_rate(shop())
    assert alt.renderers.active == RENDERER
    restore_renderer()
    assert alt.renderers.active == "default"


def test_importing_the_charts_imports_no_altair():
    """The module is light: Altair and pandas come with the first chart."""
    code = "import sys, plugbook.notebook.charts; print('altair' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@given(st.floats(1e-6, 1e6))
def test_bins_have_round_widths(width):
    """The width of a bin is the next 1, 2 or 5 times a power of ten."""
    nice = nice_width(width)
    assert width * 0.99 <= nice <= width * 2.6
    assert f"{nice:e}"[0] in "125"
