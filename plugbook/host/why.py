"""Why a plugin is in the state it is in, told from the first thing a person sees down to the first cause."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from plugbook.plugins.lifecycle import State

from .plan import Why

if TYPE_CHECKING:
    from plugbook.plugins.resolution import Resolution

    from .handle import PluginHandle


def explain(handle: PluginHandle, handles: Mapping[str, PluginHandle], resolution: Resolution) -> Why:
    """Follow a plugin's state to its first cause.

    Args:
        handle: the plugin in question.
        handles: all plugins of the host, by name.
        resolution: what the resolver last found.
    """
    chain: list[str] = []
    remedy = _follow(handle, handles, resolution, chain)
    return Why(handle.name, handle.state.value, tuple(chain), remedy)


def _follow(
    handle: PluginHandle, handles: Mapping[str, PluginHandle], resolution: Resolution, chain: list[str]
) -> str:
    """Append the causes to `chain`, nearest first; returns the remedy."""
    name = handle.name
    if handle.is_active:
        chain.append(f"it was started at {_clock_time(handle.since_ns)} and nothing stopped it")
        return ""
    if handle.problem is not None:
        chain.extend(fact for problem in handle.problem.chain for fact in problem.facts)
        return handle.problem.remedy
    if handle.error is not None:
        chain.append(f"its {handle.phase} raised {_told(handle.error)}")
        return f"mend {_place(handle.error) or 'what raised it'}, then start {name!r} again"
    for needed in reversed(resolution.requirements_of(name)):
        other = handles.get(needed)
        if other is not None and not other.is_active:
            if handle.reason:
                chain.append(handle.reason)
            chain.append(f"it needs {needed}, which is {other.state}")
            return _follow(other, handles, resolution, chain)
    if handle.state is State.QUARANTINED:
        chain.append(handle.reason or "it was set aside after too many failures")
        return f"release {name!r}"
    chain.append(handle.reason or "nobody started it")
    return f"start {name!r}"


def _told(error: BaseException) -> str:
    members = getattr(error, "exceptions", ())
    if members:
        return f"{error.args[0]}: " + "; ".join(_told(member) for member in members)
    text = str(error).split("\n", 1)[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """Where it was raised, as ``file:line``; of a group, where its first member was."""
    while getattr(error, "exceptions", ()):
        error = error.exceptions[0]  # type: ignore[attr-defined]
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _clock_time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9).astimezone().strftime("%H:%M:%S")
