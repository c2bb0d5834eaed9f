"""What a module does when it is imported, which no stop of a plugin would undo."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from plugbook.checking.source import Function, Source, statements
from plugbook.checking.written import plugins_in

if TYPE_CHECKING:
    from plugbook.checking.problem import Problem


class _Effect(NamedTuple):
    """What a call at the top of a module does, and where it belongs."""

    code: str
    does: str
    remedy: str


_FILE: Final = _Effect(
    "import-file", "opens something", "Open it in start: ctx.enter(...) closes it at stop."
)
_THREAD: Final = _Effect(
    "import-thread", "starts a thread", "Do it in start, and end it with ctx.defer(...)."
)
_PROCESS: Final = _Effect(
    "import-process", "starts a process", "Do it in start, and end it with ctx.defer(...)."
)
_SUBSCRIPTION: Final = _Effect(
    "import-subscription", "subscribes to something", "Do it in start, and take it back with ctx.defer(...)."
)
_OTHER: Final = _Effect(
    "import-effect", "does something", "Do it in start, or below if __name__ == '__main__'."
)

_BY_NAME: Final = {
    "open": _FILE,
    "io.open": _FILE,
    "socket.socket": _FILE,
    "socket.create_connection": _FILE,
    "sqlite3.connect": _FILE,
    "atexit.register": _SUBSCRIPTION,
    "signal.signal": _SUBSCRIPTION,
    "subprocess.Popen": _PROCESS,
    "multiprocessing.Process": _PROCESS,
    "_thread.start_new_thread": _THREAD,
}
_THREADS: Final = ("threading.Thread", "threading.Timer")
_SUBSCRIBES: Final = ("connect", "subscribe", "add_listener", "add_done_callback")
_HARMLESS: Final = ("warnings.", "logging.", "typing.", "dataclasses.")
_HARMLESS_METHODS: Final = ("model_rebuild", "update_forward_refs", "addHandler", "setLevel")


def check_imports(source: Source) -> Iterator[Problem]:
    """What importing a module does beside defining things."""
    threads = _names_of_threads(source)
    plugins = {each.attribute for each in plugins_in(source)}
    for statement in statements(source.tree.body):
        for call in _calls(statement):
            effect = _effect(source, call, threads)
            if effect is None and isinstance(statement, ast.Expr) and statement.value is call:
                effect = None if _is_harmless(source, call, plugins) else _OTHER
            if effect is not None:
                told = f"importing this {effect.does}, which no stop of the plugin takes back"
                yield source.problem(effect.code, call, told, effect.remedy, "warning")


def _calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """The calls that a statement itself makes; what ``with`` opens it closes again, so that does not count."""
    if isinstance(statement, Function | ast.ClassDef | ast.With | ast.AsyncWith):
        return
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            yield node
        waiting += [
            each
            for each in ast.iter_child_nodes(node)
            if not isinstance(each, ast.stmt | ast.Lambda | ast.excepthandler | ast.match_case)
        ]


def _effect(source: Source, call: ast.Call, threads: set[str]) -> _Effect | None:
    known = _BY_NAME.get(source.full_name(call.func))
    if known is not None or not isinstance(call.func, ast.Attribute):
        return known
    target = call.func.value
    if call.func.attr == "start" and (_is_thread(source, target) or source.full_name(target) in threads):
        return _THREAD
    is_method = not source.full_name(target).startswith("plugbook")
    return _SUBSCRIPTION if call.func.attr in _SUBSCRIBES and is_method else None


def _is_thread(source: Source, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and source.full_name(node.func) in _THREADS


def _names_of_threads(source: Source) -> set[str]:
    return {
        target.id
        for each in statements(source.tree.body)
        if isinstance(each, ast.Assign) and _is_thread(source, each.value)
        for target in each.targets
        if isinstance(target, ast.Name)
    }


def _is_harmless(source: Source, call: ast.Call, plugins: set[str]) -> bool:
    """Whether a call whose result nobody keeps only defines something: a plugin's handler, a model's fields."""
    name = source.full_name(call.func)
    if name.startswith((*_HARMLESS, "plugbook")) or name.rpartition(".")[2] in _HARMLESS_METHODS:
        return True
    inner: ast.AST = call
    while isinstance(inner, ast.Call | ast.Attribute):
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    return isinstance(inner, ast.Name) and inner.id in plugins
