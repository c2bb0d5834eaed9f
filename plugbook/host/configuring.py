"""Changes of a running host's configuration: each is checked whole first, and undone where a plugin refuses it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from plugbook._clock import tick
from plugbook.errors import ConfigError, LifecycleError, PlugbookWarning, PluginError
from plugbook.events.dispatch.cause import Cause, current_cause
from plugbook.host.plan import Changes, Step
from plugbook.plugins.authoring.bundle import members_of, table_of
from plugbook.plugins.config import check_known, check_options
from plugbook.plugins.scope import must_be_awaited
from plugbook.plugins.settings.difference import differing
from plugbook.plugins.settings.fields import Path, shown
from plugbook.plugins.settings.frozen import frozen
from plugbook.plugins.settings.layers import Layer, Layers, Said, known_path, leaves
from plugbook.plugins.settings.marks import harmless, masked, needs_restart, secrets_in, without_secrets
from plugbook.plugins.settings.view import PluginConfig, look
from plugbook.plugins.warning import warn
from plugbook.trace.record import describe_error
from plugbook.trace.telling import tell
from plugbook.trace.writing.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from plugbook.host.engine import Engine
    from plugbook.host.handle import PluginHandle
    from plugbook.host.registry import Registry
    from plugbook.host.requests import Requests
    from plugbook.plugins.plugin import Plugin


@dataclass(frozen=True, slots=True)
class _Configured:
    """All that makes up the configuration of a plugin at one time."""

    edits: tuple[Said, ...]
    layers: Layers | None
    config: BaseModel | None

    @classmethod
    def of(cls, handle: PluginHandle) -> _Configured:
        return cls(handle.edits, handle.layers, handle.config)

    def put(self, handle: PluginHandle) -> None:
        handle.edits, handle.layers, handle.config = self.edits, self.layers, self.config
        if handle.context is not None and self.config is not None:
            handle.context.config = frozen(self.config, handle.name)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One plugin's change of configuration: what was, what shall be, and why."""

    handle: PluginHandle
    old: _Configured
    new: _Configured
    reason: str

    def back(self) -> _Turn:
        return _Turn(self.handle, self.new, self.old, "taken back")

    def changed(self) -> list[Path]:
        if self.old.config is None or self.new.config is None:
            return []
        return list(differing(self.old.config, self.new.config))


