"""Which numbers a JSON Schema allows: an interval, or the multiples of a step inside one, both exact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count
from typing import Any, Final

_EXACT: Final = 10**15
"""Floats of so many digits are read back as the decimal numbers that they were written as."""

_MEASURED: Final = 10**7
"""Up to so many times a step that is no sum of powers of two, pydantic sees that a float is a multiple of it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """An interval of the number line.

    Attributes:
        low: the lower end, or None where there is none.
        high: the upper end.
        is_open_below: whether the lower end itself is left out.
        is_open_above: whether the upper end itself is.
    """

    low: Fraction | None
    high: Fraction | None
    is_open_below: bool = False
    is_open_above: bool = False

    @classmethod
    def of(cls, branch: Mapping[str, Any]) -> Bounds:
        """Those of a member of a union."""
        lows = _ends(branch, "minimum", "exclusiveMinimum", 1)
        highs = _ends(branch, "maximum", "exclusiveMaximum", -1)
        if "maxDigits" in branch:
            size = Fraction(10) ** (branch["maxDigits"] - branch.get("decimalPlaces", 0))
            lows.append((-size, True))
            highs.append((-size, True))
        low, is_open_below = max(lows, default=(None, False))
        high, is_open_above = max(highs, default=(None, False))
        return cls(low, None if high is None else -high, is_open_below, is_open_above)

    def __iter__(self) -> Iterator[float]:
        """Different numbers inside, simple ones first; none where there is none."""
        candidates = [0.0]
        for end, sign in ((self.low, 1), (self.high, -1)):
            if end is not None:
                candidates += [float(end), float(math.floor(sign * end) + 1) * sign]
        start = next(filter(self._holds, [*candidates, *self._between()]), None)
        if start is None:
            return
        yield start
        width = 1.0 if self.low is None or self.high is None else float(self.high - self.low)
        steps = chain.from_iterable((width / 2**power, -width / 2**power) for power in range(1, 50))
        whole = chain.from_iterable((float(step), -float(step)) for step in range(1, 1_000))
        yield from filter(self._holds, (start + step for step in chain(whole, steps)))

    def closed(self) -> tuple[float | None, float | None]:
        """The lowest and the highest float inside, where there are ends."""
        low = None if self.low is None else float(self.low)
        high = None if self.high is None else float(self.high)
        if low is not None and not self._holds(low):
            low = math.nextafter(low, math.inf)
        if high is not None and not self._holds(high):
            high = math.nextafter(high, -math.inf)
        return low, high

    def _between(self) -> Iterator[float]:
        if self.low is not None and self.high is not None:
            yield float((self.low + self.high) / 2)
        if self.low is not None:
            yield math.nextafter(float(self.low), math.inf)

    def _holds(self, number: float) -> bool:
        above = self.low is None or number > self.low or (number == self.low and not self.is_open_below)
        below = self.high is None or number < self.high or (number == self.high and not self.is_open_above)
        return above and below


@dataclass(frozen=True, slots=True)
class Multiples:
    """The multiples of a step, from `first` times it to `last` times it.

    Attributes:
        step: above 0.
        first: the lowest factor, or None where there is none.
        last: the highest.
        is_whole: whether only whole numbers are among them, which are written as such.
    """

    step: Fraction
    first: int | None
    last: int | None
    is_whole: bool

    @classmethod
    def of(cls, branch: Mapping[str, Any], bounds: Bounds) -> Multiples | None:
        """Those of a member of a union; None where any number of the interval will do."""
        is_whole = branch.get("type") == "integer"
        steps = [Fraction(1)] if is_whole else []
        steps += [_exact(branch["multipleOf"])] if "multipleOf" in branch else []
        is_decimal = "decimalPlaces" in branch or "maxDigits" in branch
        steps += [Fraction(1, 10 ** branch.get("decimalPlaces", 0))] if is_decimal else []
        if not steps:
            return None
        step = steps[0]
        for other in steps[1:]:
            step = _common(step, other)
        first = None if bounds.low is None else math.ceil(bounds.low / step)
        last = None if bounds.high is None else math.floor(bounds.high / step)
        if first is not None and bounds.is_open_below and first * step == bounds.low:
            first += 1
        if last is not None and bounds.is_open_above and last * step == bounds.high:
            last -= 1
        if not is_whole:
            most = _EXACT // step.numerator if is_decimal else _MEASURED
            first, last = _within_exact(first, last, most)
        return cls(step, first, last, is_whole)

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return self.first is not None and self.last is not None and self.first > self.last

    def at(self, factor: int) -> int | float:
        """So many times the step."""
        value = factor * self.step
        return int(value) if self.is_whole else float(value)

    def __iter__(self) -> Iterator[int | float]:
        """All of them, those near zero first."""
        if self.is_empty:
            return
        start = max(self.first or 0, 0) if self.last is None else min(max(self.first or 0, 0), self.last)
        upward = count(start) if self.last is None else range(start, self.last + 1)
        yield from map(self.at, upward)
        downward = count(start - 1, -1) if self.first is None else range(start - 1, self.first - 1, -1)
        yield from map(self.at, downward)


def _ends(branch: Mapping[str, Any], closed: str, opened: str, sign: int) -> list[tuple[Fraction, bool]]:
    """The ends on one side, mirrored for the upper one, each with whether it is left out itself."""
    found = ((branch.get(closed), False), (branch.get(opened), True))
    return [(sign * _exact(end), is_open) for end, is_open in found if end is not None and math.isfinite(end)]


def _exact(number: float) -> Fraction:
    """A number as a person writes it: 0.1 is a tenth."""
    return Fraction(str(number))


def _common(one: Fraction, other: Fraction) -> Fraction:
    """The smallest number that both divide."""
    ours, theirs = one.numerator * other.denominator, other.numerator * one.denominator
    return Fraction(math.lcm(ours, theirs), one.denominator * other.denominator)


def _within_exact(first: int | None, last: int | None, most: int) -> tuple[int | None, int | None]:
    """Those of the factors that give what a float holds to the last digit, where there are any."""
    low = -most if first is None else max(first, -most)
    high = most if last is None else min(last, most)
    return (low, high) if low <= high else (first, last)
