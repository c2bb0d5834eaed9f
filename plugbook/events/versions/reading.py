"""Making events of the JSON text that they were written as."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pydantic import ValidationError

from plugbook.events.event import Event

Read = Callable[[str], Event]


def reader_of(kind: type[Event]) -> Read:
    """What makes an event of a class from JSON text, in which fields go by name and computed ones are left out.

    The function raises pydantic's ValidationError.
    """
    validate: Read = partial(kind.__pydantic_validator__.validate_json, by_name=True, by_alias=True)
    computed = set(kind.__pydantic_decorators__.computed_fields)
    if not computed:
        return validate

    def without_computed(payload: str) -> Event:
        fields = json.loads(payload)
        if not isinstance(fields, dict):
            return validate(payload)
        return validate(json.dumps({name: value for name, value in fields.items() if name not in computed}))

    return without_computed


def read_leniently(kind: type[Event], payload: str) -> tuple[Event, tuple[str, ...]]:
    """As an older subscriber reads a newer event: fields that its class does not know are left out.

    >>> class Rung(Event):
    ...     floor: int
    >>> read_leniently(Rung, '{"floor": 2, "bell": "left"}')
    (Rung(floor=2), ('bell',))

    Returns:
        The event, and the paths of the fields that were left out.

    Raises:
        ValidationError: the rest does not fit.
    """
    read = reader_of(kind)
    left_out: list[str] = []
    while True:
        try:
            return read(payload), tuple(left_out)
        except ValidationError as error:
            fields = json.loads(payload)
            unknown = _unknown_to_all(fields, error)
            if not unknown:
                raise
            for path in unknown:
                _drop(fields, path)
            left_out += map(show_path, unknown)
            payload = json.dumps(fields)


Path = tuple[str | int, ...]


def _unknown_to_all(payload: Any, error: ValidationError) -> list[Path]:
    """The fields that no member of a union knows, where several members were tried."""
    said: dict[Path, dict[Path, set[str | int]]] = {}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        if each["type"] == "extra_forbidden":
            path, labels = locate(payload, each["loc"])
            said.setdefault(path[:-1], {}).setdefault(labels, set()).add(path[-1])
    return [
        (*parent, key)
        for parent, by_member in said.items()
        for key in sorted(set.intersection(*by_member.values()), key=str)
    ]


def locate(payload: Any, places: Iterable[str | int]) -> tuple[Path, Path]:
    """Where in a payload a place is that pydantic names, and its words for the members of unions on the way."""
    path: list[str | int] = []
    labels: list[str | int] = []
    for place in places:
        inside = place in payload if isinstance(payload, dict) else _is_index(payload, place)
        if inside:
            path.append(place)
            payload = payload[place]
        else:
            labels.append(place)
    return tuple(path), tuple(labels)


def _is_index(payload: Any, place: str | int) -> bool:
    return isinstance(payload, list) and isinstance(place, int) and place < len(payload)


def _drop(payload: Any, path: Path) -> None:
    for key in path[:-1]:
        payload = payload[key]
    del payload[path[-1]]


def show_path(path: Iterable[str | int]) -> str:
    """A field as a person writes it.

    >>> show_path(["lines", 2, "price"])
    'lines[2].price'
    """
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path).removeprefix(".")
