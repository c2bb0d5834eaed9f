"""The plugins that a recording knows, by its manifests, its states and what they did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

    from plugbook.trace.reading.recording import Recording


class PluginView(NamedTuple):
    """One plugin as a row of a table or a node of a graph.

    Attributes:
        name: its name.
        version: its version, or ``""`` where it is not known.
        state: its lifecycle state, or ``""`` for a plugin of a foreign system, which has none.
        error: what went wrong with it last, as ``Type: message``, or ``""``.
        reason: why it is in its state, its error included, or ``""``.
        summary: what it is for, in a line, or ``""``.
    """

    name: str
    version: str = ""
    state: str = ""
    error: str = ""
    reason: str = ""
    summary: str = ""


def plugins_in(recording: Recording) -> list[PluginView]:
    """The plugins that a recording knows, each as it was last: in the order they were started or first seen."""
    manifests = recording.facts("manifest")
    first = {name: _fact_text(data, "state") for name, data in recording.facts("state").items()}
    frame = recording.states(columns=["plugin", "after", "error", "reason"])
    last = {str(row["plugin"]): row for row in frame.to_dict("records")}
    states = first | {name: str(row["after"]) for name, row in last.items()}
    reasons = {name: str(row["error"] or row["reason"] or "") for name, row in last.items()}
    names = list(dict.fromkeys([*frame["plugin"].astype(str), *manifests, *first, *_owners(recording)]))
    return [
        PluginView(
            name=name,
            version=_fact_text(manifests.get(name), "version"),
            state=states.get(name, ""),
            error=str(last[name]["error"] or "") if name in last else "",
            reason=reasons.get(name, ""),
            summary=_fact_text(manifests.get(name), "summary"),
        )
        for name in names
        if name
    ]


def _owners(recording: Recording) -> list[str]:
    """Plugins that are known by what they did alone, as those of a foreign system are."""
    if not recording.selected:
        return list(recording.names["plugins"])
    calls: pd.DataFrame = recording.calls(columns=["plugin"])
    return [str(name) for name in calls["plugin"].unique()]


def _fact_text(data: Any, field: str) -> str:
    value = data.get(field, "") if isinstance(data, Mapping) else (data if field == "state" else "")
    return str(value or "")
