"""Reading a recording: lazy selections, frames, single records, trees and facts; the same while it is being written."""

# ruff: noqa: S608 - queries are put together from the columns and conditions of this package

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Never, Self

from plugbook._doors import behind
from plugbook.errors import RecordingError, SelectionError
from plugbook.trace.integrity import log_size, remark
from plugbook.trace.lock import is_locked
from plugbook.trace.reading import unpacking
from plugbook.trace.reading.call_frames import call_frame
from plugbook.trace.reading.choice import describe_choice, last_root, no_such_seq, other_form, unknown_names
from plugbook.trace.reading.counting import count, counts
from plugbook.trace.reading.frames import (
    BUDGET_BYTES,
    EVENT_COLUMNS,
    LOG_COLUMNS,
    OTHER_COLUMNS,
    STATE_COLUMNS,
    allowance,
    frame,
)
from plugbook.trace.reading.reader import Reader
from plugbook.trace.reading.selection import (
    LAST_SEQ,
    Moment,
    Names,
    Numbered,
    Selection,
    SeqChoice,
    TimeChoice,
    Where,
    criterion,
    first_at,
    moment_ns,
    refuse_words,
    seq_number,
)
from plugbook.trace.reading.source import Source
from plugbook.trace.reading.tree import Tree, grow
from plugbook.trace.record import KINDS, Record

if TYPE_CHECKING:
    import pandas as pd

    from plugbook.trace.reading.summary import Summary

Columns = Iterable[str] | str | None
_MARK: Final = KINDS.index("mark")


def open_recording(path: str | os.PathLike[str], *, check: bool = False) -> Recording:
    """Open a recording for reading; also one that is still being written, and one in a read-only folder.

    Nothing that the file holds is executed.

    Args:
        path: the file.
        check: read every page first, and refuse a file with damaged ones (half a second for a million events).

    Raises:
        RecordingMissingError: there is no such file.
        RecordingError: it is not a recording, or it is cut off or damaged.
    """
    if not isinstance(path, str | os.PathLike):
        msg = f"open_recording takes the path of a file, not {path!r}: open_recording('run.plugbook')."
        raise RecordingError(msg)
    file = Path(path)
    reader = Reader.open(file)
    if check:
        try:
            reader.check()
        except BaseException:
            reader.close()
            raise
    return Recording(file, Source(reader))


