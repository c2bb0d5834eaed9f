"""Fills in a template: its files with names in the place of variables, all in memory."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from packaging.version import Version

from plugbook.errors import ScaffoldError
from plugbook.scaffold.template import FOLDER

if TYPE_CHECKING:
    from plugbook.scaffold.naming import Names
    from plugbook.scaffold.template import Template


def render(template: Template, names: Names, description: str, author: Mapping[str, str]) -> dict[str, str]:
    """The files of a package: the text of each by its path, which has ``/`` between its parts.

    Args:
        template: what to fill in.
        names: of the package.
        description: what it does, in a line.
        author: ``name`` and ``email``, either of which may be missing.

    Raises:
        ScaffoldError: the plugin class would be called like something that its modules use.
    """
    environment = _environment()
    variables = {
        "names": names,
        "template": template,
        "description": description,
        "author": author,
        "plugbook": _series(),
    }
    files = {
        environment.from_string(path).render(variables): environment.get_template(source).render(variables)
        for path, source in template.sources().items()
    }
    _check_class_name(files, names)
    return files


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 (what is rendered is Python and TOML, never HTML)
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(toml=_toml, docstring=_docstring)
    return environment


def _series() -> str:
    """The release of plugbook that the package is written for, such as ``0.1``."""
    release = Version(version("plugbook")).release
    return ".".join(map(str, release[:2]))


def _toml(value: Any) -> str:
    """A text or a list of texts in TOML, which writes both as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def _docstring(text: str) -> str:
    """A text that may stand in a docstring."""
    return re.sub(r'"(?=""|$)', r"\"", text.replace("\\", "\\\\"))


def _check_class_name(files: Mapping[str, str], names: Names) -> None:
    for path, text in files.items():
        if path.endswith(".py") and list(_bound(ast.parse(text))).count(names.class_name) > 1:
            msg = (
                f"{names.project!r} would have a class {names.class_name}, and {path} uses another one that is "
                f"called so. Write {names.project + '-plugin'!r}, or another name."
            )
            raise ScaffoldError(msg)


def _bound(module: ast.Module) -> Iterator[str]:
    """The names that a module defines or imports."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef):
            yield node.name
