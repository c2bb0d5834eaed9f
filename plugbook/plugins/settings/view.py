"""Every option of a plugin as a person looks at it: its value, and who said so; secrets are hidden already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from plugbook.errors import UnknownNameError, suggestion
from plugbook.trace.writing.payload import HIDDEN

from .fields import Path, default_of, key_of, nested_model, shown, table_of, type_name
from .layers import Layer, Layers
from .marks import is_secret, mask, masked, needs_restart

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: its path, as in ``tax.rate``.
        value: what it is.
        source: who said so: ``shop.toml line 12``, ``environment variable PLUGBOOK_SHOP__TAX``, ``host``,
            ``live edit at 10:32, cell 5`` or ``default``.
        layer: the kind of that place.
        below: what each lower place says, the highest first, as place and value; the default is not among them.
        type: what it is made of.
        default: what it is where nobody says anything; None where somebody must.
        is_required: whether somebody must.
        is_secret: whether the values here are hidden.
        needs_restart: whether changing it restarts the plugin.
        description: what it is for.
    """

    name: str
    value: Any
    source: str
    layer: Layer
    below: tuple[tuple[str, Any], ...]
    type: str
    default: Any
    is_required: bool
    is_secret: bool
    needs_restart: bool
    description: str

    @property
    def value_text(self) -> str:
        """The value as it is shown."""
        return _text(self.value)

    @property
    def default_text(self) -> str:
        """The default as it is shown."""
        return "required" if self.is_required else _text(self.default)

    @property
    def below_texts(self) -> tuple[tuple[str, str], ...]:
        """What lower places say, as it is shown."""
        return tuple((place, _text(value)) for place, value in self.below)

    @property
    def source_text(self) -> str:
        """Who said so, and what lower places say."""
        below = "; ".join(f"{place}: {value}" for place, value in self.below_texts)
        return f"{self.source} (above {below})" if below else self.source

    @property
    def remark(self) -> str:
        """What it is for, and what changing it takes."""
        restart = "needs a restart" if self.needs_restart else ""
        return "; ".join(filter(None, (self.description, restart)))


class PluginConfig(dict[str, Option]):
    """The options of a plugin, by their paths; one that is not there is an `UnknownNameError`.

    Attributes:
        plugin: its name.
        problem: why they do not fit the plugin, or ``""``; the values are then those that were given.
    """

    def __init__(self, plugin: str, options: Iterable[Option], problem: str = "") -> None:
        super().__init__((option.name, option) for option in options)
        self.plugin = plugin
        self.problem = problem

    def __missing__(self, name: object) -> Option:
        msg = f"{self.plugin!r} has no option {name!r}.{suggestion(str(name), self)}"
        raise UnknownNameError(msg, name=str(name), known=self)

    def __str__(self) -> str:
        if not self:
            return f"{self.plugin} has no options"
        rows = [("option", "value", "from", "type", "default", "what")]
        rows += [
            (each.name, each.value_text, each.source_text, each.type, each.default_text, each.remark)
            for each in self.values()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *([f"problem: {self.problem}"] if self.problem else [])])

    __repr__ = __str__


def look(plugin: str, layers: Layers, config: BaseModel | None, problem: str = "") -> PluginConfig:
    """The options of a plugin.

    Args:
        plugin: its name.
        layers: all that is said about them.
        config: what came of it; None where it does not fit.
        problem: why it does not.
    """
    model = layers.model
    if model is None:
        return PluginConfig(plugin, (), problem)
    values: Any = config if config is not None else layers.merged()
    return PluginConfig(plugin, _Look(model, layers).at(model, values, None, ()), problem)


class _Look:
    """One walk through the options of a plugin."""

    def __init__(self, model: type[BaseModel], layers: Layers) -> None:
        self._model = model
        self._layers = layers

    def at(self, model: type[BaseModel], values: Any, default: Any, path: Path) -> Iterator[Option]:
        """The options of a model, those of tables inside it, too.

        Args:
            model: the model.
            values: an instance of it, or a mapping of what is known.
            default: the instance that stands where nobody says anything, if there is one.
            path: where the model is.
        """
        for name, field in model.model_fields.items():
            key = key_of(model, name)
            usual = getattr(default, name, None) if default is not None else default_of(field)
            known, value = _value(values, name, key)
            value = value if known else usual
            inner = nested_model(field.annotation)
            is_table = (
                isinstance(value, Mapping) or type(value) is inner or (not known and field.is_required())
            )
            if inner is not None and is_table:
                yield from self.at(inner, value, usual if type(usual) is inner else None, (*path, key))
            else:
                yield self._option((*path, key), field, value, usual, default is None and field.is_required())
        extra = getattr(values, "model_extra", None) or {}
        for key, value in extra.items():
            yield self._option((*path, key), None, value, None, is_required=False)

    def _option(
        self, path: Path, field: FieldInfo | None, value: Any, default: Any, is_required: bool
    ) -> Option:
        secret = is_secret(self._model, path)
        hide = mask if secret else masked
        said = [(each, hide(word)) for each, word in self._layers.about(path)]
        highest = said[0][0] if said else None
        return Option(
            name=shown(path),
            value=hide(value),
            source=highest.place(path) if highest is not None else str(Layer.DEFAULT),
            layer=highest.layer if highest is not None else Layer.DEFAULT,
            below=tuple((each.place(path), word) for each, word in said[1:]),
            type=type_name(field.annotation) if field is not None else "not declared",
            default=hide(default),
            is_required=is_required,
            is_secret=secret,
            needs_restart=needs_restart(self._model, path),
            description=(field.description or "") if field is not None else "",
        )


def _value(values: Any, name: str, key: str) -> tuple[bool, Any]:
    if isinstance(values, BaseModel):
        return True, getattr(values, name)
    table = table_of(values) or {}
    return key in table, table.get(key)


def _text(value: Any) -> str:
    if isinstance(value, str) and value == HIDDEN:
        return HIDDEN
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
