"""What a plugin class takes over from its bases.

The rules, all of them:

==================  ===========================================================================================
what                how it is inherited
==================  ===========================================================================================
name, summary       Not at all: each class has its own.
relations           United over all bases, then over what the class itself says. What it says about a name
                    replaces what its bases say about that name, and an empty list takes everything away:
                    ``requires=[]``. Two bases that say different things about a name both count.
version, policy,    The nearest class that says so, in Python's method resolution order.
requires_host
middleware          The layers of the bases stand outside those of the class; an empty list takes them away.
handlers            Nearest first, by name. An override without ``@on`` keeps what it listens to, one with
                    ``@on`` replaces that, and ``name = None`` takes the handler away.
Config              One model with the fields of all bases and its own. A nested ``Config`` need not inherit
                    from that of the base; a field that it declares again is the class's own, and
                    ``Config = None`` takes the options away. Two bases that give a field different types are
                    refused unless the class declares that field itself.
start               As any method of Python: an override calls ``super().start(ctx)`` where it wants both.
==================  ===========================================================================================

Relations are ``requires``, ``optional``, ``conflicts``, ``provides``, ``needs`` and ``restart_with``. Where a class
has several bases, they count from left to right; what comes through two of them counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, create_model

from plugbook.errors import ManifestError
from plugbook.plugins.manifest import Manifest, split

if TYPE_CHECKING:
    from plugbook.plugins.plugin import Plugin

RELATIONS: Final = ("requires", "optional", "conflicts", "provides", "needs", "restart_with")
"""The manifest fields that name other plugins and capabilities."""


def inherited_fields(cls: type[Plugin], own: Manifest, fields: Iterable[str]) -> dict[str, Any]:
    """What the manifest of a class has from its bases, in place of or besides what it says itself.

    Args:
        cls: the class.
        own: what it says itself.
        fields: those that are inherited at all.
    """
    found: dict[str, Any] = {}
    for field in fields:
        if field in RELATIONS:
            found[field] = _united(cls, own, field)
        elif field not in own.model_fields_set:
            found |= _nearest(cls, field)
    return {field: value for field, value in found.items() if value != getattr(own, field)}


def inherited_layers(cls: type[Plugin], own: Iterable[Any] | None) -> tuple[Any, ...]:
    """The middleware of a class: that of its bases outside, its own inside; each layer once."""
    layers = None if own is None else tuple(own)
    if layers == ():
        return ()
    outer = [layer for base in cls.__bases__ for layer in getattr(base, "_layers", ())]
    every = (*outer, *(layers or ()))
    return tuple(layer for place, layer in enumerate(every) if not any(layer is one for one in every[:place]))


def inherited_config(cls: type[Plugin], place: str) -> type[BaseModel] | None:
    """The model of a class's options: its own nested one, and those of its bases.

    Raises:
        ManifestError: one of them is no pydantic model, or they cannot be combined.
    """
    own = vars(cls).get("Config")
    if "Config" in vars(cls) and own is None:
        return None
    given = [own] if own is not None else []
    theirs = [getattr(base, "Config", None) for base in cls.__bases__]
    given += [model for model in theirs if model is not None]
    for model in given:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            msg = f"{place}: Config must be a pydantic model. Write 'class Config(BaseModel):' inside the plugin."
            raise ManifestError(msg, plugin=cls.manifest.name, field="Config")
    models = _without_bases(given)
    if len(models) < 2:
        return models[0] if models else None
    _check_agreement(cls, models, own, place)
    return _combined(cls, models, place)


# -- inside ---------------------------------------------------------------------------------------


def _united(cls: type[Plugin], own: Manifest, field: str) -> tuple[str, ...]:
    mine: tuple[str, ...] = getattr(own, field)
    if field in own.model_fields_set and not mine:
        return ()
    theirs = dict.fromkeys(text for base in cls.__bases__ for text in _declared(base).get(field, ()))
    named = {split(text).name for text in mine}
    return (*(text for text in theirs if split(text).name not in named), *mine)


def _nearest(cls: type[Plugin], field: str) -> dict[str, Any]:
    """What the nearest class above says itself; what it has from its own bases is found there."""
    for base in cls.__mro__[1:]:
        if field in vars(base).get("_stated", ()):
            return {field: _declared(base)[field]}
    return {}


def _declared(base: type) -> dict[str, Any]:
    declared: dict[str, Any] = getattr(base, "_declared", {})
    return declared


def _without_bases(models: list[type[BaseModel]]) -> list[type[BaseModel]]:
    """Each model once, without those that another one inherits from."""
    once = list(dict.fromkeys(models))
    return [model for model in once if not any(issubclass(one, model) for one in once if one is not model)]


def _check_agreement(
    cls: type[Plugin], models: list[type[BaseModel]], own: type[BaseModel] | None, place: str
) -> None:
    mine = own.model_fields if own is not None else {}
    for one, other in combinations(models, 2):
        for field in one.model_fields.keys() & other.model_fields.keys() - mine.keys():
            types = one.model_fields[field].annotation, other.model_fields[field].annotation
            if types[0] != types[1] and _declarer(other, field) not in one.__mro__:
                msg = (
                    f"{place}: its bases disagree about the option {field!r}: {_shown(types[0])} in "
                    f"{one.__qualname__}, {_shown(types[1])} in {other.__qualname__}. Declare it in this class: "
                    f"class Config(BaseModel): {field}: ..."
                )
                raise ManifestError(msg, plugin=cls.manifest.name, field="Config")


def _declarer(model: type[BaseModel], field: str) -> type | None:
    return next((base for base in model.__mro__ if field in vars(base).get("__annotations__", {})), None)


def _combined(cls: type[Plugin], models: list[type[BaseModel]], place: str) -> type[BaseModel]:
    names = ", ".join(model.__qualname__ for model in models)
    try:
        combined = create_model("Config", __base__=tuple(models), __module__=cls.__module__)
    except TypeError as error:
        msg = (
            f"{place}: {names} cannot be combined: {error}. Write one Config that inherits from all of them."
        )
        raise ManifestError(msg, plugin=cls.manifest.name, field="Config") from error
    combined.__qualname__ = f"{cls.__qualname__}.Config"
    combined.__doc__ = models[0].__doc__
    return combined


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
