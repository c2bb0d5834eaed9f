"""One event as a CloudEvents 1.0 envelope in JSON, and back, so that events cross processes unchanged.

The topic is the envelope's ``type``, the payload its ``data``, with fields by name, as they are recorded. Three
extension attributes are ours: ``plugbookversion``, the version of the event's schema, and ``plugbookparent`` and
``plugbookroot``, what caused it, as seqs in the sender's recording. The format is that of
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from plugbook.errors import EnvelopeError, TopicError, UnknownNameError
from plugbook.events.event import Event
from plugbook.events.topics import check_topic
from plugbook.events.versions.known import stand_in
from plugbook.events.versions.reading import reader_of
from plugbook.events.versions.schemas import Schemas, schemas
from plugbook.trace.record import parse_seq, show_seq

_SPECIFICATION: Final = "1.0"
_JSON: Final = "application/json"
_IS_JSON: Final = re.compile(r"[\w.+-]+/(?:[\w.-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"[a-z0-9]+")
_REFERENCE: Final = re.compile(r"[^\s<>\"{}|\\^`\x00-\x1f\x7f]+")
_NO_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_OWN: Final = frozenset(
    {"specversion", "id", "source", "type", "time", "datacontenttype", "dataschema", "subject"}
    | {"data", "data_base64", "plugbookversion", "plugbookparent", "plugbookroot"}
)
_NS: Final = 1_000_000_000
_MOST_DIGITS: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event, and what came with it.

    Attributes:
        event: the event.
        id: the sender's number for it, unique together with `source`.
        source: who sent it.
        time_ns: when it happened, in ns since the epoch, or None.
        version: of the schema it was sent with, 0 where that was not said.
        parent, root: what caused it, as seqs in the sender's recording, or None.
        remark: how it was brought to the version known here, ``""`` where that was not needed.
        attributes: every other attribute.
    """

    event: Event
    id: str
    source: str
    time_ns: int | None = None
    version: int = 0
    parent: int | None = None
    root: int | None = None
    remark: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


def to_cloudevent(
    event: Event,
    *,
    source: str,
    id: str | None = None,  # noqa: A002 (the name it has in the specification)
    time_ns: int | None = None,
    parent: int | None = None,
    root: int | None = None,
    reveal_secrets: bool = False,
    attributes: Mapping[str, str | int | bool] | None = None,
) -> bytes:
    """An event as JSON bytes that any CloudEvents library can read.

    What is written is read again first: an event that would come back as another one is refused.

    >>> class Rung(Event, topic="bell.rung"):
    ...     floor: int
    >>> written = to_cloudevent(Rung(floor=2), source="/lifts/1", id="7", time_ns=0)
    >>> print(written.decode())
    {"specversion":"1.0","id":"7","source":"/lifts/1","type":"bell.rung","time":"1970-01-01T00:00:00.000000000Z","datacontenttype":"application/json","plugbookversion":1,"data":{"floor":2}}
    >>> from_cloudevent(written)
    Rung(floor=2)

    Args:
        event: the event.
        source: who sends it, a URI reference such as ``/shops/1``.
        id: its number, unique for that source; by default a random one.
        time_ns: when it happened, in ns since the epoch; by default now.
        parent: seq of what caused it, in the sender's recording.
        root: seq of the top of its causal tree.
        reveal_secrets: write what ``SecretStr`` fields hold, in the clear; without it such an event is refused,
            for its secrets would either be lost or be told.
        attributes: more of the envelope: ``subject``, ``dataschema`` and extensions of your own.

    Raises:
        EnvelopeError: an attribute is not one, the event holds secrets, or it would not come back unchanged.
    """
    if not isinstance(event, Event):
        msg = f"an envelope is for an event, not for {type(event).__name__}"
        raise EnvelopeError(msg)
    envelope: dict[str, Any] = {
        "specversion": _SPECIFICATION,
        "id": _text("id", uuid.uuid4().hex if id is None else id),
        "source": _reference("source", source),
        "type": event.__topic__,
        "time": _show_time(time.time_ns() if time_ns is None else time_ns),
        "datacontenttype": _JSON,
        "plugbookversion": event.__version__,
    }
    if parent is not None:
        envelope["plugbookparent"] = show_seq(parent)
    if root is not None:
        envelope["plugbookroot"] = show_seq(root)
    for name, value in (attributes or {}).items():
        if name in _OWN - {"subject", "dataschema"}:
            msg = f"{name}: that attribute is written by plugbook; give another name"
            raise EnvelopeError(msg, attribute=name)
        envelope[name] = _attribute(name, value)
    envelope["data"] = _data(event, reveal_secrets=reveal_secrets)
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def from_cloudevent(written: bytes | str, *, known: Schemas = schemas, allow_unknown: bool = False) -> Event:
    """The event in an envelope; see `read_cloudevent`, which gives all that is in it.

    Raises:
        EnvelopeError: it is not an envelope, or not of an event that is known here.
        PayloadError: the payload does not fit.
    """
    return read_cloudevent(written, known=known, allow_unknown=allow_unknown).event


