"""A plugin as people read it: its manifest, its handlers and its options, the same however it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from plugbook.events.middleware import name_of
from plugbook.plugins.settings.layers import Layers
from plugbook.plugins.settings.view import look

if TYPE_CHECKING:
    from plugbook.plugins.manifest import Manifest
    from plugbook.plugins.plugin import HandlerSpec, Plugin

_IN_THE_TITLE: Final = ("name", "version")
_NOT_ITS_OWN: Final = ("entry_point", "source")
"""Where the class is, which is no part of what it says about itself."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a plugin class says about itself.

    Attributes:
        manifest: of the class.
        fields: everything that is stated, by what it is about: a field of the manifest, ``middleware``, ``on`` or
            ``config``.
    """

    manifest: Manifest
    fields: dict[str, tuple[str, ...]]

    def __str__(self) -> str:
        width = max(map(len, self.fields), default=0)
        lines = [f"<plugin {self.manifest}"]
        for heading, items in self.fields.items():
            margins = (heading, *("" for _ in items[1:]))
            lines += [f"  {margin:{width}}  {item}" for margin, item in zip(margins, items, strict=True)]
        return "\n".join(lines) + ">"

    __repr__ = __str__


def describe(plugin_class: type[Plugin]) -> Description:
    """What a plugin class says about itself; of a secret option, the default is hidden.

    >>> from plugbook import plugin
    >>> billing = plugin("billing").version("1.2").requires("ledger>=1").config(currency="EUR").build()
    >>> describe(billing)
    <plugin billing 1.2
      requires  ledger>=1
      config    currency: str = 'EUR'>
    """
    stated = {
        "middleware": tuple(map(name_of, plugin_class.layers())),
        "on": tuple(map(_handler, plugin_class.handlers())),
        "config": tuple(_options(plugin_class)),
    }
    found = dict(_of_manifest(plugin_class.manifest)) | stated
    return Description(plugin_class.manifest, {heading: items for heading, items in found.items() if items})


def _of_manifest(manifest: Manifest) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, field in type(manifest).model_fields.items():
        value = getattr(manifest, name)
        if name not in (*_IN_THE_TITLE, *_NOT_ITS_OWN) and value != field.default:
            yield name, (", ".join(value) if isinstance(value, tuple) else str(value),)


def _handler(spec: HandlerSpec) -> str:
    target: Any = spec.target
    topic = target if isinstance(target, str) else f"{target.__name__} ({target.__topic__})"
    options = [
        f", {field.name}={_named(getattr(spec, field.name))}"
        for field in fields(spec)
        if field.name not in ("method", "target") and getattr(spec, field.name) != field.default
    ]
    return f"{topic}: {spec.method}{''.join(options)}"


def _named(value: Any) -> str:
    return str(getattr(value, "__name__", None) or repr(value))


def _options(plugin_class: type[Plugin]) -> Iterator[str]:
    if plugin_class.Config is None:
        return
    try:
        options = look(plugin_class.manifest.name, Layers(plugin_class.Config, ()), None).values()
    except Exception as error:  # a default is made by a function of the plugin's, and a repr may not fail
        yield f"its defaults cannot be made: {type(error).__name__}"
        return
    for option in options:
        default = "" if option.is_required else f" = {option.default_text}"
        yield f"{option.name}: {option.type}{default}"
