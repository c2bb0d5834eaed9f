"""Options given by environment variables, such as ``PLUGBOOK_BILLING__TAX__RATE=0.2``."""

from __future__ import annotations

import enum
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr

from plugbook.errors import ConfigError, suggestion

from .fields import Path, accepted, alternatives, contents, key_of, nested_model
from .layers import Layer, Said, nested

PREFIX = "PLUGBOOK_"
"""How the variables begin that a host reads where it is not told otherwise."""

_TEXTS = (str, bytes, SecretStr, SecretBytes, Decimal, PurePath, date, time)
"""What text becomes without being JSON first; of a number with many digits, JSON would lose some."""


class Environment:
    """The variables of a process that give options.

    A name is the prefix, the plugin's name, and the option's, with ``__`` between a table and what is in it;
    ``-`` and ``.`` in a plugin's name become ``_``, and case does not matter. A member of a bundle may be named
    inside the bundle, as a table of it: ``PLUGBOOK_SHOP__LEDGER__SIZE``, or ``PLUGBOOK_SHOP_LEDGER__SIZE``, by its
    full name ``shop.ledger``.

    Args:
        prefix: how the names begin; None to read none.
        variables: by name; those of this process where left out. They are read once.
    """

    def __init__(self, prefix: str | None = PREFIX, variables: Mapping[str, str] | None = None) -> None:
        self.prefix = prefix
        given = os.environ if variables is None else variables
        begin = (prefix or "").upper()
        self._variables = {
            name: text
            for name, text in sorted(given.items())
            if prefix is not None and name.upper().startswith(begin)
        }

    @classmethod
    def checked(cls, prefix: Any) -> Environment:
        """The same for a prefix that a person gave.

        Raises:
            ConfigError: no variable could begin like that.
        """
        if prefix is None or (isinstance(prefix, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix)):
            return cls(prefix)
        msg = (
            f"env_prefix={prefix!r} cannot begin the name of a variable. Give letters, digits and '_', such as "
            "'SHOP_', or None to read no variables."
        )
        raise ConfigError(msg)

    @property
    def is_empty(self) -> bool:
        """Whether no variable begins like that."""
        return not self._variables

    def said(self, plugin: str, model: type[BaseModel], nested_in: Path = ()) -> Iterator[Said]:
        """What the variables say about a plugin's options, one by one.

        Args:
            plugin: its name.
            model: its ``Config``.
            nested_in: of a member of a bundle, where its options are, the bundle first.
        """
        for name, option in self._of(plugin, nested_in).items():
            path, annotation = _resolve(model, option.split("__"))
            if path:
                value = parsed(annotation, self._variables[name])
                yield Said(Layer.ENVIRONMENT, nested(path, value), f"environment variable {name}")

    def unknown_options(
        self,
        plugin: str,
        model: type[BaseModel] | None,
        nested_in: Path = (),
        members: Iterable[str] = (),
    ) -> Iterator[str]:
        """What to say of variables that name a plugin and none of its options.

        Args:
            plugin: its name.
            model: its ``Config``, or None.
            nested_in: of a member of a bundle, where its options are, the bundle first.
            members: of a bundle, the members, by the names they have in it.
        """
        tables = {_word(member).upper() for member in members}
        begins = self._begins(plugin, nested_in)
        for name, option in self._of(plugin, nested_in).items():
            parts = option.split("__")
            path, _ = _resolve(model, parts) if model is not None else ((), None)
            if not path and not (len(parts) > 1 and parts[0].upper() in tables):
                known = [f"{begin}{_tail(each)}" for begin in begins for each in (*_names(model), *tables)]
                yield (
                    f"the environment variable {name} is passed over: {plugin} has no such option."
                    f"{suggestion(name, known)}"
                )

    def unknown_plugins(self, plugins: Mapping[str, type[BaseModel] | None]) -> Iterator[str]:
        """What to say of variables that look as if they gave an option, and name no plugin.

        Args:
            plugins: the models of the plugins that there are, by plugin.
        """
        begins = {self.name_of(plugin, ""): plugin for plugin in plugins}
        known = [self.name_of(plugin, each) for plugin, model in plugins.items() for each in _names(model)]
        for name in self._variables:
            upper = name.upper()
            if upper.startswith(tuple(begins)):
                continue
            # Without the two underscores it may be anybody's; only one that is nearly right was meant for us.
            meant = suggestion(upper, known, listing="__" in upper)
            if meant or "__" in upper:
                yield f"the environment variable {name} is passed over: it names no plugin on this host.{meant}"

    def name_of(self, plugin: str, option: str) -> str:
        """The variable that gives an option.

        >>> Environment("SHOP_").name_of("order-book", "tax.rate")
        'SHOP_ORDER_BOOK__TAX__RATE'
        """
        return f"{self.prefix or ''}{_word(plugin)}__{_tail(option)}".upper()

    def _begins(self, plugin: str, nested_in: Path) -> list[str]:
        """How the variables of a plugin begin: with its name, and of a member with its place in its bundle, too."""
        names = [_word(plugin), *(["__".join(_word(str(part)) for part in nested_in)] if nested_in else [])]
        return [f"{self.prefix or ''}{name}__".upper() for name in names]

    def _of(self, plugin: str, nested_in: Path) -> dict[str, str]:
        """The variables of a plugin, each with what it says after the plugin's name; tables before what is in them."""
        if self.is_empty:
            return {}
        found = {
            name: name[len(begin) :]
            for begin in self._begins(plugin, nested_in)
            for name in self._variables
            if name.upper().startswith(begin)
        }
        return dict(sorted(found.items(), key=lambda item: item[1].count("__")))


