"""What comes out of an effect, as JSON for the recording and back again for a replay.

A result comes back as what it was where the function's return annotation says how: models, dataclasses, dates,
tuples and all else that pydantic validates. Without one it comes back as plain JSON data. Bringing a result or an
error back runs nothing that a recording holds: types are found in modules that are imported already.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic import BaseModel, ValidationError

from plugbook.errors import EffectReplayError, RecordedError
from plugbook.trace.record import JsonText, describe_error
from plugbook.trace.writing.payload import HIDDEN, SUMMARY, PayloadEncoder, bounded

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_LOST: Final = '{"$lost":'
_SCALARS: Final = (str, int, float, bool, type(None))
_PLAIN_TEXT: Final = (date, time, timedelta, Decimal, PurePath, UUID)
_encode: Final = PayloadEncoder().fact


def written(adapter: TypeAdapter[Any] | None, value: Any) -> tuple[JsonText, str]:
    """The JSON text of a result, and what a person should know of it: empty where it comes back as it is.

    Args:
        adapter: of what the function is annotated to return; None where it is not.
        value: what it returned.
    """
    text = _annotated_text(adapter, value)
    if text is not None:
        return JsonText(text), ""
    kind = _type_name(type(value))
    try:
        plain = _plain_json(value)
    except Exception:
        said = {"$lost": {"type": kind, "summary": bounded(value, SUMMARY)}}
        return JsonText(_encode(said)), f"a replay cannot give it back: {kind} has no JSON form"
    remark = "" if _is_plain(value) else f"a replay gives plain JSON data back, not {kind}"
    return JsonText(plain), remark


def read(adapter: TypeAdapter[Any] | None, name: str, text: str) -> Any:
    """The result that a JSON text stands for.

    Args:
        adapter: of what the function is annotated to return now.
        name: of the effect.
        text: as `written` gave it.

    Raises:
        EffectReplayError: it had no JSON form, or does not fit the function any more.
    """
    why = why_lost(text)
    if why:
        msg = f"the effect {name} cannot be given back: {why}"
        raise EffectReplayError(msg)
    if adapter is None:
        return json.loads(text)
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        msg = (
            f"the effect {name} cannot be given back: its recorded result does not fit what the function "
            f"returns now: {where + ': ' if where else ''}{first['msg']}"
        )
        raise EffectReplayError(msg) from error


def why_lost(text: str) -> str:
    """Why a result cannot come back from what `written` gave of it; ``""`` where it can."""
    if not text.startswith(_LOST):
        return ""
    what = json.loads(text)["$lost"]["type"]
    return (
        f"its result, of type {what}, has no JSON form. "
        "Declare a function that returns data: text, numbers, lists, a model or a dataclass."
    )


def describe_raised(error: BaseException) -> dict[str, Any]:
    """As `describe_error`, with what it takes to raise such an error again: its module, arguments and scalar fields."""
    given = error.args
    if isinstance(error, OSError) and len(given) == 2 and error.filename is not None:
        given = (*given, error.filename)  # which Python takes out of them
    args = [arg for arg in given if isinstance(arg, _SCALARS)]
    fields = {name: value for name, value in vars(error).items() if isinstance(value, _SCALARS)}
    more: dict[str, Any] = {"module": type(error).__module__}
    if len(args) == len(given):
        more["args"] = args
    return describe_error(error) | more | ({"fields": fields} if fields else {})


def raised_by(described: Mapping[str, Any]) -> Exception:
    """The error that a recording describes, or a `RecordedError` where its type is not at hand."""
    name, message = str(described.get("type")), str(described.get("message"))
    kind = _known_error(str(described.get("module")), name)
    if kind is not None:
        args = described.get("args", [message])
        try:
            # Not by calling it: an __init__ of somebody's may do anything. Those of Python's own set what args say.
            made = kind(*args) if kind.__module__ == "builtins" else kind.__new__(kind, *args)
            vars(made).update(described.get("fields", {}))
        except Exception:
            return RecordedError(message, type_name=name)
        return made
    return RecordedError(message, type_name=name)


def _known_error(module: str, name: str) -> type[Exception] | None:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _annotated_text(adapter: TypeAdapter[Any] | None, value: Any) -> str | None:
    """The JSON text as the annotation says it; None where there is none, or the value does not fit."""
    if adapter is None or isinstance(value, Iterator):  # writing an iterator would use it up
        return None
    # A serialiser or an == of somebody's may raise anything; the plugin has its result all the same.
    try:
        text = adapter.dump_json(value, by_alias=True, round_trip=True, warnings="error").decode()
        # A model without a configuration for it writes null for a number that is infinite.
        is_whole = "null" not in text or adapter.validate_json(text) == value
    except Exception:
        return None
    return text if is_whole else None


def _plain(value: Any) -> Any:
    """What JSON has no form of its own for, as data; nothing is asked to iterate, for that might use it up."""
    if hasattr(type(value), "get_secret_value"):
        return HIDDEN
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, _PLAIN_TEXT):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    raise TypeError


_plain_json: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


def _is_plain(value: Any) -> bool:
    """Whether JSON gives back what it is given; what is deep inside is not looked at."""
    return type(value) in (str, int, float, bool, type(None), list, dict)


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
