"""Who, in a notebook, still refers to a host, so that one that somebody uses is never closed."""

from __future__ import annotations

import gc
import re
import sys
import types
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from plugbook.host.host import Host

_HISTORY: Final = re.compile(r"_+\d*|_i+\d*|_[oid]h|In|Out")
_BETWEEN: Final = (types.MethodType, types.CellType, types.FunctionType, tuple)
"""What holds something on behalf of what holds it in turn, such as a bound method."""
_NOT_THEIRS: Final = ("plugbook.", "IPython.", "ipykernel.")
_DEEPEST: Final = 5


def holder_of(host: Host, names: Mapping[str, Any], ignored: Collection[object] = ()) -> str:
    """What refers to a host, in words; ``""`` where only the history of outputs and plugbook itself do.

    Args:
        host: the host.
        names: the person's variables.
        ignored: objects whose references do not count.
    """
    named = name_of(host, names)
    if named:
        return named
    own = [handle.instance for handle in host.plugins.values() if handle.instance is not None]
    history = [value for name, value in names.items() if _HISTORY.fullmatch(name)]
    passed = {id(names), *map(id, (*ignored, ignored, own, history, *own, *history))}
    passed.update(id(vars(each)) for each in own if hasattr(each, "__dict__"))
    found = _holder(host, passed, _DEEPEST)
    if found is None:
        return ""
    return name_of(found, names) or f"a {type(found).__qualname__}"


def name_of(thing: object, names: Mapping[str, Any]) -> str:
    """The person's name for something, or ``""``."""
    found = (name for name, value in list(names.items()) if value is thing and not _HISTORY.fullmatch(name))
    return next(found, "")


def is_alone(things: list[Any], position: int) -> bool:
    """Whether nothing refers to an item of a list but the list."""
    alone = [object()]
    return sys.getrefcount(things[position]) <= sys.getrefcount(alone[0])


def _holder(held: object, passed: set[int], depth: int) -> object | None:
    """What holds something in the end, on behalf of nobody else; None where it does not count."""
    if depth == 0:
        return held  # whoever it is, they are taken to use it
    referrers: list[object] = gc.get_referrers(held)
    passed.add(id(referrers))
    for referrer in referrers:
        if id(referrer) in passed or isinstance(referrer, types.FrameType) or _is_ours(referrer):
            continue
        passed.add(id(referrer))
        if not isinstance(referrer, _BETWEEN):
            if isinstance(referrer, dict) and _is_of_ours(referrer):
                continue
            return referrer
        found = _holder(referrer, passed, depth - 1)
        if found is not None:
            return found
    return None


def _is_ours(holder: object) -> bool:
    """Whether it belongs to plugbook, or to the shell, which keeps outputs."""
    of = holder if isinstance(holder, types.FunctionType) else type(holder)
    return str(getattr(of, "__module__", "")).startswith(_NOT_THEIRS)


def _is_of_ours(namespace: dict[Any, Any]) -> bool:
    """Whether it is the namespace of an object that belongs to plugbook."""
    return any(
        _is_ours(owner) and getattr(owner, "__dict__", None) is namespace
        for owner in gc.get_referrers(namespace)
    )
