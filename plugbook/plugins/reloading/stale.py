"""What is left of a generation of code that another one has replaced: what is alive of it, and who holds it.

An import cannot take back what was handed out. Objects of old classes, functions that were made by old functions,
handlers somebody has subscribed, names in other modules: each of them goes on running the old code. None of it is
wrong in itself; it is what explains a program that behaves as if it had not been reloaded.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from plugbook.events.subscription import Subscription
from plugbook.plugins.leaks import Begun, Leak, path_to

if TYPE_CHECKING:
    from plugbook.plugins.leaks.leak import Stale
    from plugbook.plugins.plugin import Plugin

_MARK: Final = "__plugbook_replaced__"
"""Under this name the namespaces of a replaced generation have what marks them as belonging to it."""
_MOST: Final = 20
"""Of each kind that many are told; more of them would say no more."""


class _Token:
    """Marks the namespaces of one generation; alive as long as one of them is."""


@dataclass(slots=True)
class Remains:
    """A generation that was replaced. Keeps nothing of it alive.

    Attributes:
        plugin: whose it was.
        generation: its number.
        begun: what came to life while it started.
    """

    plugin: str
    generation: int
    begun: Begun
    _classes: weakref.WeakSet[type]
    _instance: weakref.ref[Plugin] | None
    _token: weakref.ref[_Token] | None = field(default=None)

    @classmethod
    def of(
        cls,
        plugin: str,
        generation: int,
        instance: Plugin | None,
        modules: Iterable[ModuleType],
        begun: Begun,
    ) -> Remains:
        """What may be left of a generation; to be called when another one runs.

        Args:
            plugin: the plugin's name.
            generation: the number of the generation.
            instance: the plugin as it was.
            modules: the modules that were put aside.
            begun: what came to life while it started.
        """
        token = _Token()
        classes: weakref.WeakSet[type] = weakref.WeakSet()
        marked = list(modules)
        for module in marked:
            vars(module)[_MARK] = token
            classes.update(_classes_in(module))
        return cls(
            plugin,
            generation,
            begun,
            classes,
            weakref.ref(instance) if instance is not None else None,
            weakref.ref(token) if marked else None,
        )

    def instance(self) -> Plugin | None:
        """The plugin as it was, or None where it is gone."""
        return self._instance() if self._instance is not None else None

    def is_alive(self) -> bool:
        """Whether there may be something to find, without looking for it."""
        has_instance = self.instance() is not None
        has_code = self._token is not None and self._token() is not None
        return has_instance or has_code or bool(self._classes) or bool(self.begun)

    def find(self) -> list[Leak]:
        """What is alive of it, each with a path from whoever holds it."""
        gc.collect()
        if not self.is_alive():
            return []
        token = self._token() if self._token is not None else None
        classes = set(self._classes)
        leaks = list(self._running())
        leaks += self._held("stale instance", self._instances(classes))
        if token is not None or classes:
            leaks += self._named(token, classes)
            leaks += self._held("stale closure", (each for each in _functions() if _is_inner(each, token)))
        return leaks

    # -- inside -----------------------------------------------------------------------------------

    def _leak(self, kind: Stale, what: str, path: str = "") -> Leak:
        return Leak(self.plugin, kind, f"{what} of generation {self.generation}", path)

    def _running(self) -> Iterator[Leak]:
        for runner in self.begun.runners():
            if isinstance(runner, threading.Thread):
                yield self._leak("stale thread", runner.name)
            else:
                yield self._leak("stale task", runner.get_name())

    def _instances(self, classes: Collection[type]) -> list[object]:
        own = self.instance()
        found: list[object] = [] if own is None else [own]
        if classes:
            found += [each for each in gc.get_objects() if type(each) in classes and each is not own]
        return found

    def _named(self, token: object, classes: Collection[type]) -> Iterator[Leak]:
        """Names in modules, and subscriptions, that stand for something of the old code."""
        for name, module in tuple(sys.modules.items()):
            namespace = getattr(module, "__dict__", None)
            if not isinstance(namespace, dict) or namespace.get(_MARK) is token is not None:
                continue
            for key, value in tuple(namespace.items()):
                if _is_old(value, token, classes):
                    yield self._leak("stale name", key, f"{name}.{key}")
        for each in gc.get_objects():
            if type(each) is Subscription and _listens(each, token, classes):
                yield self._leak("stale subscription", f"{each.name} to {each.target_text}", each.plugin)

    def _held(self, kind: Stale, things: Iterable[Any]) -> list[Leak]:
        alive = list(things)
        return [self._leak(kind, _title(each), path_to(each, alive)) for each in alive[:_MOST]]


def _classes_in(module: ModuleType) -> Iterator[type]:
    """The classes that a module defines, with those inside them."""
    waiting = [value for value in vars(module).values() if isinstance(value, type)]
    seen: set[type] = set()
    while waiting:
        found = waiting.pop()
        if found.__module__ == module.__name__ and found not in seen:
            seen.add(found)
            yield found
            waiting += [value for value in vars(found).values() if isinstance(value, type)]


def _functions() -> Iterator[FunctionType]:
    return (each for each in gc.get_objects() if type(each) is FunctionType)


def _is_inner(function: FunctionType, token: object) -> bool:
    """Whether a function was made by another one of the old code, which is how it can be held outside of it."""
    is_made = "<locals>" in function.__qualname__ or function.__name__ == "<lambda>"
    return is_made and token is not None and function.__globals__.get(_MARK) is token


def _is_old(value: object, token: object, classes: Collection[type]) -> bool:
    if isinstance(value, type):
        return value in classes
    namespace = getattr(value, "__globals__", None) if type(value) is FunctionType else None
    return namespace is not None and token is not None and namespace.get(_MARK) is token


def _listens(subscription: Subscription, token: object, classes: Collection[type]) -> bool:
    """Whether a subscription calls the old code, or waits for events of an old class."""
    if subscription.has_left:
        return False
    if isinstance(subscription.target, type) and subscription.target in classes:
        return True
    handler: Any = subscription.handler
    return type(getattr(handler, "__self__", None)) in classes or _is_old(
        getattr(handler, "__func__", handler), token, classes
    )


def _title(thing: object) -> str:
    return str(getattr(thing, "__qualname__", None) or type(thing).__qualname__)
