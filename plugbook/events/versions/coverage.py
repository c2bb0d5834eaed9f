"""Whether every value that one JSON Schema describes can be read by whoever expects another.

A reader is lenient: it leaves out fields that it does not know. A schema describes what is written: fields that it
does not name are not there, unless it says ``additionalProperties``. Where the answer cannot be found out, it is no.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

Node = Any
"""A JSON Schema or a part of one: a dict, True for anything, False for nothing."""

Branch = dict[str, Any]
"""One member of a union: no reference and no union any more, and one type at most."""

_SAYS_NOTHING: Final = frozenset(
    {"$comment", "$defs", "$id", "$schema", "default", "definitions", "deprecated", "description", "discriminator"}
    | {"example", "examples", "readOnly", "title", "writeOnly"}
)  # fmt: skip
_SPLIT: Final = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "oneOf", "type"})
_AT_LEAST: Final = ("minLength", "minItems", "minProperties")
_AT_MOST: Final = ("maxLength", "maxItems", "maxProperties")
_JUDGED: Final = frozenset(
    {"additionalProperties", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maximum", "minimum"}
    | {"multipleOf", "pattern", "prefixItems", "properties", "required", "type", "uniqueItems"}
    | {*_AT_LEAST, *_AT_MOST}
)  # fmt: skip
_EVERY_VALUE: Final[Mapping[str, list[Any]]] = {"null": [None], "boolean": [True, False]}
_NO_FORMAT: Final = frozenset({None, "password"})
_TYPES: Final = {
    bool: "boolean", dict: "object", float: "number", int: "integer", list: "array", str: "string", type(None): "null"
}  # fmt: skip


class Document:
    """A schema whose parts can be looked up, each as the members of a union."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._known: dict[int, tuple[Branch, ...]] = {}

    def branches(self, node: Node) -> tuple[Branch, ...]:
        """The members of the union that a part of the schema is; one where it is none."""
        found = self._known.get(id(node))
        if found is None:
            found = self._known[id(node)] = tuple(self._split(node, frozenset()))
        return found

    def _split(self, node: Node, followed: frozenset[str]) -> Iterator[Branch]:
        if node is False:
            return
        rest = {} if node is True else _telling(node)
        split = {name: rest.pop(name) for name in _SPLIT & rest.keys()}
        made: list[Branch] = [rest]
        for options in self._options(split, followed):
            made = [
                merged for one in made for other in options if (merged := _merged(one, other)) is not None
            ]
        yield from made

    def _options(self, split: Mapping[str, Any], followed: frozenset[str]) -> Iterator[list[Branch]]:
        if "type" in split:
            types = [split["type"]] if isinstance(split["type"], str) else split["type"]
            yield [{"type": each} for each in types]
        if "const" in split or "enum" in split:
            yield list(_by_type(split["enum"] if "enum" in split else [split["const"]]))
        pointer = split.get("$ref")
        if pointer is not None:
            again = pointer in followed
            yield [] if again else list(self._split(self._at(pointer), followed | {pointer}))
        for union in ("anyOf", "oneOf"):
            if union in split:
                yield [branch for each in split[union] for branch in self._split(each, followed)]
        for part in split.get("allOf", ()):
            yield list(self._split(part, followed))

    def _at(self, pointer: str) -> Node:
        """What a ``$ref`` refers to; what it cannot find could be anything that has this very name."""
        node: Any = self.root
        keys = [unquote(each).replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]]
        for key in keys:
            if not isinstance(node, Mapping) or key not in node:
                return {"unknown": pointer}
            node = node[key]
        return node if pointer.startswith("#") else {"unknown": pointer}


def _telling(node: Mapping[str, Any]) -> Branch:
    return {name: value for name, value in node.items() if name not in _SAYS_NOTHING and name[:2] != "x-"}


def _by_type(values: Iterable[Any]) -> Iterator[Branch]:
    groups: dict[str, list[Any]] = {}
    for value in values:
        groups.setdefault(_TYPES[type(value)], []).append(value)
    for name, group in groups.items():
        yield {"type": name, "enum": group}


