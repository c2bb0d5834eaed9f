"""Which plugins are on a host, how they depend on each other, and what a request would do to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from plugbook.errors import LifecycleError, ManifestError, UnknownPluginError, suggestion
from plugbook.host.available import Available
from plugbook.host.handle import PluginHandle
from plugbook.host.plan import Plan, Step
from plugbook.plugins.config import check_options
from plugbook.plugins.lifecycle import Request, State, next_state
from plugbook.plugins.resolving.choosing import Choice, choose, preference
from plugbook.plugins.resolving.resolver import Resolution, resolve

if TYPE_CHECKING:
    from plugbook.plugins.manifest import Manifest
    from plugbook.plugins.plugin import Plugin


class Handles(dict[str, PluginHandle]):
    """Plugins by name; a name that is not there is an `UnknownPluginError`, with the one that was meant."""

    def __missing__(self, name: object) -> PluginHandle:
        msg = f"there is no plugin {name!r} on this host.{suggestion(str(name), self)}"
        raise UnknownPluginError(msg, name=str(name), known=self)


class Registry:
    """The plugins of one host.

    Args:
        on_order: called with the position of each plugin in the dependency order when that changes.
        api_version: of the host.

    Attributes:
        handles: by name, in the order they were added.
        offers: what discovery found, by name, version and source, with the choice that was made then.
        down: for each plugin whose failure stopped it, who was stopped with it: itself first, as they are to
            start again.
    """

    def __init__(self, on_order: Callable[[dict[str, int]], None], api_version: str) -> None:
        self.handles = Handles()
        self.offers: dict[tuple[str, str, str], tuple[Manifest, Choice]] = {}
        self.down: dict[str, list[str]] = {}
        self.api_version = api_version
        self._on_order = on_order
        self._resolution = Resolution()
        self._is_stale = False
        self._planners: dict[str, Callable[[PluginHandle], Plan]] = {
            "start": self.plan_start,
            "stop": self.plan_stop,
            "restart": self._plan_restart,
            "reload": self._plan_reload,
            "remove": self.plan_remove,
            "disable": self._plan_disable,
            "enable": self._plan_enable,
        }

    def __getitem__(self, name: str) -> PluginHandle:
        return self.handles[name]

    def add(
        self, manifest: Manifest, plugin_class: type[Plugin] | None, options: Mapping[str, Any]
    ) -> PluginHandle:
        """Put a plugin on the host.

        Raises:
            ManifestError: there is one of that name.
        """
        self.check_free(manifest.name)
        handle = self.handles[manifest.name] = PluginHandle(
            manifest, plugin_class, check_options(manifest.name, options)
        )
        self._is_stale = True
        return handle

    def remove(self, name: str) -> None:
        """Forget a plugin."""
        del self.handles[name]
        self.down.pop(name, None)
        self._is_stale = True

    def choose(self, found: Iterable[Manifest]) -> list[Manifest]:
        """Of what discovery found, one version of each plugin that is not on the host yet; they fit what is.

        Raises:
            MissingExtraError: there is a choice to make, and python-sat is not installed.
        """
        offered = list(found)
        here = [handle.manifest for handle in self.handles.values()]
        new = [each for each in offered if each.name not in self.handles]
        choice = choose([*here, *new], host_version=self.api_version)
        for each in offered:
            key = each.name, each.version, each.source
            # What was weighed when its plugin was chosen keeps that choice: now only the chosen one was.
            if key not in self.offers or each.name not in self.handles:
                self.offers[key] = (each, choice)
        return [each for name, each in choice.plugins.items() if name not in self.handles]

    def available(self) -> tuple[Available, ...]:
        """Every version that discovery found, and why it is not used."""
        return tuple(Available(each, self._why_not(each, choice)) for each, choice in self.offers.values())

    def unused(self) -> list[Manifest]:
        """The versions that discovery found and the host does not use, the newest first."""
        used = {(each.manifest.name, each.manifest.version) for each in self.handles.values()}
        unused = [each for each, _ in self.offers.values() if (each.name, each.version) not in used]
        return sorted(unused, key=preference, reverse=True)

    def _why_not(self, manifest: Manifest, choice: Choice) -> str:
        handle = self.handles.get(manifest.name)
        if handle is None:
            return "it is not on this host any more"
        used = handle.manifest
        if (used.version, used.source) == (manifest.version, manifest.source):
            return ""
        known = choice.chosen.get(manifest.name)
        if choice.weighed(manifest) and (known is None or known.version == used.version):
            return choice.reason(manifest)
        if preference(manifest) < preference(used):
            return f"{used} is on this host"
        way = f"host.remove({used.name!r}), then host.discover again"
        return f"{used} is on this host; to use {manifest.version}: {way}"

    def resolve(self) -> Resolution:
        """Resolve the plugins that are there now; it is done again only where they changed."""
        if self._is_stale:
            self._is_stale = False
            manifests = [handle.manifest for handle in self.handles.values()]
            self._resolution = resolve(manifests, self.api_version)
            for name, handle in self.handles.items():
                handle.problem = self._resolution.problems.get(name)
            self._on_order(self.ranks())
        return self._resolution

    def ranks(self) -> dict[str, int]:
        """The place of each plugin that can start in the dependency order."""
        return {name: rank for rank, name in enumerate(self.resolve().order)}

    def missing_need(self, name: str) -> PluginHandle | None:
        """The first plugin that `name` directly needs and that is not active."""
        needed = (self.handles[need] for need in self.resolve().needs.get(name, ()))
        return next((handle for handle in needed if not handle.is_active), None)

    def complete(self, handle: PluginHandle, manifest: Manifest) -> None:
        """Take over what the imported class says, where discovery could not read all of it."""
        if manifest != handle.manifest:
            handle.manifest = manifest
            self._is_stale = True

    def members_of(self, name: str) -> tuple[str, ...]:
        """The plugins on this host that a bundle is made of, those of bundles inside it before them."""
        found: dict[str, None] = {}
        for member in self.handles[name].manifest.members:
            if member in self.handles:
                found |= dict.fromkeys((*self.members_of(member), member))
        return tuple(found)

    def whole_of(self, name: str) -> list[str]:
        """A plugin and its members, as they start."""
        rank = self.ranks()
        return sorted((*self.members_of(name), name), key=lambda each: rank.get(each, len(rank)))

    def bundles_of(self, name: str) -> tuple[str, ...]:
        """The bundles on this host that a plugin is in, the nearest first; none of what is not there."""
        bundle = self.handles[name].manifest.bundle if name in self.handles else ""
        return (bundle, *self.bundles_of(bundle)) if bundle in self.handles else ()

    def check_free(self, name: str) -> None:
        """Refuse a name that is taken.

        Raises:
            ManifestError: there is a plugin of that name.
        """
        if name in self.handles:
            msg = (
                f"there is a plugin {name!r} on this host already. Remove it first, or add with replace=True."
            )
            raise ManifestError(msg, plugin=name, field="name")

    # -- plans ------------------------------------------------------------------------------------

    def plan(self, action: str, name: str) -> Plan:
        """What a request would do, step by step.

        Raises:
            UnknownPluginError: there is no such plugin.
            LifecycleError: there is no such action, or the plugin's state does not allow it.
        """
        handle = self[name]
        if action not in self._planners:
            msg = f"there is no action {action!r}.{suggestion(action, self._planners)}"
            raise LifecycleError(msg, plugin=name, request=action, allowed=self._planners)
        return self._planners[action](handle)

    def plan_start(self, handle: PluginHandle) -> Plan:
        """Start what it needs and is not active, first things first, then itself.

        Raises:
            LifecycleError: it is quarantined, or disabled.
        """
        if handle.state is State.QUARANTINED:
            next_state(handle.name, handle.state, Request.START)
        if handle.is_disabled:
            msg = f"cannot start {handle.name!r}: it is disabled. First: host.enable({handle.name!r})"
            raise LifecycleError(
                msg, plugin=handle.name, state="disabled", request="start", allowed=["enable"]
            )
        resolution = self.resolve()
        name = handle.name
        problem = resolution.problems.get(name)
        if problem is not None:
            return Plan("start", name, (), problem)
        idle = [need for need in resolution.requirements_of(name) if not self.handles[need].is_active]
        steps = [Step("start", need, self._made_of(need) or f"{name} needs it") for need in idle]
        if not handle.is_active:
            steps.append(Step("start", name))
        return Plan("start", name, tuple(steps))

    def plan_stop(self, handle: PluginHandle) -> Plan:
        """Stop those who need it, last things first, then itself; of a bundle, then its members.

        Raises:
            LifecycleError: it is not active.
        """
        name, members = handle.name, self.members_of(handle.name)
        if not any(self.handles[member].is_active for member in members):
            next_state(name, handle.state, Request.STOP)
        resolution = self.resolve()
        whole = {name, *members}
        because = {
            each: f"it needs {needed}"
            for needed in (*members, name)
            for each in resolution.dependents_of(needed)
        }
        because |= {member: self._made_of(member) for member in members} | {name: ""}
        order = self.in_stop_order(whole.union(because))
        return Plan("stop", name, tuple(Step("stop", each, because[each]) for each in order))

    def plan_remove(self, handle: PluginHandle) -> Plan:
        """Stop it, where it is active, and unload it; of a bundle, its members as well."""
        return Plan("remove", handle.name, (*self._stops(handle), *self._unloads(handle)))

    def stopped_with(self, handle: PluginHandle) -> list[str]:
        """Who is to start again with a plugin that is not active, for whose failure they were stopped."""
        down = self.down.get(handle.name, ())
        return [name for name in down if name in self.handles and not self.handles[name].is_active]

    def in_stop_order(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are active, dependents first."""
        rank = {name: position for position, name in enumerate(self.resolve().order)}
        active = [name for name in names if self.handles[name].is_active]
        return sorted(active, key=lambda name: -rank.get(name, len(rank)))

    def _plan_disable(self, handle: PluginHandle) -> Plan:
        return Plan("disable", handle.name, (*self._stops(handle), *self._marks("disable", handle)))

    def _plan_enable(self, handle: PluginHandle) -> Plan:
        marks = self._marks("enable", handle)
        again = self.stopped_with(handle) if marks else ()
        starts = (Step("start", each, "it was stopped" if each != handle.name else "") for each in again)
        return Plan("enable", handle.name, (*marks, *starts))

    def _marks(self, action: str, handle: PluginHandle) -> tuple[Step, ...]:
        """The steps that disable or enable a plugin and its members, where they are not so already."""
        whole = (handle.name, *self.members_of(handle.name))
        return tuple(
            Step(action, each, "" if each == handle.name else self._made_of(each))
            for each in whole
            if self.handles[each].is_disabled != (action == "disable")
        )

    def _plan_restart(self, handle: PluginHandle) -> Plan:
        return self._plan_again("restart", handle, self.plan_stop(handle).steps, ())

    def _plan_reload(self, handle: PluginHandle) -> Plan:
        if handle.is_active:
            name = handle.name
            reloads = (
                Step("reload", each, "" if each == name else self._made_of(each))
                for each in self.whole_of(name)
            )
            return Plan("reload", name, (*reloads, *self.restarts_with(handle)))
        unloads = self._unloads(handle) or (Step("unload", handle.name),)
        return self._plan_again("reload", handle, self._stops(handle), (*unloads, Step("load", handle.name)))

    def restarts_with(self, handle: PluginHandle) -> tuple[Step, ...]:
        """Stop and start again who asks for that where this plugin, or a member of it, is reloaded."""
        whole = set(self.whole_of(handle.name))
        because: dict[str, str] = {}
        for name, each in self.handles.items():
            if each.is_active and name not in whole and not whole.isdisjoint(each.manifest.restart_with):
                because |= {step.plugin: step.because for step in self.plan_stop(each).steps}
                because[name] = f"it restarts with {handle.name}"
        stops = self.in_stop_order(name for name in because if name not in whole)
        return (
            *(Step("stop", name, because[name]) for name in stops),
            *(Step("start", name, because[name]) for name in reversed(stops)),
        )

    def _stops(self, handle: PluginHandle) -> tuple[Step, ...]:
        whole = (handle.name, *self.members_of(handle.name))
        return self.plan_stop(handle).steps if any(self.handles[each].is_active for each in whole) else ()

    def _made_of(self, name: str) -> str:
        """Why a member is part of a request about its bundle; ``""`` of any other plugin."""
        bundle = self.handles[name].manifest.bundle
        return f"{bundle} is made of it" if bundle in self.handles else ""

    def _unloads(self, handle: PluginHandle) -> tuple[Step, ...]:
        name = handle.name
        whole = (name, *reversed(self.members_of(name)))
        return tuple(
            Step("unload", each, "" if each == name else self._made_of(each))
            for each in whole
            if self.handles[each].state is not State.UNLOADED
        )

    def _plan_again(
        self, action: str, handle: PluginHandle, stops: tuple[Step, ...], between: tuple[Step, ...]
    ) -> Plan:
        starts = [Step("start", step.plugin, step.because and "it was stopped") for step in reversed(stops)]
        if not starts:
            names = self.stopped_with(handle) or [handle.name]
            starts = [Step("start", each, "it was stopped" if each != handle.name else "") for each in names]
        return Plan(action, handle.name, (*stops, *between, *starts))
