"""The events of a recording in the order in which they were delivered, with a cursor that can be moved."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, cast

from plugbook.trace.reading.selection import LAST_SEQ
from plugbook.trace.record import BLOCK, KINDS, OUTCOMES, CallSite

if TYPE_CHECKING:
    from plugbook.trace.reading.reader import Dictionaries, Reader
    from plugbook.trace.reading.recording import Recording

_EVENT: Final = KINDS.index("event")
_STATE: Final = KINDS.index("state")
_CHANGE: Final = KINDS.index("change")
_OK: Final = OUTCOMES.index("ok")
_OPEN: Final = OUTCOMES.index("open")
_SKIPPED: Final = OUTCOMES.index("skipped")
_CHUNK_ROWS: Final = 2_000
_MEMORY_ROWS: Final = 50_000
"""A recording in memory gives up its oldest rows, so that it is read in one go."""

_ASKED: Final = """iif(instr(notes, '"asked":"'), json_extract(notes, '$.asked'), NULL)"""
_DELIVERED: Final = f"NOT (outcome = {_SKIPPED} AND called = 0)"

_COLUMNS: Final = (
    f"seq, time_ns, iif(called = 0 AND outcome = {_OPEN}, {LAST_SEQ}, time_ns + queued_ns), "
    "name, plugin, parent, plan, payload"
)
_started = itemgetter(2)


Row = tuple[int, int, int, int, int, int | None, int | None, str, str]
"""One recorded event, as it is stored: a plain tuple, for there are many and the garbage collector passes those.

