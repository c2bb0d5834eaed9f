"""Turning anything that a plugin system passes around into bounded, redacted JSON text, without ever raising."""

from __future__ import annotations

import dataclasses
import enum
import fnmatch
import hashlib
import json
import math
import re
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args
from urllib.parse import unquote
from uuid import UUID

from plugbook._types import Payloads
from plugbook.errors import RecordingError, suggestion
from plugbook.trace.record import JsonText, describe_error

if TYPE_CHECKING:
    from plugbook._types import Json

HIDDEN: Final = "**********"
"""What stands where a secret stood; the same text that pydantic writes for a ``SecretStr``."""

SHORTEST_SECRET: Final = 6
"""How long a text must be to be hidden wherever it stands: a shorter one may be part of any word."""

_PLAIN_TEXT = (date, time, timedelta, Decimal, PurePath, UUID)
_INTEGER_DIGITS: Final = 4_000
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")  # differs from run to run, which would make runs differ
_SCHEMA_SAMPLES: Final = frozenset({"default", "example", "examples", "const", "enum"})
_SCHEMAS_BY_NAME: Final = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_short_repr = reprlib.Repr()
_short_repr.maxother = _short_repr.maxstring = 120


class Bounds(NamedTuple):
    """How much of a value `bounded` keeps: nesting, items of each container, characters of each text."""

    depth: int
    items: int
    characters: int


FALLBACK: Final = Bounds(depth=8, items=1_000, characters=65_536)
SUMMARY: Final = Bounds(depth=2, items=12, characters=120)


def names_to_redact(redact: Iterable[str]) -> tuple[str, ...]:
    """The names as a person gives them: several, or one as it is.

    Raises:
        RecordingError: one of them is no text.
    """
    names = (redact,) if isinstance(redact, str) else tuple(redact)
    for name in names:
        if not isinstance(name, str):
            msg = f"redact= takes names of fields, such as ['password'], and {name!r} is no text."
            raise RecordingError(msg)
    return names


def check_keeping(payloads: str, cap_bytes: int) -> None:
    """Refuse what says how much of payloads to keep, if it is nothing of the kind.

    Raises:
        RecordingError: there is no such mode, or the cap is no whole number from 0.
    """
    modes = get_args(Payloads)
    if payloads not in modes:
        msg = f"payloads= is one of {', '.join(modes)}, not {payloads!r}.{suggestion(str(payloads), modes, listing=False)}"
        raise RecordingError(msg)
    if type(cap_bytes) is not int or cap_bytes < 0:
        msg = f"cap_bytes= is a whole number of bytes from 0, not {cap_bytes!r}."
        raise RecordingError(msg)


