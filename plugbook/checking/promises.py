"""What the template of a plugin's project promised, and whether it still holds.

``plugbook new`` writes into the ``pyproject.toml`` of what it makes:

    [tool.plugbook.template]
    name = "basic"
    version = 1
    promises = ["tests", "readme", "ci", "entry-point", "conformance"]

A project that gives up one of them takes it out of the list; one that has no such table promised nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from plugbook.checking.problem import Problem
from plugbook.errors import suggestion

if TYPE_CHECKING:
    from plugbook.checking.project import Project

_CI: Final = (".github/workflows/*.y*ml", ".gitlab-ci.yml", ".circleci/config.yml", "azure-pipelines.yml")


def check_promises(project: Project) -> Iterator[Problem]:
    """What the template promised and does not hold any more."""
    template = project.template
    if not template:
        return
    promises = template.get("promises", list(_KEPT))
    at = project.line_of("[tool.plugbook.template]")
    for promise in promises if isinstance(promises, list) else [promises]:
        if promise not in _KEPT:
            told = f"the template promises {promise!r}, which is no promise"
            remedy = suggestion(str(promise), _KEPT).strip()
            yield Problem("promise-unknown", told, remedy, "warning", file=str(project.file), line=at)
            continue
        is_kept, told, remedy = _KEPT[promise]
        if not is_kept(project):
            name = template.get("name", "")
            message = f"the template {name!r} promised {told}, and it is not there"
            or_else = f"{remedy}, or take {promise!r} out of promises."
            yield Problem(f"promise-{promise}", message, or_else, file=str(project.file), line=at)


def _has_tests(project: Project) -> bool:
    return any(_tests(project))


def _has_readme(project: Project) -> bool:
    return any(file.stat().st_size for file in project.folder.glob("README*"))


def _has_ci(project: Project) -> bool:
    return any(any(project.folder.glob(pattern)) for pattern in _CI)


def _has_entry_point(project: Project) -> bool:
    return bool(project.entry_points) and not any(each.code == "entry-point" for each in project.problems)


def _has_conformance(project: Project) -> bool:
    return any("conformance" in test for test in _tests(project))


def _tests(project: Project) -> Iterator[str]:
    """The text of each file with tests."""
    for pattern in ("tests/**/test_*.py", "tests/**/*_test.py", "test_*.py"):
        for file in project.folder.glob(pattern):
            yield file.read_text(encoding="utf-8", errors="replace")


_KEPT: Final[dict[str, tuple[Callable[[Project], bool], str, str]]] = {
    "tests": (_has_tests, "tests", "Write some in tests/"),
    "readme": (_has_readme, "a README", "Write a README.md"),
    "ci": (_has_ci, "a CI file", "Add one, such as .github/workflows/test.yml"),
    "entry-point": (_has_entry_point, "an entry point", "Name the plugin in pyproject.toml"),
    "conformance": (
        _has_conformance,
        "the conformance test",
        "Import plugbook.testing.conformance in a test",
    ),
}
"""By the name of a promise: whether it is kept, what it is, and what to do about one that is not."""
