"""The registry of schemas: what is refused, in which words, and what stands in for a class."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from plugbook import Host
from plugbook.errors import PayloadError, SchemaError, UnknownNameError
from plugbook.events.event import Event
from plugbook.events.versions.known import stand_in
from plugbook.events.versions.schemas import Schemas

LINE = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
PARCEL = {
    "title": "ParcelSent",
    "type": "object",
    "properties": {
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "maxItems": 3},
        "way": {"enum": ["air", "sea"]},
        "note": {"anyOf": [{"type": "string", "minLength": 2}, {"type": "null"}]},
    },
    "required": ["lines"],
    "additionalProperties": False,
    "$defs": {"Line": LINE},
}


class Line(BaseModel):
    price: float


class CrateSent(Event, topic="test.crate.sent", version=2):
    lines: list[Line]
    way: int | None = None


class Signed(Event, topic="test.signed"):
    by: str
    key: SecretStr
    count: int = 0


@pytest.fixture
def registry() -> Schemas:
    """A registry with one topic that has no class."""
    made = Schemas()
    made.register("test.parcel", PARCEL)
    return made


@pytest.mark.parametrize(
    ("payload", "path", "told"),
    [
        ({"lines": [{"price": 1}, {"price": "abc"}]}, "lines[1].price", "'abc' was given; it should be a number"),
        ({"lines": [{}]}, "lines[0].price", "it is missing; give it"),
        ({}, "lines", "it is missing; give it"),
        ({"lines": [], "wya": "air"}, "wya", "there is no such field. Did you mean 'way'?"),
        ({"lines": [], "way": "rail"}, "way", "'rail' was given; it should be one of \"air\", \"sea\""),
        ({"lines": [], "note": "x"}, "note", "'x' was given; it should be a text of 2 characters or more"),
        ({"lines": [{"price": 1}] * 4}, "lines", "a list was given; it should be a list of 3 or fewer"),
        ([1], "", "list was given; it should be a dict of fields"),
    ],
)  # fmt: skip
def test_a_payload_that_does_not_fit_is_refused_with_the_field(registry, payload, path, told):
    """The field's path, what was given, what was wanted and what to do are said for a registered schema."""
    with pytest.raises(PayloadError) as refused:
        registry.check("test.parcel", payload)
    assert refused.value.path == path
    assert told in str(refused.value)
    assert "'%pb schema test.parcel' in a notebook" in str(refused.value)


@pytest.mark.parametrize(
    ("payload", "path", "told"),
    [
        ({"lines": [{"price": 1}, {"price": "abc"}]}, "lines[1].price", "'abc' was given; it should be a valid"),
        ({"lines": [{}]}, "lines[0].price", "it is missing"),
        ({"lines": [], "wya": 1}, "wya", "Did you mean 'way'?"),
        ({"lines": [], "way": "x"}, "way", "'x' was given"),
        ({"lines": [], "way": object()}, "", "it cannot be written as JSON"),
    ],
)  # fmt: skip
def test_a_class_refuses_in_the_same_words(registry, payload, path, told):
    """Where there is a class, pydantic validates, and the refusal reads alike."""
    with pytest.raises(PayloadError) as refused:
        registry.check("test.crate.sent", payload)
    assert (refused.value.path, refused.value.topic, refused.value.version) == (path, "test.crate.sent", 2)
    assert told in str(refused.value)


def test_every_field_is_named_and_no_secret_is_shown(registry):
    """All that is wrong is said at once; where a schema has a secret, no value is repeated."""
    with pytest.raises(PayloadError) as refused:
        registry.check("test.signed", {"key": 4711, "count": "s3cr3t", "kye": "s3cr3t"})
    assert len(refused.value.problems) == 4
    assert "s3cr3t" not in str(refused.value)
    assert "4711" not in str(refused.value)


def test_a_payload_that_fits_becomes_an_event(registry):
    """Of its class where there is one, and else of one that stands in, the same class each time."""
    assert registry.make("test.crate.sent", {"lines": [{"price": 1}]}) == CrateSent(lines=[Line(price=1)])
    made = registry.make("test.parcel", {"lines": [{"price": 1}]})
    assert (type(made).__name__, type(made).__topic__, made.lines) == (
        "ParcelSent",
        "test.parcel",
        [{"price": 1}],
    )
    assert type(made) is type(registry.make("test.parcel", {"lines": []}))
    assert type(made).model_json_schema() == PARCEL


