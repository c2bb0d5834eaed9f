"""What goes into an effect and what comes out of it, as JSON for the recording and back again for a replay.

A result comes back as what it was where the function's return annotation says how: models, dataclasses, dates,
tuples and all else that pydantic validates. Without one it comes back as plain JSON data. Bringing a result or an
error back runs nothing that a recording holds: types are found in modules that are imported already.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import json
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from plugbook.errors import EffectReplayError, RecordedError
from plugbook.trace.record import JsonText, describe_error
from plugbook.trace.writing.payload import HIDDEN, SUMMARY, PayloadEncoder, bounded

_LOST: Final = '{"$lost":'
_SCALARS: Final = (str, int, float, bool, type(None))
_PLAIN_TEXT: Final = (date, time, timedelta, Decimal, PurePath, UUID)
_AS_EVENTS_DO: Final = ConfigDict(
    ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings"
)
_encode: Final = PayloadEncoder().fact


class Function(NamedTuple):
    """Who is called.

    Attributes:
        name: as handlers are named, such as ``SMTP.send_message``: it stays when a module is renamed.
        qualified: with its module, such as ``smtplib.SMTP.send_message``.
        also: further qualified names that it goes by: those of the object's own class, where it inherits the method.
    """

    name: str
    qualified: str
    also: tuple[str, ...] = ()


def function_of(f: Callable[..., Any]) -> Function:
    """Who is called, behind partials and wrappers.

    >>> import smtplib
    >>> function_of(smtplib.SMTP.send_message)
    Function(name='SMTP.send_message', qualified='smtplib.SMTP.send_message', also=())
    """
    inner = _behind(f)
    if not hasattr(inner, "__qualname__"):  # an object that can be called
        inner = type(inner)
    whole = str(inner.__qualname__)
    name = whole.rpartition("<locals>.")[2]
    owner = getattr(inner, "__self__", None)
    kind = owner if isinstance(owner, type) else type(owner)
    also = (
        ()
        if owner is None or inspect.ismodule(owner)
        else (f"{kind.__module__}.{kind.__qualname__}.{inner.__name__}",)
    )
    qualified = f"{getattr(inner, '__module__', None) or 'builtins'}.{whole}"
    return Function(name, qualified, tuple(each for each in also if each != qualified))


def arguments_of(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> JsonText:
    """The arguments by the names of their parameters, as JSON text of what they are now.

    A name is what tells a secret, so an argument that is given by position needs its own.

    >>> def fetch(url: str, *, token: str = "") -> bytes: ...
    >>> arguments_of(fetch, ("https://rates.example",), {"token": "abc"})
    '{"url":"https://rates.example","token":"abc"}'
    """
    called: Any = f
    while isinstance(called, functools.partial):
        called, args, kwargs = called.func, (*called.args, *args), {**called.keywords, **kwargs}
    try:
        named: dict[str, Any] = dict(inspect.signature(called).bind(*args, **kwargs).arguments)
    except (
        TypeError,
        ValueError,
    ):  # some builtins have no signature; wrong arguments are for the call to refuse
        named = {str(position): value for position, value in enumerate(args)} | kwargs
    return JsonText(_encode(named))


class ResultTypes:
    """Writes results as JSON text and makes them again; one for each start of a plugin, for it keeps their types."""

    def __init__(self) -> None:
        self._adapters: dict[Any, TypeAdapter[Any] | None] = {}

    def text(self, f: Callable[..., Any], value: Any) -> tuple[JsonText, str]:
        """The JSON text of a result, and what a person should know of it: empty where it comes back as it is."""
        written = self._annotated_text(f, value)
        if written is not None:
            return JsonText(written), ""
        kind = _type_name(type(value))
        try:
            plain = json.dumps(
                value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
            )
        except Exception:
            said = {"$lost": {"type": kind, "summary": bounded(value, SUMMARY)}}
            return JsonText(_encode(said)), f"a replay cannot give it back: {kind} has no JSON form"
        remark = "" if _is_plain(value) else f"a replay gives plain JSON data back, not {kind}"
        return JsonText(plain), remark

    def _annotated_text(self, f: Callable[..., Any], value: Any) -> str | None:
        """The JSON text as the annotation says it; None where there is none, or the value does not fit."""
        adapter = self._adapter(f)
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

    def value(self, f: Callable[..., Any], name: str, text: str) -> Any:
        """The result that a JSON text stands for.

        Raises:
            EffectReplayError: it had no JSON form, or does not fit the function any more.
        """
        if text.startswith(_LOST):
            what = json.loads(text)["$lost"]["type"]
            msg = (
                f"the effect {name} cannot be given back: its result, of type {what}, has no JSON form. "
                "Declare a function that returns data: text, numbers, lists, a model or a dataclass."
            )
            raise EffectReplayError(msg)
        adapter = self._adapter(f)
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

    def _adapter(self, f: Callable[..., Any]) -> TypeAdapter[Any] | None:
        returned = _returned_by(f)
        if returned is Any or returned is inspect.Signature.empty:
            return None
        try:
            return self._adapters[returned]
        except TypeError:  # an annotation that holds a list, say, is made anew each time
            return _adapter_of(returned)
        except KeyError:
            return self._adapters.setdefault(returned, _adapter_of(returned))


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


def _behind(f: Callable[..., Any]) -> Any:
    while isinstance(f, functools.partial):
        f = f.func
    return inspect.unwrap(f)


def _returned_by(f: Callable[..., Any]) -> Any:
    inner = _behind(f)
    if isinstance(inner, type):
        return inner
    if not hasattr(inner, "__annotations__"):
        inner = type(inner).__call__
    try:
        return typing.get_type_hints(inner, include_extras=True).get("return", inspect.Signature.empty)
    except Exception:  # a name that only type checkers know, or that is wrong: as if nothing was said
        return inspect.Signature.empty


def _adapter_of(returned: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(returned, config=_AS_EVENTS_DO)
    except (
        PydanticUserError
    ):  # models and dataclasses bring a configuration of their own; others have no schema
        pass
    except (PydanticUndefinedAnnotation, TypeError):
        return None
    try:
        return TypeAdapter(returned)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError):
        return None


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


def _is_plain(value: Any) -> bool:
    """Whether JSON gives back what it is given; what is deep inside is not looked at."""
    return type(value) in (str, int, float, bool, type(None), list, dict)


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
