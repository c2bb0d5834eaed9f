"""What happened, live and stored: the plan of an event's calls, the dispatch while it runs, the record.

A dispatcher cannot afford a row for each of ten handlers. So one `Dispatch` stands for an event and all
its calls: the dispatcher appends it to the recorder's buffer when it starts and then only appends clock
readings to its `ticks`; who was called is in the `Plan`, resolved once and shared by every event of that
type. Readers never see either: they see a `Record` for the event and one for each call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from plugbook._types import Json, Kind, Outcome

KINDS: Final[tuple[Kind, ...]] = ("event", "call", "state", "change", "input", "log", "checkpoint", "mark")
"""Every kind of record; its index is what a recording stores."""

OUTCOMES: Final[tuple[Outcome, ...]] = ("ok", "error", "timeout", "cancelled", "skipped", "unhandled", "open")
"""Every outcome; its index is what a recording stores. ``open`` had not ended when last written."""

BLOCK: Final = 1024
"""How many seqs one record takes: its own, then those of its calls."""

Layout = Literal["chain", "spans"]

_MOST_ERRORS: Final = 50
_MOST_FRAMES: Final = 100


def show_seq(seq: int) -> str:
    """A seq as people read it: block, then the call inside it.

    >>> show_seq(10 * 1024), show_seq(10 * 1024 + 3)
    ('10', '10.3')
    """
    block, call = divmod(seq, BLOCK)
    return f"{block}.{call}" if call else str(block)


def parse_seq(text: str) -> int:
    """The seq behind what `show_seq` shows.

    >>> parse_seq("10.3")
    10243

    Raises:
        ValueError: the text is not a seq.
    """
    block, _, call = text.strip().lstrip("#").partition(".")
    if not block.isdecimal() or (call and not call.isdecimal()) or int(call or 0) >= BLOCK:
        msg = f"{text!r} is not a seq; write it as trees and 'select' show it, such as 10 or 10.3"
        raise ValueError(msg)
    return int(block) * BLOCK + int(call or 0)


@dataclass(frozen=True, slots=True)
class CallSite:
    """Who is called at one place of a plan: a handler, or an implementation of a hook.

    Attributes:
        name: handler or implementation, such as ``Billing.bill``.
        plugin: its owner, or ``""``.
        order: why it stands where it stands, such as ``priority 10`` or ``tryfirst``.
        file: where it is defined, or ``""``.
        line: first line of the definition, 1-based, or 0.
        end: its last line that has code in it (see `extent`), or 0.
        role: ``""``, or what kind of call it is, such as ``wrapper``.
    """

    name: str
    plugin: str = ""
    order: str = ""
    file: str = ""
    line: int = 0
    end: int = 0
    role: str = ""


def extent(code: CodeType | None) -> tuple[str, int, int]:
    """The file of what a code object was compiled from, its first line, and the last that has code in it."""
    if code is None:
        return "", 0, 0
    ends = [end or start or 0 for start, end, _, _ in code.co_positions()]
    ends += [extent(inner)[2] for inner in code.co_consts if isinstance(inner, CodeType)]
    return code.co_filename, code.co_firstlineno, max(ends)


class Plan:
    """The calls one event makes, in order: resolved once, stored once, shared by every such event.

    Layout ``chain``: the calls run one after the other, and each clock reading ends one and starts the
    next. Layout ``spans``: calls may nest, be left out or come in another order, so each has its own
    start and end.

    Attributes:
        version: of the schema that the payloads of those events fit; 0 where they have none.
    """

    __slots__ = ("layout", "sites", "version")

    def __init__(self, sites: Iterable[CallSite] = (), layout: Layout = "chain", *, version: int = 0) -> None:
        self.sites: tuple[CallSite, ...] = tuple(sites)
        self.layout: Layout = layout
        self.version = version


class Note(NamedTuple):
    """What is worth saying of one call besides its time: most calls have none.

    Attributes:
        outcome: how it ended.
        reason: why, where the outcome alone does not say it.
        result: what it returned: JSON text, or any object, which is serialised with the batch.
        error: an exception, or what `describe_error` says of one. Keeping it keeps its frames and their
            locals alive until the batch is written, so say it with `describe_error` where that matters.
        has_result: False where no result was asked for; None is a result too.
    """

    outcome: Outcome = "ok"
    reason: str | None = None
    result: Any = None
    error: Json | BaseException = None
    has_result: bool = False


class Dispatch:
    """One event and its calls while they happen: the live record.

    Attributes:
        seq: the event's number; call `i` has ``seq + 1 + i`` (see `call_seq`).
        name: topic or hook.
        plugin: who emitted it, or ``""``.
        parent: seq of the call or record that caused it, or None.
        root: seq at the top of the causal tree (its own where it has no parent).
        plan: what it calls.
        payload: the event: JSON text as `JsonText`, or any object, which is serialised with the batch.
        born: tick at which it was published.
        ticks: clock readings. ``chain``: start, then the end of each call; complete when it is one
            longer than the plan. ``spans``: start, then ``site index, start, end`` for each call in
            the order of starting (end 0 while it runs), then the end of it all.
        notes: call index -> Note, or None while there is nothing to note. In ``spans`` the index
            counts the calls as they started, not the sites of the plan. A call is noted before the tick
            that ends it is appended, for a dispatch that is complete may be written at once.
        thread: ``threading.get_ident()`` of the publisher; `task`: name of the asyncio task or ``""``.
        cell: (execution count, cell id) of the running notebook cell, or None.
        result: what the whole event gave back, where the system has such a thing (a pluggy hook), as a Note;
            its outcome is then the event's. Set before the last tick, too.
        blocks: first seqs of the further blocks a plan of more than 1,023 calls takes, else ``()``.
    """

    __slots__ = (
        "blocks",
        "born",
        "cell",
        "name",
        "notes",
        "parent",
        "payload",
        "plan",
        "plugin",
        "result",
        "root",
        "seq",
        "task",
        "thread",
        "ticks",
    )

    seq: int
    name: str
    plugin: str
    parent: int | None
    root: int
    plan: Plan
    payload: Any
    born: int
    ticks: list[int]
    notes: dict[int, Note] | None
    thread: int
    task: str
    cell: tuple[int, str] | None
    result: Note | None
    blocks: tuple[int, ...]

    @property
    def asked(self) -> str:
        """``first`` or ``all`` where answers were asked for, how many of them; ``""`` of what was published."""
        return ""

    def call_seq(self, index: int) -> int:
        """The seq of call `index`, counted from 0."""
        block, offset = divmod(index, BLOCK - 1)
        first = self.blocks[block - 1] if block else self.seq
        return first + 1 + offset


class JsonText(str):
    """Text that is JSON already: stored as it is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Record:
    """Anything that happened, as a reader sees it; the one row that every view and tool works on.

    The fields are those of the table in the architecture guide. `time_ns` and `duration_ns` are
    nanoseconds, `time_ns` since the epoch. `payload`, `result` and `error` are decoded JSON.
    """

    seq: int
    time_ns: int
    kind: Kind
    name: str
    plugin: str = ""
    parent: int | None = None
    root: int | None = None
    duration_ns: int | None = None
    outcome: Outcome = "ok"
    reason: str = ""
    payload: Json = None
    result: Json = None
    error: Json = None
    process: int = 0
    thread: str = ""
    task: str = ""
    cell: tuple[int, str] | None = None


