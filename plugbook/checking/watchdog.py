"""Ends a process whose time is over, and leaves behind where all of its threads and coroutines stood."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

from plugbook.checking.job import HUNG, STACKS

_GRACE_S: Final = 1.0
"""How long after the time is over the process is ended though its own watchdog could not run."""


class Watchdog:
    """Ends the process when its time is over, and leaves behind where everything stood.

    A thread of Python can also say where coroutines wait; where it cannot run, because something holds the
    interpreter, faulthandler's own one still does.

    Args:
        folder: where to leave it.
        timeout_s: seconds until then, from now on.
        tasks: says which coroutines there are.
    """

    def __init__(
        self, folder: Path, timeout_s: float, tasks: Callable[[], Iterable[asyncio.Task[Any]]]
    ) -> None:
        self._tasks = tasks
        self._file = (folder / STACKS).open("w", encoding="utf-8")
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True
        self._timer.name = "plugbook-watchdog"
        faulthandler.dump_traceback_later(timeout_s + _GRACE_S, exit=True, file=self._file)

    def start(self) -> None:
        """Watch from now on."""
        self._timer.start()

    def _end(self) -> None:
        for task in self._tasks():
            _write_task(task, self._file)
        self._file.flush()
        faulthandler.dump_traceback(self._file)
        os._exit(HUNG)


def _write_task(task: asyncio.Task[Any], file: TextIO) -> None:
    file.write(f"Task {task.get_name()} (most recent call first):\n")
    for frame in reversed(list(_awaited(task.get_coro()))):
        code = frame.f_code
        file.write(f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}\n')


def _awaited(waiting: Any) -> Iterator[FrameType]:
    """The frames of a coroutine and of what it awaits; a task itself knows of the outermost alone."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
