"""The smallest example of a schema: valid for every limit that pydantic knows, and always the same."""

from __future__ import annotations

import json
import re
from typing import Annotated

import pytest
from pydantic import (
    Field,
    TypeAdapter,
    field_validator,
)

from plugbook import Event
from plugbook.errors import EventError
from plugbook.events.versions.example import example, example_event
from tests.events.versions.limited_types import TYPES, Cat, Dog, Endless, Tree


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_an_example_is_valid(kind):
    """What is given as an example of a type, pydantic reads as one; and it is given again."""
    adapter = TypeAdapter(kind)
    adapter.validate_json(json.dumps(example(kind)))
    assert example(kind) == example(kind)


def test_an_example_is_small():
    """Fields that may be left out are left out, lists are empty, and numbers are zero."""

    class Basket(Event):
        owner: str
        lines: list[int]
        total: float
        note: str = "none"

    assert example(Basket) == {"owner": "", "lines": [], "total": 0.0}


def test_the_tag_of_a_union_is_given():
    """A discriminator is there although it has a default."""
    assert example(Annotated[Dog | Cat, Field(discriminator="kind")]) == {"kind": "dog", "barks": 4}


def test_what_holds_its_like_ends_as_soon_as_it_can():
    """Of a recursive type, the members are taken that lead out of it."""
    assert example(Tree) == {"left": None, "right": "leaf", "more": []}
    assert example_event(Tree) == Tree(left=None, right="leaf", more=[])


def test_what_never_ends_is_refused():
    """A type that can only hold itself has no example, and the message says so."""
    with pytest.raises(EventError, match=r"no example of Endless: .* without an end"):
        example_event(Endless)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "a: no value fits"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, "no text that matches"),
        ({"type": "string", "pattern": r"\p{L}"}, "Python cannot read its pattern"),
        ({"type": "string", "minLength": 2, "maxLength": 1}, "no text was found"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no number is within"),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1}, "no number is within"),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True}, "3 different"),
        ({"allOf": [{"minimum": 1, "type": "integer"}, {"minimum": 2}]}, "allOf"),
    ],
)
def test_what_has_no_example_is_named(schema, told):
    """Where nothing fits, or nothing is found, the error names the field and the reason."""
    with pytest.raises(EventError, match=told):
        example(schema)


def test_a_check_that_the_schema_does_not_tell_is_named():
    """Where a validator refuses the example, the error names the field and says what to do."""

    class Picky(Event):
        word: str

        @field_validator("word")
        @classmethod
        def check(cls, word: str) -> str:
            raise ValueError

    with pytest.raises(EventError, match=r"no example of Picky: of word, .* Write one: Picky\(\.\.\.\)"):
        example_event(Picky)


def test_what_json_cannot_hold_is_refused():
    """An event that has no JSON Schema is refused with its name."""

    class Held(Event, arbitrary_types_allowed=True):
        found: re.Match

    with pytest.raises(EventError, match="Held"):
        example_event(Held)
