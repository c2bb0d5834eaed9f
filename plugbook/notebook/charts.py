"""Charts of a recording, with Altair: who needs whom, what happened when, what is slow, what is frequent.

Each takes a recording (a selection of one, its path, or a host) and returns an Altair chart that shows without a
network. What is too much for a browser is added up first; the subtitle says so. Altair and pandas are
imported by the first chart, never before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from plugbook.trace.units import count_text, duration_text

from .chart_style import ROWS_SENT, WIDTH, empty_chart, enable_renderer, finish, inline, label_room, tooltips
from .graph_chart import dependency_graph
from .palette import INK, MUTED, OUTCOMES, PAPER, REST, SERIES, STATES
from .views import opened, recording_of

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from plugbook.trace.reading.recording import Recording

    from .chart_data import Clock
    from .lifecycle_chart import Lifecycle
    from .views import Source

__all__ = ["dependency_graph", "enable_renderer", "handler_latency", "lifecycle", "timeline", "topic_rate"]

_OVERVIEW_BINS: Final = 120
_ERRORS_SHOWN: Final = 600
_STATES_SHOWN: Final = 400
_DIAMONDS: Final = 40
_SPANS_SHOWN: Final = ROWS_SENT - _ERRORS_SHOWN - _STATES_SHOWN - 2 * _OVERVIEW_BINS
_RATE_BINS: Final = 60
_LANE: Final = 24
_COUNTS: Final = 150
"""Pixels for what stands to the right of bars."""
_NARROWEST: Final = 260
"""Pixels that are left for bars beside the longest of names."""

_LASTING: Final = ("active", "stopped", "failed", "quarantined", "unloaded")
"""The states worth a mark on a timeline; the others are passed through in a moment."""
_NOT_TIMED: Final = "This host was made with timing=False and records nothing."

_OK: Final = OUTCOMES["ok"].colour
_ERROR: Final = OUTCOMES["error"].colour
_LOG_LABELS: Final = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, ',') + ' s'"
    " : datum.value >= 1e6 ? format(datum.value / 1e6, ',') + ' ms'"
    " : datum.value >= 1e3 ? format(datum.value / 1e3, ',') + ' µs' : format(datum.value, ',') + ' ns'"
)


def timeline(source: Source, by: str = "plugin", lanes: int = 24) -> alt.VConcatChart | alt.Chart:
    """Draw what ran when, a lane for each plugin or topic, errors marked.

    Drag across the strip at the bottom to look closer at a part of it.

    Args:
        source: a recording, a selection of one, the path of one, or a host for its live recording.
        by: ``plugin`` for who ran, with lifecycle transitions; ``topic`` for what was handled.
        lanes: the most lanes drawn; those with the fewest calls share the last one.

    Raises:
        ValueError: `by` is neither of the two.
        RecordingError: `source` is nothing that can be drawn.
    """
    if by not in ("plugin", "topic"):
        msg = f"a timeline has lanes by 'plugin' or by 'topic', not by {by!r}"
        raise ValueError(msg)
    title = f"What ran when, by {by}"
    with opened(source) as shown:
        recording = recording_of(shown)
        if recording is None:
            return empty_chart(title, _NOT_TIMED)
        return _timeline(recording, title, by, lanes)


def _timeline(recording: Recording, title: str, by: str, lanes: int) -> alt.VConcatChart | alt.Chart:
    from . import chart_data

    calls = recording.calls(
        columns=["seq", "time", "topic", "name", "plugin", "duration_ns", "outcome", "error"]
    )
    states = recording.states(columns=["seq", "time", "plugin", "before", "after", "duration_ns", "error"])
    states = states if by == "plugin" else states.iloc[:0]
    if calls.empty and states.empty:
        return empty_chart(title, "No calls were recorded here. Publish an event, or widen the selection.")
    clock = chart_data.Clock([calls["time"], states["time"]])
    spans = chart_data.spans(calls, by, clock)
    spans["lane"] = chart_data.fold(spans["lane"], lanes)
    marks = _transitions(states, clock, set(spans["lane"]), lanes)
    chart: alt.VConcatChart = finish(
        _draw_timeline(spans, marks, clock), title, _timeline_notes(spans, clock)
    )
    return chart


def _transitions(states: pd.DataFrame, clock: Clock, busy: set[str], lanes: int) -> list[dict[str, Any]]:
    """The latest transitions that lasted as marks, of plugins that have a lane or still find room for one."""
    states = states[states["after"].isin(_LASTING)]
    shown = dict.fromkeys(str(name) for name in states["plugin"] if str(name) in busy)
    for name in states["plugin"].astype(str):
        if len(busy | set(shown)) < lanes:
            shown[name] = None
    frame = states[states["plugin"].isin(list(shown))].tail(_STATES_SHOWN)
    rows = zip(
        clock.place(frame["time"]),
        frame["plugin"],
        frame["before"],
        frame["after"],
        frame["error"],
        strict=True,
    )
    return [
        {
            "at": at,
            "lane": str(plugin),
            "state": str(after),
            "change": f"{before} → {after}",
            "error": str(error),
        }
        for at, plugin, before, after, error in rows
    ]


def _draw_timeline(spans: pd.DataFrame, marks: list[dict[str, Any]], clock: Clock) -> Any:
    import altair as alt

    from . import chart_data

    end = max(clock.span, float(spans["until"].max())) if len(spans) else clock.span
    order = list(dict.fromkeys([*(mark["lane"] for mark in marks), *spans["lane"]]))
    order.sort(key=lambda lane: lane == chart_data.FOLDED)
    brush = alt.selection_interval(
        encodings=["x"], mark=alt.BrushConfig(fill=_OK, fillOpacity=0.15, stroke=_OK)
    )
    x = alt.X(
        "at:Q",
        title=clock.axis_title,
        scale=alt.Scale(domain=brush, nice=False, zero=False),
        axis=alt.Axis(grid=True, tickCount=8),
    )
    y = alt.Y("lane:N", sort=order, title=None, axis=alt.Axis(labelColor=INK), scale=alt.Scale(domain=order))
    layers = [_span_layer(spans, end).encode(x=x, y=y), *_error_layers(spans, x, y)]
    if marks:
        layers.append(_state_layer(marks).encode(x=x, y=y))
    width = max(WIDTH - 20 - label_room(order), _NARROWEST)
    detail = alt.layer(*layers).properties(width=width, height=alt.Step(_LANE))
    strip = chart_data.overview(spans["at"], spans["outcome"].eq("error"), _OVERVIEW_BINS, end)
    whole = (
        alt.Chart(inline(strip), width=width, height=44)
        .mark_bar()
        .encode(
            x=alt.X(
                "at:Q",
                bin="binned",
                title="drag here to look closer; click to see all again",
                scale=alt.Scale(domain=[0, end], nice=False),
                axis=alt.Axis(grid=False, labels=False),
            ),
            x2="until:Q",
            y=alt.Y("calls:Q", title=None, stack="zero", axis=alt.Axis(tickCount=2, grid=False)),
            color=alt.Color(
                "outcome:N", legend=None, scale=alt.Scale(domain=["ok", "error"], range=["#b4c9df", _ERROR])
            ),
            order=alt.Order("outcome:N", sort="descending"),
        )
        .add_params(brush)
    )
    return alt.vconcat(detail, whole).resolve_scale(color="independent")


def _span_layer(spans: pd.DataFrame, end: float) -> Any:
    """Calls as bars; more than a browser likes are added up in bins, the darker the more."""
    import altair as alt

    from . import chart_data

    if len(spans) <= _SPANS_SHOWN:
        rows = spans[["at", "until", "lane", "name", "outcome"]].copy()
        rows["took"] = [duration_text(value) for value in spans["duration_ns"]]
        rows["when"] = [f"{at:,.6g}" for at in spans["at"]]
        # A stroke of the same colour keeps a call of a microsecond visible on an axis of seconds.
        layer = alt.Chart(inline(rows)).mark_bar(
            size=13, color=_OK, opacity=0.75, stroke=_OK, strokeWidth=1, clip=True
        )
        return layer.encode(x2="until:Q", tooltip=tooltips("name", "lane", "when", "took", "outcome"))
    bins = max(_SPANS_SHOWN // spans["lane"].nunique(), 1)
    rows = chart_data.added_up(spans, bins, end)
    rows["slowest"] = [duration_text(value) for value in rows["slowest"]]
    layer = alt.Chart(inline(rows)).mark_bar(size=13, color=_OK, clip=True)
    return layer.encode(
        x2="until:Q",
        opacity=alt.Opacity("calls:Q", scale=alt.Scale(type="sqrt", range=[0.2, 1]), legend=None),
        tooltip=tooltips("lane", "calls", "failed", "slowest"),
    )


def _error_layers(spans: pd.DataFrame, x: alt.X, y: alt.Y) -> list[Any]:
    """A mark for each failed call, the latest few hundred: diamonds, or ticks where diamonds would hide each other."""
    import altair as alt

    failed = spans[spans["outcome"].isin(["error", "timeout"])].tail(_ERRORS_SHOWN)
    if failed.empty:
        return []
    chart = alt.Chart(inline(failed[["at", "lane", "name", "outcome", "error"]]))
    if len(failed) <= _DIAMONDS:
        layer = chart.mark_point(
            shape="diamond",
            size=95,
            filled=True,
            color=_ERROR,
            opacity=1,
            stroke=PAPER,
            strokeWidth=1,
            clip=True,
        )
    else:
        layer = chart.mark_tick(color=_ERROR, thickness=1.5, size=13, opacity=0.8, clip=True)
    return [layer.encode(x=x, y=y, tooltip=tooltips("name", "outcome", "error"))]


def _state_layer(marks: list[dict[str, Any]]) -> Any:
    import altair as alt

    present = [state for state in STATES if any(mark["state"] == state for mark in marks)]
    layer = alt.Chart(alt.InlineData(values=marks)).mark_tick(thickness=3, size=20, opacity=1, clip=True)
    return layer.encode(
        color=alt.Color(
            "state:N",
            title="became",
            scale=alt.Scale(domain=present, range=[STATES[state].colour for state in present]),
            legend=alt.Legend(symbolType="square"),
        ),
        tooltip=tooltips("lane", "change", "error"),
    )


def _timeline_notes(spans: pd.DataFrame, clock: Clock) -> list[str]:
    failed = int(spans["outcome"].eq("error").sum())
    notes = [f"{count_text(len(spans), 'call')} · {count_text(failed, 'error')} · {clock.note}"]
    if len(spans) > _SPANS_SHOWN:
        notes.append(
            "too many to show each: added up in bins, darker is more; select(time=...) shows single calls"
        )
    if failed > _ERRORS_SHOWN:
        notes.append(f"the last {_ERRORS_SHOWN} errors are marked")
    return notes


def handler_latency(source: Source, handlers: int = 25) -> alt.LayerChart | alt.Chart:
    """Draw how long each handler takes, on a logarithmic scale, those that cost the most time in all first.

    Times are own times: without the calls made inside, as a hook wrapper makes them. The thick bar holds the middle half of its calls, the thin one 5 to 95 in a hundred; the tick is the
    median, the circle the slowest call.

    Args:
        source: a recording, a selection of one, the path of one, or a host for its live recording.
        handlers: the most handlers drawn.
    """
    title = "How long handlers take themselves"
    with opened(source) as shown:
        recording = recording_of(shown)
        if recording is None:
            return empty_chart(title, _NOT_TIMED)
        return _latency(recording, title, handlers)


def _latency(recording: Recording, title: str, handlers: int) -> alt.LayerChart | alt.Chart:
    from . import chart_data

    calls = recording.calls(columns=["name", "plugin", "own_ns", "outcome"])
    calls = calls[calls["own_ns"].notna() & (calls["outcome"] != "open")]
    if calls.empty:
        return empty_chart(
            title, "No finished calls were recorded here. Publish an event that a handler takes."
        )
    table = chart_data.latencies(calls)
    shown = table.head(handlers)
    counts = f"{count_text(len(calls), 'call')} of {count_text(len(table), 'handler')}"
    if len(table) > len(shown):
        counts += f", the {len(shown)} that cost the most time in all"
    legend = "thick bar: the middle half · thin: 5 to 95 % · line: median · circle: slowest"
    chart: alt.LayerChart = finish(_draw_latency(shown), title, [counts, legend])
    return chart


def _draw_latency(table: pd.DataFrame) -> Any:
    import altair as alt

    table = table.assign(note=[_cost(row) for row in table.to_dict("records")])
    low, high = float(table["low"].min()) * 0.8, float(table["max"].max()) * 1.25
    width = max(WIDTH - label_room(table["handler"]) - _COUNTS, _NARROWEST)
    base = alt.Chart(inline(table.drop(columns="sum"))).encode(
        y=alt.Y("handler:N", sort=list(table["handler"]), title=None, axis=alt.Axis(labelColor=INK)),
        tooltip=tooltips("handler", "plugin", "calls", "errors", "median", "p95", "slowest", "total"),
    )
    x = alt.X(
        "low:Q",
        title=None,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(labelExpr=_LOG_LABELS, values=_log_ticks(low, high)),
    )
    layers = alt.layer(
        base.mark_bar(size=3, color="#a5c0db", cornerRadius=1).encode(x=x, x2="high:Q"),
        base.mark_bar(size=12, color=_OK, opacity=0.8, cornerRadius=2).encode(x=alt.X("q1:Q"), x2="q3:Q"),
        base.mark_tick(size=18, thickness=2, color=INK, opacity=1).encode(x=alt.X("mid:Q")),
        base.mark_point(size=36, filled=False, strokeWidth=1.5, color=INK, opacity=0.75).encode(
            x=alt.X("max:Q")
        ),
        base.mark_text(align="left", baseline="middle", fontSize=11).encode(
            x=alt.value(width + 14),
            text="note:N",
            color=alt.condition("datum.errors > 0", alt.value(_ERROR), alt.value(MUTED)),
        ),
    )
    return layers.properties(width=width, height=alt.Step(28))


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside a range of ns, with their double and fivefold where that gives too few."""
    powers = [10.0**power for power in range(12)]
    ticks = [power for power in powers if low <= power <= high]
    return (
        ticks
        if len(ticks) > 2
        else [t * step for t in powers for step in (1, 2, 5) if low <= t * step <= high]
    )


