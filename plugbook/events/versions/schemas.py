"""The registry of schemas: what payloads of each topic and version look like, and how old ones are brought up to date.

An event class is its own schema. A topic without a class has what was registered for it as JSON Schema:

>>> registry = Schemas()
>>> registry.register("lift.called", {"properties": {"floor": {"type": "integer"}}, "required": ["floor"]})
>>> registry.make("lift.called", {"floor": 2})
LiftCalled(floor=2)

`schemas` is the registry of this process, and `upcaster` puts a function into it.
"""

from __future__ import annotations

import json
import sys
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from plugbook.errors import PayloadError, SchemaError, UnknownNameError, UpcastError, suggestion
from plugbook.events.dispatch.registrations import NOTEBOOK, Redo, Registration, current_registrar
from plugbook.events.event import Event, EventSchema
from plugbook.events.topics import check_topic
from plugbook.events.versions.known import classes_of, event_classes, stand_in
from plugbook.events.versions.misfits import Misfit, refusal, told_by_pydantic, told_by_schema
from plugbook.events.versions.reading import read_leniently, reader_of
from plugbook.events.versions.upcasters import Upcast, Upcasters

if TYPE_CHECKING:
    from plugbook._types import Json

F = TypeVar("F", bound=Upcast)


class _Registered(NamedTuple):
    """What was said of one version of a topic, and what checks payloads against it."""

    schema: dict[str, Any]
    validator: Any


