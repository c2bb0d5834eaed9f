"""Where something was made, if Python was told to keep track of it (`tracemalloc`)."""

from __future__ import annotations

import sysconfig
import tracemalloc
from typing import Final, NamedTuple

from plugbook.trace.telling import show_place

_LIBRARY: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "<frozen"})


class Line(NamedTuple):
    """A line of code.

    Attributes:
        file: as in a traceback.
        number: counted from 1.
    """

    file: str
    number: int

    def __str__(self) -> str:
        return show_place(self.file, self.number)


def made_through(thing: object) -> list[Line]:
    """The lines on the way to where it was made, the innermost first; empty where nobody kept track.

    Python keeps track between `tracemalloc.start` and `tracemalloc.stop`, of as many lines as it was told.
    """
    if not tracemalloc.is_tracing():
        return []
    # Python 3.11 loses track of what has an instance dictionary: of a Popen its lock, made with it, is still known.
    for each in (thing, getattr(thing, "_waitpid_lock", None)):
        known = tracemalloc.get_object_traceback(each)
        if known is not None:
            return [Line(frame.filename, frame.lineno) for frame in reversed(known)]
    return []


def told_place(lines: list[Line]) -> str:
    """The line a person would go to: the innermost that is not a library's."""
    own = [line for line in lines if not line.file.startswith(_LIBRARY)]
    return str(own[0]) if own else ""
