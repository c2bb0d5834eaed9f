"""Says an error in one line: what was raised, and the place that a person would go to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Final

_CELL: Final = re.compile(r"ipykernel_\d+|^<ipython-input")
_ROOMS: Final = "adapters|checking|commands|events|host|notebook|plugins|replay|scaffold|testing|trace"
_PLUGBOOK: Final = re.compile(
    rf"[/\\]plugbook[/\\](?:(?:{_ROOMS})[/\\](?:\w+[/\\])*\w+|__init__|_clock|_doors|cli|errors)\.py$"
)
_LIBRARY: Final = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3|[/\\]Lib[/\\]|^<frozen ")
_VALIDATION: Final = re.compile(
    r"(\d+) validation errors? for (\S+)\n(?:(\S+)\n)?  (.+?)(?: \[type=\w+.*)?(?:\n|$)"
)
_MOST_CHARACTERS: Final = 200


def show_place(file: str, line: int, *, brief: bool = False) -> str:
    """A line of a file; the files of notebook cells are made up by the kernel, and say nothing to a person.

    Args:
        file: as in a traceback.
        line: counted from 1.
        brief: the name of the file alone.

    >>> show_place("/tmp/ipykernel_2537/3913373252.py", 4), show_place("/srv/shop.py", 12, brief=True)
    ('the cell, line 4', 'shop.py:12')
    """
    if _CELL.search(file):
        return f"the cell, line {line}"
    return f"{PurePath(file).name if brief else file}:{line}"


def place_of(error: BaseException, *, brief: bool = False) -> str:
    """Where a person looks first for what raised it, or ``""``; of a group, where its first member was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    return _place(frames, brief=brief)


def recorded_place(error: dict[str, Any], *, brief: bool = False) -> str:
    """The same of an error as a recording holds it; see `describe_error`."""
    members = error.get("members")
    if members:
        return recorded_place(members[0], brief=brief)
    return _place([(frame["file"], frame["line"]) for frame in error.get("frames", ())], brief=brief)


def tell(error: BaseException) -> str:
    """Type and first line of an error; of a group those of its members, each with what it was about.

    >>> tell(ExceptionGroup("2 cleanups failed", [ValueError("no"), OSError("disk")]))
    '2 cleanups failed: ValueError: no; OSError: disk'
    """
    if isinstance(error, BaseExceptionGroup):
        return f"{first_line(error.message)}: " + "; ".join(map(tell, error.exceptions))
    text = first_line(_text_of(error))
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return f"{told} ({first_line(notes[0])})" if notes else told


def _place(frames: Iterable[tuple[str, int]], *, brief: bool) -> str:
    """The last line of somebody's own code; else of a library's; what plugbook does is never the mistake."""
    foreign = [frame for frame in frames if not _PLUGBOOK.search(frame[0])]
    own = [frame for frame in foreign if not _LIBRARY.search(frame[0])]
    chosen = (own or foreign)[-1:]
    return "".join(show_place(file, line, brief=brief) for file, line in chosen)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a view of errors must not break on one whose text raises
        return "(its text raised)"


def first_line(text: str) -> str:
    r"""The first line of a message, cut; of what pydantic found in a model, the field and what is wrong with it.

    >>> first_line("1 validation error for Tick\nn\n  Instance is frozen [type=frozen_instance, ...]")
    'Tick.n: Instance is frozen'
    """
    text = text.strip()
    found = _VALIDATION.match(text)
    if found is None:
        line = text.partition("\n")[0]
    else:
        count, model, field, what = found.groups()
        more = f" (and {int(count) - 1} more)" if count != "1" else ""
        line = f"{model}.{field}: {what}{more}" if field else f"{model}: {what}{more}"
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"
