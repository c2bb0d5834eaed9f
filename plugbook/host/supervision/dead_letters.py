"""What a plugin missed: the events that its handlers would have got while it was not to be called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, overload

from plugbook.trace.record import show_seq
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event
    from plugbook.events.subscription import Target

MOST_LETTERS: Final = 1_000
"""How many events are kept for one plugin where the host was not told otherwise."""

COLUMNS: Final = ("seq", "topic", "handler", "why", "when")

_MOST_LINES: Final = 40


@dataclass(frozen=True, slots=True, eq=False)
class DeadLetter:
    """One event that one handler has missed.

    Attributes:
        seq: the event's number in the recording; 0 where nothing is recorded.
        topic: its topic.
        handler: who would have got it, such as ``Billing.bill``.
        why: why that was not called, such as ``paused``.
        time_ns: when, ns since the epoch.
        event: the event itself.
        plugin: whose handler it is.
        sender: the plugin that published the event, or ``""``.
        root: the top of the event's causal tree; 0 where nothing is recorded.
        target: what the handler listens to.
        number: counts the dead letters of the host.
    """

    seq: int
    topic: str
    handler: str
    why: str
    time_ns: int
    event: Event
    plugin: str
    sender: str
    root: int
    target: Target
    number: int

    @property
    def cells(self) -> tuple[str, ...]:
        """One line of a table, by `COLUMNS`."""
        when = datetime.fromtimestamp(self.time_ns / 1e9).astimezone().strftime("%H:%M:%S")
        return show_seq(self.seq) if self.seq else "", self.topic, self.handler, self.why, when

    def __str__(self) -> str:
        return "  ".join(self.cells)


class DeadLetters(Sequence[DeadLetter]):
    """The dead letters of one plugin as they were when it was asked for them, oldest first; a slice is one, too.

    Attributes:
        plugin: whose.
        dropped: how many more there would be, had they not been muted or too many.
    """

    def __init__(self, plugin: str, letters: Iterable[DeadLetter] = (), dropped: int = 0) -> None:
        self.plugin = plugin
        self.dropped = dropped
        self._letters = tuple(letters)

    @overload
    def __getitem__(self, index: int) -> DeadLetter: ...
    @overload
    def __getitem__(self, index: slice) -> DeadLetters: ...
    def __getitem__(self, index: int | slice) -> DeadLetter | DeadLetters:
        if isinstance(index, slice):
            return DeadLetters(self.plugin, self._letters[index])
        return self._letters[index]

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(self._letters)

    @property
    def title(self) -> str:
        """How many there are, in words."""
        counted = count_text(len(self), "dead letter") if self else "no dead letters"
        dropped = f", and {self.dropped:,} dropped" if self.dropped else ""
        return f"{self.plugin}: {counted}{dropped}"

    def __repr__(self) -> str:
        rows = [COLUMNS, *(letter.cells for letter in self[:_MOST_LINES])] if self else []
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        more = [f"  ... and {len(self) - _MOST_LINES:,} more"] if len(self) > _MOST_LINES else []
        return "\n".join([self.title, *lines, *more])


@dataclass(frozen=True, slots=True)
class Redelivered:
    """What became of dead letters that were delivered again.

    Attributes:
        reports: of each delivery, in the order in which the events had been missed.
        kept: how many stayed dead letters, since the handler that missed them is not there, or not to be called.
    """

    reports: tuple[Report, ...] = ()
    kept: int = 0

    def __iter__(self) -> Iterator[Report]:
        return iter(self.reports)

    def __len__(self) -> int:
        return len(self.reports)

    def __str__(self) -> str:
        outcomes = [report.outcome for report in self.reports]
        counted = ", ".join(f"{outcomes.count(each):,} {each}" for each in dict.fromkeys(outcomes))
        told = f"redelivered {len(self):,}: {counted}" if self else "nothing was redelivered"
        return told + (f"; kept {self.kept:,}, whose handler cannot be called" if self.kept else "")

    __repr__ = __str__
