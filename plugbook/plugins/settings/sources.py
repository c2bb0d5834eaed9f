"""What lies outside a program and says something about the options of its plugins: a file and the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plugbook.errors import suggestion

from .environment import Environment
from .files import ConfigFile
from .layers import Layer, Layers, Said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pydantic import BaseModel

    from .fields import Path


@dataclass(frozen=True, slots=True)
class Sources:
    """The file and the variables of a host, as they were when they were read.

    Attributes:
        file: the configuration file, or None.
        environment: the variables.
    """

    file: ConfigFile | None = None
    environment: Environment = field(default_factory=lambda: Environment(None))

    @classmethod
    def read(cls, path: Any, prefix: str | None) -> Sources:
        """Read them now.

        Raises:
            ConfigError: the file cannot be read, or the prefix cannot be one.
        """
        return cls(ConfigFile(path) if path is not None else None, Environment.checked(prefix))

    def again(self) -> Sources:
        """The same, read now.

        Raises:
            ConfigError: the file cannot be read any more.
        """
        file = ConfigFile(self.file.path) if self.file is not None else None
        return Sources(file, Environment(self.environment.prefix))

    @property
    def are_silent(self) -> bool:
        """Whether they say nothing at all."""
        return self.file is None and self.environment.is_empty

    def layers(
        self,
        plugin: str,
        model: type[BaseModel] | None,
        options: Mapping[str, Any],
        edits: Iterable[Said] = (),
        *,
        nested: Path = (),
        members: Collection[str] = (),
    ) -> Layers:
        """All that is said about a plugin's options.

        Args:
            plugin: its name.
            model: its ``Config``.
            options: what the host was given.
            edits: what was changed since, the oldest first.
            nested: of a member of a bundle, where its table is inside that of the bundle.
            members: of a bundle, what inside its table belongs to its members.
        """
        said = list(self.file.said(plugin, nested, members)) if self.file is not None else []
        said += self.environment.said(plugin, model, nested) if model is not None else ()
        said += [Said(Layer.HOST, dict(options), "host")] if options else []
        return Layers(model, [*said, *edits])

    def unknown_plugins(self, plugins: Mapping[str, type[BaseModel] | None]) -> Iterator[str]:
        """What to say of tables and variables that name no plugin.

        Args:
            plugins: the models of the plugins that there are, by plugin.
        """
        for name in self.file.tables if self.file is not None else ():
            if name not in plugins and self.file is not None:
                yield (
                    f"{self.file.place((name,))} is passed over: there is no plugin {name!r} on this host."
                    f"{suggestion(name, plugins)}"
                )
        yield from self.environment.unknown_plugins(plugins)
