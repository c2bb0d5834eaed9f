"""Middleware: what goes around a handler, and the layers that are wanted most: `retry`, `timing` and `guard`.

A middleware is a callable of the event and of `call_next`, which calls what is behind it: the next layer, and in
the end the handler. What it returns is the result::

    def only_in_daylight(event, call_next):
        return call_next(event) if is_day() else None  # a short-circuit: the handler is `skipped`

Around an async handler it is async, and awaits ``call_next(event)``. A `Layer` has both forms. The record shows every
layer as a call of its own, inside the one around it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import reprlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from plugbook._clock import tick
from plugbook.errors import EventError

if TYPE_CHECKING:
    from plugbook.events.dispatch.layers import Next

Middleware = Callable[[Any, Any], Any]
"""``(event, call_next) -> result``; around an async handler a coroutine function."""

_MOST_RETRIES: Final = 100
_LONGEST_PAUSE_S: Final = 60.0

_log = logging.getLogger("plugbook.events")


class Layer:
    """A middleware with a form for sync handlers and one for async ones.

    Attributes:
        name: what it is called in the record.
    """

    name = "layer"

    def __call__(self, event: Any, call_next: Next) -> Any:
        """Go around a sync handler."""
        raise NotImplementedError

    async def call_async(self, event: Any, call_next: Next) -> Any:
        """Go around an async handler."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<middleware {self.name}>"


def retry(
    retries: int = 2,
    *,
    backoff: float = 0.0,
    retry_on: type[Exception] | tuple[type[Exception], ...] = Exception,
) -> Layer:
    """Call again what fails; the last failure is raised. Each attempt is a call in the record.

    Args:
        retries: how many attempts more there are after one that failed, up to 100.
        backoff: seconds before the first of them; before each further one it is twice as long, up to a minute. A
            sync handler's publisher waits through them.
        retry_on: the failures that are worth another attempt.

    Raises:
        EventError: an argument cannot be.
    """
    if type(retries) is not int or not 1 <= retries <= _MOST_RETRIES:
        msg = f"retry: retries must be a whole number from 1 to {_MOST_RETRIES}, not {retries!r}"
        raise EventError(msg)
    if not _is_seconds(backoff):
        msg = f"retry: backoff must be a number of seconds, 0 or more, not {backoff!r}"
        raise EventError(msg)
    failures = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if not (failures and all(map(_is_failure, failures))):
        msg = f"retry: retry_on must be an exception class, or several in a tuple, not {retry_on!r}"
        raise EventError(msg)
    return _Retry(retries, backoff, failures)


def timing(*, over: float | None = None, tell: Callable[[str, float], object] | None = None) -> Layer:
    """Measure how long everything behind it takes, all attempts of a `retry` together.

    The record has that as the duration of this layer's call.

    Args:
        over: seconds; what takes longer says so in the record and in the log ``plugbook.events``.
        tell: called with the handler's name and the seconds, of every call that is over.

    Raises:
        EventError: an argument cannot be.
    """
    if over is not None and not _is_seconds(over):
        msg = f"timing: over must be a number of seconds, 0 or more, not {over!r}"
        raise EventError(msg)
    if tell is not None and not callable(tell):
        msg = f"timing: tell must be a function of a handler's name and the seconds, not {tell!r}"
        raise EventError(msg)
    return _Timing(over, tell)


def guard(*conditions: Callable[[Any], object] | type[Exception], default: Any = None) -> Layer:
    """Keep events from a handler, or its failures from everybody else.

    Args:
        *conditions: predicates, all of which must say yes to the event for the handler to be called; and
            exception classes, whose failures give `default` instead.
        default: the result where the handler was not called, or failed.

    Raises:
        EventError: there is no condition, or one is neither an exception class nor a sync function.
    """
    for condition in conditions:
        if not (_is_failure(condition) or _is_function(condition)):
            msg = f"guard: give predicates of the event, or exception classes, not {condition!r}"
            raise EventError(msg)
        if inspect.iscoroutinefunction(condition):
            msg = f"guard: {condition.__name__} is async; a predicate must be a sync function of the event"
            raise EventError(msg)
    if not conditions:
        msg = "guard: give a predicate of the event, or the exceptions that it keeps from everybody else"
        raise EventError(msg)
    failures = tuple(each for each in conditions if isinstance(each, type))
    predicates = tuple(each for each in conditions if not isinstance(each, type))
    return _Guard(predicates, failures, default)


