"""Why a plugin is in the state it is in, told from the first thing a person sees down to the first cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from plugbook.errors import ConfigError, PluginError
from plugbook.host.plan import Why
from plugbook.plugins.lifecycle import State
from plugbook.plugins.settings.fields import accepted, call_for
from plugbook.trace.telling import place_of, tell

if TYPE_CHECKING:
    from plugbook.host.handle import PluginHandle
    from plugbook.plugins.resolving.mending import Mend
    from plugbook.plugins.resolving.resolution import Resolution


def explain(
    handle: PluginHandle,
    handles: Mapping[str, PluginHandle],
    resolution: Resolution,
    mend_of: Callable[[PluginHandle], Mend | None],
) -> Why:
    """Follow a plugin's state to its first cause.

    Args:
        handle: the plugin in question.
        handles: all plugins of the host, by name.
        resolution: what the resolver last found.
        mend_of: finds a change that lets a plugin start, and was tried.
    """
    chain: list[str] = []
    first = handle
    while (need := _idle_need(first, handles, resolution)) is not None:
        chain.append(f"{_it(first, handle)} needs {need.name}, which is {need.state}")
        first = need
    remedy = _first_cause(first, _it(first, handle), chain) or f"start {handle.name!r}"
    if handle.is_active:
        return Why(handle.name, handle.state.value, tuple(chain))
    mend = mend_of(first) if not first.is_disabled else None
    return Why(handle.name, handle.state.value, tuple(chain), str(mend or remedy), mend=mend)


def _idle_need(
    handle: PluginHandle, handles: Mapping[str, PluginHandle], resolution: Resolution
) -> PluginHandle | None:
    """What keeps a plugin from running that is all right itself: the first of its needs that is not active."""
    if (member := _failed_member(handle, handles)) is not None:
        return member
    if handle.is_active or handle.problem is not None or handle.error is not None:
        return None
    if handle.state is State.QUARANTINED or handle.is_disabled:  # it would not run, whatever its needs do
        return None
    needs = (handles[name] for name in resolution.needs.get(handle.name, ()) if name in handles)
    return next((need for need in needs if not need.is_active), None)


def _failed_member(handle: PluginHandle, handles: Mapping[str, PluginHandle]) -> PluginHandle | None:
    """Of a bundle that failed because a member did: that member, as long as it is failed."""
    blamed = handle.error.plugin if isinstance(handle.error, PluginError) else None
    member = handles.get(blamed or "") if blamed != handle.name else None
    return member if member is not None and member.error is not None else None


def _first_cause(handle: PluginHandle, subject: str, chain: list[str]) -> str:
    """Append what a chain ends with; returns the remedy, where it is more than to start the plugin."""
    since = _clock_time(handle.since_ns)
    if handle.is_disabled:
        chain.append(f"{subject} is disabled")
        return f"enable {handle.name!r}"
    if handle.problem is not None:
        chain.extend(handle.problem.sentences)
        return handle.problem.remedy
    if handle.error is not None:
        raised = "" if isinstance(handle.error, BaseExceptionGroup) else f"{subject} raised "
        chain.append(f"{raised}{tell(handle.error)} in {handle.phase}")
        return f"{_mend_of_failure(handle)}, then start {handle.name!r} again"
    if handle.state is State.QUARANTINED:
        chain.append(handle.reason or f"{subject} was set aside after too many failures")
        return f"release {handle.name!r}"
    if handle.is_active:
        chain.append(f"{subject} was started at {since} and nothing stopped it")
    elif handle.state is State.STOPPED:
        chain.append(f"{subject} was stopped at {since}" + (f": {handle.reason}" if handle.reason else ""))
    else:
        chain.append(f"nobody has started {'it' if subject == 'it' else subject}")
    return ""


def _mend_of_failure(handle: PluginHandle) -> str:
    """What to do about what a plugin failed with."""
    error = handle.error
    if not isinstance(error, ConfigError):
        return f"mend {(place_of(error) if error is not None else '') or 'what raised it'}"
    model = handle.plugin_class.Config if handle.plugin_class is not None else None
    path = tuple((error.path or "").split("."))
    known = model is not None and path[0] in accepted(model)
    return call_for(handle.name, path) if known else f"mend the configuration of {handle.name!r}"


def _it(handle: PluginHandle, asked_for: PluginHandle) -> str:
    return "it" if handle is asked_for else handle.name


def _clock_time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9).astimezone().strftime("%H:%M:%S")
