"""What commands return where no room below has a value for it: text, and rows that read well everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


class Text(str):
    """Text that a notebook shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Rows:
    """A small table.

    Attributes:
        columns: the headings.
        rows: the cells, as text.
        empty: what to say where there are no rows.

    >>> print(Rows(("plugin", "state"), (("ledger", "active"), ("tax", "failed"))))
    plugin  state
    ledger  active
    tax     failed
    """

    columns: tuple[str, ...]
    rows: tuple[Sequence[str], ...]
    empty: str = "nothing"

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        if not self.rows:
            return self.empty
        widths = [
            max(len(row[place]) for row in (self.columns, *self.rows)) for place in range(len(self.columns))
        ]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.columns, *self.rows)
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{escape(self.empty)}</p>"
        head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return f"<td style='text-align:left'>{escape(text)}</td>"
