"""Who says what about a plugin's options, one above the other, and what comes of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .fields import Path, accepted, default_of, keys, nested_model, shown, table_of
from .marks import secrets_in

if TYPE_CHECKING:
    from pydantic import BaseModel


class Layer(enum.StrEnum):
    """The kinds of layers, lowest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    HOST = "host"
    LIVE = "live edit"


@dataclass(frozen=True, slots=True)
class Said:
    """What one place says about a plugin's options.

    Attributes:
        layer: the kind of place.
        options: by name; tables inside tables.
        where: the place, in words; or what tells the place of one option.
    """

    layer: Layer
    options: dict[str, Any] = field(repr=False)  # secrets may be among them
    where: str | Callable[[Path], str]
    _given: dict[Path, str] = field(default_factory=dict, repr=False)

    def place(self, path: Path) -> str:
        """The place of an option, such as ``shop.toml line 12``."""
        if isinstance(self.where, str):
            return self.where
        return self.where(tuple(self._given.get(path[: end + 1], part) for end, part in enumerate(path)))

    def find(self, path: Path) -> tuple[bool, Any]:
        """Whether it says something of an option, by itself or by replacing a table that it is in; and what."""
        value: Any = self.options
        for depth, part in enumerate(path):
            table = table_of(value)
            if table is None:
                return depth > 0, _item(value, path[depth:])
            if part not in table:
                return False, None
            value = table[part]
        return True, value

    def renamed(self, model: type[BaseModel] | None) -> Said:
        """The same by the one name that stands for all the names an option may be given by."""
        given: dict[Path, str] = {}
        options = _renamed(model, self.options, (), given)
        return Said(self.layer, options, self.where, given)

    def names(self) -> Iterator[str]:
        """The options it says something of, by the name that stands for each and by the one they were given by."""
        for key in self.options:
            yield key
            yield self._given.get((key,), key)

    def without(self, paths: list[Path]) -> Said:
        """What is left of it when it says nothing of some options any more."""
        options = self.options
        for path in paths:
            options = _without(options, path)
        return Said(self.layer, options, self.where)


class Layers:
    """What every place says about the options of one plugin.

    Tables are merged key by key, and everything else is replaced. Of a nested model's default what nobody
    replaces stays; the default of a table with free keys gives way as a whole.

    Args:
        model: the plugin's ``Config``, or None where it declares none.
        said: by each place, the lowest first.

    >>> from pydantic import BaseModel
    >>> class Config(BaseModel):
    ...     currency: str = "EUR"
    ...     limits: dict[str, int] = {}
    >>> layers = Layers(
    ...     Config,
    ...     [
    ...         Said(Layer.FILE, {"currency": "CHF", "limits": {"day": 5}}, "shop.toml"),
    ...         Said(Layer.HOST, {"limits": {"week": 20}}, "host"),
    ...     ],
    ... )
    >>> layers.merged()
    {'currency': 'CHF', 'limits': {'day': 5, 'week': 20}}
    >>> layers.place(("limits", "day")), layers.place(("limits", "week"))
    ('shop.toml', 'host')
    """

    def __init__(self, model: type[BaseModel] | None, said: Iterable[Said]) -> None:
        self.model = model
        self.said = tuple(each.renamed(model) for each in said)

    def merged(self) -> dict[str, Any]:
        """The options as they stand, without the defaults of what nobody says anything about."""
        merged: dict[str, Any] = {}
        for each in self.said:
            merged = merge(merged, each.options)
        return merged if self.model is None else _above_defaults(self.model, merged)

    def names(self) -> list[str]:
        """Of the options that anybody says something of, all the names that were used."""
        return list(dict.fromkeys(name for each in self.said for name in each.names()))

    def secrets(self) -> set[str]:
        """The texts of all secrets that anybody gives."""
        return {secret for each in self.said for secret in secrets_in(self.model, each.options)}

    def about(self, path: Path) -> Iterator[tuple[Said, Any]]:
        """Who says something of an option, and what, the highest first."""
        for each in reversed(self.said):
            says, value = each.find(path)
            if says:
                yield each, value

    def teller(self, path: Path) -> Said | None:
        """Who has the last word on an option, or on the nearest table around it; None where nobody says anything."""
        for end in range(len(path), 0, -1):
            for each, _ in self.about(path[:end]):
                return each
        return None

    def place(self, path: Path) -> str:
        """Where the last word on an option was said, or on all the options where the path is empty; or ``""``."""
        if path:
            teller = self.teller(path)
            return teller.place(path) if teller is not None else ""
        places = (each.place((key,)) for each in reversed(self.said) for key in each.options)
        return ", ".join(list(dict.fromkeys(places))[:3])

    def source(self, path: Path) -> str:
        """Where an option comes from: the place of the last word on it, or ``default``."""
        return next((each.place(path) for each, _ in self.about(path)), str(Layer.DEFAULT))

    def sources(self) -> dict[str, str]:
        """Where each option comes from that somebody says something about."""
        said = dict.fromkeys(path for each in self.said for path in leaves(each.options))
        return {shown(path): self.source(path) for path in said}


