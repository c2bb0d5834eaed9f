"""What pytest raises to say how something ended: a skip or an expected failure is an outcome, not an error."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

from plugbook.trace.record import Note

_ENDS: Final = (("skip", "skipped"), ("xfail", "skipped"), ("exit", "cancelled"))
"""Functions of pytest whose exception ends a test or the run, and the outcome it stands for."""


def note_of(error: BaseException) -> Note | None:
    """The note on a call that pytest or a test ended on purpose; None where it failed.

    pytest is not imported: where it runs, it is there.
    """
    pytest = sys.modules.get("pytest")
    if pytest is None:
        return None
    for function, outcome in _ENDS:
        if isinstance(error, _exception_of(pytest, function)):
            return Note(outcome, reason=_reason(function, error))  # type: ignore[arg-type]  # one of the table's
    case = sys.modules.get("unittest.case")
    if case is not None and isinstance(error, case.SkipTest):
        return Note("skipped", reason=_reason("skip", error))
    return None


def _exception_of(pytest: ModuleType, function: str) -> Any:
    return getattr(getattr(pytest, function, None), "Exception", ())


def _reason(function: str, error: BaseException) -> str:
    text = str(error)
    if function == "skip":
        return text or "skipped"
    return f"{function}: {text}" if text else function
