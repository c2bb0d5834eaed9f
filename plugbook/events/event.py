"""The base class of all events: a frozen pydantic model with a topic and a version."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import json
import re
import reprlib
import types
import typing
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr
from pydantic.errors import PydanticInvalidForJsonSchema

from plugbook.errors import EventError, TopicError
from plugbook.events.topics import check_topic
from plugbook.trace.writing.payload import bounded

if TYPE_CHECKING:
    from pydantic.json_schema import GenerateJsonSchema

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]|\d+")


class Event(BaseModel):
    """Something that happened, as data: validated when it is made, and never changed afterwards.

    The class keywords are `topic`, which defaults to the words of the class name joined by dots, and
    `version`, which defaults to 1 and grows when the fields change. Everything else is pydantic.

    >>> class OrderPlaced(Event, topic="order.placed", version=2):
    ...     order_id: int
    >>> OrderPlaced(order_id="7")
    OrderPlaced(order_id=7)
    >>> OrderPlaced.__topic__, OrderPlaced.__version__
    ('order.placed', 2)

    Raises:
        EventError: at class creation, when topic or version is not valid; when an event is made, if its fields
            are not named.
    """

    # What was recorded must validate again, so that it can be replayed: no bytes and no NaN are lost in JSON.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
    )

    __topic__: ClassVar[str] = "event"
    __version__: ClassVar[int] = 1

    def __init_subclass__(cls, *, topic: str | None = None, version: int = 1, **config: Any) -> None:
        """Read the class keywords; those of pydantic's ConfigDict are read by pydantic."""
        super().__init_subclass__()
        unknown = next((name for name in config if name not in ConfigDict.__annotations__), None)
        if unknown is not None:
            msg = (
                f"event {cls.__name__} does not know the class keyword {unknown!r}; there are topic=, "
                "version= and those of pydantic's ConfigDict"
            )
            raise EventError(msg)
        if type(version) is not int or version < 1:
            msg = f"event {cls.__name__}: version must be a whole number from 1, not {version!r}"
            raise EventError(msg)
        if "[" in cls.__name__:
            return  # a generic event with its parameters filled in is the event that it was made from
        cls.__topic__ = _topic_of(cls, topic)
        cls.__version__ = version

    if not TYPE_CHECKING:  # type checkers take the fields of a model from its class

        def __init__(self, /, *unnamed: Any, **data: Any) -> None:
            """Validate the fields, as pydantic does, which has no words for one that is not named."""
            if unnamed:
                raise EventError(_unnamed(type(self), unnamed))
            made = self.__pydantic_validator__.validate_python(data, self_instance=self)
            if made is not self:
                msg = f"a validator of {type(self).__name__} returned another object; return self from it"
                raise EventError(msg)

        # In the place of pydantic's own, not around it: an event costs as much to make as any other model.
        __init__.__pydantic_base_init__ = True
        __init__.__signature__ = inspect.signature(BaseModel.__init__)

    def __plugbook_json__(self) -> str:
        """The payload as JSON text, secrets masked, whatever the fields hold."""
        try:
            text: bytes = self.__pydantic_serializer__.to_json(self, fallback=_describe, warnings=False)
            return text.decode()
        except Exception:  # a field that holds itself, a serialiser that raises, half a surrogate pair
            return _outline(self)


class EventSchema:
    """What events of one type look like, for the recording: their JSON Schema, made when it is written."""

    def __init__(self, kind: type[Event]) -> None:
        self._kind = kind

    def __plugbook_json__(self) -> str:
        try:
            schema = self._kind.model_json_schema(
                by_alias=bool(self._kind.model_config.get("serialize_by_alias")),  # as payloads are written
                mode="serialization",
                schema_generator=_quiet_generator(),
            )
        except PydanticInvalidForJsonSchema as error:
            schema = {"title": self._kind.__name__, "description": f"no JSON Schema: {error.message}"}
        return json.dumps(schema, default=_describe)


@cache
def _quiet_generator() -> type[GenerateJsonSchema]:
    from pydantic.json_schema import GenerateJsonSchema

    class Quiet(GenerateJsonSchema):
        """Warns of nothing: a default that has no JSON form is simply left out."""

        def emit_warning(self, kind: str, detail: str) -> None:
            """Say nothing."""

    return Quiet


def _unnamed(cls: type[Event], values: tuple[Any, ...]) -> str:
    """What to write instead of an event whose fields are not named."""
    fields = list(cls.model_fields)
    if not fields:
        return f"{cls.__name__} has no fields: write {cls.__name__}()"
    named = [f"{name}={reprlib.repr(value)}" for name, value in zip(fields, values, strict=False)]
    named += [f"{name}=..." for name in fields[len(named) :] if cls.model_fields[name].is_required()]
    return f"the fields of an event are given by name: write {cls.__name__}({', '.join(named)})"


def default_topic(class_name: str) -> str:
    """The topic of an event class that is not given one.

    >>> default_topic("OrderPlaced")
    'order.placed'
    """
    words = _WORDS.findall(class_name) if class_name.isascii() else re.findall(r"\w+", class_name.lower())
    return ".".join(words).lower() or "event"


def _topic_of(cls: type[Event], topic: str | None) -> str:
    if topic is None:
        return default_topic(cls.__name__)
    try:
        return check_topic(topic)
    except TopicError as error:
        msg = f"event {cls.__name__}: {error}"
        raise EventError(msg) from error


def _outline(event: Event) -> str:
    """What is kept of a payload that pydantic cannot write."""
    try:
        return json.dumps(bounded(dict(event.__dict__)))
    except Exception:
        return json.dumps({"$type": type(event).__qualname__})


def _describe(value: object) -> str:
    """What stands in a recording for a value that JSON has no form for; no user code is asked."""
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


_IMMUTABLE = (
    str,
    int,
    float,
    bool,
    complex,
    bytes,
    type(None),
    dt.date,
    dt.time,
    dt.timedelta,
    dt.timezone,
    decimal.Decimal,
    uuid.UUID,
    enum.Enum,
    SecretStr,
    SecretBytes,
)


def is_deeply_frozen(model: type[BaseModel]) -> bool:
    """Whether no handler could change an event of this type, not even inside a field.

    A list in a frozen model can still be appended to; the payload of such an event has to be serialised
    before the first handler runs, or the recording would show what became of it.
    """
    return _is_frozen(model, set())


def _is_frozen(annotation: Any, seen: set[type]) -> bool:
    """Whether values of that type cannot change; a type that is being looked at already is taken to be."""
    origin = typing.get_origin(annotation)
    if origin is None:
        if not isinstance(annotation, type):
            return False
        if issubclass(annotation, BaseModel):
            return annotation in seen or _is_frozen_model(annotation, seen | {annotation})
        return issubclass(annotation, _IMMUTABLE)
    if origin is typing.Literal:
        return True
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _is_frozen(arguments[0], seen)
    if origin in (typing.Union, types.UnionType, tuple, frozenset):
        return all(part is Ellipsis or _is_frozen(part, seen) for part in arguments)
    return False


def _is_frozen_model(model: type[BaseModel], seen: set[type]) -> bool:
    config = model.model_config
    return (
        bool(config.get("frozen"))
        and config.get("extra") != "allow"
        and all(_is_frozen(field.annotation, seen) for field in model.model_fields.values())
    )
