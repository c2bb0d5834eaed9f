"""Asks what a host's plugins left behind, and writes what is found into the recording."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from plugbook.plugins.leaks import Leaks, Life, find_leaks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from plugbook.events.bus import Bus
    from plugbook.host.handle import PluginHandle
    from plugbook.plugins.finding.loader import Loader
    from plugbook.plugins.leaks import Leak


class Leaking:
    """Looks for leaks.

    Args:
        bus: the host's.
        loader: knows which modules are whose.
    """

    def __init__(self, bus: Bus, loader: Loader) -> None:
        self._bus = bus
        self._loader = loader
        self._noted: set[tuple[str, str, str, bool]] = set()

    def find(self, handles: Collection[PluginHandle]) -> Leaks:
        """What these plugins and their former generations left behind, and what those that run would."""
        if self._bus.recorder is not None:
            self._bus.recorder.flush()  # what is not written yet still holds handlers
        self._bus.loop.settle()
        left = find_leaks([life for handle in handles for life in self._lives(handle)], self._bus)
        stale = (leak for handle in handles for remains in handle.remains for leak in remains.find())
        leaks = Leaks((*left, *stale))
        for leak in leaks:
            self._note(leak)
        return leaks

    def _lives(self, handle: PluginHandle) -> Iterator[Life]:
        entry_point = handle.manifest.entry_point if handle.is_imported else ""
        modules, unloaded = self._loader.modules(entry_point), self._loader.unloaded(entry_point)
        name, own = handle.name, handle.plugin_class
        replaced = [remains.instance() for remains in handle.remains]
        former = [ref for ref in handle.former if all(ref() is not each for each in replaced)]
        if handle.instance is not None and handle.scope is not None:
            now = (weakref.ref(handle.instance),)
            yield Life(name, own, now, (handle.begun.now,), handle.scope, modules)
            yield Life(name, None, former, (handle.begun.before,), unloaded=unloaded)
        else:
            begun = (handle.begun.now, handle.begun.before)
            yield Life(name, own, former, begun, None, modules, unloaded)
        for remains, instance in zip(handle.remains, replaced, strict=True):
            there = (weakref.ref(instance),) if instance is not None else ()
            begun = (remains.begun.now, remains.begun.before)
            yield Life(name, None, there, begun, is_replaced=True)

    def _note(self, leak: Leak) -> None:
        """Write a `mark` record of a leak that was not found before."""
        key = (leak.plugin, leak.kind, leak.what, leak.is_ahead)
        if self._bus.recorder is None or key in self._noted:
            return
        self._noted.add(key)
        facts = {
            name: getattr(leak, name) for name in ("kind", "what", "path", "place", "remedy", "is_ahead")
        }
        self._bus.recorder.put("mark", "leak", plugin=leak.plugin, payload={"text": str(leak), **facts})
