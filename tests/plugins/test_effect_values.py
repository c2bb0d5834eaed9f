"""Results and errors of effects, as JSON and back again."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from plugbook.errors import EffectReplayError, RecordedError
from plugbook.plugins.effects.function import Functions
from plugbook.plugins.effects.values import describe_raised, raised_by, read, written


class Colour(enum.Enum):
    RED = "red"


class Rate(BaseModel):
    currency: str
    value: Decimal = Field(alias="v")


@dataclass
class Point:
    x: int
    y: float


class Pair(NamedTuple):
    left: int
    right: str


class OddError(Exception):
    def __init__(self, code: int, *, hint: str):
        super().__init__(f"odd {code}")
        self.code, self.hint = code, hint


ANNOTATED = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    str: st.text(),
    bytes: st.binary(),
    type(None): st.none(),
    dt.datetime: st.datetimes(),
    dt.timedelta: st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
    uuid.UUID: st.uuids(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    Colour: st.just(Colour.RED),
    Point: st.builds(Point, st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    Rate: st.builds(Rate, currency=st.text(), v=st.decimals(allow_nan=False, allow_infinity=False)),
    Pair: st.builds(Pair, st.integers(), st.text()),
    list[Point | None]: st.lists(
        st.none() | st.builds(Point, st.integers(), st.floats(allow_nan=False, allow_infinity=False))
    ),
    tuple[int, str]: st.tuples(st.integers(), st.text()),
    dict[int, bytes]: st.dictionaries(st.integers(), st.binary()),
    frozenset[uuid.UUID]: st.frozensets(st.uuids()),
}


def returning(annotation: Any):
    def f() -> Any:
        """What is called does not matter here."""

    if annotation is not None:
        f.__annotations__["return"] = annotation
    return f


def adapter_of(f):
    """What writes the results of a function, as its annotations say."""
    return Functions().of(f).adapter


@st.composite
def annotated(draw):
    kind = draw(st.sampled_from(list(ANNOTATED)))
    return kind, draw(ANNOTATED[kind])


@given(annotated())
def test_an_annotated_result_comes_back_as_it_was(pair):
    """What a function is annotated to return is JSON in between, and equal and of the same type afterwards."""
    annotation, value = pair
    adapter = adapter_of(returning(annotation))
    text, remark = written(adapter, value)
    json.loads(text)
    back = read(adapter, "f", text)
    assert remark == ""
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_does_not_have_is_said_to_be_lost(number):
    """Infinity is not written as null: the remark says that a replay cannot give it back."""
    text, remark = written(adapter_of(returning(Point)), Point(0, number))
    assert "$lost" in text
    assert "has no JSON form" in remark


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_plain_data_needs_no_annotation(value):
    """Text, numbers, lists and dicts come back equal from any function."""
    for adapter in (adapter_of(lambda: value), adapter_of(returning(Any))):
        assert read(adapter, "f", written(adapter, value)[0]) == value


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (Point(1, 2.0), {"x": 1, "y": 2.0}),
        (Rate(currency="USD", v=Decimal("1.5")), {"currency": "USD", "value": "1.5"}),
        ((1, "two"), [1, "two"]),
        (Colour.RED, "red"),
        ({3}, [3]),
        (PurePosixPath("a"), "a"),
    ],
)
def test_without_an_annotation_a_result_comes_back_as_plain_data(value, back):
    """What is no plain data comes back as such, and the remark of its record says so."""
    text, remark = written(None, value)
    assert read(None, "f", text) == back
    assert "a replay gives plain JSON data back, not" in remark


@pytest.mark.parametrize("value", [object(), math.nan, b"\xff", lambda: 1, iter(()), [object()]])
def test_what_has_no_json_form_is_refused_when_it_is_asked_back(value):
    """The error of the replay names the effect and the type, and says what to return instead."""
    text, remark = written(None, value)
    assert "has no JSON form" in remark
    with pytest.raises(EffectReplayError, match=r"effect fetch cannot be given back.*has no JSON form"):
        read(None, "fetch", text)


def test_a_result_that_is_not_what_the_annotation_says_is_recorded_all_the_same():
    """A function may return something else than it says: plain data then, if it has such a form."""
    adapter = adapter_of(returning(int))
    text, _ = written(adapter, {"a": 1})
    assert json.loads(text) == {"a": 1}
    with pytest.raises(EffectReplayError, match="does not fit what the function returns now"):
        read(adapter, "f", text)


def test_an_annotation_that_means_nothing_to_pydantic_is_as_none():
    """Classes of one's own, and names that cannot be resolved, change nothing."""

    class Mine:
        pass

    def unknown() -> Nowhere:  # noqa: F821
        """Its annotation cannot be looked up."""

    for adapter in (adapter_of(returning(Mine)), adapter_of(unknown)):
        assert read(adapter, "f", written(adapter, [1])[0]) == [1]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no", 3),
        KeyError("k"),
        ConnectionRefusedError(111, "refused"),
        FileNotFoundError(2, "missing", "a.txt"),
        OddError(4, hint="try 5"),
        json.JSONDecodeError("bad", "{", 1),
        EffectReplayError("x"),
    ],
)
def test_a_known_error_is_raised_again_as_it_was(error):
    """Type, arguments and scalar attributes come back from JSON, and no __init__ of somebody's is called."""
    again = raised_by(json.loads(json.dumps(describe_raised(error))))
    assert type(again) is type(error)
    assert (again.args, str(again), vars(again)) == (error.args, str(error), vars(error))
    assert getattr(again, "errno", None) == getattr(error, "errno", None)


def test_an_unknown_error_is_told_by_type_and_message():
    """A type that is local, gone, no error or cannot be made again becomes a RecordedError."""

    class LocalError(Exception):
        pass

    described = describe_raised(LocalError("no"))
    again = raised_by(described)
    assert isinstance(again, RecordedError)
    assert str(again).endswith("LocalError: no")
    for module, name in (("gone", "Error"), ("json", "dumps"), ("os", "_exit"), ("builtins", "SystemExit")):
        made = raised_by({"type": name, "module": module, "message": "m", "args": [1]})
        assert (type(made), str(made)) == (RecordedError, f"{name}: m")
    broken = raised_by({"type": "UnicodeDecodeError", "module": "builtins", "message": "m"})
    assert isinstance(broken, RecordedError)
