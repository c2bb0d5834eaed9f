"""State as plain data: JSON, in which enum members and dataclasses are named, so that other code can bring them back.

What a plugin gives as its `snapshot` outlives the classes it was made with. So an enum member is kept by the name
of its class and its own name, never by its value, which another member may have tomorrow; a dataclass by its
fields, so that a field that was added since has its default, and one that is gone is left out.

>>> import enum
>>> class Mood(enum.Enum):
...     GLAD = 1
>>> to_plain({"moods": (Mood.GLAD,)})
{'moods': {'$tuple': [{'$enum': 'plugbook.plugins.reloading.plain:Mood', 'name': 'GLAD'}]}}
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from enum import Enum
from operator import attrgetter
from typing import Any, Final

from plugbook.errors import StateError

_SEVERAL: Final[dict[type, str]] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}
_REVIVED: Final = {"$enum": "name", "$dataclass": "fields"}
"""What names a class, and under which key the rest of it is."""
_TAGS: Final = (*_REVIVED, *_SEVERAL.values())


def to_plain(value: Any, path: str = "") -> Any:
    """A copy of a state as JSON.

    Args:
        value: None, numbers, texts, lists, dicts with texts as keys, and what is named in this module.
        path: where it stands, for messages.

    Raises:
        StateError: something in it is not plain data; says what, where, and what to give instead.
    """
    if isinstance(value, Enum):
        return {"$enum": _name_of(type(value), path), "name": value.name}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [to_plain(each, f"{path}[{at}]") for at, each in enumerate(value)]
    if type(value) is dict:
        return _plain_dict(value, path)
    if type(value) in _SEVERAL:
        items = [to_plain(each, f"{path}[...]") for each in value]
        return {_SEVERAL[type(value)]: items if type(value) is tuple else sorted(items, key=repr)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {"$dataclass": _name_of(type(value), path), "fields": _plain_dict(fields, path)}
    msg = (
        f"snapshot(){path} is a {type(value).__qualname__}, which is no plain data. Give texts, numbers, lists, "
        "dicts, enum members or dataclasses that say what restore() needs to make it again."
    )
    raise StateError(msg, path=path)


def from_plain(data: Any, modules: Mapping[str, str], *, to_migrate: bool = False) -> Any:
    """The state again, with the classes that there are now.

    Args:
        data: what `to_plain` gave.
        modules: the names of modules that are called otherwise now, as those of notebook cells are.
        to_migrate: give what is gone as it was written: a member as its name, a dataclass as a dict of its fields.

    Raises:
        StateError: an enum, a member or a dataclass that it names is gone.
    """

    def revive(data: Any) -> Any:
        if isinstance(data, list):
            return [revive(each) for each in data]
        if not isinstance(data, dict):
            return data
        tag = next(iter(data), None)
        if tag in _REVIVED:
            return revive_named(tag, data)
        for kind, name in _SEVERAL.items():
            if tag == name:
                return kind(map(revive, data[name]))
        return {key: revive(each) for key, each in data.items()}

    def revive_named(tag: str, data: dict[str, Any]) -> Any:
        held = _REVIVED[tag]
        content = revive(data[held])
        try:
            kind = _class_named(data[tag], modules)
            return _member(kind, content) if tag == "$enum" else _made(kind, content)
        except StateError:
            if to_migrate:
                return content
            raise

    return revive(data)


# -- inside ---------------------------------------------------------------------------------------


def _plain_dict(value: Mapping[Any, Any], path: str) -> dict[str, Any]:
    for key in value:
        if type(key) is not str:
            msg = (
                f"snapshot(){path} has the key {key!r}, and keys of plain data are texts. Write {str(key)!r}."
            )
            raise StateError(msg, path=path)
        if key in _TAGS:
            msg = f"snapshot(){path} has the key {key!r}, which stands for something else here. Call it otherwise."
            raise StateError(msg, path=path)
    return {key: to_plain(each, f"{path}[{key!r}]") for key, each in value.items()}


def _name_of(kind: type, path: str) -> str:
    if "<locals>" in kind.__qualname__:
        msg = (
            f"snapshot(){path} is a {kind.__qualname__}, whose class cannot be found by name. "
            "Define the class in its module, not inside a function."
        )
        raise StateError(msg, path=path)
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_named(name: str, modules: Mapping[str, str]) -> Any:
    module, _, qualname = name.partition(":")
    try:
        return attrgetter(qualname)(sys.modules[modules.get(module, module)])
    except (KeyError, AttributeError):
        msg = f"the state names {qualname} of {module}, which is not there any more. Count state_version up, and migrate."
        raise StateError(msg, path=name) from None


def _member(kind: Any, name: str) -> Any:
    try:
        return kind[name]
    except KeyError:
        msg = f"the state names {kind.__qualname__}.{name}, which is no member any more. Count state_version up, and migrate."
        raise StateError(msg, path=name) from None


def _made(kind: Any, given: Mapping[str, Any]) -> Any:
    """A dataclass by its fields; what does not belong to ``__init__`` is set afterwards."""
    fields = {each.name: each.init for each in dataclasses.fields(kind) if each.name in given}
    try:
        made = kind(**{name: given[name] for name, is_given in fields.items() if is_given})
    except TypeError as error:
        msg = f"the state holds a {kind.__qualname__} of other fields: {error}. Give new fields a default, or migrate."
        raise StateError(msg, path=kind.__qualname__) from error
    for name, is_given in fields.items():
        if not is_given:
            object.__setattr__(made, name, given[name])
    return made