def _cost(row: Mapping[Any, Any]) -> str:
    cost = f"{row['calls']:,} × {row['median']}"
    return f"{cost}, {count_text(row['errors'], 'error')}" if row["errors"] else cost


def topic_rate(source: Source, topics: int = 7) -> alt.Chart:
    """Draw how many events of each topic there were over time.

    Args:
        source: a recording, a selection of one, the path of one, or a host for its live recording.
        topics: how many topics get a colour of their own; the rest is added up.
    """
    title = "Events over time, by topic"
    with opened(source) as shown:
        recording = recording_of(shown)
        if recording is None:
            return empty_chart(title, _NOT_TIMED)
        return _rate(recording, title, topics)


def _rate(recording: Recording, title: str, topics: int) -> alt.Chart:
    from . import chart_data

    events = recording.events(columns=["time", "topic", "outcome"])
    if events.empty:
        return empty_chart(title, "No events were recorded here. Publish one, or widen the selection.")
    clock = chart_data.Clock([events["time"]])
    width = chart_data.nice_width(clock.span / _RATE_BINS)
    series = chart_data.fold(events["topic"].astype(str), topics + 1)
    order = sorted(series.value_counts().index, key=lambda name: name == chart_data.FOLDED)
    table = chart_data.rates(clock.place(events["time"]), series, events["outcome"], width)
    table["rank"] = table["series"].map({name: place for place, name in enumerate(order)})
    table["time"] = [
        f"{clock.text(at)} to {clock.text(until)}"
        for at, until in zip(table["at"], table["until"], strict=True)
    ]
    topics_text = count_text(events["topic"].nunique(), "topic")
    notes = (
        f"{count_text(len(events), 'event')} on {topics_text} · {clock.note} · click a topic to pick it out"
    )
    chart: alt.Chart = finish(_draw_rates(table, order, clock, width), title, notes)
    return chart


