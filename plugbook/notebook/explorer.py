"""The explorer: a widget that shows a host or a recording, and lets a person act on it.

The front end is `widgets/explorer.js`. It only draws what is in the synced traits and sends requests; every
decision is made here. Changes may come from any thread, and so may requests.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import anywidget
import traitlets

from plugbook.errors import FrameTooLargeError, PlugbookError, RecordingError
from plugbook.trace.units import count_text

from .assets import asset
from .error_log import ErrorLog
from .follower import Follower
from .markup import Html, chip, cut, head, join, page, table, tag
from .palette import STATES, state_mark
from .tally import Figures, Tally
from .transport import Transport
from .views import error_text, is_host, plugins_of, recording_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugbook.host.host import Host
    from plugbook.replay.player import Player
    from plugbook.trace.reading.recording import Recording

_STARTABLE: Final = ("discovered", "resolved", "loaded", "stopped", "failed", "unloaded")
_BUSY: Final = ("starting", "stopping")
_READ_AT_ONCE: Final = 50_000
_ACTIONS: Final = ("start", "stop", "restart")
_ERRORS_PICTURED: Final = 10

_open: WeakSet[Explorer] = WeakSet()


class Explorer(anywidget.AnyWidget):
    """Plugins with their states and buttons, the log of errors, and a replay's transport.

    It stays in step with a host or a growing recording until it is closed. A recording has no buttons: it
    is shown as it ended; where its plugins have no states, as those of a foreign system, their calls are counted.

    Args:
        source: a host, a recording, or a player, which is shown with its host or recording.
        player: a replay to steer from here; `player` can also be set later.

    Example:
        >>> from plugbook import Host
        >>> explorer = Explorer(Host())
        >>> explorer.plugins
        []
        >>> explorer.close()
    """

    _esm = asset("explorer.js")
    _css = asset("explorer.css")

    title = traitlets.Unicode().tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    counts = traitlets.Unicode().tag(sync=True)
    foreign = traitlets.Bool(False).tag(sync=True)
    plugins: traitlets.List[Any] = traitlets.List().tag(sync=True)
    errors: traitlets.List[Any] = traitlets.List().tag(sync=True)
    error_count = traitlets.Int(0).tag(sync=True)
    notice = traitlets.Dict().tag(sync=True)
    transport = traitlets.Dict().tag(sync=True)
    marks = traitlets.Dict().tag(sync=True)

    def __init__(self, source: Host | Recording | Player, player: Player | None = None) -> None:
        # What the source can do depends on whether it is a host.
        self._source, player = _told_apart(source, player)
        self._log = ErrorLog()
        self._tally = Tally()
        self._transport = Transport(self._changed)
        self._showing = threading.Lock()
        self._reading = threading.Lock()
        self._follower: Follower | None = None
        self._disconnect: Callable[[], None] | None = None
        super().__init__(
            title=_title(self._source),
            live=is_host(self._source),
            marks={name: [mark.colour, mark.glyph] for name, mark in STATES.items()},
        )
        _open.add(self)
        self.on_msg(self._on_message)
        _answer_while_a_cell_runs(self.comm)
        self.player = player
        self._show_plugins()
        if not _is_long(self._source):
            self.refresh()
        self._follow()
        self._changed()
        if is_host(self._source):
            self._disconnect = self._source.on_change(self._changed)

    @property
    def player(self) -> Player | None:
        """The replay that the transport steers, or None."""
        return self._transport.player

    @player.setter
    def player(self, player: Player | None) -> None:
        self._transport.attach(player)
        self.transport = self._transport.view()

    def refresh(self) -> None:
        """Bring what is shown in step with the source; it happens by itself, soon after every change."""
        with self._showing:
            if is_host(self._source):
                self._show_plugins()
            self.transport = self._transport.view()
        self._refresh_errors()

    def close(self) -> None:
        """Stop following, and close the widget's comm; closing again does nothing."""
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        self._transport.attach(None)
        _open.discard(self)
        if self.comm is not None:
            super().close()
            # Every widget is given a layout, which is a model with a comm of its own.
            self.layout.close()

    def _changed(self) -> None:
        if self._follower is not None:
            self._follower.wake()

    def _follow(self) -> None:
        if self._follower is None:
            self._follower = Follower(self.refresh, 0.5 if _grows(self._source) else None)

    def _show_plugins(self) -> None:
        rows = _plugin_rows(self._source, self._tally)
        self.foreign = _is_foreign(self._source, rows)
        self.counts = _counts(rows, live=self.live, foreign=self.foreign)
        self.plugins = rows

    def _refresh_errors(self) -> None:
        """Read on in the recording, unless another thread is at it: the first time may take seconds."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self._read_on():
                self.errors = self._log.rows
                self.error_count = self._log.count
                if not is_host(self._source):
                    self._show_plugins()
        finally:
            self._reading.release()

    def _read_on(self) -> bool:
        """Read what was recorded since the last time; say whether it was anything."""
        recording = recording_of(self._source)
        try:
            if recording is None:
                return False
            counted = self.foreign and self._tally.read(recording)
            return self._log.read(recording) or counted
        except (RecordingError, FrameTooLargeError):
            # It was closed meanwhile, or is too long to count: what was read of it stays.
            return False

    # -- requests of the front end, on whichever thread the kernel handles messages ----------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        action = str(content.get("do", ""))
        try:
            if action in _ACTIONS and is_host(self._source):
                self._act(action, str(content.get("plugin", "")), sure=bool(content.get("sure")))
            elif action == "dismiss":
                self.notice = {}
            else:
                self._transport.act(action, content.get("value"))
        except PlugbookError as refused:
            self.notice = {"kind": "error", "text": str(refused)}
        except Exception as error:
            self.notice = {"kind": "error", "text": error_text(error)}
            self._record(error)
        self.refresh()

    def _act(self, action: str, plugin: str, *, sure: bool) -> None:
        """Do what a button asks; where that takes other plugins along, show the steps first."""
        steps = self._source.plan(action, plugin).steps
        others = sorted({step.plugin for step in steps} - {plugin})
        if others and not sure:
            text = f"To {action} {plugin} takes {', '.join(others)} along:"
            told = [str(step) for step in steps]
            self.notice = {"kind": "ask", "text": text, "steps": told, "do": action, "plugin": plugin}
            return
        self.notice = {}
        done = getattr(self._source, action)(plugin)
        if getattr(done, "done", True) is False:
            self.notice = {"kind": "info", "text": f"{action} {plugin} is queued: a handler is running."}

    def _record(self, error: Exception) -> None:
        """What went wrong in a callback belongs into the same log as everything else."""
        from plugbook.trace.record import describe_error

        recorder = getattr(recording_of(self._source), "recorder", None)
        if recorder is not None:
            payload = {"message": f"explorer: {error_text(error)}", "logger": "plugbook.explorer"}
            recorder.put("log", "error", payload=payload, error=describe_error(error))

    # -- without a kernel --------------------------------------------------------------------------------

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return None
        data, metadata = shown
        if _is_unattended():
            # Nobody will press a button, and whoever opens what is stored may have neither kernel nor network,
            # which the widget, preferred to a picture wherever its state was stored, needs to be drawn.
            data = {}
        return {**data, "text/plain": self._words(), "text/html": self.picture()}, metadata

    def picture(self) -> str:
        """What is shown at this moment as HTML, for where the widget cannot be drawn."""
        errors = [
            (row["time"], row["seq"], row["where"], row["topic"], _with_place(row))
            for row in self.errors[:_ERRORS_PICTURED]
        ]
        log = table(
            ["time", "seq", "where", "event", "message"], errors, hidden=self.error_count - len(errors)
        )
        return page(
            head(f"Explorer: {self.title}", self.counts),
            _called(self.plugins) if self.foreign else _states(self.plugins),
            tag("h4", f"Errors ({self.error_count:,})" if self.error_count else "No errors"),
            log if errors else None,
        )

    def _words(self) -> str:
        lines = [
            f"  {row['name']:<24} {count_text(row['calls'], 'call') if self.foreign else row['state']:<12} {row['why']}"
            for row in self.plugins
        ]
        errors = count_text(self.error_count, "error")
        return "\n".join([f"Explorer of {self.title}: {self.counts}, {errors}", *map(str.rstrip, lines)])


def _told_apart(source: Any, player: Player | None) -> tuple[Any, Player | None]:
    """The host or recording to show, and the player to steer."""
    if hasattr(source, "play"):
        return (source.host if source.host is not None else source.recording), source
    return source, player


def _title(source: Any) -> str:
    if is_host(source):
        return "Host"
    return source.path.name if source.path is not None else "Recording in memory"


def _grows(source: Any) -> bool:
    """Whether it may change by itself: a host, or a recording that this process is writing."""
    return is_host(source) or hasattr(source, "recorder")


def _is_long(source: Any) -> bool:
    """Whether reading the errors would keep a cell waiting, so that they had better come later."""
    recording = recording_of(source)
    try:
        return recording is not None and len(recording) > _READ_AT_ONCE
    except RecordingError:
        return False


def close_all() -> None:
    """Close every explorer that is open, as unloading the extension does."""
    for explorer in list(_open):
        explorer.close()


def _plugin_rows(source: Any, tally: Tally) -> list[dict[str, Any]]:
    handles = dict(source.plugins) if is_host(source) else {}
    rows = [
        {
            "name": view.name,
            "version": view.version,
            "state": view.state,
            "why": cut(view.reason, 200),
            "failed": bool(view.error),
            "allowed": _allowed(view.state, handles.get(view.name)),
            **tally.of.get(view.name, Figures())._asdict(),
        }
        for view in plugins_of(source)
    ]
    return sorted(rows, key=lambda row: -row["calls"])


def _is_foreign(source: Any, rows: list[dict[str, Any]]) -> bool:
    """Whether it is a recording of plugins without a lifecycle: of a foreign system, or without any state."""
    if is_host(source) or not rows:
        return False
    return "plugin_system" in source.facts("origin") or not any(row["state"] for row in rows)


def _counts(rows: list[dict[str, Any]], *, live: bool, foreign: bool) -> str:
    """What stands beside the title: how many plugins there are, and how they do."""
    if foreign:
        calls = count_text(sum(row["calls"] for row in rows), "call")
        return f"{count_text(len(rows), 'plugin')} · {calls}"
    active = sum(row["state"] == "active" for row in rows)
    return f"{active} of {count_text(len(rows), 'plugin')} active" + ("" if live else " · as recorded")


def _states(rows: list[dict[str, Any]]) -> Html:
    cells = [
        (
            row["name"],
            row["version"],
            chip(state_mark(row["state"]), row["state"] or "not recorded"),
            row["why"],
        )
        for row in rows
    ]
    return table(["plugin", "version", "state", "why"], cells)


def _called(rows: list[dict[str, Any]]) -> Html:
    cells = [
        (row["name"], row["version"], f"{row['calls']:,}", f"{row['errors']:,}" if row["errors"] else "")
        for row in rows
    ]
    return table(["plugin", "version", "#calls", "#errors"], cells)


def _with_place(error: dict[str, Any]) -> Html:
    place = tag("div", error["place"], cls="pb-place") if error["place"] else None
    return join([error["message"], place])


def _allowed(state: str, handle: Any) -> list[str]:
    """What the lifecycle lets a person ask of a plugin in that state."""
    if handle is None or state in _BUSY:
        return []
    if state == "active":
        return ["stop", "restart"]
    if state in _STARTABLE and getattr(handle, "problem", None) is None:
        return ["start"]
    return []


def _is_unattended() -> bool:
    """Whether who runs the cells takes no input, as nbconvert, nbclient and papermill do not."""
    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython.get_ipython(), "kernel", None) if ipython is not None else None
    if kernel is None:
        return False
    asked: dict[str, Any] = kernel.get_parent("shell").get("content", {})
    return not asked.get("allow_stdin", True)


def _answer_while_a_cell_runs(comm: Any) -> None:
    """Let requests be handled in a subshell, so that buttons work while a cell runs.

    ipykernel 7.4 sends a widget's messages to the shell that last published on its comm, where they would
    wait for the cell to end. Kernels without subshells have no such method, and nothing to undo.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no public way
