"""Events as CloudEvents: other libraries read ours, we read theirs, and nothing changes on the way."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import json
import math
import subprocess
import sys
import uuid
from typing import Any, Literal

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretBytes, SecretStr, computed_field

from plugbook.errors import EnvelopeError, EventError, PayloadError, UpcastError
from plugbook.events.envelope import from_cloudevent, read_cloudevent, to_cloudevent
from plugbook.events.event import Event
from plugbook.events.versions.schemas import Schemas


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Cat(BaseModel, frozen=True):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel, frozen=True):
    kind: Literal["dog"] = "dog"
    weight: float


class Travelled(Event, topic="test.travelled", version=3):
    number: int
    ratio: float
    text: str
    data: bytes
    price: decimal.Decimal
    when: dt.datetime
    day: dt.date | None
    took: dt.timedelta
    key: uuid.UUID
    colour: Colour
    pets: tuple[Cat | Dog, ...]
    tags: frozenset[str]
    by_number: dict[int, float]
    anything: Any
    label: str = "x"

    @computed_field
    @property
    def double(self) -> int:
        return self.number * 2


class Keyed(Event, topic="test.keyed"):
    users: list[dict[str, SecretStr]]
    key: SecretBytes = SecretBytes(b"")


class Blurred(Event, topic="test.blurred"):
    when: dt.datetime | str


class Plain(Event, topic="test.plain", version=2):
    n: int = 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
travelled = st.builds(
    Travelled,
    number=st.integers(),
    ratio=st.floats(),
    data=st.binary(),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    when=st.datetimes(timezones=st.just(dt.UTC)),
    took=st.timedeltas(dt.timedelta(days=-1000), dt.timedelta(days=1000)),
    pets=st.lists(
        st.builds(Cat, lives=st.integers()) | st.builds(Dog, weight=st.floats(allow_nan=False)), max_size=3
    ),
    by_number=st.dictionaries(st.integers(), st.floats(allow_nan=False), max_size=3),
    anything=json_values,
)


def written(**changes: Any) -> bytes:
    """An envelope of a plain event with some attributes changed; None leaves one out."""
    made = {
        "specversion": "1.0",
        "id": "7",
        "source": "/test",
        "type": "test.plain",
        "plugbookversion": 2,
        "data": {"n": 1},
    }
    return json.dumps({name: value for name, value in (made | changes).items() if value is not None}).encode()


@given(event=travelled, time_ns=st.integers(-(10**18), 10**19), seq=st.integers(0, 10**9))
def test_events_come_back_unchanged(event, time_ns, seq):
    """Whatever fields hold, and with them time and cause; the cloudevents library reads the same attributes."""
    text = to_cloudevent(event, source="/shops/1", id="7", time_ns=time_ns, parent=seq + 1, root=seq)
    envelope = read_cloudevent(text)
    assert envelope.event == event or math.isnan(event.ratio)
    assert type(envelope.event) is Travelled
    assert (envelope.id, envelope.source, envelope.time_ns) == ("7", "/shops/1", time_ns)
    assert (envelope.version, envelope.parent, envelope.root) == (3, seq + 1, seq)
    theirs = JSONFormat().read(CloudEvent, text)
    assert (theirs.get_type(), theirs.get_id(), theirs.get_source()) == ("test.travelled", "7", "/shops/1")
    assert theirs.get_extension("plugbookversion") == 3
    assert theirs.get_datacontenttype() == "application/json"
    assert from_cloudevent(JSONFormat().write(theirs)) == envelope.event or math.isnan(event.ratio)


def test_what_another_library_writes_is_read():
    """Its own attributes and its binary form of the data are understood."""
    made = CloudEvent(
        {"type": "test.plain", "source": "https://example.org/x", "subject": "me", "traceid": "abc"}, {"n": 4}
    )
    envelope = read_cloudevent(JSONFormat().write(made))
    assert envelope.event == Plain(n=4)
    assert (envelope.version, envelope.parent, envelope.root) == (0, None, None)
    assert envelope.attributes == {"subject": "me", "traceid": "abc"}
    assert envelope.time_ns is not None
    packed = CloudEvent({"type": "test.plain", "source": "x"}, b'{"n": 5}')
    assert from_cloudevent(JSONFormat().write(packed)) == Plain(n=5)


def test_an_event_crosses_processes_unchanged():
    """A process of its own reads an event, writes it, and what it wrote is the event."""
    code = (
        "import sys\n"
        "from plugbook import Event\n"
        "from plugbook.events.envelope import read_cloudevent, to_cloudevent\n"
        "class Plain(Event, topic='test.plain', version=2):\n n: int = 0\n"
        "read = read_cloudevent(sys.stdin.buffer.read())\n"
        "assert read.event == Plain(n=3)\n"
        "sys.stdout.buffer.write(to_cloudevent(read.event, source='/other', id=read.id, parent=read.parent))\n"
    )
    sent = to_cloudevent(Plain(n=3), source="/here", id="1", parent=1025)
    other = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True).stdout
    envelope = read_cloudevent(other)
    assert (envelope.event, envelope.source, envelope.id, envelope.parent) == (
        Plain(n=3),
        "/other",
        "1",
        1025,
    )


def test_secrets_are_neither_lost_nor_told():
    """An event that holds secrets is refused with their places, unless it is asked to tell them."""
    event = Keyed(users=[{"a": "s3cr3t"}], key=SecretBytes(b"\xff"))
    with pytest.raises(EnvelopeError, match=r"users\[0\]\.a, key.*reveal_secrets=True") as refused:
        to_cloudevent(event, source="/test")
    assert "s3cr3t" not in str(refused.value)
    text = to_cloudevent(event, source="/test", reveal_secrets=True)
    assert b"s3cr3t" in text
    assert from_cloudevent(text) == event


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            Blurred(when="2026-01-01T00:00:00Z"),
            "when is str, and JSON would make it datetime",
        ),
        (Travelled.model_construct(number=1), "would not be read again"),
        (Plain.model_construct(n=object()), "cannot be written as JSON"),
        ({"n": 1}, "an envelope is for an event, not for dict"),
    ],
)
def test_an_event_that_would_change_on_the_way_is_refused(event, told):
    """What JSON cannot tell apart or cannot hold is named, and nothing is written."""
    with pytest.raises(EnvelopeError, match=told):
        to_cloudevent(event, source="/test")


@pytest.mark.parametrize(
    ("options", "attribute"),
    [
        ({"source": ""}, "source"),
        ({"source": "not a reference"}, "source"),
        ({"source": "/x", "id": "\n"}, "id"),
        ({"source": "/x", "time_ns": 10**21}, "time"),
        ({"source": "/x", "attributes": {"trace_id": "a"}}, "trace_id"),
        ({"source": "/x", "attributes": {"traceid": 1.5}}, "traceid"),
        ({"source": "/x", "attributes": {"data": "a"}}, "data"),
        ({"source": "/x", "attributes": {"subject": ""}}, "subject"),
    ],
)
def test_attributes_that_cannot_be_are_refused(options, attribute):
    """The attribute that is wrong is named when an envelope is written."""
    with pytest.raises(EnvelopeError) as refused:
        to_cloudevent(Plain(), **options)
    assert refused.value.attribute == attribute


@pytest.mark.parametrize(
    ("changes", "attribute", "told"),
    [
        ({"specversion": "0.3"}, "specversion", "'0.3' was given"),
        ({"specversion": None}, "specversion", "'nothing' was given"),
        ({"id": None}, "id", "it is missing"),
        ({"id": 7}, "id", "7 was given"),
        ({"source": None}, "source", "it is missing"),
        ({"source": "a b"}, "source", "URI reference"),
        ({"type": None}, "type", "it is missing"),
        ({"type": "test.plian"}, "type", "Did you mean 'test.plain'?"),
        ({"type": "com.example/x"}, "type", "No event class and no schema"),
        ({"time": "yesterday"}, "time", "RFC 3339"),
        ({"time": "2026-02-30T00:00:00Z"}, "time", "RFC 3339"),
        ({"time": 5}, "time", "RFC 3339"),
        ({"datacontenttype": "text/xml"}, "datacontenttype", "text/xml"),
        ({"data": [1]}, "data", "list was given"),
        ({"data_base64": "e30="}, "data_base64", "both"),
        ({"data": None, "data_base64": "?"}, "data_base64", "not JSON in base64"),
        ({"plugbookversion": "two"}, "plugbookversion", "'two' was given"),
        ({"plugbookversion": True}, "plugbookversion", "whole number"),
        ({"plugbookparent": "1.x"}, "plugbookparent", "not a seq"),
        ({"Trace": "x"}, "Trace", "lower-case"),
        ({"trace": {}}, "trace", "not dict"),
    ],
)
def test_a_bad_envelope_is_refused_by_attribute(changes, attribute, told):
    """What is missing, malformed or not known here is named with its attribute."""
    with pytest.raises(EnvelopeError) as refused:
        from_cloudevent(written(**changes))
    assert refused.value.attribute == attribute
    assert told in str(refused.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", "nonsense", "[" * 100_000])
def test_what_is_no_object_is_refused(text):
    """Text that is not JSON, or no object, is not an envelope."""
    with pytest.raises(EnvelopeError, match="an envelope is a JSON object"):
        from_cloudevent(text)


@given(
    changes=st.dictionaries(
        st.sampled_from([*list(json.loads(written())), "time", "datacontenttype", "data_base64", "traceid"])
        | st.text(),
        json_values | st.text(alphabet="019.:-+TZ\u0663\ud800/ "),
        max_size=3,
    )
)
def test_whatever_is_read_gives_an_event_or_a_refusal(changes):
    """Envelopes changed at random are read, or refused with one of our errors."""
    text = json.dumps(json.loads(written()) | changes)
    refused = None
    try:
        read_cloudevent(text, allow_unknown=True)
    except EventError as error:
        refused = str(error)
    assert refused != ""


def test_a_payload_that_does_not_fit_is_refused_with_the_field():
    """The topic's class says what is wrong."""
    with pytest.raises(PayloadError, match="n: 'x' was given"):
        from_cloudevent(written(data={"n": "x"}))


