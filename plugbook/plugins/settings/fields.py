"""What a configuration's model says of its options: by which names they are given, of what they are made."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]
"""Where a value is inside a plugin's configuration: names of options, keys and indices."""


def shown(path: Path) -> str:
    """A path as people write it.

    >>> shown(("tax", "rates", 0))
    'tax.rates.0'
    """
    return ".".join(str(part) for part in path)


def call_for(plugin: str, path: Path) -> str:
    """The call that changes an option, as people write it.

    >>> call_for("billing", ("currency",)), call_for("billing", ("tax", "rate"))
    ("host.configure('billing', currency=...)", "host.configure('billing', tax={'rate': ...})")
    """
    first, *inside = map(str, path)
    value = "..."
    for name in reversed(inside):
        value = f"{{{name!r}: {value}}}"
    return f"host.configure({plugin!r}, {first}={value})"


def accepted(model: type[BaseModel]) -> dict[str, str]:
    """The names of options that a model reads, each with its field."""
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    names = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if alias is None or by_name:
            names[name] = name
        for choice in _choices(field):
            names[str(choice.path[0]) if isinstance(choice, AliasPath) else choice] = name
    return names


def keys(model: type[BaseModel]) -> dict[str, str]:
    """Every name by which an option may be given, with the one that stands for all of them."""
    # What stands first in an `AliasPath` may be shared by several fields, so it keeps its name.
    shared = {
        str(choice.path[0])
        for field in model.model_fields.values()
        for choice in _choices(field)
        if isinstance(choice, AliasPath)
    }
    names = accepted(model)
    return {given: given if given in shared else key_of(model, field) for given, field in names.items()}


def key_of(model: type[BaseModel], field: str) -> str:
    """The name by which options give a field: its first alias, or its own."""
    choices = _choices(model.model_fields[field])
    return next((choice for choice in choices if isinstance(choice, str)), field)


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model of a table of options; None where an option is none, or may be one of several.

    >>> class Tax(BaseModel):
    ...     rate: float
    >>> nested_model(Tax | None).__name__, nested_model(list[Tax])
    ('Tax', None)
    """
    models = [
        kind for kind in alternatives(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]
    return models[0] if len(models) == 1 else None


def alternatives(annotation: Any) -> Iterator[Any]:
    """The types between which an annotation leaves the choice; most leave none."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for each in get_args(annotation):
            yield from alternatives(each)
    elif hasattr(annotation, "__value__"):  # type Rate = ...
        yield from alternatives(annotation.__value__)
    else:
        yield annotation


def contents(annotation: Any) -> Iterator[Any]:
    """Every type that an annotation mentions, inside containers, too."""
    for kind in alternatives(annotation):
        inner = get_args(kind)
        if inner and get_origin(kind) is not Literal:
            for each in inner:
                yield from contents(each)
        else:
            yield kind


def table_of(value: Any) -> dict[Any, Any] | None:
    """A value as options by name, where it is such a thing; of a model what was given to it, by the names it reads."""
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, BaseModel):
        return None
    fields = type(value).model_fields
    return {
        key_of(type(value), name) if name in fields else name: getattr(value, name)
        for name in value.model_fields_set
    }


def default_of(field: FieldInfo) -> Any:
    """What an option is where nobody says anything; None where that depends on the other options."""
    if field.is_required() or getattr(field, "default_factory_takes_validated_data", False):
        return None
    return field.get_default(call_default_factory=True)


def type_name(annotation: Any) -> str:
    """An annotation as people write it.

    >>> type_name(int), type_name(list[int] | None)
    ('int', 'list[int] | None')
    """
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(map(type_name, get_args(annotation)))
    return str(annotation).replace("typing.", "")


def _choices(field: FieldInfo) -> list[str | AliasPath]:
    alias = field.validation_alias
    if alias is None:
        return []
    return list(alias.choices) if isinstance(alias, AliasChoices) else [alias]
