"""Texts in the formats that pydantic reads, as short as they can be, and others like them."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

Choice = Mapping[str, Any]

_START: Final = dt.datetime(2000, 1, 1)  # noqa: DTZ001 (it gets the zone that the limits have)
_FIXED: Final = {
    "color": "black",
    "complex": "0",
    "directory-path": ".",
    "ipv4interface": "127.0.0.1/32",
    "ipv4network": "127.0.0.0/8",
    "ipv6interface": "::1/128",
    "ipv6network": "::/128",
    "ipvanyinterface": "127.0.0.1/32",
    "ipvanynetwork": "127.0.0.0/8",
    "json-string": "null",
}


def formatted(choice: Choice, place: int = 0) -> str | None:
    """A text of the format that a choice has; None where it has none, or one that says nothing of a text.

    Args:
        choice: what the text must be.
        place: which one of several different texts; None is given where there are not so many.

    >>> formatted({"type": "string", "format": "date", "formatMinimum": "2020-02-01"}, place=1)
    '2020-02-02'
    """
    name = str(choice.get("format", ""))
    if name in _FIXED:
        return _FIXED[name] if place == 0 else None
    if name.startswith("uuid"):
        return f"00000000-0000-{name[4:] or 4}000-8000-{place:012x}"
    maker = _MAKERS.get(name)
    return None if maker is None else maker(choice, place)


def _date(choice: Choice, place: int) -> str | None:
    low, high = (_day(choice.get(name)) for name in ("formatMinimum", "formatMaximum"))
    return _isoformat(_START.date(), low, high, dt.timedelta(days=place))


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.datetime.fromisoformat(text).date()


def _date_time(choice: Choice, place: int) -> str | None:
    low, high = (_moment(choice.get(name)) for name in ("formatMinimum", "formatMaximum"))
    zone = next((end.tzinfo for end in (low, high) if end is not None), None)
    text = _isoformat(_START.replace(tzinfo=zone), low, high, dt.timedelta(seconds=place))
    return text and _with_zone(text, choice, is_limited=low is not None or high is not None)


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def _isoformat(start: Any, low: Any, high: Any, distance: dt.timedelta) -> str | None:
    """A day or a moment within limits, so far from the one that is nearest to the start."""
    nearest = start if low is None else max(low, start)
    if high is not None and nearest + distance > high:
        nearest, distance = min(nearest, high), -distance
    found = nearest + distance
    return found.isoformat() if low is None or found >= low else None


def _time(choice: Choice, place: int) -> str | None:
    if place >= 86_400:
        return None
    low, high = choice.get("formatMinimum"), choice.get("formatMaximum")
    if low or high:
        return str(low or high) if place == 0 else None
    return _with_zone((_START + dt.timedelta(seconds=place)).time().isoformat(), choice, is_limited=False)


def _with_zone(text: str, choice: Choice, *, is_limited: bool) -> str:
    """With limits, a text has the zone that these have; without, it has one unless it must not."""
    if choice.get("timezone") == "aware":
        return text if "+" in text or text.count("-") > 2 else f"{text}Z"
    return text if is_limited or choice.get("timezone") == "naive" else f"{text}Z"


def _duration(choice: Choice, place: int) -> str | None:
    low, high = choice.get("formatMinimum"), choice.get("formatMaximum")
    seconds = max(0.0, low or 0.0) + place
    if high is not None and seconds > high:
        seconds = high - place
    if low is not None and seconds < low:
        return None
    return duration_text(seconds)


def duration_text(seconds: float) -> str:
    """So many seconds as ISO 8601 writes them.

    >>> duration_text(90), duration_text(-0.25)
    ('PT90S', '-PT0.25S')
    """
    digits = f"{abs(seconds):.6f}".rstrip("0").rstrip(".")
    return f"{'-' if seconds < 0 else ''}PT{digits}S"


def _address(choice: Choice, place: int) -> str:
    scheme = next(iter(choice.get("schemes", ())), "http")
    return f"{scheme}://{'' if scheme == 'file' else 'a'}/{place or ''}"


def _base64(choice: Choice, place: int) -> str | None:
    return base64.urlsafe_b64encode(b"a" * int(choice.get("minLength", 0))).decode() if place == 0 else None


def _numbered(before: str, after: str = "") -> Callable[[Choice, int], str | None]:
    def made(_: Choice, place: int) -> str | None:
        return f"{before}{place or ''}{after}"

    return made


def _host(_: Choice, place: int) -> str | None:
    return f"127.0.0.{place + 1}" if place < 255 else None


def _host_v6(_: Choice, place: int) -> str | None:
    return f"::{place + 1:x}" if place < 65_535 else None


_MAKERS: Final[Mapping[str, Callable[[Choice, int], str | None]]] = {
    "base64": _base64,
    "base64url": _base64,
    "date": _date,
    "date-time": _date_time,
    "duration": _duration,
    "email": _numbered("a", "@example.com"),
    "hostname": _numbered("a"),
    "idn-email": _numbered("a", "@example.com"),
    "ipv4": _host,
    "ipv6": _host_v6,
    "ipvanyaddress": _host,
    "multi-host-uri": _address,
    "name-email": _numbered("a <a", "@example.com>"),
    "path": _numbered("a"),
    "regex": _numbered("a"),
    "time": _time,
    "uri": _address,
}
