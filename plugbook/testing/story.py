"""What a recording tells, as lines that a person reads and a program compares: no times, no numbers, no threads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from plugbook.replay.stream import Stream
from plugbook.trace.record import show_seq

if TYPE_CHECKING:
    from plugbook.trace.reading.recording import Recording
    from plugbook.trace.record import Record

_CONTEXT: Final = 2
"""How many moments before a difference are shown."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One event, and what its handlers did.

    Attributes:
        seq: of the event, where it is known.
        lines: the event, then each call, indented.
    """

    seq: int | None
    lines: tuple[str, ...]


class Story(list[Moment]):
    """What happened, event by event, in the order in which they were delivered."""

    def __str__(self) -> str:
        return "\n".join(line for moment in self for line in moment.lines)


def story_of(recording: Recording, *, after: int = 0) -> Story:
    """The story of a recording.

    Args:
        recording: what was recorded.
        after: the seq behind which it begins.
    """
    events: dict[int, list[Record]] = {}
    for record in recording.select(kinds=("event", "call")).records():
        if record.kind == "event":
            events[record.seq] = [record]
        elif record.parent in events:
            events[record.parent].append(record)
        else:  # a call inside another one, as middleware makes them
            next(reversed(events.values())).append(record)
    rows = Stream(recording, is_live=True).ahead()
    told = (events[row[0]] for row in rows if row[0] > after and row[8] and row[0] in events)
    return Story(Moment(event.seq, (_event(event), *map(_call, calls))) for event, *calls in told)


def story_from(text: str) -> Story:
    """The story that a text tells."""
    moments: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("  ") and moments:
            moments[-1].append(line)
        elif line:
            moments.append([line])
    return Story(Moment(None, tuple(lines)) for lines in moments)


def first_difference(expected: Story, replayed: Story) -> str:
    """Where two stories part for the first time, as text; empty where they do not."""
    for at, (one, other) in enumerate(zip_longest(expected, replayed)):
        if one is None or other is None or one.lines != other.lines:
            return "\n".join(_shown(expected, at, one, other))
    return ""


def _shown(expected: Story, at: int, one: Moment | None, other: Moment | None) -> Iterator[str]:
    seq = f" (#{show_seq(one.seq)})" if one is not None and one.seq is not None else ""
    yield f"The first difference is at event {at + 1} of {len(expected)}{seq}; - as expected, + as replayed:"
    for before in expected[max(at - _CONTEXT, 0) : at]:
        yield from (f"    {line}" for line in before.lines)
    yield from _compared(one.lines if one else (), other.lines if other else ())


def _compared(expected: Sequence[str], replayed: Sequence[str]) -> Iterator[str]:
    for one, other in zip_longest(expected, replayed):
        if one == other:
            yield f"    {one}"
            continue
        if one is not None:
            yield f"  - {one}"
        if other is not None:
            yield f"  + {other}"


def _event(event: Record) -> str:
    by = f" by {event.plugin}" if event.plugin else ""
    return f"{event.name}{by} {_json(event.payload)}"


def _call(call: Record) -> str:
    told = f"  {call.name}"
    if call.outcome != "ok":
        told += f" {call.outcome}"
    if isinstance(call.error, dict):
        told += f" {call.error.get('type')}: {call.error.get('message')}".splitlines()[0]
    elif call.outcome == "ok" and call.result is not None:
        told += f" -> {_json(call.result)}"
    return told


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
