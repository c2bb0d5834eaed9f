"""A JSON Schema as whoever makes up values needs it: what there is to choose from, and which choice ends soonest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from plugbook.events.versions.coverage import Branch, Document, Node, fields, item_at

_IMPLIED: Final = (
    ("object", {"properties", "required", "additionalProperties", "minProperties", "propertyNames"}),
    ("array", {"items", "prefixItems", "minItems", "uniqueItems"}),
    ("string", {"pattern", "format", "minLength", "maxLength", "contentSchema"}),
    ("number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
)
_TEXT: Final[Branch] = {"type": "string"}


class Alternatives(Document):
    """A schema whose parts can be looked up, each as what its values can be.

    A discriminator is required, whether it has a default or not: without it nobody could tell the members of its
    union apart. A number that may be given as a text as well, as a Decimal may, is a number.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        super().__init__(_ready(root))
        self._choices: dict[int, tuple[Branch, ...]] = {}
        self._heights: dict[int, float] = {}

    def choices(self, node: Node) -> tuple[Branch, ...]:
        """What a value can be, each with one type, or with none where it can be anything."""
        found = self._choices.get(id(node))
        if found is None:
            typed = [_typed(each) for each in self.branches(node)]
            kinds = [each.get("type") for each in typed]
            if kinds == ["number", "string"] and not typed[1].keys() - {"type", "pattern"}:
                del typed[1]
            found = self._choices[id(node)] = tuple(each for each in typed if each.get("enum") != [])
        return found

    def ending(self, node: Node) -> list[Branch]:
        """Those of the choices whose values come to an end, the ones that take the least nesting first."""
        self._measure(node)
        return sorted(
            (each for each in self.choices(node) if self._height_of(each) < math.inf), key=self._height_of
        )

    def is_recursive(self, node: Node) -> bool:
        """Whether a value can hold another one of this very part of the schema."""
        return id(node) in {id(each) for branch in self.choices(node) for each in self._below(branch)}

    def _measure(self, node: Node) -> None:
        """Find out how deep the shallowest value of every part is, by going on until nothing gets shallower."""
        if id(node) in self._heights:
            return
        nodes = [node, *self._below(*self.choices(node))]
        self._heights |= {id(each): math.inf for each in nodes if id(each) not in self._heights}
        is_settled = False
        while not is_settled:
            is_settled = True
            for each in nodes:
                height = min(map(self._height_of, self.choices(each)), default=math.inf)
                is_settled = is_settled and height == self._heights[id(each)]
                self._heights[id(each)] = height

    def _height_of(self, branch: Branch) -> float:
        return 1 + max((self._heights.get(id(each), math.inf) for each in needed(branch)), default=0)

    def _below(self, *branches: Branch) -> list[Node]:
        """Every part that values of some choices can hold, at any depth."""
        found: dict[int, Node] = {}
        waiting = list(branches)
        while waiting:
            for node in _parts(waiting.pop()):
                if id(node) not in found:
                    found[id(node)] = node
                    waiting += self.choices(node)
        return list(found.values())


def needed(branch: Branch) -> Iterator[Node]:
    """The parts that every value of a choice has."""
    if branch.get("type") == "object":
        known = fields(branch)
        yield from (known.get(name, entries(branch)[1]) for name in branch.get("required", ()))
        if branch.get("minProperties", 0) > len(branch.get("required", ())):
            yield from entries(branch)
    elif branch.get("type") == "array":
        yield from (
            item_at(branch, place) for place in range(min(branch.get("minItems", 0), _places(branch)))
        )


def entries(branch: Branch) -> tuple[Node, Node]:
    """What the keys of a dict are, and its values.

    >>> entries({"type": "object", "additionalProperties": {"type": "integer"}})
    ({'type': 'string'}, {'type': 'integer'})
    """
    return branch.get("propertyNames", _TEXT), branch.get("additionalProperties", True)


def _places(branch: Branch) -> int:
    """As many places of a list as differ from each other."""
    return len(branch.get("prefixItems", ())) + 1


def _parts(branch: Branch) -> Iterator[Node]:
    if branch.get("type") == "object":
        yield from fields(branch).values()
        yield from entries(branch)
    elif branch.get("type") == "array":
        yield from (item_at(branch, place) for place in range(_places(branch)))
    elif "contentSchema" in branch:
        yield branch["contentSchema"]


def _typed(branch: Branch) -> Branch:
    """A choice with the type that its other words imply."""
    if "type" in branch:
        return branch
    implied = next((kind for kind, words in _IMPLIED if words & branch.keys()), None)
    return branch if implied is None else {"type": implied} | branch


def _ready(node: Any) -> Any:
    """A copy in which discriminators are required, keys that have no type are texts, and a pattern of keys is theirs."""
    if isinstance(node, list):
        return [_ready(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    made = {name: _ready(part) for name, part in node.items()}
    tag = node.get("discriminator")
    if isinstance(tag, Mapping) and isinstance(made.get("oneOf"), list):
        required = {"required": [tag["propertyName"]]}
        made["oneOf"] = [{"allOf": [each, required]} for each in made["oneOf"]]
    patterns = made.get("patternProperties")
    if isinstance(patterns, dict) and len(patterns) == 1:
        ((pattern, made["additionalProperties"]),) = patterns.items()
        made["propertyNames"] = {"type": "string", "pattern": pattern}
    names = made.get("propertyNames")
    if isinstance(names, dict) and not names.keys() & {"type", "$ref"}:
        made["propertyNames"] = {"type": "string"} | names
    return made
