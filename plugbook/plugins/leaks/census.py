"""Everything in this process that could be left behind: threads, tasks, files, sockets, child processes, widgets."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import socket
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plugbook.plugins.leaks.begun import Descriptor, widgets
from plugbook.plugins.leaks.reach import Reach
from plugbook.trace.telling import show_place

if TYPE_CHECKING:
    from plugbook.plugins.leaks.leak import Kind

_RAW_FILE: Final = io.FileIO
_AROUND: Final = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)
_PATH: Final = (str, bytes, os.PathLike)
_ANY_FILE: Final = io.IOBase.__mro__[1]
"""The base of every file; `IOBase` itself would ask each class that it meets."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """Something that lives on until somebody ends it.

    Attributes:
        kind: what sort of thing.
        it: the thing as people hold it, such as a text file.
        what: its name.
        core: what was made first, such as the raw file inside of a text file.
        does: the functions and coroutines that it runs or calls back.
        now: what it is doing, where that says more than who holds it.
        descriptor: of a file or socket.
    """

    kind: Kind
    it: Any
    what: str
    core: Any = None
    does: tuple[Any, ...] = ()
    now: str = ""
    descriptor: Descriptor | None = None


def census() -> list[Thing]:
    """What there is. Nothing is changed by looking: no child process is reaped, no file is touched."""
    found = _Found()
    return [
        *map(_thread, threading.enumerate()),
        *found.tasks(),
        *found.files(),
        *found.sockets(),
        *found.processes(),
        *_widgets(),
    ]


class _Found:
    """The objects of the kinds that nobody lists, as the garbage collector knows them."""

    def __init__(self) -> None:
        wanted = {
            name: kind
            for name, kind in {
                "file": _ANY_FILE,
                "socket": socket.socket,
                "task": asyncio.Task,
                "loop": asyncio.BaseEventLoop,
                "popen": _class_in("subprocess", "Popen"),
                "process": _class_in("multiprocessing.process", "BaseProcess"),
                "database": _class_in("sqlite3", "Connection"),
            }.items()
            if kind is not None
        }
        names: dict[type, str] = {}
        self._by_name: dict[str, list[Any]] = {name: [] for name in wanted}
        for each in gc.get_objects():
            kind = type(each)
            name = names.get(kind)
            if name is None:
                name = names[kind] = next((n for n, base in wanted.items() if base in kind.__mro__), "")
            if name:
                self._by_name[name].append(each)

    def _of(self, name: str) -> list[Any]:
        return self._by_name.get(name, [])

    def tasks(self) -> Iterator[Thing]:
        for task in self._of("task"):
            if not task.done():
                yield Thing(
                    "task", task, task.get_name(), core=task, does=(task.get_coro(),), now=_waiting(task)
                )

    def files(self) -> Iterator[Thing]:
        files = self._of("file")
        around = {id(inner): file for file in files if _is_around(file) for inner in gc.get_referents(file)}
        for raw in files:
            if not issubclass(type(raw), _RAW_FILE) or raw.closed or not raw.closefd or raw.fileno() <= 2:
                continue
            outer = raw
            while id(outer) in around:
                outer = around[id(outer)]
            name = os.fsdecode(raw.name) if isinstance(raw.name, str | bytes) else "a descriptor"
            yield Thing("file", outer, f"{name} ({raw.mode})", raw, descriptor=Descriptor.of(raw.fileno()))
        for connection in self._of("database"):
            if _is_open(connection):
                yield Thing("file", connection, "an SQLite connection", connection)

    def sockets(self) -> Iterator[Thing]:
        wakers = [getattr(loop, name, None) for loop in self._of("loop") for name in ("_ssock", "_csock")]
        ours = {id(waker) for waker in wakers}  # with which a loop wakes itself
        for each in self._of("socket"):
            if id(each) not in ours and each.fileno() >= 0:
                yield Thing("socket", each, _addresses(each), each, descriptor=Descriptor.of(each.fileno()))

    def processes(self) -> Iterator[Thing]:
        for each in self._of("popen"):
            if _runs(each):
                program = each.args if isinstance(each.args, _PATH) else next(iter(each.args), "")
                name = Path(os.fsdecode(program).split(" ")[0]).name  # its arguments may be nobody's business
                yield Thing("process", each, f"{name} (pid {each.pid})", each)
        for each in self._of("process"):
            if _is_child(each):
                yield Thing("process", each, f"{each.name} (pid {each.pid})", each, does=(type(each).run,))


def _class_in(module: str, name: str) -> type | None:
    """A class of a module that somebody has imported."""
    return getattr(sys.modules.get(module), name, None)


# -- threads and tasks ----------------------------------------------------------------------------


def _thread(thread: threading.Thread) -> Thing:
    own = (type(thread).run,) if type(thread).run is not threading.Thread.run else ()
    given = (getattr(thread, name, None) for name in ("_target", "function"))
    does = (*own, *(each for each in given if each is not None))
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001
    now = f"its run, now at {show_place(frame.f_code.co_filename, frame.f_lineno)}" if frame else ""
    return Thing("thread", thread, thread.name, thread, does, now)


def _waiting(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    return (
        f"its loop, waiting at {show_place(frames[0].f_code.co_filename, frames[0].f_lineno)}"
        if frames
        else ""
    )


# -- files, sockets and processes -----------------------------------------------------------------


def _is_around(file: object) -> bool:
    """Whether it is one of the files that are made around another one."""
    return issubclass(type(file), _AROUND)


def _is_open(connection: Any) -> bool:
    try:
        return bool(connection.total_changes >= 0)  # any thread may ask for this one
    except Exception:
        return False


def _addresses(connection: socket.socket) -> str:
    ends = []
    for ask in (connection.getsockname, connection.getpeername):
        with suppress(OSError):
            ends.append(_address(ask()))
    return " to ".join(filter(None, ends)) or f"an unconnected {connection.family.name} socket"


def _address(told: Any) -> str:
    return f"{told[0]}:{told[1]}" if isinstance(told, tuple) else os.fsdecode(told) if told else ""


def _runs(process: Any) -> bool:
    """Whether a `Popen` runs; one that has ended is left for its owner to be asked how."""
    if getattr(process, "returncode", 0) is not None or not hasattr(process, "args"):
        return False
    if not hasattr(os, "waitid"):  # where there are no children to reap
        return sys.platform != "win32" or process.poll() is None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _is_child(process: Any) -> bool:
    """Whether a process of multiprocessing is one of ours, and runs."""
    if getattr(process, "_popen", None) is None or process._parent_pid != os.getpid():  # noqa: SLF001
        return False
    from multiprocessing.connection import wait

    return not wait([process.sentinel], 0)


# -- widgets --------------------------------------------------------------------------------------


def _widgets() -> Iterator[Thing]:
    """The widgets that are no part of another one, and the connections to a front end that are no widget's."""
    alive = [each for each in widgets() if not (_is_ours(each) or _is_style(each))]
    parts = {id(part) for each in alive for part in _parts_of(each)}
    for each in alive:
        if id(each) not in parts:
            text = getattr(each, "description", "")
            name = f"{type(each).__name__} {text!r}" if text else type(each).__name__
            yield Thing("widget", each, name, each, _called_back(each, alive))
    theirs = {id(each.comm) for each in widgets()}
    ask = getattr(sys.modules.get("comm"), "get_comm_manager", None)
    for each in list(ask().comms.values()) if ask is not None else []:
        if id(each) not in theirs:
            called = tuple(
                filter(None, (getattr(each, name, None) for name in ("_msg_callback", "_close_callback")))
            )
            yield Thing("widget", each, f"comm {each.target_name}", each, called)


def _is_ours(widget: Any) -> bool:
    return bool(type(widget).__module__.startswith("plugbook."))


def _is_style(widget: Any) -> bool:
    """Whether it says how another one looks; those stay behind when that is closed."""
    bases = {each.__name__ for each in type(widget).__mro__ if each.__module__.startswith("ipywidgets.")}
    return not bases.isdisjoint(("Layout", "Style"))


def _parts_of(widget: Any) -> Iterator[object]:
    for value in vars(widget).get("_trait_values", {}).values():
        yield from value if isinstance(value, tuple | list) else (value,)


def _called_back(widget: Any, others: Iterable[object]) -> tuple[object, ...]:
    """The functions that it calls when something happens to it."""
    kept = [value for name, value in vars(widget).items() if name != "_trait_values"]
    near = Reach(kept, ends=others, most_steps=5)
    return tuple(each for each in near if isinstance(each, types.MethodType | types.FunctionType))
