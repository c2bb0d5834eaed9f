"""Where a recording comes from: what lets a colleague read it without the code and the machine that made it."""

from __future__ import annotations

import fnmatch
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from plugbook.trace.writing.payload import HIDDEN

if TYPE_CHECKING:
    from plugbook._types import Json

_LONGEST_SOURCE: Final = 20_000
_WORD: Final = re.compile(r"\w+")

CELL_TEXTS: Final[dict[tuple[int, str], str]] = {}
"""The text of the notebook cells that have run, by execution count and id; whoever follows the cells fills it."""


def origin(redact: Iterable[str] = ()) -> dict[str, Json]:
    """Command, host application, Python, platform, installed packages, commit and time zone of this process.

    Args:
        redact: names of command line options whose values are hidden.
    """
    return {
        "command": list(_hidden_options(sys.orig_argv, tuple(redact))),
        "application": Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python",
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "process": os.getpid(),
        "packages": dict(sorted(_installed_packages(sys.path))),
        "commit": _commit(Path.cwd()),
        "time_zone": time.strftime("%Z %z"),
        "started_ns": time.time_ns(),
    }


def cell_text(cell: tuple[int, str], redact: Iterable[str] = ()) -> str:
    """The text of a notebook cell, or ``""``; hidden altogether where it mentions a name that is to be redacted.

    Which part of a text is the secret cannot be told: ``login("ada", "s3cret")`` may be what made it a password.
    """
    return _hidden_where_named(CELL_TEXTS.get(cell, ""), tuple(redact))


def _hidden_where_named(text: str, names: tuple[str, ...]) -> str:
    return HIDDEN if any(_is_secret(word, names) for word in set(_WORD.findall(text))) else text


def source_of(file: str, line: int, end: int, redact: Iterable[str] = ()) -> str:
    """The source text of the function at these lines, or ``""``; cells are found, too.

    Like the text of a cell it is hidden altogether where it mentions a name that is to be redacted.

    Args:
        file: where it is.
        line: its first line, 1-based.
        end: the last line that has code in it: what is indented below belongs to it, too, such as a docstring.
        redact: the names.
    """
    import linecache

    lines = linecache.getlines(file)
    if not 0 < line <= len(lines):
        return ""
    margin = _indent(lines[line - 1])
    end = max(line, end)
    while end < len(lines) and (_indent(lines[end]) > margin or not lines[end].strip()):
        end += 1
    text = "".join(lines[line - 1 : end]).rstrip() + "\n"
    return _hidden_where_named(text[:_LONGEST_SOURCE], tuple(redact))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _hidden_options(argv: Sequence[str], redact: tuple[str, ...]) -> Iterable[str]:
    hide_next = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        secret = _is_secret(name, redact)
        if hide_next and not argument.startswith("-"):
            yield HIDDEN
        else:
            yield f"{name}={HIDDEN}" if secret and equals else argument
        hide_next = secret and not equals and argument.startswith("-")


def _is_secret(option: str, redact: tuple[str, ...]) -> bool:
    name = option.lstrip("-").replace("-", "_").lower()
    return any(fnmatch.fnmatchcase(name, pattern.replace("-", "_").lower()) for pattern in redact)


def _installed_packages(path: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Name and version by the names of the metadata folders alone: reading them all takes 100 times as long."""
    for folder in path:
        try:
            names = [entry.name for entry in os.scandir(folder or ".")]
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").partition("-")
                yield package, version


def _commit(folder: Path) -> str:
    """The commit checked out around a folder, read from git's own files; ``""`` where there is none."""
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        try:
            if git.is_file():  # a worktree or a submodule
                git = (parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
            elif not git.is_dir():
                continue
            return _resolve_head(git)
        except OSError:
            return ""
    return ""


def _resolve_head(git: Path) -> str:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head
    ref = head.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.is_file() else git
    for base in (git, shared):
        if (base / ref).is_file():
            return (base / ref).read_text(encoding="utf-8").strip()
    packed = shared / "packed-refs"
    for line in packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ():
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return ""