class PayloadEncoder:
    """Writes payloads and results as JSON text, as the mode, the cap and the names to redact say.

    Args:
        mode: ``full``; ``summary`` keeps the outline of each value; ``reference`` keeps type, size and SHA-256;
            ``none`` keeps nothing.
        cap_bytes: the longest JSON text kept in full. Longer ones become an outline with ``$cut`` beside it.
        redact: names of fields whose values are hidden at any depth; case is ignored, ``*`` stands for any text.
    """

    def __init__(self, mode: Payloads = "full", cap_bytes: int = 65_536, redact: Iterable[str] = ()) -> None:
        redact = tuple(redact)
        self.mode = mode
        self.cap_bytes = cap_bytes
        self.redact = redact
        self._surely_fits = cap_bytes // 4  # characters; each takes four bytes of UTF-8 at most
        # How long a `JsonText` may be that nothing has to be done to.
        self.kept_as_it_is = self._surely_fits if mode == "full" and not redact else -1
        self._encode = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=bounded
        ).encode
        self._by_type: dict[type, Callable[[Any], str]] = {JsonText: str}
        self._concealed: set[str] = set()
        self._concealing: re.Pattern[str] | None = None
        self._maybe_concealing = re.compile("")
        self._secret: re.Pattern[str] | None = None
        if self.redact:
            names = "|".join(f"(?:{fnmatch.translate(name)[4:-3]})" for name in self.redact)
            self._secret = re.compile(f"(?:{names})", re.IGNORECASE | re.DOTALL)

    def conceal(self, secrets: Iterable[str]) -> None:
        """From now on, hide these texts wherever a value holds them, in whatever it is; keys are left alone."""
        self._concealed |= {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        if self._concealed:
            longest_first = sorted(self._concealed, key=len, reverse=True)
            self._concealing = re.compile("|".join(map(re.escape, longest_first)))
            encoded = (json.dumps(secret, ensure_ascii=False)[1:-1] for secret in longest_first)
            self._maybe_concealing = re.compile("|".join(map(re.escape, [*encoded, "\\u", "\\/"])))
            self.kept_as_it_is = -1

    def concealed(self, text: str) -> str:
        """A text, which is not JSON, without what is to be concealed."""
        return text if self._concealing is None else self._concealing.sub(HIDDEN, text)

    def text(self, value: Any) -> str:
        """The JSON text of a value, as the mode says; ``""`` where the mode keeps none."""
        if self.mode == "none":
            return ""
        text = self.fact(value)
        if self.mode == "full":
            if len(text) <= self._surely_fits:
                return text
            return self._capped(text)
        return self._outlined(value, text)

    def fact(self, value: Any) -> str:
        """The JSON text of a value in full, redacted, whatever the mode says."""
        return self._redacted(self._in_full(value), _hide)

    def schema(self, value: Any) -> str:
        """As `fact` for a JSON Schema, which stays one: of what is secret only the sample values are hidden."""
        return self._redacted(self._in_full(value), hide_in_schema)

    def _in_full(self, value: Any) -> str:
        kind = value.__class__
        try:
            encode = self._by_type.get(kind) or self._learn(kind)
            return encode(value)
        except Exception:  # a payload may be anything: it must not stop the recording
            return self._last_resort(value)

    def _learn(self, kind: type) -> Callable[[Any], str]:
        encode: Callable[[Any], str] = getattr(kind, "__plugbook_json__", None) or self._encode
        self._by_type[kind] = encode
        return encode

    def _last_resort(self, value: Any) -> str:
        try:
            return self._encode(bounded(value))
        except Exception:
            return self._encode({"$type": _type_name(value)})

    def _capped(self, text: str) -> str:
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
        if size_bytes <= self.cap_bytes:
            return text
        cut = {"$cut": {"size_bytes": size_bytes, "cap_bytes": self.cap_bytes}}
        return self._encode(cut | {"summary": bounded(_decoded(text), SUMMARY)})

    def _outlined(self, value: Any, text: str) -> str:
        if self.mode == "summary":
            return self._encode(bounded(_decoded(text), SUMMARY))
        data = text.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(data).hexdigest()
        return self._encode({"$ref": {"type": _type_name(value), "size_bytes": len(data), "sha256": digest}})

    def _redacted(self, text: str, hide: Callable[[Any, re.Pattern[str]], Any]) -> str:
        """Hide secrets; a text that names none, which is the usual case, is only searched, not decoded."""
        secret, concealing = self._secret, self._concealing
        if secret is not None and (secret.search(text) or "\\u" in text or "\\/" in text):
            text = self._encode(hide(_decoded(text), secret))
        if concealing is not None and self._maybe_concealing.search(text):
            text = self._encode(_conceal(_decoded(text), concealing))
        return text


def bounded(value: Any, bounds: Bounds = FALLBACK) -> Json:
    """An outline of any value as JSON: what is left out is counted under ``$more`` or said in the text.

    >>> bounded({"path": PurePath("a.txt"), "data": b"1234", "rate": float("nan")})
    {'path': 'a.txt', 'data': {'$type': 'bytes', 'size_bytes': 4}, 'rate': 'nan'}
    """
    return _Outline(bounds).of(value, bounds.depth)


class _Outline:
    """One walk through a value; it remembers what it is inside of, so that a cycle ends."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.inside: set[int] = set()

    def of(self, value: Any, depth: int) -> Json:
        if value is None or value is True or value is False:
            return value
        for kinds, show in _LEAVES:
            if isinstance(value, kinds):
                return show(value, self.bounds)
        kind = type(value)
        if hasattr(kind, "get_secret_value"):
            return HIDDEN
        if hasattr(kind, "__plugbook_json__"):
            return self.of(json.loads(kind.__plugbook_json__(value)), depth)
        if id(value) in self.inside:
            return {"$type": _type_name(value), "$cycle": True}
        self.inside.add(id(value))
        try:
            return self._container(value, depth)
        finally:
            self.inside.discard(id(value))

    def _container(self, value: Any, depth: int) -> Json:
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset | deque):
            return self._sequence(value, depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping({name: getattr(value, name, None) for name in names}, depth)
        if hasattr(type(value), "model_fields"):
            return self._mapping(dict(value.__dict__), depth)
        return {"$type": _type_name(value), "repr": _safe_repr(value)}

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Json:
        if depth <= 0:
            return {"$more": len(value)}
        kept: dict[str, Json] = {}
        for key, item in value.items():
            if len(kept) == self.bounds.items:
                kept["$more"] = len(value) - self.bounds.items
                break
            kept[key if isinstance(key, str) else _safe_repr(key)] = self.of(item, depth - 1)
        return kept

    def _sequence(self, value: Any, depth: int) -> Json:
        if depth <= 0:
            return [{"$more": len(value)}] if value else []
        kept: list[Json] = []
        for item in value:
            if len(kept) == self.bounds.items:
                kept.append({"$more": len(value) - self.bounds.items})
                break
            kept.append(self.of(item, depth - 1))
        return kept


def _show_text(value: str, bounds: Bounds) -> str:
    left_out = len(value) - bounds.characters
    return str(value) if left_out <= 0 else f"{value[: bounds.characters]}… (+{left_out:,} characters)"


def _show_integer(value: int, _: Bounds) -> Json:
    if value.bit_length() > _INTEGER_DIGITS * 3:
        return {"$type": "int", "bits": value.bit_length()}
    return int(value)


# Tried in this order: an enum may be an integer or a text, too.
_LEAVES: Final[tuple[tuple[Any, Callable[[Any, Bounds], Json]], ...]] = (
    (enum.Enum, lambda value, bounds: bounded(value.value, bounds)),
    (str, _show_text),
    (int, _show_integer),
    (float, lambda value, _: float(value) if math.isfinite(value) else repr(float(value))),
    (
        (bytes, bytearray, memoryview),
        lambda value, _: {"$type": type(value).__name__, "size_bytes": len(value)},
    ),
    (_PLAIN_TEXT, lambda value, _: str(value)),
    (BaseException, lambda value, _: describe_error(value)),
)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a `JsonText` that is not JSON
        return text


def _hide(value: Any, secret: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {key: HIDDEN if secret.fullmatch(key) else _hide(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_hide(item, secret) for item in value]
    return value


def _conceal(value: Any, concealing: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return concealing.sub(HIDDEN, value)
    if isinstance(value, dict):
        return {key: _conceal(item, concealing) for key, item in value.items()}
    if isinstance(value, list):
        return [_conceal(item, concealing) for item in value]
    return value


class _SchemaHider:
    """One walk through a JSON Schema that hides the sample values of secret properties.

    Attributes:
        pointers: the definitions that a secret property refers to, as in ``#/$defs/Card``; what they hold is
            secret, too, whoever else refers to them.
    """

    def __init__(self, secret: re.Pattern[str]) -> None:
        self.pointers: set[str] = set()
        self._secret = secret

    def hide(self, schema: Any) -> Any:
        """The schema without sample values of anything secret."""
        shown = self._walk(schema, inside=False)
        done: set[str] = set()
        while found := self.pointers - done:
            done |= found
            for pointer in found:
                shown = self._hide_at(shown, [_unescaped(key) for key in pointer.split("/")[1:]])
        return shown

    def _hide_at(self, value: Any, keys: list[str]) -> Any:
        if not keys:
            return self._walk(value, inside=True)
        if not isinstance(value, dict) or keys[0] not in value:
            return value
        return value | {keys[0]: self._hide_at(value[keys[0]], keys[1:])}

    def _walk(self, value: Any, *, inside: bool) -> Any:
        """`inside` says whether the value is part of the schema of something secret."""
        if isinstance(value, list):
            return [self._walk(item, inside=inside) for item in value]
        if not isinstance(value, dict):
            return value
        return {key: self._walk_key(key, item, inside=inside) for key, item in value.items()}

    def _walk_key(self, key: str, item: Any, *, inside: bool) -> Any:
        if key in _SCHEMA_SAMPLES:
            return _hidden_sample(item) if inside else _hide(item, self._secret)
        if key in _SCHEMAS_BY_NAME and isinstance(item, dict):
            return {
                name: self._walk(schema, inside=inside or bool(self._secret.fullmatch(name)))
                for name, schema in item.items()
            }
        if inside and key == "$ref" and isinstance(item, str) and item.startswith("#"):
            self.pointers.add(item)
        return self._walk(item, inside=inside)


def hide_in_schema(schema: Any, secret: re.Pattern[str]) -> Any:
    """A JSON Schema that stays one: of what is secret only the sample values are hidden.

    >>> schema = {"properties": {"card": {"$ref": "#/$defs/Card"}}, "$defs": {"Card": {"default": "4711"}}}
    >>> hide_in_schema(schema, re.compile("card"))["$defs"]
    {'Card': {'default': '**********'}}
    """
    return _SchemaHider(secret).hide(schema)


def _unescaped(key: str) -> str:
    return unquote(key).replace("~1", "/").replace("~0", "~")


def _hidden_sample(value: Any) -> Json:
    return [HIDDEN] if isinstance(value, list) else HIDDEN  # ``enum`` and ``examples`` must stay lists


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _safe_repr(value: Any) -> str:
    try:
        return _ADDRESS.sub("", _short_repr.repr(value))
    except Exception as broken:
        return f"<{_type_name(value)} whose repr raised {type(broken).__qualname__}>"
