"""Events made of JSON text: by name, without computed fields, and leniently."""

from __future__ import annotations

import gc
import weakref
from typing import Literal

import pydantic
import pytest
from pydantic import BaseModel, Field, ValidationError, computed_field

from plugbook.events.event import Event
from plugbook.events.versions.reading import read_leniently, reader_of, show_path


class Inner(BaseModel, frozen=True):
    long_name: int = Field(alias="longName")


class Outer(Event, topic="test.outer"):
    inner: Inner
    label: str = Field("x", alias="theLabel")

    @computed_field
    @property
    def size(self) -> int:
        return 7


class Round(BaseModel, extra="forbid"):
    kind: Literal["round"] = "round"
    radius: float


class Square(BaseModel, extra="forbid"):
    side: float


class Drawn(Event, topic="test.drawn"):
    shapes: list[Round | Square]


@pytest.mark.skipif(
    pydantic.VERSION < "2.11", reason="before 2.11 pydantic reads nested aliases by alias alone"
)
def test_fields_are_read_by_name_at_any_depth():
    """What an event wrote by name is read again although its fields have aliases."""
    event = Outer(inner={"longName": 1}, theLabel="y")
    assert reader_of(Outer)(event.__plugbook_json__()) == event


def test_fields_that_the_class_does_not_know_are_left_out():
    """Also inside of lists and unions, where only what no member knows is unknown."""
    text = '{"shapes":[{"radius":1,"colour":"red"},{"side":2,"colour":"blue","x":1}],"at":3}'
    event, left_out = read_leniently(Drawn, text)
    assert event == Drawn(shapes=[Round(radius=1), Square(side=2)])
    assert left_out == ("shapes[0].colour", "shapes[1].colour", "shapes[1].x", "at")


def test_the_rest_has_to_fit():
    """Leniency is for fields that are not known, not for values that do not fit."""
    with pytest.raises(ValidationError, match="radius"):
        read_leniently(Drawn, '{"shapes":[{"radius":"wide","colour":1}]}')


def test_what_is_no_object_is_refused_by_pydantic():
    """A list in the place of the fields is an error, also where fields would be computed."""
    for kind in (Outer, Drawn):
        with pytest.raises(ValidationError):
            reader_of(kind)("[1]")


def test_a_class_that_was_read_is_not_kept():
    """Reading leaves nothing that would keep the class of an unloaded plugin alive."""

    class Gone(Event, topic="test.gone"):
        n: int

    reader_of(Gone)('{"n":1}')
    read_leniently(Gone, '{"n":1,"m":2}')
    kept = weakref.ref(Gone)
    del Gone
    gc.collect()
    assert kept() is None


def test_a_path_is_shown_as_a_person_writes_it():
    """Names are joined by dots, and places in lists stand in brackets."""
    assert show_path(()) == ""
    assert show_path(["a", 0, 1, "b"]) == "a[0][1].b"
