"""Finds what a stopped plugin left behind: threads, tasks, subscriptions and instances."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from plugbook.events.subscription import ABSENT
from plugbook.plugins.leaks.leak import Leak
from plugbook.plugins.leaks.paths import path_to

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.events.subscription import Subscription
    from plugbook.plugins.plugin import Plugin

Runner = threading.Thread | asyncio.Task[Any]

_OUR_THREADS: Final = ("plugbook", "asyncio_")
"""Those of the host's loop, of its executor too, which end with the host."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A plugin of whom there may be something to find.

    Attributes:
        name: its name.
        plugin_class: its class, where it is still known.
        instances: of one that runs its instance; of another those that should be gone.
        begun: the threads and tasks that came to life while it started.
    """

    name: str
    plugin_class: type[Plugin] | None
    instances: Collection[weakref.ref[Plugin]]
    begun: Collection[Runner] = ()

    def alive(self) -> list[Plugin]:
        """The instances that are there."""
        return [instance for ref in self.instances if (instance := ref()) is not None]


def find_leaks(plugin: Holder, bus: Bus, running: Collection[Holder] = ()) -> list[Leak]:
    """What a plugin that is not running left behind.

    Args:
        plugin: the plugin.
        bus: where its subscriptions would be, and the loop on which its tasks would run.
        running: the plugins that are running: what is theirs is no leak, though it may have the same name.
    """
    gc.collect()
    alive = plugin.alive()
    name, known = plugin.name, plugin.plugin_class
    classes = tuple({type(instance) for instance in alive} | ({known} if known else set()))
    replaced = any(each.name == name for each in running)
    current = [instance for each in running for instance in each.alive()]
    theirs = [runner for each in running for runner in each.begun]

    def is_its_own(thing: Any) -> bool:
        owner = getattr(thing, "__self__", None)
        return all(owner is not each for each in current) and _belongs(thing, classes)

    def is_left(subscription: Subscription) -> bool:
        if subscription.handler is ABSENT:
            return False  # the host put it there
        if subscription.plugin != name:
            return is_its_own(subscription.handler)
        owner = getattr(subscription.handler, "__self__", None)
        return not replaced or any(owner is each for each in alive)

    def has_left(runner: Runner, does: Any) -> bool:
        return runner not in theirs and (runner in plugin.begun or is_its_own(does))

    leaks = [
        Leak(name, "subscription", f"{each.name} to {each.target_text}")
        for each in bus.subscriptions
        if is_left(each)
    ]
    leaks += [
        Leak(name, "task", task.get_name(), _where(task))
        for task in bus.loop.tasks()
        if has_left(task, task.get_coro()) or (task.get_name().startswith(f"{name}.") and not replaced)
    ]
    leaks += [
        Leak(name, "thread", thread.name, _running(thread))
        for thread in threading.enumerate()
        if has_left(thread, _target(thread))
    ]
    leaks += [Leak(name, "instance", type(each).__qualname__, path_to(each, alive)) for each in alive]
    return leaks


def runners(bus: Bus) -> set[Runner]:
    """The threads there are, and the tasks on a bus's loop, but for those that belong to the bus."""
    threads: Iterable[threading.Thread] = threading.enumerate()
    return {thread for thread in threads if not thread.name.startswith(_OUR_THREADS)} | bus.loop.tasks()


# -- whose code it is -----------------------------------------------------------------------------


def _belongs(thing: Any, classes: tuple[type, ...]) -> bool:
    """Whether a function, method or coroutine is part of one of these classes."""
    owner = getattr(thing, "__self__", None)
    if owner is not None and isinstance(owner, classes):
        return True
    name = getattr(thing, "__qualname__", "") or ""
    code = getattr(thing, "__code__", None) or getattr(thing, "cr_code", None)
    files = {
        sys.modules[each.__module__].__dict__.get("__file__")
        for each in classes
        if each.__module__ in sys.modules
    }
    is_here = code is None or code.co_filename in files or None in files
    return is_here and any(name.startswith(f"{each.__qualname__}.") for each in classes)


def _target(thread: threading.Thread) -> Any:
    if type(thread).run is not threading.Thread.run:
        return type(thread).run
    return getattr(thread, "_target", None)


def _running(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001
    return f"its run, now at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


def _where(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    return (
        f"the loop, waiting at {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "the loop"
    )
