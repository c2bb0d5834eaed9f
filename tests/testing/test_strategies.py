"""Strategies from schemas: every draw is valid, none is thrown away, and the hard cases are all in it."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import subprocess
import sys
import uuid
from collections import Counter
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.statistics import collector
from pydantic import BaseModel, Field, TypeAdapter, create_model

from plugbook import Event
from plugbook.errors import EventError
from plugbook.events.versions.example import example_event
from plugbook.testing.strategies import events, from_schema
from tests.events.versions.limited_types import TYPES, Tree


def check_all(strategy, check, count=25):
    """Draw, and check each value; none may be rejected on the way.

    The engine cuts some draws short on purpose (`overrun`), to find small ones: that is not for us to count.
    """
    ended = Counter()

    def tell(stats):
        ended.update(case["status"] for case in stats["generate-phase"]["test-cases"])

    @settings(
        max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def draw(value):
        check(value)

    with collector.with_value(tell):
        draw()
    assert not ended["invalid"], ended


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_every_value_is_valid(kind):
    """Whatever is drawn for a type, pydantic reads as one, and nothing that is drawn is thrown away."""
    read = TypeAdapter(kind).validate_json
    check_all(from_schema(kind), lambda value: read(json.dumps(value)))


# -- any event --------------------------------------------------------------------------------------

numbers = st.integers(-1_000, 1_000)
steps = st.sampled_from([None, 1, 2, 7, 0.5, 0.1, 0.03])
sizes = st.tuples(st.integers(0, 4), st.none() | st.integers(0, 4))


@st.composite
def limited_numbers(draw, kind):
    """A number type with limits that leave something."""
    low, width, step = draw(numbers), draw(st.integers(20, 1_000)), draw(steps)
    step = None if step is None else max(1, int(step)) if kind is int else step
    names = draw(st.sampled_from([("ge", "le"), ("gt", "lt"), ("ge", "lt")]))
    kept = dict(zip(names, (low, low + width), strict=True))
    dropped = draw(st.sampled_from([*names, None]))
    return Annotated[kind, Field(**{k: v for k, v in kept.items() if k != dropped}, multiple_of=step)]


@st.composite
def limited_sizes(draw, kind):
    least, more = draw(sizes)
    return Annotated[kind, Field(min_length=least, max_length=None if more is None else least + more)]


decimals = st.builds(
    lambda whole, places: Annotated[decimal.Decimal, Field(max_digits=whole + places, decimal_places=places)],
    st.integers(1, 6),
    st.integers(0, 6),
)
patterns = st.sampled_from(
    [r"^[A-Z]{3}-\d{4}$", r"^\w+$", r"a|b", r"^(ab?)+$", r"\.\$", r"^[^ ]*$", r"\S", r"^.{2,5}$", r"^x{2}\\$"]
).map(lambda pattern: Annotated[str, Field(pattern=pattern)])
simple = st.one_of(
    st.sampled_from(
        [bool, str, int, float, bytes, uuid.UUID, dt.date, dt.datetime, dt.timedelta, type(None)]
    ),
    st.sampled_from([Literal["a", "b"], Literal[1, "one"], Any]),
    limited_numbers(int),
    limited_numbers(float),
    limited_sizes(str),
    limited_sizes(bytes),
    decimals,
    patterns,
)


class Left(BaseModel):
    side: Literal["left"] = "left"
    turns: Annotated[int, Field(multiple_of=3, gt=10)]


class Right(BaseModel):
    side: Literal["right"] = "right"


composed = st.recursive(
    simple | st.just(Annotated[Left | Right, Field(discriminator="side")]),
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),
        inner.flatmap(lambda kind: limited_sizes(list[kind])),
        inner.map(lambda kind: dict[str, kind]),
        inner.map(lambda kind: dict[int, kind]),
        st.tuples(inner, inner).map(lambda kinds: tuple[kinds]),
        st.tuples(inner, inner).map(
            lambda kinds: kinds[0] | kinds[1] if kinds[0] is not kinds[1] else kinds[0]
        ),
        inner.map(lambda kind: create_model("Part", part=(kind, ...))),
    ),
    max_leaves=4,
)
event_types = st.dictionaries(st.sampled_from("abcd"), st.tuples(composed, st.booleans()), max_size=4).map(
    lambda fields: create_model(
        "Made",
        __base__=Event,
        **{name: (kind, ... if needed else None) for name, (kind, needed) in fields.items()},
    )
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=event_types, data=st.data())
def test_events_of_any_type_are_valid(kind, data):
    """Whatever fields an event has, and within whatever limits, what is drawn and the example are such events."""
    assert type(example_event(kind)) is kind
    event = data.draw(events(kind))
    assert type(event) is kind


# -- what is drawn ------------------------------------------------------------------------------------


class Order(Event):
    """An order, for the tests of fixed fields."""

    number: Annotated[int, Field(ge=1)]
    currency: str = "EUR"
    placed: dt.date = Field(alias="placedOn")


def test_both_members_of_a_tagged_union_are_drawn():
    """A union that is told apart by a tag is drawn in each of its forms, tag and limits included."""
    drawn = from_schema(Annotated[Left | Right, Field(discriminator="side")])
    assert find(drawn, lambda value: value["side"] == "left") == {"side": "left", "turns": 12}
    assert find(drawn, lambda value: value["side"] == "right") == {"side": "right"}


def test_what_holds_its_like_is_drawn_nested():
    """A recursive type is drawn with others inside of it, and they end."""
    tree = find(events(Tree), lambda tree: tree.left is not None and tree.left.left is None)
    assert tree.left is not None
    check_all(events(Tree), lambda tree: None, count=100)


@settings(max_examples=20)
@given(order=events(Order, currency=st.sampled_from(["USD", "CHF"]), placed=dt.date(2031, 5, 6)))
def test_fields_can_be_fixed(order):
    """A field that is given is as it was given, as a value or a strategy; the others are drawn."""
    assert order.currency in ("USD", "CHF")
    assert order.placed == dt.date(2031, 5, 6)
    assert order.number >= 1


def test_fields_that_may_be_left_out_are_drawn_both_ways():
    """An optional field is drawn sometimes, and left out sometimes."""
    assert find(events(Order), lambda order: "currency" in order.model_fields_set)
    assert find(events(Order), lambda order: "currency" not in order.model_fields_set)


def test_a_misspelt_field_is_named():
    """A fixed field that the event does not have is refused, with the name that was meant."""
    with pytest.raises(EventError, match="Did you mean 'currency'"):
        events(Order, curency="USD")


def test_what_is_no_event_class_and_no_type_is_refused():
    """Both are said in words when the strategy is made, and not by what draws from it."""
    with pytest.raises(EventError, match=r"as in events\(OrderPlaced\), and not 'order.placed'"):
        events("order.placed")
    with pytest.raises(EventError, match=r"no type 'strng'\. Did you mean 'string'"):
        from_schema({"type": "object", "properties": {"a": {"type": "strng"}}, "required": ["a"]})


def test_a_schema_that_nothing_fits_is_refused_at_once():
    """What no value fits is said when the strategy is made, not when a test draws."""
    with pytest.raises(EventError, match="count: no number is within"):
        from_schema(
            {"type": "object", "required": ["count"], "properties": {"count": {"minimum": 2, "maximum": 1}}}
        )


def test_without_hypothesis_the_install_command_is_named():
    """Where hypothesis is not installed, the error says how to get it."""
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try: import plugbook.testing.strategies\n"
        "except ImportError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'plugbook[testing]'" in told
