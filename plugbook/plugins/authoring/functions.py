"""Turns plain functions into the methods of a plugin class, and defaults into the model of its options."""

from __future__ import annotations

import functools
import inspect
import keyword
import re
import reprlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, create_model

from plugbook.errors import ManifestError
from plugbook.plugins.plugin import PLACE, Plugin, Target, on, place_of

if TYPE_CHECKING:
    from plugbook.events.event import Event
    from plugbook.plugins.context import Context
    from plugbook.plugins.extending.extension import ExtensionPoint

Targets = tuple[tuple[Target, Mapping[str, Any]], ...]

_MOST_ARGUMENTS: Final = {"handler": 2, "start": 1, "stop": 1, "config change": 3}
"""With how many arguments each kind of function is called at most; the last one is the context."""

_SHAPES: Final = {
    "handler": "with the event, and with the plugin's context if it takes two. Write def {name}(event, ctx)",
    "start": "with the plugin's context, if it takes one. Write def {name}(ctx)",
    "stop": "with the plugin's context, if it takes one. Write def {name}(ctx)",
    "config change": (
        "with the old and the new configuration, and with the plugin's context if it takes three. "
        "Write def {name}(old, new, ctx)"
    ),
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a plugin, and how it is called.

    Attributes:
        call: the function.
        takes_ctx: whether the plugin's context is its last argument.
        is_async: whether its result is awaited.
        place: where it is, for messages.
    """

    call: Callable[..., Any]
    takes_ctx: bool
    is_async: bool
    place: str

    def arguments(self, ctx: Context, *first: Any) -> tuple[Any, ...]:
        """What it is called with."""
        return (*first, ctx) if self.takes_ctx else first


@dataclass(frozen=True, slots=True)
class Handler:
    """A function, and what it listens to.

    Attributes:
        function: what is called.
        targets: each with its options, as `on` takes them.
    """

    function: Function
    targets: Targets

    def method(self, name: str) -> Callable[..., Any]:
        """It as a method of a plugin class, marked by `on`.

        Raises:
            ManifestError: a target or an option cannot be.
        """
        method = _method(self.function, name)
        for target, options in reversed(self.targets):
            method = on(target, **options)(method)
        return method


def check_function(function: Any, kind: str, place: str) -> Function:
    """How a function is called as a handler, at start, at stop or when the configuration changes.

    Args:
        function: anything that can be called.
        kind: ``handler``, ``start``, ``stop`` or ``config change``.
        place: of the plugin; named where the function has no place of its own.

    Raises:
        ManifestError: it cannot be called like that.
    """
    if not callable(function) or isinstance(function, type):
        msg = f"{place}: {reprlib.repr(function)} is no function, and a {kind} must be one."
        raise ManifestError(msg)
    where = place_of(function, otherwise=place)
    subject = f"{_title_of(function)} ({where})"
    if any(check(function) for check in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
        msg = f"{subject} yields, so calling it would run nothing. Return a value, or publish events instead."
        raise ManifestError(msg)
    most = _MOST_ARGUMENTS[kind]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C do not tell
        return Function(function, takes_ctx=False, is_async=False, place=where)
    takes = [number for number in (most - 1, most) if _takes(signature, number)]
    if not takes:
        shape = _SHAPES[kind].format(name=_title_of(function))
        msg = f"{subject} takes {signature}, but it is called {shape}."
        raise ManifestError(msg)
    takes_ctx = takes == [most] or (most in takes and list(signature.parameters)[most - 1] == "ctx")
    return Function(function, takes_ctx, is_async=_is_async(function), place=where)


def name_for(function: Any, names: Mapping[str, Handler | Function], target: Target) -> str:
    """Under which name a plugin has a function.

    It is the function's own one. What has none, such as a lambda, is called after what it is for, and another
    function of the same name gets a number, unless it is the same one, defined again.
    """
    plain = _title_of(function)
    if not plain.isidentifier() or keyword.iskeyword(plain):
        topic = target if isinstance(target, str) else getattr(target, "__topic__", "event")
        plain = "on_" + re.sub(r"[^a-z0-9]+", "_", topic.lower()).strip("_")
    name, number = plain, 2
    while name in names and not _is_same(_function_of(names[name]), function):
        name, number = f"{plain}_{number}", number + 1
    return name


class Given(NamedTuple):
    """What a plugin contributes to an extension point.

    Attributes:
        point: the point, or its name.
        make: gives what is contributed, at each start.
        priority: higher comes earlier.
        name: what it is called.
    """

    point: ExtensionPoint[Any] | str
    make: Callable[[], Any]
    priority: float
    name: str


def start_method(
    starts: Iterable[Function],
    stops: Iterable[Function],
    points: Iterable[ExtensionPoint[Any]] = (),
    given: Iterable[Given] = (),
) -> Callable[..., Any]:
    """The `start` of a plugin class: declares points, calls the first ones, then defers the others and contributes."""
    first, last, declared, contributed = tuple(starts), tuple(stops), tuple(points), tuple(given)

    def start(self: Plugin, ctx: Context) -> None:
        _declare(ctx, declared)
        for each in first:
            each.call(*each.arguments(ctx))
        _finish(ctx, last, contributed)

    async def start_async(self: Plugin, ctx: Context) -> None:
        _declare(ctx, declared)
        for each in first:
            result = each.call(*each.arguments(ctx))
            if each.is_async:
                await result
        _finish(ctx, last, contributed)

    return start_async if any(each.is_async for each in first) else start


def config_method(functions: Iterable[Function]) -> Callable[..., Any]:
    """The `on_config_change` of a plugin class: calls these, in order."""
    called = tuple(functions)

    def on_config_change(self: Plugin, old: Any, new: Any) -> None:
        for each in called:
            each.call(*each.arguments(self.ctx, old, new))

    async def on_config_change_async(self: Plugin, old: Any, new: Any) -> None:
        for each in called:
            result = each.call(*each.arguments(self.ctx, old, new))
            if each.is_async:
                await result

    return on_config_change_async if any(each.is_async for each in called) else on_config_change


def model_of(defaults: Mapping[str, Any], place: str, plugin: str, module: str) -> type[BaseModel]:
    """A pydantic model of options, each of the type of its default; a type itself makes it required.

    Raises:
        ManifestError: an option cannot have that name, or that default.
    """
    for option in defaults:
        if option.startswith("_"):
            msg = f"{place}: the option {option!r} starts with an underscore. Begin its name with a letter."
            raise ManifestError(msg, plugin=plugin, field="Config")
    fields: dict[str, Any] = {option: _field(value) for option, value in defaults.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a name that BaseModel has itself
            return create_model("Config", __module__=module, **fields)
    except Exception as error:  # pydantic says no in many ways
        reason = str(error).splitlines()[0]
        msg = f"{place}: config cannot be made of {', '.join(defaults)}: {reason}. Give a pydantic model instead."
        raise ManifestError(msg, plugin=plugin, field="Config") from error


def is_model(given: object) -> bool:
    """Whether it is a pydantic model's class."""
    return isinstance(given, type) and issubclass(given, BaseModel)


# -- inside ---------------------------------------------------------------------------------------


def _declare(ctx: Context, points: Iterable[ExtensionPoint[Any]]) -> None:
    for point in points:
        ctx.declare(point)


def _finish(ctx: Context, stops: Iterable[Function], given: Iterable[Given]) -> None:
    for each in stops:
        ctx.defer(each.call, *each.arguments(ctx))
    for point, make, priority, name in given:
        ctx.contribute(point, make(), priority=priority, name=name)


def _field(value: Any) -> tuple[Any, Any]:
    if isinstance(value, type):
        return value, ...
    return (Any if value is None else type(value)), value


def _method(function: Function, name: str) -> Callable[..., Any]:
    call, takes_ctx = function.call, function.takes_ctx
    method: Any
    if function.is_async and takes_ctx:

        async def method(self: Plugin, event: Event) -> Any:
            return await call(event, self.ctx)

    elif function.is_async:

        async def method(self: Plugin, event: Event) -> Any:
            return await call(event)

    elif takes_ctx:

        def method(self: Plugin, event: Event) -> Any:
            return call(event, self.ctx)

    else:

        def method(self: Plugin, event: Event) -> Any:
            return call(event)

    signature = inspect.signature(method)
    functools.update_wrapper(
        method, call
    )  # so that its source, and the place of a mistake, are the function's
    method.__name__ = name
    method.__signature__ = signature
    setattr(method, PLACE, function.place)
    made: Callable[..., Any] = method
    return made


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _title_of(function: Any) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))


def _function_of(held: Handler | Function) -> Callable[..., Any]:
    return held.function.call if isinstance(held, Handler) else held.call


def _is_same(former: Any, function: Any) -> bool:
    """Whether it is that function, or the same definition run again: two closures of one definition are two."""
    if former == function:
        return True
    if not all(
        isinstance(each, FunctionType) and each.__name__.isidentifier() for each in (former, function)
    ):
        return False
    names = [(each.__module__, each.__qualname__) for each in (former, function)]
    return names[0] == names[1] and former.__code__ is not function.__code__


def _is_async(function: Any) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 (an object with an async __call__)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