def _draw_rates(table: pd.DataFrame, order: list[str], clock: Clock, width: float) -> Any:
    import altair as alt

    from .chart_data import FOLDED

    colours = [REST if name == FOLDED else SERIES[place % len(SERIES)] for place, name in enumerate(order)]
    pick = alt.selection_point(fields=["series"], bind="legend")
    return (
        alt.Chart(inline(table), width=WIDTH - 60, height=230)
        .mark_bar(stroke=PAPER, strokeWidth=0.5)
        .encode(
            x=alt.X("at:Q", bin="binned", title=clock.axis_title, axis=alt.Axis(grid=False, tickCount=8)),
            x2="until:Q",
            y=alt.Y(
                "events:Q",
                stack="zero",
                title=f"events in {clock.text(width)}",
                axis=_whole_numbers(int(table.groupby("at")["events"].sum().max())),
            ),
            color=alt.Color(
                "series:N",
                title=None,
                scale=alt.Scale(domain=order, range=colours),
                legend=alt.Legend(columns=4),
            ),
            order=alt.Order("rank:Q"),
            opacity=alt.condition(pick, alt.value(1), alt.value(0.15)),
            tooltip=tooltips("series", "time", "events", "failed"),
        )
        .add_params(pick)
    )


def _whole_numbers(most: int) -> alt.Axis:
    """An axis of counts, which has no halves however few there are."""
    import altair as alt

    return alt.Axis(values=list(range(most + 1))) if most <= 5 else alt.Axis(tickCount=5)


def lifecycle() -> Lifecycle:
    """Draw the states that a plugin goes through, and what leads from one to the next."""
    from .lifecycle_chart import Lifecycle

    return Lifecycle()
