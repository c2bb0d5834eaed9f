"""Types with every kind of limit that pydantic knows, for the tests of examples and of strategies."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import ipaddress
import pathlib
import re
import uuid
from typing import Annotated, Any, Literal

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
)
from typing_extensions import TypedDict

from plugbook import Event


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


class Tree(Event):
    left: Tree | None
    right: Tree | Literal["leaf"]
    more: list[Tree]


class Endless(Event):
    next: Endless
