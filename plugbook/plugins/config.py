"""Turns what a person configured into a plugin's own model, and says exactly which field is wrong.

A name that nobody knows is refused, never ignored: pydantic would drop it silently, and a misspelt
option would look as if it had no effect. A model that sets ``extra`` itself decides for itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, AliasPath, BaseModel, ValidationError

from plugbook.errors import ConfigError, UnknownPluginError, suggestion

if TYPE_CHECKING:
    from .plugin import Plugin

_Path = tuple[str | int, ...]


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
    if isinstance(options, Mapping | BaseModel):
        return dict(options)
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
    msg = (
        f"config= takes options by plugin name, not a {type(config).__name__}. "
        "Write it as config={'billing': {'currency': 'EUR'}}."
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
    given = check_options(name, options)
    if model is None:
        if given:
            option = str(next(iter(given)))
            msg = (
                f"{name!r} takes no configuration, but {option!r} was given. "
                "Take it out, or let the plugin declare a Config model."
            )
            raise ConfigError(msg, plugin=name, path=option)
        return None
    config = _validated(name, model, given)
    for path, known in _unknown(config, given, ()):
        shown = _shown(path)
        msg = f"{name!r} has no option {shown!r}.{suggestion(str(path[-1]), known)}"
        raise ConfigError(msg, plugin=name, path=shown)
    return config


def _validated(name: str, model: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        # The input is left out: it may hold a secret.
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(
            _told(model, problem["loc"], problem["type"], problem["msg"]) for problem in problems
        )
        path = _shown(problems[0]["loc"])
        msg = f"the configuration of {name!r} does not fit {model.__qualname__}: {told}"
        raise ConfigError(msg, plugin=name, path=path or None) from None
    except Exception as error:
        msg = (
            f"the configuration of {name!r} could not be checked: {model.__qualname__} raised "
            f"{type(error).__name__}. Let its validators raise ValueError for what they refuse."
        )
        raise ConfigError(msg, plugin=name) from error


def _told(model: type[BaseModel], path: _Path, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        known = _accepted(model) if len(path) == 1 else ()
        return f"{_shown(path)}: there is no such option.{suggestion(str(path[-1]), known)}"
    message = message.removeprefix("Value error, ")
    return f"{_shown(path)}: {message}" if path else message


def _shown(path: _Path) -> str:
    return ".".join(str(part) for part in path)


def _unknown(made: Any, given: Any, path: _Path) -> Iterator[tuple[_Path, Collection[str]]]:
    """The options that no field took, found by walking what was made beside what was given."""
    if isinstance(made, BaseModel) and isinstance(given, Mapping):
        model = type(made)
        accepted = _accepted(model)
        if "extra" not in model.model_config:
            yield from (((*path, key), accepted) for key in given if key not in accepted)
        for key, field in accepted.items():
            if key in given:
                yield from _unknown(getattr(made, field), given[key], (*path, key))
    elif isinstance(made, list | tuple) and isinstance(given, list | tuple):
        for number, (inner, data) in enumerate(zip(made, given, strict=False)):
            yield from _unknown(inner, data, (*path, number))
    elif isinstance(made, dict) and isinstance(given, Mapping):
        for key, data in given.items():
            if key in made:
                yield from _unknown(made[key], data, (*path, key))


def _accepted(model: type[BaseModel]) -> dict[str, str]:
    """The option names that a model reads, each with its field."""
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    accepted = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if alias is None or by_name:
            accepted[name] = name
        for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            if isinstance(choice, AliasPath):
                accepted[str(choice.path[0])] = name
            elif choice is not None:
                accepted[choice] = name
    return accepted
