"""A source file as the checks see it: its syntax tree, its lines, and what its names were imported as."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plugbook.checking.problem import Problem, Severity

UNKNOWN: Final = object()
"""Stands for a value that the source does not give literally."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file that could be parsed.

    Attributes:
        file: its path.
        text: what it says.
        tree: its syntax tree.
        names: what the names that it imports stand for, such as ``pb`` for ``plugbook``.
    """

    file: Path
    text: str
    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict)

    def full_name(self, node: ast.AST | None) -> str:
        """What a name with dots stands for, as it was imported; ``""`` of what is no name.

        ``sleep`` is ``time.sleep`` after ``from time import sleep``.
        """
        if isinstance(node, ast.Attribute):
            base = self.full_name(node.value)
            return f"{base}.{node.attr}" if base else ""
        return self.names.get(node.id, node.id) if isinstance(node, ast.Name) else ""

    def is_ours(self, node: ast.AST | None, *names: str) -> bool:
        """Whether an expression names something of plugbook's that is called like that."""
        package, _, name = self.full_name(node).rpartition(".")
        if not package and self.names.get("*") == "plugbook.*":
            package = "plugbook"
        return name in names and package.partition(".")[0] == "plugbook"

    def problem(
        self, code: str, node: ast.AST, message: str, remedy: str = "", severity: Severity = "error"
    ) -> Problem:
        """A problem at a node."""
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1
        return Problem(
            code,
            message,
            remedy,
            severity,
            file=str(self.file),
            line=line,
            column=column,
            source=self.line(line),
        )

    def line(self, number: int) -> str:
        """The text of a line, counted from 1."""
        lines = self.text.splitlines()
        return lines[number - 1].rstrip() if 0 < number <= len(lines) else ""


def read_source(file: Path, text: str | None = None) -> Source | Problem:
    """A file, parsed; or why it cannot be.

    Args:
        file: its path.
        text: what it says, where that is not what is on disk.
    """
    try:
        content = _decoded(file) if text is None else text
        tree = _parse(content, file)
    except SyntaxError as error:
        return _syntax_problem(file, error)
    except OSError as error:
        return Problem("unreadable", f"it cannot be read ({error.strerror or error})", file=str(file))
    except (ValueError, LookupError, RecursionError, MemoryError) as error:
        told = str(error) or type(error).__name__
        return Problem(
            "unreadable", f"it is no Python source ({told})", "Save it as UTF-8 text.", file=str(file)
        )
    return Source(file, content, tree, dict(_imports(tree)))


def _decoded(file: Path) -> str:
    content = file.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.decode(encoding)


def _parse(text: str, file: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an escape that is none is no reason to refuse it
        tree = ast.parse(text, str(file))
        compile(
            tree, str(file), "exec", dont_inherit=True
        )  # finds what the grammar alone allows; runs nothing
        return tree


def newer_syntax(source: Source, version: tuple[int, int]) -> Problem | None:
    """What an older Python could not parse in a source, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source.text, str(source.file), feature_version=version)
    except SyntaxError as error:
        said = ".".join(map(str, version))
        return Problem(
            "newer-syntax",
            f"Python {said}, which requires-python allows, cannot read it ({error.msg})",
            "Write it as that Python does, or raise requires-python.",
            file=str(source.file),
            line=error.lineno or 0,
            column=error.offset or 0,
            source=source.line(error.lineno or 0),
        )
    return None


def _syntax_problem(file: Path, error: SyntaxError) -> Problem:
    return Problem(
        "syntax",
        f"it is no Python: {error.msg}",
        "Mend it; until then nothing of it can be read.",
        file=str(file),
        line=error.lineno or 0,
        column=error.offset or 0,
        source=(error.text or "").rstrip("\n"),
    )


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                yield alias.asname or alias.name, f"{base}.{alias.name}"


# -- reading what stands there ----------------------------------------------------------------------


def literal(node: ast.AST | None) -> Any:
    """The value of an expression that is a literal; `UNKNOWN` of any other."""
    try:
        return ast.literal_eval(node) if isinstance(node, ast.expr) else UNKNOWN
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What runs where a body runs, with what is inside ``if``, ``try``, ``with`` and loops; not what is only defined.

    What stands below ``if TYPE_CHECKING`` or ``if __name__ == "__main__"`` does not run on an import.
    """
    for statement in body:
        yield statement
        if isinstance(statement, ast.If) and _never_runs_on_import(statement.test):
            yield from statements(statement.orelse)
        elif not isinstance(statement, Function | ast.ClassDef):
            for name in ("body", "orelse", "finalbody"):
                yield from statements(getattr(statement, name, []))
            for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
                yield from statements(part.body)


def _never_runs_on_import(test: ast.expr) -> bool:
    names = {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(test)}
    return bool(names & {"TYPE_CHECKING", "__name__"})


def signature_of(function: Function) -> inspect.Signature:
    """The parameters of a function, as `inspect.signature` would give them; defaults are there, but not known."""
    given, kinds = function.args, inspect.Parameter
    positional = [*given.posonlyargs, *given.args]
    bare = len(positional) - len(given.defaults)
    found = [
        kinds(
            each.arg,
            kinds.POSITIONAL_ONLY if place < len(given.posonlyargs) else kinds.POSITIONAL_OR_KEYWORD,
            default=kinds.empty if place < bare else ...,
        )
        for place, each in enumerate(positional)
    ]
    if given.vararg:
        found.append(kinds(given.vararg.arg, kinds.VAR_POSITIONAL))
    found += [
        kinds(each.arg, kinds.KEYWORD_ONLY, default=kinds.empty if default is None else ...)
        for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    if given.kwarg:
        found.append(kinds(given.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(found)


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """What a function's own body holds, without the functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def is_generator(function: Function) -> bool:
    """Whether calling it would run nothing, because it yields."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function))
