"""The state of a plugin on its way from one generation to the next: taken, migrated, given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plugbook.errors import StateError
from plugbook.plugins.reloading.keeping import Keeping, keeps_state
from plugbook.plugins.reloading.plain import from_plain, to_plain

Await = Callable[[Any], Any]
"""What a method gave, or what it gives when it was awaited."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What one generation of a plugin leaves to the next.

    Attributes:
        state: its snapshot, as JSON.
        version: the `state_version` of its class.
        module: the module of its class.
    """

    state: Any
    version: int
    module: str


def take(plugin: Keeping, awaited: Await) -> Saved | None:
    """The state of a plugin that runs; None where it keeps none.

    Raises:
        StateError: its snapshot is no plain data.
        Exception: what its `snapshot` raises.
    """
    kind = type(plugin)
    if not keeps_state(kind):
        return None
    try:
        state = to_plain(awaited(plugin.snapshot()))
    except RecursionError:
        msg = "snapshot() gives data that contains itself, which no plain data can. Give a copy without the circle."
        raise StateError(msg) from None
    return Saved(state, kind.state_version, kind.__module__)


def give(plugin: Keeping, saved: Saved, awaited: Await, phase: Callable[[str], object]) -> None:
    """Have a new instance take over what was saved, migrated where its class counts another version.

    Args:
        plugin: the instance.
        saved: what the generation before it left.
        awaited: gives what an async method gives.
        phase: told what is being done: ``migrate``, then ``restore``.

    Raises:
        StateError: the state names what is not there any more.
        Exception: what its `migrate` or `restore` raises.
    """
    kind = type(plugin)
    modules = {saved.module: kind.__module__}
    is_old = saved.version != kind.state_version
    phase("migrate" if is_old else "restore")
    state = from_plain(saved.state, modules, to_migrate=is_old)
    if is_old:
        state = awaited(plugin.migrate(state, saved.version))
        phase("restore")
    awaited(plugin.restore(state))


def changed_since(plugin: Keeping, saved: Saved, awaited: Await) -> str:
    """What is not as it was in a state that was given to a plugin, and what to do about it; or ``""``.

    Of a state that was migrated nothing can be said.

    Raises:
        StateError: its snapshot is no plain data.
        Exception: what its `snapshot` raises.
    """
    now = take(plugin, awaited)
    if now is None or now.version != saved.version:
        return ""
    given = to_plain(from_plain(saved.state, {saved.module: now.module}))
    if given == now.state:
        return ""
    has_names = isinstance(given, dict) and isinstance(now.state, dict)
    gone = [name for name in given if name not in now.state] if has_names else []
    if gone:
        return f"its snapshot has no {', '.join(gone)} any more: count state_version up, and write migrate"
    lost = ", ".join(name for name in given if given[name] != now.state[name]) if has_names else "it"
    return f"its start changed {lost}: set up in __init__ what is restored before the start" if lost else ""