def nested(path: Path, value: Any) -> dict[str, Any]:
    """One value as options.

    >>> nested(("tax", "rate"), 0.2)
    {'tax': {'rate': 0.2}}
    """
    for part in reversed(path):
        value = {str(part): value}
    options: dict[str, Any] = value
    return options


def known_path(model: type[BaseModel] | None, path: Path) -> Path:
    """A path by the names that stand for all the names of its options."""
    return next(leaves(Said(Layer.LIVE, nested(path, None), "").renamed(model).options))


def leaves(options: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """The paths of all values that are no tables.

    >>> list(leaves({"tax": {"rate": 0.2, "name": "VAT"}, "limit": 3}))
    [('tax', 'rate'), ('tax', 'name'), ('limit',)]
    """
    for key, value in options.items():
        table = table_of(value)
        if table is None:
            yield (*path, key)
        else:
            yield from leaves(table, (*path, key))


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Options above others: tables are merged key by key, and everything else is replaced.

    >>> merge({"tax": {"rate": 0.2, "name": "VAT"}}, {"tax": {"rate": 0.1}})
    {'tax': {'rate': 0.1, 'name': 'VAT'}}
    """
    merged = dict(below)
    for key, value in above.items():
        lower, upper = table_of(below.get(key)), table_of(value)
        merged[key] = merge(lower, upper) if lower is not None and upper is not None else value
    return merged


def _above_defaults(model: type[BaseModel], options: dict[str, Any]) -> dict[str, Any]:
    """The options, with what they leave of a nested model's default."""
    complete = dict(options)
    for given, name in accepted(model).items():
        field = model.model_fields[name]
        inner = nested_model(field.annotation)
        if inner is None or not isinstance(options.get(given), Mapping):
            continue
        default = default_of(field)
        below = table_of(default) if type(default) is inner else None
        complete[given] = _above_defaults(inner, merge(below or {}, options[given]))
    return complete


def _renamed(
    model: type[BaseModel] | None, options: Mapping[str, Any], path: Path, given: dict[Path, str]
) -> dict[str, Any]:
    if model is None:
        return dict(options)
    known, fields, renamed = keys(model), accepted(model), {}
    for name, value in options.items():
        key = known.get(name, name)
        if key != name and key in options:
            continue  # given by two names: the first choice counts, as it does for pydantic
        if key != name:
            given[(*path, key)] = name
        inner = nested_model(model.model_fields[fields[key]].annotation) if key in fields else None
        is_table = inner is not None and isinstance(value, Mapping)
        renamed[key] = _renamed(inner, value, (*path, key), given) if is_table else value
    return renamed


def _without(options: dict[Any, Any], path: Path) -> dict[Any, Any]:
    key, *rest = path
    table = table_of(options.get(key))
    if key not in options or (rest and table is None):
        return options
    left = _without(table, tuple(rest)) if rest and table is not None else {}
    kept = {**options, key: left}
    if not left:
        del kept[key]
    return kept


def _item(value: Any, path: Path) -> Any:
    """What is at a path inside a value that is no table; None where it has no such part."""
    for part in path:
        if isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif (table := table_of(value)) is not None and part in table:
            value = table[part]
        else:
            return None
    return value
