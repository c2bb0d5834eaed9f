"""What code outside of every plugin does to a host, in a form that a notebook can take back with its cell."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from plugbook.events.dispatch.cause import Cause, current_cause
from plugbook.events.dispatch.registrations import Redo, Registrar, Registration, current_registrar

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.work import Work
    from plugbook.host.handle import PluginHandle
    from plugbook.host.host import Host
    from plugbook.host.plan import Changes


class _HasBus(Protocol):
    @property
    def bus(self) -> Bus: ...


def registrar_for(bus: Bus) -> Registrar | None:
    """Who is told of what is registered now; nobody is told of what handlers and starting plugins register."""
    registrar = current_registrar.get()
    return registrar if registrar is not None and bus.cause() is None else None


def add_noted(
    host: Host, name: str, add: Callable[[bool], Changes | Work[Changes]], *, replace: bool
) -> Changes | Work[Changes]:
    """Add a plugin, and tell of it; what the same cell added when it ran before is replaced.

    Args:
        host: where it is added.
        name: the plugin's name.
        add: adds it, given whether to replace.
        replace: whether that was asked for.
    """
    registrar = registrar_for(host.bus)
    if registrar is None:
        return add(replace)
    before = host.plugins.get(name)
    former = before.plugin_class if before is not None else None
    restore = _restorer(before) if before is not None else None
    changes = add(replace or registrar.had_before("plugin", name, host))
    added = host.plugins[name].plugin_class
    if added is not None and added is former:
        return changes  # it could not take over, and the one that was there goes on

    def undo(host: Host, reason: str) -> Redo | None:
        now = host.plugins.get(name)
        if host.is_closed or now is None or now.plugin_class is not added:
            return None
        with told(host, "take back", reason, {"plugin": name}):
            if restore is None:
                host.remove(name)
            else:
                restore(host)
        return _stays

    registrar.note(Registration("plugin", name, weakref.ref(host), undo, waits=True))
    return changes


def _restorer(before: PluginHandle) -> Callable[[Host], None] | None:
    """What puts a plugin back as it is now; None where its code was never loaded."""
    plugin_class, options, is_active = before.plugin_class, before.options, before.is_active
    if plugin_class is None:
        return None

    def restore(host: Host) -> None:
        host.add(plugin_class, config=options, replace=True)
        if not is_active and host.plugins[before.name].is_active:
            host.stop(before.name)

    return restore


def note_listener(bus: Bus, listener: Callable[..., object], connect: Callable[[], Disconnect]) -> Disconnect:
    """Connect a listener, and tell of it, unless it is plugbook's own.

    Args:
        bus: the bus of the host that it listens to.
        listener: what is called.
        connect: connects it; what it returns disconnects it.
    """
    now = [connect()]

    def disconnect() -> None:
        if now:
            now.pop()()

    def undo(bus: Bus, reason: str) -> Redo | None:
        if not now:
            return None
        disconnect()
        _record(bus, "disconnect", reason, {"listener": label})

        def restore(reason: str) -> None:
            now.append(connect())
            _record(bus, "connect", reason, {"listener": label})

        return restore

    label = str(getattr(listener, "__qualname__", type(listener).__qualname__))
    registrar = registrar_for(bus)
    if registrar is not None and not str(getattr(listener, "__module__", "")).startswith("plugbook."):
        registrar.note(Registration("listener", label, weakref.ref(bus), undo))
    return disconnect


@contextmanager
def told(holder: _HasBus, what: str, reason: str, payload: Any = None) -> Iterator[None]:
    """Write a `change` record of a host with the reason; it is the cause of what happens inside."""
    seq = _record(holder.bus, what, reason, payload)
    token = current_cause.set(Cause(seq, seq) if seq else current_cause.get())
    try:
        yield
    finally:
        current_cause.reset(token)


def _record(bus: Bus, what: str, reason: str, payload: Any) -> int:
    return bus.recorder.put("change", what, reason=reason, payload=payload) if bus.recorder else 0


def _stays(_: str) -> None:
    """A plugin is taken back for good."""
