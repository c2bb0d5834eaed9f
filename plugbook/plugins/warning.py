"""Warns people at their own line, not at the one of ours that noticed, in every version of Python alike."""

from __future__ import annotations

import sys
import sysconfig
import warnings
from os import sep
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_PLUGBOOK: Final = str(Path(__file__).parents[1]) + sep
_PYTHON: Final = sysconfig.get_path("stdlib") + sep
_INSTALLED: Final = (sysconfig.get_path("purelib") + sep, sysconfig.get_path("platlib") + sep)
"""Packages stand inside the folder of the standard library, and plugins are among them."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn, naming the innermost line that is neither plugbook's nor the standard library's."""
    frame = _place() or sys._getframe(1)  # noqa: SLF001 (inspect.stack() would read every source file on the way)
    # The `skip_file_prefixes` of `warnings.warn` is what this does, and came with Python 3.12.
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__", "__main__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _place() -> FrameType | None:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
    while frame is not None and _is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _is_machinery(filename: str) -> bool:
    if filename.startswith((_PLUGBOOK, "<frozen ")):
        return True
    return filename.startswith(_PYTHON) and not filename.startswith(_INSTALLED)