class Schemas:
    """JSON Schema by topic and version, of event classes and as registered, with the upcasters between versions.

    Classes are known as soon as they are defined, and before what was registered for the same version.
    """

    def __init__(self) -> None:
        self._registered: dict[tuple[str, int], _Registered] = {}
        self._upcasters = Upcasters()

    # -- what there is ----------------------------------------------------------------------------

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that has a schema or an upcaster."""
        found = {kind.__topic__ for kind in event_classes()} | {topic for topic, _ in self._registered}
        return tuple(sorted(found | self._upcasters.topics()))

    def versions(self, topic: str) -> tuple[int, ...]:
        """The versions of a topic that have a schema, the newest last."""
        found = {kind.__version__ for kind in classes_of(topic)}
        return tuple(sorted(found | {version for known, version in self._registered if known == topic}))

    def kind(self, topic: str, version: int) -> type[Event] | None:
        """The event class of a version, of several the one defined last; None where there is none."""
        return next((kind for kind in reversed(classes_of(topic)) if kind.__version__ == version), None)

    def schema(self, topic: str, version: int | None = None) -> dict[str, Any]:
        """The JSON Schema of a version, or else of the newest.

        Raises:
            UnknownNameError: there is none.
        """
        version = self._known_version(topic, version)
        kind = self.kind(topic, version)
        found = json.loads(
            EventSchema(kind).__plugbook_json__() if kind else json.dumps(self._of(topic, version))
        )
        return dict(found)

    def register(
        self, topic: str, schema: Mapping[str, Any], *, version: int = 1, replace: bool = False
    ) -> None:
        """Say in JSON Schema what payloads of a topic look like that has no event class.

        Formats such as ``date-time`` are not checked, and nothing is fetched for a ``$ref``. What a cell of a
        notebook registers goes when the cell fails or runs again, as all that it registers.

        Args:
            topic: the topic.
            schema: of the payload; the draft that its ``$schema`` names, or 2020-12.
            version: of the schema.
            replace: let it take the place of another one.

        Raises:
            SchemaError: it is no JSON Schema, or that version has another one.
            TopicError: the topic is not one.
        """
        check_topic(topic)
        if type(version) is not int or version < 1:
            msg = f"schema of {topic}: version must be a whole number from 1, not {version!r}"
            raise SchemaError(msg)
        known = self._of(topic, version)
        if known and known == schema:
            return
        kind = self.kind(topic, version)
        if kind is not None:
            msg = f"{topic} version {version} is what class {kind.__name__} says; register another version"
            raise SchemaError(msg)
        if known and not replace:
            msg = (
                f"{topic} version {version} has another schema already. A change is a new version: "
                f"register it with version={version + 1}, or with replace=True while nothing was recorded of it"
            )
            raise SchemaError(msg)
        validator = _validator(topic, version, schema)
        replaced = self._registered.get((topic, version))
        made = _Registered(json.loads(json.dumps(schema)), validator)
        self._registered[topic, version] = made
        registrar, caller = current_registrar.get(), sys._getframe(1)  # noqa: SLF001
        if registrar is not None and caller.f_globals.get("__name__") == NOTEBOOK:
            undo = partial(Schemas._take_back, key=(topic, version), made=made, replaced=replaced)
            registrar.note(Registration("schema", f"of {topic} version {version}", weakref.ref(self), undo))

    def _take_back(
        self, _: str, *, key: tuple[str, int], made: _Registered, replaced: _Registered | None
    ) -> Redo | None:
        if self._registered.get(key) is not made:
            return None
        if replaced is None:
            del self._registered[key]
        else:
            self._registered[key] = replaced
        return lambda _: self._registered.update({key: made})

    # -- checking ---------------------------------------------------------------------------------

    def check(self, topic: str, payload: Mapping[str, Any], version: int | None = None) -> None:
        """Refuse a payload that does not fit a version of a topic, or else its newest.

        Raises:
            PayloadError: it does not fit; the message names each field.
            UnknownNameError: the topic has no such version.
        """
        self.make(topic, payload, version)

    def make(self, topic: str, payload: Mapping[str, Any], version: int | None = None) -> Event:
        """An event of a topic, of its class, or where it has none of one that stands in for it.

        Args:
            topic: the topic.
            payload: its fields, by name.
            version: of the schema that the payload has to fit; by default the newest.

        Raises:
            PayloadError: it does not fit; the message names each field.
            UnknownNameError: the topic has no such version.
        """
        version = self._known_version(topic, version)
        text = _as_json(topic, version, payload)
        kind = self.kind(topic, version)
        return self._read(kind, text) if kind is not None else self._read_registered(topic, version, text)

    def _read(self, kind: type[Event], text: str) -> Event:
        try:
            return reader_of(kind)(text)
        except ValidationError as error:
            raise _refused(kind, text, error) from error

    def _read_registered(self, topic: str, version: int, text: str) -> Event:
        payload = _fields(topic, version, text)
        schema = self._of(topic, version)
        errors = list(self._registered[topic, version].validator.iter_errors(payload))
        if errors:
            raise refusal(topic, version, told_by_schema(errors, schema))
        return reader_of(stand_in(topic, version, schema))(text)

    # -- versions ---------------------------------------------------------------------------------

    def upcaster(
        self, target: type[Event] | str, from_version: int, *, replace: bool = False
    ) -> Callable[[F], F]:
        """Have a function bring payloads from one version to the next, when old ones are read.

        It gets a payload as it was recorded, a dict of JSON that it may change, and returns the new one. A
        function that is defined again takes the place of its earlier definition.

        >>> registry = Schemas()
        >>> @registry.upcaster("parcel.sent", 1)
        ... def add_currency(payload):
        ...     return payload | {"currency": "EUR"}
        >>> registry.upcast("parcel.sent", 1, {"parcel_id": 7}, to=2)
        {'parcel_id': 7, 'currency': 'EUR'}

        Args:
            target: an event class or a topic.
            from_version: the version of the payloads it takes.
            replace: let it take the place of another function.

        Raises:
            SchemaError: another function takes that version already, or it is none that could be brought on.
        """

        def add(function: F) -> F:
            self._upcasters.add(target, from_version, function, replace=replace)
            return function

        return add

    def upcast(
        self, topic: str, version: int, payload: Mapping[str, Json], *, to: int | None = None
    ) -> dict[str, Any]:
        """A payload as a newer version has it; the one that was given is not changed.

        Args:
            topic: the topic.
            version: the version of the payload.
            payload: its fields, as JSON.
            to: the version that is wanted; by default the newest that has a schema or that an upcaster gives.

        Raises:
            UpcastError: a step is missing, failed, or gave what does not fit; the message names the step.
        """
        if to is None:
            given = (each + 1 for each in self._upcasters.versions(topic))
            to = max((*self.versions(topic), *given, version))
        return self._upcasters.run(topic, version, payload, to, self._check_known)

    def upcasters(self, topic: str) -> tuple[int, ...]:
        """The versions of a topic that an upcaster takes."""
        return self._upcasters.versions(topic)

    def read(self, topic: str, version: int, text: str, kind: type[Event] | None = None) -> tuple[Event, str]:
        """An event of what was written of it in any version.

        An older payload is brought up to date by the upcasters, or taken as it is where there are none and it
        fits. Of a newer one what the class does not know is left out.

        Args:
            topic: the topic.
            version: the version that it was written in; 0 where that is not known.
            text: the payload, as JSON.
            kind: the class that is wanted; by default that of the version, or else the newest.

        Returns:
            The event, and a remark on how it was brought to another version, ``""`` where it was not.

        Raises:
            UpcastError: it is of an older version, and an upcaster is missing or failed.
            PayloadError: it does not fit.
            UnknownNameError: the topic has neither a class nor a schema.
        """
        kind = kind or self.kind(topic, version) or self._newest_class(topic)
        if kind is None:
            return self._read_without_class(topic, version, text)
        if not version or kind.__version__ == version:
            return self._read(kind, text), ""
        if version > kind.__version__:
            return _read_newer(kind, text)
        return self._read_older(kind, version, text)

    def _read_without_class(self, topic: str, version: int, text: str) -> tuple[Event, str]:
        newest = self._known_version(topic, version if version in self.versions(topic) else None)
        if version and version < newest:
            payload = self.upcast(topic, version, _fields(topic, version, text), to=newest)
            return self._read_registered(topic, newest, json.dumps(payload)), self._told_upcast(
                topic, version, newest
            )
        return self._read_registered(topic, newest, text), ""

    def _read_older(self, kind: type[Event], version: int, text: str) -> tuple[Event, str]:
        topic, to = kind.__topic__, kind.__version__
        if self._upcasters.missing(topic, version, to) is None:
            fields = _fields(topic, version, text)
            payload = self._upcasters.run(topic, version, fields, to, self._check_known)
            return self._read(kind, json.dumps(payload)), self._told_upcast(topic, version, to)
        try:
            return self._read(kind, text), ""
        except PayloadError as error:
            try:
                self._upcasters.chain(topic, version, to)
            except UpcastError as missing:
                missing.add_note(str(error))
                raise missing from error
            raise

    def _newest_class(self, topic: str) -> type[Event] | None:
        kinds = classes_of(topic)
        newest = max((kind.__version__ for kind in kinds), default=0)
        return self.kind(topic, newest) if newest else None

    def _told_upcast(self, topic: str, version: int, to: int) -> str:
        return f"upcast by {', '.join(step.name for step in self._upcasters.chain(topic, version, to))}"

    def _check_known(self, topic: str, payload: Mapping[str, Any], version: int) -> None:
        kind = self.kind(topic, version)
        if kind is not None:
            self._read(kind, _as_json(topic, version, payload))
        elif (topic, version) in self._registered:
            self._read_registered(topic, version, _as_json(topic, version, payload))

    def _of(self, topic: str, version: int) -> dict[str, Any]:
        known = self._registered.get((topic, version))
        return known.schema if known is not None else {}

    def _known_version(self, topic: str, version: int | None) -> int:
        versions = self.versions(topic)
        if versions and (version is None or version in versions):
            return versions[-1] if version is None else version
        if versions:
            there = ", ".join(map(str, versions))
            msg = f"{topic} has no version {version} here; there is {there}."
            raise UnknownNameError(msg, name=topic, known=self.topics)
        others = [each for each in self.topics if each != topic]
        found = (
            "Upcasters, but no event class and no schema"
            if topic in self.topics
            else "No event class and no schema"
        )
        msg = (
            f"{found} is known for the topic {topic!r}.{suggestion(topic, others)} "
            "Import the module that defines its class, or register a schema for it."
        )
        raise UnknownNameError(msg, name=topic, known=self.topics)

    def __repr__(self) -> str:
        lines = [f"Schemas of {len(self.topics)} topics"]
        for topic in self.topics:
            versions = ", ".join(map(str, self.versions(topic))) or "none"
            upcasts = "".join(f", {each}->{each + 1}" for each in self.upcasters(topic)).removeprefix(", ")
            lines.append(f"  {topic}: version {versions}" + (f"; upcasters {upcasts}" if upcasts else ""))
        return "\n".join(lines)


def _read_newer(kind: type[Event], text: str) -> tuple[Event, str]:
    try:
        event, left_out = read_leniently(kind, text)
    except ValidationError as error:
        raise _refused(kind, text, error) from error
    return event, f"leaving out {', '.join(left_out)}" if left_out else ""


def _fields(topic: str, version: int, text: str) -> dict[str, Any]:
    try:
        fields: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refusal(topic, version, [Misfit("", "it is not JSON")]) from error
    if isinstance(fields, dict):
        return fields
    raise refusal(topic, version, [_no_fields(fields)])


def _no_fields(given: object) -> Misfit:
    return Misfit("", f"{type(given).__name__} was given; it should be a dict of fields")


def _refused(kind: type[Event], text: str, error: ValidationError) -> PayloadError:
    schema = json.loads(EventSchema(kind).__plugbook_json__())
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return refusal(kind.__topic__, kind.__version__, [Misfit("", "it is not JSON")])
    return refusal(kind.__topic__, kind.__version__, told_by_pydantic(error, payload, schema))


def _as_json(topic: str, version: int, payload: object) -> str:
    if isinstance(payload, Mapping):
        try:
            return to_json(dict(payload), bytes_mode="base64", inf_nan_mode="strings").decode()
        except (PydanticSerializationError, UnicodeError, ValueError) as error:
            raise refusal(topic, version, [Misfit("", f"it cannot be written as JSON: {error}")]) from error
    raise refusal(topic, version, [_no_fields(payload)])


def _validator(topic: str, version: int, schema: object) -> Any:
    """What checks payloads; importing jsonschema may take seconds, so that it waits until somebody registers one.

    Raises:
        SchemaError: it is no JSON Schema, or refers to another document.
    """
    if not isinstance(schema, Mapping) or not schema:
        msg = f"schema of {topic} version {version}: give a JSON Schema as a dict, not {schema!r}"
        raise SchemaError(msg)
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema import SchemaError as NoSchema
    from jsonschema.validators import validator_for  # type: ignore[import-untyped]
    from referencing import Registry

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except NoSchema as error:
        where = ".".join(map(str, error.absolute_path)) or "the schema"
        msg = f"schema of {topic} version {version}: {where}: {error.message}"
        raise SchemaError(msg) from error
    for pointer in _references(schema):
        if not pointer.startswith("#"):
            msg = (
                f"schema of {topic} version {version}: it refers to {pointer}, and nothing is fetched; "
                "put what it needs under $defs"
            )
            raise SchemaError(msg)
    return kind(schema, registry=Registry())


def _references(schema: Any) -> list[str]:
    if isinstance(schema, Mapping):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [each for item in schema.values() for each in _references(item)]
    return [each for item in schema for each in _references(item)] if isinstance(schema, list) else []


schemas = Schemas()
upcaster = schemas.upcaster
upcast = schemas.upcast
