"""Choosing records: the words of ``select``, as SQL over the rows and as a test of one record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, SupportsIndex

from plugbook.errors import SelectionError, suggestion
from plugbook.trace.record import BLOCK, KINDS, OUTCOMES, Record, parse_seq, show_seq

if TYPE_CHECKING:
    from plugbook.trace.reading.reader import Reader

LAST_SEQ: Final = (1 << 62) - 1

Names = str | Iterable[str] | None
SeqChoice = int | str | tuple[int | str | None, int | str | None] | slice | None
Moment = datetime | str | int | float | None
TimeChoice = tuple[Moment, Moment] | slice | None
Where = str | Callable[[Record], Any] | None


class Numbered(Protocol):
    """What has the number of a record, as a report and its calls have, and a record itself."""

    @property
    def seq(self) -> int:
        """That number."""


@dataclass(frozen=True)
class Criterion:
    """What one ``select`` asks for; a record has to meet all of it.

    Attributes:
        topics: patterns of the event's topic; calls go with their event.
        plugins: patterns of the record's plugin.
        kinds: kinds of record.
        outcomes: outcomes of the record.
        seqs: first and last seq.
        moments: first and last moment, None where open; a call goes with its event.
        where: an SQL condition on the columns of the view ``records``, or a function of a `Record`.
    """

    topics: tuple[str, ...] | None = None
    plugins: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    outcomes: tuple[str, ...] | None = None
    seqs: tuple[int, int] = (0, LAST_SEQ)
    moments: tuple[Moment, Moment] = (None, None)
    where: Where = None

    @cached_property
    def topic_patterns(self) -> Patterns | None:
        """The topics that are asked for; None where all are."""
        return None if self.topics is None else Patterns(self.topics)

    @cached_property
    def plugin_patterns(self) -> Patterns | None:
        """The plugins that are asked for; None where all are."""
        return None if self.plugins is None else Patterns(self.plugins)

    def accepts(self, record: Record, topic: str | None) -> bool:
        """Whether a record meets everything but the moments and `where`, which the rows are asked for.

        Args:
            record: any record.
            topic: of an event or a call, its event's topic; None for other kinds.
        """
        return (
            (self.kinds is None or record.kind in self.kinds)
            and (self.outcomes is None or record.outcome in self.outcomes)
            and self.seqs[0] <= record.seq <= self.seqs[1]
            and (self.topic_patterns is None or (topic is not None and topic in self.topic_patterns))
            and (self.plugin_patterns is None or record.plugin in self.plugin_patterns)
        )


WORDS: Final = ("topics", "plugins", "kinds", "outcome", "seq", "time", "where")
"""What ``select`` can be asked for."""


def refuse_words(words: Iterable[str]) -> None:
    """Refuse words that ``select`` does not have.

    Raises:
        SelectionError: there are some; it names the nearest of those there are.
    """
    for word in words:
        msg = f"select has no word {word!r}.{suggestion(word, WORDS)} Its words are: {', '.join(WORDS)}."
        raise SelectionError(msg)


def criterion(
    topics: Names,
    plugins: Names,
    kinds: Names,
    outcome: Names,
    seq: SeqChoice,
    time: TimeChoice,
    where: Where,
) -> Criterion:
    """Check the words of a ``select``.

    Raises:
        SelectionError: a kind or outcome does not exist, or a seq or time is not one.
    """
    if where is not None and not isinstance(where, str) and not callable(where):
        msg = f"where= takes a function of a record or an SQL condition, and {where!r} is neither."
        raise SelectionError(msg)
    return Criterion(
        topics=_names("topics", topics),
        plugins=_names("plugins", plugins),
        kinds=_words("kind", kinds, KINDS),
        outcomes=_words("outcome", outcome, OUTCOMES),
        seqs=_seqs(seq),
        moments=_moments(time),
        where=where,
    )


class Patterns:
    """Several names with dots: ``*`` is one segment or a part of one, ``**`` any number of segments, also none.

    >>> chosen = Patterns(("order.**",))
    >>> [topic in chosen for topic in ("order", "order.placed.late", "orders")]
    [True, True, False]
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        # Every segment is matched with the dot before it, so that ** can stand for nothing at all.
        self._expression = re.compile(
            "|".join("".join(map(_segment, pattern.split("."))) for pattern in patterns) or "(?!)", re.DOTALL
        )

    def __contains__(self, name: str) -> bool:
        return self._expression.fullmatch(f".{name}") is not None


