"""Tests of event classes: their keywords, their payloads, and what a recording keeps of them."""

import contextlib
import datetime as dt
import enum
import inspect
import json
import math
import uuid
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
    field_serializer,
    model_validator,
)

from plugbook.errors import EventError
from plugbook.events.event import Event, EventSchema, is_deeply_frozen
from plugbook.events.topics import check_topic

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


class Frozen(BaseModel, frozen=True):
    x: int = 0


class Mutable(BaseModel):
    x: int = 0


class Tree(Event):
    left: Optional["Tree"] = None
    right: Optional["Tree"] = None


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("OrderPlaced", "order.placed"),
        ("HTTPServerUp", "http.server.up"),
        ("Order2Placed", "order.2.placed"),
        ("snake_case", "snake.case"),
        ("X", "x"),
        ("_", "event"),
        ("Überweisung", "überweisung"),
    ],
)
def test_a_topic_is_made_of_the_words_of_the_class_name(name, topic):
    """Without topic= the words of the class name are the topic."""
    assert type(name, (Event,), {}).__topic__ == topic


@given(st.from_regex(r"[^\W\d]\w{0,9}", fullmatch=True))
@example("İ")
@example("İİA")
def test_every_class_name_makes_a_topic(name):
    """Whatever the class is called, its topic is well formed."""
    kind = type(name, (Event,), {"__module__": __name__})
    assert check_topic(kind.__topic__)


def test_topic_and_version_are_not_inherited():
    """A subclass is an event type of its own, with a topic and a version of its own."""

    class Base(Event, topic="base", version=3):
        pass

    class Special(Base):
        pass

    assert (Base.__topic__, Base.__version__) == ("base", 3)
    assert (Special.__topic__, Special.__version__) == ("special", 1)


def test_a_generic_event_keeps_its_topic_when_its_parameters_are_filled_in():
    """`Box[int]` is published under the topic of `Box`."""

    class Box(Event, Generic[T], topic="a.box", version=2):
        content: T

    assert (Box[int].__topic__, Box[int].__version__) == ("a.box", 2)
    assert Box[int](content=1).__plugbook_json__() == '{"content":1}'


def test_a_mixin_gets_its_class_keywords():
    """Class keywords of a mixin reach the mixin, on either side of Event."""
    seen = []

    class Before:
        def __init_subclass__(cls, flavour="", **keywords):
            super().__init_subclass__(**keywords)
            seen.append(flavour)

    class After:
        def __init_subclass__(cls):
            seen.append("after")

    class Flavoured(Before, Event, After, flavour="mint", topic="x"):
        pass

    assert Flavoured.__topic__ == "x"
    assert sorted(seen) == ["after", "mint"]


keywords = st.dictionaries(
    st.sampled_from(["topic", "version", "title", "frozen", "extra", "topik", "strict"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 5),
        st.floats(),
        st.text(max_size=6),
        st.binary(max_size=3),
        st.just("a.b"),
        st.just([]),
    ),
    max_size=3,
)


@given(keywords)
def test_class_keywords_work_or_are_explained(options):
    """Whatever class keywords are given, there is an event type, or an error that names the class."""
    try:
        kind = type(Event)("Fuzzed", (Event,), {"__module__": __name__}, **options)
    except Exception as error:
        refused = error
    else:
        refused = None
    if refused is None:
        assert check_topic(kind.__topic__)
        assert kind.__version__ >= 1
    elif isinstance(refused, EventError):
        assert "Fuzzed" in str(refused)
    else:  # pydantic's own options are pydantic's to refuse
        assert set(options) & {"title", "frozen", "extra", "strict"}, refused


def test_an_unknown_class_keyword_is_refused():
    """A misspelt class keyword is an error that says which there are."""
    with pytest.raises(EventError, match=r"'topik'.*topic=, version="):

        class Wrong(Event, topik="x"):
            pass


def test_an_event_cannot_be_changed():
    """Fields of an event cannot be set, and unknown ones are refused."""

    class Placed(Event):
        n: int

    with pytest.raises(ValidationError, match="frozen"):
        Placed(n=1).n = 2
    with pytest.raises(ValidationError, match="Extra inputs"):
        Placed(n=1, m=2)


@pytest.mark.parametrize(
    ("annotation", "is_frozen"),
    [
        (int, True),
        (str | None, True),
        (tuple[int, ...], True),
        (frozenset[str], True),
        (Literal["a", 3], True),
        (Annotated[int, Field(gt=0)], True),
        (Decimal, True),
        (dt.datetime, True),
        (uuid.UUID, True),
        (Colour, True),
        (SecretStr, True),
        (Frozen, True),
        (tuple[Frozen, str], True),
        (Mutable, False),
        (list[int], False),
        (tuple[list[int], ...], False),
        (dict[str, int], False),
        (Any, False),
        (object, False),
        (T, False),
    ],
)
def test_deep_frozenness_is_seen_from_the_annotations(annotation, is_frozen):
    """Only a type whose values cannot change anywhere is taken to be frozen."""
    kind = create_model("Kind", __base__=Event, field=(annotation, ...))
    assert is_deeply_frozen(kind) is is_frozen


