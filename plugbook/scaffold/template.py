"""The templates that there are: what each is for, and the files that it is made of."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from plugbook.errors import UnknownNameError, suggestion

FOLDER: Final = Path(__file__).with_name("templates")
"""A folder for each template, and ``shared`` for the files that they have in common."""

SUFFIX: Final = ".jinja"
"""Marks a file of a template, so that no tool takes it for Python or TOML; the package has it without."""

_SHARED: Final = "shared"
_ABOUT: Final = "template.toml"
_ORDER: Final = ("basic", "async", "bundle", "pluggy-bridge")


@dataclass(frozen=True, slots=True)
class Template:
    """A package to begin with.

    Attributes:
        name: what it is called.
        summary: what it is for, in a line.
        version: grows when a package made from it would differ.
        promises: what a package made from it has; ``plugbook check`` looks whether it still does.
        dependencies: what the package needs besides plugbook, as requirements.
    """

    name: str
    summary: str
    version: int
    promises: tuple[str, ...]
    dependencies: tuple[str, ...] = field(default=())

    def sources(self) -> dict[str, str]:
        """Where each file of the package stands below `FOLDER`, by the path that it will have; both with ``/``.

        A file of its own stands in the place of a shared one.
        """
        found: dict[str, str] = {}
        for layer in (_SHARED, self.name):
            root = FOLDER / layer
            for file in sorted(root.rglob("*" + SUFFIX)):
                path = file.relative_to(root).as_posix().removesuffix(SUFFIX)
                found[path] = file.relative_to(FOLDER).as_posix()
        return found


@cache
def templates() -> dict[str, Template]:
    """Every template by name, the simplest first."""
    return {name: _read(name) for name in _ORDER}


def template_named(name: str) -> Template:
    """One template.

    Raises:
        UnknownNameError: there is none of that name.
    """
    known = templates()
    if name not in known:
        msg = f"There is no template {name!r}.{suggestion(name, known)}"
        raise UnknownNameError(msg, name=name, known=tuple(known))
    return known[name]


def _read(name: str) -> Template:
    said = tomllib.loads((FOLDER / name / _ABOUT).read_text(encoding="utf-8"))
    return Template(
        name,
        summary=said["summary"],
        version=said["version"],
        promises=tuple(said["promises"]),
        dependencies=tuple(said.get("dependencies", ())),
    )
