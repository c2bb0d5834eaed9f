"""The recorder: a bounded buffer that the hot path appends to, written away by the batch.

Whoever publishes packs what it has appended, a batch at a time: a thread that packs freely falls behind a busy
publisher without bound, for Python gives it too few turns. What is packed is committed by a timer thread, while the
program goes on: SQLite and the disk need no turn of Python's. Should that thread not get around to it, the publisher
commits, too; so nothing grows without bound, and nothing waits for long.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from plugbook._clock import Clock, tick
from plugbook.errors import RecordingError
from plugbook.trace.record import BLOCK
from plugbook.trace.writing.origin import origin
from plugbook.trace.writing.packing import Batch, Fact, Packer
from plugbook.trace.writing.payload import PayloadEncoder, check_keeping, names_to_redact

if TYPE_CHECKING:
    from plugbook._types import Json, Kind, Outcome, Payloads
    from plugbook.trace.reading.live import LiveRecording
    from plugbook.trace.writing.store import Store

_log = logging.getLogger("plugbook.trace")

MOST_ROWS: Final = 20_000
"""How many rows are held at most, packed or not, before a publisher commits them or waits until they are."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""How much they take at most, judged by those written last."""

PACKED_ROWS: Final = 2_000
"""How many rows are packed at once: so few that the garbage collector seldom sees a dispatch twice."""

WAITING_ROWS: Final = 5_000
"""How many rows may wait to be packed while another thread commits; beyond, a publisher waits for it."""

_WRITE_AFTER_NS: Final = 200_000_000
_HEAD_START_NS: Final = 100_000_000
"""By how much the timer commits before a publisher does."""

_TIMER_S: Final = 0.050
_RETRY_AFTER_NS: Final = 1_000_000_000
_NEVER: Final = 1 << 62
_READINGS: Final = 1_000


