"""What became of a replay: how many events were published, and where the handlers did not do what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from plugbook.trace.record import show_seq
from plugbook.trace.units import count_text

MOST_KEPT: Final = 200
"""How many differences and skipped events are kept; all of them are counted."""

_MOST_SHOWN: Final = 5


class Difference(NamedTuple):
    """An event that handlers published, or an effect that they asked for, otherwise than in the recording.

    Attributes:
        kind: ``differs`` in its payload; ``missing`` if only the recording has it, ``extra`` if only the replay.
        topic: its topic; of an effect its name.
        event: seq of the recorded event whose handler it came of; of an effect in `start`, of that transition.
        handler, plugin: which handler, and who owns it.
        seq: its own seq in the recording, or None if it is extra.
        recorded, replayed: its payload here and there as JSON text, ``""`` where there is none; of an effect the
            arguments.
    """

    kind: Literal["differs", "missing", "extra"]
    topic: str
    event: int
    handler: str
    plugin: str
    seq: int | None
    recorded: str
    replayed: str

    def __str__(self) -> str:
        where = show_seq(self.event if self.seq is None else self.seq)
        values = " -> ".join(text for text in (self.recorded, self.replayed) if text)
        return f"{self.kind} {where} {self.topic} of {self.handler}: {values}"[:160]


class Skipped(NamedTuple):
    """What was recorded and is not done again: an event, an effect without its result, a change of options.

    Attributes:
        seq: of its record.
        topic: its topic; of an effect its name; of a change what was changed.
        reason: why not; of a change, what it was.
    """

    seq: int
    topic: str
    reason: str

    def __str__(self) -> str:
        return f"{show_seq(self.seq)} {self.topic}: {self.reason}"


@dataclass(frozen=True)
class GivenBack:
    """What became of the effects that plugins asked for; the words are those of `Result`.

    Attributes:
        matched: how many were given back to one that asked the same.
        differs: how many to one with other arguments; `missing`: how many nobody asked for.
        extra: how many were asked for that the recording does not have; they were refused.
        lost: how many were asked for as recorded, but have no result that could be given back.
        differences, losses: the first of them.
    """

    matched: int = 0
    differs: int = 0
    missing: int = 0
    extra: int = 0
    lost: int = 0
    differences: tuple[Difference, ...] = ()
    losses: tuple[Skipped, ...] = ()

    @property
    def same(self) -> bool:
        """Whether plugins asked for what they had asked for in the recording, and were given it."""
        return not (self.differs or self.missing or self.extra or self.lost)


@dataclass(frozen=True)
class Result:
    """What a player has done so far.

    Attributes:
        events: how many events were passed; `published` how many of them reached the bus.
        calls: how many handler calls they led to; `errors` how many of those failed.
        unhandled: how many of them no handler wanted.
        matched: how many events that handlers published are those of the recording.
        differs, missing, extra: how many are not; see `Difference`. One is `missing` as soon as its place was
            passed, and `extra` when the end was reached without it.
        effects: what became of the effects that plugins asked for; none was performed.
        held: how many events of background tasks were held back; they have nothing to be compared with.
        skipped: how many events could not be published again.
        differences, skips: the first of them; of `differences`, those that differ before the others.
        unapplied: how options were changed from outside meanwhile; the plugins of this host keep theirs.
        remarks: what a person should know of a topic's class, by topic.
    """

    events: int = 0
    published: int = 0
    calls: int = 0
    errors: int = 0
    unhandled: int = 0
    matched: int = 0
    differs: int = 0
    missing: int = 0
    extra: int = 0
    held: int = 0
    skipped: int = 0
    differences: tuple[Difference, ...] = ()
    skips: tuple[Skipped, ...] = ()
    effects: GivenBack = field(default_factory=GivenBack)
    unapplied: tuple[Skipped, ...] = ()
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether handlers published and asked for what they had in the recording, and nothing was skipped."""
        return self.effects.same and not (self.differs or self.missing or self.extra or self.skipped)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.published:,} published, {count_text(self.calls, 'call')}, {count_text(self.errors, 'error')}"
        yield from _compared("published by handlers", self)
        yield from _compared("effects given back", self.effects)
        if self.effects.lost:
            yield f"  effects whose results could not be given back: {self.effects.lost:,}"
            yield from _listed(self.effects.losses, self.effects.lost)
        if self.unapplied:
            yield f"  options changed in the recording, and not here: {len(self.unapplied):,}"
            yield from _listed(self.unapplied, len(self.unapplied))
        if self.held:
            yield f"  held back from background tasks: {self.held:,}"
        if self.skipped:
            yield f"  could not be published again: {self.skipped:,}"
            yield from _listed(self.skips, self.skipped)
        for topic, remark in self.remarks.items():
            yield f"  {topic}: {remark}"

    __repr__ = __str__


def _compared(what: str, found: Result | GivenBack) -> Iterator[str]:
    differing = found.differs + found.missing + found.extra
    if found.matched or differing:
        yield (
            f"  {what}: {found.matched:,} as recorded, {found.differs:,} differ, "
            f"{found.missing:,} missing, {found.extra:,} extra"
        )
        yield from _listed(found.differences, differing)


def _listed(items: tuple[object, ...], count: int) -> Iterator[str]:
    for item in items[:_MOST_SHOWN]:
        yield f"    {item}"
    if count > _MOST_SHOWN:
        yield f"    and {count - _MOST_SHOWN:,} more"
