"""What an effect has to know of the function that it calls: its names, parameters and what it returns, looked up once."""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, Signature
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final
from weakref import WeakKeyDictionary

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from plugbook.trace.record import JsonText
from plugbook.trace.writing.payload import PayloadEncoder

_AS_EVENTS_DO: Final = ConfigDict(
    ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings"
)
_LASTING: Final = frozenset({FunctionType, BuiltinFunctionType, type})
_IN_PLACE: Final = frozenset({Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD})
_encode: Final = PayloadEncoder().fact


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """Who is called; what only the object knows that is called, such as the arguments of a partial, is not kept.

    Attributes:
        name: as handlers are named, such as ``SMTP.send_message``: it stays when a module is renamed.
        qualified: with its module, such as ``smtplib.SMTP.send_message``.
        also: further qualified names that it goes by: those of the object's own class, where it inherits the method.
        quoted: the qualified name as JSON text.
        is_async: whether a call gives a coroutine to await.
        adapter: how its results are written and made again; None where its annotations do not say.
        signature: None for some builtins.
        in_place: the names of the parameters that can be given by position.
        least: how many of them have to be given for a call by position alone.
    """

    name: str
    qualified: str
    also: tuple[str, ...]
    quoted: str
    is_async: bool
    adapter: TypeAdapter[Any] | None
    signature: Signature | None
    in_place: tuple[str, ...]
    least: float

    def arguments(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> JsonText:
        """The arguments by the names of their parameters, as JSON text of what they are now.

        A name is what tells a secret, so an argument that is given by position needs its own.

        >>> def fetch(url: str, *, token: str = "") -> bytes: ...
        >>> Functions().of(fetch).arguments(fetch, ("https://rates.example",), {"token": "abc"})
        '{"url":"https://rates.example","token":"abc"}'
        """
        called: Any = f
        while isinstance(called, functools.partial):
            called, args, kwargs = called.func, (*called.args, *args), {**called.keywords, **kwargs}
        if not kwargs and self.least <= len(args) <= len(self.in_place):
            return JsonText(_encode(dict(zip(self.in_place, args, strict=False))))
        try:
            named = dict(self.signature.bind(*args, **kwargs).arguments) if self.signature else None
        except TypeError:  # wrong arguments are for the call to refuse
            named = None
        if named is None:
            named = {str(position): value for position, value in enumerate(args)} | kwargs
        return JsonText(_encode(named))


class Functions:
    """What is known of the functions that a plugin has effects of, from one start to its stop.

    Looking at a function takes ten times as long as calling it. It is done again for what is made anew for each
    call, such as a lambda inside a handler; a function that is gone is forgotten.
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Any, dict[type | None, Function]] = WeakKeyDictionary()
        self._adapters: dict[Any, TypeAdapter[Any] | None] = {}

    def of(self, f: Callable[..., Any]) -> Function:
        """Who is called, behind partials and wrappers.

        >>> import smtplib
        >>> found = Functions().of(smtplib.SMTP.send_message)
        >>> found.name, found.qualified
        ('SMTP.send_message', 'smtplib.SMTP.send_message')
        """
        called: Any = f
        while isinstance(called, functools.partial):
            called = called.func
        lasting, owner = called, None
        if type(called) is MethodType:  # which is made anew whenever somebody says `object.method`
            lasting, owner = called.__func__, _owner_of(called)
        if type(lasting) not in _LASTING:
            return self._look_at(called)
        by_owner = self._known.get(lasting)
        if by_owner is None:
            by_owner = self._known[lasting] = {}
        function = by_owner.get(owner)
        if function is None:
            function = by_owner[owner] = self._look_at(called)
        return function

    def _look_at(self, called: Any) -> Function:
        inner = inspect.unwrap(called)
        named = inner if hasattr(inner, "__qualname__") else type(inner)  # an object that can be called
        whole = str(named.__qualname__)
        qualified = f"{getattr(named, '__module__', None) or 'builtins'}.{whole}"
        owner = _owner_of(named)
        inherited = f"{owner.__module__}.{owner.__qualname__}.{named.__name__}" if owner else qualified
        signature = _signature_of(called)
        parameters = tuple(signature.parameters.values()) if signature else ()
        in_place = tuple(each for each in parameters if each.kind in _IN_PLACE)
        return Function(
            name=whole.rpartition("<locals>.")[2],
            qualified=qualified,
            also=(inherited,) if inherited != qualified else (),
            quoted=json.dumps(qualified),
            is_async=_is_async(called),
            adapter=self._adapter(_returned_by(inner)),
            signature=signature,
            in_place=tuple(each.name for each in in_place),
            least=_least(parameters),
        )

    def _adapter(self, returned: Any) -> TypeAdapter[Any] | None:
        if returned is Any or returned is Signature.empty:
            return None
        try:
            return self._adapters[returned]
        except TypeError:  # an annotation that holds a list, say, is made anew each time
            return _adapter_of(returned)
        except KeyError:
            return self._adapters.setdefault(returned, _adapter_of(returned))


def _owner_of(called: Any) -> type | None:
    """The class that a method is called on, or whose object it is called on; None for any other function."""
    owner = getattr(called, "__self__", None)
    if owner is None or inspect.ismodule(owner):
        return None
    return owner if isinstance(owner, type) else type(owner)


def _is_async(called: Any) -> bool:
    return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(type(called).__call__)


def _signature_of(called: Any) -> Signature | None:
    try:
        return inspect.signature(called)
    except (TypeError, ValueError):  # some builtins have none
        return None


def _least(parameters: tuple[Parameter, ...]) -> float:
    """How many arguments a call by position alone has to have; infinitely many where there can be none."""
    needed = [each for each in parameters if each.default is Parameter.empty]
    if any(each.kind is Parameter.KEYWORD_ONLY for each in needed):
        return float("inf")
    return sum(each.kind in _IN_PLACE for each in needed)


def _returned_by(inner: Any) -> Any:
    if isinstance(inner, type):
        return inner
    if not hasattr(inner, "__annotations__"):
        inner = type(inner).__call__
    try:
        return typing.get_type_hints(inner, include_extras=True).get("return", Signature.empty)
    except Exception:  # a name that only type checkers know, or that is wrong: as if nothing was said
        return Signature.empty


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
