"""What something holds, directly and through others: the way down, where `paths` is the way up."""

from __future__ import annotations

import asyncio
import builtins
import gc
import math
import types
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from plugbook.plugins.plugin import Plugin

_MOST_REACHED: Final = 10_000
_SHARED: Final = (
    types.ModuleType,
    type,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    asyncio.AbstractEventLoop,
)
"""What everybody can get at, so that who refers to it does not hold what lies behind it."""


class Reach:
    """The objects that some others hold, each with how many steps away it is.

    It ends at what belongs to everybody (modules, classes, event loops), to plugbook, or to a plugin.

    Args:
        roots: where to begin; what they are themselves is no limit.
        own: plugins that are no limit.
        ends: where to go no further.
        most_steps: how far to go.

    >>> books = [["journal"], {}]
    >>> Reach([books]).distance(books[0])
    1
    """

    def __init__(
        self,
        roots: Iterable[object],
        *,
        own: Iterable[Plugin] = (),
        ends: Iterable[object] = (),
        most_steps: float = math.inf,
    ) -> None:
        self._objects = list(roots)  # as long as they are there, nothing else gets their ids
        self._steps = {id(root): 0 for root in self._objects}
        limits = {id(vars(builtins)), *map(id, ends)}
        theirs = set(map(id, own))
        waiting = deque(self._objects)
        while waiting and len(self._steps) < _MOST_REACHED:
            holder = waiting.popleft()
            steps = self._steps[id(holder)] + 1
            if steps > most_steps:
                break
            for held in _held_by(holder):
                if id(held) in self._steps or id(held) in limits:
                    continue
                if id(held) in theirs or not _is_limit(held):
                    self._steps[id(held)] = steps
                    self._objects.append(held)
                    waiting.append(held)

    def distance(self, thing: object) -> int | None:
        """How many steps away it is, or None where it cannot be reached."""
        return self._steps.get(id(thing))

    def __contains__(self, thing: object) -> bool:
        return id(thing) in self._steps

    def __iter__(self) -> Iterator[object]:
        """What can be reached, nearest first."""
        return iter(self._objects)

    def meets(self, other: Reach) -> bool:
        """Whether there is anything that both can reach."""
        return not self._steps.keys().isdisjoint(other._steps)


def _held_by(holder: object) -> list[object]:
    """What it holds itself; of a function its variables, for what it may use is there for everybody."""
    if isinstance(holder, types.FunctionType):
        named = (holder.__kwdefaults__ or {}).values()
        return [*(holder.__closure__ or ()), *(holder.__defaults__ or ()), *named]
    return [held for held in gc.get_referents(holder) if gc.is_tracked(held)]


def _is_limit(held: object) -> bool:
    kind = type(held)
    return issubclass(kind, (*_SHARED, Plugin)) or str(kind.__module__).startswith("plugbook.")
