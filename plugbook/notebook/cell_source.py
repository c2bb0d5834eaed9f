"""The source of a plugin that was written in a notebook: its cell, with those statements of other cells that it uses.

A fresh process has none of a notebook's variables. So the statements that bind the names a cell uses are gathered
from the cells before it, and what these use in turn; nothing is run for that.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from plugbook.checking.source import Source, read_source
from plugbook.checking.written import offered, plugins_in
from plugbook.commands.door import TypedPlugin

BEFORE: Final = "cells_before"
_MAGIC: Final = "%%plugin"
_CELL: Final = Path("cell.py")
_PLUGIN_CELL: Final = Path("plugin_cell.py")


def cell_source(
    cells: Sequence[str], transform: Callable[[str], str], plugin: str | None = None
) -> TypedPlugin | None:
    """The files that a plugin of a notebook would be.

    Args:
        cells: what was run, the oldest first, as it was typed.
        transform: makes Python of a cell with magics.
        plugin: its name; without one the last cell that defines a plugin is meant.

    Returns:
        None where no cell has such a plugin.
    """
    sources: list[Source] = []
    names: dict[str, str] = {}
    for cell in cells:
        source = _read(cell, transform, names)
        if source is not None:
            sources.append(source)
            names = source.names  # what one cell imports, the next ones know
    found = next((each for each in reversed(sources) if _has(each, plugin)), None)
    if found is None:
        return None
    earlier = sources[: sources.index(found)]
    imports, statements = _needed(found, earlier)
    first = [*imports]
    if statements:
        bound = [name for each in statements.values() for name in _bound(each[1])]
        first.append(f"from {BEFORE} import {', '.join(sorted(set(bound) & _used(found.tree)))}")
    text = "; ".join(first) + _without_unused(found)
    name = offered(plugins_in(found))[0].name.replace("-", "_")
    before = "\n".join([*imports, *(_text(source, node) for source, node in statements.values()), ""])
    files = {f"{name}.py": text} | ({f"{BEFORE}.py": before} if statements else {})
    return TypedPlugin(files, lines_before=0 if found.file == _PLUGIN_CELL else 1)


def _read(cell: str, transform: Callable[[str], str], names: Mapping[str, str]) -> Source | None:
    """A cell as Python; one of another magic, or one that could not be parsed, defines nothing.

    Of a cell that is no plugin's alone only what it defines is taken, and not what it does.
    """
    head, _, rest = cell.partition("\n")
    if head.startswith("%%") and not head.startswith(_MAGIC):
        return None
    body = rest if head.startswith(_MAGIC) else cell
    is_plugin = body is rest
    # A line is free at the top: that of %%plugin, whose numbers are kept by it, or else one more.
    found = read_source(_PLUGIN_CELL if is_plugin else _CELL, "\n" + transform(body))
    if not is_plugin and isinstance(found, Source):
        found = read_source(_CELL, _definitions(found))
    return replace(found, names={**names, **found.names}) if isinstance(found, Source) else None


def _definitions(source: Source) -> str:
    """The statements of a cell that define something, each in its lines."""
    lines = [""] * (source.text.count("\n") + 1)
    for node in source.tree.body:
        if any(_bound(node)):
            lines[_first(node) - 1 : node.end_lineno] = _text(source, node).splitlines()
    return "\n".join(lines)


def _has(source: Source, plugin: str | None) -> bool:
    written = offered(plugins_in(source))
    return bool(written) if plugin is None else any(each.name == plugin for each in written)


def _without_unused(source: Source) -> str:
    """The text of a cell without the variables that nothing in it uses, such as the host that runs its plugins."""
    if source.file == _PLUGIN_CELL:
        return source.text
    lines = source.text.split("\n")
    for node in source.tree.body:
        used = {name for each in source.tree.body if each is not node for name in _used(each)}
        if isinstance(node, ast.Assign | ast.AnnAssign) and not used.intersection(_bound(node)):
            first, last = _first(node) - 1, node.end_lineno or node.lineno
            lines[first:last] = [""] * (last - first)
    return "\n".join(lines)


def _needed(cell: Source, earlier: Sequence[Source]) -> tuple[list[str], dict[int, tuple[Source, ast.stmt]]]:
    """The imports that a cell relies on, and the other statements of earlier cells, in the order they were run."""
    binders = {
        name: (place, source, node)
        for place, (source, node) in enumerate(_statements(earlier))
        for name in _bound(node)
    }
    own = {name for node in cell.tree.body for name in _bound(node)}
    waiting = list(_used(cell.tree) - own)
    imports: dict[str, None] = {}
    found: dict[int, tuple[Source, ast.stmt]] = {}
    while waiting:
        name = waiting.pop()
        if name not in binders:
            continue
        place, source, node = binders[name]
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports[ast.unparse(node)] = None
        elif place not in found:
            found[place] = (source, node)
            waiting += _used(node)
    return sorted(imports), dict(sorted(found.items()))


def _statements(sources: Sequence[Source]) -> Iterator[tuple[Source, ast.stmt]]:
    return ((source, node) for source in sources for node in source.tree.body)


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement gives a value to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


def _used(tree: ast.AST) -> set[str]:
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _text(source: Source, node: ast.stmt) -> str:
    """A statement as it was written, with its decorators."""
    return "\n".join(source.text.splitlines()[_first(node) - 1 : node.end_lineno])


def _first(node: ast.stmt) -> int:
    decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
    return min([node.lineno, *(each.lineno for each in decorators)])
