"""What the views show, gathered the same way from a live host and from a recording, before any drawing.

A recording is enough for every view: the manifests and states noted when it was opened, then the records.
Where a host is given, its states of this moment are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from plugbook.errors import RecordingError
from plugbook.trace.reading.roster import PluginView, plugins_in
from plugbook.trace.telling import first_line, place_of, recorded_place, tell

from .markup import safe_repr

if TYPE_CHECKING:
    from plugbook.host.host import Host
    from plugbook.replay.player import Player
    from plugbook.trace.reading.recording import Recording

Source: TypeAlias = "Host | Recording | Player | str | PathLike[str]"
"""What a view can be given."""

EDGE_KINDS = ("requires", "capability", "optional", "conflicts")


class Edge(NamedTuple):
    """That `source` needs `target` (or conflicts with it); `kind` is one of `EDGE_KINDS`."""

    source: str
    target: str
    kind: str


def is_host(source: object) -> bool:
    """Whether a view was given a host rather than a recording."""
    return hasattr(source, "states") and not callable(source.states)


def plugins_of(source: Any) -> list[PluginView]:
    """The plugins of a host or a recording, in the order they were started or first seen."""
    return _plugins_of_host(source) if is_host(source) else plugins_in(source)


def edges_of(source: Any) -> list[Edge]:
    """Who needs whom, on a host or by the manifests in a recording."""
    if is_host(source):
        return [Edge(str(edge[0]), str(edge[1]), str(edge[2])) for edge in source.graph]
    return _edges_of_manifests(source.facts("manifest"))


def recording_of(source: Any) -> Recording | None:
    """The recording behind a host, None where it records nothing; or the recording itself."""
    recording: Recording | None = source.recording if is_host(source) else source
    return recording


def reason_of(host: Any, name: str) -> str:
    """Why a plugin of a host is not running, in a line: its error, or the nearest cause; of one that runs, what holds it back."""
    handle = host.plugins[name]
    if handle.error is not None:
        return error_text(handle.error)
    if str(handle.state) == "active":
        return str(host.held(name))
    return next(iter(host.why(name).chain), "")


def error_text(error: Any) -> str:
    """An error in a line, ``Type: message``, whether it is an exception, its description or text."""
    if error is None or error == "":
        return ""
    if isinstance(error, BaseException):
        return tell(error)
    if isinstance(error, Mapping):
        return f"{error.get('type', 'Error')}: {first_line(str(error.get('message', '')))}"
    return first_line(str(error))


def error_place(error: Any) -> str:
    """Where an exception, or the description of one, was raised in somebody's own code; "" where that is not known."""
    if isinstance(error, BaseException):
        return place_of(error, brief=True)
    return recorded_place(dict(error), brief=True) if isinstance(error, Mapping) else ""


def opened(source: Any) -> AbstractContextManager[Any]:
    """What a view was given: a host or a recording as it is, that of a player, or the file at a path.

    Raises:
        RecordingError: it is none of these.
        RecordingMissingError: there is no file at that path.
    """
    if isinstance(source, str | PathLike):
        from plugbook.trace.reading.recording import open_recording

        return open_recording(source)
    if hasattr(source, "play") and not isinstance(source, type):
        source = source.host if source.host is not None else source.recording
    if isinstance(source, type) or not (is_host(source) or hasattr(source, "facts")):
        given = f"the class {source.__name__}" if isinstance(source, type) else safe_repr(source)
        msg = f"{given} cannot be drawn; give a host, a recording, a player, or the path of a recording."
        raise RecordingError(msg)
    return nullcontext(source)


def _plugins_of_host(host: Any) -> list[PluginView]:
    return [
        PluginView(
            name=name,
            version=str(getattr(handle.manifest, "version", "") or ""),
            state=str(handle.state),
            error=error_text(handle.error),
            reason=reason_of(host, name),
            summary=str(getattr(handle.manifest, "summary", "") or ""),
        )
        for name, handle in dict(host.plugins).items()
    ]


def _edges_of_manifests(manifests: Mapping[str, Any]) -> list[Edge]:
    known = {name: data for name, data in manifests.items() if isinstance(data, Mapping)}
    providers: dict[str, list[str]] = {}
    for name, data in known.items():
        for capability in data.get("provides") or ():
            providers.setdefault(str(capability), []).append(name)
    edges = []
    for name, data in known.items():
        for kind in ("requires", "optional", "conflicts"):
            edges += [Edge(name, _bare_name(text), kind) for text in data.get(kind) or ()]
        for capability in data.get("needs") or ():
            edges += [
                Edge(name, other, "capability")
                for other in providers.get(str(capability), ())
                if other != name
            ]
    return [edge for edge in edges if edge.target in known]


def _bare_name(requirement: str) -> str:
    """The name in a requirement's text; the text itself where it is not a valid one."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(requirement).name
    except InvalidRequirement:
        return requirement
