"""The lifecycle of a plugin, as one table: everything that decides a plugin's next state is here.

`TRANSITIONS` is the truth; the check before every change, the list of what is allowed and the diagram
in the guide are all read from it. A plugin holds resources only while it is starting, active or
stopping: whatever leaves those states has closed its scope first. So what is active is stopped before it
is quarantined or unloaded, and a start or stop that went wrong is reported as failed when its cleanup
has run.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from plugbook.errors import LifecycleError


class State(StrEnum):
    """Where a plugin is in its life.

    Attributes:
        DISCOVERED: known by its manifest; what it requires has not been found yet.
        RESOLVED: everything it requires is there.
        LOADED: its code is imported.
        STARTING: its start runs.
        ACTIVE: started; its handlers are called.
        STOPPING: its cleanup runs.
        STOPPED: cleaned up; may start again.
        FAILED: it raised while it was loaded, started or stopped.
        QUARANTINED: set aside by the host after too many failures.
        UNLOADED: its code is dropped.
    """

    DISCOVERED = "discovered"
    RESOLVED = "resolved"
    LOADED = "loaded"
    STARTING = "starting"
    ACTIVE = "active"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    UNLOADED = "unloaded"


class Request(StrEnum):
    """What can be asked of a plugin's state.

    ``started``, ``stopped`` and ``fail`` are reported by the host when something ended; the others are
    asked for, by a person or by the host on the way to what a person asked for.
    """

    RESOLVE = "resolve"
    LOAD = "load"
    START = "start"
    STARTED = "started"
    STOP = "stop"
    STOPPED = "stopped"
    FAIL = "fail"
    QUARANTINE = "quarantine"
    RELEASE = "release"
    RELOAD = "reload"
    UNLOAD = "unload"


TRANSITIONS: Final[dict[State, dict[Request, State]]] = {
    State.DISCOVERED: {
        Request.RESOLVE: State.RESOLVED,
        Request.FAIL: State.FAILED,
        Request.QUARANTINE: State.QUARANTINED,  # it was when the host last ran, and nobody let it out
        Request.UNLOAD: State.UNLOADED,
    },
    State.RESOLVED: {
        Request.LOAD: State.LOADED,
        Request.FAIL: State.FAILED,
        Request.UNLOAD: State.UNLOADED,
    },
    State.LOADED: {
        Request.START: State.STARTING,
        Request.FAIL: State.FAILED,
        Request.UNLOAD: State.UNLOADED,
    },
    State.STARTING: {
        Request.STARTED: State.ACTIVE,
        Request.STOP: State.STOPPING,  # a start that was cancelled: what it took so far is cleaned up
        Request.FAIL: State.FAILED,
    },
    State.ACTIVE: {
        Request.STOP: State.STOPPING,
        Request.RELOAD: State.ACTIVE,  # another generation of its code has taken over, in one step
    },
    State.STOPPING: {
        Request.STOPPED: State.STOPPED,
        Request.FAIL: State.FAILED,
    },
    State.STOPPED: {
        Request.START: State.STARTING,
        Request.QUARANTINE: State.QUARANTINED,
        Request.UNLOAD: State.UNLOADED,
    },
    State.FAILED: {
        Request.RESOLVE: State.RESOLVED,  # it failed before its code was there
        Request.START: State.STARTING,
        Request.QUARANTINE: State.QUARANTINED,
        Request.UNLOAD: State.UNLOADED,
    },
    State.QUARANTINED: {
        # It may have failed before it was loaded, so it goes the whole way again.
        Request.RELEASE: State.DISCOVERED,
        Request.UNLOAD: State.UNLOADED,
    },
    State.UNLOADED: {
        Request.RESOLVE: State.RESOLVED,
    },
}
"""For each state, what may be asked and where it leads; what is not here is refused."""


_WHILE_IDLE: Final = ("start", "reload", "remove")
ASKABLE: Final[dict[State, tuple[str, ...]]] = {
    State.DISCOVERED: _WHILE_IDLE,
    State.RESOLVED: _WHILE_IDLE,
    State.LOADED: _WHILE_IDLE,
    State.STARTING: (),
    State.ACTIVE: ("stop", "restart", "reload", "remove"),
    State.STOPPING: (),
    State.STOPPED: _WHILE_IDLE,
    State.FAILED: _WHILE_IDLE,
    State.QUARANTINED: ("release", "reload", "remove"),
    State.UNLOADED: ("start", "remove"),
}
"""For each state, what a person may ask of the host; each is carried out by one or more transitions."""


def allowed(state: State) -> tuple[Request, ...]:
    """What may be asked of a plugin in that state.

    >>> [str(request) for request in allowed(State.STOPPED)]
    ['start', 'quarantine', 'unload']
    """
    return tuple(TRANSITIONS[state])


def next_state(plugin: str, state: State, request: Request) -> State:
    """The state that `request` leads to; changes nothing by itself.

    Raises:
        LifecycleError: the state does not allow it; names the plugin, the state and what a person may ask
            of the host instead, while its `allowed` are the requests in this table.
    """
    try:
        return TRANSITIONS[state][request]
    except KeyError:
        choices = allowed(state)
        asked = ASKABLE[state]
        now = f"Allowed now: {', '.join(asked)}." if asked else "Ask again when that has ended."
        msg = f"cannot {_verb(request)} {plugin!r}: it is {state}. {now} Nothing was changed."
        raise LifecycleError(
            msg,
            plugin=plugin,
            state=state.value,
            request=request.value,
            allowed=[choice.value for choice in choices],
        ) from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.DISCOVERED}"]
    lines += [
        f"    {state} --> {after}: {request}"
        for state, row in TRANSITIONS.items()
        for request, after in row.items()
    ]
    lines.append(f"    {State.UNLOADED} --> [*]")
    return "\n".join(lines)


def _verb(request: Request) -> str:
    """The request as a verb, for a sentence."""
    reported = {
        Request.STARTED: "report as started",
        Request.STOPPED: "report as stopped",
        Request.FAIL: "report as failed",
    }
    return reported.get(request, request.value)