def _segment(segment: str) -> str:
    if segment == "**":
        return r"(?:\.[^.]*)*"
    return r"\." + "[^.]*".join(re.escape(part) for part in segment.split("*"))


def _names(word: str, names: Names) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str):
        return (names,)
    chosen: tuple[object, ...] = tuple(names) if hasattr(names, "__iter__") else (names,)
    for name in chosen:
        if not isinstance(name, str):
            msg = f"{word}= takes one name or several, and {name!r} is no text. Write it as {word}='...'."
            raise SelectionError(msg)
    return tuple(map(str, chosen))


def _words(what: str, names: Names, known: Sequence[str]) -> tuple[str, ...] | None:
    words = _names("outcome" if what == "outcome" else f"{what}s", names)
    if words is None:
        return None
    chosen: list[str] = []
    for word in words:
        patterns = Patterns((word,))
        found = [name for name in known if name in patterns]
        if not found:
            msg = f"There is no {what} {word!r}.{suggestion(word, known)}"
            raise SelectionError(msg)
        chosen += found
    return tuple(chosen)


def _seqs(choice: SeqChoice) -> tuple[int, int]:
    if choice is None:
        return 0, LAST_SEQ
    if isinstance(choice, slice):
        if choice.step is not None:
            msg = "seq= takes a slice without a step, such as slice('10', '20')."
            raise SelectionError(msg)
        first, stop = _bound(choice.start, 0), _bound(choice.stop, LAST_SEQ + 1)
        return first, _not_before(first, stop) - 1
    if isinstance(choice, tuple) and len(choice) != 2:
        msg = f"seq= takes one seq, (first, last) or a slice, and {choice!r} has {len(choice)} parts."
        raise SelectionError(msg)
    begin, end = choice if isinstance(choice, tuple) else (choice, choice)
    first, last = _bound(begin, 0), _bound(end, LAST_SEQ)
    # An event's own number stands for the event with its calls.
    last = last if last % BLOCK else last + BLOCK - 1
    return first, _not_before(first, last)


def _bound(seq: int | str | None, otherwise: int) -> int:
    """One end of a range of seqs.

    Raises:
        SelectionError: it is an int that no record ever has, as when somebody types what a tree shows.
    """
    if seq is None:
        return otherwise
    number = min(seq_number(seq), LAST_SEQ)  # beyond, SQLite has no number for it
    if not isinstance(seq, str) and 0 < number < BLOCK:
        msg = f"seq={number} is no record's number. Write {str(number)!r}, as trees show it; frames hold {number * BLOCK}."
        raise SelectionError(msg)
    return number


def _not_before(first: int, last: int) -> int:
    if last < first:
        msg = f"seq= goes backwards, from {show_seq(first)} to {show_seq(last)}. Write the lower one first."
        raise SelectionError(msg)
    return last


def seq_number(seq: int | str | Numbered) -> int:
    """A seq as a number: from the number itself, from what people see, such as ``"10.3"``, or from what has one.

    Raises:
        SelectionError: it is none of these.
    """
    if isinstance(seq, str):
        try:
            return parse_seq(seq)
        except ValueError as error:
            raise SelectionError(str(error)) from error
    number = getattr(seq, "seq", seq)
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        msg = f"{seq!r} is not a seq: give the number, or the text shown in the log, such as '10.3'."
        raise SelectionError(msg)
    return number.__index__()


def _moments(choice: TimeChoice) -> tuple[Moment, Moment]:
    if choice is None:
        return None, None
    if isinstance(choice, slice):
        return choice.start, choice.stop
    if isinstance(choice, tuple) and len(choice) == 2:  # type: ignore[redundant-expr]  # callers are people
        return choice
    msg = (
        "time= takes two moments, (first, last), either may be None: a datetime, ISO text, ns since the epoch as int, "
        "or seconds since the recording's start as float."
    )
    raise SelectionError(msg)