class Configuring:
    """The host's requests about configuration. Each runs while no handler does, and says in `Changes` what it did."""

    def __init__(self, registry: Registry, engine: Engine, requests: Requests) -> None:
        self._registry = registry
        self._engine = engine
        self._requests = requests
        self._warned: set[str] = set()

    def look(self, name: str) -> PluginConfig:
        """Every option of a plugin, and where it came from."""
        handle = self._registry[name]
        plugin_class = self._class_of(handle, "config_of")
        layers = self._engine.layers(handle)
        if handle.config is not None:
            return look(name, handle.layers or layers, handle.config)
        try:
            config = self._engine.settle(plugin_class, layers)
        except ConfigError as error:
            return look(name, layers, None, str(error))
        return look(name, layers, config)

    def configure(self, name: str, given: Any) -> Changes:
        """Change options of a plugin, or of a bundle and its members; either all of them take theirs, or none does."""
        handle = self._registry[name]
        options = check_options(name, given)
        if not options:
            msg = f"nothing was said about {name!r}. Give the options to change, as in currency='USD'."
            raise ConfigError(msg, plugin=name)
        return self._take_all([self._edit(*each) for each in self._spread(handle, options)])

    def _spread(
        self, handle: PluginHandle, options: Mapping[str, Any]
    ) -> Iterator[tuple[PluginHandle, dict[str, Any]]]:
        """Whose options these are: a bundle's own, and those of its members by the names they have in it."""
        own = dict(options)
        for member in handle.manifest.members:
            inside = own.pop(member.removeprefix(f"{handle.name}."), None)
            if inside is not None:
                yield from self._spread(self._registry[member], check_options(member, inside))
        if own:
            yield handle, own

    def _edit(self, handle: PluginHandle, options: dict[str, Any]) -> _Turn:
        model = self._class_of(handle, "configure").Config
        edit = Said(Layer.LIVE, options, f"live edit at {_moment()}").renamed(model)
        kept = tuple(_cleared(handle.edits, list(leaves(edit.options))))
        return self._turn(handle, (*kept, edit), "live edit")

    def reset(self, name: str, options: tuple[str, ...]) -> Changes:
        """Take live edits back: of these options, or of all."""
        handle = self._registry[name]
        model = self._class_of(handle, "reset_config").Config
        paths: list[Path] = [tuple(option.split(".")) for option in options]
        for path in paths:
            check_known(name, model, path)
        edits = tuple(_cleared(handle.edits, [known_path(model, path) for path in paths])) if paths else ()
        if [each.options for each in edits] == [each.options for each in handle.edits]:
            return Changes()
        return self._take_all([self._turn(handle, edits, "live edits taken back")])

    def reload(self) -> Changes:
        """Read the file and the variables again; either all plugins take what changed, or none does."""
        before = self._engine.sources
        self._engine.sources = before.again()
        try:
            turns = [
                self._turn(handle, handle.edits, "the configuration was read again")
                for handle in self._registry.handles.values()
                if handle.plugin_class is not None
            ]
            self.warn_of_strangers()
            changes = self._take_all([turn for turn in turns if turn.changed()])
        except BaseException:
            self._engine.sources = before
            raise
        for turn in turns:
            turn.handle.layers = turn.new.layers
        return changes

    def warn_of_strangers(self) -> None:
        """Warn, once each, of tables and variables that name no plugin, and of variables that name no option."""
        sources, handles = self._engine.sources, self._registry.handles
        if sources.are_silent:
            return
        models = {name: _model_of(handle) for name, handle in handles.items()}
        found = list(sources.unknown_plugins(models))
        for name, handle in handles.items():
            if (plugin_class := handle.plugin_class) is not None:
                found += sources.environment.unknown_options(
                    name, models[name], table_of(plugin_class), members_of(plugin_class)
                )
        for message in found:
            if message not in self._warned:
                self._warned.add(message)
                warn(message, PlugbookWarning)

    # -- inside -----------------------------------------------------------------------------------

    def _class_of(self, handle: PluginHandle, request: str) -> type[Plugin]:
        if handle.plugin_class is None:
            msg = f"{handle.name} was not loaded yet, so nobody knows its options. Start it first."
            raise LifecycleError(msg, plugin=handle.name, state=handle.state.value, request=request)
        return handle.plugin_class

    def _turn(self, handle: PluginHandle, edits: tuple[Said, ...], reason: str) -> _Turn:
        """What a plugin's configuration would become; it fits the plugin, or this raises."""
        plugin_class = self._class_of(handle, "configure")
        layers = self._engine.layers(handle, edits=edits)
        config = self._engine.settle(plugin_class, layers)
        if handle.layers is not None:  # those that it has already are not refused
            known = handle.layers.names()
            new_ones = [option for option in layers.names() if option not in known]
            self._engine.deprecations.configured(handle.name, new_ones)
        # One that was never loaded is given its configuration when it is.
        new = _Configured(edits, layers, config if handle.config is not None else None)
        return _Turn(handle, _Configured.of(handle), new, reason)

    def _take_all(self, turns: list[_Turn]) -> Changes:
        """Have every plugin take its new configuration; where one refuses, those before it are given the old one."""
        changes = Changes()
        taken: list[_Turn] = []
        try:
            for turn in turns:
                self._take(turn, changes)
                taken.append(turn)
        except BaseException as refusal:
            for turn in reversed(taken):
                try:
                    self._take(turn.back(), Changes())
                except Exception as error:
                    refusal.add_note(
                        f"{turn.handle.name} did not take its old configuration back: {tell(error)}"
                    )
            raise
        return changes

    def _take(self, turn: _Turn, changes: Changes) -> None:
        """Have one plugin take its new configuration; it is recorded, and causes what the plugin does meanwhile."""
        recorder, handle = self._engine.bus.recorder, turn.handle
        begun, cause = tick(), self._engine.bus.cause()
        seq = recorder.next_seq() if recorder is not None else 0
        token = current_cause.set(Cause(seq, cause.root if cause else seq)) if seq else None
        error: BaseException | None = None
        try:
            self._apply(turn, changes)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if token is not None:
                current_cause.reset(token)
            if recorder is not None:
                recorder.put(
                    "change",
                    "configure",
                    plugin=handle.name,
                    parent=cause.seq if cause else None,
                    root=cause.root if cause else None,
                    tick=begun,
                    duration_ns=tick() - begun,
                    outcome="error" if error else "ok",
                    reason=turn.reason,
                    payload=_told(turn),
                    error=describe_error(error) if error else None,
                    seq=seq,
                )
            self._engine.describe(handle)
            self._engine.tell()

    def _apply(self, turn: _Turn, changes: Changes) -> None:
        handle, changed, model = turn.handle, turn.changed(), _model_of(turn.handle)
        restart = [path for path in changed if model is not None and needs_restart(model, path)]
        is_running = handle.is_active and bool(changed)
        try:
            turn.new.put(handle)
            changes.done.append(Step("configure", handle.name, ", ".join(map(shown, changed))))
            if is_running and restart:
                self._restart(turn, changes, f"{', '.join(map(shown, restart))} needs a restart")
            elif is_running:
                self._tell_plugin(turn)
        except BaseException:
            turn.old.put(handle)
            raise

    def _tell_plugin(self, turn: _Turn) -> None:
        instance, context, old = turn.handle.instance, turn.handle.context, turn.old.config
        if instance is None or context is None or old is None:
            return
        try:
            result = instance.on_config_change(frozen(old, turn.handle.name), context.config)
            if must_be_awaited(result):
                self._engine.bus.loop.run(_awaited(result))
        except Exception as raised:
            error = raised
        else:
            return
        # Outside of the handler, so that the error is no context of the refusal: it may hold a secret.
        _refuse(turn, "on_config_change", error)

    def _restart(self, turn: _Turn, changes: Changes, because: str) -> None:
        """Restart a plugin with its new configuration; if it does not start, it starts again with the old one."""
        plan = self._registry.plan("restart", turn.handle.name)
        done = self._requests.carry_out(plan)
        error = done.failed.get(turn.handle.name)
        if error is None:
            changes.done += [Step(step.action, step.plugin, step.because or because) for step in done.done]
            changes.failed.update(done.failed)
            changes.blocked.update(done.blocked)
            return
        turn.old.put(turn.handle)
        for step in plan:
            if step.action == "start" and not self._registry[step.plugin].is_active:
                self._requests.start(step.plugin)
        _refuse(turn, "start", error)