def test_other_forms_of_the_same_envelope_are_read():
    """Numbers as text, a content type with parameters, another time zone, no data, bytes in base64."""
    envelope = read_cloudevent(
        written(
            plugbookversion="2",
            datacontenttype="application/vnd.shop+json; charset=utf-8",
            time="2026-01-31t12:00:00.5+01:00",
            data=None,
        )
    )
    assert (envelope.event, envelope.version) == (Plain(), 2)
    assert envelope.time_ns == 1_769_857_200_500_000_000
    assert from_cloudevent(written(data=None, data_base64=base64.b64encode(b"{}").decode())) == Plain()


def test_other_versions_are_brought_to_the_class_that_is_known():
    """Older ones by the upcasters, newer ones without what the class does not know, and it is said."""
    known = Schemas()
    known.upcaster(Plain, 1)(lambda payload: {"n": payload["count"]})
    older = read_cloudevent(written(plugbookversion=1, data={"count": 5}), known=known)
    assert (older.event, older.version) == (Plain(n=5), 1)
    assert older.remark.startswith("upcast by")
    newer = read_cloudevent(written(plugbookversion=3, data={"n": 1, "unit": "m"}))
    assert (newer.event, newer.remark) == (Plain(n=1), "leaving out unit")
    with pytest.raises(UpcastError, match="no upcaster takes version 1"):
        from_cloudevent(written(plugbookversion=1, data={"count": 5}))


