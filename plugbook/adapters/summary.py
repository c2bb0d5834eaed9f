"""What a foreign value looks like in a recording: taken at once, bounded, without running its code.

A monitor may neither keep the arguments of a call alive nor call anything of theirs: a ``__repr__`` can
be slow, can raise, can change what is being debugged. So a value is shown by its type, and by content
only where it is a builtin of exactly that type. Many objects carry a name in a slot or in their
``__dict__``; reading it there runs nothing, and tells one test from the next.
"""

from __future__ import annotations

import json
import math
import pathlib
import types
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from json.encoder import encode_basestring_ascii as quote
from typing import Any, Final, Literal

from plugbook.trace.record import JsonText, Note

LABELS: Final = ("nodeid", "_nodeid", "name", "__name__")
"""Attributes that name an object, the most telling first."""

TEXT_LIMIT: Final = 200
ITEM_LIMIT: Final = 5
DEPTH_LIMIT: Final = 2
TYPE_LIMIT: Final = 4_096
LABEL_LIMIT: Final = 256

Capture = Literal["full", "summary", "none"]
Writer = Callable[[Any, int], str]


class Summaries:
    """Turns arguments and results into JSON text.

    Args:
        payloads: ``summary``: types, names, builtin values cut short. ``full``: all that JSON can hold,
            the rest as in ``summary``. ``none``: nothing is captured.
        cap_bytes: what is longer than this, in bytes of JSON, is cut to its summary.

    Names to redact are the recorder's business: they are keys of the JSON written here.

    >>> show = Summaries()
    >>> show.arguments({"path": "a.txt", "items": [1, 2, object()]})
    '{"path":"a.txt","items":[1,2,"<object>"]}'
    """

    __slots__ = ("_in_full", "_writers", "cap_bytes", "payloads", "wanted")

    def __init__(self, payloads: Capture = "summary", *, cap_bytes: int = 65_536) -> None:
        self.payloads = payloads
        self.wanted = payloads != "none"
        self.cap_bytes = cap_bytes
        self._writers: dict[type, Writer] = dict(self._builtin_writers())
        self._in_full = payloads == "full"

    def arguments(self, arguments: Mapping[str, object]) -> JsonText:
        """Keyword arguments as one JSON object."""
        shown = []
        writers = self._writers
        for name, value in arguments.items():
            kind = type(value)
            writer = self._full if self._in_full else writers.get(kind) or self._learn(kind)
            shown.append(f"{quote(name)}:{writer(value, 0)}")
        return JsonText(f"{{{','.join(shown)}}}")

    def value(self, value: object) -> JsonText:
        """One value as JSON."""
        return JsonText(self._full(value, 0) if self._in_full else self._summary(value, 0))

    def result(self, value: object) -> Note:
        """What a call returned, as the note on it."""
        if value is None:
            return NOTHING
        if value is True:
            return TRUE
        if value is False:
            return FALSE
        if type(value) is list and not value:
            return EMPTY
        return Note("ok", None, self.value(value), None, has_result=True)

    def forget(self) -> None:
        """Let go of the types seen so far."""
        self._writers.clear()
        self._writers.update(self._builtin_writers())

    # -- summaries -------------------------------------------------------------------------------

    def _summary(self, value: object, depth: int) -> str:
        kind = type(value)
        return (self._writers.get(kind) or self._learn(kind))(value, depth)

    def _learn(self, kind: type) -> Writer:
        if len(self._writers) > TYPE_LIMIT:
            self.forget()
        writer = self._writers[kind] = _derived_text if issubclass(kind, str) else _object_writer(kind)
        return writer

    def _builtin_writers(self) -> Iterator[tuple[type, Writer]]:
        yield type(None), lambda _value, _depth: "null"
        yield bool, lambda value, _depth: "true" if value else "false"
        yield int, _integer
        yield float, lambda value, _depth: repr(value) if math.isfinite(value) else f'"{value!r}"'
        yield str, _text
        yield bytes, lambda value, _depth: _cut(repr(value[:40]), len(value) - 40)
        yield list, self._sequence
        yield tuple, self._sequence
        yield dict, self._mapping
        yield set, _set
        yield frozenset, _set
        yield types.FunctionType, _callable("function")
        yield types.MethodType, _callable("method")
        yield types.BuiltinFunctionType, _callable("function")
        yield types.CoroutineType, _callable("coroutine, not awaited")
        yield types.GeneratorType, _callable("generator")
        yield types.AsyncGeneratorType, _callable("async generator")
        yield type, _callable("class")
        for path in (pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath):
            yield path, lambda value, _depth: _text(str(value), 0)

    def _sequence(self, value: list[Any] | tuple[Any, ...], depth: int) -> str:
        if depth >= DEPTH_LIMIT:
            return f'"<{type(value).__name__} of {len(value)}>"'
        # A slice is a copy: another thread may go on changing the list.
        parts = [self._summary(item, depth + 1) for item in value[:ITEM_LIMIT]]
        if len(value) > ITEM_LIMIT:
            parts.append(f'{{"$more":{len(value) - ITEM_LIMIT}}}')
        return f"[{','.join(parts)}]"

    def _mapping(self, value: dict[Any, Any], depth: int) -> str:
        if depth >= DEPTH_LIMIT:
            return f'"<dict of {len(value)}>"'
        try:
            items = list(islice(value.items(), ITEM_LIMIT))
        except RuntimeError:  # another thread changed its size
            return f'"<dict of {len(value)}>"'
        parts = [f"{self._key(key)}:{self._summary(item, depth + 1)}" for key, item in items]
        if len(value) > ITEM_LIMIT:
            parts.append(f'"$more":{len(value) - ITEM_LIMIT}')
        return f"{{{','.join(parts)}}}"

    def _key(self, key: object) -> str:
        text = self._summary(key, DEPTH_LIMIT)
        return text if text.startswith('"') else quote(text)

    # -- all of it -------------------------------------------------------------------------------

    def _full(self, value: object, depth: int) -> str:
        if isinstance(value, (str, int, float, dict, list, tuple)):
            try:
                return self._encode(value)
            except Exception:  # noqa: S110 - cycles, odd keys, code of a subclass: whatever JSON cannot hold
                pass
        return self._summary(value, depth)

    def _encode(self, value: object) -> str:
        encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=self._foreign)
        parts: list[str] = []
        size = 0
        # Piece by piece, so that a huge value costs no more than what is kept of it.
        for part in encoder.iterencode(value):
            parts.append(part)
            size += len(part)
            if size > self.cap_bytes:
                return f'{{"$cut":{{"cap_bytes":{self.cap_bytes}}},"summary":{self._summary(value, 0)}}}'
        return "".join(parts)

    def _foreign(self, value: object) -> Any:
        return json.loads(self._summary(value, DEPTH_LIMIT))


