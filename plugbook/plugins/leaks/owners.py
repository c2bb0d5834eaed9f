"""Says whose something is: what speaks for a plugin having made it, and how surely."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import sys
import threading
import types
import weakref
from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from plugbook.plugins.leaks.origins import made_through
from plugbook.plugins.leaks.paths import is_held
from plugbook.plugins.leaks.reach import Reach
from plugbook.plugins.plugin import Plugin
from plugbook.trace.record import extent

if TYPE_CHECKING:
    from plugbook.plugins.leaks.begun import Lot
    from plugbook.plugins.leaks.census import Thing
    from plugbook.plugins.leaks.origins import Line
    from plugbook.plugins.leaks.unloaded import Unloaded
    from plugbook.plugins.scope import Scope


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """A plugin from its start on, or all the times that it ran before.

    Attributes:
        plugin: its name.
        plugin_class: its class, where that is still known.
        instances: those that there may be.
        begun: what came to life while it started.
        scope: what it took through its context; None where it is over.
        modules: its own modules, as far as the host imported them for it.
        unloaded: modules that were taken out, and of which something is alive.
        is_replaced: whether another generation of its code has replaced it; then what is alive of its code, and what
            runs it, is told as stale, and here is only what it opened.
    """

    plugin: str
    plugin_class: type[Plugin] | None = None
    instances: Collection[weakref.ref[Plugin]] = ()
    begun: Collection[Lot] = ()
    scope: Scope | None = None
    modules: Collection[types.ModuleType] = ()
    unloaded: Collection[Unloaded] = ()
    is_replaced: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing of it should be there any more."""
        return self.scope is None


class Claim(NamedTuple):
    """How surely something is a plugin's; of two, the smaller one is the surer.

    Attributes:
        is_not_made: whether Python did not see its code make it.
        is_not_begun: whether it was not made while the plugin started.
        is_not_run: whether it does not run the plugin's code.
        steps: how far away the plugin holds it.
    """

    is_not_made: bool
    is_not_begun: bool
    is_not_run: bool
    steps: float


_NONE = Claim(True, True, True, math.inf)


class Owner:
    """A life, with what the search has to know to tell what belongs to it.

    Args:
        life: whose things it may be.
        tasks: those on its host's loop.
    """

    def __init__(self, life: Life, tasks: Set[asyncio.Task[Any]] = frozenset()) -> None:
        self.life = life
        self._tasks = tasks
        self.instances = [instance for ref in life.instances if (instance := ref()) is not None]
        known = {life.plugin_class} if life.plugin_class else set()
        self.classes = tuple({type(instance) for instance in self.instances} | known)
        self.anchors = list(self._anchors())
        self._reach = Reach(self.anchors)
        self._extents = [extent(code) for each in self.classes for code in _code_of(each)]
        self._files = {getattr(module, "__file__", None) for module in life.modules}
        self._given_back = self._undone_by("cleanup", "context")
        self._cancelled = self._undone_by("task", through_instance=False)

    def claim(self, thing: Thing) -> Claim | None:
        """How surely it is the plugin's; None where nothing speaks for it."""
        steps = self._reach.distance(thing.core)
        claim = Claim(
            not any(map(self._is_line, made_through(thing.core))),
            not any(thing in lot for lot in self.life.begun),
            not (any(map(self.is_its_code, thing.does)) or self._is_named(thing)),
            math.inf if steps is None else steps,
        )
        return None if claim == _NONE else claim

    def gives_back(self, thing: Thing) -> bool:
        """Whether a cleanup of the plugin can get at it, so that it may end it at stop."""
        if any(thing.core in undone or thing.it in undone for undone in (self._given_back, self._cancelled)):
            return True
        return thing.kind in ("thread", "task") and self._given_back.meets(self._used_by(thing.it))

    def is_its_code(self, function: Any) -> bool:
        """Whether a function, method or coroutine is the plugin's."""
        owner = _self_of(function)
        if isinstance(owner, self.classes or ()):
            return any(owner is instance for instance in self.instances)
        name = getattr(function, "__qualname__", "") or ""
        code = getattr(function, "__code__", None) or getattr(function, "cr_code", None)
        if not any(name.startswith(f"{each.__qualname__}.") for each in self.classes):
            return False
        files = {getattr(sys.modules.get(each.__module__), "__file__", None) for each in self.classes}
        return code is None or code.co_filename in files or None in files

    def cells(self) -> list[object]:
        """The variables that the class shares with the function around its class statement."""
        functions = (value for each in self.classes for value in vars(each).values())
        return [cell for each in functions for cell in getattr(each, "__closure__", None) or ()]

    # -- inside -----------------------------------------------------------------------------------

    def _anchors(self) -> Iterator[object]:
        """What is the plugin's without any doubt."""
        yield from self.instances
        yield from (vars(instance) for instance in self.instances)
        yield from map(vars, self.life.modules)
        yield from (held for each in self.classes for held in gc.get_referents(each) if type(held) is dict)
        for module in self.life.unloaded:
            yield from module.namespaces()

    def _undone_by(self, *kinds: str, through_instance: bool = True) -> Reach:
        cleanups = self.life.scope.cleanups(*kinds) if self.life.scope is not None else ()
        return Reach(cleanups, own=self.instances if through_instance else ())

    def _used_by(self, it: Any) -> Reach:
        given: Iterable[object] = vars(it).values() if isinstance(it, threading.Thread) else (it.get_coro(),)
        return Reach(given, own=self.instances)

    def _is_line(self, line: Line) -> bool:
        within = (file == line.file and first <= line.number <= last for file, first, last in self._extents)
        return line.file in self._files or any(within)

    def _is_named(self, thing: Thing) -> bool:
        """Whether it is a task that was spawned in the plugin's name."""
        return thing.it in self._tasks and thing.what.startswith(f"{self.life.plugin}.")


def owner_of(thing: Thing, owners: Collection[Owner]) -> Owner | None:
    """Whose it is: the surest claim counts, and among equals the first.

    That a plugin holds it counts where nobody else does: they may have lent it.
    """
    claims = [(claim, owner) for owner in owners if (claim := owner.claim(thing)) is not None]
    if not claims:
        return None
    claim, owner = min(claims, key=lambda each: each[0])
    if claim[:-1] == _NONE[:-1]:
        anchors = [anchor for each in owners for anchor in each.anchors]
        if is_held(thing.it, without=anchors, elsewhere=[cell for each in owners for cell in each.cells()]):
            return None
    return owner


def _code_of(plugin_class: type[Plugin]) -> Iterator[types.CodeType]:
    for value in vars(plugin_class).values():
        code = getattr(inspect.unwrap(value) if callable(value) else value, "__code__", None)
        if isinstance(code, types.CodeType):
            yield code


def _self_of(function: Any) -> object:
    """On whose behalf it runs: what it is bound to, or the plugin among its variables."""
    variables: Iterable[object] = ()
    if isinstance(function, types.CoroutineType):
        variables = inspect.getcoroutinelocals(function).values()
    elif isinstance(function, types.FunctionType):
        variables = gc.get_referents(*(function.__closure__ or ()))
    plugins = (each for each in variables if issubclass(type(each), Plugin))
    return getattr(function, "__self__", None) or next(plugins, None)
