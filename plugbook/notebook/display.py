"""Registers with IPython how our objects show themselves, by the names of their types, so nothing is imported."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

from plugbook.errors import PlugbookError, suggestion
from plugbook.replay.progress import draw_with

from .progress import ProgressBars

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from plugbook._types import Disconnect

_SHOWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "plugbook.events.dispatch.report.Report": "report",
        "plugbook.events.dispatch.question.Answer": "answer",
        "plugbook.events.dispatch.question.Answers": "answer",
        "plugbook.host.host.Host": "host",
        "plugbook.host.plan.Plan": "plan",
        "plugbook.host.plan.Changes": "changes",
        "plugbook.host.plan.Why": "why",
        "plugbook.plugins.extending.contributions.ExtensionTable": "extensions",
        "plugbook.plugins.settings.view.PluginConfig": "config",
        "plugbook.plugins.leaks.leak.Leaks": "leaks",
        "plugbook.plugins.plugin.Plugin": "plugin",
        "plugbook.plugins.authoring.builder.PluginBuilder": "plugin",
        "plugbook.host.supervision.dead_letters.DeadLetters": "dead_letters",
        "plugbook.trace.reading.recording.Recording": "recording",
        "plugbook.trace.reading.summary.Summary": "summary",
        "plugbook.trace.reading.tree.Tree": "tree",
        "plugbook.replay.player.Player": "player",
        "plugbook.scaffold.package.NewPackage": "new_package",
        "plugbook.checking.report.CheckReport": "check",
        "plugbook.errors.PlugbookError": "error",
    }
)
"""The full name of each type -> the function of `pictures` that draws it; its subclasses are drawn alike."""

_PLUGBOOK: Final = str(Path(__file__).parents[1]) + os.sep
_PARSES_CELLS: Final = (str(Path(__file__).with_name("plugin_cell.py")), "parse")
"""File and name of the function in which a cell of ``%%plugin`` that cannot be parsed is refused."""

_MACHINERY: Final = (
    _PLUGBOOK,
    *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<frozen",
)
"""How files begin that nobody who debugs a plugin means by their own code: plugbook, Python, installed libraries."""

_RENDER: Final = "_render_traceback_"

_RED: Final = "\x1b[31m\x1b[1m"
_OFF: Final = "\x1b[0m"
_MORE: Final = "%tb shows the full traceback."

_undo: WeakKeyDictionary[Any, Disconnect] = WeakKeyDictionary()
"""For each shell, what takes its progress bars and its way to show errors away again."""


def register(ip: InteractiveShell) -> None:
    """Let our objects show themselves as HTML, and our errors by their message.

    IPython looks a formatter up by the type's name when an object is shown, so that loading the extension
    imports none of these types. Subclasses are found through their bases.
    """
    formatter = _formatter(ip)
    for path, name in _SHOWN.items():
        module, _, type_name = path.rpartition(".")
        formatter.for_type_by_name(module, type_name, _drawn_by(name))
    undo = ExitStack()
    undo.callback(_show_plugin_classes(ip))
    undo.callback(_Tracebacks(ip).connect())
    undo.callback(draw_with(ProgressBars()))
    _undo[ip] = undo.close


def unregister(ip: InteractiveShell) -> None:
    """Undo `register`, close the explorers, give Altair its renderer back: nothing is left behind."""
    from .chart_style import restore_renderer

    explorer = sys.modules.get("plugbook.notebook.explorer")
    if explorer is not None:
        explorer.close_all()
    formatter = _formatter(ip)
    for path in _SHOWN:
        formatter.pop(path, None)
    restore_renderer()
    undo = _undo.pop(ip, None)
    if undo is not None:
        undo()


def _formatter(ip: InteractiveShell) -> Any:
    display_formatter: Any = ip.display_formatter
    return display_formatter.formatters["text/html"]


def _show_plugin_classes(ip: InteractiveShell) -> Disconnect:
    """Let a plugin class show its manifest, as its instances do; every other class is shown as before.

    A class is shown by the formatter of `type`, for a metaclass with a repr of its own would keep a plugin from
    having any other metaclass, such as that of traitlets.
    """
    shell: Any = ip
    html, plain = (shell.display_formatter.formatters[each] for each in ("text/html", "text/plain"))
    before_html, before_plain = html.type_printers.get(type), plain.type_printers.get(type)
    draw = _drawn_by("plugin")

    def show_html(shown: type[Any]) -> str | None:
        if _is_plugin_class(shown):
            return draw(shown)
        return before_html(shown) if before_html is not None else None

    def show_plain(shown: type[Any], printer: Any, cycle: bool) -> None:
        if _is_plugin_class(shown):
            from plugbook.plugins.authoring.description import describe

            printer.text(repr(describe(shown)))
        elif before_plain is not None:
            before_plain(shown, printer, cycle)
        else:
            printer.text(repr(shown))

    html.for_type(type, show_html)
    plain.for_type(type, show_plain)

    def undo() -> None:
        for formatter, before in ((html, before_html), (plain, before_plain)):
            formatter.pop(type, None)
            if before is not None:
                formatter.for_type(type, before)

    return undo


def _is_plugin_class(shown: type[Any]) -> bool:
    module = sys.modules.get("plugbook.plugins.plugin")
    return module is not None and issubclass(shown, module.Plugin) and hasattr(shown, "manifest")


def _drawn_by(name: str) -> Callable[[Any], str]:
    def draw(shown: Any) -> str:
        from . import pictures

        drawn: str = getattr(pictures, name)(shown)
        return drawn

    return draw


class _Tracebacks:
    """Shows some errors by their message, and in full when the same one is shown again, as ``%tb`` does.

    Those are our own, what pydantic says of an event, an interrupt of something that plugbook waited for, and a
    cell of ``%%plugin`` that cannot be parsed. IPython asks an exception how it is shown; those that are not ours
    cannot answer, so for them the shell's formatters are asked through here.
    """

    def __init__(self, ip: InteractiveShell) -> None:
        self._ip = ip
        self._shown: WeakSet[PlugbookError] = WeakSet()
        self._last = 0
        self._full = ip.InteractiveTB.structured_traceback
        self._syntax = ip.SyntaxTB.structured_traceback

    def connect(self) -> Disconnect:
        """Show errors so from now on; what is returned ends it."""
        ip: Any = self._ip
        mine = (self._others, self._syntax_error)
        ip.InteractiveTB.structured_traceback, ip.SyntaxTB.structured_traceback = mine
        # Through a function, for a bound method would not be given the error.
        setattr(PlugbookError, _RENDER, lambda error: self.lines(error))  # noqa: PLW0108

        def disconnect() -> None:
            for formatter, ours in zip((ip.InteractiveTB, ip.SyntaxTB), mine, strict=True):
                if vars(formatter).get("structured_traceback") == ours:
                    del formatter.structured_traceback
            if _RENDER in vars(PlugbookError):
                delattr(PlugbookError, _RENDER)

        return disconnect

    def lines(self, error: PlugbookError) -> list[str]:
        """The lines to print."""
        if error in self._shown:
            full = self._full(type(error), error, error.__traceback__)
            return [str(line) for line in full]
        self._shown.add(error)
        return short_traceback(error)

    def _others(self, kind: type[BaseException], error: BaseException, *rest: Any, **options: Any) -> Any:
        """What `structured_traceback` gives for an error that is not ours."""
        short = None if id(error) == self._last else short_foreign(error)
        # Such errors take no weak reference; the last one is kept alive by IPython, so its id is no other's.
        self._last = id(error)
        return self._full(kind, error, *rest, **options) if short is None else short

    def _syntax_error(self, kind: Any, error: Any, frames: Any, *rest: Any) -> Any:
        in_cell = any((frame.filename, frame.name) == _PARSES_CELLS for frame in frames or ())
        shown: Any = [] if in_cell else frames
        return self._syntax(kind, error, shown, *rest)


def short_foreign(error: BaseException) -> list[str] | None:
    """What a person wants first of an error that is not ours; None where that is the whole of it."""
    if isinstance(error, KeyboardInterrupt):
        frames = traceback.extract_tb(error.__traceback__)
        waited = any(frame.filename.startswith(_PLUGBOOK) for frame in frames)
        notes = [f"  {note}" for note in getattr(error, "__notes__", ())]
        return _headed(error, f": {error}" if str(error) else "", notes) if waited else None
    event = _event_in(error)
    if event is None:
        return None
    found = error.errors(include_url=False, include_input=False)  # type: ignore[attr-defined]
    frozen = any(each["type"] == "frozen_instance" for each in found)
    told = f": {event.__name__} {'cannot be changed' if frozen else 'cannot be made of this'}"
    return _headed(error, told, [f"  {_field_told(each, event)}" for each in found])


def _headed(error: BaseException, told: str, lines: list[str]) -> list[str]:
    place = _place(error, innermost=False)
    at = [f"  at {place}"] if place else []
    return [f"{_RED}{type(error).__name__}{_OFF}{told}", *lines, *at, _MORE]


def _event_in(error: BaseException) -> type[Any] | None:
    """The event that pydantic refused to make or to change, where that is what the error says."""
    event = sys.modules.get("plugbook.events.event")
    if event is None or type(error).__name__ != "ValidationError" or not hasattr(error, "errors"):
        return None
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for name in ("self", "cls"):
            at = frame.f_locals.get(name)
            kind = at if isinstance(at, type) else type(at)
            if issubclass(kind, event.Event):
                return kind
    return None


def _field_told(found: Mapping[str, Any], event: type[Any]) -> str:
    field = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden" and len(found["loc"]) == 1:
        return f"{field}: there is no such field.{suggestion(field, event.model_fields)}"
    return f"{field}: {found['msg']}" if field else str(found["msg"])


def short_traceback(error: PlugbookError) -> list[str]:
    """An error as a person wants it first: what and why, where in their code, and what it came from."""
    lines = [f"{_RED}{type(error).__name__}{_OFF}: {error}"]
    if place := _place(error, innermost=False):
        lines.append(f"  at {place}")
    cause = error.__cause__
    if cause is not None:
        raised = f"{type(cause).__name__}: {cause}"
        where = _place(cause, innermost=True)
        lines.append(f"  from {raised}" + (f"\n    at {where}" if where else ""))
    return [*lines, _MORE]


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