def _merged(one: Branch, other: Branch) -> Branch | None:
    """What fits both, or None where nothing does."""
    merged = one | other
    for name in one.keys() & other.keys():
        if one[name] == other[name]:
            continue
        if name == "type":
            if {one[name], other[name]} != {"integer", "number"}:
                return None
            merged[name] = "integer"
        elif name == "enum":
            merged[name] = [value for value in one[name] if value in other[name]]
        elif name == "required":
            merged[name] = sorted({*one[name], *other[name]})
        elif name == "properties":
            both = one[name].keys() & other[name].keys()
            merged[name] = (
                one[name]
                | other[name]
                | {each: {"allOf": [one[name][each], other[name][each]]} for each in both}
            )
        else:
            merged["both"] = [one, other]
    return merged


class Coverage:
    """Whether readers of one schema can read what writers of another write.

    A schema that refers to itself is compared by assuming that it covers, and going on until nothing speaks
    against that any more.

    Args:
        wide: the schema of the readers.
        narrow: the schema of the writers.
    """

    def __init__(self, wide: Document, narrow: Document) -> None:
        self._wide = wide
        self._narrow = narrow
        self._refuted: set[tuple[int, int]] = set()
        self._assumed: set[tuple[int, int]] = set()
        self.of_all = self.covers(wide.root, narrow.root)

    def covers(self, wide: Node, narrow: Node) -> bool:
        """Whether one part covers another."""
        return self._until_settled(lambda: self._covers(wide, narrow))

    def reads(self, readers: Iterable[Branch], written: Branch) -> bool:
        """Whether any member of a union covers a branch."""
        return self._until_settled(lambda: any(self._reads(reader, written) for reader in readers))

    def _until_settled(self, ask: Callable[[], bool]) -> bool:
        while True:
            known = len(self._refuted)
            self._assumed.clear()
            answer = ask()
            if len(self._refuted) == known:
                return answer

    def _covers(self, wide: Node, narrow: Node) -> bool:
        pair = (id(wide), id(narrow))
        if pair in self._refuted:
            return False
        if pair in self._assumed:
            return True
        self._assumed.add(pair)
        readers = self._wide.branches(wide)
        written = self._narrow.branches(narrow)
        if all(any(self._reads(reader, branch) for reader in readers) for branch in written):
            return True
        self._refuted.add(pair)
        return False

    def _reads(self, wide: Branch, narrow: Branch) -> bool:
        if any(narrow.get(name) != limit for name, limit in wide.items() if name not in _JUDGED):
            return False
        if not wide.keys() & _JUDGED:
            return True
        if "enum" in narrow:
            return all(self._reads_value(wide, value) for value in narrow["enum"])
        if "enum" in wide or "type" not in narrow:
            return _same_single_value(wide, narrow)
        kind = narrow["type"]
        if wide.get("type", kind) not in (kind, "number" if kind == "integer" else kind):
            return False
        return self._within(kind, wide, narrow)

    def _within(self, kind: str, wide: Branch, narrow: Branch) -> bool:
        if kind == "string":
            return _no_shorter(wide, narrow) and _same_text_rules(wide, narrow)
        if kind in ("integer", "number"):
            return _bounds_within(wide, narrow) and _multiple_within(wide, narrow)
        if kind == "array":
            return _no_shorter(wide, narrow) and self._lists(wide, narrow)
        if kind == "object":
            return _no_shorter(wide, narrow) and self._objects(wide, narrow)
        return True

    def _reads_value(self, wide: Branch, value: Any) -> bool:
        if "enum" in wide:
            return _shown([value]) <= _shown(wide["enum"])
        exact: Branch = {"type": _TYPES[type(value)]}
        if isinstance(value, str):
            exact |= {"minLength": len(value), "maxLength": len(value)}
            if "pattern" in wide and re.search(wide["pattern"], value):
                exact["pattern"] = wide["pattern"]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            exact |= {"minimum": value, "maximum": value, "multipleOf": value}
        elif isinstance(value, list | dict) and wide.keys() - {"type"}:
            return False
        return self._reads(wide, exact)

    def _lists(self, wide: Branch, narrow: Branch) -> bool:
        if wide.get("uniqueItems") and not narrow.get("uniqueItems"):
            return False
        count = max(len(wide.get("prefixItems", ())), len(narrow.get("prefixItems", ())))
        most = narrow.get("maxItems", count + 1)
        return all(
            self._covers(item_at(wide, place), item_at(narrow, place))
            for place in range(min(most, count + 1))
        )

    def _objects(self, wide: Branch, narrow: Branch) -> bool:
        expected = {name: node for name, node in fields(wide).items() if not is_computed(node)}
        written, beyond = fields(narrow), further(narrow)
        if any(name in expected and not is_always_there(narrow, name) for name in wide.get("required", ())):
            return False
        for name, node in expected.items():
            there = written.get(name, beyond)
            if there is not False and not self._covers(node, there):
                return False
        others = further(wide)
        if not isinstance(others, Mapping):
            return True
        unnamed = [node for name, node in written.items() if name not in fields(wide)]
        return all(self._covers(others, node) for node in (*unnamed, beyond) if node is not False)