def parsed(annotation: Any, text: str) -> Any:
    """What a text stands for, as the value of an option of that type: itself, or what it says in JSON.

    >>> parsed(str, "12"), parsed(int, "12"), parsed(list[str], '["a"]'), parsed(bool, "yes")
    ('12', 12, ['a'], 'yes')
    """
    if any(_is_text(kind) for kind in alternatives(annotation)):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def parsed_option(model: type[BaseModel] | None, option: str, text: str) -> dict[str, Any]:
    """The options that ``tax.rate=0.2`` stands for, by the type of that option."""
    path: Path = tuple(option.split("."))
    annotation: Any = Any
    inner = model
    for part in path:
        name = accepted(inner).get(str(part)) if inner is not None else None
        annotation = inner.model_fields[name].annotation if inner is not None and name is not None else Any
        inner = nested_model(annotation)
    return nested(path, parsed(annotation, text))


def _word(name: str) -> str:
    """A plugin's name as a part of a variable's."""
    return re.sub(r"[-_.]+", "_", name)


def _tail(option: str) -> str:
    """An option as the end of a variable's name."""
    return option.replace(".", "__").upper()


def _is_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(isinstance(each, str) for each in get_args(kind))
    if not isinstance(kind, type):
        return False
    if issubclass(kind, enum.Enum):
        return any(isinstance(each.value, str) for each in kind)
    return issubclass(kind, _TEXTS)


def _resolve(model: type[BaseModel], parts: list[str]) -> tuple[Path, Any]:
    """The option that the words of a variable's name lead to, and its type; an empty path where there is none."""
    first, *rest = parts
    known = {given.upper(): (given, field) for given, field in accepted(model).items()}
    if first.upper() not in known:
        return (), None
    given, name = known[first.upper()]
    annotation = model.model_fields[name].annotation
    inner = nested_model(annotation)
    if not rest:
        return (given,), annotation
    if inner is not None:
        path, annotation = _resolve(inner, rest)
        return ((given, *path), annotation) if path else ((), None)
    if not any(issubclass(get_origin(kind) or _type(kind), Mapping) for kind in alternatives(annotation)):
        return (), None
    # The keys of a table are whatever its owner wants, and variables are written in capitals.
    values = list(contents(annotation))
    return (given, *(part.lower() for part in rest)), values[-1] if len(rest) == 1 else Any


def _type(kind: Any) -> type[Any]:
    return kind if isinstance(kind, type) else object


def _names(model: type[BaseModel] | None) -> Iterator[str]:
    """The options of a model, those of tables inside it, too."""
    for name, field in model.model_fields.items() if model is not None else ():
        inner = nested_model(field.annotation)
        key = key_of(model, name) if model is not None else name
        yield key
        if inner is not None and inner is not model:
            yield from (f"{key}.{each}" for each in _names(inner))
