"""The table of a plugin's life as a picture, for the guide: drawn from `TRANSITIONS`, and by nothing but Python."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from plugbook.plugins.lifecycle import TRANSITIONS, Request, State, diagram

from .layout import Layout, Point, layered
from .markup import Html, tag
from .palette import INK, MUTED, PAPER, state_mark

_ROW: Final = 74
_COLUMN: Final = 156
_BACK: Final = 30
"""Pixels beside the middle of a box where arrows to an earlier state begin and end, apart from the others."""
_WIDE: Final = 200
"""Pixels beyond which a bow passes other arrows at its middle."""
_BOX: Final = (104, 30)
_MARGIN: Final = 16
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"

_COLOURS: Final = {Request.FAIL: state_mark(State.FAILED).colour, Request.UNLOAD: "#b9bec5"}
_ENDS: Final = (State.FAILED, State.UNLOADED)
"""Where a plugin that was never started may go from every state: said in a line, for the arrows would hide the rest."""


class Lifecycle:
    """A picture of the lifecycle, which a page shows as SVG and a terminal as text."""

    def _repr_svg_(self) -> str:
        return draw()

    def __repr__(self) -> str:
        return diagram()


def draw() -> str:
    """The states from top to bottom in the order of a life, an arrow for each request that a state allows."""
    edges = [
        (before, request, after) for before, row in TRANSITIONS.items() for request, after in row.items()
    ]
    started = list(State).index(State.STARTING)
    unsaid = [edge for edge in edges if edge[2] in _ENDS and list(State).index(edge[0]) < started]
    drawn = [edge for edge in edges if edge not in unsaid]
    leading = [edge for edge in drawn if edge[0] is not edge[2]]
    layout = _shifted(layered([state.value for state in State], [(edge[0], edge[2]) for edge in leading]))
    width = round(max(map(_x, _points(layout))) + _BOX[0] / 2 + _MARGIN)
    height = round(max(map(_y, _points(layout))) + _BOX[1] / 2 + 2 * _MARGIN + 14)
    parts = [
        *(_arrow(layout.edges[before, after], request) for before, request, after in leading),
        *(_loop(layout.nodes[state], request) for state, request, after in drawn if state is after),
        *(_box(state, layout.nodes[state]) for state in State),
        _text(_told(unsaid), _MARGIN, height - _MARGIN, MUTED, 11),
    ]
    size = {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
    ground = tag("rect", width="100%", height="100%", fill=PAPER)
    title = tag("title", "The states of a plugin, and what leads from one to the next")
    return tag(
        "svg", title, ground, *parts, xmlns="http://www.w3.org/2000/svg", **size, **{"font-family": _FONT}
    )


def _told(unsaid: list[tuple[State, Request, State]]) -> str:
    names = ", ".join(dict.fromkeys(before.value for before, *_ in unsaid))
    ends = " and ".join(dict.fromkeys(request.value for _, request, _ in unsaid))
    return f"not drawn: {ends}, which {names} allow as well"


def _points(layout: Layout) -> list[Point]:
    return [*layout.nodes.values(), *(point for route in layout.edges.values() for point in route)]


def _shifted(layout: Layout) -> Layout:
    """The same with the arrow or the state that stands furthest to the left at 0."""
    least = min(point.across for point in _points(layout))

    def shift(point: Point) -> Point:
        return Point(point.along, point.across - least)

    nodes = {name: shift(point) for name, point in layout.nodes.items()}
    edges = {pair: [shift(point) for point in route] for pair, route in layout.edges.items()}
    return layout._replace(nodes=nodes, edges=edges)


def _x(point: Point) -> float:
    return _MARGIN + _BOX[0] / 2 + point.across * _COLUMN


def _y(point: Point) -> float:
    return _MARGIN + _BOX[1] / 2 + point.along * _ROW


def _box(state: State, at: Point) -> Html:
    x, y = _x(at), _y(at)
    mark = state_mark(state)
    place = {"x": f"{x - _BOX[0] / 2:.1f}", "y": f"{y - _BOX[1] / 2:.1f}"}
    size = {"width": str(_BOX[0]), "height": str(_BOX[1]), "rx": "6"}
    frame = tag("rect", **place, **size, fill=PAPER, stroke=mark.colour, **{"stroke-width": "1.6"})
    dot = tag("circle", cx=f"{x - _BOX[0] / 2 + 13:.1f}", cy=f"{y:.1f}", r="4.5", fill=mark.colour)
    return Html(frame + dot + _text(state, x - _BOX[0] / 2 + 23, y + 4, INK, 12))


def _arrow(route: list[Point], request: Request) -> Html:
    """A smooth line through its places, with its head at the end and the request beside its beginning."""
    down = route[-1].along >= route[0].along
    half = _BOX[1] / 2 * (1 if down else -1)
    points = [(_x(point), _y(point)) for point in route]
    aside = 0 if down else _BACK
    points[0] = (points[0][0] + aside, points[0][1] + half)
    points[-1] = (points[-1][0] + aside, points[-1][1] - half - (5 if down else -5))
    colour = _COLOURS.get(request, MUTED)
    line = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (from_x, from_y), (to_x, to_y) in pairwise(points):
        middle = (from_y + to_y) / 2
        line += f"C{from_x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}"
    x, y = points[-1]
    tip = 6 if down else -6
    head = tag(
        "path",
        d=f"M{x - 4:.1f},{y - tip / 3:.1f}L{x + 4:.1f},{y - tip / 3:.1f}L{x:.1f},{y + tip:.1f}Z",
        fill=colour,
    )
    drawn = tag("path", d=line, fill="none", stroke=colour, **{"stroke-width": "1.3"})
    return Html(drawn + head + _request_beside(request, points[0], points[1]))


def _loop(at: Point, request: Request) -> Html:
    """A bow at the right of a state that a request leaves as it is."""
    x, y, colour = _x(at) + _BOX[0] / 2, _y(at), _COLOURS.get(request, MUTED)
    line = f"M{x:.1f},{y - 7:.1f}c26,-8 26,22 5,14"
    drawn = tag("path", d=line, fill="none", stroke=colour, **{"stroke-width": "1.3"})
    head = tag("path", d=f"M{x + 6:.1f},{y + 3:.1f}l0,8l-6,-4Z", fill=colour)
    return Html(drawn + head + _text(request.value, x + 24, y + 4, colour, 11))


def _request_beside(request: Request, start: tuple[float, float], end: tuple[float, float]) -> Html:
    """The request at the middle of the first bow, on its outer side; nearer to the state where the bow is wide."""
    wide, high = end[0] - start[0], end[1] - start[1]
    along, down = (0.216, 0.342) if abs(wide) > _WIDE else (0.5, 0.5)
    x, y = start[0] + along * wide, start[1] + down * high + 4
    return (
        _text(request, x - 5, y, MUTED, 11, anchor="end") if wide < 0 else _text(request, x + 5, y, MUTED, 11)
    )


def _text(text: str, x: float, y: float, colour: str, size: int, anchor: str = "start") -> Html:
    # White around the letters keeps them readable where a line passes.
    around = {"stroke": PAPER, "stroke-width": "3", "paint-order": "stroke", "text-anchor": anchor}
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", fill=colour, **{"font-size": str(size)}, **around)
