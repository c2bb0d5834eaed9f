"""Registers with IPython how our objects show themselves, by the names of their types, so nothing is imported."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

from plugbook.errors import PlugbookError
from plugbook.replay.progress import draw_with

from .progress import ProgressBars

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from plugbook._types import Disconnect

_SHOWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "plugbook.events.report.Report": "report",
        "plugbook.host.host.Host": "host",
        "plugbook.host.plan.Plan": "plan",
        "plugbook.host.plan.Changes": "changes",
        "plugbook.host.plan.Why": "why",
        "plugbook.trace.recording.Recording": "recording",
        "plugbook.trace.summary.Summary": "summary",
        "plugbook.trace.tree.Tree": "tree",
        "plugbook.replay.player.Player": "player",
        "plugbook.errors.PlugbookError": "error",
    }
)
"""The full name of each type -> the function of `pictures` that draws it; its subclasses are drawn alike."""

_MACHINERY: Final = (
    str(Path(__file__).parents[1]) + os.sep,
    *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<frozen",
)
"""How files begin that nobody who debugs a plugin means by their own code: plugbook, Python, installed libraries."""

_RENDER: Final = "_render_traceback_"

_progress: WeakKeyDictionary[Any, Disconnect] = WeakKeyDictionary()
"""For each shell, what takes its progress bars away again."""


def register(ip: InteractiveShell) -> None:
    """Let our objects show themselves as HTML, and our errors by their message.

    IPython looks a formatter up by the type's name when an object is shown, so that loading the extension
    imports none of these types. Subclasses are found through their bases.
    """
    formatter = _formatter(ip)
    for path, name in _SHOWN.items():
        module, _, type_name = path.rpartition(".")
        formatter.for_type_by_name(module, type_name, _drawn_by(name))
    setattr(PlugbookError, _RENDER, _Tracebacks(ip).method())
    _progress[ip] = draw_with(ProgressBars())


def unregister(ip: InteractiveShell) -> None:
    """Undo `register`, close the explorers, give Altair its renderer back: nothing is left behind."""
    from .chart_style import restore_renderer

    explorer = sys.modules.get("plugbook.notebook.explorer")
    if explorer is not None:
        explorer.close_all()
    formatter = _formatter(ip)
    for path in _SHOWN:
        formatter.pop(path, None)
    if _RENDER in vars(PlugbookError):
        delattr(PlugbookError, _RENDER)
    restore_renderer()
    disconnect = _progress.pop(ip, None)
    if disconnect is not None:
        disconnect()


def _formatter(ip: InteractiveShell) -> Any:
    display_formatter: Any = ip.display_formatter
    return display_formatter.formatters["text/html"]


def _drawn_by(name: str) -> Callable[[Any], str]:
    def draw(shown: Any) -> str:
        from . import pictures

        drawn: str = getattr(pictures, name)(shown)
        return drawn

    return draw


class _Tracebacks:
    """Shows our errors by their message, and in full when the same one is shown again, as ``%tb`` does."""

    def __init__(self, ip: InteractiveShell) -> None:
        self._ip = ip
        self._shown: WeakSet[PlugbookError] = WeakSet()

    def method(self) -> Callable[[PlugbookError], list[str]]:
        """What IPython calls on an exception that has a `_render_traceback_`."""

        def render(error: PlugbookError) -> list[str]:
            return self.lines(error)

        return render

    def lines(self, error: PlugbookError) -> list[str]:
        """The lines to print."""
        if error in self._shown:
            full = self._ip.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
            return [str(line) for line in full]
        self._shown.add(error)
        return short_traceback(error)


def short_traceback(error: PlugbookError) -> list[str]:
    """An error as a person wants it first: what and why, where in their code, and what it came from."""
    red, bold, off = "\x1b[31m", "\x1b[1m", "\x1b[0m"
    lines = [f"{red}{bold}{type(error).__name__}{off}: {error}"]
    if place := _place(error, innermost=False):
        lines.append(f"  at {place}")
    cause = error.__cause__
    if cause is not None:
        raised = f"{type(cause).__name__}: {cause}"
        where = _place(cause, innermost=True)
        lines.append(f"  from {raised}" + (f"\n    at {where}" if where else ""))
    return [*lines, "%tb shows the full traceback."]


def _place(error: BaseException, *, innermost: bool) -> str:
    """The line of the user's own code: the last one outside plugbook, or the innermost one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not (_is_machinery(frame.filename) or _is_magic(frame))]
    chosen = frames[-1:] if innermost and not own else own[-1:]
    return "".join(f"{_file_text(frame)}, line {frame.lineno}: {frame.line}" for frame in chosen)


def _is_machinery(filename: str) -> bool:
    return filename.startswith(_MACHINERY)


def _is_magic(frame: traceback.FrameSummary) -> bool:
    """Whether it is the call that IPython makes of ``%pb ...``, which says less than the message."""
    return (frame.line or "").startswith(("get_ipython().run_line_magic", "get_ipython().run_cell_magic"))


def _file_text(frame: traceback.FrameSummary) -> str:
    """The file of a frame; a cell's temporary file is just a cell."""
    return (
        "the cell"
        if "ipykernel_" in frame.filename or frame.filename.startswith("<ipython")
        else frame.filename
    )
