"""One thing that is wrong with a plugin: where, what and why, and what to do about it."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning"]
"""With an ``error`` the plugin does not work, or leaves something behind; a ``warning`` says that it soon may."""

_SENTENCE = re.compile(r"(?<=[.?!)]) (?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend.

    Attributes:
        code: what kind of problem it is, in words that stay the same, such as ``unknown-keyword``.
        message: what is wrong, and why.
        remedy: what to do.
        severity: ``error`` or ``warning``.
        plugin: which plugin has it; ``""`` where it is nobody's alone.
        file: the source it is in, or ``""``.
        line: counted from 1; 0 where it is in no line.
        column: counted from 1; 0 where it is unknown.
        source: the text of that line.
        details: the traceback or the stack, of what went wrong while it ran.
    """

    code: str
    message: str
    remedy: str = ""
    severity: Severity = "error"
    plugin: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    source: str = ""
    details: str = ""

    @property
    def place(self) -> str:
        """File, line and column, as editors read it."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def of(self, plugin: str) -> Problem:
        """The same, as a problem of this plugin."""
        return replace(self, plugin=plugin)

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{near(self.place)}: " if self.place else ""
        lines = [f"{place}{self.severity} [{self.code}] {self.message}"]
        if self.source.strip():
            lines.append(f"    {self.source.strip()}")
        if self.remedy:
            lines.append(f"  {self.remedy}")
        return "\n".join(lines)


def near(place: str) -> str:
    """A place as people read it: of what is below the working folder, without the way there."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")


def sentences(told: str) -> tuple[str, str]:
    """What an error of plugbook says, parted into what is wrong, and what to do about it.

    >>> sentences("'1,2' is not a version (PEP 440). Write it like '1.0.0'.")
    ("'1,2' is not a version (PEP 440)", "Write it like '1.0.0'.")
    """
    message, *rest = _SENTENCE.split(told, maxsplit=1)
    return message.removesuffix("."), "".join(rest)