def read_cloudevent(
    written: bytes | str, *, known: Schemas = schemas, allow_unknown: bool = False
) -> Envelope:
    """An envelope that any CloudEvents library has written, as JSON.

    The event is of the class of its topic and version; an older one is brought up by the upcasters, a newer one is
    read without what the class does not know. A topic that has a schema alone gives an event that stands in.

    Args:
        written: the envelope.
        known: which classes and schemas there are.
        allow_unknown: give an event of a topic without class and schema as one that takes any field.

    Raises:
        EnvelopeError: it is not an envelope, or not of an event that is known here; the attribute is named.
        PayloadError: the payload does not fit the topic's schema.
        UpcastError: it is of an older version, and an upcaster is missing or failed.
    """
    envelope = _object(written)
    if envelope.get("specversion") != _SPECIFICATION:
        given = envelope.get("specversion", "nothing")
        msg = f"specversion: this reads CloudEvents {_SPECIFICATION}, and {given!r} was given"
        raise EnvelopeError(msg, attribute="specversion")
    topic = _text("type", envelope.get("type"))
    version = _version(envelope.get("plugbookversion"))
    data = _read_data(envelope)
    event, remark = _event(known, topic, version, data, allow_unknown=allow_unknown)
    return Envelope(
        event,
        id=_text("id", envelope.get("id")),
        source=_reference("source", envelope.get("source")),
        time_ns=_read_time(envelope.get("time")),
        version=version,
        parent=_read_seq("plugbookparent", envelope.get("plugbookparent")),
        root=_read_seq("plugbookroot", envelope.get("plugbookroot")),
        remark=remark,
        attributes={
            name: _attribute(name, value)
            for name, value in envelope.items()
            if value is not None and (name not in _OWN or name in ("subject", "dataschema"))
        },
    )


def _event(
    known: Schemas, topic: str, version: int, data: dict[str, Any], *, allow_unknown: bool
) -> tuple[Event, str]:
    text = json.dumps(data)
    try:
        if allow_unknown and not known.versions(topic):
            return reader_of(stand_in(check_topic(topic), version or 1))(text), ""
        return known.read(topic, version, text)
    except (UnknownNameError, TopicError) as error:
        msg = f"type: {error}"
        raise EnvelopeError(msg, attribute="type") from error


# -- the payload ------------------------------------------------------------------------------------


def _data(event: Event, *, reveal_secrets: bool) -> Any:
    """The payload, if it would be read as the same event."""
    kind = type(event)
    serializer = event.__pydantic_serializer__
    try:
        written = json.loads(serializer.to_json(event, round_trip=True, warnings=False))
        fields = serializer.to_python(event, round_trip=True, warnings=False)
    except (PydanticSerializationError, UnicodeError, ValueError) as error:
        msg = f"{kind.__name__} cannot be written as JSON: {error}"
        raise EnvelopeError(msg, attribute="data") from error
    secrets = list(_secret_paths(fields))
    if secrets and not reveal_secrets:
        msg = (
            f"{kind.__name__} holds secrets, which would be lost or told: {', '.join(secrets)}. "
            "Send an event without them, or write them in the clear with reveal_secrets=True"
        )
        raise EnvelopeError(msg, attribute="data")
    data = _revealed(written, fields) if secrets else written
    _check_unchanged(event, data)
    return data


