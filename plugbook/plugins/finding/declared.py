"""Reads from a source file what a plugin's class statement says literally, and runs nothing."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from plugbook.plugins.manifest import Manifest, kebab

_MOST_STEPS = 8
"""How many re-exports are followed to the file that has the class statement."""


@dataclass(slots=True)
class Declared:
    """What could be read without importing anything.

    Attributes:
        fields: of a `Manifest`; empty where the class statement was not found.
        files: every file that was read to find that out; the last one is where it was looked for last.
        attribute: the name that it was looked for there, by which others may import it under another one.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    attribute: str = ""


def read_declared(module: str, attribute: str, path: Iterable[str]) -> Declared:
    """What a class says of itself in its statement; what is not written as a literal is left out.

    A name that is imported is followed to where it comes from.

    Args:
        module: the module of an entry point.
        attribute: its class, with dots where it is nested.
        path: where to look for modules.
    """
    declared = Declared()
    folders = list(path)
    for _ in range(_MOST_STEPS):
        file = _find_file(module, folders)
        if file is None or file in declared.files:
            break
        declared.files.append(file)
        declared.attribute = attribute
        tree = _parse(file)
        statement = _find_class(tree, attribute)
        if statement is not None:
            declared.fields = _fields_of(statement)
            break
        origin = _find_import(tree, module, attribute, is_package=file.name == "__init__.py")
        if origin is None:
            break
        module, attribute = origin
    return declared


def _find_file(module: str, path: list[str]) -> Path | None:
    """The source of a module; unlike `importlib.util.find_spec`, this imports no parent package."""
    locations: Iterable[str] | None = path
    parts = module.split(".")
    origin = None
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), list(locations or ()))
        if spec is None:
            return None
        locations, origin = spec.submodule_search_locations, spec.origin
    return Path(origin) if origin and origin.endswith(".py") else None


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        # Importing it will fail as well, and that error has a traceback to show.
        return ast.Module(body=[], type_ignores=[])


def _find_class(tree: ast.Module, attribute: str) -> ast.ClassDef | None:
    body: list[ast.stmt] = tree.body
    found = None
    for part in attribute.split("."):
        found = next((node for node in body if isinstance(node, ast.ClassDef) and node.name == part), None)
        if found is None:
            return None
        body = found.body
    return found


def _find_import(
    tree: ast.Module, module: str, attribute: str, *, is_package: bool
) -> tuple[str, str] | None:
    first, dot, rest = attribute.partition(".")
    package = module if is_package else module.rpartition(".")[0]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == first:
                    base = node.module or ""
                    if node.level:
                        try:
                            base = importlib.util.resolve_name("." * node.level + base, package)
                        except ImportError:
                            return None
                    return base, alias.name + dot + rest
    return None


def _fields_of(statement: ast.ClassDef) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": kebab(statement.name)}
    docstring = (ast.get_docstring(statement) or "").strip()
    if docstring:
        fields["summary"] = docstring.splitlines()[0]
    for keyword in statement.keywords:
        if keyword.arg in Manifest.model_fields:
            try:
                fields[keyword.arg] = ast.literal_eval(keyword.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                fields.pop(keyword.arg, None)
    return fields