class Recording:
    """What was recorded, or a selection of it; made by `open_recording` and by `select`.

    Nothing is read before something asks, and nothing is kept: a million events cost no memory until a frame is made.

    Attributes:
        path: the file, or None in memory.
        frame_budget_bytes: how much memory a frame may take before it is refused.
    """

    def __init__(self, path: Path | None, source: Source, selection: Selection | None = None) -> None:
        self.path = path
        self.frame_budget_bytes = BUDGET_BYTES
        self._source = source
        self._selection = selection or Selection(source.reader)

    # -- choosing ----------------------------------------------------------------------------------------

    def select(
        self,
        *,
        topics: Names = None,
        plugins: Names = None,
        kinds: Names = None,
        outcome: Names = None,
        seq: SeqChoice = None,
        time: TimeChoice = None,
        where: Where = None,
        **misspelt: Never,
    ) -> Recording:
        """The records that meet all that is asked, lazily; the result is a recording, too.

        In patterns ``*`` is one segment of a dotted name and ``**`` any number of them, also none.

        Args:
            topics: topics of events, one or several patterns; calls go with their event, other kinds have no topic.
            plugins: who emitted the event, owns the handler or changed state; one or several patterns.
            kinds: of records: ``event``, ``call``, ``state``, ``change``, ``input``, ``log``, ``checkpoint``, ``mark``.
            outcome: ``ok``, ``error``, ``timeout``, ``cancelled``, ``skipped``, ``unhandled``, ``open``.
            seq: one seq, ``(first, last)``, or a slice without its end. An event's own seq stands for it and its calls.
            time: ``(first, last)``, either may be None: datetimes, ISO text, ns since the epoch as int, or seconds
                since the recording's start as float. A call goes with the time of its event.
            where: a function of a `Record`, or an SQL condition on the columns of the view ``records``.
            **misspelt: anything else, which is refused with the word that comes near.

        Raises:
            SelectionError: something that is asked cannot be.
        """
        refuse_words(misspelt)
        asked = criterion(topics, plugins, kinds, outcome, seq, time, where)
        part = Recording(self.path, self._source, self._selection.narrowed(asked))
        part.frame_budget_bytes = self.frame_budget_bytes
        return part

    def since(self, version: int) -> Recording:
        """The rows that were written or changed by the commits after `version`: what a live tail asks for."""
        reader = self._source.reader()
        commits = reader.query("SELECT first, last, changed FROM commits WHERE id > ?", (version,))
        seqs: set[int] = {seq for *_, changed in commits if changed for seq in json.loads(changed)}
        ranges = [(first, last) for first, last, _ in commits if first is not None]
        parts = [f"seq BETWEEN {first} AND {last}" for first, last in ranges]
        parts.append(f"seq IN ({','.join(map(str, sorted(seqs)))})")
        return Recording(self.path, self._source, self._selection.limited_to(" OR ".join(parts)))

    # -- frames ------------------------------------------------------------------------------------------

    def events(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """The events as a frame.

        Columns: seq, time, topic, plugin, parent, root, outcome, calls, errors, duration_ns, queued_ns, payload (JSON
        text), process, thread, task, cell.

        Args:
            columns: those wanted; all where left out.
            limit: how many rows at most: the first, or with a negative number the last.

        Raises:
            SelectionError: there is no such column.
            FrameTooLargeError: it would take more than `frame_budget_bytes`.
        """
        return self._frame("event", EVENT_COLUMNS, columns, limit)

    def calls(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """The calls of handlers as a frame; arguments and errors as for `events`.

        Columns: seq, time, event, topic, name, plugin, duration_ns, outcome, reason, result (JSON text), error (type
        and message), root, order.
        """
        return call_frame(self._selection, columns, limit, self.frame_budget_bytes)

    def states(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """The lifecycle transitions as a frame; arguments and errors as for `events`.

        Columns: seq, time, plugin, before, after, duration_ns, outcome, reason, error, parent.
        """
        return self._frame("state", STATE_COLUMNS, columns, limit)

    def logs(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """The log as a frame: seq, time, plugin, level, message, parent; arguments and errors as for `events`."""
        return self._frame("log", LOG_COLUMNS, columns, limit)

    def changes(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """What changed of subscriptions, registrations, configuration and code; as `events` otherwise.

        Columns: seq, time, name, plugin, parent, root, duration_ns, outcome, reason, payload, result, error.
        """
        return self._frame("change", OTHER_COLUMNS, columns, limit)

    def inputs(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """What clock, random, uuid and declared effects returned; columns as for `changes`."""
        return self._frame("input", OTHER_COLUMNS, columns, limit)

    def checkpoints(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """The saved states of plugins; columns as for `changes`."""
        return self._frame("checkpoint", OTHER_COLUMNS, columns, limit)

    def marks(self, columns: Columns = None, limit: int | None = None) -> pd.DataFrame:
        """The notes made by persons and tools; columns as for `changes`."""
        return self._frame("mark", OTHER_COLUMNS, columns, limit)

    def _frame(self, kind: str, known: tuple[str, ...], columns: Columns, limit: int | None) -> pd.DataFrame:
        return frame(self._selection, kind, known, columns, limit, self.frame_budget_bytes)

    def sql(self, text: str, params: tuple[Any, ...] | dict[str, Any] = ()) -> pd.DataFrame:
        """The result of a query on the whole recording: views ``records``, ``events``, ``calls``; reading only.

        Raises:
            SelectionError: SQLite does not understand the query, or it would write.
            FrameTooLargeError: the result takes more than `frame_budget_bytes`.
        """
        import pandas as pd

        if not isinstance(text, str):
            msg = f"sql takes a query as text, not {text!r}: sql('SELECT * FROM calls')."
            raise SelectionError(msg)
        try:
            columns, rows = self._source.reader().table(text, params, allowance(self.frame_budget_bytes))
        except sqlite3.Error as error:
            msg = f"SQLite refuses the query: {error}. A recording is only read; its views are records, events, calls."
            raise SelectionError(msg) from error
        return pd.DataFrame(rows, columns=columns)

    # -- records -----------------------------------------------------------------------------------------

    def records(self) -> Iterator[Record]:
        """The records of all kinds in the order of seq, an event's calls right after it."""
        return unpacking.records(self._selection)

    __iter__ = records

    def stream(self) -> Iterator[tuple[int, int, str, str, int | None, int, str]]:
        """The events alone, undecoded, as fast as they can be read.

        Yields:
            seq, time_ns, topic, plugin, parent, root and payload as JSON text.
        """
        return unpacking.stream(self._selection)

    def __getitem__(self, seq: int | str | Numbered) -> Record:
        """The record with a seq: the number that frames hold, or the text that trees show, such as ``"10.3"``.

        A report, a call of one or another record will do in place of its seq.

        Raises:
            UnknownNameError: no record has it.
        """
        number, as_shown = seq_number(seq), isinstance(seq, str)
        found = self._find(number)
        if found is None:
            meant = self._find(other_form(number, as_shown=as_shown))
            reader = self._source.reader()
            raise no_such_seq(reader, number, meant.seq if meant else None, as_shown=as_shown)
        return found

    def _find(self, seq: int) -> Record | None:
        if seq > LAST_SEQ:  # which SQLite has no number for
            return None
        reader = self._source.reader()
        row = reader.dictionaries().event_of(seq)
        for found in reader.query(f"SELECT {unpacking.COLUMNS} FROM rows WHERE seq = ?", (row,)):
            for record in unpacking.unpack(found, reader.dictionaries(), reader):
                if record.seq == seq:
                    return record
        return None

    def __len__(self) -> int:
        """How many records are chosen, calls included."""
        return count(self._selection)

    def __bool__(self) -> bool:
        return True

    def count(self, kind: str) -> int:
        """How many records of one kind are chosen."""
        return count(self._selection, kind)

    def counts(self) -> dict[str, int]:
        """How many records of each kind are chosen."""
        return counts(self._selection)

    def tree(self, seq: int | str | Numbered | None = None) -> Tree:
        """What caused a record, up to the root, and below it all that it caused; the record is marked.

        Args:
            seq: the record, or the report of its event; where left out, the last chosen event that nothing caused.

        Raises:
            UnknownNameError: no record has that seq, or there is no such event.
        """
        reader = self._source.reader()
        asked = self[last_root(reader, self._selection) if seq is None else seq]
        top = asked.root if asked.root is not None else asked.seq
        rows = reader.query(f"SELECT {unpacking.COLUMNS} FROM rows WHERE seq = ? OR root = ?", (top, top))
        known = reader.dictionaries()
        tree = grow(
            (record for row in rows for record in unpacking.unpack(row, known, reader)), top, asked.seq
        )
        return tree or Tree(asked, asked=True)

    def seek(self, *, seq: int | str | None = None, time: Moment = None) -> int | None:
        """The seq of the first row at or after a seq or a moment; None where there is none.

        Raises:
            SelectionError: neither or both are given, or it is not a moment.
        """
        if (seq is None) == (time is None):
            msg = "seek takes either seq= or time=."
            raise SelectionError(msg)
        reader = self._source.reader()
        if seq is None:
            start = reader.query("SELECT time_ns FROM rows ORDER BY seq LIMIT 1")
            return first_at(reader, moment_ns(time, start[0][0])) if start else None
        found = reader.query("SELECT seq FROM rows WHERE seq >= ? ORDER BY seq LIMIT 1", (seq_number(seq),))
        return int(found[0][0]) if found else None

    # -- what is known besides ---------------------------------------------------------------------------

    def facts(self, what: str) -> dict[str, Any]:
        """What the recording knows besides records, by name, as it was last.

        Args:
            what: such as ``manifest``, ``schema``, ``config``, ``origin``, ``source``, ``cell`` or ``meta``.
        """
        rows = self._source.reader().query(
            "SELECT name, data FROM facts WHERE what = ? ORDER BY name, seq", (what,)
        )
        return {name: unpacking.decoded(data) for name, data in rows}

    @property
    def version(self) -> int:
        """The number of the last commit: it grows whenever something was written."""
        return int(self._source.reader().query("SELECT coalesce(max(id), 0) FROM commits")[0][0])

    @property
    def info(self) -> dict[str, Any]:
        """What is known of the recording as a whole.

        Keys: ``path``, ``closed``, ``being_written``, ``version`` of the layout, ``size_bytes``, ``log_bytes`` (of a
        log left beside it), ``remark`` (what to do about it, or empty), ``origin`` and ``options``.
        """
        reader = self._source.reader()
        meta, path = self.facts("meta"), reader.path
        busy = path is None or is_locked(path)
        return {
            "path": None if self.path is None else str(self.path),
            "closed": bool(meta.get("closed")),
            "folded": bool(meta.get("folded")),
            "being_written": busy,
            "version": reader.query("PRAGMA user_version")[0][0],
            "size_bytes": reader.size_bytes(),
            "log_bytes": 0 if path is None else log_size(path),
            "remark": "" if path is None or busy else remark(path, closed=bool(meta.get("closed"))),
            "origin": self.facts("origin").get("", {}),
            "options": self.facts("options").get("", {}),
        }

    def summary(self) -> Summary:
        """Counts, span, slowest handlers, errors, what the recording allows, and what recording it has cost."""
        from plugbook.trace.reading.summary import summarise

        return summarise(self)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the chosen records to a file, one a row or line: ``.parquet``, ``.csv``, ``.json`` or ``.jsonl``.

        Raises:
            RecordingExistsError: there is a file at that path.
            RecordingError: the file cannot be written there.
            SelectionError: the ending says no format that is known, or nothing is chosen, by a name that does not
                occur.
            MissingExtraError: Parquet needs pyarrow.
        """
        from plugbook.trace.reading.export import export

        if (unknown := self.unknown_names) and not any(True for _ in self.records()):
            msg = f"Nothing was exported. {' '.join(unknown)}"
            raise SelectionError(msg)
        return export(self.records(), Path(path))

    def mark(self, text: str, *, plugin: str = "") -> int:
        """Add a note to the recording; its seq is returned.

        Raises:
            RecordingError: the file cannot be written to.
        """
        if self.path is None:
            msg = "A recording in memory that was closed takes no marks."
            raise RecordingError(msg)
        from plugbook.trace.writing.marking import add_mark

        return add_mark(self.path, text, plugin)

    # -- what lives in higher rooms ----------------------------------------------------------------------

    def player(self, **options: Any) -> Any:
        """A player of the chosen events without any plugin code: play, step, seek; see `Player`.

        ``host.replay(recording)`` makes one that publishes them to plugins.
        """
        return behind("player")(self, **options)

    def explore(self) -> Any:
        """The explorer widget, for a notebook."""
        return behind("explorer")(self)

    # -- closing -----------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Make sure that everything recorded so far is in the file; of a file that is only read it is."""

    def close(self) -> None:
        """Stop reading; a second time does nothing."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else str(self.path)
        if not self.selected:
            return f"<Recording {where}>"
        try:
            return f"<Recording {where} {describe_choice(self)}>"
        except RecordingError:  # it was closed, or is damaged
            return f"<Recording {where} (a selection)>"

    @property
    def selected(self) -> bool:
        """Whether this is a selection of a recording rather than all of it."""
        return not self._selection.everything

    @property
    def selection(self) -> Selection:
        """What is chosen, for whoever reads rows itself."""
        return self._selection

    @property
    def unknown_names(self) -> list[str]:
        """A sentence for each topic and plugin that the selection asks for in vain, with what comes near."""
        return list(unknown_names(self))

    @property
    def span(self) -> tuple[int, int]:
        """Time of the first and of the last chosen row, in ns since the epoch; zeros where there is none.

        Marks do not count: people make them afterwards, too.
        """
        rows = self._selection.rows()
        bounds = (
            f"SELECT time_ns FROM rows WHERE {{where}} AND kind != {_MARK} ORDER BY seq {{order}} LIMIT 1"
        )
        reader = self._source.reader()
        ends = [
            reader.query(bounds.format(where=rows.text, order=order), rows.values)
            for order in ("ASC", "DESC")
        ]
        return (ends[0][0][0], ends[1][0][0]) if ends[0] else (0, 0)

    @property
    def recorder_work(self) -> tuple[int, int]:
        """Time in ns that writing the whole recording took from the program, and how many clock readings it holds."""
        work = self._source.reader().query(
            "SELECT (SELECT coalesce(sum(spent_ns), 0) FROM commits), count(*) + coalesce(sum(called), 0) FROM rows "
            f"WHERE kind != {_MARK}"
        )
        return int(work[0][0]), int(work[0][1])

    @property
    def dropped(self) -> int:
        """How many of the oldest rows the recorder has given up."""
        return int(self.facts("meta").get("dropped", 0))

    @property
    def cut_payloads(self) -> int:
        """How many payloads of the whole recording were longer than the cap, and are there in outline."""
        return int(
            self._source.reader().query("SELECT count(*) FROM rows WHERE payload LIKE '{\"$cut\"%'")[0][0]
        )

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """The ``topics`` and ``plugins`` that occur, sorted: what a person can choose from."""
        reader = self._source.reader()
        used = reader.query("SELECT DISTINCT name FROM rows WHERE kind = 0")
        emitters = reader.query("SELECT DISTINCT plugin FROM rows")
        known = reader.dictionaries()
        owners = {site.plugin for plan in known.plans.values() for site in plan.sites}
        plugins = owners | {known.names[id_] for (id_,) in emitters} - {""}
        return {
            "topics": tuple(sorted(known.names[id_] for (id_,) in used)),
            "plugins": tuple(sorted(plugins - {""})),
        }
