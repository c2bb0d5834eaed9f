"""Carries plugins through their lives: one method a transition, each checked by the table first."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from plugbook._clock import Clock, tick
from plugbook.errors import PlugbookWarning, PluginError
from plugbook.events.bus import Bus, Cause, current_cause
from plugbook.events.dispatch.near_miss import misspelt_sources
from plugbook.host.changes import record_change
from plugbook.plugins.authoring.bundle import members_of, table_of
from plugbook.plugins.config import settle
from plugbook.plugins.context import Context
from plugbook.plugins.deprecation import Deprecation, Deprecations
from plugbook.plugins.effects.effect import EffectRules
from plugbook.plugins.extending.contributions import Extensions
from plugbook.plugins.extending.extension import contribute_marked, points_of
from plugbook.plugins.finding.discovery import complete
from plugbook.plugins.finding.loader import Loader
from plugbook.plugins.lifecycle import Request, State, next_state
from plugbook.plugins.policy import Watch, policy_as_json
from plugbook.plugins.scope import Scope, must_be_awaited
from plugbook.plugins.services import Services
from plugbook.plugins.settings.marks import masked
from plugbook.plugins.settings.sources import Sources
from plugbook.plugins.warning import warn
from plugbook.trace.record import describe_error
from plugbook.trace.telling import tell

if TYPE_CHECKING:
    from pydantic import BaseModel

    from plugbook._types import Disconnect
    from plugbook.host.handle import PluginHandle
    from plugbook.host.registry import Registry
    from plugbook.plugins.plugin import Plugin
    from plugbook.plugins.policy import Policy
    from plugbook.plugins.settings.layers import Layers, Said

_log = logging.getLogger("plugbook.host")

Listener = Callable[[], None]
Follower = Callable[["PluginHandle"], object]
Watcher = Callable[["PluginHandle"], Watch]


_BORN: Final = (Request.RESOLVE, Request.LOAD, Request.START, Request.STARTED)
_REBORN: Final = (Request.RELOAD,)


class Stage(NamedTuple):
    """Where a new generation of plugins stands before it takes over.

    Attributes:
        services: what is provided, without the former generation and with this one.
        extensions: the extension points, in the same way.
        restore: gives an instance the state that was kept for it.
    """

    services: Services
    extensions: Extensions
    restore: Callable[[Plugin], object]


class Engine:
    """Does to one plugin at a time what a request's plan says.

    Every transition becomes a `state` record, and whatever the plugin publishes or logs meanwhile has
    that record as its parent. A failure is kept on the handle and returned, not raised; an interrupt is
    raised after the plugin's cleanup has run.

    Attributes:
        listeners: called after every change, on behalf of people who look.
        followers: given each plugin that has changed its state, before the listeners.
        watcher: says what becomes of a plugin's failures, when it is started.
        policies: what the host was told about plugins that fail, by name, whatever their manifests say.
    """

    def __init__(self, bus: Bus, registry: Registry) -> None:
        self.bus = bus
        self._registry = registry
        self.services = Services()
        self.effects = EffectRules(bus, lambda: registry.handles, registry.bundles_of)
        self._warned: set[str] = set()
        self.extensions = Extensions(partial(record_change, bus), registry.ranks)
        self.loader = Loader()
        self.sources = Sources()
        self.secrets: set[str] = set()
        self.listeners: list[Listener] = []
        self.deprecations = Deprecations(registry.api_version, self._note_deprecated)
        self.followers: list[Follower] = []
        self.watcher: Watcher | None = None
        self.policies: dict[str, Policy] = {}
        self._clock = Clock()

    def layers(self, handle: PluginHandle, edits: tuple[Said, ...] | None = None) -> Layers:
        """All that is said about the options of a plugin that has its class.

        Args:
            handle: the plugin.
            edits: its live edits, where they shall become others.
        """
        said = handle.edits if edits is None else edits
        return self.layers_of(handle.name, handle.plugin_class, handle.options, said)

    def layers_of(
        self, name: str, plugin_class: type[Plugin] | None, options: Mapping[str, Any], edits: Iterable[Said]
    ) -> Layers:
        """The same of a plugin that is not on the host yet."""
        model = plugin_class.Config if plugin_class is not None else None
        nested, members = table_of(plugin_class), members_of(plugin_class)
        return self.sources.layers(name, model, options, edits, nested=nested, members=members)

    def settle(self, plugin_class: type[Plugin], layers: Layers) -> BaseModel | None:
        """The configuration that comes of the layers; the secrets in them are kept out of what is recorded.

        Raises:
            ConfigError: it does not fit the plugin.
        """
        secrets = layers.secrets()
        if not secrets <= self.secrets:
            self.secrets |= secrets
            if self.bus.recorder is not None:
                self.bus.recorder.conceal(secrets)
        return settle(plugin_class, layers)

    # -- transitions ------------------------------------------------------------------------------

    def resolve(self, handle: PluginHandle) -> None:
        """Note that everything the plugin requires is there."""
        self._move(handle, Request.RESOLVE)

    def load(self, handle: PluginHandle) -> BaseException | None:
        """Import the plugin's class, if it does not have it, and validate its configuration."""
        after = next_state(handle.name, handle.state, Request.LOAD)
        start = tick()
        try:
            if handle.plugin_class is None:
                handle.plugin_class = self.loader.load(handle.manifest.entry_point)
                self._registry.complete(handle, complete(handle.manifest, handle.plugin_class.manifest))
            layers = self.layers(handle)
            handle.config = self.settle(handle.plugin_class, layers)
            handle.layers = layers
        except Exception as error:
            self._fail(handle, "load", error, start)
            return error
        handle.load_ns = tick() - start
        handle.generation += 1
        self._enter(handle, after, start)
        self.describe(handle)
        return None

    def start(self, handle: PluginHandle, reason: str = "") -> BaseException | None:
        """Make an instance and start it; its handlers are connected when `start` has returned."""
        with self._transition(handle, Request.START, reason):
            begun = tick()
            scope = handle.scope = Scope(handle.name)
            try:
                self._run_start(handle, scope)
            except Exception as error:
                phase = "start" if handle.instance is not None else "__init__"
                try:
                    self._close_scope(handle, error)
                finally:  # an interrupt may arrive in a cleanup, too
                    self._fail(handle, phase, error, begun)
                return error
            except BaseException:
                self._move(handle, Request.STOP, "its start was interrupted")
                try:
                    self._close_scope(handle, None)
                finally:
                    self._move(handle, Request.STOPPED, "its start was interrupted")
                raise
            handle.start_ns = tick() - begun
            self._move(handle, Request.STARTED, reason, begun)
        return None

    def refuse(self, handle: PluginHandle, error: Exception) -> None:
        """Fail a start before it begins, for a reason that lies in another plugin."""
        with self._transition(handle, Request.START, ""):
            self._fail(handle, "start", error, tick())

    def stop(self, handle: PluginHandle, reason: str = "") -> BaseException | None:
        """Run every cleanup, last in first out; the plugin is stopped, or failed if one of them was."""
        with self._transition(handle, Request.STOP, reason):
            begun = tick()
            interrupt = None
            error: BaseException | None = None
            try:
                error = self._close_scope(handle, None)
            except BaseException as arrived:
                interrupt = arrived
            if error is not None:
                self._fail(handle, "stop", error, begun)
            else:
                self._move(handle, Request.STOPPED, reason, begun)
            if interrupt is not None:
                raise interrupt
        return error

    def begin(self, handle: PluginHandle, scope: Scope, stage: Stage) -> None:
        """Make an instance and start it beside the one that runs; nobody sees what it offers or listens to yet.

        Args:
            handle: of a generation that is not the host's yet.
            scope: what it holds.
            stage: where it stands.
        """
        handle.scope = scope
        self._run_start(handle, scope, stage)

    def succeed(self, handle: PluginHandle, generation: PluginHandle, reason: str, begun: int) -> None:
        """Have the plugin be another generation of itself, which was begun; one that is new goes the whole way."""
        requests = _REBORN if handle.is_active else _BORN
        for request in requests:
            next_state(handle.name, handle.state, request)
            if request is requests[-1]:
                self._note_former(handle)
                handle.take_over(generation)
            self._move(handle, request, reason, begun)
        self.watch_anew(handle)
        self.describe(handle)

    def watch_anew(self, handle: PluginHandle) -> None:
        """Let what becomes of a plugin's failures be what holds now, for handlers that are connected, too."""
        if self.watcher is None or handle.context is None:
            return
        watch = handle.context.watch = self.watcher(handle)
        for each in self.bus.subscriptions:
            if each.plugin == handle.name:
                each.policy, each.on_failure = watch.policy, watch.on_call

    def close(self, handle: PluginHandle, error: BaseException | None = None) -> BaseException | None:
        """Run the cleanups of a generation that is not the host's; failures come back, noted on `error` if there is one."""
        return self._close_scope(handle, error)

    def unload(self, handle: PluginHandle, reason: str = "") -> None:
        """Drop the plugin's code, and the modules that only it brought in."""
        after = next_state(handle.name, handle.state, Request.UNLOAD)
        if handle.is_imported and handle.plugin_class is not None:
            self.loader.unload(handle.manifest.entry_point)
            handle.plugin_class = None
        handle.config = None
        handle.error = None
        self._enter(handle, after, tick(), reason)

    def quarantine(self, handle: PluginHandle, reason: str) -> None:
        """Set aside a plugin that is not running."""
        self._move(handle, Request.QUARANTINE, reason)

    def release(self, handle: PluginHandle) -> None:
        """Let a plugin out of quarantine."""
        self._move(handle, Request.RELEASE, "it was released")

    def warn_of_strangers(self) -> None:
        """Warn, once each, of what plugins name that is not there and nearly is, now that everything was started."""
        self.extensions.warn_of_strangers()
        for told in misspelt_sources(self.bus.subscriptions, self._registry.handles):
            if told not in self._warned:
                self._warned.add(told)
                warn(told, PlugbookWarning)

    def may_have_left(self, handle: PluginHandle) -> bool:
        """Whether there may be something of a plugin that is not running."""
        return bool(handle.former or handle.begun or self.loader.unloaded(handle.manifest.entry_point))

    # -- inside -----------------------------------------------------------------------------------

    def _run_start(self, handle: PluginHandle, scope: Scope, stage: Stage | None = None) -> None:
        plugin_class = handle.plugin_class
        if plugin_class is None:
            msg = f"{handle.name} has no class: it was not loaded"
            raise PluginError(msg, plugin=handle.name, phase="start")
        with handle.begun.noting(self.bus):
            self._make_and_start(handle, plugin_class, scope, stage)

    def _make_and_start(
        self, handle: PluginHandle, plugin_class: type[Plugin], scope: Scope, stage: Stage | None
    ) -> None:
        instance = handle.instance = plugin_class()
        context = Context(
            handle.name,
            handle.config,
            bus=self.bus,
            scope=scope,
            services=self.services if stage is None else stage.services,
            effects=self.effects,
            extensions=self.extensions if stage is None else stage.extensions,
            watch=self.watcher(handle) if self.watcher is not None and stage is None else Watch(),
            is_waiting=stage is not None,
        )
        instance.ctx = handle.context = context
        if stage is not None:
            stage.restore(instance)
        self.deprecations.watch(context, handle.manifest, handle.given)
        for point in points_of(plugin_class):
            context.declare(point)
        self.awaited(instance.start(context))
        for spec in type(instance).handlers():
            method = getattr(instance, spec.method)
            context.subscribe(
                spec.target,
                method,
                name=f"{type(instance).__name__}.{spec.method}",
                priority=spec.priority,
                where=spec.where,
                timeout=spec.timeout,
                thread=spec.thread,
                source=spec.source,
                middleware=plugin_class.layers(),
            )
        contribute_marked(instance, context)

    def awaited(self, result: Any) -> Any:
        """What a call of a plugin's method gives, where that is still to be awaited, too."""
        return self.bus.loop.run(_awaited(result)) if must_be_awaited(result) else result

    def _close_scope(self, handle: PluginHandle, error: BaseException | None) -> BaseException | None:
        """Close the scope and let go of the instance; failures come back, noted on `error` if there is one."""
        scope = handle.scope
        self._note_former(handle)
        handle.scope = handle.context = handle.instance = None
        if scope is None:
            return None
        try:
            scope.close(run=self.bus.loop.run)
        except Exception as failures:
            if error is None:
                return failures
            for failure in getattr(failures, "exceptions", (failures,)):
                error.add_note(f"cleaning up failed too: {type(failure).__name__}: {failure}")
        return None

    def _note_former(self, handle: PluginHandle) -> None:
        """Keep in mind the instance that is about to go."""
        if handle.instance is not None:
            handle.former = [ref for ref in handle.former if ref() is not None]
            handle.former.append(weakref.ref(handle.instance))

    @contextmanager
    def _transition(self, handle: PluginHandle, request: Request, reason: str) -> Iterator[None]:
        """Move by `request`; what happens inside is caused by that record."""
        seq = self._move(handle, request, reason)
        if not seq:
            yield
            return
        cause = self.bus.cause()
        token = current_cause.set(Cause(seq, cause.root if cause else seq))
        try:
            yield
        finally:
            current_cause.reset(token)

    def _fail(self, handle: PluginHandle, phase: str, error: BaseException, begun: int) -> None:
        handle.error = error
        handle.phase = phase
        after = next_state(handle.name, handle.state, Request.FAIL)
        _log.warning("%s failed in %s: %s", handle.name, phase, tell(error))
        self._enter(handle, after, begun, f"its {phase} failed", error)

    def _move(self, handle: PluginHandle, request: Request, reason: str = "", begun: int = 0) -> int:
        after = next_state(handle.name, handle.state, request)
        if after is not State.FAILED:
            handle.error = None
        return self._enter(handle, after, begun or tick(), reason)

    def _enter(
        self,
        handle: PluginHandle,
        after: State,
        begun: int,
        reason: str = "",
        error: BaseException | None = None,
    ) -> int:
        before, now = handle.state, tick()
        handle.state, handle.reason = after, reason
        handle.since_ns = self._clock.wall_ns(now)
        seq = 0
        if self.bus.recorder is not None:
            cause = self.bus.cause()
            seq = self.bus.recorder.put(
                "state",
                f"{before}->{after}",
                plugin=handle.name,
                parent=cause.seq if cause else None,
                root=cause.root if cause else None,
                duration_ns=now - begun,
                outcome="error" if error else "ok",
                reason=reason,
                error=describe_error(error) if error else None,
            )
        handle.since_seq = seq
        for follow in self.followers:
            follow(handle)
        self.tell()
        return seq

    def _note_deprecated(self, plugin: str, what: Deprecation, told: str) -> None:
        """Write a `change` record: a plugin was found to use something that will be gone."""
        fields = ("kind", "name", "since", "removal", "use")
        facts = {field: getattr(what, field) for field in fields}
        record_change(self.bus, "deprecated", plugin, facts, reason=told)

    def note(self, what: str, handle: PluginHandle) -> None:
        """Write a `change` record: a plugin came or went."""
        recorder = self.bus.recorder
        if recorder is not None:
            recorder.put("change", what, plugin=handle.name, payload={"version": handle.manifest.version})
            self.describe(handle)
        self.tell()

    def describe(self, handle: PluginHandle) -> None:
        """Store the facts of a plugin that a colleague needs to read the recording without its code."""
        recorder = self.bus.recorder
        if recorder is None:
            return
        recorder.describe("manifest", handle.name, handle.manifest.model_dump(mode="json"))
        if handle.name in self.policies:
            recorder.describe("policy", handle.name, policy_as_json(self.policies[handle.name]))
        recorder.describe("state", handle.name, handle.state.value)
        if handle.is_disabled:
            recorder.describe("disabled", handle.name, data=True)
        if handle.config is not None:
            recorder.describe("config", handle.name, masked(handle.config))
        if handle.layers is not None:
            recorder.describe("config_source", handle.name, handle.layers.sources())

    def connect(self, listener: Listener) -> Disconnect:
        """Call `listener` after every change, until the returned function is called."""
        self.listeners.append(listener)

        def disconnect() -> None:
            if listener in self.listeners:
                self.listeners.remove(listener)

        return disconnect

    def tell(self) -> None:
        """Tell the listeners that something changed; one that raises is dropped."""
        self.bus.forget_unhandled()
        for listener in tuple(self.listeners):
            try:
                listener()
            except Exception:
                _log.exception("a listener of host changes raised, and was dropped")
                self.listeners.remove(listener)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
