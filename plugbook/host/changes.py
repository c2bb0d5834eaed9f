"""Writes what the host does to a plugin, beyond its lifecycle, into the recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugbook._types import Outcome
    from plugbook.events.bus import Bus, Cause


def record_change(
    bus: Bus,
    what: str,
    plugin: str,
    payload: Any = None,
    *,
    outcome: Outcome = "ok",
    reason: str = "",
    cause: Cause | None = None,
) -> None:
    """Write a `change` record, caused by whatever runs here.

    Args:
        bus: what is recorded.
        what: what was done, such as ``pause``.
        plugin: to which plugin.
        payload: the facts of it.
        outcome: how it ended.
        reason: why it was done.
        cause: what it is caused by, where that is something else.
    """
    recorder = bus.recorder
    if recorder is None:
        return
    cause = cause or bus.cause()
    recorder.put(
        "change",
        what,
        plugin=plugin,
        parent=cause.seq if cause else None,
        root=cause.root if cause else None,
        outcome=outcome,
        reason=reason,
        payload=payload,
    )
