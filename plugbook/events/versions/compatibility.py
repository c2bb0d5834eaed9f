"""Whether a new version of a schema stays readable for subscribers of the old one, and what has changed."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from plugbook.events.event import Event, EventSchema
from plugbook.events.versions.coverage import (
    Branch,
    Coverage,
    Document,
    Node,
    fields,
    further,
    is_always_there,
    is_computed,
    item_at,
)

if TYPE_CHECKING:
    from plugbook.trace.reading.recording import Recording

_INSIDE: Final = frozenset({"additionalProperties", "items", "prefixItems", "properties", "required"})
_NEAR: Final = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions of a schema.

    Attributes:
        path: the field, ``lines[].price`` for one of every item of a list; ``""`` for the payload itself.
        told: what has changed.
        breaks_subscribers: a subscriber of the old version may not be able to read events of the new one.
        needs_upcaster: events of the old version may not be readable as the new one.
    """

    path: str
    told: str
    breaks_subscribers: bool = False
    needs_upcaster: bool = False

    def __str__(self) -> str:
        verdict = "; old subscribers cannot read it" if self.breaks_subscribers else ""
        verdict += "; old events need an upcaster" if self.needs_upcaster else ""
        return f"{self.path or 'the payload'}: {self.told}{verdict}"


@dataclass(frozen=True, slots=True, repr=False)
class Compatibility:
    """What `check_compatibility` found; true where subscribers of the old version can read events of the new one.

    Attributes:
        changes: every difference, outer fields first.
    """

    changes: tuple[Change, ...] = ()

    @property
    def breaking(self) -> tuple[Change, ...]:
        """The changes that keep subscribers of the old version from reading events of the new one."""
        return tuple(each for each in self.changes if each.breaks_subscribers)

    @property
    def needing_upcaster(self) -> tuple[Change, ...]:
        """The changes that keep events of the old version from being read as the new one."""
        return tuple(each for each in self.changes if each.needs_upcaster)

    def __bool__(self) -> bool:
        return not self.breaking

    def __str__(self) -> str:
        if not self.changes:
            return "compatible: nothing has changed"
        verdict = "compatible: old subscribers can read new events" if self else "not compatible"
        return "\n  ".join([verdict, *map(str, self.changes)])

    __repr__ = __str__


def check_compatibility(
    old: type[Event] | Mapping[str, Any], new: type[Event] | Mapping[str, Any]
) -> Compatibility:
    """Compare two versions of an event, given as classes or as JSON Schemas.

    A subscriber is taken to leave out fields that it does not know, and a schema to name all fields that are
    written, unless it has ``additionalProperties``. What cannot be judged counts as a change that breaks.

    >>> class Rung(Event, topic="bell.rung.once"):
    ...     floor: int
    >>> class RungTwice(Event, topic="bell.rung.once", version=2):
    ...     level: int
    ...     loud: bool = True
    >>> print(check_compatibility(Rung, RungTwice))
    not compatible
      floor: removed (renamed to level?); old subscribers cannot read it
      level: added, always there; old events need an upcaster
      loud: added, optional
    """
    return _Comparison(_schema(old), _schema(new)).result()


def check_recordings(old: Recording, new: Recording) -> dict[str, Compatibility]:
    """Compare the newest schema of each topic that two recordings both have."""
    before, after = newest_schemas(old.facts("schema")), newest_schemas(new.facts("schema"))
    return {
        topic: check_compatibility(before[topic], after[topic]) for topic in sorted(before.keys() & after)
    }


