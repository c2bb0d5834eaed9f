"""What the template of a plugin's project promised, and whether it still holds.

``plugbook new`` writes into the ``pyproject.toml`` of what it makes:

    [tool.plugbook.template]
    name = "basic"
    version = 1
    promises = ["config", "events", "state", "tests"]

A project that gives up one of them takes it out of the list; one that has no such table promised nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from plugbook.checking.problem import Problem
from plugbook.checking.written import Written, plugins_in, topics_in
from plugbook.errors import suggestion

if TYPE_CHECKING:
    from plugbook.checking.project import Project
    from plugbook.checking.source import Source

_CI: Final = (
    ".github/workflows/*.y*ml",
    ".gitlab-ci.yml",
    ".circleci/config.yml",
    "azure-pipelines.yml",
    "Jenkinsfile",
)
_TESTS: Final = ("tests/**/test_*.py", "tests/**/*_test.py", "test_*.py")


def check_promises(project: Project, sources: Iterable[Source]) -> Iterator[Problem]:
    """What the template promised and does not hold any more.

    Args:
        project: what its ``pyproject.toml`` says.
        sources: of its plugins.
    """
    promises = project.template.get("promises", ())
    at = project.line_of("promises") or project.line_of("[tool.plugbook.template]")
    package = _Package(project, list(sources))
    for name in promises if isinstance(promises, list | tuple) else [promises]:
        promise = _PROMISES.get(str(name))
        if promise is None:
            told = f"the template promises {name!r}, which is nothing that can be looked for"
            remedy = suggestion(str(name), _PROMISES).strip()
            yield Problem("promise-unknown", told, remedy, "warning", file=str(project.file), line=at)
        elif not promise.is_kept(package):
            template = project.template.get("name", "")
            message = f"the template {template!r} promised {promise.what}, and it is not there"
            remedy = f"{promise.remedy}, or take {name!r} out of promises."
            yield Problem(f"promise-{name}", message, remedy, file=str(project.file), line=at)


@dataclass(frozen=True)
class _Package:
    """What promises are about.

    Attributes:
        project: what its ``pyproject.toml`` says.
        sources: of its plugins.
    """

    project: Project
    sources: Collection[Source]

    @property
    def plugins(self) -> list[Written]:
        """The plugins in its sources."""
        return [each for source in self.sources for each in plugins_in(source)]

    def has(self, *patterns: str) -> bool:
        """Whether there is a file that fits one of these, and is not empty."""
        found = (file for pattern in patterns for file in self.project.folder.glob(pattern))
        return any(file.is_file() and file.stat().st_size for file in found)

    def says_in_tests(self, word: str) -> bool:
        """Whether a test holds a word."""
        files = (file for pattern in _TESTS for file in self.project.folder.glob(pattern))
        return any(word in file.read_text(encoding="utf-8", errors="replace") for file in files)

    def has_methods(self, *names: str) -> bool:
        """Whether one of its plugins defines methods of all of these names."""
        return any({each.name for each in plugin.methods()}.issuperset(names) for plugin in self.plugins)

    def has_config(self) -> bool:
        """Whether one of its plugins has options."""
        return any(
            isinstance(each, ast.ClassDef) and each.name == "Config"
            for plugin in self.plugins
            if isinstance(plugin.node, ast.ClassDef)
            for each in plugin.node.body
        )

    def has_async(self) -> bool:
        """Whether one of its plugins has a coroutine."""
        return any(
            isinstance(each, ast.AsyncFunctionDef) for plugin in self.plugins for each in plugin.methods()
        )

    def has_members(self) -> bool:
        """Whether one of its plugins is a bundle."""
        return any(keyword.arg == "members" for plugin in self.plugins for keyword in plugin.keywords)

    def has_entry_point(self) -> bool:
        """Whether it offers a plugin, and each entry point leads to one."""
        wrong = any(each.code == "entry-point" for each in self.project.problems)
        return bool(self.project.entry_points) and not wrong


class _Promise(NamedTuple):
    """Something that a template may promise.

    Attributes:
        what: it is.
        remedy: what to do where it is not there.
        is_kept: whether it is there.
    """

    what: str
    remedy: str
    is_kept: Callable[[_Package], bool]


_PROMISES: Final[dict[str, _Promise]] = {
    "config": _Promise("options", "Write class Config(BaseModel) in the plugin", _Package.has_config),
    "events": _Promise(
        "events of its own",
        "Define a subclass of Event",
        lambda package: any(map(topics_in, package.sources)),
    ),
    "state": _Promise(
        "state that a reload keeps",
        "Write snapshot(self) and restore(self, state)",
        lambda package: package.has_methods("snapshot", "restore"),
    ),
    "async": _Promise("an async method", "Write one with async def", _Package.has_async),
    "members": _Promise("a bundle", "Name the plugins it is made of: members=[...]", _Package.has_members),
    "tests": _Promise("tests", "Write some in tests/", lambda package: package.has(*_TESTS)),
    "readme": _Promise("a README", "Write a README.md", lambda package: package.has("README*")),
    "ci": _Promise("a CI file", "Write .github/workflows/ci.yml", lambda package: package.has(*_CI)),
    "entry-point": _Promise("an entry point", "Name the plugin in pyproject.toml", _Package.has_entry_point),
    "conformance": _Promise(
        "the conformance test",
        "Use plugbook.testing.conformance in a test",
        lambda package: package.says_in_tests("conformance"),
    ),
}
