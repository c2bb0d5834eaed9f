"""Tells the recorders and the cells' scopes which cell is running: every record knows the cell that caused it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plugbook.trace.writing.origin import CELL_TEXTS
from plugbook.trace.writing.recorder import Recorder

if TYPE_CHECKING:
    from .cell_scope import CellScopes

Cell = tuple[int, str]


def watch_cells(ip: Any, scopes: CellScopes) -> Callable[[], None]:
    """Follow the cells of a shell; what is returned ends it.

    Cells may nest: what runs a cell inside a cell has the inner one counted until it ends.

    Args:
        ip: the shell.
        scopes: told of the beginning and the end of each cell.
    """
    running: list[Cell | None] = []
    # The cell with %load_ext has begun already, and gets an end alone.
    enclosing = getattr(ip.displayhook, "exec_result", None)
    if enclosing is not None and enclosing.info is not None:
        loading = (enclosing.execution_count or 0, enclosing.info.cell_id or "")
        CELL_TEXTS[loading] = enclosing.info.raw_cell
        running.append(loading)
        Recorder.cell = loading
        scopes.begin(loading[0], enclosing.info)

    def begin(info: Any) -> None:
        # What is not stored in the history has no number of its own.
        outer = running[-1] if running else None
        cell = (ip.displayhook.prompt_count, info.cell_id or "") if info.store_history else outer
        if cell is not None and cell != outer:
            CELL_TEXTS[cell] = info.raw_cell
        running.append(cell)
        Recorder.cell = cell
        scopes.begin(ip.displayhook.prompt_count, info)

    def end(result: Any) -> None:
        scopes.end(result)
        if running:
            running.pop()
        Recorder.cell = running[-1] if running else None

    ip.events.register("pre_run_cell", begin)
    ip.events.register("post_run_cell", end)

    def stop() -> None:
        ip.events.unregister("pre_run_cell", begin)
        ip.events.unregister("post_run_cell", end)
        Recorder.cell = None
        CELL_TEXTS.clear()
        scopes.close()

    return stop
