"""The composition root: a set of plugins, the bus they talk over, and the recording of all they do."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, TypeVar

from plugbook.errors import HostClosedError, refuses_misspelt
from plugbook.events.bus import Bus
from plugbook.events.dispatch.circles import MOST_CAUSED
from plugbook.events.dispatch.registrations import unscoped
from plugbook.host.answers.leaking import Leaking
from plugbook.host.answers.mender import Mender
from plugbook.host.answers.unhandled import who_would_handle
from plugbook.host.configuring import Configuring
from plugbook.host.current import use
from plugbook.host.engine import Engine
from plugbook.host.given import check_not_given, manifest_of, several, tell_taken
from plugbook.host.handle import PluginName, name_of
from plugbook.host.parts.configured import Configured
from plugbook.host.parts.deprecating import Deprecating
from plugbook.host.parts.disabling import Disabling
from plugbook.host.parts.looking import Looking
from plugbook.host.parts.publishing import Publishing
from plugbook.host.parts.recorded import Recorded
from plugbook.host.parts.timed import Timed
from plugbook.host.registrations import add_noted, registrar_for
from plugbook.host.registry import Registry
from plugbook.host.requests import Requests
from plugbook.host.supervision.dead_letters import MOST_LETTERS
from plugbook.host.supervision.deliveries import Deliveries
from plugbook.host.supervision.quarantine import Quarantine
from plugbook.host.supervision.quarantine_file import QuarantineFile
from plugbook.host.supervision.supervised import Supervised
from plugbook.host.supervision.supervisor import Supervisor
from plugbook.host.watching import FileWatch, Watched
from plugbook.plugins.authoring.bundle import gather
from plugbook.plugins.config import check_config, check_names
from plugbook.plugins.finding.discovery import discover, discover_in
from plugbook.plugins.manifest import check_version
from plugbook.plugins.plugin import Buildable, Plugin, as_class
from plugbook.plugins.settings.environment import PREFIX
from plugbook.plugins.settings.sources import Sources
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

if TYPE_CHECKING:
    from plugbook.events.dispatch.work import Work
    from plugbook.host.plan import Changes
    from plugbook.plugins.effects.effect import Effects
    from plugbook.plugins.policy import Policy

T = TypeVar("T")
Config = Mapping[str, Mapping[str, Any]]
PluginClass = type[Plugin] | Buildable

API_VERSION: Final = "1.0"
"""Of what plugbook itself offers plugins; the second number grows with what is added, the first with what goes."""

_open_hosts: weakref.WeakSet[Host] = weakref.WeakSet()


@atexit.register
def _close_hosts() -> None:
    """Run the cleanups of hosts that nobody closed: a loop that runs on while Python ends may crash it."""
    for host in list(_open_hosts):
        host.close()


class Host(Recorded, Looking, Configured, Supervised, Disabling, Timed, Watched, Deprecating, Publishing):
    """Plugins under one roof.

    Args:
        plugins: plugin classes, or what `plugin` returns; more can be added at any time.
        config: options by plugin name, validated by each plugin's ``Config`` when it is loaded.
        config_file: a TOML or JSON file of options: a table for each plugin.
        env_prefix: how the environment variables begin that give options, as in
            ``PLUGBOOK_BILLING__CURRENCY=USD``; None to read none. They stand above the file, and `config` above them.
        effects: what plugins may ask of the world, and how, by plugin name, ``"*"`` for all; see `Effects`.
        api_version: of what the application offers its plugins, which their `requires_host` is about. A subclass may
            give it as a class attribute; without either it is that of plugbook itself.
        timing: whether every handler call is timed. Without it nothing is recorded either.
        policies: what is done about plugins that fail, by name, whatever their manifests say; see `set_policy`.
        quarantine_file: a JSON file of this host alone, in which it remembers whom it has quarantined; without one,
            a quarantine ends with the host.
        most_dead_letters: how many missed events are kept for each plugin.
        most_caused: how many events one event may cause before handlers that publish in a circle are refused.

    A lifecycle request (`start`, `stop`, `add` ...) that is made inside a handler is queued, and returns
    a pending `Work` instead of its `Changes`.

    >>> from plugbook import Event, Host, Plugin, on
    >>> class Ping(Event):
    ...     n: int
    >>> class Echo(Plugin):
    ...     @on(Ping)
    ...     def answer(self, ping: Ping) -> int:
    ...         return ping.n
    >>> with Host([Echo]) as host:
    ...     print(host.start())
    ...     host.publish(Ping(n=7)).calls[0].result
    started echo
    7

    Raises:
        ManifestError: two plugins have the same name, or something given is no plugin class.
        UnknownPluginError: `config` or `effects` names a plugin that is not there.
        ConfigError: `config` is not options by plugin name, or `config_file` cannot be read.
        QuarantineError: the quarantine file cannot be read.
    """

    api_version: str = API_VERSION

    @refuses_misspelt
    def __init__(
        self,
        plugins: Iterable[PluginClass] = (),
        *,
        config: Config | None = None,
        config_file: str | PathLike[str] | None = None,
        env_prefix: str | None = PREFIX,
        effects: Mapping[str, Effects] | None = None,
        api_version: str | None = None,
        timing: bool = True,
        policies: Mapping[str, Policy | str | Mapping[str, Any]] | None = None,
        quarantine_file: str | PathLike[str] | None = None,
        most_dead_letters: int = MOST_LETTERS,
        most_caused: int = MOST_CAUSED,
    ) -> None:
        self.api_version = check_version(api_version or self.api_version)
        sources = Sources.read(config_file, env_prefix)
        file = QuarantineFile(quarantine_file)
        self._is_closed = False
        self._watches: weakref.WeakSet[FileWatch] = weakref.WeakSet()
        _open_hosts.add(self)
        self.bus = Bus(Recorder(Store.memory()) if timing else None, timing=timing, most_caused=most_caused)
        self._registry = Registry(self.bus.rank, self.api_version)
        self.bus.advise(partial(who_would_handle, self._registry.handles))
        self._engine = Engine(self.bus, self._registry)
        self._engine.sources = sources
        self._deliveries = Deliveries(self.bus, most_dead_letters)
        self._engine.followers.append(self._deliveries.follow)
        quarantine = Quarantine(self._engine, self._deliveries, file)
        self._requests = Requests(self._registry, self._engine, quarantine.admit)
        self._leaking = Leaking(self.bus, self._engine.loader)
        self._mender = Mender(self._registry, self._engine)
        self._configuring = Configuring(self._registry, self._engine, self._requests)
        self._supervisor = Supervisor(
            self.bus, self._registry, self._engine, self._requests, self._deliveries, quarantine
        )
        given = check_config(config)
        for plugin in several(plugins):
            plugin_class = as_class(plugin)
            manifest = manifest_of(plugin_class)
            check_not_given(manifest, plugin_class, self.plugins)
            self._requests.add(manifest, plugin_class, gather(manifest, plugin_class, given))
            tell_taken(plugin)
        check_names(given, self.plugins)
        with unscoped():  # they are the host's, which is the cell's
            for name, policy in (policies or {}).items():
                self.set_policy(name, policy)
            self.effects.update(effects or {})
        registrar = registrar_for(self.bus)
        if registrar is not None:
            registrar.made(self)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed; then it only answers questions."""
        return self._is_closed

    # -- lifecycle --------------------------------------------------------------------------------

    def start(self, name: PluginName | None = None) -> Changes | Work[Changes]:
        """Start one plugin and what it requires, or, without a name, every plugin that can start.

        One that fails keeps nobody from starting but its dependents; see `Changes`.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: the state of the plugin does not allow it.
            ResolutionError: the plugin named cannot start.
            PluginError: the plugin named, or something it requires, failed.

        Warns:
            PlugbookWarning: a table of the file or an environment variable names no plugin or no option.
        """
        use(self)
        self._configuring.warn_of_strangers()
        if name is None:
            return self._request(self._requests.start_all)
        return self._request(lambda: self._requests.start(name_of(name)).check())

    def stop(self, name: PluginName | None = None) -> Changes | Work[Changes]:
        """Stop one plugin, its dependents first, or, without a name, all of them.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: the plugin is not active.
        """
        if name is None:
            self._supervisor.stand_down()
            return self._request(self._requests.stop_all)
        return self._request(lambda: self._requests.carry_out(self.plan("stop", name)))

    def restart(self, name: PluginName) -> Changes | Work[Changes]:
        """Stop a plugin and its dependents, and start again what was stopped.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: the plugin is not active.
            PluginError: something did not start again.
        """
        return self._request(lambda: self._requests.carry_out(self.plan("restart", name)).check())

    def reload(self, name: PluginName) -> Changes | Work[Changes]:
        """Let the code that is in a plugin's files now take over from the one that runs; see `Generations`.

        The new generation is imported, gets the state of the old one, starts and shows that it is well; then the
        old one goes, in one step. Where any of that fails, the old one goes on as if nothing had happened. Who
        depends on the plugin goes on, is told by its `on_reload`, and is restarted if its manifest says
        ``restart_with``. What a plugin may define for this is in `Keeping`.

        A class that cannot be found in a file, as those of cells, gets a new instance of the same code. What is
        not active is loaded again, and started.

        Raises:
            UnknownPluginError: there is no such plugin.
            ReloadError: the new generation could not take over.
            PluginError: something else did not start again.
        """
        return self._request(lambda: self._requests.reload(name_of(name)).check())

    def add(
        self, plugin: PluginClass, *, config: Mapping[str, Any] | None = None, replace: bool = False
    ) -> Changes | Work[Changes]:
        """Add a plugin; if the host was started, start it as well.

        Args:
            plugin: its class, or what `plugin` returns.
            config: its options.
            replace: take the place of the plugin of that name, keeping the options that the new class
                takes, unless new ones are given, and its state, as `reload` does. If the new one cannot
                start, the one that runs goes on. One whose manifest does not fit what runs, so that somebody
                would have to stop, takes its place without its state; `why` then tells who waits for what.

        Raises:
            ManifestError: it is no plugin class, or there is one of that name.
            ConfigError: the options do not fit a class that is to take another's place; nothing changed.
        """
        plugin_class = as_class(plugin)
        manifest = manifest_of(plugin_class)

        def add(replace: bool) -> Changes | Work[Changes]:
            return self._request(lambda: self._requests.add(manifest, plugin_class, config, replace=replace))

        changes = add_noted(self, manifest.name, add, replace=replace)
        tell_taken(plugin)
        return changes

    def discover(
        self, *folders: str | PathLike[str], group: str = "plugbook.plugins"
    ) -> Changes | Work[Changes]:
        """Add every plugin in some folders; without any, every plugin that installed distributions offer.

        Of several versions of a plugin the newest that fit together are used; see `choose`, and `available` for
        the others. One that cannot be read is `blocked`, and one that is on the host already is passed over.

        Args:
            *folders: each has a ``plugin.toml``, or holds folders that have one; see `plugbook.plugins.finding.folders`.
            group: the entry point group of distributions.

        Raises:
            ManifestError: a folder is not there.
            MissingExtraError: the newest versions do not fit together, and python-sat is not installed.
        """
        found = discover_in(*folders) if folders else discover(group)
        return self._request(lambda: self._requests.discover(found))

    def remove(self, name: PluginName) -> Changes | Work[Changes]:
        """Stop a plugin and its dependents, unload it, and forget it.

        Raises:
            UnknownPluginError: there is no such plugin.
        """

        def remove() -> Changes:
            changes = self._requests.remove(name_of(name))
            self._deliveries.forget(name_of(name))
            return changes

        return self._request(remove)

    def close(self) -> None:
        """Stop everything, end the host's loop, and close the recording. Closing again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        _open_hosts.discard(self)
        for watch in self.watches:
            watch.close()
        self._supervisor.close()
        self._perform(self._requests.stop_all)
        self.bus.loop.close()
        self.bus.close()
        recorder = self.bus.recorder
        if recorder is not None and recorder.store.path is not None:
            recorder.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside -----------------------------------------------------------------------------------

    def _request(self, function: Callable[[], T]) -> T | Work[T]:
        """Run a request while no handler runs; inside a handler it is pending."""
        self._check_open()
        return self._perform(function)

    def _perform(self, function: Callable[[], T]) -> T | Work[T]:
        work = self.bus.perform(function)
        return work.result() if work.done else work

    def _check_open(self) -> None:
        if self._is_closed:
            msg = "this host was closed; make a new one"
            raise HostClosedError(msg)

    def __repr__(self) -> str:
        states = [handle.state.value for handle in self.plugins.values()]
        counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        lines = [f"Host{' (closed)' * self._is_closed}: {counted or 'no plugins'}"]
        lines += [
            f"  {handle.manifest!s:<28} {handle.state:<12} {self.held(name) or handle.reason}".rstrip()
            for name, handle in self.plugins.items()
        ]
        return "\n".join(lines)
