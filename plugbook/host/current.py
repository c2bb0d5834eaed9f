"""Which host or recording a notebook or a shell means when it names none."""

from __future__ import annotations

import weakref
from typing import Any

_current: weakref.ref[Any] | None = None


def use(target: Any) -> None:
    """Make a host or a recording the current one; None makes nothing current."""
    global _current  # noqa: PLW0603 (one kernel has one current host)
    _current = None if target is None else weakref.ref(target)


def current() -> Any:
    """The host that was started last, or what `use` chose since; None where there is none."""
    return _current() if _current is not None else None
