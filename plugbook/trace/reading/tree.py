"""What caused what: the causal tree around one record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from plugbook.trace.record import Record, show_seq
from plugbook.trace.telling import first_line, recorded_place

_MOST_CHARACTERS: Final = 60


@dataclass
class Tree:
    """A record and what it caused, in the order of seq; ``str()`` draws it.

    Attributes:
        record: the one at this place.
        children: what it caused: an event its calls, a call what was published inside it.
        asked: whether this is the record that was asked about.
    """

    record: Record
    children: list[Tree] = field(default_factory=list)
    asked: bool = False

    def __iter__(self) -> Iterator[Tree]:
        """This node and all below it, each before its children."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        waiting = [("", "", self)]
        while waiting:
            lead, below, node = waiting.pop()
            yield lead + describe(node.record) + (" ◀" if node.asked else "")
            last = len(node.children) - 1
            waiting += [
                (below + ("└─ " if at == last else "├─ "), below + ("   " if at == last else "│  "), child)
                for at, child in reversed(list(enumerate(node.children)))
            ]


def describe(record: Record) -> str:
    """A record in one line: seq, kind, name, plugin, duration, how it ended, and what a log, a mark or an effect says."""
    parts = [f"#{show_seq(record.seq)}", record.kind, record.name]
    if record.plugin and record.plugin != record.name.partition(".")[0]:
        parts.append(f"({record.plugin})")
    if text := said_by(record):
        parts.append(text)
    if record.duration_ns is not None:
        parts.append(show_duration(record.duration_ns))
    if record.outcome != "ok":
        parts.append(record.outcome)
    if isinstance(record.error, dict):
        parts.append(describe_failure(record.error))
    elif record.reason:
        parts.append(first_line(record.reason))
    return " ".join(parts)


def said_by(record: Record) -> str:
    """What a log or a mark says, and what an effect was asked and gave, in one line; nothing for other kinds."""
    if record.kind == "input":
        return _asked_and_given(record)
    field_name = {"log": "message", "mark": "text"}.get(record.kind)
    if field_name is None:
        return ""
    said = record.payload.get(field_name) if isinstance(record.payload, dict) else record.payload
    return first_line(said) if isinstance(said, str) else ""


def _asked_and_given(record: Record) -> str:
    arguments = record.payload.get("arguments") if isinstance(record.payload, dict) else None
    named = arguments.items() if isinstance(arguments, dict) else ()
    asked = ", ".join(f"{name}={_brief(value)}" for name, value in named)
    given = "" if record.error is not None or record.outcome != "ok" else f" -> {_brief(record.result)}"
    return first_line(f"({asked}){given}")


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def describe_failure(error: dict[str, Any]) -> str:
    r"""A recorded error in one line: its type, the first line of its message, and where it was raised.

    >>> frames = [{"file": "/shop/billing.py", "line": 12, "function": "bill"}]
    >>> describe_failure({"type": "ValueError", "message": "no\nmore", "frames": frames})
    'ValueError: no (billing.py:12)'
    """
    message = first_line(str(error.get("message") or ""))
    told = ": ".join(filter(None, [str(error.get("type") or ""), message]))
    place = recorded_place(error, brief=True)
    return f"{told} ({place})" if place else told


def show_duration(ns: int) -> str:
    """A duration with three digits or so.

    >>> show_duration(1_234), show_duration(12_345_678), show_duration(75_000_000_000)
    ('1.23 µs', '12.3 ms', '75 s')
    """
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns} ns"


def grow(records: Iterable[Record], top: int, asked: int) -> Tree | None:
    """What caused a record, one above the other up to the root, and below it all that it caused.

    Args:
        records: all of one causal tree.
        top: the seq of its root.
        asked: the seq that was asked about.
    """
    nodes = {record.seq: Tree(record) for record in sorted(records, key=lambda record: record.seq)}
    if asked not in nodes:
        return None
    node = nodes[asked]
    node.asked = True
    for other in nodes.values():
        parent = nodes.get(other.record.parent if other.record.parent is not None else top)
        if parent is not None and parent is not other:
            parent.children.append(other)
    while (parent := nodes.get(-1 if node.record.parent is None else node.record.parent)) is not None:
        parent.children = [node]
        node = parent
    return node
