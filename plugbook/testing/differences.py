"""Says where events differ, field by field, in the words of a test: what was expected, and what was published."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from pydantic import BaseModel

from plugbook.events.event import Event
from plugbook.trace.units import count_text

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 120
_MISSING: Final = object()


def field_differences(published: object, expected: object) -> list[str]:
    """Every field in which two values differ, a line each; empty where they are equal.

    >>> class OrderPlaced(Event):
    ...     order_id: int
    ...     lines: list[str] = []
    >>> field_differences(OrderPlaced(order_id=1, lines=["tea"]), OrderPlaced(order_id=1, lines=["tee"]))
    ["lines.0: 'tee' was expected, 'tea' was published"]
    """
    return list(_differences(published, expected, ""))


def explain_events(op: str, left: object, right: object) -> list[str] | None:
    """What pytest shows of a comparison of events that failed; None where it is about something else."""
    if op != "==":
        return None
    if isinstance(left, Event) and isinstance(right, Event):
        return [f"{short(left)} == {short(right)}", *_of_pair(left, right)]
    published, expected = _as_events(left), _as_events(right)
    if published is None or expected is None or not (published or expected):
        return None
    if getattr(right, "was_published", False) and not getattr(left, "was_published", False):
        published, expected = expected, published
    head = f"{count_text(len(published), 'event')} published == {count_text(len(expected), 'event')} expected"
    return [head, *_of_sequences(published, expected)]


def short(value: object) -> str:
    """A value on one line, cut where it is long."""
    return _shown.repr(value)


def _as_events(given: object) -> Sequence[Event] | None:
    """What was given as a sequence of events; None where it is something else."""
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return given if all(isinstance(each, Event) for each in given) else None
    return None


def _of_pair(published: Event, expected: Event) -> Iterator[str]:
    if type(published) is type(expected):
        yield from field_differences(published, expected)
        return
    named = (type(published).__qualname__, type(expected).__qualname__)
    if named[0] == named[1]:
        yield (
            f"two classes are called {named[0]}: {_defined(published)} was published, "
            f"{_defined(expected)} was expected; define it once, and import it from there"
        )
    else:
        yield f"{named[1]} was expected, {named[0]} was published"


def _of_sequences(published: Sequence[Event], expected: Sequence[Event]) -> Iterator[str]:
    """What was published beside what was expected, aligned by what is equal."""
    matcher = SequenceMatcher(None, [*map(_key, published)], [*map(_key, expected)], autojunk=False)
    for what, start, end, first, last in matcher.get_opcodes():
        if what == "equal":
            yield from (f"  {short(each)}" for each in published[start:end])
            continue
        both = min(end - start, last - first)
        for offset in range(both):
            yield f"! {short(published[start + offset])}"
            lines = _of_pair(published[start + offset], expected[first + offset])
            yield from (f"    {line}" for line in lines)
        yield from (f"- missing: {short(each)}" for each in expected[first + both : last])
        yield from (f"+ not expected: {short(each)}" for each in published[start + both : end])


def _key(event: Event) -> tuple[type, str]:
    return type(event), repr(event)


def _defined(event: Event) -> str:
    return f"{type(event).__module__}.{type(event).__qualname__} at {id(type(event)):#x}"


def _differences(published: Any, expected: Any, path: str) -> Iterator[str]:
    if isinstance(published, BaseModel) and type(published) is type(expected):
        yield from _of_mappings(dict(published), dict(expected), path)
    elif isinstance(published, Mapping) and isinstance(expected, Mapping):
        yield from _of_mappings(published, expected, path)
    elif _is_list(published) and _is_list(expected) and len(published) == len(expected):
        for index, (one, other) in enumerate(zip(published, expected, strict=True)):
            yield from _differences(one, other, _joined(path, index))
    elif published != expected:
        yield f"{path or 'value'}: {_said(expected, 'expected')}, {_said(published, 'published')}"


def _of_mappings(published: Mapping[Any, Any], expected: Mapping[Any, Any], path: str) -> Iterator[str]:
    for key in dict.fromkeys((*expected, *published)):
        one, other = published.get(key, _MISSING), expected.get(key, _MISSING)
        yield from _differences(one, other, _joined(path, key))


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _joined(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _said(value: object, how: str) -> str:
    return f"nothing was {how}" if value is _MISSING else f"{short(value)} was {how}"