def describe_error(error: BaseException) -> dict[str, Json]:
    """An exception as JSON: ``type``, ``message`` and ``frames``, outermost call first.

    A frame is ``{"file", "line", "function"}``; no locals are kept, for they hold secrets. Causes and
    the members of an exception group follow under ``cause`` and ``members``, each error once, so that
    errors which cause each other in a circle end too.
    """
    return _describe(error, set())


def _describe(error: BaseException, told: set[int]) -> dict[str, Json]:
    told.add(id(error))
    described: dict[str, Json] = {
        "type": type(error).__qualname__,
        "message": _safe_text(error),
        "frames": _frames(error),
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in told and len(told) < _MOST_ERRORS:
        described["cause"] = _describe(cause, told)
    if isinstance(error, BaseExceptionGroup):
        described["members"] = [
            _describe(member, told)
            for member in error.exceptions
            if id(member) not in told and len(told) < _MOST_ERRORS
        ]
    return described


def _frames(error: BaseException) -> list[Json]:
    """The ends of the traceback: a recursion of a thousand frames says no more than its ends do."""
    frames: list[Json] = [
        {"file": code.co_filename, "line": line or 0, "function": code.co_name}
        for code, line in _walk(error.__traceback__)
    ]
    half = _MOST_FRAMES // 2
    return frames if len(frames) <= _MOST_FRAMES else frames[:half] + frames[-half:]


def _walk(traceback: TracebackType | None) -> Iterator[tuple[CodeType, int | None]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next


def _safe_text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<{type(error).__qualname__} whose text raised {type(broken).__qualname__}>"
