"""What an event is caused by, where that cannot be told from the thread alone."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from plugbook.events.dispatch.report import Report


class Cause(NamedTuple):
    """What an event published here is caused by.

    Attributes:
        seq: the call, or the state transition.
        root: the top of its causal tree.
        report: the dispatch the call belongs to, or None for a transition.
    """

    seq: int
    root: int
    report: Report | None = None


current_cause: ContextVar[Cause | None] = ContextVar("plugbook_cause", default=None)
"""Set once for each task or thread that runs a handler, and for transitions; sync handlers do without."""
