"""Small pieces of HTML that escape all they are given, and the one style sheet they share.

Colours of text and ground are inherited, so the same output reads well in light and dark themes, in
JupyterLab, elsewhere, and in a stored notebook; only marks of state have colours of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .palette import Mark

STYLE: Final = """<style>
.plugbook{font:13px/1.45 var(--jp-ui-font-family,system-ui,-apple-system,'Segoe UI',sans-serif);max-width:900px;color:inherit}
.plugbook .pb-head{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;margin:2px 0 6px}
.plugbook .pb-title{font-weight:600;font-size:14px}
.plugbook .pb-quiet{opacity:.72}
.plugbook .pb-wide{overflow-x:auto}
.plugbook table.pb-table{border-collapse:collapse;border:0;margin:0;font-size:12.5px;table-layout:auto}
.plugbook table.pb-table :is(tr,tr:nth-child(odd),tr:nth-child(even),tr:hover,thead){background:none;border:0}
.plugbook table.pb-table :is(th,td){text-align:left;vertical-align:top;padding:4px 16px 4px 0;border:0;
border-bottom:1px solid rgba(128,128,128,.22);max-width:420px;overflow-wrap:break-word;white-space:normal;color:inherit}
.plugbook table.pb-table th{font-weight:500;opacity:.72;font-size:11.5px}
.plugbook table.pb-table :is(th,td).pb-number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.plugbook .pb-code{font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);font-size:12px}
.plugbook .pb-place{font-size:11.5px;opacity:.72}
.plugbook .pb-chip{display:inline-flex;align-items:baseline;gap:5px;white-space:nowrap}
.plugbook .pb-glyph{font-size:11px;font-weight:700;min-width:1em;text-align:center}
.plugbook .pb-bar{display:inline-block;width:72px;height:7px;border-radius:2px;margin-right:8px;vertical-align:baseline;
background:rgba(128,128,128,.16);overflow:hidden}
.plugbook .pb-bar>i{display:block;height:100%;background:#3b7dbd}
.plugbook .pb-stats{display:flex;flex-wrap:wrap;gap:6px 26px;margin:4px 0 8px}
.plugbook .pb-stats b{display:block;font-size:17px;font-weight:600;font-variant-numeric:tabular-nums}
.plugbook .pb-stats span{font-size:11.5px;opacity:.72}
.plugbook h4{font-size:12.5px;font-weight:600;margin:10px 0 2px}
.plugbook ol{margin:2px 0 2px 0;padding-left:22px}
.plugbook pre{margin:3px 0;padding:6px 8px;background:rgba(128,128,128,.1);border-radius:4px;overflow-x:auto;font-size:12px;color:inherit}
.plugbook .pb-bad{border-left:3px solid #d55e00;padding-left:9px}
.plugbook details{margin:4px 0}
.plugbook summary{cursor:pointer;opacity:.8}
</style>"""
"""Kept in every output, for a stored notebook has nothing else to take it from; scoped by its class."""

LONGEST_TEXT: Final = 400
"""Characters of one value that are shown; the rest is cut, with a mark."""

MOST_ROWS: Final = 200
"""Rows of one table that are shown; below it stands how many more there are."""


class Html(str):
    """Text that is HTML already; everything else is escaped."""

    __slots__ = ()


def tag(name: str, *children: object, cls: str = "", **attributes: str) -> Html:
    """An element with escaped children and attributes.

    >>> tag("b", "a < b", cls="x")
    '<b class="x">a &lt; b</b>'
    """
    pairs = {"class": cls, **attributes} if cls else attributes
    inside = "".join(html_of(child) for child in children)
    return Html(
        f"<{name}{''.join(f' {key}={chr(34)}{escape(value)}{chr(34)}' for key, value in pairs.items())}>{inside}</{name}>"
    )


def html_of(value: object) -> Html:
    """A value as HTML: escaped, unless it is HTML already; None is nothing."""
    if isinstance(value, Html):
        return value
    return Html("" if value is None else escape(str(value), quote=False))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Several pieces as one."""
    return Html(between.join(html_of(part) for part in parts))


def page(*parts: object) -> str:
    """The whole output: the style sheet and the pieces, in the class that scopes it."""
    return STYLE + tag("div", *parts, cls="plugbook")


def head(title: object, *notes: object) -> Html:
    """A title, and quiet notes beside it."""
    quiet = [tag("span", note, cls="pb-quiet") for note in notes if note]
    return tag("div", tag("span", title, cls="pb-title"), *quiet, cls="pb-head")


def chip(mark: Mark, label: object) -> Html:
    """A state or an outcome: its glyph in its colour, its word in the colour of the text."""
    glyph = tag("span", mark.glyph, cls="pb-glyph", style=f"color:{mark.colour}", **{"aria-hidden": "true"})
    return tag("span", glyph, label, cls="pb-chip")


def bar(share: float, label: object) -> Html:
    """A bar for a share of 0 to 1, with its value beside it."""
    inside = tag("i", style=f"width:{min(max(share, 0.0), 1.0) * 100:.1f}%")
    return Html(tag("span", inside, cls="pb-bar", **{"aria-hidden": "true"}) + html_of(label))


def code(value: object) -> Html:
    """A value in a typewriter face."""
    return tag("span", value, cls="pb-code")


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, hidden: int = 0) -> Html:
    """A table; a heading that starts with ``#`` is of numbers, right-aligned. Empty columns are left out.

    Args:
        headings: one for each column.
        rows: cells; at most `MOST_ROWS` are shown, and below them how many are not.
        hidden: how many more rows there are that were not given.
    """
    filled = [place for place in range(len(headings)) if not rows or any(row[place] for row in rows)]
    headings = [headings[place] for place in filled]
    rows = [[row[place] for place in filled] for row in rows]
    classes = ["pb-number" if heading.startswith("#") else "" for heading in headings]

    def line(kind: str, cells: Sequence[object]) -> Html:
        return tag("tr", *(tag(kind, cell, cls=cls) for cell, cls in zip(cells, classes, strict=True)))

    body = tag("tbody", *(line("td", row) for row in rows[:MOST_ROWS]))
    top = tag("thead", line("th", [heading.lstrip("#") for heading in headings]))
    drawn = tag("div", tag("table", top, body, cls="pb-table"), cls="pb-wide")
    more = hidden + max(len(rows) - MOST_ROWS, 0)
    return Html(drawn + tag("div", f"and {more:,} more", cls="pb-quiet")) if more else drawn


def stats(figures: Iterable[tuple[object, str]]) -> Html:
    """A row of figures, each with what it counts."""
    return tag(
        "div", *(tag("div", tag("b", figure), tag("span", what)) for figure, what in figures), cls="pb-stats"
    )


def folded(summary: str, *inside: object) -> Html:
    """Something that opens on a click."""
    return tag("details", tag("summary", summary), *inside)


def cut(text: str, most: int = LONGEST_TEXT) -> str:
    """A text of at most `most` characters, with a mark where it was cut.

    >>> cut("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def safe_repr(value: object) -> str:
    """The repr of a value, cut; of one whose repr raises, what it raised."""
    try:
        return cut(repr(value))
    except Exception as error:
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
