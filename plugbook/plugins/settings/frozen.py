"""The configuration as a plugin holds it: an option that is set there is refused, and says how to change it.

What is set on a model would be seen by that plugin alone: it would be in no recording, checked by nothing, and gone
after the next live edit. So a plugin is handed a view. It is an instance of a subclass of the model, made for that
plugin, so the model itself, which others may use as well, stays as it is; and what is copied from the view is a
plain instance, free to be changed. Lists and dicts inside are the plugin's own to leave alone.
"""

from __future__ import annotations

import copy
from abc import ABCMeta
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Never, TypeVar

from plugbook.errors import ConfigError

from .fields import Path, call_for, shown

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")


def frozen(config: M, plugin: str, path: Path = ()) -> M:
    """A view of a configuration on which no option can be set, models inside it included.

    Args:
        config: an instance of a plugin's ``Config``.
        plugin: the plugin's name.
        path: where the instance stands in the whole configuration.

    >>> from pydantic import BaseModel
    >>> class Config(BaseModel):
    ...     currency: str = "EUR"
    >>> view = frozen(Config(), "billing")
    >>> view == Config(), isinstance(view, Config)
    (True, True)
    >>> view.currency = "USD"
    Traceback (most recent call last):
        ...
    plugbook.errors.ConfigError: ctx.config.currency cannot be set ... Write host.configure('billing', currency=...).
    """
    model = type(config)
    view: M = object.__new__(_view_of(model, plugin, path))
    _fill(
        view, config, lambda name, value: frozen(value, plugin, (*path, name)) if _is_model(value) else value
    )
    return view


def thawed(view: M) -> M:
    """A plain instance of the model that a view shows."""
    model: type[M] | None = getattr(type(view), "__plugbook_shows__", None)
    if model is None:
        return view
    plain: M = object.__new__(model)
    _fill(plain, view, lambda _, value: thawed(value) if _is_model(value) else value)
    return plain


def _view_of(model: type[BaseModel], plugin: str, path: Path) -> Any:
    def refuse(_: Any, name: str, *value: Any) -> Never:
        option = (*path, name)
        msg = (
            f"ctx.config.{shown(option)} cannot be {'set' if value else 'deleted'} inside {plugin}: nobody would "
            f"check it, record it or keep it. Write {call_for(plugin, option)}."
        )
        raise ConfigError(msg, plugin=plugin, path=shown(option))

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if not name.startswith("_"):
            refuse(self, name, value)
        super(view, self).__setattr__(name, value)  # a private attribute of the model is no option

    def equals(self: Any, other: Any) -> Any:
        return thawed(self) == (thawed(other) if _is_model(other) else other)

    namespace = {
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
        "__plugbook_shows__": model,
        "__setattr__": set_attribute,
        "__delattr__": refuse,
        "__eq__": equals,
        "__hash__": model.__hash__,
        "__copy__": lambda self: copy.copy(thawed(self)),
        "__deepcopy__": lambda self, memo=None: copy.deepcopy(thawed(self), memo),
        "__reduce_ex__": lambda self, _: (thawed, (thawed(self),)),
    }
    # Past pydantic's own metaclass, which would build a schema: there is no new field, so that of the model holds.
    view: Any = ABCMeta.__new__(type(model), model.__name__, (model,), namespace)
    return view


def _fill(target: Any, source: Any, made_of: Callable[[str, Any], Any]) -> None:
    """Give one instance all that pydantic keeps of another, option by option."""
    private, extra = source.__pydantic_private__, source.__pydantic_extra__
    kept = {
        "__dict__": {name: made_of(name, value) for name, value in source.__dict__.items()},
        "__pydantic_fields_set__": set(source.__pydantic_fields_set__),
        "__pydantic_extra__": None
        if extra is None
        else {name: made_of(name, value) for name, value in extra.items()},
        "__pydantic_private__": None if private is None else dict(private),
    }
    for name, value in kept.items():
        object.__setattr__(target, name, value)


def _is_model(value: Any) -> bool:
    return hasattr(type(value), "__pydantic_fields_set__")
