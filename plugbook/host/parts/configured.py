"""The part of a host that shows and changes the configuration of its plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from plugbook.host.handle import PluginName, name_of
from plugbook.plugins.config import check_options

if TYPE_CHECKING:
    from plugbook.events.dispatch.work import Work
    from plugbook.host.configuring import Configuring
    from plugbook.host.plan import Changes
    from plugbook.plugins.settings.view import PluginConfig

T = TypeVar("T")


class Configured(ABC):
    """What can be asked of a host about the options of its plugins."""

    _configuring: Configuring

    @abstractmethod
    def _request(self, function: Callable[[], T]) -> T | Work[T]:
        """Run a request while no handler runs; inside a handler it is pending."""

    def config_of(self, name: PluginName) -> PluginConfig:
        """Every option of a plugin: its value, who said so, and what it is for; secrets are hidden.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: it was not loaded yet.
        """
        return self._configuring.look(name_of(name))

    def configure(
        self, name: PluginName, options: Mapping[str, Any] | None = None, /, **changes: Any
    ) -> Changes | Work[Changes]:
        """Change options of a plugin, above all that was said before; tables are merged key by key.

        The whole new configuration is checked first. A plugin that runs finds it in ``ctx.config``, and is told by
        its ``on_config_change(self, old, new)``, which may be async; if that raises, the old configuration is back.
        Where an option that changes is marked `NeedsRestart`, the plugin is restarted instead.

        Args:
            name: the plugin.
            options: options by name, for names that are no Python identifiers.
            **changes: more of them.

        Raises:
            UnknownPluginError: there is no such plugin.
            ConfigError: the new configuration does not fit; nothing was changed.
            LifecycleError: the plugin was not loaded yet.
            PluginError: the plugin refused it, and has its old one again; or a dependent did not start again.
        """
        given = {**check_options(name_of(name), options), **changes}
        return self._request(lambda: self._configuring.configure(name_of(name), given).check())

    def reset_config(self, name: PluginName, *options: str) -> Changes | Work[Changes]:
        """Take live edits back: of the options named, as in ``tax.rate``, or of all.

        Raises:
            UnknownPluginError: there is no such plugin.
            ConfigError: there is no such option, or what remains does not fit; nothing was changed.
            PluginError: as for `configure`.
        """
        return self._request(lambda: self._configuring.reset(name_of(name), options).check())

    def reload_config(self) -> Changes | Work[Changes]:
        """Read the configuration file and the environment again; if anything does not fit, nothing is changed.

        Raises:
            ConfigError: the file cannot be read, or some plugin's options in it do not fit.
            PluginError: a plugin refused its new configuration; all of them have their old ones again.
        """
        return self._request(lambda: self._configuring.reload().check())