# -- what a branch says -----------------------------------------------------------------------------


def fields(branch: Branch) -> dict[str, Node]:
    """The named fields of an object."""
    found: dict[str, Node] = branch.get("properties", {})
    return found


def further(branch: Branch) -> Node:
    """What fields of other names hold; False where there are none."""
    return branch.get("additionalProperties", False)


def is_computed(node: Node) -> bool:
    """Whether a field is written but never read, as a computed one."""
    return isinstance(node, Mapping) and bool(node.get("readOnly"))


def is_always_there(branch: Branch, name: str) -> bool:
    """Whether every payload has a field; computed ones are left out of envelopes."""
    return name in branch.get("required", ()) and not is_computed(fields(branch).get(name, True))


def item_at(branch: Branch, place: int) -> Node:
    """What stands at a place of a list."""
    first = branch.get("prefixItems", ())
    return first[place] if place < len(first) else branch.get("items", True)


def _shown(values: Iterable[Any]) -> set[str]:
    return {json.dumps(value, sort_keys=True) for value in values}


def _same_single_value(wide: Branch, narrow: Branch) -> bool:
    """Types that have one or two values are as good as a list of these."""
    every = _EVERY_VALUE.get(narrow.get("type", ""))
    return every is not None and _shown(every) <= _shown(wide.get("enum", ()))


def _no_shorter(wide: Branch, narrow: Branch) -> bool:
    at_least = all(narrow.get(name, 0) >= wide[name] for name in _AT_LEAST if name in wide)
    return at_least and all(
        narrow.get(name, wide[name] + 1) <= wide[name] for name in _AT_MOST if name in wide
    )


def _same_text_rules(wide: Branch, narrow: Branch) -> bool:
    if "pattern" in wide and wide["pattern"] != narrow.get("pattern"):
        return False
    return wide.get("format") in _NO_FORMAT or wide["format"] == narrow.get("format")


def _bounds_within(wide: Branch, narrow: Branch) -> bool:
    low = _lowest(narrow, 1) >= _lowest(wide, 1)
    return low and _lowest(narrow, -1) >= _lowest(wide, -1)


def _lowest(branch: Branch, sign: int) -> tuple[float, bool]:
    """The lower bound and whether it is left out itself; of the mirrored number line for the upper one."""
    closed, open_ = ("minimum", "exclusiveMinimum") if sign > 0 else ("maximum", "exclusiveMaximum")
    found = [(float("-inf"), False)]
    found += [(sign * branch[closed], False)] if closed in branch else []
    found += [(sign * branch[open_], True)] if open_ in branch else []
    return max(found)


def _multiple_within(wide: Branch, narrow: Branch) -> bool:
    step = wide.get("multipleOf")
    if step is None or (step == 1 and narrow["type"] == "integer"):
        return True
    own = narrow.get("multipleOf")
    return own is not None and bool(own % step == 0)