def test_a_recursive_event_can_be_frozen():
    """An event type that contains itself is looked at once."""
    Tree.model_rebuild()
    assert is_deeply_frozen(Tree)
    assert Tree(left=Tree()).__plugbook_json__() == '{"left":{"left":null,"right":null},"right":null}'


def test_an_event_with_extra_fields_is_not_frozen():
    """Extra fields have no annotation that could be looked at."""

    class Loose(Event):
        model_config = ConfigDict(extra="allow")

    assert not is_deeply_frozen(Loose)


def test_secrets_do_not_reach_the_payload():
    """A SecretStr is masked, where pydantic writes it and where plugbook has to."""

    class Login(Event):
        password: SecretStr
        loop: list[Any]

    login = Login(password=SecretStr("hunter2"), loop=[])
    assert "hunter2" not in login.__plugbook_json__()
    login.loop.append(login.loop)
    assert "hunter2" not in login.__plugbook_json__()


def test_a_payload_that_pydantic_cannot_write_is_outlined():
    """A serialiser that raises, a field that holds its own event, half a surrogate pair: there is JSON still."""

    class Broken(Event):
        x: int = 1
        anything: Any = None

        @field_serializer("x")
        def fail(self, value):
            raise RuntimeError("no")

    holder = []
    broken = Broken(anything=holder)
    holder.append(broken)
    assert json.loads(broken.__plugbook_json__())
    assert json.loads(Tree.model_construct(left="\ud800").__plugbook_json__())


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


class Anything(Event):
    value: Any = None
    number: float = 0.0
    data: bytes = b""


@settings(max_examples=10_000)
@given(values, st.floats(), st.binary(), st.sampled_from([None, object(), {1, 2}, Colour.RED, print, Event]))
def test_any_payload_has_json(value, number, data, odd):
    """Whatever the fields hold, the payload is valid JSON: ten thousand of them."""
    event = Anything(value=[value, odd], number=number, data=data)
    assert isinstance(json.loads(event.__plugbook_json__()), dict)


@given(st.floats(), st.binary())
def test_bytes_and_numbers_come_back_from_json(number, data):
    """What was recorded validates again, to the same event."""
    text = Anything(number=number, data=data).__plugbook_json__()
    back = Anything.model_validate_json(text)
    assert back.data == data
    assert back.number == number or (math.isnan(back.number) and math.isnan(number))


@given(st.dictionaries(st.sampled_from(["value", "number", "data", "other"]), values, max_size=4))
def test_a_payload_validates_or_is_refused_by_pydantic(fields):
    """Whatever is given to an event class makes an event or a ValidationError."""
    with contextlib.suppress(ValidationError):
        assert Anything(**fields).__plugbook_json__()


def test_a_schema_is_kept_of_every_event_type():
    """The recording says what events look like, also where a default or a field has no JSON form."""

    class Odd(Event):
        default: Any = object()

    class Odder(Event):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        thread: type(iter([]))

    assert json.loads(EventSchema(Tree).__plugbook_json__())
    assert "default" in json.loads(EventSchema(Odd).__plugbook_json__())["properties"]
    assert "no JSON Schema" in json.loads(EventSchema(Odder).__plugbook_json__())["description"]


def test_fields_without_names_are_refused_with_what_to_write():
    """An event made as Tick(3) says that fields have names, and how it is written."""

    class Tick(Event):
        n: int
        unit: str
        loud: bool = False

    with pytest.raises(EventError, match=r"write Tick\(n=3, unit=\.\.\.\)"):
        Tick(3)
    with pytest.raises(EventError, match=r"write Tock\(\)"):
        type("Tock", (Event,), {})(3)


def test_an_event_is_made_as_fast_as_any_model():
    """Nothing stands between pydantic's validation and the fields: not in Python, and not when it is nested."""

    class Tick(Event):
        n: int

    assert Tick.__pydantic_custom_init__ is False
    assert list(inspect.signature(Tick).parameters) == ["n"]
    assert Tick.model_validate({"n": 1}) == Tick(n=1)


def test_a_validator_that_returns_another_object_is_refused():
    """An event that a validator of it replaced would be empty, which is said at once."""

    class Tick(Event):
        n: int

        @model_validator(mode="after")
        def another(self) -> Any:
            return Frozen()

    with pytest.raises(EventError, match="return self"):
        Tick(n=1)
