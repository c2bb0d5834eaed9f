"""Compatibility: what is named, and that 'compatible' means that old subscribers can read every new event."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, computed_field, create_model

from plugbook import Host, open_recording
from plugbook.events.event import Event
from plugbook.events.versions.compatibility import check_compatibility, check_recordings, outline
from plugbook.events.versions.reading import read_leniently


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class MoreSizes(enum.Enum):
    SMALL = "s"
    LARGE = "l"
    HUGE = "xl"


class Line(BaseModel):
    price: float
    note: str | None = None


class LineToday(BaseModel):
    price: str
    note: str | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    weight: float


class HeavyDog(BaseModel):
    kind: Literal["dog"]


class Tree(BaseModel):
    left: Tree | None = None
    value: int


class WideTree(BaseModel):
    left: WideTree | None = None
    value: float


def event(**types: Any) -> type[Event]:
    """An event class with fields of these types; a tuple gives the default, too."""
    given = {name: each if isinstance(each, tuple) else (each, ...) for name, each in types.items()}
    made: Any = create_model("Made", __base__=Event, **given)
    return made


@pytest.mark.parametrize(
    ("old", "new", "breaking", "upcasting"),
    [
        (event(a=int), event(a=int), [], []),
        (event(a=int), event(a=int, b=(int, 0)), [], []),
        (event(a=int), event(a=int, b=int), [], ["b: added, always there"]),
        (event(a=int, b=str), event(b=str), ["a: removed"], []),
        (event(a=int, b=(str, "")), event(a=int), [], []),
        (event(a=int), event(c=int), ["a: removed (renamed to c?)"], ["c: added, always there"]),
        (event(a=int), event(a=str), ["a: was integer, is now string"], ["a: was integer, is now string"]),
        (event(a=int), event(a=float), ["a: was integer, is now number"], []),
        (event(a=float), event(a=int), [], ["a: was number, is now integer"]),
        (event(a=(int, 0)), event(a=int), [], ["a: made required"]),
        (event(a=int), event(a=(int, 0)), ["a: made optional"], []),
        (event(a=int), event(a=int | None), ["a: may now also be null"], []),
        (event(a=int | None), event(a=int), [], ["a: is never null any more"]),
        (event(a=Size), event(a=MoreSizes), ['a: may now also be "xl"'], []),
        (event(a=MoreSizes), event(a=Size), [], ['a: is never "xl" any more']),
        (event(a=Literal["x"]), event(a=str), ['a: was "x", is now string'], []),
        (event(a=str), event(a=Literal["x"]), [], ['a: was string, is now "x"']),
        (event(a=list[Line]), event(a=list[LineToday]), ["a[].price: was number, is now string"], ["a[].price: was number, is now string"]),
        (event(a=list[int]), event(a=dict[str, int]), ["a: was a list, is now object"], ["a: was a list, is now object"]),
        (event(a=dict[str, int]), event(a=dict[str, float]), ["a.*: was integer, is now number"], []),
        (event(a=tuple[int, str]), event(a=tuple[int, int]), ["a[1]: was string, is now integer"], ["a[1]: was string, is now integer"]),
        (event(a=Cat | Dog), event(a=Cat | HeavyDog), ["a.weight: removed"], []),
        (event(a=Cat), event(a=Cat | Dog), ["a: may now also be an object with kind, weight"], []),
        (event(a=Cat | Dog), event(a=Cat), [], ["a: is never an object with kind, weight any more"]),
        (event(a=Tree), event(a=WideTree), ["a.value: was integer, is now number"], []),
        (event(a=Tree), event(a=Tree), [], []),
        (event(a=Annotated[int, Field(ge=0)]), event(a=Annotated[int, Field(ge=-1)]), ["a: minimum was 0, is now -1"], []),
        (event(a=Annotated[int, Field(gt=0)]), event(a=Annotated[int, Field(ge=1)]), [], ["a: exclusiveMinimum was 0, is now not set, minimum was not set, is now 1"]),
        (event(a=Annotated[str, Field(max_length=3)]), event(a=Annotated[str, Field(max_length=4)]), ["a: maxLength was 3, is now 4"], []),
        (event(a=Annotated[str, Field(pattern="a+")]), event(a=str), ['a: pattern was "a+", is now not set'], []),
        (event(a=dt.datetime), event(a=str), ['a: format was "date-time", is now not set'], []),
        (event(a=set[int]), event(a=list[int]), ["a: uniqueItems was true, is now not set"], []),
        (event(a=Any), event(a=int), [], ["a: was anything, is now integer"]),
    ],
)  # fmt: skip
def test_what_changed_is_named_by_field(old, new, breaking, upcasting):
    """Each change that keeps old subscribers from reading, or that old events need an upcaster for, has its path."""
    found = check_compatibility(old, new)
    assert [f"{each.path}: {each.told}" for each in found.breaking] == breaking
    assert [f"{each.path}: {each.told}" for each in found.needing_upcaster] == upcasting
    assert bool(found) == (not breaking)


def test_the_answer_reads_as_sentences():
    """One line says whether it is compatible, and each further one names a field."""
    old, new = event(a=int, gone=(str, "")), event(a=int, b=(int, 0))
    assert str(check_compatibility(old, new)).splitlines() == [
        "compatible: old subscribers can read new events",
        "  gone: removed",
        "  b: added, optional",
    ]
    assert str(check_compatibility(old, old)) == "compatible: nothing has changed"


def test_an_outline_names_each_field():
    """Its type in a few words, and whether it may be left out."""
    found = outline(event(a=int, b=(list[Line], ()), c=Size, d=Line | None).model_json_schema())
    assert found == [
        "a: integer",
        "b: a list, optional",
        'c: "s" or "l"',
        "d: an object with price, note or null",
    ]


def test_computed_fields_are_nobodys_need():
    """A field that the class computes may come and go."""

    class Square(Event, topic="test.square"):
        side: int

        @computed_field
        @property
        def area(self) -> int:
            return self.side**2

    assert check_compatibility(Square, event(side=int))
    assert check_compatibility(event(side=int), Square)
    assert not check_compatibility(event(side=int, area=int), Square)


def test_what_cannot_be_judged_counts_as_breaking():
    """Keywords that the check does not know have to be the same."""
    old = {"type": "object", "properties": {"a": {"type": "string", "not": {"const": "x"}}}}
    new = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert [each.path for each in check_compatibility(old, new).breaking] == ["a"]
    assert check_compatibility(new, old)
    assert check_compatibility(old, old)


def test_references_that_lead_nowhere_or_in_a_circle_end():
    """A ``$ref`` that cannot be followed is the same as one of the same name alone."""
    lost = {"properties": {"a": {"$ref": "#/$defs/Gone"}}, "type": "object"}
    circle = {
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"$ref": "#/$defs/A"}},
        "type": "object",
    }
    assert check_compatibility(lost, lost)
    assert check_compatibility(circle, circle)
    assert not check_compatibility(lost, {"properties": {"a": {"type": "string"}}, "type": "object"})


def test_two_recordings_are_compared_by_their_schemas(tmp_path):
    """What each published is compared without its code, the newest version of each topic."""

    class First(Event, topic="test.compared"):
        n: int

    class Second(Event, topic="test.compared", version=2):
        n: str

    for name, made in (("old", [First(n=1)]), ("new", [First(n=1), Second(n="a")])):
        with Host() as host, host.record(tmp_path / f"{name}.plugbook"):
            for each in made:
                host.publish(each)
    with open_recording(tmp_path / "old.plugbook") as old, open_recording(tmp_path / "new.plugbook") as new:
        found = check_recordings(old, new)
    assert list(found) == ["test.compared"]
    assert [each.path for each in found["test.compared"].breaking] == ["n"]


SIMPLE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats()),
    (str, st.text()),
    (bool, st.booleans()),
    (Size, st.sampled_from(Size)),
    (MoreSizes, st.sampled_from(MoreSizes)),
    (dt.date, st.dates()),
    (Literal["s", 1], st.sampled_from(["s", 1])),
    (Annotated[int, Field(ge=0, lt=9)], st.integers(0, 8)),
    (Annotated[str, Field(min_length=1)], st.text(min_size=1)),
    (Any, st.none() | st.integers() | st.text()),
]
types = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: st.one_of(
        inner.map(lambda one: (list[one[0]], st.lists(one[1], max_size=2))),  # type: ignore[name-defined]
        inner.map(lambda one: (set[str], st.sets(st.text(), max_size=2))),
        inner.map(lambda one: (dict[str, one[0]], st.dictionaries(st.text(), one[1], max_size=2))),  # type: ignore[name-defined]
        inner.map(lambda one: (one[0] | None, st.none() | one[1])),
        st.tuples(inner, inner).map(lambda two: (two[0][0] | two[1][0] if isinstance(two[0][0], type) else two[0][0], two[0][1])),
        st.dictionaries(st.sampled_from("abc"), st.tuples(inner, st.booleans()), max_size=3).map(lambda fields: model(BaseModel, fields)),
    ),
    max_leaves=4,
)  # fmt: skip
fields = st.dictionaries(st.sampled_from("abcd"), st.tuples(types, st.booleans()), max_size=4)


def model(base: type[BaseModel], given: dict[str, Any]) -> tuple[Any, st.SearchStrategy[Any]]:
    """A model with these fields, required or not, and its instances."""
    made: Any = create_model(
        "Model",
        __base__=base,
        **{name: (each[0], ...) if required else (each[0] | None if isinstance(each[0], type) else Any, None) for name, (each, required) in given.items()},
    )  # fmt: skip
    needed = {name: each[1] for name, (each, required) in given.items() if required}
    return made, st.builds(made, **needed)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(old=fields, new=fields, data=st.data())
def test_compatible_means_that_old_subscribers_can_read(old, new, data):
    """Where nothing breaks, every new event is read by the old class without what that does not know.

    A field that is gone or has become another type is named.
    """
    reader, _ = model(Event, old)
    writer, instances = model(Event, new)
    found = check_compatibility(reader, writer)
    named = {each.path for each in found.changes}
    assert set(old) - set(new) <= named
    assert set(new) - set(old) <= named
    for name in old.keys() & new.keys():
        simple = [kind for kind in (int, str, bool) if kind in (old[name][0][0], new[name][0][0])]
        if len(simple) == 2:
            assert name in named
    if found:
        event = data.draw(instances)
        read_leniently(reader, event.__plugbook_json__())


@given(same=fields)
def test_a_schema_is_compatible_with_itself(same):
    """No change, in either direction, where there is none."""
    made, _ = model(Event, same)
    assert check_compatibility(made, made).changes == ()