def newest_schemas(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Of recorded schemas, which have names such as ``order.placed@2``, the newest of each topic."""
    found: dict[str, tuple[int, Any]] = {}
    for name, schema in recorded.items():
        topic, _, version = name.rpartition("@")
        if version.isdecimal() and int(version) >= found.get(topic, (0, None))[0]:
            found[topic] = (int(version), schema)
    return {topic: schema for topic, (_, schema) in found.items()}


def outline(schema: Mapping[str, Any]) -> list[str]:
    """What payloads of a schema hold, a line for each field.

    >>> class Rung(Event, topic="bell.rung.once"):
    ...     floor: int
    ...     by: str | None = None
    >>> outline(Rung.model_json_schema())
    ['floor: integer', 'by: string or null, optional']
    """
    document = Document(schema)
    return [
        f"{name}: {' or '.join(map(_show, document.branches(node)))}"
        + ("" if name in branch.get("required", ()) else ", optional")
        for branch in document.branches(schema)
        for name, node in fields(branch).items()
    ]


def _schema(given: type[Event] | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    made: dict[str, Any] = json.loads(EventSchema(given).__plugbook_json__())
    return made


class _Comparison:
    """One walk through two schemas side by side."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old, self._new = Document(old), Document(new)
        self._forward = Coverage(self._old, self._new)
        self._backward = Coverage(self._new, self._old)
        self._ahead: deque[tuple[Node, Node, str]] = deque([(old, new, "")])
        self._seen: set[tuple[int, int]] = set()

    def result(self) -> Compatibility:
        """What the walk found, in accord with what the two directions say of the whole."""
        changes: list[Change] = []
        while self._ahead:  # outer fields first, for a schema that refers to itself is looked at once
            changes += self._nodes(*self._ahead.popleft())
        breaks, needs = not self._forward.of_all, not self._backward.of_all
        unnamed = Change(
            "",
            "changed in a way that cannot be judged field by field",
            breaks and not any(each.breaks_subscribers for each in changes),
            needs and not any(each.needs_upcaster for each in changes),
        )
        changes += [unnamed] if unnamed.breaks_subscribers or unnamed.needs_upcaster else []
        return Compatibility(
            tuple(
                replace(
                    each,
                    breaks_subscribers=breaks and each.breaks_subscribers,
                    needs_upcaster=needs and each.needs_upcaster,
                )
                for each in changes
            )
        )

    def _nodes(self, old: Node, new: Node, path: str) -> Iterator[Change]:
        if (id(old), id(new)) in self._seen:
            return
        self._seen.add((id(old), id(new)))
        before, after = self._old.branches(old), self._new.branches(new)
        pairs, gone, come = _paired(before, after)
        for one, other in pairs:
            yield from self._branches(one, other, path)
        for branch in come:
            told = f"may now also be {_show(branch)}"
            yield Change(path, told, breaks_subscribers=not self._forward.reads(before, branch))
        for branch in gone:
            told = f"is never {_show(branch)} any more"
            yield Change(path, told, needs_upcaster=not self._backward.reads(after, branch))

    def _branches(self, old: Branch, new: Branch, path: str) -> Iterator[Change]:
        kind = old.get("type")
        if kind == new.get("type") == "object":
            yield from self._fields(old, new, path)
        elif kind == new.get("type") == "array" and len(_first(old)) == len(_first(new)):
            self._items(old, new, path)
        else:
            yield from self._whole(old, new, path)
            return
        outside = [
            {name: limit for name, limit in each.items() if name not in _INSIDE} for each in (old, new)
        ]
        yield from self._whole(outside[0], outside[1], path)

    def _whole(self, old: Branch, new: Branch, path: str) -> Iterator[Change]:
        if old != new:
            yield Change(
                path,
                _difference(old, new),
                not self._forward.reads([old], new),
                not self._backward.reads([new], old),
            )

    def _items(self, old: Branch, new: Branch, path: str) -> None:
        count = len(_first(old))
        for place in range(count):
            self._ahead.append((item_at(old, place), item_at(new, place), f"{path}[{place}]"))
        if "items" in old or "items" in new:
            self._ahead.append((item_at(old, count), item_at(new, count), f"{path}[]"))

    def _fields(self, old: Branch, new: Branch, path: str) -> Iterator[Change]:
        before, after = fields(old), fields(new)
        added = [name for name in after if name not in before]
        for name in before:
            inside = f"{path}.{name}" if path else name
            if name not in after:
                yield self._removed(old, new, name, inside, added)
                continue
            was, is_now = is_always_there(old, name), is_always_there(new, name)
            if was and not is_now:
                yield Change(inside, "made optional", breaks_subscribers=True)
            if is_now and not was:
                yield Change(inside, "made required", needs_upcaster=True)
            self._ahead.append((before[name], after[name], inside))
        for name in added:
            yield self._added(old, new, name, f"{path}.{name}" if path else name)
        yield from self._further(further(old), further(new), path)

    def _removed(self, old: Branch, new: Branch, name: str, path: str, added: list[str]) -> Change:
        node, beyond = fields(old)[name], further(new)
        renamed = self._renamed(node, name, {each: fields(new)[each] for each in added})
        told = f"removed{f' (renamed to {renamed}?)' if renamed else ''}"
        if is_computed(node):
            return Change(path, f"{told}; it was computed")
        clashes = beyond is not False and not self._forward.covers(node, beyond)
        unread = isinstance(beyond, Mapping) and not self._backward.covers(beyond, node)
        return Change(path, told, is_always_there(old, name) or clashes, unread)

    def _renamed(self, node: Node, name: str, added: Mapping[str, Node]) -> str:
        """The added field that a removed one may have become: one of the same type, best with a name alike."""
        same = [
            each
            for each, other in added.items()
            if self._forward.covers(node, other) and self._backward.covers(other, node)
        ]
        likeness = {each: SequenceMatcher(None, name, each).ratio() for each in same}
        best = max(same, key=likeness.__getitem__, default="")
        return best if len(same) == 1 or likeness.get(best, 0) >= _NEAR else ""

    def _added(self, old: Branch, new: Branch, name: str, path: str) -> Change:
        node, beyond = fields(new)[name], further(old)
        if is_computed(node):
            return Change(path, "added, computed")
        required = is_always_there(new, name)
        clashes = isinstance(beyond, Mapping) and not self._forward.covers(beyond, node)
        unread = beyond is not False and not self._backward.covers(node, beyond)
        return Change(
            path, "added, always there" if required else "added, optional", clashes, required or unread
        )

    def _further(self, old: Node, new: Node, path: str) -> Iterator[Change]:
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            self._ahead.append((old, new, f"{path}.*" if path else "*"))
        elif old != new:
            yield Change(
                path,
                "fields that it does not name may now be there"
                if new is not False
                else "has no unnamed fields any more",
                isinstance(old, Mapping) and new is not False and not self._forward.covers(old, new),
                isinstance(new, Mapping) and old is not False and not self._backward.covers(new, old),
            )


Pairs = list[tuple[Branch, Branch]]


def _paired(old: Iterable[Branch], new: Iterable[Branch]) -> tuple[Pairs, list[Branch], list[Branch]]:
    """Which members of two unions belong together, and those that are left of each."""
    pairs: Pairs = []
    gone, come = list(old), list(new)
    if len(gone) == len(come) == 1:
        return [(gone[0], come[0])], [], []
    for alike in (_identity, _tag, lambda branch: branch.get("type")):
        for one in list(gone):
            there = [other for other in come if alike(other) == alike(one)]
            rivals = [other for other in gone if alike(other) == alike(one)]
            if there and (alike is _identity or len(there) == len(rivals) == 1):
                gone.remove(one)
                come.remove(there[0])
                pairs.append((one, there[0]))
    return pairs, gone, come


def _identity(branch: Branch) -> str:
    return json.dumps(branch, sort_keys=True)


def _tag(branch: Branch) -> object:
    """What tells a member of a union from the others: its type, and the fields that hold one value only."""
    constant = {
        name: node["const"]
        for name, node in fields(branch).items()
        if isinstance(node, Mapping) and "const" in node
    }
    return branch.get("type"), json.dumps(constant, sort_keys=True) if constant else id(branch)


def _first(branch: Branch) -> list[Node]:
    first: list[Node] = branch.get("prefixItems", [])
    return first


def _difference(old: Branch, new: Branch) -> str:
    """In words, what one branch says and the other does not."""
    is_alike = old.get("type") == new.get("type") != "array" and ("enum" in old) == ("enum" in new)
    if not is_alike and _show(old) != _show(new):
        return f"was {_show(old)}, is now {_show(new)}"
    told = []
    if "enum" in old and "enum" in new:
        come = [value for value in new["enum"] if value not in old["enum"]]
        gone = [value for value in old["enum"] if value not in new["enum"]]
        told += [f"may now also be {_listed(come)}"] if come else []
        told += [f"is never {_listed(gone)} any more"] if gone else []
    for name in dict.fromkeys([*old, *new]):
        if name not in ("enum", "type") and old.get(name) != new.get(name):
            told.append(f"{name} was {_limit(old, name)}, is now {_limit(new, name)}")
    return ", ".join(told)


def _limit(branch: Branch, name: str) -> str:
    return json.dumps(branch[name]) if name in branch else "not set"


def _listed(values: Iterable[Any]) -> str:
    return " or ".join(json.dumps(value) for value in values)


def _show(branch: Branch) -> str:
    """What kind of value it is."""
    if "enum" in branch:
        return _listed(branch["enum"])
    kind = str(branch.get("type", "anything"))
    if kind == "array":
        return "a tuple" if "prefixItems" in branch else "a list"
    if kind == "object" and (names := list(fields(branch))):
        return f"an object with {', '.join(names)}"
    return f"{kind} ({branch['format']})" if "format" in branch else kind