def _secret_paths(value: Any, path: str = "") -> Iterator[str]:
    if hasattr(type(value), "get_secret_value"):
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _secret_paths(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _secret_paths(item, f"{path}[{index}]")


def _revealed(written: Any, value: Any) -> Any:
    """What was written with secrets masked, with the secrets; both have the same shape and order."""
    if hasattr(type(value), "get_secret_value"):
        secret = value.get_secret_value()
        return base64.urlsafe_b64encode(secret).decode() if isinstance(secret, bytes) else secret
    if isinstance(written, dict) and isinstance(value, dict) and len(written) == len(value):
        pairs = zip(written.items(), value.values(), strict=True)
        return {name: _revealed(item, own) for (name, item), own in pairs}
    if isinstance(written, list) and isinstance(value, list | tuple | set | frozenset):
        return [_revealed(item, own) for item, own in zip(written, value, strict=True)]
    return written


def _check_unchanged(event: Event, data: Any) -> None:
    kind = type(event)
    try:
        again = reader_of(kind)(json.dumps(data))
    except ValidationError as error:
        places = {".".join(map(str, each["loc"])) for each in error.errors(include_input=False)}
        msg = f"{kind.__name__} would not be read again: {', '.join(sorted(places))} does not fit as JSON"
        raise EnvelopeError(msg, attribute="data") from error
    if again == event:
        return
    mine, theirs = _fields(event), _fields(again)
    changed = [name for name, value in mine.items() if not _same(value, theirs.get(name))]
    if changed or mine.keys() != theirs.keys():
        name = next(iter(changed), "a field")
        msg = (
            f"{kind.__name__} would not come back unchanged: {name} is {type(mine.get(name)).__name__}, and "
            f"JSON would make it {type(theirs.get(name)).__name__}. Give the field a type that JSON can tell apart"
        )
        raise EnvelopeError(msg, attribute="data")


def _fields(model: BaseModel) -> dict[str, Any]:
    return {**model.__dict__, **(model.model_extra or {})}


def _same(one: Any, other: Any) -> bool:
    """Whether they are equal, a float that is not a number being equal to itself."""
    if isinstance(one, BaseModel) and isinstance(other, BaseModel):
        return type(one) is type(other) and _same(_fields(one), _fields(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(item, other[name]) for name, item in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or bool(one != one and other != other)


# -- attributes -------------------------------------------------------------------------------------


def _object(written: bytes | str) -> dict[str, Any]:
    try:
        envelope: object = json.loads(written)
    except (ValueError, TypeError, RecursionError) as error:
        msg = f"an envelope is a JSON object: {error}"
        raise EnvelopeError(msg) from error
    if not isinstance(envelope, dict):
        msg = f"an envelope is a JSON object, and this is {type(envelope).__name__}"
        raise EnvelopeError(msg)
    return envelope


def _read_data(envelope: dict[str, Any]) -> dict[str, Any]:
    content_type = envelope.get("datacontenttype") or _JSON
    if not isinstance(content_type, str) or not _IS_JSON.fullmatch(content_type):
        msg = f"datacontenttype: an event's payload is {_JSON}, and {content_type!r} was given"
        raise EnvelopeError(msg, attribute="datacontenttype")
    data = envelope.get("data")
    packed = envelope.get("data_base64")
    if packed is not None:
        if data is not None:
            msg = "data_base64: an envelope has either data or data_base64, and this has both"
            raise EnvelopeError(msg, attribute="data_base64")
        data = _unpacked(packed)
    if isinstance(data, dict):
        return data
    if data is None:
        return {}
    msg = f"data: an event's payload is an object, and {type(data).__name__} was given"
    raise EnvelopeError(msg, attribute="data")


def _unpacked(packed: Any) -> Any:
    try:
        return json.loads(base64.b64decode(packed, validate=True))
    except (ValueError, TypeError) as error:
        msg = f"data_base64: it is not JSON in base64: {error}"
        raise EnvelopeError(msg, attribute="data_base64") from error


def _text(name: str, value: object) -> str:
    if isinstance(value, str) and value and not _NO_TEXT.search(value):
        return value
    given = "it is missing" if value is None else f"{value!r} was given"
    msg = f"{name}: it should be a text without control characters, and {given}"
    raise EnvelopeError(msg, attribute=name)


def _reference(name: str, value: object) -> str:
    text = _text(name, value)
    if _REFERENCE.fullmatch(text):
        return text
    msg = f"{name}: it should be a URI reference such as /shops/1, and {text!r} was given"
    raise EnvelopeError(msg, attribute=name)


def _attribute(name: str, value: object) -> str | int | bool:
    if not _ATTRIBUTE.fullmatch(name):
        msg = f"{name!r} is no name of an attribute: use lower-case letters and digits alone"
        raise EnvelopeError(msg, attribute=name)
    if name == "dataschema":
        return _reference(name, value)
    if name == "subject":
        return _text(name, value)
    if isinstance(value, int) or (isinstance(value, str) and not _NO_TEXT.search(value)):
        return value
    msg = f"{name}: an attribute is a text, a whole number or a truth value, not {type(value).__name__}"
    raise EnvelopeError(msg, attribute=name)


def _version(value: object) -> int:
    """A number, or its text, which is what is left of a number that went through HTTP headers."""
    if value is None:
        return 0
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text.isdecimal() and len(text) < _MOST_DIGITS and int(text) > 0:
        return int(text)
    msg = f"plugbookversion: it should be a whole number from 1, and {value!r} was given"
    raise EnvelopeError(msg, attribute="plugbookversion")


def _read_seq(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        return parse_seq(str(value))
    except ValueError as error:
        msg = f"{name}: {error}"
        raise EnvelopeError(msg, attribute=name) from error


def _show_time(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, _NS)
    try:
        whole = _EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        msg = f"time: {time_ns} ns since the epoch is in no year from 1 to 9999"
        raise EnvelopeError(msg, attribute="time") from error
    return f"{whole.isoformat().removesuffix('+00:00')}.{rest:09}Z"


def _read_time(value: object) -> int | None:
    """RFC 3339 to ns since the epoch."""
    if value is None:
        return None
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    day, clock, fraction, zone = found.groups() if found else ("", "", "", "")
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{zone.upper().replace('Z', '+00:00')}")
    except ValueError as error:
        msg = f"time: it should be as RFC 3339 has it, such as 2026-01-31T12:00:00Z, and {value!r} was given"
        raise EnvelopeError(msg, attribute="time") from error
    since = whole - _EPOCH
    return (since.days * 86_400 + since.seconds) * _NS + int((fraction or "0").ljust(9, "0"))
