"""The smallest valid example of an event, or of anything that has a JSON Schema, always the same one.

It is what a plugin is given to show that it handles an event at all; no testing library is needed for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import count, islice, product, takewhile
from string import ascii_lowercase
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationError

from plugbook.errors import EventError, suggestion
from plugbook.events.event import Event
from plugbook.events.versions.alternatives import Alternatives, entries
from plugbook.events.versions.coverage import Branch, Node, fields, item_at
from plugbook.events.versions.formats import formatted
from plugbook.events.versions.limits import schema_of
from plugbook.events.versions.matching import matching
from plugbook.events.versions.ranges import Bounds, Multiples
from plugbook.events.versions.reading import reader_of

E = TypeVar("E", bound=Event)
_TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")
_MOST_TRIES: Final = 1_000


def example(schema: object) -> Any:
    """The smallest value that fits a schema, as JSON has it: lists, dicts, texts, numbers, true, false and None.

    Fields that may be left out are left out, and of a union the first member is taken that needs the least nesting.

    Args:
        schema: a JSON Schema, a pydantic model or any type that pydantic knows; of a type, limits are kept too that
            JSON Schema has no words for.

    >>> class OrderPlaced(Event):
    ...     order_id: int
    ...     currency: str = "EUR"
    >>> example(OrderPlaced)
    {'order_id': 0}
    >>> example(
    ...     {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "integer", "minimum": 3}}
    ... )
    [3, 4]

    Raises:
        EventError: nothing fits, or nothing was found that does; the message names the field.
    """
    root = schema_of(schema)
    alternatives = Alternatives(root)
    return Examples(alternatives).of(alternatives.root, "")


def example_event(kind: type[E]) -> E:
    """The smallest event of a type that it accepts, always the same one.

    >>> class OrderPlaced(Event):
    ...     order_id: int
    >>> example_event(OrderPlaced)
    OrderPlaced(order_id=0)

    Raises:
        EventError: a field, or a validator of the type's own, takes nothing that could be made up; the message
            names the field.
    """
    try:
        payload = json.dumps(example(kind))
    except EventError as error:
        msg = f"no example of {kind.__name__}: {error}. Write one: {kind.__name__}(...)"
        raise EventError(msg) from error
    try:
        return cast("E", reader_of(kind)(payload))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the event as a whole"
        msg = (
            f"no example of {kind.__name__}: of {where}, its schema does not say everything that it checks "
            f"({first['msg']}). Write one: {kind.__name__}(...)"
        )
        raise EventError(msg) from error


class Examples:
    """Makes values of one schema.

    Args:
        alternatives: the schema.
    """

    def __init__(self, alternatives: Alternatives) -> None:
        self._alternatives = alternatives

    def of(self, node: Node, path: str) -> Any:
        """The smallest value of a part of the schema."""
        return next(self.several(node, path))

    def several(self, node: Node, path: str) -> Iterator[Any]:
        """Different values of a part of the schema, small ones first; at least one."""
        choices = self._alternatives.ending(node)
        if not choices:
            why = "no value fits its schema, or each one would hold another without an end"
            raise _nothing(self._culprit(node, path, frozenset()), why)
        for choice in choices:
            yield from self._made(choice, path)

    def _culprit(self, node: Node, path: str, passed: frozenset[int]) -> str:
        """The first field below that has no value either, as far down as there is one."""
        for choice in self._alternatives.choices(node):
            for name in choice.get("required", ()):
                field = fields(choice).get(name, True)
                if id(field) not in passed and not self._alternatives.ending(field):
                    return self._culprit(field, _below(path, name), passed | {id(field)})
        return path

    def _made(self, choice: Branch, path: str) -> Iterator[Any]:
        if "both" in choice:
            raise _nothing(path, "its schema joins rules by allOf that cannot be told as one")
        kind = choice.get("type")
        if "enum" in choice:
            yield from choice["enum"]
        elif kind == "object":
            yield self._object(choice, path)
        elif kind == "array":
            yield self._list(choice, path)
        elif kind == "string" and "contentSchema" in choice:
            yield from map(json.dumps, self.several(choice["contentSchema"], path))
        elif kind == "string":
            yield from _texts(choice, path)
        elif kind in ("integer", "number"):
            yield from _numbers(choice, path)
        elif kind in (None, "null", "boolean"):
            yield from (False, True) if kind == "boolean" else (None,)
        else:
            raise _nothing(path, f"JSON Schema has no type {kind!r}.{suggestion(str(kind), _TYPES)}")

    def _object(self, choice: Branch, path: str) -> dict[str, Any]:
        keys, values = entries(choice)
        made = {
            name: self.of(fields(choice).get(name, values), _below(path, name))
            for name in choice.get("required", ())
        }
        missing = choice.get("minProperties", 0) - len(made)
        if missing > 0:
            names = (name for name in map(key_text, self.several(keys, f"{path}[]")) if name not in made)
            added = _first(names, missing, f"{path}[]")
            made |= {name: self.of(values, f"{path}[{name}]") for name in added}
        return made

    def _list(self, choice: Branch, path: str) -> list[Any]:
        length = choice.get("minItems", 0)
        if choice.get("uniqueItems") and length:
            return _first(self.several(item_at(choice, 0), f"{path}[]"), length, f"{path}[]")
        return [self.of(item_at(choice, place), f"{path}[{place}]") for place in range(length)]


def key_text(key: Any) -> str:
    """A key of an object, as JSON writes it.

    >>> key_text(7), key_text("seven"), key_text(True)
    ('7', 'seven', 'true')
    """
    return key if isinstance(key, str) else json.dumps(key)


def _texts(choice: Branch, path: str) -> Iterator[str]:
    least, most = choice.get("minLength", 0), choice.get("maxLength", _MOST_TRIES)
    found = False
    try:
        for text in islice(_any_texts(choice, least), _MOST_TRIES):
            if least <= len(text) <= most or "format" in choice:
                found = True
                yield text
    except re.error as error:
        raise _nothing(path, f"Python cannot read its pattern {choice['pattern']}: {error}") from error
    if not found:
        pattern = f" that matches {choice['pattern']}" if "pattern" in choice else ""
        raise _nothing(path, f"no text{pattern} was found in the length that it must have")


def _any_texts(choice: Branch, least: int) -> Iterator[str]:
    if "pattern" in choice:
        yield from matching(choice["pattern"], least, choice.get("maxLength"))
    elif formatted(choice) is not None:
        yield from takewhile(lambda text: text is not None, (formatted(choice, place) for place in count()))
    else:
        yield "a" * least
        for letters in product(ascii_lowercase, repeat=max(least, 2)):
            yield "".join(reversed(letters))


def _numbers(choice: Branch, path: str) -> Iterator[int | float]:
    bounds = Bounds.of(choice)
    found = Multiples.of(choice, bounds)
    numbers = iter(found or bounds)
    first = next(numbers, None)
    if first is None:
        raise _nothing(path, "no number is within its limits")
    yield first
    yield from numbers


def distinct(values: Iterable[Any], length: int) -> list[Any]:
    """The first values that differ, as Python compares them where they are numbers.

    >>> distinct([0, 0.0, "0", [0], [0]], 3)
    [0, '0', [0]]
    """
    made: dict[Any, Any] = {}
    for value in values:
        if len(made) >= length:
            break
        made.setdefault(value if isinstance(value, int | float) else json.dumps(value), value)
    return list(made.values())


def _first(values: Iterable[Any], length: int, path: str) -> list[Any]:
    made = distinct(islice(values, _MOST_TRIES), length)
    if len(made) < length:
        raise _nothing(path, f"{length} different values are needed, and {len(made)} were found")
    return made


def _below(path: str, name: str) -> str:
    return f"{path}.{name}".removeprefix(".")


def _nothing(path: str, why: str) -> EventError:
    msg = f"{path or 'the value itself'}: {why}"
    return EventError(msg)
