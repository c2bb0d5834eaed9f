"""What is left to see of a module that was taken out: itself, and what was defined in it."""

from __future__ import annotations

import types
import weakref
from typing import Any


class Unloaded:
    """Sees whether anything of a module is still alive, without keeping it alive.

    Functions refer to a module's namespace, not to the module: that it is gone does not mean that they are.

    Args:
        module: what will be taken out.
    """

    def __init__(self, module: types.ModuleType) -> None:
        self.name = module.__name__
        own = (value for value in vars(module).values() if getattr(value, "__module__", None) == self.name)
        seen = [value for value in own if isinstance(value, type | types.FunctionType)]
        self._refs = [weakref.ref(each) for each in (module, *seen)]

    def alive(self) -> list[object]:
        """What there is of it: the module, its classes, its functions."""
        return [each for ref in self._refs if (each := ref()) is not None]

    def namespaces(self) -> list[dict[str, Any]]:
        """Where its variables are, as far as anything of it needs them."""
        spaces = (
            getattr(each, "__globals__", None) or getattr(each, "__dict__", None) for each in self.alive()
        )
        return [space for space in spaces if type(space) is dict and space.get("__name__") == self.name]
