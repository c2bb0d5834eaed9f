"""What went wrong in an active plugin since it was started, read from the host's recording."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from plugbook.trace.record import show_seq
from plugbook.trace.telling import first_line, recorded_place
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    from plugbook.host.handle import PluginHandle
    from plugbook.host.plan import Why
    from plugbook.trace.reading.recording import Recording
    from plugbook.trace.record import Record


def with_troubles(why: Why, handle: PluginHandle, recording: Recording | None) -> Why:
    """A why that also says which calls and background tasks of an active plugin failed, and the last error."""
    if recording is None or not handle.is_active:
        return why
    recording.flush()
    failed = recording.select(
        plugins=handle.name, outcome=("error", "timeout"), seq=slice(handle.since_seq, None)
    )
    calls = failed.select(kinds="call").calls(columns=("seq", "topic"))
    tasks = failed.select(kinds="log").logs(columns=("seq",))
    told, last = [], None
    if len(tasks):
        last = recording[int(tasks.seq.iloc[-1])]
        message = last.payload.get("message", "") if isinstance(last.payload, dict) else ""
        told.append(
            f"{count_text(len(tasks), 'background task')} failed since; the last: {message}, {_ended(last)}"
        )
    if len(calls):
        last = recording[int(calls.seq.iloc[-1])]
        what = f"{last.name} for {calls.topic.iloc[-1]} (#{show_seq(last.seq)})"
        told.insert(0, f"{count_text(len(calls), 'call')} failed since; the last: {what}, {_ended(last)}")
    if last is None:
        return why
    place = recorded_place(last.error) if isinstance(last.error, dict) else ""
    again = "reload it" if handle.is_imported else "define it again"
    return replace(why, troubles=tuple(told), remedy=f"mend {place or 'what failed'}, then {again}")


def _ended(record: Record) -> str:
    """How it ended: what was raised, and where."""
    error = record.error
    if not isinstance(error, dict):
        return f"{record.outcome}: {record.reason}"
    message = first_line(str(error.get("message", "")))
    place = recorded_place(error, brief=True)
    return f"{error.get('type')}: {message}" + (f" ({place})" if place else "")