def moment_ns(moment: Moment, start_ns: int) -> int:
    """A moment in ns since the epoch; without a time zone it is UTC, as the frames show it.

    Raises:
        SelectionError: it is not a moment.
    """
    if isinstance(moment, float):
        return start_ns + round(moment * 1e9)
    if isinstance(moment, int) and not isinstance(moment, bool):
        return moment
    import pandas as pd

    try:
        stamp = pd.Timestamp(moment)  # type: ignore[arg-type]  # it says itself what it cannot take
        stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
        return int(stamp.as_unit("ns").value)
    except (TypeError, ValueError) as error:
        msg = f"{moment!r} is not a moment: {error}. Write it as 2026-01-31T12:00:00."
        raise SelectionError(msg) from error


@dataclass(frozen=True)
class RowFilter:
    """A condition on the table ``rows`` with its values."""

    text: str
    values: tuple[Any, ...]


class Selection:
    """Several criteria at once, on one recording; times and names are looked up anew each time it is read."""

    def __init__(
        self, reader: Callable[[], Reader], criteria: tuple[Criterion, ...] = (), within: str = ""
    ) -> None:
        self.reader = reader
        self.criteria = criteria
        self._within = within

    def narrowed(self, more: Criterion) -> Selection:
        """This selection with one more criterion."""
        return Selection(self.reader, (*self.criteria, more), self._within)

    def limited_to(self, rows: str) -> Selection:
        """This selection, of the rows alone that meet an SQL condition of ours."""
        return Selection(
            self.reader, self.criteria, f"{self._within} AND ({rows})" if self._within else f"({rows})"
        )

    def resolved(self, seqs: Iterable[int]) -> Selection:
        """The rows of these seqs, which were found to be all that is chosen."""
        return Selection(self.reader, (), _is_one_of("seq", sorted(seqs))[0])

    @property
    def everything(self) -> bool:
        """Whether nothing is asked for."""
        return not self.criteria and not self._within

    @property
    def functions(self) -> list[Callable[[Record], Any]]:
        """The functions given as ``where=``."""
        return [
            each.where for each in self.criteria if each.where is not None and not isinstance(each.where, str)
        ]

    @property
    def conditions(self) -> list[str]:
        """The SQL conditions given as ``where=``."""
        return [each.where for each in self.criteria if isinstance(each.where, str)]

    def accepts(self, record: Record, topic: str | None) -> bool:
        """Whether a record of a row that `rows` gave is chosen, as far as `conditions` do not say."""
        return all(each.accepts(record, topic) for each in self.criteria) and all(
            function(record) for function in self.functions
        )

    def rows(self, kind: str | None = None) -> RowFilter:
        """The rows that hold chosen records.

        Args:
            kind: of the records wanted. Of ``call`` the rows of their events are given, of which some calls may not
                be chosen; of None the rows that may hold any chosen record; of others exactly the chosen ones.
        """
        reader = self.reader()
        parts: list[str] = []
        values: list[Any] = []
        if self._within:
            parts.append(self._within)
        if kind is not None:
            parts.append("kind = ?")
            values.append(KINDS.index("event" if kind == "call" else kind))
        for each in self.criteria:
            for text, more in self._parts(each, kind, reader):
                parts.append(text)
                values += more
        return RowFilter(" AND ".join(parts) or "1", tuple(values))

    def _parts(self, each: Criterion, kind: str | None, reader: Reader) -> Iterable[tuple[str, list[Any]]]:
        exact = kind not in (None, "call")
        if each.kinds is not None:
            kinds = set(each.kinds) if kind is None else set(each.kinds) & {kind}
            rows = {"event" if name == "call" else name for name in kinds}
            yield _is_one_of("kind", [KINDS.index(name) for name in rows])
        if each.topic_patterns is not None:
            yield "kind = 0", []
            yield _is_one_of("name", _matching(each.topic_patterns, reader))
        if each.plugin_patterns is not None:
            yield _has_plugins(each.plugin_patterns, exact, reader)
        if each.outcomes is not None:
            yield _has_outcomes(each.outcomes, exact)
        if each.seqs != (0, LAST_SEQ):
            yield _holds_seqs(each.seqs, exact, reader)
        if each.moments != (None, None):
            yield "seq BETWEEN ? AND ?", list(seqs_between(reader, each.moments))


