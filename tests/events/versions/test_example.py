"""The smallest example of a schema: valid for every limit that pydantic knows, and always the same."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import ipaddress
import json
import pathlib
import re
import uuid
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FileUrl,
    FutureDate,
    FutureDatetime,
    HttpUrl,
    Json,
    JsonValue,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    PostgresDsn,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    field_validator,
)
from typing_extensions import TypedDict

from plugbook import Event
from plugbook.errors import EventError
from plugbook.events.versions.example import example, example_event


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    barks: int = Field(gt=3)


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, str_min_length=3, str_max_length=3)
    name: str


class Row(TypedDict):
    a: int
    b: Annotated[str, Field(max_length=0)]


def limited(kind, **limits):
    return Annotated[kind, Field(**limits)]


DAY = dt.date(2031, 5, 6)
NOON = dt.datetime(2031, 5, 6, 12)  # noqa: DTZ001
TYPES = [
    None,
    bool,
    int,
    str,
    float,
    Any,
    JsonValue,
    int | str,
    None | int,
    limited(int, gt=3, lt=5),
    limited(int, lt=-3),
    limited(int, ge=1, multiple_of=7),
    limited(float, gt=3),
    limited(float, gt=3, lt=4),
    limited(float, lt=0),
    limited(float, ge=0.1, multiple_of=0.25),
    limited(float, gt=0, lt=1e-300),
    limited(str, min_length=2, max_length=2),
    limited(str, pattern=r"^[A-Z]{3}-\d{4}$"),
    limited(str, pattern=r"(foo|ba+r)\.?baz"),
    limited(str, pattern=r"^[^a-z]+$", min_length=5, max_length=5),
    limited(str, pattern=r"^\w+@\w+\.(com|org)$"),
    limited(str, pattern=r"^(a|bc)*$", min_length=7),
    limited(bytes, min_length=5),
    limited(list[int], min_length=2, max_length=2),
    limited(set[int], min_length=3),
    limited(set[bool], min_length=2),
    limited(set[Level], min_length=2),
    limited(set[uuid.UUID], min_length=3),
    limited(set[limited(float, ge=0, le=1)], min_length=3),
    limited(frozenset[limited(str, pattern="^[ab]+$")], min_length=3),
    limited(dict[str, int], min_length=2),
    limited(dict[int, int], min_length=2),
    limited(dict[dt.date, int], min_length=2),
    limited(dict[Colour, int], min_length=2),
    limited(dict[Literal["a", "b"], int], min_length=2),
    limited(dict[limited(str, pattern="^x+$"), int], min_length=2),
    tuple[int, str, None],
    tuple[int, ...],
    decimal.Decimal,
    limited(decimal.Decimal, gt=0, max_digits=5, decimal_places=2),
    limited(decimal.Decimal, gt=decimal.Decimal("0.1"), multiple_of=decimal.Decimal("0.03")),
    limited(decimal.Decimal, ge=1000, max_digits=4),
    dt.date,
    dt.datetime,
    dt.time,
    dt.timedelta,
    PastDate,
    FutureDate,
    PastDatetime,
    FutureDatetime,
    AwareDatetime,
    NaiveDatetime,
    limited(dt.date, gt=DAY),
    limited(dt.date, lt=dt.date(1990, 1, 1)),
    limited(dt.datetime, gt=NOON),
    limited(dt.datetime, gt=NOON.replace(tzinfo=dt.UTC)),
    limited(dt.time, gt=dt.time(10)),
    limited(dt.timedelta, gt=dt.timedelta(hours=1)),
    limited(dt.timedelta, lt=-dt.timedelta(hours=1)),
    uuid.UUID,
    Colour,
    Level,
    Literal["a", 1],
    AnyUrl,
    HttpUrl,
    FileUrl,
    PostgresDsn,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Interface,
    limited(set[ipaddress.IPv4Address], min_length=2),
    pathlib.Path,
    re.Pattern,
    complex,
    Json[int],
    SecretStr,
    Stripped,
    Row,
    Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, to_upper=True)],
    Annotated[Dog | Cat, Field(discriminator="kind")],
]


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


class Tree(Event):
    left: Tree | None
    right: Tree | Literal["leaf"]
    more: list[Tree]


class Endless(Event):
    next: Endless


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
