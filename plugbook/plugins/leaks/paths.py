"""Who keeps something alive: the shortest path to it from what never goes away, as a person reads it."""

from __future__ import annotations

import gc
import sys
import traceback
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeGuard, TypeVar

T = TypeVar("T")

_MOST_VISITED: Final = 5_000
_HOUSEKEEPING: Final = ("plugbook.", "_pytest.", "gc", "weakref")


def path_to(target: object, ignore: Iterable[object] = ()) -> str:
    """The shortest path from a module, a running frame or the notebook to an object, as a person reads it.

    Args:
        target: the object that is still alive.
        ignore: objects whose references do not count, such as the list in which it was found.
    """
    skipped = {id(ignore), id(target)}
    longest = ""
    queue: deque[tuple[object, str]] = deque([(target, "")])
    while queue and len(skipped) < _MOST_VISITED:
        held, path = queue.popleft()
        for holder in gc.get_referrers(held):
            if id(holder) in skipped or holder is queue or _is_housekeeping(holder):
                continue
            skipped.add(id(holder))
            step, is_root = _step(holder, held)
            longer = f"{step}{path}"
            if is_root:
                return longer
            queue.append((holder, longer))
            longest = max(longest, longer, key=len)
    return (
        f"something that the garbage collector cannot see, such as a local variable:{longest or ' directly'}"
    )


def _step(holder: object, held: object) -> tuple[str, bool]:
    """How `holder` holds `held`, and whether the path ends there."""
    if _is(holder, types.FrameType):
        return _step_of_frame(holder)
    if _is(holder, dict):
        key = next((key for key, value in holder.items() if value is held), None)
        module = _module_of(holder)
        if module is not None:
            return f"{module}.{key}", True
        return f"[{key!r}]" if not isinstance(key, str) else f".{key}", False
    if _is(holder, list):
        position = next((n for n, value in enumerate(holder) if value is held), "?")
        return f"[{position}]", False
    if _is(holder, types.TracebackType):
        return "", False
    for kind, say in _SAID.items():
        if issubclass(type(holder), kind):
            return say(holder), False
    return f" of a {type(holder).__qualname__}", False


_SAID: dict[type, Callable[[Any], str]] = {
    BaseException: lambda error: f" in the traceback of a {type(error).__qualname__}",
    tuple: lambda _: " in a tuple",  # it may still be under construction, so its items are not looked at
    types.MethodType: lambda method: f" bound as {method.__func__.__qualname__}",
    types.CellType: lambda _: " in a closure",
    types.FunctionType: lambda function: f" of function {function.__qualname__}",
}


def _step_of_frame(frame: types.FrameType) -> tuple[str, bool]:
    for innermost in sys._current_frames().values():  # noqa: SLF001
        if any(running is frame for running, _ in traceback.walk_stack(innermost)):
            return f"a variable of the running {frame.f_code.co_qualname}", True
    return f" of {frame.f_code.co_qualname}", False


def _module_of(namespace: dict[Any, Any]) -> str | None:
    name = namespace.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return name if module is not None and vars(module) is namespace else None


def _is_housekeeping(holder: object) -> bool:
    """Whether it is this search itself, or a frame of plugbook's own that is about to end."""
    if _is(holder, types.FrameType):
        return str(holder.f_globals.get("__name__", "")).startswith(_HOUSEKEEPING)
    return _is(holder, deque) or hasattr(type(holder), "__next__")


def _is(holder: object, kind: type[T]) -> TypeGuard[T]:
    """`isinstance` that asks the type alone: anything alive may turn up here, also what is half built."""
    return issubclass(type(holder), kind)
