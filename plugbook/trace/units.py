"""Times and counts as people read them."""

from __future__ import annotations

import math

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))


def duration_text(duration_ns: float | None) -> str:
    """A duration with three significant digits and the unit that suits it.

    Args:
        duration_ns: nanoseconds; None and not-a-number give a dash.

    >>> duration_text(1_234_567), duration_text(850), duration_text(75_000_000_000), duration_text(None)
    ('1.23 ms', '850 ns', '1 min 15 s', '–')
    """
    if duration_ns is None or math.isnan(duration_ns):
        return "–"
    if duration_ns >= 60_000_000_000:
        minutes, seconds = divmod(round(duration_ns / 1e9), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
    for size, unit in _UNITS:
        if duration_ns >= size * 0.9995:
            return f"{_three_digits(duration_ns / size)} {unit}"
    return f"{duration_ns:.0f} ns"


def count_text(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    >>> count_text(1, "call"), count_text(12_345, "call"), count_text(2, "query", "queries")
    ('1 call', '12,345 calls', '2 queries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size_text(size_bytes: float) -> str:
    """A size in bytes, kB, MB or GB (powers of 1,000).

    >>> size_text(812), size_text(28_400)
    ('812 bytes', '28.4 kB')
    """
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= size:
            return f"{_three_digits(size_bytes / size)} {unit}"
    return f"{size_bytes:.0f} bytes"


def _three_digits(number: float) -> str:
    digits = 0 if number >= 99.95 else 1 if number >= 9.995 else 2
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
