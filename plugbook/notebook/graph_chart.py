"""The dependency graph as an Altair chart: layers from left to right, curved edges, states as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from plugbook.trace.units import count_text

from .chart_style import ROWS_SENT, WIDTH, empty_chart, finish
from .layout import Layout, Point, layered
from .palette import INK, MUTED, PAPER, STATES, UNKNOWN, state_mark
from .views import EDGE_KINDS, Edge, edges_of, opened, plugins_of

if TYPE_CHECKING:
    import altair as alt

    from plugbook.trace.reading.roster import PluginView

    from .views import Source

_ROW: Final = 38
_BOX: Final = 26
_WIDEST: Final = 172
_COLUMN: Final = 128
_DASHES: Final = {"requires": [1, 0], "capability": [9, 3], "optional": [5, 4], "conflicts": [2, 3]}
_COLOURS: Final = {
    "requires": "#8b95a1",
    "capability": "#5a5fb5",
    "optional": "#8b95a1",
    "conflicts": "#d55e00",
}
_NO_STATE: Final = "state not recorded"
_NEAR: Final = "(indexof(pick.name, datum.source) >= 0 || indexof(pick.name, datum.target) >= 0)"


def dependency_graph(source: Source) -> alt.LayerChart | alt.Chart:
    """Draw the plugins in layers, each to the right of what it needs, coloured by state.

    Args:
        source: a host, drawn as it is now, or a recording or the path of one, drawn as it ended.

    Returns:
        A chart in which pointing at a plugin picks out its edges.

    Raises:
        RecordingError: `source` is nothing that can be drawn.
    """
    title = "Who needs whom"
    with opened(source) as drawn:
        plugins, edges = plugins_of(drawn), edges_of(drawn)
    if not plugins:
        return empty_chart(title, "There are no plugins here yet. Add one to the host, or record a run.")
    # An edge of the picture runs the way things start: from what is needed to who needs it.
    names = [plugin.name for plugin in plugins]
    layout = layered(names, [(edge.target, edge.source) for edge in edges], columns=4)
    shown = [edge for edge in edges if (edge.target, edge.source) in layout.edges]
    chart: alt.LayerChart = finish(_draw(plugins, shown, layout), title, _notes(plugins, shown))
    return chart


def _notes(plugins: list[PluginView], edges: list[Edge]) -> str:
    if not edges:
        return f"{count_text(len(plugins), 'plugin')} · none is known to need another"
    return (
        f"{count_text(len(plugins), 'plugin')} · an arrow points at what is needed · "
        "what stands to the left starts first · point at a plugin to pick out its edges"
    )


class _Canvas:
    """Pixels for places of a layout."""

    def __init__(self, layout: Layout) -> None:
        layers = max(len(layout.layers), 1)
        self.column = max(min((WIDTH - 20) / layers, 240.0), float(_COLUMN))
        self.box = min(self.column * (0.86 if layers == 1 or not layout.edges else 0.7), _WIDEST)
        self.width = round(self.column * layers)
        self.height = round(layout.breadth * _ROW) + 4

    def x(self, point: Point) -> float:
        return round((point.along + 0.5) * self.column, 1)

    def y(self, point: Point) -> float:
        return round((point.across + 0.5) * _ROW, 1)


def _draw(plugins: list[PluginView], edges: list[Edge], layout: Layout) -> Any:
    import altair as alt

    canvas = _Canvas(layout)
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, canvas.width], nice=False, zero=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[canvas.height, 0], nice=False, zero=False))
    layers = [*_edge_layers(edges, layout, canvas, x, y), *_node_layers(plugins, edges, layout, canvas, x, y)]
    return alt.layer(*layers).properties(width=canvas.width, height=canvas.height)


def _edge_layers(edges: list[Edge], layout: Layout, canvas: _Canvas, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    import altair as alt

    if not edges:
        return []
    kinds = [kind for kind in EDGE_KINDS if any(edge.kind == kind for edge in edges)]
    routes = [_route(layout.edges[edge.target, edge.source], canvas) for edge in edges]
    if sum(map(len, routes)) > ROWS_SENT - len(layout.nodes) * 3:
        routes = [route[:: len(route) - 1] for route in routes]
    lines = [
        {"edge": number, "step": step, "x": at_x, "y": at_y, "colour": _COLOURS[edge.kind], **edge._asdict()}
        for number, (edge, route) in enumerate(zip(edges, routes, strict=True))
        for step, (at_x, at_y) in enumerate(route)
    ]
    heads = [
        {"x": route[0][0] + 4, "y": route[0][1], "colour": _COLOURS[edge.kind], **edge._asdict()}
        for edge, route in zip(edges, routes, strict=True)
    ]
    # The colour stands in the rows: a scale of its own would be merged with that of the states.
    colour = alt.Color("colour:N", scale=None)
    dash = alt.StrokeDash(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[_DASHES[kind] for kind in kinds]),
        legend=alt.Legend(title=None, orient="bottom", symbolStrokeColor=MUTED)
        if kinds != ["requires"]
        else None,
    )
    faded = alt.condition(f"!length(data('pick_store')) || {_NEAR}", alt.value(0.9), alt.value(0.12))
    curves = (
        alt.Chart(alt.InlineData(values=lines))
        .mark_line(interpolate="basis", strokeWidth=1.4)
        .encode(x=x, y=y, detail="edge:N", order="step:Q", color=colour, strokeDash=dash, opacity=faded)
    )
    arrows = (
        alt.Chart(alt.InlineData(values=heads))
        .mark_point(shape="triangle", angle=270, size=46, filled=True)
        .encode(x=x, y=y, color=colour, opacity=faded)
    )
    return [curves, arrows]


def _route(points: list[Point], canvas: _Canvas) -> list[tuple[float, float]]:
    """Control points of a smooth curve that leaves and enters horizontally."""
    half = canvas.box / 2
    start, *between, end = points
    forward = 1 if end.along >= start.along else -1
    stops = [(canvas.x(start) + half * forward, canvas.y(start))]
    for point in between:
        stops += [
            (canvas.x(point) - half * forward * 0.6, canvas.y(point)),
            (canvas.x(point) + half * forward * 0.6, canvas.y(point)),
        ]
    stops.append((canvas.x(end) - half * forward, canvas.y(end)))
    route = [stops[0]]
    for (from_x, from_y), (to_x, to_y) in zip(stops[::2], stops[1::2], strict=True):
        middle = round((from_x + to_x) / 2, 1)
        route += [(middle, from_y), (middle, to_y), (to_x, to_y)]
    return route


def _node_layers(
    plugins: list[PluginView], edges: list[Edge], layout: Layout, canvas: _Canvas, x: alt.X, y: alt.Y
) -> list[alt.Chart]:
    import altair as alt

    states = [state for state in STATES if any(plugin.state == state for plugin in plugins)]
    colours = [state_mark(state).colour for state in states]
    if any(plugin.state not in STATES for plugin in plugins):
        states, colours = [*states, _NO_STATE], [*colours, UNKNOWN.colour]
    letters = int((canvas.box - 24) / 6.4)
    boxes = alt.Chart(
        alt.InlineData(values=[_node(plugin, edges, layout, canvas, letters) for plugin in plugins])
    )
    pick = alt.selection_point(
        name="pick", fields=["name"], on="pointerover", clear="pointerout", empty=False
    )
    fields = [
        alt.Tooltip(field=field, title=field)
        for field in ("name", "version", "state", "needs", "needed by", "error")
    ]
    state = alt.Color(
        "state:N",
        scale=alt.Scale(domain=states, range=colours),
        title=None,
        legend=alt.Legend(symbolType="circle"),
    )
    rectangle = (
        boxes.mark_rect(cornerRadius=6, fill=PAPER, strokeWidth=1.6)
        .encode(
            x=x,
            y=y,
            x2="x2:Q",
            y2="y2:Q",
            stroke=alt.Stroke("state:N", scale=alt.Scale(domain=states, range=colours), legend=None),
            tooltip=fields,
        )
        .add_params(pick)
    )
    dots = boxes.mark_point(filled=True, size=70, opacity=1, tooltip=False).encode(
        x=alt.X("dot:Q"), y="middle:Q", color=state
    )
    labels = boxes.mark_text(align="left", baseline="middle", fontSize=12, color=INK, tooltip=False).encode(
        x=alt.X("text:Q"), y="middle:Q", text="label:N"
    )
    return [rectangle, dots, labels]


def _node(
    plugin: PluginView, edges: list[Edge], layout: Layout, canvas: _Canvas, letters: int
) -> dict[str, Any]:
    point = layout.nodes[plugin.name]
    left, top = canvas.x(point) - canvas.box / 2, canvas.y(point) - _BOX / 2
    return {
        "x": left,
        "x2": left + canvas.box,
        "y": top,
        "y2": top + _BOX,
        "dot": left + 13,
        "text": left + 23,
        "middle": canvas.y(point),
        "label": _shortened(plugin.name, letters),
        "name": plugin.name,
        "version": plugin.version or "–",
        "state": plugin.state if plugin.state in STATES else _NO_STATE,
        "needs": ", ".join(edge.target for edge in edges if edge.source == plugin.name) or "–",
        "needed by": ", ".join(edge.source for edge in edges if edge.target == plugin.name) or "–",
        "error": plugin.error or "–",
    }


def _shortened(name: str, letters: int) -> str:
    """A name cut in the middle: names of one family differ at their end."""
    return name if len(name) <= letters else f"{name[:3]}…{name[4 - letters :]}"
