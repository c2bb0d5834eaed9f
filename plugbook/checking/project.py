"""A project that brings plugins: what its ``pyproject.toml`` says, and whether its template's promises still hold."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from plugbook.checking.problem import Problem, Severity
from plugbook.plugins.finding.discovery import GROUP

PROJECT_FILE: Final = "pyproject.toml"
_OLDEST_MINOR: Final = 11
_NEWEST_MINOR: Final = 40
_NOT_SOURCES: Final = ("tests", "test", "docs", "examples", "build", "dist", "node_modules", "__pycache__")


@dataclass
class Project:
    """What a project says of itself.

    Attributes:
        folder: where it is.
        name: of the distribution.
        version: of the distribution, or ``0.0.0`` where a tool computes it.
        entry_points: of its plugins, by name.
        requires_python: which versions of Python it takes.
        template: what ``plugbook new`` wrote down of the template that it was made from.
        problems: what is wrong with the file.
    """

    folder: Path
    name: str = ""
    version: str = "0.0.0"
    entry_points: dict[str, str] = field(default_factory=dict)
    requires_python: str = ""
    template: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """Its ``pyproject.toml``."""
        return self.folder / PROJECT_FILE

    @property
    def path(self) -> list[str]:
        """Where its modules are."""
        inner = self.folder / "src"
        return [str(each) for each in (inner, self.folder) if each.is_dir()]

    def sources(self) -> Iterator[Path]:
        """The files that its plugins may be made of, without its tests."""
        root = Path(self.path[0])
        tops = {module.partition(":")[0].partition(".")[0] for module in self.entry_points.values()}
        for top in sorted(tops):
            single, package = root / f"{top}.py", root / top
            if single.is_file():
                yield single
            if package.is_dir():
                yield from sorted(package.rglob("*.py"))

    def oldest_python(self) -> tuple[int, int] | None:
        """The oldest Python that it says it takes, and that plugbook runs on."""
        if not self.requires_python:
            return None
        minors = range(_OLDEST_MINOR, _NEWEST_MINOR)
        takes = SpecifierSet(self.requires_python)
        # The last micro release stands for all: '>=3.12.4' does not exclude 3.12.
        return next(((3, minor) for minor in minors if takes.contains(f"3.{minor}.99")), None)

    def line_of(self, text: str) -> int:
        """The first line of its file that begins like that; 0 where none does."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return next((number for number, line in enumerate(lines, 1) if line.strip().startswith(text)), 0)

    def problem(
        self, code: str, message: str, remedy: str = "", at: str = "", severity: Severity = "error"
    ) -> None:
        """Keep a problem with its file."""
        line = self.line_of(at) if at else 0
        self.problems.append(Problem(code, message, remedy, severity, file=str(self.file), line=line))


def is_project(path: Path) -> bool:
    """Whether a path is that of a ``pyproject.toml``."""
    return path.name == PROJECT_FILE and path.is_file()


def read_project(folder: Path) -> Project:
    """What the ``pyproject.toml`` of a folder says."""
    project = Project(folder)
    try:
        said = tomllib.loads(project.file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        project.problems.append(_unreadable(project.file, f"it cannot be read ({error})"))
        return project
    except tomllib.TOMLDecodeError as error:
        project.problems.append(_unreadable(project.file, f"it is no TOML: {error}"))
        return project
    about = _table(said, "project")
    project.name, project.version = str(about.get("name", folder.name)), str(about.get("version", "0.0.0"))
    points = _table(_table(about, "entry-points"), GROUP)
    project.entry_points = {name: _tidy(value) for name, value in points.items() if isinstance(value, str)}
    project.template = _table(_table(_table(said, "tool"), "plugbook"), "template")
    _read_python(project, about.get("requires-python", ""))
    if not project.entry_points:
        told = "it offers no plugin"
        remedy = f'Name them: [project.entry-points."{GROUP}"] billing = "shop.billing:Billing".'
        project.problem("entry-point", told, remedy, "[project.entry-points")
    return project


def _read_python(project: Project, wanted: object) -> None:
    try:
        takes = SpecifierSet(str(wanted))
    except InvalidSpecifier:
        told = f"requires-python is {wanted!r}, which is no range of versions"
        project.problem("python-version", told, "Write it like '>=3.11'.", "requires-python")
        return
    project.requires_python = str(wanted)
    here = platform.python_version()
    if not takes.contains(Version(here), prereleases=True):
        told = f"it takes Python {wanted}, and this is {here}: it was not run as its users would"
        project.problem(
            "python-version", told, "Check it with one that it takes.", "requires-python", "warning"
        )


def _unreadable(file: Path, told: str) -> Problem:
    return Problem("unreadable", told, file=str(file))


def _table(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return dict(found) if isinstance(found, Mapping) else {}


def _tidy(entry_point: str) -> str:
    return entry_point.partition("[")[0].replace(" ", "")
