"""Gives each cell a scope: what it registers is replaced when the cell runs again, and taken back when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from plugbook.events.dispatch.registrations import Redo, Registration, current_registrar
from plugbook.host.current import current, use
from plugbook.host.registrations import told

from .holders import holder_of, is_alone, name_of

if TYPE_CHECKING:
    from plugbook.host.host import Host


@dataclass(eq=False, slots=True)
class CellRun:
    """One run of a cell, told of what the cell registers.

    Attributes:
        name: what the run is called in records, such as ``cell [3]``.
        former: the run whose place it takes, while it lasts.
        current: what was the current host or recording when it began, while it lasts.
        taken: what was registered, in order.
        hosts: those that were made. They are kept alive, or they could be gone without having been closed.
        withheld: what the former run registered, and the way to have it again.
        is_kept: whether what it registers is the person's own concern.
    """

    name: str
    former: CellRun | None = None
    current: Any = None
    taken: list[Registration] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    withheld: list[tuple[Registration, Redo]] = field(default_factory=list)
    is_kept: bool = False

    # -- what a registrar is told -----------------------------------------------------------------

    def note(self, registration: Registration) -> None:
        """The cell registered something."""
        if not self.is_kept:
            self.taken.append(registration)

    def made(self, host: Host) -> None:
        """The cell made a host."""
        if not self.is_kept:
            self.hosts.append(host)

    def had_before(self, kind: str, label: str, place: Any) -> bool:
        """Whether the former run registered that at the same place, and this one did not yet."""
        return (
            self.former is not None
            and self.former.has(kind, label, place)
            and not self.has(kind, label, place)
        )

    def keep(self) -> None:
        """Let go of what it registered, and of what the former run did: nobody takes it back."""
        for _, redo in reversed(self.withheld):
            redo(f"{self.name} keeps it")
        self.is_kept = True
        self.former = None
        self.taken, self.hosts, self.withheld = [], [], []

    # -- its beginning and its end ----------------------------------------------------------------

    def has(self, kind: str, label: str, place: Any) -> bool:
        """Whether it registered that there."""
        return any((each.kind, each.label) == (kind, label) and each.place() is place for each in self.taken)

    def begin(self) -> None:
        """Withhold what the former run registered, so that this one begins as if that had never run."""
        if self.former is None:
            return
        reason = f"{self.name} runs in the place of {self.former.name}"
        for each in reversed(self.former.taken):
            redo = None if each.waits else each.take_back(reason)
            if redo is not None:
                self.withheld.append((each, redo))

    def succeed(self) -> None:
        """Take back for good what the former run added, and this one did not."""
        for each in reversed(self.former.taken if self.former else ()):
            if each.waits and not self.has(each.kind, each.label, each.place()):
                each.take_back(f"{self.name} no longer adds it")

    def fail(self, names: dict[str, Any]) -> list[str]:
        """Take back what it registered, and have again what the former run did.

        Args:
            names: the person's variables. A host that has one is stopped, and not closed.

        Returns:
            What was taken back, in words.
        """
        reason = f"{self.name} failed"
        gone = [each for each in reversed(self.taken) if each.take_back(reason) is not None]
        for _, redo in reversed(self.withheld):
            redo(f"{reason}, and this is what it had replaced")
        self.taken = self.former.taken if self.former else []
        said = [f"{each.kind} {each.label}" for each in reversed(gone)]
        said += [_end(host, reason, name_of(host, names)) for host in self.hosts if _is_busy(host)]
        if self.current is not None and current() in self.hosts:
            use(self.current)
        return said

    def forget(self) -> None:
        """Let go of what it needed while it lasted."""
        self.former, self.current, self.withheld = None, None, []


class CellScopes:
    """The scopes of a shell's cells.

    A cell is known by its id, and where the front end gives none, as in a terminal, by its text. An interrupt
    is no failure: what a cell that watches registered until then is still wanted.

    Args:
        shell: the shell.
        is_on: asked at the beginning of each cell.
    """

    def __init__(self, shell: Any, is_on: Callable[[], bool]) -> None:
        self._names: dict[str, Any] = shell.user_ns
        self._hidden = shell.user_ns_hidden  # IPython's own variables, the latest output among them
        self._is_on = is_on
        self._running: list[tuple[str, CellRun | None]] = []
        self._ended: dict[str, CellRun] = {}

    def begin(self, number: int, info: Any) -> None:
        """A cell begins.

        Args:
            number: its execution count.
            info: IPython's `ExecutionInfo`.
        """
        key = info.cell_id or info.raw_cell.strip()
        if self._running and not info.store_history:  # a part of the cell that runs it
            run = self._running[-1][1]
        elif self._is_on():
            run = CellRun(f"cell [{number}]", self._ended.get(key), current())
            run.begin()
        else:
            run = None
        self._running.append((key, run))
        current_registrar.set(run)

    def end(self, result: Any) -> None:
        """A cell has ended.

        Args:
            result: IPython's `ExecutionResult`.
        """
        key, run = self._running.pop() if self._running else ("", None)
        outer = self._running[-1][1] if self._running else None
        current_registrar.set(None)
        try:
            if run is not None and run is not outer:
                self._settle(key, run, has_failed=_has_failed(result))
        finally:
            current_registrar.set(outer)

    def close(self) -> None:
        """Forget every cell; what they registered stays."""
        self._running.clear()
        self._ended.clear()
        current_registrar.set(None)

    def _settle(self, key: str, run: CellRun, *, has_failed: bool) -> None:
        has_made = bool(run.hosts)
        if has_failed and not run.is_kept:
            gone = run.fail(self._names)
            if gone:
                click.echo(
                    f"The cell failed, so this was taken back: {', '.join(gone)}. To keep such: %pb keep"
                )
        else:
            run.succeed()
        former = run.former.hosts if run.former else []
        run.forget()
        self._ended[key] = run
        while former:
            host = former.pop()
            if not self._is_over(host, run, tells=has_made and not has_failed):
                run.hosts.insert(0, host)
        del former
        self._close_dropped()

    def _is_over(self, host: Host, run: CellRun, *, tells: bool) -> bool:
        """Whether a host of a former run is closed; it is, unless somebody refers to it."""
        if host.is_closed:
            return True
        holder = holder_of(host, self._names, (run.hosts, self._hidden))
        if not holder:
            _close(host, f"{run.name} ran in the place of the cell that made it")
            click.echo("The host that this cell made before was closed.")
        elif tells:
            click.echo(f"The host that this cell made before goes on: {holder} still refers to it.")
        return not holder

    def _close_dropped(self) -> None:
        """Close the hosts to which nothing refers any more, for nobody else could."""
        for run in self._ended.values():
            for position in reversed(range(len(run.hosts))):
                if run.hosts[position].is_closed:
                    del run.hosts[position]
                elif is_alone(run.hosts, position):
                    _close(run.hosts.pop(position), "nothing refers to it any more")
                    click.echo(f"The host made in {run.name} was closed, for nothing refers to it any more.")


def _has_failed(result: Any) -> bool:
    error = result.error_before_exec or result.error_in_exec if result is not None else None
    return error is not None and not isinstance(error, KeyboardInterrupt)


def _is_busy(host: Host) -> bool:
    return not host.is_closed and any(handle.is_active for handle in host.plugins.values())


def _end(host: Host, reason: str, name: str) -> str:
    """Stop a host that has a name, and close one that has none; what was done, in words."""
    if not name:
        _close(host, reason)
        return "a host, which was closed"
    with told(host, "stop", reason):
        host.stop()
    return f"host {name}, which was stopped"


def _close(host: Host, reason: str) -> None:
    with told(host, "close", reason):
        host.close()
