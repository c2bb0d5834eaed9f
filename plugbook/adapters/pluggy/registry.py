"""The plugins of a pluggy manager as a recording names them: manifests, call sites, changes."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from plugbook.trace.record import CallSite, extent

if TYPE_CHECKING:
    from plugbook.trace.writing.recorder import Recorder

SYSTEM: Final = "pluggy"
ABSENT: Final = -1

ACTIVE: Final = "active"
UNLOADED: Final = "unloaded"
"""The states in which a plugin of pluggy can be: registered, or not any more."""


class Registry:
    """The plugins of a manager, as the recording names them: manifests, call sites, changes.

    pluggy tells nobody of `register` and `unregister`; so the number of names is compared at each hook
    call, and all of them when that differs or a hook has other implementations than before.

    Attributes:
        count: tells how many names there are now.
        counted: how many there were at the last look.
    """

    def __init__(self, manager: Any, recorder: Recorder) -> None:
        self._manager = manager
        self._recorder = recorder
        # Private, and only its length is read: what is public makes a new list of all plugins each time.
        names = getattr(manager, "_name2plugin", None)
        self.count = names.__len__ if isinstance(names, dict) else lambda: len(manager.list_name_plugin())
        self._shown: dict[str, str] = {}
        self._described: dict[str, list[str]] = {}
        self.counted = self.count()
        self._known = self._read()
        self.describe_plugins()

    def look(self, parent: int | None) -> bool:
        """Record every plugin that came, went, or was blocked since the last look; tell whether any did."""
        known, self._known = self._known, self._read()
        self.counted = self.count()
        if known == self._known:
            return False
        for name in {**known, **self._known}:
            before, now = known.get(name, ABSENT), self._known.get(name, ABSENT)
            if before != now:
                self._record(name, before, now, parent)
        self.describe_plugins()
        return True

    def site(self, hook_name: str, impl: Any) -> CallSite:
        """Who an implementation is, and why it is called when it is."""
        function = impl.function
        file, line, end = extent(getattr(function, "__code__", None))
        name = getattr(function, "__qualname__", hook_name)
        if "." not in name:
            name = f"{getattr(function, '__module__', None) or '?'}.{name}".rpartition("...")[2]
        wrapper = "old-style wrapper" if impl.hookwrapper else "wrapper" if impl.wrapper else ""
        return CallSite(
            name=".".join(name.split(".")[-2:]),
            plugin="" if impl.plugin is None else self.shown(impl.plugin_name, impl.plugin),
            order=_why_there(impl, wrapper),
            file=file,
            line=line,
            end=end,
            role=wrapper,
        )

    def shown(self, name: str, plugin: object) -> str:
        """A plugin's name; where pluggy made it from an address, one that is the same in every run."""
        if name != str(id(plugin)):
            return name
        known = self._shown.get(name)
        if known is None:
            kind = type(plugin).__qualname__.rpartition("<locals>.")[2]
            twins = sum(other.partition(" #")[0] == kind for other in self._shown.values())
            known = self._shown[name] = f"{kind} #{twins + 1}" if twins else kind
        return known

    def describe_host(self) -> None:
        """Store which plugin system this is."""
        module = sys.modules.get(SYSTEM)
        self._recorder.describe(
            "origin",
            "plugin_system",
            {
                "system": SYSTEM,
                "version": str(getattr(module, "__version__", "")),
                "project": str(self._manager.project_name),
            },
        )

    def describe_plugins(self) -> None:
        """Store a manifest of every plugin that has none yet, or has other hooks by now.

        While pluggy registers a plugin it may call hooks already, before it has added all of the new ones.
        """
        hooks: dict[int, list[str]] = {}
        for hook_name, caller in list(vars(self._manager.hook).items()):
            for impl in caller.get_hookimpls():
                hooks.setdefault(id(impl.plugin), []).append(hook_name)
        distributions: dict[int, Any] | None = None
        for name, plugin in self._manager.list_name_plugin():
            implemented = sorted(hooks.get(id(plugin), ()))
            if plugin is None or self._described.get(name) == implemented:
                continue
            if distributions is None:
                distributions = {id(other): dist for other, dist in self._manager.list_plugin_distinfo()}
            shown = self.shown(name, plugin)
            if name not in self._described:
                self._recorder.describe("state", shown, ACTIVE)
            self._described[name] = implemented
            manifest = _manifest(plugin, implemented, distributions.get(id(plugin)))
            self._recorder.describe("manifest", shown, {"name": shown, "registered_as": name, **manifest})

    def _read(self) -> dict[str, int | None]:
        # Identities, not plugins: a recording keeps no plugin alive.
        return {
            name: None if plugin is None else id(plugin) for name, plugin in self._manager.list_name_plugin()
        }

    def _record(self, name: str, before: int | None, now: int | None, parent: int | None) -> None:
        if before is not None and before != ABSENT:
            self._put("unregister", name, before, parent)
            self._described.pop(name, None)
            self._recorder.describe("state", self._shown.get(name, name), UNLOADED)
        if now is None:
            self._put("block", name, now, parent)
        elif now != ABSENT:
            self._put("register", name, now, parent)
        elif before is None:
            self._put("unblock", name, now, parent)

    def _put(self, what: str, name: str, identity: int | None, parent: int | None) -> None:
        plugin = self._manager.get_plugin(name) if what == "register" else None
        shown = self.shown(name, plugin) if plugin is not None else self._shown.get(name, name)
        self._recorder.put("change", what, plugin=shown, parent=parent, payload={"registered_as": name})


def _why_there(impl: Any, wrapper: str) -> str:
    """Why pluggy calls an implementation when it does."""
    if impl.plugin is None:
        return "extra, for this call only"
    asked = "tryfirst" if impl.tryfirst else "trylast" if impl.trylast else ""
    return " ".join(filter(None, [wrapper, asked])) or "registration, last first"


def _manifest(plugin: object, hooks: list[str], dist: Any) -> dict[str, Any]:
    is_module = isinstance(plugin, ModuleType)
    module = str(getattr(plugin, "__name__", "")) if is_module else type(plugin).__module__
    return {
        "system": SYSTEM,
        "kind": "module" if is_module else type(plugin).__qualname__,
        "module": module,
        "file": getattr(sys.modules.get(module), "__file__", None) or "",
        "distribution": "" if dist is None else str(dist.project_name),
        "version": "" if dist is None else str(dist.version),
        "hooks": hooks,
    }