NOTHING: Final = Note(result=JsonText("null"), has_result=True)
TRUE: Final = Note(result=JsonText("true"), has_result=True)
EMPTY: Final = Note(result=JsonText("[]"), has_result=True)
FALSE: Final = Note(result=JsonText("false"), has_result=True)


def _cut(text: str, more: int) -> str:
    return quote(f"{text} … {more} more") if more > 0 else quote(text)


def _text(value: str, _depth: int) -> str:
    return quote(value) if len(value) <= TEXT_LIMIT else _cut(value[:TEXT_LIMIT], len(value) - TEXT_LIMIT)


def _derived_text(value: str, _depth: int) -> str:
    """The text of a class derived from `str`, such as markup, by what `str` itself has: its own may be anything."""
    text, length = str.__getitem__(value, slice(TEXT_LIMIT)), str.__len__(value)
    return _cut(text, length - TEXT_LIMIT)


def _integer(value: int, _depth: int) -> str:
    # Python refuses to write out more than 4,300 digits, and readers lose what exceeds 64 bits.
    return str(value) if value.bit_length() < 64 else f'"<int of {value.bit_length()} bits>"'


def _set(value: set[Any] | frozenset[Any], _depth: int) -> str:
    return f'"<{type(value).__name__} of {len(value)}>"'


def _callable(what: str) -> Writer:
    def write(value: Any, _depth: int) -> str:
        return quote(f"<{what} {getattr(value, '__qualname__', '')}>")

    return write


def _object_writer(kind: type) -> Writer:
    """The writer for objects of one class: its name, and the name the object carries, if any."""
    shown = f"<{kind.__qualname__.rpartition('<locals>.')[2]}"[:TEXT_LIMIT]
    plain = quote(shown + ">")
    slots = _label_slots(kind)
    labelled: dict[str, str] = {}  # the same objects are passed around again and again

    def with_label(label: str) -> str:
        text = labelled.get(label)
        if text is None:
            if len(labelled) > LABEL_LIMIT:
                labelled.clear()
            text = quote(f"{shown} {label[:TEXT_LIMIT]}>")
            if len(label) <= TEXT_LIMIT:
                labelled[label] = text
        return text

    def write(value: Any, _depth: int) -> str:
        label = _label(value, kind, slots)
        return plain if label is None else labelled.get(label) or with_label(label)

    return write


def _label(value: Any, kind: type, slots: list[Callable[[Any, type], Any]]) -> str | None:
    """The name that an object carries."""
    for slot in slots:
        try:
            label = slot(value, kind)
        except AttributeError:  # never set
            continue
        if type(label) is str:
            return label
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    if type(own) is dict:
        for name in LABELS:
            label = own.get(name)
            if type(label) is str:
                return label
    return None


def _label_slots(kind: type) -> list[Callable[[Any, type], Any]]:
    """How to read the slots of a class that hold a name; a property would be foreign code."""
    found: list[Callable[[Any, type], Any]] = []
    for name in LABELS:
        for base in type.__dict__["__mro__"].__get__(kind):
            entry = base.__dict__.get(name)
            if entry is not None:
                if isinstance(entry, types.MemberDescriptorType):
                    found.append(entry.__get__)
                break
    return found