def test_an_event_that_stands_in_is_recorded_with_its_schema(registry):
    """Who reads the recording later sees what was registered for the topic."""
    with Host() as host:
        host.publish(registry.make("test.parcel", {"lines": []}))
        assert host.recording.facts("schema") == {"test.parcel@1": PARCEL}


@pytest.mark.parametrize(
    ("topic", "schema", "version", "told"),
    [
        ("test.bad", {"type": "nonsense"}, 1, "type"),
        ("test.bad", {}, 1, "give a JSON Schema as a dict"),
        ("test.bad", {"$ref": "https://example.org/a"}, 1, "nothing is fetched"),
        ("test.bad", {"type": "object"}, 0, "a whole number from 1"),
        ("test.parcel", {"type": "object"}, 1, "register it with version=2"),
        ("test.crate.sent", {"type": "object"}, 2, "what class CrateSent says"),
    ],
)
def test_a_schema_that_cannot_be_is_refused(registry, topic, schema, version, told):
    """What is no schema, refers elsewhere, or would change a version that there is leaves the registry as it was."""
    before = repr(registry)
    with pytest.raises(SchemaError, match=told):
        registry.register(topic, schema, version=version)
    assert repr(registry) == before
    assert registry.schema("test.parcel") == PARCEL


def test_the_same_schema_may_be_registered_again(registry):
    """Running a cell twice changes nothing, and `replace` is how to change one on purpose."""
    registry.register("test.parcel", PARCEL)
    registry.register("test.parcel", {"type": "object"}, replace=True)
    assert registry.schema("test.parcel") == {"type": "object"}


def test_classes_and_registered_schemas_are_listed_together(registry):
    """An older version as JSON Schema stands beside the class of the newer one."""
    registry.register("test.crate.sent", {"type": "object"}, version=1)
    assert registry.versions("test.crate.sent") == (1, 2)
    assert registry.schema("test.crate.sent", 1) == {"type": "object"}
    assert set(registry.schema("test.crate.sent")["properties"]) == {"lines", "way"}
    assert "test.crate.sent: version 1, 2" in repr(registry)


def test_a_topic_or_version_that_is_not_there_is_named(registry):
    """The nearest topic is suggested, and the versions there are are listed."""
    with pytest.raises(UnknownNameError, match=r"Did you mean 'test.parcel'\?"):
        registry.make("test.parcle", {})
    with pytest.raises(UnknownNameError, match="no version 7 here; there is 1"):
        registry.make("test.parcel", {}, version=7)


def test_what_is_registered_cannot_be_changed_from_outside(registry):
    """Neither the schema that was given nor the one that is handed out reaches into the registry."""
    mine = {"type": "object", "properties": {"a": {"type": "integer"}}}
    registry.register("test.mine", mine)
    mine["properties"].clear()
    registry.schema("test.mine")["properties"].clear()
    assert registry.schema("test.mine")["properties"] == {"a": {"type": "integer"}}


def test_jsonschema_is_imported_when_a_schema_is_registered_only():
    """Event classes and their payloads are checked without it, for importing it may take seconds."""
    code = (
        "import sys, plugbook\n"
        "class A(plugbook.Event, topic='a'):\n n: int\n"
        "try:\n plugbook.schemas.check('a', {'n': 'x'})\nexcept plugbook.PlugbookError: pass\n"
        "assert 'jsonschema' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)  # fmt: skip


@given(
    topic=st.sampled_from(["test.parcel", "test.crate.sent", "test.signed"]),
    payload=st.dictionaries(st.sampled_from(["lines", "way", "note", "by", "key", "count"]), json_values),
)
def test_whatever_is_given_is_made_or_refused(topic, payload):
    """Any payload becomes an event or a PayloadError that names a field, and nothing else happens."""
    registry = Schemas()
    registry.register("test.parcel", PARCEL)
    made: object
    try:
        made = registry.make(topic, payload).__topic__
    except PayloadError as error:
        made = error.topic if error.problems else None
    assert made == topic


def test_a_stand_in_is_named_after_its_schema_or_its_topic():
    """Where the schema has no title that could name a class, the words of the topic do."""
    assert stand_in("order-line.added", 1).__name__ == "OrderLineAdded"
    assert stand_in("order.added", 1, {"title": "no name"}).__name__ == "OrderAdded"
    assert stand_in("order.added", 1, {"title": "Added"}).__name__ == "Added"
