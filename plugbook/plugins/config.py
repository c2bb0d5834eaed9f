"""Turns what is said about a plugin's options into its own model, and says exactly which option is wrong, and where.

A name that nobody knows is refused, never ignored: pydantic would drop it silently, and a misspelt
option would look as if it had no effect. A model that sets ``extra`` itself decides for itself.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from plugbook.errors import ConfigError, UnknownPluginError, suggestion

from .settings.fields import Path, accepted, nested_model, shown, table_of
from .settings.layers import Layer, Layers, Said
from .settings.marks import conceal, harmless, is_secret, without_secrets

if TYPE_CHECKING:
    from plugbook.plugins.plugin import Plugin


def check_options(name: str, options: Any) -> dict[str, Any]:
    """The options of one plugin as they were given, by name.

    Args:
        name: the plugin's.
        options: a mapping, an instance of the plugin's model, or None for no options.

    Raises:
        ConfigError: it is neither.
    """
    if options is None:
        return {}
    table = table_of(options)
    if table is not None:
        return table
    msg = (
        f"the configuration of {name!r} is of type {type(options).__name__}. "
        "Give its options by name, such as {'currency': 'EUR'}."
    )
    raise ConfigError(msg, plugin=name)


def check_config(config: Any) -> dict[str, Any]:
    """The options of a host's plugins by plugin name.

    Raises:
        ConfigError: what was given is something else.
    """
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    is_path = isinstance(config, str | os.PathLike)
    file = f", or name a file by config_file={str(config)!r}" if is_path else ""
    msg = (
        f"config= takes options by plugin name, not a {type(config).__name__}. "
        f"Write it as config={{'billing': {{'currency': 'EUR'}}}}{file}."
    )
    raise ConfigError(msg)


def check_names(config: Mapping[str, Any], plugins: Collection[str]) -> None:
    """Check that every plugin that is configured is there.

    Raises:
        UnknownPluginError: one is not; suggests the name that was meant.
    """
    for name in config:
        if name not in plugins:
            msg = (
                f"there is a configuration for {name!r}, but no such plugin.{suggestion(str(name), plugins)}"
            )
            raise UnknownPluginError(msg, name=str(name), known=plugins)


def check_known(name: str, model: type[BaseModel] | None, path: Path) -> None:
    """Check that a plugin has the option that a path leads to, as far as its models say.

    Raises:
        ConfigError: it has none; suggests the one that was meant.
    """
    inner = model
    for depth, part in enumerate(path):
        if inner is None and depth:
            return
        known = accepted(inner) if inner is not None else {}
        if part not in known:
            msg = f"{name!r} has no option {shown(path)!r}.{suggestion(str(part), known)}"
            raise ConfigError(msg, plugin=name, path=shown(path))
        inner = nested_model(inner.model_fields[known[str(part)]].annotation) if inner is not None else None


def validate(plugin: type[Plugin], options: Any = None) -> BaseModel | None:
    """The configuration of a plugin as an instance of its model; None where it declares none.

    Args:
        plugin: the plugin's class.
        options: a mapping of options, an instance of the model, or None for the defaults.

    Raises:
        ConfigError: an option is unknown, missing or wrong; `path` is the first one's.
    """
    model, name = plugin.Config, plugin.manifest.name
    if model is not None and isinstance(options, model):
        return options
    return settle(plugin, Layers(model, [Said(Layer.HOST, check_options(name, options), "host")]))


def settle(plugin: type[Plugin], layers: Layers) -> BaseModel | None:
    """The configuration that comes of all that is said about a plugin's options; None where it declares none.

    Raises:
        ConfigError: an option is unknown, missing or wrong; says where it was given. `path` is the first one's.
    """
    model, name = plugin.Config, plugin.manifest.name
    if model is None:
        given = next((key for each in layers.said for key in each.options), None)
        if given is None:
            return None
        msg = (
            f"{name!r} takes no configuration, but {given!r} was given{_at(layers, (given,))}. "
            "Take it out, or let the plugin declare a Config model."
        )
        raise ConfigError(msg, plugin=name, path=str(given))
    conceal(model)
    config, options = _validated(name, model, layers)
    for path, known in _unknown(config, options, ()):
        msg = f"{name!r} has no option {shown(path)!r}{_at(layers, path)}.{suggestion(str(path[-1]), known)}"
        raise ConfigError(msg, plugin=name, path=shown(path))
    return config


def _validated(name: str, model: type[BaseModel], layers: Layers) -> tuple[BaseModel, dict[str, Any]]:
    error: Exception
    try:
        options = layers.merged()
        return model.model_validate(options), options
    except Exception as raised:
        error = raised
    # Outside of the handler, so that the error is not kept as context: it holds what was given.
    secrets = layers.secrets()
    if not isinstance(error, ValidationError):
        raise _broken(name, model, error) from harmless(error, secrets)
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = "; ".join(
        _told(model, layers, problem["loc"], problem["type"], problem["msg"]) for problem in problems
    )
    path = shown(problems[0]["loc"])
    msg = f"the configuration of {name!r} does not fit {model.__qualname__}: {told}"
    raise ConfigError(without_secrets(msg, secrets), plugin=name, path=path or None)


def _broken(name: str, model: type[BaseModel], error: Exception) -> ConfigError:
    msg = (
        f"the configuration of {name!r} could not be checked: {model.__qualname__} raised "
        f"{type(error).__name__}. Let its validators raise ValueError for what they refuse."
    )
    return ConfigError(msg, plugin=name)


def _told(model: type[BaseModel], layers: Layers, path: Path, kind: str, message: str) -> str:
    at = _at(layers, path)
    if kind == "extra_forbidden":
        known = accepted(model) if len(path) == 1 else ()
        return f"{shown(path)}: there is no such option{at}.{suggestion(str(path[-1]), known)}"
    message = message.removeprefix("Value error, ")
    if kind in ("value_error", "assertion_error") and path and is_secret(model, path):
        message = "it is refused, for a reason that may hold the secret"
    return f"{shown(path)}: {message}{at}" if path else f"{message}{at}"


def _at(layers: Layers, path: Path) -> str:
    place = layers.place(path)
    return f" ({place})" if place else ""


def _unknown(made: Any, given: Any, path: Path) -> Iterator[tuple[Path, Collection[str]]]:
    """The options that no field took, found by walking what was made beside what was given."""
    if isinstance(made, BaseModel) and isinstance(given, Mapping):
        model = type(made)
        names = accepted(model)
        if "extra" not in model.model_config:
            yield from (((*path, key), names) for key in given if key not in names)
        for key, field in names.items():
            if key in given:
                yield from _unknown(getattr(made, field), given[key], (*path, key))
    elif isinstance(made, list | tuple) and isinstance(given, list | tuple):
        for number, (inner, data) in enumerate(zip(made, given, strict=False)):
            yield from _unknown(inner, data, (*path, number))
    elif isinstance(made, dict) and isinstance(given, Mapping):
        for key, data in given.items():
            if key in made:
                yield from _unknown(made[key], data, (*path, key))
