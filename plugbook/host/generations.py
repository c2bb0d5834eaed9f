"""Lets another generation of a plugin take the place of the one that runs: in one step, or not at all.

::

    old   serves ------------------------------------------------+  cleanups
    new          snapshot  import  make  restore  start  health  | serves
                                                               switch

Nothing is delivered while this goes on, so that what is published meanwhile waits for whoever serves then. Until
the switch the new generation stands on a stage of its own: what it provides, contributes and listens to is seen by
nobody else. Where anything fails before, it is cleaned up, the modules of the old one are back, and that is all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from plugbook._clock import tick
from plugbook.errors import PlugbookError, PluginError, ReloadError
from plugbook.events.dispatch.cause import Cause, current_cause
from plugbook.events.lineage import succeed_all
from plugbook.host.engine import Stage
from plugbook.host.handle import PluginHandle
from plugbook.host.plan import Changes, Generation, Step
from plugbook.plugins.authoring.bundle import Entry, unfold
from plugbook.plugins.finding.discovery import complete
from plugbook.plugins.finding.loader import is_importable
from plugbook.plugins.leaks import Leak
from plugbook.plugins.reloading.keeping import is_defined, keeps_state
from plugbook.plugins.reloading.stale import Remains
from plugbook.plugins.reloading.state import Saved, changed_since, give, take
from plugbook.plugins.resolving.resolver import resolve
from plugbook.plugins.scope import Failures, Scope, first_interrupt_waits
from plugbook.trace.telling import place_of, tell

if TYPE_CHECKING:
    from pathlib import Path

    from plugbook.host.engine import Engine
    from plugbook.host.registry import Registry
    from plugbook.plugins.finding.loader import Renewed
    from plugbook.plugins.manifest import Manifest
    from plugbook.plugins.plugin import Plugin
    from plugbook.plugins.settings.layers import Said


_TROUBLES: Final = {
    "resolve": "manifest does not fit",
    "migrate": "migration failed",
    "health": "health check failed",
}
"""What went wrong in a phase, where its name alone does not say it."""


@dataclass(slots=True)
class Code:
    """What the next generation of a plugin is made from.

    Attributes:
        manifest: what the plugin says about itself.
        plugin_class: its class.
        options: its options, those of its members nested in them.
        edits: the live edits of its options that are kept.
        note: what people are told about it.
        renewed: the modules that were put aside where it was imported afresh.
    """

    manifest: Manifest
    plugin_class: type[Plugin]
    options: Mapping[str, Any]
    edits: tuple[Said, ...]
    note: str = ""
    renewed: Renewed | None = None


@dataclass(slots=True)
class _Swap:
    """One reload on its way.

    Attributes:
        name: the plugin that it was asked of.
        begun: when, in ticks.
        phase: what is being done.
        doing: of which plugin.
        saved: the state that each plugin left.
        made: the new generations, in the order in which they were started.
        changed: what is said of those whose start has changed what was restored.
        code: what they are made from.
        stage: where they stand before the switch.
        is_final: whether there is no way back: the switch has begun.
    """

    name: str
    begun: int = field(default_factory=tick)
    phase: str = "snapshot"
    doing: str = ""
    saved: dict[str, Saved | None] = field(default_factory=dict)
    made: list[PluginHandle] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)
    code: Code | None = None
    stage: Stage | None = None
    is_final: bool = False

    def enter(self, phase: str) -> None:
        """Note what is being done from now on."""
        self.phase = phase


class Generations:
    """The reloads of one host.

    Args:
        registry: the plugins.
        engine: makes, starts and cleans up.
        bring: puts a plugin on the host that a bundle has now.
        drop: takes one off the host that a bundle has no more.
    """

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        bring: Callable[[Entry], PluginHandle],
        drop: Callable[[PluginHandle], object],
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._bring = bring
        self._drop = drop

    def swap(self, handle: PluginHandle, renew: Callable[[], Code]) -> Changes:
        """Have the next generation of an active plugin, and of its members, take over.

        Args:
            handle: the plugin.
            renew: gives what that is made from.
        """
        changes = Changes()
        swap = _Swap(handle.name, doing=handle.name)
        interrupts: Failures = []
        with self._caused(handle):
            try:
                self._prepare(swap, handle, renew)
                with first_interrupt_waits(interrupts):
                    swap.is_final = True
                    self._take_over(swap, handle, changes, interrupts)
            except BaseException as error:
                if swap.is_final:
                    raise
                self._give_up(swap, handle, error)
                if not isinstance(error, Exception):
                    raise
                changes.failed[handle.name] = self._refusal(swap, handle, error)
                return changes
            for interrupt in interrupts:
                raise interrupt
            self._tell_dependents(handle, changes)
        return changes

    def code_of(self, handle: PluginHandle, keep: Callable[[type[Plugin]], tuple[Any, Any, str]]) -> Code:
        """A plugin's class, imported afresh where that can be done, else as it is.

        Args:
            handle: the plugin.
            keep: given the class, the options and live edits that it still takes, and what is said of the others.
        """
        found = handle.plugin_class
        if found is None:
            msg = f"{handle.name} has no class: it was not loaded"
            raise PluginError(msg, plugin=handle.name, phase="import")
        if not (handle.is_imported or _is_renewable(handle, found)):
            return Code(handle.manifest, found, *keep(found))
        renewed = self._engine.loader.renew(handle.manifest.entry_point)
        declared = renewed.plugin_class.manifest
        manifest = complete(handle.manifest, declared) if handle.is_imported else declared
        return Code(manifest, renewed.plugin_class, *keep(renewed.plugin_class), renewed)

    def files_of(self, handle: PluginHandle) -> tuple[Path, ...]:
        """The files that the code of a plugin is imported from again; those of its members' own code are not."""
        found = handle.plugin_class
        can_import = handle.is_imported or (found is not None and _is_renewable(handle, found))
        return self._engine.loader.files_of(handle.manifest.entry_point) if can_import else ()

    def check_fit(self, handle: PluginHandle, manifests: Sequence[Manifest]) -> dict[str, int]:
        """The order in which new manifests start, where everything that runs could go on with them.

        Raises:
            ResolutionError: something new cannot start with what is there, or something that runs could not any more.
            PluginError: something new needs what is not running.
        """
        new = {manifest.name: manifest for manifest in manifests}
        gone = {each.name for each in self._whole(handle)} - set(new)
        others = [each.manifest for name, each in self._registry.handles.items() if name not in {*new, *gone}]
        resolution = resolve([*others, *new.values()], self._registry.api_version)
        running = {name for name, each in self._registry.handles.items() if each.is_active} - gone
        for name in (*new, *sorted(running)):
            if name in resolution.problems:
                raise resolution.problems[name].error()
        for name in new:
            for need in resolution.needs.get(name, ()):
                if need not in running and need not in new:
                    msg = f"{name} needs {need}, which is not active. Start it first: host.start({need!r})"
                    raise PluginError(msg, plugin=name, phase="resolve")
        return {name: rank for rank, name in enumerate(resolution.order)}

    # -- before the switch ------------------------------------------------------------------------

    def _prepare(self, swap: _Swap, handle: PluginHandle, renew: Callable[[], Code]) -> None:
        for each in self._whole(handle):
            if each.instance is not None:
                swap.doing = each.name
                swap.saved[each.name] = take(each.instance, self._engine.awaited)
        swap.doing = handle.name
        swap.enter("import")
        code = swap.code = renew()
        entries = list(unfold(code.manifest, code.plugin_class, code.options))
        swap.enter("resolve")
        order = self.check_fit(handle, [entry.manifest for entry in entries])
        names = [entry.manifest.name for entry in entries]
        stage = Stage(
            self._engine.services.stage(names),
            self._engine.extensions.stage(names),
            partial(self._restore, swap),
        )
        for entry in sorted(entries, key=lambda entry: order[entry.manifest.name]):
            swap.doing = entry.manifest.name
            self._make(swap, entry, stage)
        swap.stage = stage

    def _make(self, swap: _Swap, entry: Entry, stage: Stage) -> None:
        """One plugin's next generation, started and in good health."""
        made = PluginHandle(*entry, edits=self._edits_of(swap, entry.manifest.name))
        swap.enter("config")
        made.layers = self._engine.layers(made)
        if made.plugin_class is not None:
            made.config = self._engine.settle(made.plugin_class, made.layers)
        swap.enter("__init__")
        swap.made.append(made)
        begun = tick()
        self._engine.begin(made, Scope(made.name), stage)
        made.start_ns = tick() - begun
        swap.enter("health")
        self._check_health(made)
        self._look_at_state(swap, made)

    def _edits_of(self, swap: _Swap, name: str) -> tuple[Said, ...]:
        if swap.code is not None and name == swap.name:
            return swap.code.edits
        old = self._registry.handles.get(name)
        return old.edits if old is not None else ()

    def _restore(self, swap: _Swap, instance: Plugin) -> None:
        saved = swap.saved.get(instance.ctx.plugin)
        if saved is not None and keeps_state(type(instance)):
            give(instance, saved, self._engine.awaited, swap.enter)
        swap.enter("start")

    def _check_health(self, made: PluginHandle) -> None:
        if made.instance is None or not is_defined(type(made.instance), "health"):
            return
        health = self._engine.awaited(made.instance.health())
        if health is None or health is True:
            return
        told = health if isinstance(health, str) else f"health() gave {health!r}"
        raise PluginError(told, plugin=made.name, phase="health")

    def _look_at_state(self, swap: _Swap, made: PluginHandle) -> None:
        """Notice where a start has thrown away what was restored before it."""
        saved = swap.saved.get(made.name)
        if saved is None or made.instance is None:
            return
        with suppress(Exception):  # what its snapshot raises is told when somebody needs it
            lost = changed_since(made.instance, saved, self._engine.awaited)
            if lost:
                swap.changed[made.name] = f", but {lost}"

    def _give_up(self, swap: _Swap, handle: PluginHandle, error: BaseException) -> None:
        """Clean up what was made, and have the old modules back.

        Raises:
            BaseException: an interrupt arrived in a cleanup; all of it is done.
        """
        interrupts: Failures = []
        for made in reversed(swap.made):
            try:
                self._engine.close(made, error)
            except BaseException as interrupt:
                interrupts.append(interrupt)
        self._engine.bus.drop_waiting({made.name for made in swap.made})
        self._engine.loader.take_back()
        self._record(swap, handle, handle.generation, "", error)
        for arrived in interrupts:
            raise arrived

    def _refusal(self, swap: _Swap, handle: PluginHandle, error: Exception) -> ReloadError:
        whose = "its" if swap.doing == handle.name else f"{swap.doing}'s"
        what = _TROUBLES.get(swap.phase, f"{swap.phase} failed")
        place = place_of(error, brief=True)
        told = str(error) if isinstance(error, PlugbookError) else tell(error)
        msg = (
            f"generation {handle.generation} of {handle.name} goes on, for {whose} {what}: "
            f"{told}{f' ({place})' if place else ''}"
        )
        refusal = ReloadError(msg, plugin=handle.name, phase=swap.phase, generation=handle.generation)
        refusal.__cause__ = error
        return refusal

    # -- the switch, and after it -----------------------------------------------------------------

    def _take_over(self, swap: _Swap, handle: PluginHandle, changes: Changes, interrupts: Failures) -> None:
        former = {each.name: replace(each) for each in self._whole(handle)}
        self._switch(swap)
        names = {made.name for made in swap.made}
        for each in former.values():
            self._note_remains(swap, each)
        for name in reversed(former):
            if name in names:
                self._clean_up(former[name], interrupts)
            else:
                self._drop(self._registry[name])
        for made in swap.made:
            self._report(swap, former.get(made.name), self._registry[made.name], changes)

    def _switch(self, swap: _Swap) -> None:
        self._pair_events(swap)
        names = [made.name for made in swap.made]
        handles = [self._handle_of(made) for made in swap.made]
        if swap.stage is not None:
            self._engine.services.join(swap.stage.services, names)
            self._engine.extensions.join(swap.stage.extensions, names)
        self._engine.bus.switch(names)
        for handle, made in zip(handles, swap.made, strict=True):
            if made.context is not None:
                made.context.is_waiting = False
            self._registry.complete(handle, made.manifest)
            self._engine.succeed(handle, made, "another generation of it has taken over", swap.begun)
        self._engine.loader.settle()
        self._registry.resolve()

    def _pair_events(self, swap: _Swap) -> None:
        """Let the event classes of the new code count as generations of those that they are called like."""
        code, old = swap.code, self._registry[swap.name].plugin_class
        if code is None or old is None:
            return
        former = dict(code.renewed.aside.former) if code.renewed is not None else {}
        names = {name: name for name in former}
        if old.__module__ in sys.modules and not former:  # a cell that ran again has a module of its own
            former[old.__module__] = sys.modules[old.__module__]
            names[old.__module__] = code.plugin_class.__module__
        for name, module in former.items():
            if names[name] in sys.modules:
                succeed_all(module, sys.modules[names[name]])

    def _handle_of(self, made: PluginHandle) -> PluginHandle:
        known = self._registry.handles.get(made.name)
        if known is not None:
            return known
        return self._bring(Entry(made.manifest, made.plugin_class, made.options))

    def _clean_up(self, former: PluginHandle, interrupts: Failures) -> None:
        """Run the cleanups of a generation that has served; what fails in them is logged, and stops nobody."""
        context = self._registry[former.name].context
        try:
            error = self._engine.close(former)
        except BaseException as interrupt:
            interrupts.append(interrupt)
        else:
            if error is not None and context is not None:
                context.log.failure(error, "the cleanup of generation %s failed", former.generation)

    def _note_remains(self, swap: _Swap, former: PluginHandle) -> None:
        """Keep in mind what there was, without keeping it, to find later what is left of it."""
        handle = self._registry[former.name]
        renewed = swap.code.renewed if swap.code is not None and former.name == swap.name else None
        modules = renewed.aside.former.values() if renewed is not None else ()
        remains = Remains.of(former.name, former.generation, former.instance, modules, former.begun)
        handle.remains = [*(each for each in handle.remains if each.is_alive()), remains]

    def _report(
        self, swap: _Swap, former: PluginHandle | None, handle: PluginHandle, changes: Changes
    ) -> None:
        old = former.generation if former is not None else 0
        kept = _kept(swap.saved.get(handle.name), handle.plugin_class) + swap.changed.get(handle.name, "")
        find = partial(self._stale, handle.remains[-1]) if handle.remains else list[Leak]
        took = tick() - swap.begun
        changes.generations.append(Generation(handle.name, old, handle.generation, kept, took, find))
        note = swap.code.note if swap.code is not None and handle.name == swap.name else ""
        told = "; ".join(filter(None, (f"generation {handle.generation}", kept, note)))
        changes.done.append(Step("reload", handle.name, told))
        self._record(swap, handle, old, kept)

    def _stale(self, remains: Remains) -> list[Leak]:
        recorder = self._engine.bus.recorder
        if recorder is not None:
            recorder.flush()  # what is not written yet still holds events of old classes
        return remains.find()

    def _tell_dependents(self, handle: PluginHandle, changes: Changes) -> None:
        resolution = self._registry.resolve()
        whole = {each.name for each in self._whole(handle)}
        names = {name for each in whole for name in resolution.dependents_of(each)} - whole
        for name in sorted(names, key=resolution.order.index):
            each = self._registry[name]
            is_restarted = not whole.isdisjoint(each.manifest.restart_with)
            if each.instance is None or is_restarted or not is_defined(type(each.instance), "on_reload"):
                continue
            try:
                self._engine.awaited(each.instance.on_reload(handle.name))
            except Exception as error:
                changes.failed[name] = error
                if each.context is not None:
                    each.context.log.failure(error, "on_reload(%r) failed", handle.name)
            else:
                changes.done.append(Step("tell", name, f"{handle.name} was reloaded"))

    # -- inside -----------------------------------------------------------------------------------

    def _whole(self, handle: PluginHandle) -> list[PluginHandle]:
        """A plugin and its members, as they start."""
        return [self._registry[name] for name in self._registry.whole_of(handle.name)]

    @contextmanager
    def _caused(self, handle: PluginHandle) -> Iterator[None]:
        """Write that it begins; that record is the cause of what happens inside."""
        recorder, cause = self._engine.bus.recorder, self._engine.bus.cause()
        if recorder is None:
            yield
            return
        parent, root = (cause.seq, cause.root) if cause is not None else (None, None)
        payload = {"generation": handle.generation}
        seq = recorder.put("change", "reload", plugin=handle.name, parent=parent, root=root, payload=payload)
        token = current_cause.set(Cause(seq, root or seq))
        try:
            yield
        finally:
            current_cause.reset(token)

    def _record(
        self, swap: _Swap, handle: PluginHandle, old: int, kept: str, error: BaseException | None = None
    ) -> None:
        recorder, cause = self._engine.bus.recorder, self._engine.bus.cause()
        if recorder is None:
            return
        saved = swap.saved.get(handle.name)
        payload: dict[str, Any] = {"old": old, "new": handle.generation, "kept": kept, "phase": swap.phase}
        if saved is not None:
            payload |= {"state": saved.state, "state_version": saved.version}
        recorder.put(
            "change",
            "generation",
            plugin=handle.name,
            parent=cause.seq if cause else None,
            root=cause.root if cause else None,
            duration_ns=tick() - swap.begun,
            outcome="error" if error else "ok",
            reason=f"{swap.phase} of {swap.doing} failed: the old generation goes on" if error else kept,
            payload=payload,
            error=error,
        )


def _is_renewable(handle: PluginHandle, plugin_class: type[Plugin]) -> bool:
    """Whether a class that was given to the host can be imported afresh; that of a member comes with its bundle."""
    return is_importable(plugin_class) and not handle.manifest.bundle


def _kept(saved: Saved | None, plugin_class: type[Plugin] | None) -> str:
    """What became of a plugin's state, for people."""
    if saved is None:
        return "no state kept: it had no snapshot()"
    if plugin_class is None or not keeps_state(plugin_class):
        return "its state was dropped: it has no restore() any more"
    if saved.version != plugin_class.state_version:
        return f"state kept, migrated from version {saved.version} to {plugin_class.state_version}"
    return "state kept"
