"""Saying where a payload does not fit: the field, what was given, what was wanted, and what to do."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from plugbook.errors import PayloadError, suggestion
from plugbook.events.versions.reading import Path, locate, show_path

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError as SchemaMisfit  # type: ignore[import-untyped]
    from pydantic import ValidationError

_MOST_PROBLEMS: Final = 12
_JSON_NAMES: Final = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}
_WANTED: Final = {
    "minimum": "at least {0}",
    "maximum": "at most {0}",
    "exclusiveMinimum": "above {0}",
    "exclusiveMaximum": "below {0}",
    "multipleOf": "a multiple of {0}",
    "minLength": "a text of {0} characters or more",
    "maxLength": "a text of {0} characters or fewer",
    "pattern": "a text that matches {0}",
    "minItems": "a list of {0} or more",
    "maxItems": "a list of {0} or fewer",
    "minProperties": "an object of {0} fields or more",
    "maxProperties": "an object of {0} fields or fewer",
    "uniqueItems": "a list without repetitions",
}
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


class Misfit(NamedTuple):
    """One field that does not fit; `path` is ``""`` for the payload itself."""

    path: str
    told: str

    def __str__(self) -> str:
        return f"{self.path or 'the payload'}: {self.told}"


def refusal(topic: str, version: int, misfits: Iterable[Misfit]) -> PayloadError:
    """The error that names every field that does not fit."""
    found = sorted(set(misfits))
    lines = [str(each) for each in found]
    shown = lines[:_MOST_PROBLEMS]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown):,} more")
    separator = "\n  " if len(shown) > 1 else " "
    msg = (
        f"this payload does not fit {topic} (version {version}):{separator}{separator.join(shown)}"
        f"{separator if len(shown) > 1 else '. '}Mend it and try again; "
        f"'%pb schema {topic}' in a notebook, or 'plugbook schema {topic}' in a terminal, shows what it takes."
    )
    return PayloadError(msg, topic=topic, version=version, path=found[0].path, problems=lines)


def told_by_pydantic(error: ValidationError, payload: Any, schema: Mapping[str, Any]) -> list[Misfit]:
    """What pydantic found.

    Args:
        error: its error.
        payload: what was to be read.
        schema: of the payload; where it has a secret anywhere, no value is shown.
    """
    hides = has_secrets(schema)
    return [
        _told(each, payload, schema, hides=hides)
        for each in error.errors(include_url=False, include_context=False)
    ]


def _told(found: Mapping[str, Any], payload: Any, schema: Mapping[str, Any], *, hides: bool) -> Misfit:
    path, labels = locate(payload, found["loc"])
    if found["type"] == "missing" and labels:
        return Misfit(show_path((*path, labels[-1])), "it is missing; give it")
    if found["type"] == "extra_forbidden":
        return Misfit(show_path(path), _unknown(path, schema.get("properties", {})))
    wanted = found["msg"].replace("Input should", "it should").removeprefix("Value error, ")
    return Misfit(show_path(path), f"{_given(found['input'], hides=hides)} was given; {wanted}")


def _unknown(path: Path, known: Mapping[str, Any]) -> str:
    near = suggestion(str(path[-1]), known) if len(path) == 1 else ""
    return f"there is no such field.{near or ' Leave it out.'}"


def told_by_schema(errors: Iterable[SchemaMisfit], schema: Mapping[str, Any]) -> list[Misfit]:
    """What jsonschema found; of a union, what is wrong with the member that comes nearest."""
    from jsonschema.exceptions import best_match

    hides = has_secrets(schema)
    nearest = (best_match([each]) or each for each in errors)
    return [misfit for each in nearest for misfit in _told_by_rule(each, hides=hides)]


def _told_by_rule(error: SchemaMisfit, *, hides: bool) -> list[Misfit]:
    path = tuple(error.absolute_path)
    rule, limit, given = str(error.validator), error.validator_value, error.instance
    if rule == "required" and isinstance(given, dict):
        missing = [name for name in limit if name not in given]
        return [Misfit(show_path((*path, name)), "it is missing; give it") for name in missing]
    if rule == "additionalProperties" and limit is False and isinstance(given, dict):
        known = dict(error.schema.get("properties", {})) if isinstance(error.schema, dict) else {}
        unknown = [name for name in given if name not in known]
        return [Misfit(show_path((*path, name)), _unknown((name,), known)) for name in unknown]
    return [
        Misfit(
            show_path(path), f"{_given(given, hides=hides)} was given; it should be {_wanted(rule, limit)}"
        )
    ]


def _wanted(rule: str, limit: Any) -> str:
    if rule == "type":
        names = [limit] if isinstance(limit, str) else limit
        return " or ".join(_JSON_NAMES.get(name, name) for name in names)
    if rule == "enum":
        return f"one of {', '.join(map(json.dumps, limit))}"
    if rule == "const":
        return json.dumps(limit)
    if rule in _WANTED:
        return _WANTED[rule].format(limit)
    return f"as {rule!r} of its schema says"


def _given(value: Any, *, hides: bool) -> str:
    """A value where it is short and no secret, or else what kind of value it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return type(value).__name__ if hides else _short.repr(value)


def has_secrets(schema: Mapping[str, Any]) -> bool:
    """Whether anything in a schema is said to be secret, as pydantic says it of a ``SecretStr``."""
    return '"writeOnly": true' in json.dumps(schema)
