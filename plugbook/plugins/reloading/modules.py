"""The modules of one generation of a plugin's code: put aside while newer ones take their names, and put back."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Collection
from types import ModuleType


class Aside:
    """Modules below one package, as they were; `put` takes some of them out of the way of a new import.

    Those put aside go on working: their functions find what they need in their own namespaces. Only an import
    inside a function would bring them the new modules.

    Args:
        package: the package that all of them are in.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self._before = below(package)
        self._attributes = {name: _attribute(name) for name in self._before}
        self.former: dict[str, ModuleType] = {}

    def put(self, names: Collection[str]) -> None:
        """Take these modules out, so that the next import of each runs its source again."""
        self.former = {name: self._before[name] for name in names if name in self._before}
        for name in self.former:
            forget(name)

    def put_back(self) -> None:
        """Have everything below the package as it was; whatever an import brought in since is gone."""
        for name, module in below(self.package).items():
            if self._before.get(name) is not module:
                forget(name)
        sys.modules.update(self._before)
        for name, value in self._attributes.items():
            parent, _, child = name.rpartition(".")
            if value is not None and parent in sys.modules:
                setattr(sys.modules[parent], child, value)


def below(package: str) -> dict[str, ModuleType]:
    """The modules that are imported now, a package and what is in it, by name."""
    return {name: sys.modules[name] for name in tuple(sys.modules) if is_below(package, name)}


def is_below(package: str, name: str) -> bool:
    """Whether a module is the package itself or in it."""
    return name == package or name.startswith(f"{package}.")


def forget(name: str) -> None:
    """Take a module out, and the attribute of its package that refers to it."""
    module = sys.modules.pop(name, None)
    parent, _, child = name.rpartition(".")
    if parent in sys.modules and vars(sys.modules[parent]).get(child) is module:
        delattr(sys.modules[parent], child)
    linecache.cache.pop(getattr(module, "__file__", None) or "", None)


def _attribute(name: str) -> ModuleType | None:
    """What the package of a module refers to by its name."""
    parent, _, child = name.rpartition(".")
    found = vars(sys.modules[parent]).get(child) if parent in sys.modules else None
    return found if isinstance(found, ModuleType) else None
