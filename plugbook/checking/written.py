"""Where in a source plugins and events are written: class statements, and calls of ``plugin(...)``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from plugbook.checking.source import UNKNOWN, Source, literal, statements
from plugbook.errors import TopicError
from plugbook.events.event import default_topic
from plugbook.events.topics import check_topic
from plugbook.plugins.manifest import kebab


@dataclass(frozen=True)
class Written:
    """One plugin, as it is written.

    Attributes:
        attribute: the name it has in its module, with dots where it is nested.
        node: its class statement, or the call that begins it as functions.
        source: the file it is in.
    """

    attribute: str
    node: ast.ClassDef | ast.Call
    source: Source

    @property
    def is_class(self) -> bool:
        """Whether it is a class, and not put together of functions."""
        return isinstance(self.node, ast.ClassDef)

    @property
    def has_plain_bases(self) -> bool:
        """Whether all of it stands in its class statement, and nothing in a base of somebody's own."""
        bases = self.node.bases if isinstance(self.node, ast.ClassDef) else []
        return all(self.source.is_ours(base, "Plugin", "Bundle") for base in bases)

    @property
    def keywords(self) -> list[ast.keyword]:
        """What is said of the plugin beside its name; a keyword that Python itself takes is left out."""
        return [each for each in self.node.keywords if each.arg not in (None, "metaclass")]

    @property
    def name(self) -> str:
        """What the plugin is called, as far as that can be read."""
        if isinstance(self.node, ast.Call):
            given = literal(self.node.args[0]) if self.node.args else UNKNOWN
        else:
            given = next((literal(each.value) for each in self.keywords if each.arg == "name"), UNKNOWN)
        return given if isinstance(given, str) else kebab(self.attribute.rpartition(".")[2])

    def fields(self) -> dict[str, Any]:
        """What it says of itself literally, by keyword."""
        said = {each.arg or "": literal(each.value) for each in self.keywords}
        return {"name": self.name} | {name: value for name, value in said.items() if value is not UNKNOWN}

    def methods(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """The functions in its class statement."""
        body = self.node.body if isinstance(self.node, ast.ClassDef) else []
        return (each for each in statements(body) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def plugins_in(source: Source) -> list[Written]:
    """The plugins that are written in a module, from the top to the bottom."""
    classes = _classes(source)
    found = [
        Written(name, node, source) for name, node in classes.items() if _is_plugin(source, node, classes)
    ]
    return sorted([*found, *_built(source)], key=lambda each: each.node.lineno)


def offered(plugins: list[Written]) -> list[Written]:
    """Those that stand for themselves: an underscore marks a base for others, and a bundle brings its members."""
    members = {name for each in plugins for name in _members(each)}
    return [each for each in plugins if not each.attribute.startswith("_") and each.attribute not in members]


def find_written(source: Source, attribute: str) -> Written | None:
    """What an entry point names in a module, if it is a class or is put together of functions there."""
    body: list[ast.stmt] = source.tree.body
    found: ast.ClassDef | None = None
    for part in attribute.split("."):
        classes = {each.name: each for each in statements(body) if isinstance(each, ast.ClassDef)}
        found = classes.get(part)
        body = found.body if found else []
    if found is not None:
        return Written(attribute, found, source)
    return next((each for each in _built(source) if each.attribute == attribute), None)


def is_unrelated(written: Written) -> bool:
    """Whether a class is surely no plugin: each of its bases is in the same file, and none is one."""
    classes = _classes(written.source)
    return isinstance(written.node, ast.ClassDef) and not _may_be_plugin(
        written.source, written.node, classes
    )


def names_in(source: Source) -> set[str] | None:
    """The names that a module has at its top; None where only running it could tell."""
    names: set[str] = set()
    for each in statements(source.tree.body):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(each.name)
        else:
            names |= {node.id for node in ast.walk(each) if isinstance(node, ast.Name)}
        if isinstance(each, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in each.names}
    return None if names & {"*", "__getattr__", "globals", "exec", "setattr"} else names


def topics_in(source: Source) -> dict[str, ast.ClassDef]:
    """The topics of the events that a module defines, as far as they are literal or follow from a class name."""
    found: dict[str, ast.ClassDef] = {}
    for name, node in _classes(source).items():
        if any(source.is_ours(base, "Event") for base in node.bases):
            given = next((literal(each.value) for each in node.keywords if each.arg == "topic"), None)
            topic = default_topic(name) if given is None else given
            if is_topic(topic):
                found[topic] = node
    return found


def is_topic(given: object) -> bool:
    """Whether it is the topic of an event."""
    try:
        check_topic(given)
    except TopicError:
        return False
    return True


def _classes(source: Source) -> dict[str, ast.ClassDef]:
    return {each.name: each for each in statements(source.tree.body) if isinstance(each, ast.ClassDef)}


def _is_plugin(source: Source, node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    return any(
        source.is_ours(base, "Plugin", "Bundle")
        or (
            isinstance(base, ast.Name)
            and base.id in classes
            and classes[base.id].lineno < node.lineno
            and _is_plugin(source, classes[base.id], classes)
        )
        for base in node.bases
    )


def _may_be_plugin(source: Source, node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a class is a plugin, or has a base of which this file does not tell."""
    for base in node.bases:
        local = classes.get(source.full_name(base))
        if local is None or local.lineno >= node.lineno:
            if not source.is_ours(base, "Event"):
                return True
        elif _may_be_plugin(source, local, classes):
            return True
    return False


def _built(source: Source) -> list[Written]:
    """What is assigned from ``plugin(...)``, with methods chained to it or not."""
    found = []
    for each in statements(source.tree.body):
        if isinstance(each, ast.Assign) and len(each.targets) == 1 and isinstance(each.targets[0], ast.Name):
            call = each.value
            while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                if source.is_ours(call.func, "plugin"):
                    break
                call = call.func.value
            if isinstance(call, ast.Call) and source.is_ours(call.func, "plugin"):
                found.append(Written(each.targets[0].id, call, source))
    return found


def _members(written: Written) -> Iterator[str]:
    for each in written.keywords:
        if each.arg == "members" and isinstance(each.value, ast.List | ast.Tuple):
            yield from (node.id for node in each.value.elts if isinstance(node, ast.Name))
