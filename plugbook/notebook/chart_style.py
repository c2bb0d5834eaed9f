"""How every chart looks and how it reaches the page: theme, titles, the empty chart, the offline renderer.

Altair's own default renderer fetches its JavaScript from the network, and its `mimetype` renderer speaks a
version of Vega-Lite that JupyterLab does not draw. The renderer here sends what JupyterLab draws by itself,
with a picture beside it for every place that draws nothing.
"""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .palette import FAINT, INK, MUTED, PAPER

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_Chart = TypeVar("_Chart")

WIDTH: Final = 720
"""Pixels across, for a chart with its axis; fits a notebook cell on a small laptop."""

ROWS_SENT: Final = 5_000
"""The most rows a chart sends to the browser; beyond it a page becomes slow."""

RENDERER: Final = "plugbook"

VEGALITE_MIME: Final = "application/vnd.vegalite.v5+json"
_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.20.1.json"
_DRAWN_AS: Final = "5.20"
_SVG_KEPT: Final = 250_000
"""Characters; a larger picture is stored as pixels."""
_SHARPNESS: Final = 1.5
"""Pixels for each pixel of the chart, for screens with fine ones."""
_SIZE: Final = re.compile(r'width="([\d.]+)" height="([\d.]+)"')

WIDEST_LABEL: Final = 330
"""Pixels for the longest label of an axis; what is longer is cut, and stands in the tooltip."""
_LETTERS: Final = 112
"""How many letters of a subtitle stand beside each other on the width of a chart."""
_BETWEEN: Final = " · "
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"

_CONFIG: Final[dict[str, Any]] = {
    "font": _FONT,
    "background": PAPER,
    "padding": {"left": 12, "right": 16, "top": 12, "bottom": 12},
    "view": {"stroke": None},
    "title": {
        "anchor": "start",
        "frame": "group",
        "color": INK,
        "fontSize": 15,
        "fontWeight": 600,
        "subtitleColor": MUTED,
        "subtitleFontSize": 12,
        "subtitlePadding": 5,
        "offset": 14,
    },
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": 400,
        "titlePadding": 8,
        "labelPadding": 5,
        "labelLimit": WIDEST_LABEL,
        "gridColor": FAINT,
        "domain": False,
        "ticks": False,
    },
    "legend": {
        "orient": "top",
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": 400,
        "symbolSize": 90,
        "labelLimit": 180,
        "columnPadding": 14,
        "offset": 8,
    },
    "concat": {"spacing": 22},
}


def finish(chart: _Chart, title: str, subtitle: str | list[str]) -> _Chart:
    """Give a chart its title and the theme, and see to it that it shows without a network."""
    use_renderer()
    heading = {"text": title, "subtitle": _wrapped(subtitle)}
    themed: _Chart = chart.properties(title=heading).configure(**_CONFIG)  # type: ignore[attr-defined]
    return themed


def inline(frame: pd.DataFrame) -> alt.InlineData:
    """Rows of a frame as the chart's own data, plain numbers and texts, with at most eight digits each."""
    import altair as alt

    rounded = frame.copy()
    for column in rounded.select_dtypes("float"):
        rounded[column] = [float(f"{value:.8g}") for value in rounded[column]]
    return alt.InlineData(
        values=[{str(key): value for key, value in row.items()} for row in rounded.to_dict("records")]
    )


def tooltips(*fields: str) -> list[alt.Tooltip]:
    """One line of the tooltip for each field, by its own name."""
    import altair as alt

    return [alt.Tooltip(field=field, title=field) for field in fields]


def empty_chart(title: str, reason: str) -> alt.Chart:
    """A small chart that says why there is nothing to draw.

    Args:
        title: the title it would have had.
        reason: what is missing, and what to do.
    """
    import altair as alt

    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=[{"text": reason}]), width=WIDTH, height=44)
        .mark_text(align="left", baseline="middle", color=MUTED, fontSize=13)
        .encode(text="text:N", x=alt.value(0), y=alt.value(22))
    )
    return finish(chart, title, "nothing to draw")


def use_renderer() -> None:
    """Let charts show without a network, unless the user chose a renderer.

    Takes over from Altair's default renderer only; `alt.renderers.enable("default")` after the first chart,
    or `restore_renderer`, gives it back.
    """
    import altair as alt

    if RENDERER not in alt.renderers.names():
        alt.renderers.register(RENDERER, mime_bundle)
        if alt.renderers.active in ("", "default"):
            alt.renderers.enable(RENDERER)


def enable_renderer() -> None:
    """Show charts without a network, whichever renderer was chosen before."""
    use_renderer()
    import altair as alt

    alt.renderers.enable(RENDERER)


def restore_renderer() -> None:
    """Undo `use_renderer`; Altair is not imported for it."""
    altair = sys.modules.get("altair")
    if altair is None or RENDERER not in altair.renderers.names():
        return
    if altair.renderers.active == RENDERER:
        altair.renderers.enable("default")
    altair.renderers.register(RENDERER, None)


def mime_bundle(spec: dict[str, Any], **_options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a chart sends to the page: live Vega-Lite, a picture for where that is not drawn, and words.

    The picture needs vl-convert (extra `charts`); without it the chart shows in JupyterLab only.

    Returns:
        The bundle, and the sizes of pictures in it.
    """
    spec = {**spec, "$schema": _SCHEMA}
    picture, sizes = _picture(spec)
    return {VEGALITE_MIME: spec, "text/plain": _words(spec), **picture}, sizes


def _picture(spec: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """The chart drawn once and for all: as lines, or as pixels where lines would take more room."""
    try:
        import vl_convert
    except ImportError:
        return {}, {}
    lines = vl_convert.vegalite_to_svg(spec, vl_version=_DRAWN_AS)
    if len(lines) > _SVG_KEPT:  # what makes it long is what it says of each mark to a screen reader
        silent = {**spec, "config": {**spec.get("config", {}), "aria": False}}
        lines = vl_convert.vegalite_to_svg(silent, vl_version=_DRAWN_AS)
    if len(lines) <= _SVG_KEPT:
        return {"image/svg+xml": lines}, {}
    pixels = b64encode(vl_convert.svg_to_png(lines, scale=_SHARPNESS)).decode()
    width, height = (round(float(number)) for number in _SIZE.findall(lines)[0])
    # Shown at the size of the other charts, not pixel for pixel, which would double its letters.
    return {"image/png": pixels}, {"image/png": {"width": width, "height": height}}


def label_room(names: Iterable[str]) -> int:
    """Pixels that names take on an axis, which is at most `WIDEST_LABEL`."""
    return min(round(max(map(len, names), default=0) * 6.3) + 12, WIDEST_LABEL)


def _wrapped(subtitle: str | list[str]) -> list[str]:
    """The subtitle in lines that are no wider than a chart, broken where its parts end."""
    lines: list[str] = []
    for text in [subtitle] if isinstance(subtitle, str) else subtitle:
        line, *rest = text.split(_BETWEEN)
        for part in rest:
            if len(line) + len(part) > _LETTERS:
                lines.append(line)
                line = part
            else:
                line += _BETWEEN + part
        lines.append(line)
    return lines


def _words(spec: dict[str, Any]) -> str:
    title = spec.get("title") or {}
    if not isinstance(title, dict):
        return f"Chart: {title}"
    subtitle = title.get("subtitle") or ""
    lines = subtitle if isinstance(subtitle, list) else [subtitle]
    return "\n".join([f"Chart: {title.get('text', '')}", *(f"  {line}" for line in lines if line)])
