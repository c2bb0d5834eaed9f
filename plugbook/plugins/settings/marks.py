"""What an option is besides its type: a secret, or something that a running plugin cannot take over."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pydantic import BaseModel

from plugbook.trace.writing.payload import HIDDEN

from .fields import Path, accepted, contents, nested_model, table_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:pass_?words?|passwd|pwd|passphrases?|secrets?|tokens?|credentials?"
    r"|(?:api|access|private|secret|signing|encryption)_?keys?)(?:$|_)"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_COUNTED = frozenset({int, float, bool, complex, type(None)})
_SHORTEST = 4
"""A secret shorter than this is not searched for in messages: it would be found in every second word."""

_concealed: WeakSet[type[BaseModel]] = WeakSet()


class NeedsRestart:
    """Marks an option that a running plugin cannot take over: changing it restarts the plugin.

    The same is said by ``Field(json_schema_extra={"restart": True})``.

    >>> from typing import Annotated
    >>> class Config(BaseModel):
    ...     port: Annotated[int, NeedsRestart] = 80
    """


class Hidden:
    """Marks an option whose value is never shown and never recorded, whatever its name and its type.

    The same is said by ``Field(json_schema_extra={"secret": True})``; False says that a name only looks like it.
    """


def needs_restart(model: type[BaseModel], path: Path) -> bool:
    """Whether an option, or a table that it is in, is marked so."""
    fields = (field for _, field in _along(model, path))
    return any(field is not None and _mark(field, NeedsRestart, "restart") for field in fields)


def is_secret(model: type[BaseModel], path: Path) -> bool:
    """Whether what is at a path must not be shown: by its type, by a mark, or because its name says so."""
    return any(
        looks_secret(names[0]) if field is None else _is_secret_field(names, field)
        for names, field in _along(model, path)
    )


def looks_secret(name: str) -> bool:
    """Whether a name is one that people give to secrets.

    >>> looks_secret("api_key"), looks_secret("smtpPassword"), looks_secret("keyboard")
    (True, True, False)
    """
    return bool(_SECRET_NAME.search(_HUMP.sub("_", name).replace("-", "_").replace(" ", "_").lower()))


def masked(value: Any) -> Any:
    """A configuration as plain options that can be shown and recorded: what is secret is hidden."""
    if isinstance(value, BaseModel):
        conceal(type(value))
        fields = type(value).model_fields
        extra = value.model_extra or {}
        return {
            name: mask(each) if _is_secret_field((name,), fields[name]) else masked(each)
            for name, each in value.__dict__.items()
            if name in fields
        } | masked(dict(extra))
    members = _members(value)
    if members is not None:
        return {key: mask(each) if looks_secret(str(key)) else masked(each) for key, each in members.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(each) for each in value]
    return mask(value) if hasattr(type(value), "get_secret_value") else value


def mask(value: Any) -> Any:
    """What stands for a secret; where there is none, that may be seen."""
    bare = _bare(value)
    is_empty = bare is None or (hasattr(bare, "__len__") and len(bare) == 0)
    return bare if is_empty else HIDDEN


def conceal(model: type[BaseModel]) -> None:
    """Leave the secrets of a model out of its own repr, for a configuration is easily logged whole."""
    if model in _concealed:
        return
    _concealed.add(model)
    for name, field in model.model_fields.items():
        if _is_secret_field((name,), field):
            field.repr = False
        for kind in contents(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                conceal(kind)


def secrets_in(model: type[BaseModel] | None, options: Any, path: Path = ()) -> set[str]:
    """The texts of the secrets that options hold."""
    if model is not None and path and is_secret(model, path):
        return set(_texts(options))
    found: set[str] = set()
    table = table_of(options)
    inside = (
        table.items()
        if table is not None
        else enumerate(options)
        if isinstance(options, list | tuple)
        else ()
    )
    for key, value in inside:
        found |= secrets_in(model, value, (*path, key))
    return found | (set(_texts(options)) if hasattr(type(options), "get_secret_value") else set())


def without_secrets(message: str, secrets: Iterable[str]) -> str:
    """A message with every secret in it hidden.

    >>> without_secrets("cannot log in with 'hunter2'", {"hunter2"})
    "cannot log in with '**********'"
    """
    for secret in sorted(secrets, key=len, reverse=True):
        message = message.replace(secret, HIDDEN)
    return message


def harmless(error: BaseException, secrets: Iterable[str]) -> BaseException | None:
    """An error that may be shown as the cause of another one; None where it tells a secret."""
    told = f"{error!r} {error}"
    return error if without_secrets(told, secrets) == told else None


def _along(model: type[BaseModel], path: Path) -> Iterator[tuple[tuple[str, ...], FieldInfo | None]]:
    """The names that a path leads through, each with its field; keys and indices of containers have none."""
    annotation: Any = model
    for part in path:
        inner = nested_model(annotation)
        name = accepted(inner).get(str(part), str(part)) if inner is not None else ""
        field = inner.model_fields.get(name) if inner is not None else None
        yield (str(part), name) if field is not None else (str(part),), field
        annotation = field.annotation if field is not None else _held(annotation)


def _held(annotation: Any) -> Any:
    """The one model that a container holds, if it does."""
    models = [kind for kind in contents(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return models[0] if len(models) == 1 else None


def _is_secret_field(names: Iterable[str], field: FieldInfo) -> bool:
    said = _mark(field, Hidden, "secret")
    if said is not None:
        return said
    kinds = set(contents(field.annotation))
    if any(hasattr(kind, "get_secret_value") for kind in kinds):
        return True
    return any(map(looks_secret, names)) and not kinds <= _COUNTED


def _mark(field: FieldInfo, mark: type[Any], word: str) -> bool | None:
    """What a field says of itself by a mark or a word; None where it says nothing."""
    if any(each is mark or isinstance(each, mark) for each in field.metadata):
        return True
    extra = field.json_schema_extra
    return bool(extra[word]) if isinstance(extra, dict) and word in extra else None


def _members(value: Any) -> Mapping[Any, Any] | None:
    """What a mapping, a dataclass or a named tuple holds by name."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return value._asdict() if isinstance(value, tuple) and hasattr(value, "_asdict") else None


def _bare(value: Any) -> Any:
    return value.get_secret_value() if hasattr(type(value), "get_secret_value") else value


def _texts(value: Any) -> Iterable[str]:
    bare = _bare(value)
    if isinstance(bare, bytes | bytearray):
        bare = bare.decode("utf-8", "replace")
    if isinstance(bare, BaseModel | Mapping):
        for each in (table_of(bare) or {}).values():
            yield from _texts(each)
    elif isinstance(bare, list | tuple | set | frozenset):
        for each in bare:
            yield from _texts(each)
    elif bare is not None and not isinstance(bare, bool) and len(str(bare)) >= _SHORTEST:
        yield str(bare)
