"""Who keeps something alive: the shortest path to it from what never goes away, as a person reads it."""

from __future__ import annotations

import gc
import sys
import traceback
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeGuard, TypeVar

T = TypeVar("T")

_MOST_VISITED: Final = 1_000
_HOUSEKEEPING: Final = ("plugbook.", "_pytest.", "gc", "weakref")
_SEARCH: Final = __name__.rpartition(".")[0]


def path_to(target: object, ignore: Iterable[object] = (), ends: Mapping[int, str] | None = None) -> str:
    """The shortest path from a module, a running frame or the notebook to an object, as a person reads it.

    Args:
        target: the object that is still alive.
        ignore: a list or the like whose reference does not count, such as the one in which it was found.
        ends: by `id`, what each object is called at which the path may end as well.
    """
    path, is_whole = _climb(target, {id(ignore)}, ends or {})
    unseen = "something that the garbage collector cannot see, such as a local variable:"
    return path if is_whole else f"{unseen}{path or ' directly'}"


def is_held(target: object, without: Collection[object], elsewhere: Collection[object] = ()) -> bool:
    """Whether a path leads from a module or a running frame to an object, past some others.

    Args:
        target: the object.
        without: what the path must not go through.
        elsewhere: objects at which it may begin as well.
    """
    passed = {id(without), id(elsewhere), *map(id, without)}
    return _climb(target, passed, {id(each): "" for each in elsewhere})[1]


def _climb(target: object, skipped: set[int], ends: Mapping[int, str]) -> tuple[str, bool]:
    """The shortest path to an object, and whether it is whole; otherwise the longest that was found.

    It goes up level by level: to ask who refers to something costs a look at everything there is.
    """
    seen = {*skipped, id(target)}
    paths = {id(target): ""}
    longest = ""
    level = [target]
    while level and len(seen) < _MOST_VISITED:
        above: list[object] = []
        for holder in gc.get_referrers(*level):
            if id(holder) in seen or holder is level or holder is above or _is_housekeeping(holder):
                continue
            seen.add(id(holder))
            held = next((each for each in gc.get_referents(holder) if id(each) in paths), None)
            step, is_root = _step(holder, held)
            if id(holder) in ends:
                step, is_root = f"{ends[id(holder)]}{step if step.startswith('.') else ''}", True
            path = paths[id(holder)] = f"{step}{paths.get(id(held), '')}"
            if is_root:
                return path, True
            above.append(holder)
            longest = max(longest, path, key=len)
        level = above
    return longest, False


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
    return _step_of_instance(holder, held), False


def _step_of_instance(holder: object, held: object) -> str:
    """The attribute under which an object has another one; its class is not asked, which might run code."""
    try:
        attributes = object.__getattribute__(holder, "__dict__")
    except AttributeError:
        attributes = {}
    if attributes is held:
        return ""
    name = next((name for name, value in attributes.items() if value is held), None)
    return f" of a {type(holder).__qualname__}" if name is None else f".{name}"


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
    kind = type(holder)
    is_iterator = kind.__module__ == "builtins" and hasattr(kind, "__next__")
    return is_iterator or str(kind.__module__).startswith(_SEARCH)


def _is(holder: object, kind: type[T]) -> TypeGuard[T]:
    """`isinstance` that asks the type alone: anything alive may turn up here, also what is half built."""
    return issubclass(type(holder), kind)