Its seq; when it was published and when its first handler started, in ns; topic and plugin by number; its parent
or None; the plan of its handlers by number; its payload as JSON text; how it is to be played: ``publish``, or by
asking for the ``first`` answer or ``all``, or ``""`` where it is only there to be compared with.
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a player stands: between two events.

    Attributes:
        index: how many of the chosen events lie before it.
        seq: the event that comes next, or None at the end.
        previous: the event just before it, or None at the start.
        time_ns: when the next event was published, or at the end the last one, since the epoch.
    """

    index: int
    seq: int | None
    previous: int | None
    time_ns: int


class Stream:
    """The chosen events of a recording, and those between them.

    What is recorded after the stream was made is not part of it: a host may replay what it is recording.

    Args:
        recording: the recording, or a selection of it.
        is_live: whether the events go to handlers, so that what reached nobody is not played.

    Attributes:
        total: how many events are chosen.
        index: how many of them lie before the cursor; `previous` is the seq of the last of those.
        known: what rows refer to by number, up to date for the rows that were read.
    """

    def __init__(self, recording: Recording, *, is_live: bool = False) -> None:
        recording.flush()
        self._recording = recording
        self._is_chosen, self._values, is_costly = _condition(recording)
        if is_live:
            self._is_chosen = f"({self._is_chosen}) AND {_DELIVERED}"
        self._size = _MEMORY_ROWS if recording.path is None or is_costly else _CHUNK_ROWS
        self._last = int(self._query(f"SELECT coalesce(max(seq), 0) FROM rows WHERE kind = {_EVENT}")[0][0])
        self.total, self._first, _ = self._bounds(self._last)
        self.known: Dictionaries = self._reader.dictionaries()
        self.index = 0
        self.previous: int | None = None
        self.seek(0)

    # -- reading ----------------------------------------------------------------------------------

    def peek(self) -> Row | None:
        """The row that comes next, or None at the end."""
        return self.rows[self.at] if self.at < len(self.rows) or self._load() else None

    def pass_over(self, row: Row) -> None:
        """Go on behind the row that `peek` gave."""
        self.at += 1
        if row[8]:
            self.index += 1
            self.previous = row[0]

    def ahead(self) -> Iterator[Row]:
        """The rows behind the cursor, which stays where it is."""
        distance = 0
        while self.at + distance < len(self.rows) or self._load():
            yield self.rows[self.at + distance]
            distance += 1

    @property
    def has_chosen(self) -> bool:
        """Whether any chosen event is left."""
        return self.index < self.total

    @property
    def position(self) -> Position:
        """Where the cursor stands; may be asked on any thread."""
        following = self._next_chosen()
        if following is not None:
            return Position(self.index, following[0], self.previous, following[1])
        last = self._query("SELECT time_ns FROM rows WHERE seq = ?", self.previous or 0)
        return Position(self.index, None, self.previous, last[0][0] if last else 0)

    def seek(self, seq: int) -> None:
        """Put the cursor before the first chosen event whose seq is not below `seq`."""
        self.rows: list[Row] = []
        self.at = 0
        self._read = max(seq, self._first) - 1
        self.index, _, self.previous = self._bounds(min(seq - 1, self._last))

    def first_at(self, moment: Any) -> int:
        """The seq to `seek` for the first event at or after a moment."""
        found = self._recording.seek(time=moment)
        return self._last + 1 if found is None else found

    # -- what rows refer to -------------------------------------------------------------------------

    def site(self, event: int, plan: int | None, call: int) -> CallSite | None:
        """Which handler a call was, given its event and the plan of that event.

        Returns:
            None where the recording does not say.
        """
        stored = self.known.plans.get(plan or 0)
        if stored is None:
            return None
        if stored.layout == "spans":  # such a plan may be called in any order
            record = self._recording[call]
            return CallSite(record.name, record.plugin)
        index = call - event - 1
        if not 0 <= index < BLOCK - 1:
            blocks = sorted(first for first, owner in self.known.blocks.items() if owner == event)
            index = (blocks.index(call - call % BLOCK) + 1) * (BLOCK - 1) + call % BLOCK - 1
        return stored.sites[index]

    def version(self, plan: int | None) -> int:
        """Of the schema of the events that a plan is for; 0 where the recording does not say."""
        stored = self.known.plans.get(plan or 0)
        return stored.version if stored is not None else 0

    def payload(self, seq: int) -> str:
        """The JSON text of an event's payload."""
        return str(self._query("SELECT payload FROM rows WHERE seq = ?", seq)[0][0])

    def schemas(self) -> list[tuple[int, str, int]]:
        """Since which seq a topic has had which version."""
        found = self._query("SELECT seq, name FROM facts WHERE what = 'schema' ORDER BY seq")
        split = [(seq, *name.rpartition("@")) for seq, name in found]
        return [(seq, topic, int(version)) for seq, topic, _, version in split if version.isdecimal()]

    def redeliveries(self) -> list[tuple[int, int, tuple[str, str]]]:
        """The events that a handler has missed: their seq, that of its later delivery, and plugin and name of it."""
        name = self._query("SELECT id FROM names WHERE text = 'redeliver'")
        if not name:
            return []
        changes = f"SELECT seq, parent FROM rows WHERE kind = {_CHANGE} AND name = ? AND seq <= ?"
        # The change is written when the event has its row, and before its handler runs.
        delivered = f"SELECT seq, plan FROM rows WHERE kind = {_EVENT} AND parent = ? AND seq < ? ORDER BY seq DESC LIMIT 1"
        plans = self._reader.dictionaries().plans
        found = []
        for seq, event in self._query(changes, name[0][0], self._last):
            for again, plan in self._query(delivered, event, seq):
                site = plans[plan].sites[-1]
                found.append((event, again, (site.plugin, site.name)))
        return found

    def reconfigured(self) -> list[tuple[int, str, str]]:
        """The changes of options that were made from outside, behind the first chosen event: seq, plugin, payload."""
        return self._query(
            "SELECT r.seq, p.text, r.payload FROM rows r JOIN names p ON p.id = r.plugin JOIN names n ON n.id = r.name "
            f"WHERE r.kind = {_CHANGE} AND n.text = 'configure' AND r.outcome = {_OK} AND r.parent IS NULL "
            "AND r.seq BETWEEN ? AND ? ORDER BY r.seq",
            self._first,
            self._last,
        )

    def states(self, seq: int) -> dict[str, str]:
        """The lifecycle state of every plugin when everything before `seq` had happened."""
        known = self._query("SELECT seq, name, data FROM facts WHERE what = 'state' AND seq < ?", seq)
        told = [(since, plugin, data.strip('"')) for since, plugin, data in known]
        moved = self._query(
            "SELECT r.seq, p.text, n.text FROM rows r JOIN names p ON p.id = r.plugin JOIN names n ON n.id = r.name "
            f"WHERE r.kind = {_STATE} AND r.seq < ?",
            seq,
        )
        told += [(since, plugin, name.rpartition("->")[2]) for since, plugin, name in moved]
        return {plugin: state for _, plugin, state in sorted(told)}

    # -- inside -------------------------------------------------------------------------------------

    @property
    def _reader(self) -> Reader:
        return self._recording.selection.reader()

    def _query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._reader.query(text, values)

    def _load(self) -> bool:
        """Read the next rows; False at the end."""
        if self._read >= self._last:
            return False
        found = self._query(
            f"SELECT {_COLUMNS}, iif({self._is_chosen}, coalesce({_ASKED}, 'publish'), '') FROM rows "
            f"WHERE kind = {_EVENT} AND seq BETWEEN ? AND ? ORDER BY seq LIMIT {self._size}",
            *self._values,
            self._read + 1,
            self._last,
        )
        if not found:
            self._read = self._last
            return False
        self.known = self._reader.dictionaries()
        read = found[-1][0]
        # Threads that publish at once may take their numbers in one order and be served in another.
        found.sort(key=_started)
        self.rows, self.at, self._read = [*self.rows[self.at :], *cast("list[Row]", found)], 0, read
        return True

    def _next_chosen(self) -> tuple[int, int] | None:
        for row in self.rows[self.at :]:
            if row[8]:
                return row[0], row[1]
        found = self._query(
            f"SELECT seq, time_ns FROM rows WHERE kind = {_EVENT} AND ({self._is_chosen}) "
            "AND seq BETWEEN ? AND ? ORDER BY seq LIMIT 1",
            *self._values,
            self._read + 1,
            self._last,
        )
        return (found[0][0], found[0][1]) if found else None

    def _bounds(self, last: int) -> tuple[int, int, int | None]:
        """Count, first and last seq of the chosen events up to a seq."""
        count, first, final = self._query(
            "SELECT count(*), coalesce(min(seq), 1), max(seq) FROM rows "
            f"WHERE kind = {_EVENT} AND ({self._is_chosen}) AND seq <= ?",
            *self._values,
            last,
        )[0]
        return count, first, final


def _condition(recording: Recording) -> tuple[str, tuple[Any, ...], bool]:
    """What tells the chosen events among all rows: SQL, its values, and whether it is a long list."""
    selection = recording.selection
    if selection.everything:
        return "1", (), False
    if not (selection.functions or selection.conditions):
        rows = selection.rows("event")
        return rows.text, rows.values, False
    seqs = ",".join(str(record.seq) for record in recording.select(kinds="event").records())
    return f"seq IN ({seqs})", (), True
