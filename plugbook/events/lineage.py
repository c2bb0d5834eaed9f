"""Which event classes are generations of one: whoever listens to one of them listens to the others.

A module that is imported afresh has new classes, while others still hold the former ones. An event that was
published before goes to handlers of the new code all the same, and an event of the new class to whom nobody reloaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from plugbook.events.event import Event

if TYPE_CHECKING:
    from types import ModuleType

_lines: Final[WeakKeyDictionary[type, object]] = WeakKeyDictionary()


def succeed(former: type[Event], kind: type[Event]) -> None:
    """Let `kind` count as another generation of `former`, and the other way round."""
    _lines[kind] = _lines.setdefault(former, object())


def succeed_all(former: ModuleType, module: ModuleType) -> None:
    """The same for each event class that one module defines, and another one under the same name."""
    before = _events_of(former)
    for name, kind in _events_of(module).items():
        if name in before and before[name] is not kind:
            succeed(before[name], kind)


def is_same_line(kind: type[Event], target: type[Event]) -> bool:
    """Whether a class, or one of those that it inherits from, is a generation of `target`."""
    line = _lines.get(target) if _lines else None
    return line is not None and any(_lines.get(base) is line for base in kind.__mro__)


def _events_of(module: ModuleType) -> dict[str, type[Event]]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Event) and value.__module__ == module.__name__
    }
