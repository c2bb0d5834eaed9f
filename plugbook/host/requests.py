"""What people ask of a host, carried out plan by plan: start, stop, add, remove and the others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from plugbook.errors import LifecycleError, PlugbookError, PluginError
from plugbook.host.generations import Code, Generations
from plugbook.host.plan import Changes, Plan, Step
from plugbook.plugins.authoring.bundle import members_of, unfold
from plugbook.plugins.lifecycle import State
from plugbook.plugins.settings.fields import accepted
from plugbook.trace.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from plugbook.host.engine import Engine
    from plugbook.host.handle import PluginHandle
    from plugbook.host.registry import Registry
    from plugbook.plugins.authoring.bundle import Entry
    from plugbook.plugins.finding.discovery import Found
    from plugbook.plugins.manifest import Manifest
    from plugbook.plugins.plugin import Plugin
    from plugbook.plugins.settings.layers import Said


class Requests:
    """The host's requests. Each runs while no handler does, and says in `Changes` what it did.

    Args:
        registry: the plugins.
        engine: carries them through their lives.
        admit: given each plugin that comes to the host, before anything is started.

    Attributes:
        removed: plugins that are gone and of whom something may still be alive.
    """

    def __init__(self, registry: Registry, engine: Engine, admit: Callable[[PluginHandle], object]) -> None:
        self.removed: list[PluginHandle] = []
        self._registry = registry
        self._engine = engine
        self._admit = admit
        self._is_started = False
        self._generations = Generations(registry, engine, self._bring, self._remove)

    def start_all(self) -> Changes:
        """Start every plugin that can start, in dependency order."""
        self._is_started = True
        resolution = self._registry.resolve()
        changes = Changes()
        for name, problem in resolution.problems.items():
            changes.blocked[name] = problem.advice
        for name in resolution.order:
            if not self._registry[name].is_active:
                self.start_one(Step("start", name), changes)
        self._engine.warn_of_strangers()
        return changes

    def start(self, name: str) -> Changes:
        """Start one plugin and what it needs; it must be possible. What is active stays as it is."""
        self._is_started = True
        plan = self._registry.plan_start(self._registry[name])
        if plan.problem is not None:
            raise plan.problem.error()
        return self.carry_out(plan)

    def stop_all(self) -> Changes:
        """Stop everything, dependents first."""
        changes = Changes()
        for name in self._registry.in_stop_order(self._registry.handles):
            self._stop(Step("stop", name, "everything is stopped"), changes)
        return changes

    def add(
        self,
        manifest: Manifest,
        plugin_class: type[Plugin] | None,
        options: Mapping[str, Any] | None,
        *,
        replace: bool = False,
    ) -> Changes:
        """Put a plugin on the host, in place of the one of its name if that is asked for."""
        old = self._registry.handles.get(manifest.name)
        if old is None or not replace:
            self._register(manifest, plugin_class, options or {})
            changes = Changes([Step("add", manifest.name)])
            waiting = [
                name for name in self._registry.down.pop(manifest.name, ()) if name in self._registry.handles
            ]
            return self.start_if_running((manifest.name, *waiting), changes)
        dropped: tuple[str, ...] = ()
        edits: tuple[Said, ...] = ()
        if options is None:
            options, edits, dropped = _kept(old, plugin_class)
            options |= self._options_of_members(plugin_class)
        entries = tuple(unfold(manifest, plugin_class, options))
        self._check(entries, manifest.name, edits)  # before anything is stopped for it
        because = _without(dropped)
        if old.is_active and plugin_class is not None and self._would_fit(old, entries):
            code = Code(manifest, plugin_class, options, edits, note=because)
            return self._swap(old, lambda: code)
        if old.is_active:
            stopped = [step.plugin for step in reversed(self._registry.plan_stop(old).steps)]
        else:
            stopped = self._registry.stopped_with(old)
        disabled = {name for name, each in self._registry.handles.items() if each.is_disabled}
        changes = self._remove(old)
        handle = self._register(manifest, plugin_class, options)
        handle.generation, handle.edits = old.generation, edits
        for name in disabled.intersection(self._registry.handles):
            self._registry[name].disable()
        changes.done.append(Step("add", manifest.name, because))
        again = [name for name in stopped if name in self._registry.handles]
        return self.start_if_running(again or [manifest.name], changes)

    def reload(self, name: str) -> Changes:
        """Let the next generation of a plugin take over; one that is not active is loaded anew, and started."""
        handle = self._registry[name]
        if not handle.is_active:
            return self.carry_out(self._registry.plan("reload", name))
        return self._swap(
            handle, lambda: self._generations.code_of(handle, partial(self._still_taken, handle))
        )

    def files_of(self, name: str) -> tuple[Path, ...]:
        """The source files that a reload of a plugin would read again."""
        return self._generations.files_of(self._registry[name])

    def discover(self, found: Iterable[Found]) -> Changes:
        """Put plugins on the host that were found; of each the version that fits best."""
        changes = Changes()
        manifests = []
        for each in found:
            if each.manifest is not None:
                manifests.append(each.manifest)
            else:
                name = f"{each.name} ({each.distribution})" if each.name in changes.blocked else each.name
                changes.blocked[name] = str(each.error)
        for manifest in self._registry.choose(manifests):
            self._register(manifest, None, {})
            changes.done.append(Step("add", manifest.name, manifest.source))
        return self.start_if_running([step.plugin for step in changes.done], changes)

    def remove(self, name: str) -> Changes:
        """Stop a plugin, unload it and forget it, with its members where it is a bundle.

        Raises:
            LifecycleError: it is a member of a bundle.
        """
        handle = self._registry[name]
        if handle.manifest.bundle in self._registry.handles:
            msg = (
                f"{name} is a member of the bundle {handle.manifest.bundle!r}. Remove the bundle, or stop the "
                "member alone."
            )
            raise LifecycleError(msg, plugin=name, state=handle.state.value, request="remove")
        waiting = [each for each in self._registry.stopped_with(handle) if each != name]
        changes = self._remove(handle)
        if waiting:  # the host has stopped them, not a person: they start again with whoever takes its place
            self._registry.down[name] = waiting
        return changes

    def carry_out(self, plan: Plan) -> Changes:
        """Do what a plan says; what a failed step makes impossible is left out."""
        changes = Changes()
        for step in plan:
            if step.action == "start":
                self.start_one(step, changes)
            elif step.action == "stop":
                self._stop(step, changes)
            elif step.action == "unload":
                self._engine.unload(self._registry[step.plugin], step.because)
                changes.done.append(step)
            elif not self._load(step.plugin, changes):
                break
        if plan.action == "reload" and self._registry[plan.plugin].is_active:
            self._registry.down.pop(plan.plugin, None)  # the plan has started them
        return changes

    # -- steps ------------------------------------------------------------------------------------

    def _swap(self, handle: PluginHandle, renew: Callable[[], Code]) -> Changes:
        """Let another generation take over, and restart who asks for that."""
        entry_point, was_imported = handle.manifest.entry_point, handle.is_imported
        changes = self._generations.swap(handle, renew)
        if changes.failed.get(handle.name) is not None:
            return changes
        if was_imported and not handle.is_imported:
            self._engine.loader.unload(entry_point)
        again = self.carry_out(Plan("reload", handle.name, self._registry.restarts_with(handle)))
        changes.done += again.done
        changes.failed |= again.failed
        changes.blocked |= again.blocked
        return changes

    def _would_fit(self, old: PluginHandle, entries: Iterable[Entry]) -> bool:
        """Whether everything that runs could go on with others in the place of a plugin and its members."""
        try:
            self._generations.check_fit(old, [entry.manifest for entry in entries])
        except PlugbookError:
            return False
        return True

    def _still_taken(
        self, handle: PluginHandle, plugin_class: type[Plugin]
    ) -> tuple[dict[str, Any], tuple[Said, ...], str]:
        """Of a plugin's options and live edits what a class still takes, and what is said of the others."""
        options, edits, dropped = _kept(handle, plugin_class)
        return options | self._options_of_members(plugin_class), edits, _without(dropped)

    def _register(
        self, manifest: Manifest, plugin_class: type[Plugin] | None, options: Mapping[str, Any]
    ) -> PluginHandle:
        """Put a plugin on the host, and the members of a bundle before it; all of them, or none."""
        entries = tuple(unfold(manifest, plugin_class, options))
        for entry in entries:
            self._registry.check_free(entry.manifest.name)
        for entry in entries:
            handle = self._bring(entry)
        return handle

    def _bring(self, entry: Entry) -> PluginHandle:
        handle = self._registry.add(*entry)
        self._engine.note("add", handle)
        self._admit(handle)
        return handle

    def _remove(self, handle: PluginHandle) -> Changes:
        changes = self.carry_out(self._registry.plan_remove(handle))
        for name in (handle.name, *reversed(self._registry.members_of(handle.name))):
            gone = self._registry[name]
            self._registry.remove(name)
            self.removed = [each for each in (*self.removed, gone) if self._engine.may_have_left(each)]
            self._engine.note("remove", gone)
        return changes

    def _options_of_members(self, plugin_class: type[Plugin] | None) -> dict[str, Any]:
        """What the members that a new generation of a bundle has were given, as it is nested in its options."""
        options: dict[str, Any] = {}
        for name, member in members_of(plugin_class).items():
            old = self._registry.handles.get(member.manifest.name)
            if old is not None:
                options[name] = _kept(old, member)[0] | self._options_of_members(member)
        return options

    def _check(self, entries: Iterable[Entry], name: str, edits: tuple[Said, ...]) -> None:
        """Whether every plugin would take its options."""
        for manifest, plugin_class, options in entries:
            if plugin_class is not None:
                said = edits if manifest.name == name else ()
                layers = self._engine.layers_of(manifest.name, plugin_class, options, said)
                self._engine.settle(plugin_class, layers)

    def start_if_running(self, names: Iterable[str], changes: Changes) -> Changes:
        """On a host that was started, start these and what they need."""
        for name in names if self._is_started else ():
            if self._is_set_aside(name, changes):
                continue
            plan = self._registry.plan_start(self._registry[name])
            for step in plan.steps or (Step("start", name),):
                if not self._registry[step.plugin].is_active:
                    self.start_one(step, changes)
        if self._is_started:
            self._engine.warn_of_strangers()
        return changes

    def start_one(self, step: Step, changes: Changes) -> None:
        """Start one plugin, where what it needs is active."""
        name = step.plugin
        # Loading may tell of requirements that could not be read before, so the second look is needed.
        if (
            not self._is_blocked(name, changes)
            and self._load(name, changes)
            and self._start_members(name, changes)
            and not self._is_blocked(name, changes)
        ):
            self._note(step, self._engine.start(self._registry[name], step.because), changes)
        if self._registry.members_of(name) and not self._registry[name].is_active:
            self._give_up(name, changes)

    def _give_up(self, name: str, changes: Changes) -> None:
        """Fail a bundle whose member did not start, and stop what was started for a bundle that failed."""
        handle, members = self._registry[name], self._registry.members_of(name)
        failed = next((each for each in members if self._registry[each].error is not None), None)
        if failed is not None and self._load(name, changes):
            reason = self._registry[failed].error
            msg = f"its member {failed} failed" + (f": {tell(reason)}" if reason is not None else "")
            error = PluginError(msg, plugin=failed, phase="start")
            self._engine.refuse(handle, error)
            changes.blocked.pop(name, None)
            changes.failed[name] = error
        begun = {step.plugin for step in changes.done if step.action == "start"}
        dependents = (each for member in members for each in self._registry.resolve().dependents_of(member))
        for each in self._registry.in_stop_order(begun.intersection((*members, *dependents))):
            self._stop(Step("stop", each, f"{name} did not start"), changes)

    def _is_blocked(self, name: str, changes: Changes) -> bool:
        if self._is_set_aside(name, changes):
            return True
        problem = self._registry.resolve().problems.get(name)
        need = self._registry.missing_need(name) if problem is None else None
        if problem is not None:
            changes.blocked[name] = problem.advice
        elif need is not None:
            changes.blocked[name] = f"it needs {need.name}, which is {need.state}"
        return problem is not None or need is not None

    def _is_set_aside(self, name: str, changes: Changes) -> bool:
        handle = self._registry[name]
        is_set_aside = handle.state is State.QUARANTINED
        if is_set_aside:
            changes.blocked[name] = f"it is quarantined: {handle.reason}. Let it out: host.release({name!r})"
        elif handle.is_disabled:
            changes.blocked[name] = f"it is disabled. Let it start: host.enable({name!r})"
        return is_set_aside or handle.is_disabled

    def _stop(self, step: Step, changes: Changes) -> None:
        self._note(step, self._engine.stop(self._registry[step.plugin], step.because), changes)

    def _load(self, name: str, changes: Changes) -> bool:
        """Bring a plugin to where it can start; False where it failed on the way."""
        handle = self._registry[name]
        failed_to_load = handle.state is State.FAILED and handle.phase == "load"
        if handle.state in (State.DISCOVERED, State.UNLOADED) or failed_to_load:
            self._engine.resolve(handle)
        if handle.state is State.RESOLVED:
            error = self._engine.load(handle)
            if error is not None:
                changes.failed[name] = error
                return False
            self._bring_members(handle)
        return True

    def _bring_members(self, handle: PluginHandle) -> None:
        """Put on the host the members of a bundle that nobody knew before it was imported."""
        *members, _ = unfold(handle.manifest, handle.plugin_class, handle.options)
        for entry in members:
            known = self._registry.handles.get(entry.manifest.name)
            if known is None:
                self._bring(entry)
            elif known.scope is None and known.plugin_class is not entry.plugin_class:
                known.plugin_class = entry.plugin_class
                self._registry.complete(known, entry.manifest)

    def _start_members(self, name: str, changes: Changes) -> bool:
        """Start what is missing of a bundle; only where it was just imported, anything is. True, to go on."""
        if self._registry.members_of(name):
            for step in self._registry.plan_start(self._registry[name]):
                if step.plugin != name and step.plugin not in changes.failed:
                    self.start_one(step, changes)
        return True

    def _note(self, step: Step, error: BaseException | None, changes: Changes) -> None:
        if error is None:
            changes.done.append(step)
        else:
            changes.failed[step.plugin] = error


def _without(dropped: Iterable[str]) -> str:
    """What is said of options that a new class does not take."""
    names = ", ".join(dropped)
    return f"without {names}, which it no longer takes" if names else ""


def _kept(
    old: PluginHandle, plugin_class: type[Plugin] | None
) -> tuple[dict[str, Any], tuple[Said, ...], tuple[str, ...]]:
    """Of a former generation's options and live edits what a class still takes, and the names of the others."""
    model = plugin_class.Config if plugin_class is not None else None
    known = accepted(model) if model is not None else {}
    said = [old.options, *(edit.options for edit in old.edits)]
    dropped = tuple(dict.fromkeys(name for options in said for name in options if name not in known))
    options = {name: value for name, value in old.options.items() if name in known}
    edits = [edit.without([(name,) for name in dropped]) for edit in old.edits]
    return options, tuple(edit for edit in edits if edit.options), dropped