class _Retry(Layer):
    name = "retry"

    def __init__(self, retries: int, backoff_s: float, failures: tuple[type[Exception], ...]) -> None:
        self._retries = retries
        self._backoff_s = backoff_s
        self._failures = failures

    def __call__(self, event: Any, call_next: Next) -> Any:
        for retry in range(self._retries):
            try:
                result = call_next(event)
            except self._failures:
                if self._backoff_s:
                    time.sleep(self._pause_s(retry))
            else:
                self._tell(call_next, retry)
                return result
        self._tell(call_next, self._retries)
        return call_next(event)

    async def call_async(self, event: Any, call_next: Next) -> Any:
        for retry in range(self._retries):
            try:
                result = await call_next(event)
            except self._failures:
                if self._backoff_s:
                    await asyncio.sleep(self._pause_s(retry))
            else:
                self._tell(call_next, retry)
                return result
        self._tell(call_next, self._retries)
        return await call_next(event)

    def _pause_s(self, retry: int) -> float:
        return min(self._backoff_s * 2.0**retry, _LONGEST_PAUSE_S)

    def _tell(self, call_next: Next, retry: int) -> None:
        if retry:
            call_next.note(f"retry {retry} of {self._retries}")


class _Timing(Layer):
    name = "timing"

    def __init__(self, over_s: float | None, tell: Callable[[str, float], object] | None) -> None:
        self._over_s = over_s
        self._tell = tell

    def __call__(self, event: Any, call_next: Next) -> Any:
        start = tick()
        try:
            return call_next(event)
        finally:
            self._took((tick() - start) / 1e9, call_next)

    async def call_async(self, event: Any, call_next: Next) -> Any:
        start = tick()
        try:
            return await call_next(event)
        finally:
            self._took((tick() - start) / 1e9, call_next)

    def _took(self, seconds: float, call_next: Next) -> None:
        if self._over_s is not None:
            if seconds <= self._over_s:
                return
            told = f"took {seconds:.3g} s, more than {self._over_s:g} s"
            call_next.note(told)
            _log.warning("%s %s", call_next.handler, told)
        if self._tell is not None:
            self._tell(call_next.handler, seconds)


class _Guard(Layer):
    name = "guard"

    def __init__(
        self,
        predicates: tuple[Callable[[Any], object], ...],
        failures: tuple[type[Exception], ...],
        default: Any,
    ) -> None:
        self._predicates = predicates
        self._failures = failures
        self._default = default

    def __call__(self, event: Any, call_next: Next) -> Any:
        if not self._lets_through(event, call_next):
            return self._default
        try:
            return call_next(event)
        except self._failures:
            return self._default

    async def call_async(self, event: Any, call_next: Next) -> Any:
        if not self._lets_through(event, call_next):
            return self._default
        try:
            return await call_next(event)
        except self._failures:
            return self._default

    def _lets_through(self, event: Any, call_next: Next) -> bool:
        for predicate in self._predicates:
            if not predicate(event):
                call_next.note(f"{getattr(predicate, '__name__', 'its predicate')} said no")
                return False
        return True


_MAKERS: Final = ((retry, "retry(2)"), (timing, "timing()"), (guard, "guard(predicate)"))

# -- checking what is given as middleware= --------------------------------------------------------


def name_of(layer: Middleware) -> str:
    """What a middleware is called in the record."""
    if isinstance(layer, Layer):
        return layer.name
    function = getattr(layer, "func", layer)  # of a partial
    return str(getattr(function, "__name__", type(function).__name__))


def problem_of(layers: object, *, is_async: bool) -> str:
    """What is wrong with what is given as ``middleware=`` for a sync or async handler, or ``""``."""
    if not isinstance(layers, tuple | list):
        return f"middleware must be several in a list, not {layers!r} alone: write middleware=[{layers!r}]"
    for layer in layers:
        if problem := layer_problem(layer):
            return problem
        if not isinstance(layer, Layer) and is_coroutine_function(layer) != is_async:
            this, other = ("async", "sync") if is_async else ("sync", "async")
            return (
                f"the middleware {name_of(layer)} is {other}, and the handler is {this}. Make both alike, or "
                "have the middleware inherit from Layer, with a form for each"
            )
    return ""


def layer_problem(layer: object) -> str:
    """Why something cannot be a middleware of any handler, or ``""``."""
    wanted = "a middleware is a function of event and call_next"
    for maker, written in _MAKERS:
        if layer is maker:
            return f"{wanted}, and {maker.__name__} makes one: write {written}"
    if not _is_function(layer):
        return f"{wanted}, such as retry(3), and {reprlib.repr(layer)} is none"
    if not takes(layer, 2):
        return f"{wanted}, such as retry(3), and {name_of(layer)} takes {inspect.signature(layer, follow_wrapped=False)}"
    return ""


def form_of(layer: Middleware, *, is_async: bool) -> Middleware:
    """The form of a middleware that goes around a sync or an async handler."""
    return layer.call_async if is_async and isinstance(layer, Layer) else layer


def is_coroutine_function(function: object) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (an object with an async __call__)
    )


def takes(function: Callable[..., object], count: int) -> bool:
    """Whether a function can be called with so many positional arguments; yes where nobody can tell."""
    try:
        # What a decorator is wrapped around may be called with more, or less, than the decorator's own function.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _is_failure(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, Exception)


def _is_function(given: object) -> TypeGuard[Callable[..., object]]:
    return callable(given) and not isinstance(given, type)


def _is_seconds(given: object) -> bool:
    return (
        isinstance(given, int | float) and not isinstance(given, bool) and given >= 0 and math.isfinite(given)
    )