def _refuse(turn: _Turn, phase: str, error: BaseException) -> None:
    """Say that a plugin refused its new configuration; what it raised is told unless it holds a secret."""
    name = turn.handle.name
    secrets = _secrets(turn)
    told = without_secrets(tell(error), secrets)
    msg = f"{name} refused its new configuration in {phase}: {told}. The old one is back."
    raise PluginError(msg, plugin=name, phase=phase) from harmless(error, secrets)


def _secrets(turn: _Turn) -> set[str]:
    model = _model_of(turn.handle)
    configs = (turn.old.config, turn.new.config)
    return {secret for config in configs if config is not None for secret in secrets_in(model, dict(config))}


def _told(turn: _Turn) -> Mapping[str, Any]:
    """What a record says of a change: the options that changed, before and after, and who said so."""
    changed = turn.changed()
    names = list(dict.fromkeys(str(path[0]) for path in changed))
    old, new = masked(turn.old.config) or {}, masked(turn.new.config) or {}
    layers = turn.new.layers
    return {
        "old": {name: old.get(name) for name in names},
        "new": {name: new.get(name) for name in names},
        "from": {shown(path): layers.source(path) for path in changed} if layers is not None else {},
    }


def _cleared(edits: tuple[Said, ...], paths: list[Path]) -> Iterator[Said]:
    """The edits without what they say of some options; one that says nothing any more is gone."""
    for edit in edits:
        left = edit.without(paths)
        if left.options:
            yield left


def _model_of(handle: PluginHandle) -> type[BaseModel] | None:
    return handle.plugin_class.Config if handle.plugin_class is not None else None


def _moment() -> str:
    """When, and in which cell, something is said now."""
    cell = f", cell {Recorder.cell[0]}" if Recorder.cell is not None else ""
    return f"{datetime.now().astimezone():%H:%M}{cell}"


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
