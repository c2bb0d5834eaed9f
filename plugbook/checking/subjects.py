"""What there is to check at a path or behind a name: which plugins, in which files, and how they would be imported."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plugbook.checking.problem import Problem, sentences
from plugbook.checking.project import Project, is_project, read_project
from plugbook.checking.source import Source, read_source
from plugbook.checking.written import Written, find_written, is_unrelated, names_in, offered, plugins_in
from plugbook.errors import ManifestError, UnknownNameError, suggestion
from plugbook.plugins.finding.declared import read_declared
from plugbook.plugins.finding.discovery import Found, discover, discover_in
from plugbook.plugins.finding.folders import PLUGIN_FILE, plugin_files
from plugbook.plugins.finding.loader import split_entry_point

if TYPE_CHECKING:
    from plugbook.plugins.manifest import Manifest

_AT = re.compile(r"^(?P<file>.+?\.(?:toml|py))(?::(?P<line>\d+))?:? ", re.DOTALL)


@dataclass(frozen=True)
class Subject:
    """One plugin that is checked.

    Attributes:
        name: what it is called, as far as it could be read.
        entry_point: where its class is, ``module:Class``.
        written: how it is written; None where that was not found.
        manifest: what a ``plugin.toml`` or a distribution says of it, with what its class says; None of a
            plugin that stands in a file of its own, whose class says everything.
        folder: the folder with its ``plugin.toml``, or None.
        is_installed: whether a distribution that is installed brings it.
    """

    name: str
    entry_point: str
    written: Written | None = None
    manifest: Manifest | None = None
    folder: Path | None = None
    is_installed: bool = False


@dataclass
class Subjects:
    """Everything that there is to check.

    Attributes:
        where: what was asked for, as a person would name it.
        plugins: the plugins.
        sources: every source that belongs to them, by file.
        path: what has to be on `sys.path` to import them.
        project: the project that they are in, or None.
        problems: what was wrong with finding them.
    """

    where: str
    plugins: list[Subject] = field(default_factory=list)
    sources: dict[Path, Source] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    project: Project | None = None
    problems: list[Problem] = field(default_factory=list)

    def read(self, file: Path) -> Source | None:
        """A source, read once; what is wrong with it is kept as a problem."""
        if file not in self.sources and not any(each.file == str(file) for each in self.problems):
            found = read_source(file)
            if isinstance(found, Problem):
                self.problems.append(found)
            else:
                self.sources[file] = found
        return self.sources.get(file)

    def problem(self, code: str, told: str, file: Path | str = "", line: int = 0, plugin: str = "") -> None:
        """Keep a problem with finding a plugin."""
        message, remedy = sentences(told)
        self.problems.append(Problem(code, message, remedy, file=str(file), line=line, plugin=plugin))


def find_subjects(given: str) -> Subjects:
    """What is to be checked.

    Args:
        given: the path of a file, of a folder with a ``plugin.toml`` or of several of those, or of a project with a
            ``pyproject.toml``; or else an entry point ``module:Class`` or the name of an installed plugin.

    Raises:
        UnknownNameError: there is nothing of that name.
    """
    path = Path(given).expanduser()
    if path.name == PLUGIN_FILE or is_project(path):
        path = path.parent
    if path.is_file():
        return _in_file(path.absolute())
    if path.is_dir():
        return _in_folder(path.absolute())
    if ":" in given:
        return _behind_entry_point(given)
    return _installed(given)


def _in_folder(folder: Path) -> Subjects:
    found = Subjects(str(folder))
    if (folder / PLUGIN_FILE).is_file():
        _add_folders(found, folder)
    elif is_project(folder / "pyproject.toml"):
        _add_project(found, folder)
    if not found.plugins and not found.problems and plugin_files(folder):
        _add_folders(found, folder)
    if not found.plugins and not found.problems:
        for file in sorted(folder.glob("*.py")):
            _add_file(found, file)
    if not found.plugins and not found.problems:
        told = f"there is no plugin in {folder}. Write a plugin.toml, a pyproject.toml with entry points, or a class."
        found.problem("no-plugin", told, folder)
    return found


# -- files ----------------------------------------------------------------------------------------


def _in_file(file: Path) -> Subjects:
    found = Subjects(str(file))
    _add_file(found, file)
    if not found.plugins and not found.problems:
        told = "there is no plugin in it. Write a subclass of plugbook.Plugin, or x = plugin('x')."
        found.problem("no-plugin", told, file)
    return found


def _add_file(found: Subjects, file: Path) -> None:
    source = found.read(file)
    if source is None:
        return
    root, module = _import_name(file)
    if root not in found.path:
        found.path.append(root)
    for written in offered(plugins_in(source)):
        found.plugins.append(Subject(written.name, f"{module}:{written.attribute}", written))


def _import_name(file: Path) -> tuple[str, str]:
    """Where Python would have to look for a file, and as what it would import it."""
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return str(folder), ".".join(parts)


# -- folders, projects and what is installed ------------------------------------------------------


def _add_folders(found: Subjects, folder: Path) -> None:
    for each in discover_in(folder):
        if each.error is not None:
            _keep_error(found, each.name, each.error, Path(each.distribution) / PLUGIN_FILE)
            continue
        home = Path(each.distribution)
        module, _, attribute = each.entry_point.partition(":")
        inside = module.partition(".")[2]
        path = [str(home)]
        written = _written(found, inside, attribute, path)
        is_there = _is_there(found, each.name, f"{inside}:{attribute}", path, home / PLUGIN_FILE)
        if is_there and _is_plugin(found, each.name, written, home / PLUGIN_FILE):
            found.plugins.append(Subject(each.name, each.entry_point, written, each.manifest, home))
        _read_all(found, home)


def _keep_error(found: Subjects, name: str, error: ManifestError, file: Path | str) -> None:
    told, line = str(error), 0
    at = _AT.match(told)
    if at is not None:
        told, file, line = told[at.end() :], at["file"], int(at["line"] or 0)
    code = f"manifest-{error.field.partition('.')[0]}" if error.field else "manifest"
    found.problem("entry-point" if error.field == "entry_point" else code, told, file, line, name)


def _add_project(found: Subjects, folder: Path) -> None:
    project = found.project = read_project(folder)
    found.problems += project.problems
    found.path += project.path
    for name, entry_point in project.entry_points.items():
        _add_entry_point(found, name, entry_point, project.file)
    for file in project.sources():
        found.read(file)


def _behind_entry_point(given: str) -> Subjects:
    found = Subjects(given)
    _add_entry_point(found, "", given, "")
    if not found.plugins and all(each.code == "entry-point" for each in found.problems):
        raise UnknownNameError(" ".join(str(each.message) for each in found.problems) + ".", name=given)
    return found


def _installed(given: str) -> Subjects:
    offers = {each.name: each for each in discover()}
    if given not in offers:
        told = suggestion(given, offers) if offers else " No plugin is installed."
        msg = f"There is no file, folder or installed plugin {given!r}.{told}"
        raise UnknownNameError(msg, name=given, known=offers)
    found = Subjects(given)
    _add_installed(found, offers[given])
    return found


def _add_installed(found: Subjects, offer: Found) -> None:
    if offer.error is not None:
        _keep_error(found, offer.name, offer.error, "")
        return
    module, _, attribute = offer.entry_point.partition(":")
    written = _written(found, module, attribute, sys.path)
    found.plugins.append(Subject(offer.name, offer.entry_point, written, offer.manifest, is_installed=True))


def _add_entry_point(found: Subjects, name: str, entry_point: str, file: Path | str) -> None:
    try:
        module, attribute = split_entry_point(entry_point)
    except ManifestError as error:
        found.problem("entry-point", str(error), file, plugin=name)
        return
    path = [*found.path, *sys.path]
    if not _is_there(found, name, entry_point, path, file):
        return
    written = _written(found, module, attribute, path)
    called = name or (written.name if written else attribute)
    if not _is_plugin(found, called, written, file):
        return
    if written is not None and name and written.name != name:
        told = f"its entry point is called {name!r}, but the plugin calls itself {written.name!r}. Use one name in both."
        found.problem("manifest-name", told, file, plugin=name)
    found.plugins.append(Subject(called, entry_point, written))


def _written(found: Subjects, module: str, attribute: str, path: list[str]) -> Written | None:
    """How a plugin is written, wherever its name is imported from."""
    declared = read_declared(module, attribute, path)
    source = found.read(declared.files[-1]) if declared.files else None
    return find_written(source, declared.attribute) if source is not None else None


def _is_there(found: Subjects, name: str, entry_point: str, path: list[str], file: Path | str) -> bool:
    """Whether an entry point leads to something, as far as that can be read; keeps a problem where it does not."""
    module, _, attribute = entry_point.partition(":")
    declared = read_declared(module, attribute, path)
    if not declared.files:
        told = f"the entry point {entry_point!r} leads nowhere: there is no module {module!r}. Mend its name."
        found.problem("entry-point", told, file, plugin=name)
        return False
    source = found.read(declared.files[-1])
    if source is None:
        return True  # that it cannot be read is told already
    names = names_in(source)
    first = declared.attribute.partition(".")[0]
    if names is None or first in names:
        return True
    near = suggestion(first, [each.attribute for each in plugins_in(source)] or names)
    told = f"the entry point {entry_point!r} leads nowhere: {source.file} has no {first!r}.{near}"
    found.problem("entry-point", told, file, plugin=name)
    return False


def _is_plugin(found: Subjects, name: str, written: Written | None, file: Path | str) -> bool:
    if written is None or not is_unrelated(written):
        return True
    told = f"its entry point leads to the class {written.attribute}, which is no plugin. Make it a subclass of plugbook.Plugin."
    problem = written.source.problem("entry-point", written.node, *sentences(told))
    found.problems.append(problem.of(name))
    return False


def _read_all(found: Subjects, folder: Path) -> None:
    for file in sorted(folder.rglob("*.py")):
        if not any(part.startswith((".", "__pycache__")) for part in file.relative_to(folder).parts):
            found.read(file)
