"""Sets plugins aside until a person lets them out, also where the host was restarted in between."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plugbook.host.supervision.deliveries import QUARANTINED
from plugbook.host.supervision.quarantine_file import Entry
from plugbook.plugins.lifecycle import State

if TYPE_CHECKING:
    from plugbook.host.engine import Engine
    from plugbook.host.handle import PluginHandle
    from plugbook.host.supervision.deliveries import Deliveries
    from plugbook.host.supervision.quarantine_file import QuarantineFile


class Quarantine:
    """Moves plugins into quarantine and out of it, and keeps the file up to date.

    A plugin that is unloaded is out of it as well: it is removed, reloaded or replaced, which only people do.

    Args:
        engine: changes their states.
        deliveries: keeps what they miss.
        file: remembers them.
    """

    def __init__(self, engine: Engine, deliveries: Deliveries, file: QuarantineFile) -> None:
        self._engine = engine
        self._deliveries = deliveries
        self._file = file
        engine.followers.append(self._follow)

    def admit(self, handle: PluginHandle) -> None:
        """Set aside a plugin that has just come to the host, if it was so when the host last ran."""
        if handle.name in self._file:
            with self._deliveries.standing_in(handle, QUARANTINED):
                self._engine.quarantine(handle, self._file[handle.name].told(handle.manifest.version))

    def set_aside(self, handle: PluginHandle, why: str) -> None:
        """Quarantine a plugin that is not running any more."""
        self._engine.quarantine(handle, why)
        entry = Entry(reason=why, since=datetime.now(UTC), version=handle.manifest.version)
        self._file.put(handle.name, entry)

    def release(self, handle: PluginHandle) -> None:
        """Let a plugin out.

        Raises:
            LifecycleError: it is not quarantined.
        """
        self._engine.release(handle)
        self._file.take_out(handle.name)

    def _follow(self, handle: PluginHandle) -> None:
        if handle.state is State.UNLOADED:
            self._file.take_out(handle.name)
