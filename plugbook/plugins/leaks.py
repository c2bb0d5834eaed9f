"""What a stopped plugin left behind: threads, tasks, subscriptions and instances, and who holds them."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import traceback
import types
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, TypeVar

from plugbook.events.subscription import ABSENT

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.events.subscription import Subscription
    from plugbook.plugins.plugin import Plugin

Runner = threading.Thread | asyncio.Task[Any]

_OUR_THREADS = ("plugbook", "asyncio_")
"""Those of the host's loop, of its executor too, which end with the host."""
T = TypeVar("T")

_MOST_VISITED = 5_000
_HOUSEKEEPING = ("plugbook.", "_pytest.", "gc", "weakref")


@dataclass(frozen=True, slots=True)
class Leak:
    """One thing that should be gone.

    Attributes:
        plugin: whose.
        kind: ``thread``, ``task``, ``subscription`` or ``instance``.
        what: its name.
        held_by: a path from something that never goes away to it, or what it is doing.
    """

    plugin: str
    kind: Literal["thread", "task", "subscription", "instance"]
    what: str
    held_by: str = ""

    def __str__(self) -> str:
        held = f", held by {self.held_by}" if self.held_by else ""
        return f"{self.plugin} left {'an' if self.kind == 'instance' else 'a'} {self.kind} behind: {self.what}{held}"


class Leaks(list[Leak]):
    """What was left behind; empty where everything was given back."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "nothing was left behind"

    __repr__ = __str__


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
