"""What code outside of every plugin registers, told to whoever can give it back: a notebook does, cell by cell.

What a plugin takes belongs to its scope. A line in a notebook has none: run again, it would subscribe a second time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")
V = TypeVar("V")

Redo = Callable[[str], object]
"""Does again what was taken back, for the reason given."""

Undo = Callable[[Any, str], Redo | None]
"""Given the place and a reason, takes back what was registered there; None where it was gone already."""

NOTEBOOK: Final = "__main__"
"""Where cells run: what a module registers is not theirs, for an import is not run again with its cell."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One thing that was registered, and the way to take it back.

    Attributes:
        kind: ``subscription``, ``listener``, ``plugin`` ...
        label: what it is, such as the handler's name.
        place: the bus or host it was registered on, which is not kept alive by it.
        undo: takes it back.
        waits: whether it is only taken back when a cell that runs again has ended without registering it again;
            otherwise it is gone while the cell runs.
    """

    kind: str
    label: str
    place: weakref.ref[Any]
    undo: Undo
    waits: bool = False

    def take_back(self, reason: str) -> Redo | None:
        """Undo it, where it and its place are still there; what is returned does it again."""
        place = self.place()
        return None if place is None else self.undo(place, reason)


class Registrar(Protocol):
    """Who is told of what is registered."""

    def note(self, registration: Registration) -> None:
        """Something was registered."""

    def made(self, host: Any) -> None:
        """A host was made."""

    def had_before(self, kind: str, label: str, place: Any) -> bool:
        """Whether it was registered by the code that this one takes the place of."""

    def keep(self) -> None:
        """Let what is registered now stay, whatever happens."""


current_registrar: ContextVar[Registrar | None] = ContextVar("plugbook_registrar", default=None)
"""Set while a cell runs, for its own code and the tasks it creates."""


@contextmanager
def noted(
    owner: T,
    registrar: Registrar | None,
    kind: str,
    label: str,
    look: Callable[[T], V],
    put: Callable[[T, V, str], object],
) -> Iterator[None]:
    """Tell of what is set inside; taking it back puts what was there before, unless it was set anew since.

    Args:
        owner: whose it is; told of, it is not kept alive.
        registrar: who is told, if anybody.
        kind: what is set, such as ``policy``.
        label: of what, such as ``of billing``.
        look: gives what is set.
        put: sets it, given the value and a reason.
    """
    before = look(owner)
    yield
    after = look(owner)
    if registrar is None or after == before:
        return

    def undo(owner: T, reason: str) -> Redo | None:
        if look(owner) != after:
            return None
        put(owner, before, reason)
        return partial(put, owner, after)

    registrar.note(Registration(kind, label, weakref.ref(owner), undo))


@contextmanager
def unscoped() -> Iterator[None]:
    """What is registered inside belongs to no cell."""
    token = current_registrar.set(None)
    try:
        yield
    finally:
        current_registrar.reset(token)