class Recorder:
    """Takes what happens and keeps it in a store.

    Dispatchers use the attributes directly, for each costs a share of a microsecond at every event: they take a seq
    from `next_seq`, append to `rows`, and call `make_room` when a clock reading has passed `deadline` or `rows` is longer
    than `limit`.

    Args:
        store: where to write; it is closed with the recorder.
        payloads: how much of payloads and results to keep: see `PayloadEncoder`.
        cap_bytes: the longest payload kept in full.
        redact: names of fields, at any depth, and of command line options, whose values are hidden;
            a cell or a handler whose source mentions one is hidden altogether. A recording that is continued goes on
            hiding what it hid. Messages of exceptions and texts of logs are not searched: no name stands beside a value.
        sources: whether to keep the source text of handlers.

    Attributes:
        clock: turns ticks into wall time.
        next_seq: gives out blocks of seqs.
        rows: what was not written yet; the same list for the recorder's life.
        deadline: the tick after which whoever publishes makes room.
        limit: the number of rows beyond which whoever publishes makes room.
        cell: execution count and id of the notebook cell that is running, or None.
        turn: held by whoever writes, or reads a store in memory.
        on_close: called once before the recorder closes, so that whoever appends can turn elsewhere.
        dropped: how many of the oldest rows were given up: a recording in memory, or a file that could not be written.
    """

    cell: ClassVar[tuple[int, str] | None] = (
        None  # of the class: one cell runs, whichever recorder hears of it
    )

    def __init__(
        self,
        store: Store,
        *,
        payloads: Payloads = "full",
        cap_bytes: int = 65_536,
        redact: Iterable[str] = (),
        sources: bool = True,
    ) -> None:
        check_keeping(payloads, cap_bytes)
        redact = tuple(dict.fromkeys((*store.redacted(), *names_to_redact(redact))))
        self.store = store
        self.clock = Clock()
        self.next_seq: Callable[[], int] = itertools.count(store.first_free_block(), BLOCK).__next__
        self.rows: list[Any] = []
        self.deadline = _NEVER if store.path is None else tick() + _WRITE_AFTER_NS
        self._most = WAITING_ROWS
        self.limit = MOST_ROWS if store.path is None else PACKED_ROWS
        self.dropped = 0
        self.closed = False
        self.on_close: Callable[[], object] | None = None
        self.remark = ""
        self._packer = Packer(
            PayloadEncoder(payloads, cap_bytes, redact),
            self.clock.anchor_ns,
            names=store.names(),
            plans=store.plans(),
            places=store.places(),
            sources=sources,
        )
        self._packer.last = store.last()
        self._kept_facts: dict[tuple[str, str], Any] = {}  # of rows in memory that were given up
        self._batch = Batch()  # what was packed and is not committed: usually nothing
        self.turn = threading.RLock()
        self._writing = False
        self._inert = False
        self._failure: Exception | None = None
        self._spent_ns = 0
        self._recording: LiveRecording | None = None
        self._stop = threading.Event()
        self._origin_is_known = False
        options = {"payloads": payloads, "cap_bytes": cap_bytes, "sources": sources, "redact": list(redact)}
        self.describe("options", "", options)
        store.put_meta("reading_ns", _reading_ns())
        if store.path is not None:
            _living.add(self)
            threading.Thread(target=self._keep_time, name="plugbook-recorder", daemon=True).start()

    @property
    def recording(self) -> LiveRecording:
        """The reading side of what is being recorded."""
        if self._recording is None:
            from plugbook.trace.reading.live import LiveRecording

            self._recording = LiveRecording(self)
        return self._recording

    def put(
        self,
        kind: Kind,
        name: str,
        *,
        plugin: str = "",
        parent: int | None = None,
        root: int | None = None,
        tick: int | None = None,
        duration_ns: int | None = None,
        outcome: Outcome = "ok",
        reason: str = "",
        payload: Any = None,
        result: Any = None,
        error: Json | BaseException = None,
        seq: int | None = None,
    ) -> int:
        """Record anything that is not an event with its calls.

        Args:
            kind: any kind but ``event`` and ``call``.
            name: of a state ``before->after``, of a log its level, otherwise what happened.
            plugin: who.
            parent: seq of what caused it.
            root: seq at the top of its causal tree; where left out, the parent.
            tick: when; now where left out.
            duration_ns: how long it took.
            outcome: how it ended.
            reason: why, where the outcome alone does not say it.
            payload: what went in; JSON or any object.
            result: what came out.
            error: an exception, or what `describe_error` says of one.
            seq: a number taken from `next_seq` before.

        Returns:
            Its seq.
        """
        if seq is None:
            seq = self.next_seq()
        self.rows.append(
            (
                seq,
                kind,
                name,
                plugin,
                parent,
                root,
                _now() if tick is None else tick,
                duration_ns,
                outcome,
                reason,
                payload,
                result,
                error,
                threading.get_ident(),
                _task_name(),
                self.cell,
            )
        )
        if len(self.rows) > self.limit:
            self.make_room()
        return seq

    def describe(self, what: str, name: str, data: Any) -> None:
        """Keep a fact that makes the recording readable by itself.

        Args:
            what: such as ``manifest``, ``schema``, ``config``, ``policy``, ``state``, ``source`` or ``cell``.
            name: of the plugin, event or cell. A later fact of the same name replaces it from then on.
            data: JSON or any object; secrets are redacted.
        """
        self.rows.append((self.next_seq(), what, name, data))

    def conceal(self, secrets: Iterable[str]) -> None:
        """Hide these texts in everything that is written from now on, wherever they stand: in a message, a log, a cell.

        `redact` hides by the names of fields, before anybody has a secret; this is for those that are known. What is
        shorter than `SHORTEST_SECRET` is not searched for.
        """
        with self.turn:
            self._packer.payloads.conceal(secrets)

    # -- writing -----------------------------------------------------------------------------------------

    def make_room(self) -> None:
        """Pack what there is, and commit it if that is overdue or much; never raises, `flush` does.

        For whoever publishes: while another thread writes it returns at once, unless the buffer is full. A recording
        in memory keeps its rows until somebody reads, and gives up the oldest.
        """
        if not self._writing or len(self.rows) > self._most:
            self._write(is_due=False)

    def write(self) -> None:
        """Write what there is as one batch, on this thread; never raises, `flush` does."""
        self._write(is_due=True)

    def bring_up_to_date(self) -> None:
        """Write what there is because somebody reads; never raises, `flush` does."""
        if self.store.path is not None:
            self.write()
            return
        with self.turn:
            grows = bool(self.rows)
            self.flush()
            if grows:
                self.dropped += self.store.prune(MOST_ROWS)

    def flush(self) -> None:
        """Write everything that was appended so far, durably: it survives ``kill -9``.

        Raises:
            RecordingError: it could not be written; it is kept in memory, so that flushing again may.
        """
        if self._inert:
            return
        with self.turn:
            if self._writing or self.closed:
                return
            self._writing = True
            try:
                self._write_batch(is_due=True, again=True)
            finally:
                self._writing = False
            if self._failure is not None:
                msg = (
                    f"{len(self._batch.rows):,} rows could not be written to {self.store.path}: {self._failure}. "
                    "They are kept in memory: make room or mend the folder, then flush or close again."
                )
                raise RecordingError(
                    msg,
                    path=str(self.store.path),
                ) from self._failure

    def close(self) -> None:
        """Write everything, mark the recording closed and leave one file; a second time does nothing.

        Where somebody still reads the file, `remark` says so afterwards.

        Raises:
            RecordingError: it could not be written; the recorder stays open.
        """
        if self._inert or self.closed:
            return
        if self.on_close is not None:
            on_close, self.on_close = self.on_close, None
            on_close()
        self.flush()
        with self.turn:
            if self.closed:
                return
            if self._recording is not None:
                self._recording.release()
            self.closed = True
            self.deadline = _NEVER
            self.limit = sys.maxsize
            self._stop.set()
            _living.discard(self)
            if self.dropped:
                self.store.put_meta("dropped", self.dropped)
            self.remark = self.store.close()
        if self.remark:
            _log.warning("%s", self.remark)

    def _write(self, *, is_due: bool, clock: Callable[[], int] = tick) -> None:
        if self._inert:
            self.rows.clear()
            return
        with self.turn:
            if self._writing or self.closed:  # packing a payload may run code that publishes
                return
            self._writing = True
            try:
                if self.store.path is None:
                    self._give_up_oldest()
                else:
                    self._write_batch(is_due=is_due, clock=clock)
            finally:
                self._writing = False

    def _write_batch(self, *, is_due: bool, again: bool = False, clock: Callable[[], int] = tick) -> None:
        """Pack what is in `rows` now, and commit it if it is time.

        Args:
            is_due: whether it is, whatever the deadline says.
            again: try even where it failed a moment ago.
            clock: what this takes from the program is told by it, in ns.
        """
        batch, begun = self._batch, clock()
        if not self._origin_is_known:  # found out when something is written, for it takes a few milliseconds
            self._origin_is_known = True
            self._packer.pack([(self.next_seq(), "origin", "", origin(self._packer.payloads.redact))], batch)
        self._pack_rows(batch)
        is_late = tick() > self.deadline
        if self._failure is not None and not again and not is_late:
            self._bound_backlog()
        elif is_due or is_late or len(batch.rows) > MOST_ROWS - WAITING_ROWS or batch.size_bytes > MOST_BYTES:
            self._spent_ns += clock() - begun
            begun = clock()
            if batch:
                self._commit(batch)
            self.deadline = tick() + (_WRITE_AFTER_NS if self._failure is None else _RETRY_AFTER_NS)
        self._spent_ns += clock() - begun

    def _pack_rows(self, batch: Batch) -> None:
        """Pack what is in `rows` now; interrupted, it leaves them there for the next time."""
        items = self.rows[:]
        taken = len(items)
        items[:0] = self._kept_facts.values()
        size_before, rows_before, blocks_before = batch.size_bytes, len(batch.rows), len(batch.blocks)
        try:
            self._packer.pack(items, batch)
        except BaseException as error:
            del batch.rows[rows_before:], batch.blocks[blocks_before:]
            if not isinstance(error, Exception):
                raise
            self._pack_singly(items, batch)
        del self.rows[:taken]  # what was appended meanwhile stays
        self._kept_facts = {}
        if items:
            each = max(1, (batch.size_bytes - size_before) // len(items))
            most = max(100, min(MOST_ROWS, MOST_BYTES // each))
            self._most = min(most, WAITING_ROWS)
            self.limit = most if self.store.path is None else min(most, PACKED_ROWS)

    def _pack_singly(self, items: list[Any], batch: Batch) -> None:
        """Pack what can be packed: one row that an adapter or a plugin made wrongly costs no other."""
        for item in items:
            try:
                self._packer.pack([item], batch)
            except Exception:
                self.dropped += 1
                _log.exception("A row could not be recorded: %s", type(item).__qualname__)

    def _commit(self, batch: Batch) -> None:
        try:
            self.store.commit(batch, self._spent_ns)
        except (sqlite3.Error, OSError) as error:
            if self._failure is None:
                _log.warning(
                    "Recording to %s fails: %s. Rows are kept in memory, the oldest are dropped beyond %s.",
                    self.store.path,
                    error,
                    f"{MOST_ROWS:,}",
                )
            self._failure = error
            self._bound_backlog()
        else:
            self._failure = None
            self._batch = Batch(highest=batch.highest)
            self._spent_ns = 0

    def _bound_backlog(self) -> None:
        surplus = len(self._batch.rows) - MOST_ROWS
        if surplus > 0:
            del self._batch.rows[:surplus]
            self.dropped += surplus

    def _give_up_oldest(self) -> None:
        rows = self.rows
        surplus = len(rows) - self.limit // 2
        if surplus > 0:
            facts = {
                row[1:3]: row
                for row in rows[:surplus]
                if isinstance(row, tuple) and len(row) == len(Fact._fields)
            }
            del rows[:surplus]
            self._kept_facts |= facts
            self.dropped += surplus - len(facts)

    # -- the other ways a process goes on or ends --------------------------------------------------------

    def _keep_time(self) -> None:
        """The timer: commit what there is, and put the deadline off while there is nothing."""
        while not self._stop.wait(_TIMER_S):
            if not (self.rows or self._batch or self._failure or self._packer.has_open):
                self.deadline = tick() + _WRITE_AFTER_NS
            elif tick() > self.deadline - _HEAD_START_NS:
                # The program goes on meanwhile, but for the time that this thread computes.
                self._write(is_due=True, clock=time.thread_time_ns)

    def become_inert(self) -> None:
        """In a forked child: stop recording, and leave the parent's file alone."""
        self._inert = True
        self.closed = True
        self.deadline = _NEVER
        self.rows.clear()
        self.store.forget()


def _now() -> int:
    return tick()


def _reading_ns() -> float:
    """What it takes to read the clock and append the reading, in ns: the work of the hot path, measured here."""
    readings: list[int] = []
    append = readings.append
    for _ in range(_READINGS):
        append(tick())
    return (readings[-1] - readings[0]) / _READINGS


def _task_name() -> str:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return ""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs on this thread
        return ""
    return "" if task is None else task.get_name()


_living: set[Recorder] = set()
"""The recorders of this process that write to a file; kept until they are closed, so that nothing is lost."""


def _close_all() -> None:
    """At the end of the interpreter: a script that forgot to close loses nothing."""
    for recorder in list(_living):
        try:
            recorder.close()
        except Exception:
            _log.exception("A recording could not be closed at exit")


def _all_become_inert() -> None:
    for recorder in list(_living):
        recorder.become_inert()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_all_become_inert)
