"""Hypothesis strategies from JSON Schemas: what comes out is valid as it is made, and nothing is thrown away.

Filtering what does not fit wastes most of the examples once a schema has a pattern or a step; so every limit is part
of how a value is built. They need hypothesis, which the extra ``testing`` brings.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from plugbook.errors import EventError, missing_extra, suggestion
from plugbook.events.event import Event
from plugbook.events.subscription import is_event_type
from plugbook.events.versions.alternatives import Alternatives, entries
from plugbook.events.versions.coverage import Branch, Node, fields, item_at
from plugbook.events.versions.example import Examples, distinct, example, key_text
from plugbook.events.versions.formats import duration_text, formatted
from plugbook.events.versions.limits import schema_of
from plugbook.events.versions.matching import matching
from plugbook.events.versions.ranges import Bounds, Multiples
from plugbook.events.versions.reading import reader_of

try:
    from hypothesis import strategies as st
except ImportError as error:
    missing_extra("plugbook.testing.strategies", "testing", error)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

E = TypeVar("E", bound=Event)
Makes = Callable[[Branch], "SearchStrategy[str]"]

_MORE: Final = 5
"""How many items, keys or further characters there are beyond what is needed, where nothing else is said."""

_MOST_NESTED: Final = 2
"""How often a value holds another one of its own kind; from there on, the smallest is taken."""


def from_schema(schema: object) -> SearchStrategy[Any]:
    """Values that fit a schema, as JSON has them.

    Args:
        schema: a JSON Schema, a pydantic model, or any type that pydantic knows. Of a type, limits are kept too that
            JSON Schema has no words for, such as the digits of a Decimal.

    >>> from hypothesis import find
    >>> find(from_schema({"type": "integer", "minimum": 3, "multipleOf": 7}), lambda number: number > 20)
    21

    Raises:
        EventError: nothing fits the schema, or nothing was found that does; the message names the field.
    """
    root = schema_of(schema)
    example(root)  # says what is wrong now, and not when a test draws
    alternatives = Alternatives(root)
    return _Strategies(alternatives).of(alternatives.root)


def events(kind: type[E], **fixed: Any) -> SearchStrategy[E]:
    """Events of a type.

    Args:
        kind: the event class.
        **fixed: fields that are given, each a value or a strategy of its own.

    >>> from hypothesis import find
    >>> class OrderPlaced(Event):
    ...     order_id: int
    ...     currency: str = "EUR"
    >>> find(events(OrderPlaced, currency="USD"), lambda order: order.order_id > 9)
    OrderPlaced(order_id=10, currency='USD')

    Raises:
        EventError: it is no event class, the event has no field of that name, or its schema is one that nothing fits.
    """
    if not is_event_type(kind):
        msg = f"events() takes an Event class, as in events(OrderPlaced), and not {kind!r}"
        raise EventError(msg)
    for name in fixed:
        if name not in kind.model_fields:
            msg = f"{kind.__name__} has no field {name!r}.{suggestion(name, kind.model_fields)}"
            raise EventError(msg)
    read = reader_of(kind)
    made: SearchStrategy[Any] = from_schema(kind).map(lambda payload: read(json.dumps(payload)))
    if not fixed:
        return made
    given = {
        name: each if isinstance(each, st.SearchStrategy) else st.just(each) for name, each in fixed.items()
    }
    return st.builds(partial(_with_fields, kind), made, st.fixed_dictionaries(given))


def _with_fields(kind: type[E], event: E, given: dict[str, Any]) -> E:
    """An event whose other fields are those of another."""
    said = {name: getattr(event, name) for name in event.model_fields_set}
    return kind.model_validate(said | given, by_name=True, by_alias=False)


class _Strategies:
    """Makes the strategies of one schema.

    Args:
        alternatives: the schema.
    """

    def __init__(self, alternatives: Alternatives) -> None:
        self._alternatives = alternatives
        self._known: dict[tuple[int, int], SearchStrategy[Any]] = {}

    def of(self, node: Node, nested: int = 0) -> SearchStrategy[Any]:
        """Values of a part of the schema, which is inside of so many others that can hold their like."""
        if (id(node), nested) not in self._known:
            self._known[id(node), nested] = st.deferred(lambda: self._made(node, nested))
        return self._known[id(node), nested]

    def _made(self, node: Node, nested: int) -> SearchStrategy[Any]:
        choices = self._alternatives.ending(node)
        if self._alternatives.is_recursive(node):
            nested += 1
            choices = choices[:1] if nested > _MOST_NESTED else choices
        return st.one_of([self._choice(each, nested) for each in choices])

    def _choice(self, choice: Branch, nested: int) -> SearchStrategy[Any]:
        if "enum" in choice:
            return st.sampled_from(choice["enum"])
        kind = choice.get("type")
        if kind == "object":
            return self._object(choice, nested)
        if kind == "array":
            return self._list(choice, nested)
        if kind == "string" and "contentSchema" in choice:
            return self.of(choice["contentSchema"], nested).map(json.dumps)
        return _ANYTHING if kind is None else _SIMPLE[kind](choice)

    def _object(self, choice: Branch, nested: int) -> SearchStrategy[dict[str, Any]]:
        keys, values = entries(choice)
        known = fields(choice)
        required = choice.get("required", ())
        named = st.fixed_dictionaries(
            {name: self.of(known.get(name, values), nested) for name in required},
            optional={name: self.of(node, nested) for name, node in known.items() if name not in required},
        )
        least = max(0, choice.get("minProperties", 0) - len(required))
        if values is False or (known and not least):
            return named
        names = self._different(keys, nested, *_sizes(choice, "Properties", least, nested))
        others = names.flatmap(lambda several: self._entries(several, values, nested))
        return st.builds(lambda some, more: more | some, named, others) if known else others

    def _list(self, choice: Branch, nested: int) -> SearchStrategy[list[Any]]:
        first = choice.get("prefixItems", ())
        least = choice.get("minItems", 0)
        begin = st.tuples(*(self.of(each, nested) for each in first[: choice.get("maxItems", len(first))]))
        if len(first) >= choice.get("maxItems", len(first) + 1):
            return begin.map(list)
        sizes = _sizes(choice, "Items", max(0, least - len(first)), nested, taken=len(first))
        node = item_at(choice, len(first))
        several = self._different if choice.get("uniqueItems") else self._any
        rest = several(node, nested, *sizes)
        return st.builds(lambda some, more: [*some, *more], begin, rest) if first else rest

    def _entries(self, names: list[Any], values: Node, nested: int) -> SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({key_text(name): self.of(values, nested) for name in names})

    def _any(self, node: Node, nested: int, least: int, most: int) -> SearchStrategy[list[Any]]:
        return st.lists(self.of(node, nested), min_size=least, max_size=most)

    def _different(self, node: Node, nested: int, least: int, most: int) -> SearchStrategy[list[Any]]:
        """Values that differ; where too few are drawn that do, made up ones take the place of the others."""

        def complete(drawn: list[Any]) -> list[Any]:
            others = Examples(self._alternatives).several(node, "")
            differing = distinct(drawn, most)
            return differing if len(differing) >= least else distinct(chain(differing, others), least)

        return self._any(node, nested, least, most).map(complete)


def _sizes(choice: Branch, what: str, least: int, nested: int, taken: int = 0) -> tuple[int, int]:
    """How many items or keys at least and at most: inside of what can hold its like, only as many as are needed and one."""
    most = least + (1 if nested else _MORE)
    if f"max{what}" in choice:
        most = min(most, choice[f"max{what}"] - taken)
    return least, max(least, most)


# -- numbers --------------------------------------------------------------------------------------


def _numbers(choice: Branch) -> SearchStrategy[int | float]:
    bounds = Bounds.of(choice)
    multiples = Multiples.of(choice, bounds)
    if multiples is not None:
        return st.integers(multiples.first, multiples.last).map(multiples.at)
    return st.floats(*bounds.closed(), allow_nan=False, allow_infinity=False)


# -- texts ----------------------------------------------------------------------------------------

_LETTERS: Final = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"))
_WRITTEN: Final = st.characters(codec="utf-8")
_ASCII: Final = st.characters(codec="ascii")


def _texts(choice: Branch) -> SearchStrategy[str]:
    if "pattern" in choice:
        return _matching(choice)
    name = str(choice.get("format", ""))
    if name in _FORMATS:
        return _FORMATS[name](choice)
    if formatted(choice) is not None:
        several = (formatted(choice, place) for place in range(20))
        return st.sampled_from([text for text in several if text is not None])
    letters = _ASCII if name == "binary" else _LETTERS if choice.get("isStripped") else _WRITTEN
    return st.text(letters, min_size=choice.get("minLength", 0), max_size=choice.get("maxLength"))


def _matching(choice: Branch) -> SearchStrategy[str]:
    """What matches a pattern as a whole; where the length has limits too, some texts that keep them.

    ASCII alone, for what a letter is beyond it pydantic and Python do not agree upon.
    """
    pattern = choice["pattern"]
    if not choice.keys() & {"minLength", "maxLength"} and not _looks_around(pattern):
        whole = re.compile(_without_anchors(pattern), re.ASCII)
        return st.from_regex(whole, fullmatch=True, alphabet=_ASCII)
    least, most = choice.get("minLength", 0), choice.get("maxLength")
    return st.sampled_from(list(islice(matching(pattern, least, most), 200)))


def _without_anchors(pattern: str) -> str:
    """A pattern that the whole text will match anyway: at its end, Python would let a line break follow."""
    pattern = pattern.removeprefix("^")
    stem = pattern.removesuffix("$")
    escapes = len(stem) - len(stem.rstrip("\\"))
    return stem if escapes % 2 == 0 else pattern


def _looks_around(pattern: str) -> bool:
    return any(sign in pattern for sign in ("(?=", "(?!", "(?<", r"\b", r"\B"))


def _days(choice: Branch) -> SearchStrategy[str]:
    low, high = (choice.get(name) for name in ("formatMinimum", "formatMaximum"))
    return st.dates(
        dt.datetime.fromisoformat(low).date() if low else dt.date(1, 1, 1),
        dt.datetime.fromisoformat(high).date() if high else dt.date(9999, 12, 31),
    ).map(dt.date.isoformat)


def _moments(choice: Branch) -> SearchStrategy[str]:
    low, high = (
        dt.datetime.fromisoformat(choice[name]) if name in choice else None
        for name in ("formatMinimum", "formatMaximum")
    )
    zone = next((end.tzinfo for end in (low, high) if end is not None), None)
    naive = st.datetimes(
        low.replace(tzinfo=None) if low else dt.datetime(1, 1, 2),  # noqa: DTZ001 (a zone is added)
        high.replace(tzinfo=None) if high else dt.datetime(9999, 12, 30),  # noqa: DTZ001
    )
    if zone is None and not (low or high) and choice.get("timezone") != "naive":
        zone = dt.UTC
    return naive.map(lambda moment: moment.replace(tzinfo=zone).isoformat())


def _times(choice: Branch) -> SearchStrategy[str]:
    low, high = (
        dt.time.fromisoformat(choice[name]) if name in choice else None
        for name in ("formatMinimum", "formatMaximum")
    )
    zone = next((end.tzinfo for end in (low, high) if end is not None), None)
    is_aware = choice.get("timezone") == "aware" and zone is None
    return st.times(
        low.replace(tzinfo=None) if low else dt.time.min, high.replace(tzinfo=None) if high else dt.time.max
    ).map(lambda time: time.replace(tzinfo=dt.UTC if is_aware else zone).isoformat())


def _durations(choice: Branch) -> SearchStrategy[str]:
    low, high = choice.get("formatMinimum", -1e9), choice.get("formatMaximum", 1e9)
    return st.integers(round(low * 1e6), round(high * 1e6)).map(lambda micros: duration_text(micros / 1e6))


def _bytes(choice: Branch) -> SearchStrategy[str]:
    content = st.binary(min_size=choice.get("minLength", 0), max_size=choice.get("maxLength"))
    return content.map(lambda some: base64.urlsafe_b64encode(some).decode())


def _ids(version: Literal[1, 3, 4, 5]) -> Makes:
    return lambda _: st.uuids(version=version).map(str)


def _addresses(version: Literal[4, 6] | None) -> Makes:
    return lambda _: st.ip_addresses(v=version).map(str)


_FORMATS: Final[Mapping[str, Makes]] = {
    "base64": _bytes,
    "base64url": _bytes,
    "date": _days,
    "date-time": _moments,
    "duration": _durations,
    "ipv4": _addresses(4),
    "ipv6": _addresses(6),
    "ipvanyaddress": _addresses(None),
    "time": _times,
    "uuid": _ids(4),
    "uuid1": _ids(1),
    "uuid3": _ids(3),
    "uuid4": _ids(4),
    "uuid5": _ids(5),
}
_ANYTHING: Final = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(_WRITTEN, max_size=_MORE)
)
_SIMPLE: Final[Mapping[str, Callable[[Branch], SearchStrategy[Any]]]] = {
    "boolean": lambda _: st.booleans(),
    "integer": _numbers,
    "null": lambda _: st.none(),
    "number": _numbers,
    "string": _texts,
}
