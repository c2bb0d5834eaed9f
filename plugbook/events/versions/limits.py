"""The JSON Schema of a type with every limit that pydantic checks, also those that it leaves out of a schema.

JSON Schema has no words for how many digits a number has, which moments a date may be, or what the keys of a dict are
when they are no texts. Whoever makes up a value needs them: they are written as ``maxDigits``, ``decimalPlaces``,
``formatMinimum``, ``formatMaximum``, ``timezone``, ``schemes``, ``isStripped`` and ``propertyNames``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from plugbook.errors import EventError

if TYPE_CHECKING:
    from pydantic_core import core_schema

Schema = dict[str, Any]

_NOW: Final[Mapping[str, Schema]] = {
    "past": {"formatMaximum": "1999-12-31"},
    "future": {"formatMinimum": "2999-01-01"},
}


def schema_of(described: Any) -> Mapping[str, Any]:
    """The JSON Schema that is described: by itself, by a model, or by any type that pydantic knows.

    >>> from decimal import Decimal
    >>> from pydantic import Field
    >>> from typing import Annotated
    >>> schema_of(Annotated[Decimal, Field(max_digits=5)])
    {'maxDigits': 5, 'type': 'number'}

    Raises:
        EventError: it holds something that JSON has no form for.
    """
    if isinstance(described, Mapping):
        return described
    try:
        if isinstance(described, type) and issubclass(described, BaseModel):
            return described.model_json_schema(schema_generator=_WithLimits)
        return TypeAdapter(described).json_schema(schema_generator=_WithLimits)
    except PydanticInvalidForJsonSchema as error:
        msg = f"there is no JSON Schema of {getattr(described, '__name__', described)}: {error.message}"
        raise EventError(msg) from error


class _WithLimits(GenerateJsonSchema):
    """Writes what pydantic writes, and the limits."""

    def emit_warning(self, kind: str, detail: str) -> None:
        """Say nothing: a default that has no JSON form is simply left out."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> Schema:
        """A number, which every Decimal can be given as, and its digits."""
        written = super().decimal_schema(schema)
        number: Schema = next(
            (each for each in written.get("anyOf", ()) if each["type"] == "number"), written
        )
        names = {"max_digits": "maxDigits", "decimal_places": "decimalPlaces"}
        return number | {name: schema[key] for key, name in names.items() if key in schema}  # type: ignore[literal-required]

    def str_schema(self, schema: core_schema.StringSchema) -> Schema:
        """A text, and whether white space is taken from its ends before it is measured."""
        strips = schema.get("strip_whitespace", self._config.str_strip_whitespace)
        return super().str_schema(schema) | ({"isStripped": True} if strips else {})

    def date_schema(self, schema: core_schema.DateSchema) -> Schema:
        """A date, and from when until when."""
        return super().date_schema(schema) | _moments(schema, dt.timedelta(days=1))

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> Schema:
        """A moment, from when until when, and whether it has a time zone."""
        zone = schema.get("tz_constraint")
        written = super().datetime_schema(schema) | _moments(schema, dt.timedelta(microseconds=1))
        return written | ({"timezone": zone} if isinstance(zone, str) else {})

    def time_schema(self, schema: core_schema.TimeSchema) -> Schema:
        """A time of day, from when until when, and whether it has a time zone."""
        zone = schema.get("tz_constraint")
        return (
            super().time_schema(schema)
            | _times(schema)
            | ({"timezone": zone} if isinstance(zone, str) else {})
        )

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> Schema:
        """A duration, and how long, in seconds."""
        step = dt.timedelta(microseconds=1)
        limits = _limits(schema, lambda end, sign: end + sign * step)
        return super().timedelta_schema(schema) | {name: end.total_seconds() for name, end in limits.items()}

    def url_schema(self, schema: core_schema.UrlSchema) -> Schema:
        """An address, and how it may begin."""
        return super().url_schema(schema) | _schemes(schema)

    def multi_host_url_schema(self, schema: core_schema.MultiHostUrlSchema) -> Schema:
        """An address of several hosts, and how it may begin."""
        return super().multi_host_url_schema(schema) | _schemes(schema)

    def complex_schema(self, schema: core_schema.ComplexSchema) -> Schema:
        """A text, of a complex number."""
        return super().complex_schema(schema) | {"format": "complex"}

    def dict_schema(self, schema: core_schema.DictSchema) -> Schema:
        """An object, and its keys where they are no texts."""
        written = super().dict_schema(schema)
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        return written if keys.get("type", "string") == "string" else written | {"propertyNames": keys}


def _limits(schema: Any, beyond: Any) -> Schema:
    """The ends of a range, both of which belong to it; `beyond` gives the value next to one that does not."""
    found = {"formatMinimum": schema.get("ge"), "formatMaximum": schema.get("le")}
    if "gt" in schema:
        found["formatMinimum"] = beyond(schema["gt"], 1)
    if "lt" in schema:
        found["formatMaximum"] = beyond(schema["lt"], -1)
    return {name: end for name, end in found.items() if end is not None}


def _moments(schema: Any, step: dt.timedelta) -> Schema:
    limits = _limits(schema, lambda end, sign: end + sign * step)
    return _NOW.get(schema.get("now_op", ""), {}) | {name: end.isoformat() for name, end in limits.items()}


def _times(schema: Any) -> Schema:
    step = dt.timedelta(microseconds=1)

    def beyond(end: dt.time, sign: int) -> dt.time:
        return (dt.datetime.combine(dt.date(2000, 1, 1), end) + sign * step).timetz()

    return {name: end.isoformat() for name, end in _limits(schema, beyond).items()}


def _schemes(schema: Any) -> Schema:
    allowed = schema.get("allowed_schemes")
    return {"schemes": list(allowed)} if allowed else {}