def test_a_topic_without_a_class_gives_an_event_that_stands_in():
    """Where a schema is registered the payload has to fit it; a topic that nobody knows has to be allowed."""
    known = Schemas()
    known.register("test.foreign", {"required": ["a"]})
    foreign = written(type="test.foreign", plugbookversion=1, data={"a": [1]})
    event = from_cloudevent(foreign, known=known)
    assert (type(event).__topic__, event.a) == ("test.foreign", [1])
    assert from_cloudevent(to_cloudevent(event, source="/x"), known=known) == event
    with pytest.raises(PayloadError, match="a: it is missing"):
        from_cloudevent(written(type="test.foreign", plugbookversion=1), known=known)
    with pytest.raises(EnvelopeError):
        from_cloudevent(foreign)
    assert from_cloudevent(foreign, allow_unknown=True).a == [1]
    with pytest.raises(EnvelopeError, match="is not a topic"):
        from_cloudevent(written(type="com.example/x"), allow_unknown=True)


class Aliased(Event, topic="test.aliased"):
    long_name: int = Field(alias="longName")
    hidden: int = Field(0, exclude=True)


def test_fields_go_by_name_and_what_is_left_out_is_missed():
    """Aliases do not matter, and a field that is never written makes an event that cannot be sent."""
    text = to_cloudevent(Aliased(longName=1), source="/x")
    assert json.loads(text)["data"] == {"long_name": 1}
    assert from_cloudevent(text) == Aliased(longName=1)
    with pytest.raises(EnvelopeError, match="unchanged: hidden"):
        to_cloudevent(Aliased(longName=1, hidden=1), source="/x")
