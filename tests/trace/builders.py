"""Recorders to test with, and dispatches as an adapter or a host would append them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plugbook._clock import tick
from plugbook.trace.record import BLOCK, CallSite, Dispatch, Note, Plan
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from plugbook.trace.reading.recording import Recording

PLANS = {
    "none": Plan(),
    "one": Plan([CallSite("Billing.bill", "billing")]),
    "three": Plan(
        [
            CallSite("Ledger.post", "ledger", "priority 10"),
            CallSite("Billing.bill", "billing"),
            CallSite("log"),
        ]
    ),
    "spans": Plan(
        [CallSite("outer", "wrap", role="wrapper"), CallSite("inner", "tmpl.vars")], layout="spans"
    ),
    "many": Plan([CallSite(f"handler {index}", f"p{index % 7}") for index in range(2 * BLOCK)]),
}


def dispatch(
    recorder: Recorder,
    topic: str = "order.placed",
    *,
    plan: Plan = PLANS["three"],
    ticks: list[int] | None = None,
    notes: dict[int, Note] | None = None,
    payload: Any = None,
    parent: int | None = None,
    root: int | None = None,
    plugin: str = "",
    result: Note | None = None,
    cell: tuple[int, str] | None = None,
    task: str = "",
) -> Dispatch:
    """Append a dispatch; `ticks` are ns after now, and where left out all its calls took 100 ns each."""
    made = Dispatch()
    made.seq = recorder.next_seq()
    made.blocks = tuple(recorder.next_seq() for _ in range((len(plan.sites) - 1) // (BLOCK - 1)))
    made.name, made.plugin, made.plan, made.payload = topic, plugin, plan, payload
    made.parent, made.root = parent, made.seq if root is None else root
    made.notes, made.result, made.cell, made.task = notes, result, cell, task
    made.thread = threading.get_ident()
    made.born = tick()
    made.ticks = complete(plan, made.born) if ticks is None else ticks
    recorder.rows.append(made)
    return made


def complete(plan: Plan, start: int, step: int = 100) -> list[int]:
    """The ticks of a dispatch in which every call ran, one after the other."""
    if plan.layout == "chain":
        return [start + step * index for index in range(len(plan.sites) + 1)]
    spans = [[site, start + step * site, start + step * (site + 1)] for site in range(len(plan.sites))]
    return [start, *(number for span in spans for number in span), start + step * len(plan.sites)]


@dataclass
class Bench:
    """Makes recorders in a folder of the test's own."""

    folder: Path
    open: list[Any] = field(default_factory=list)

    def recorder(self, name: str = "run.plugbook", *, append: bool = False, **options: Any) -> Recorder:
        made = Recorder(Store.create(self.folder / name, append=append), **options)
        self.open.append(made)
        return made

    def memory(self, **options: Any) -> Recorder:
        made = Recorder(Store.memory(), **options)
        self.open.append(made)
        return made

    def keep(self, recording: Recording) -> Recording:
        """Close a recording when the test ends."""
        self.open.append(recording)
        return recording

    def close(self) -> None:
        for each in reversed(self.open):
            each.close()
