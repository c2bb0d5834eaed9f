"""A recording at a glance: what is in it, what it is good for, and what recording it has cost."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from plugbook.trace.reading.tree import describe_failure, show_duration
from plugbook.trace.record import Record, show_seq
from plugbook.trace.telling import first_line
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    import pandas as pd

    from plugbook.trace.reading.recording import Recording

_MOST_SHOWN: Final = 5
_TELLING_SPAN_NS: Final = 1_000_000_000
"""Opening and closing a file take milliseconds: set against a shorter span they would say nothing."""


@dataclass
class Summary:
    """What ``recording.summary()`` says; ``str()`` is for reading.

    Attributes:
        path: the file, or "in memory".
        counts: number of records of each kind that occurs.
        topics: number of events of each topic, most frequent first.
        start_ns, span_ns: time of the first record since the epoch, and from there to the last; marks do not count.
        handlers: how long each handler took, slowest in all first; see `handler_times`.
        errors: the first calls and transitions that failed; `error_count` counts them all.
        allows: what can be done with the recording -> ``""``, or why not and what to do next time.
        overhead: the share of the time span that recording took from the program, as far as it was measured.
        overhead_ns: the same in ns.
        dropped: how many of the oldest rows were given up.
        remark: what should be done about the file, or ``""``.
    """

    path: str
    counts: dict[str, int]
    topics: dict[str, int]
    start_ns: int
    span_ns: int
    handlers: pd.DataFrame
    errors: list[Record]
    error_count: int
    allows: dict[str, str]
    overhead: float
    overhead_ns: int
    dropped: int = 0
    remark: str = ""
    origin: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> list[str]:
        counts = ", ".join(count_text(count, kind) for kind, count in self.counts.items())
        lines = [f"{self.path}: {counts or 'nothing recorded'}"]
        if self.counts:
            lines.append(f"  span      {show_duration(self.span_ns)}")
        if self.topics:
            shown = [f"{topic} {count:,}" for topic, count in list(self.topics.items())[:_MOST_SHOWN]]
            lines.append(f"  topics    {', '.join(shown)}{_more(len(self.topics))}")
        for at, row in enumerate(self.handlers.head(_MOST_SHOWN).to_dict("records")):
            lead = "  slowest   " if at == 0 else " " * 12
            lines.append(lead + _handler_line(row))
        for at, record in enumerate(self.errors):
            lead = "  errors    " if at == 0 else " " * 12
            lines.append(f"{lead}#{show_seq(record.seq)} {record.name}: {_error_line(record)}")
        if self.error_count > len(self.errors):
            lines.append(f"{'':12}and {self.error_count - len(self.errors):,} more: select(outcome='error')")
        lines += self._allowed()
        share = f", {self.overhead:.1%} of the span" if self.span_ns >= _TELLING_SPAN_NS else ""
        lines.append(f"  recording took {show_duration(self.overhead_ns)}{share}")
        if self.dropped:
            lines.append(f"  the oldest {self.dropped:,} rows were dropped")
        return [*lines, f"  {self.remark}"] if self.remark else lines

    def _allowed(self) -> list[str]:
        if self.counts and len(set(self.allows.values())) == 1:
            return [f"  {', '.join(self.allows)}: {next(iter(self.allows.values())) or 'yes'}"]
        return [f"  {what:<10}{reason or 'yes'}" for what, reason in self.allows.items()]


def _handler_line(row: dict[Hashable, Any]) -> str:
    total, median, longest = (show_duration(row[column]) for column in ("total_ns", "p50_ns", "max_ns"))
    calls = count_text(row["calls"], "call")
    return f"{row['name']}: {total} in {calls}, median {median}, longest {longest}"


def _more(count: int) -> str:
    return f" and {count - _MOST_SHOWN} more" if count > _MOST_SHOWN else ""


def _error_line(record: Record) -> str:
    return describe_failure(record.error) if isinstance(record.error, dict) else first_line(record.reason)


def summarise(recording: Recording) -> Summary:
    """Sum a recording or a selection of it up."""
    from plugbook.trace.reading.metrics import handler_times

    handlers = handler_times(recording)
    topics = recording.events(columns=("topic",))["topic"].value_counts()
    counts = recording.counts()
    failed = recording.select(outcome="error")
    failures = failed.counts()
    errors = [record for record, _ in zip(_failures(failed), range(_MOST_SHOWN), strict=False)]
    info = recording.info
    overhead_ns = _overhead_ns(recording)
    first_ns, last_ns = recording.span
    return Summary(
        path=info["path"] or "in memory",
        counts={kind: count for kind, count in counts.items() if count},
        topics={str(topic): int(count) for topic, count in topics.items()},
        start_ns=first_ns,
        span_ns=last_ns - first_ns,
        handlers=handlers,
        errors=errors,
        error_count=sum(failures.values()) - failures["event"],
        allows=_allows(recording, info, has_checkpoints=counts["checkpoint"] > 0),
        overhead=overhead_ns / (last_ns - first_ns) if last_ns > first_ns else 0.0,
        overhead_ns=overhead_ns,
        dropped=recording.dropped,
        remark=" ".join([info["remark"], *recording.unknown_names]).strip(),
        origin=info["origin"],
    )


def _failures(failed: Recording) -> Iterator[Record]:
    """What failed itself: an event only tells that one of its calls did."""
    return (record for record in failed.records() if record.kind != "event")


def _overhead_ns(recording: Recording) -> int:
    """Time spent on writing, which was measured, and on taking clock readings, of which one was measured."""
    writing, readings = recording.recorder_work
    return writing + int(readings * recording.facts("meta").get("reading_ns", 0))


def _allows(recording: Recording, info: dict[str, Any], *, has_checkpoints: bool) -> dict[str, str]:
    kept = info["options"].get("payloads", "full")
    system = recording.facts("origin").get("plugin_system", {}).get("system")
    replay = ""
    if system:
        replay = f"no: these are calls of {system}; what can be run again is recorded by host.record(path)"
    elif kept != "full":
        replay = f"no: payloads were recorded as {kept!r}; record with payloads='full'"
    elif cut := recording.cut_payloads:
        replay = f"in part: {cut:,} payloads were cut; record with a larger cap_bytes="
    travel = "" if has_checkpoints else "by replaying from the start: it holds no checkpoints"
    return {"replay": replay, "travel": replay or travel, "what-if": replay}