def _has_plugins(patterns: Patterns, exact: bool, reader: Reader) -> tuple[str, list[Any]]:
    own, _ = _is_one_of("plugin", _matching(patterns, reader))
    if exact:
        return own, []
    plans = reader.dictionaries().plans
    calling, _ = _is_one_of(
        "plan", [id_ for id_, plan in plans.items() if any(s.plugin in patterns for s in plan.sites)]
    )
    return f"({own} OR {calling})", []


def _has_outcomes(outcomes: tuple[str, ...], exact: bool) -> tuple[str, list[Any]]:
    """Where calls count, too: a call is ok, or open in an open event, unless the notes say otherwise."""
    own, _ = _is_one_of("outcome", [OUTCOMES.index(name) for name in outcomes])
    if exact:
        return own, []
    of_calls = "errors > 0" if set(outcomes) == {"error"} else "notes != ''"
    if "ok" in outcomes:
        of_calls = "called > 0"
    elif "open" in outcomes:
        of_calls += f" OR outcome = {OUTCOMES.index('open')}"
    return f"({own} OR {of_calls})", []


def _holds_seqs(seqs: tuple[int, int], exact: bool, reader: Reader) -> tuple[str, list[Any]]:
    first, last = seqs
    if exact:
        return "seq BETWEEN ? AND ?", [first, last]
    blocks = reader.dictionaries().blocks
    events = {event for block, event in blocks.items() if block <= last and block + BLOCK > first}
    text, values = _is_one_of("seq", sorted(events))
    return f"(seq BETWEEN ? AND ? OR {text})", [first - first % BLOCK, last, *values]


def _is_one_of(column: str, values: list[int]) -> tuple[str, list[Any]]:
    # Numbers as text: a selection may choose more names than SQLite takes values.
    return f"{column} IN ({','.join(str(int(value)) for value in values)})", []


def _matching(patterns: Patterns, reader: Reader) -> list[int]:
    return [id_ for id_, text in reader.dictionaries().names.items() if text in patterns]


def seqs_between(reader: Reader, moments: tuple[Moment, Moment]) -> tuple[int, int]:
    """The first and last seq of the rows between two moments, both included.

    Raises:
        SelectionError: one of them is no moment, or the second is before the first.
    """
    start = reader.query("SELECT time_ns FROM rows ORDER BY seq LIMIT 1")
    if not start:
        return 0, -1
    begin, end = moments
    begin_ns = None if begin is None else moment_ns(begin, start[0][0])
    end_ns = None if end is None else moment_ns(end, start[0][0])
    if begin_ns is not None and end_ns is not None and end_ns < begin_ns:
        msg = f"time= goes backwards, from {begin} to {end}. Write the earlier moment first."
        raise SelectionError(msg)
    first = 0 if begin_ns is None else first_at(reader, begin_ns)
    last = None if end_ns is None else first_at(reader, end_ns + 1)
    return (LAST_SEQ if first is None else first), (LAST_SEQ if last is None else last - 1)


def first_at(reader: Reader, time_ns: int) -> int | None:
    """The first seq whose time is not before `time_ns`, by binary search; None where all are before it."""
    found = None
    with reader.transaction():
        low, high = reader.query("SELECT (SELECT min(seq) FROM rows), (SELECT max(seq) FROM rows)")[0]
        while low is not None and low <= high:
            middle = (low + high) // 2
            row = reader.query(
                "SELECT seq, time_ns FROM rows WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
            )[0]
            if row[1] >= time_ns:
                found, high = row[0], middle - 1
            else:
                low = row[0] + 1
    return found
