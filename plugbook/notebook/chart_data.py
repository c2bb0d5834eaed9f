"""Frames of a recording made small enough to draw: times from the start, lanes, bins, percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from plugbook.trace.units import duration_text

FOLDED: Final = "(all others)"
"""The lane or series for everything that has none of its own."""

NO_ONE: Final = "(no plugin)"

_UNITS: Final = (
    (1_000_000_000, "seconds", "s"),
    (1_000_000, "milliseconds", "ms"),
    (1_000, "microseconds", "µs"),
)


class Clock:
    """Places on a chart's time axis: from the first of several time columns on, in a unit that suits the span.

    Attributes:
        start: the first time.
        span: from the first time to the last, in the axis' unit, never 0.
        axis_title: such as ``milliseconds from the start``.
    """

    def __init__(self, times: Iterable[pd.Series[Any]]) -> None:
        filled = [column for column in times if len(column)]
        self.start = min(column.min() for column in filled)
        span_ns = max(_nanoseconds(column.max() - self.start) for column in filled)
        self._unit_ns, word, self._unit = next(
            (unit for unit in _UNITS if span_ns >= unit[0] * 2), _UNITS[-1]
        )
        self.span = max(span_ns / self._unit_ns, 1.0)
        self.axis_title = f"{word} from the start"
        self.note = f"{duration_text(span_ns)} from {self.start:%Y-%m-%d %H:%M:%S} UTC"

    def place(self, times: pd.Series[Any]) -> pd.Series[Any]:
        """Where times stand on the axis."""
        places: pd.Series[Any] = (times - self.start).astype("timedelta64[ns]").astype(
            "int64"
        ) / self._unit_ns
        return places

    def length(self, durations_ns: pd.Series[Any]) -> pd.Series[Any]:
        """How long durations are on the axis."""
        return durations_ns.fillna(0).astype(float) / self._unit_ns

    def text(self, place: float) -> str:
        """A place on the axis in words, such as ``12.5 ms``."""
        return f"{place:,.6g} {self._unit}"


def fold(names: pd.Series[Any], most: int) -> pd.Series[Any]:
    """Keep the most frequent names, at most `most` of them in all; the others become one."""
    counts = names.value_counts()
    if len(counts) <= most:
        return names
    kept = set(counts.index[: most - 1])
    return names.where(names.isin(kept), FOLDED)


def nice_width(width: float) -> float:
    """The next of 1, 2 and 5 times a power of ten.

    >>> nice_width(0.013), nice_width(3.0)
    (0.02, 5.0)
    """
    power = 10.0 ** math.floor(math.log10(width))
    return next(
        (float(f"{step * power:.3g}") for step in (1, 2, 5) if step * power >= width * 0.999), power * 10
    )


def rates(at: pd.Series[Any], series: pd.Series[Any], outcome: pd.Series[Any], width: float) -> pd.DataFrame:
    """Events and failures for each bin of `width` and each series: columns at, until, series, events, failed."""
    frame = pd.DataFrame(
        {"bin": (at // width).astype("int64"), "series": series.astype(str), "failed": outcome.eq("error")}
    )
    counted = frame.groupby(["bin", "series"], sort=True, observed=True)["failed"].agg(["size", "sum"])
    counted = counted.reset_index().rename(columns={"size": "events", "sum": "failed"})
    counted.insert(0, "at", counted["bin"] * width)
    counted.insert(1, "until", (counted["bin"] + 1) * width)
    return counted.drop(columns="bin")


def spans(calls: pd.DataFrame, by: str, clock: Clock) -> pd.DataFrame:
    """Calls as spans on the axis: columns at, until, lane, name, outcome, took, error, seq."""
    at = clock.place(calls["time"])
    lane = calls["plugin" if by == "plugin" else "topic"].astype(str)
    return pd.DataFrame(
        {
            "at": at,
            "until": at + clock.length(calls["duration_ns"]),
            "lane": lane.where(lane != "", NO_ONE),
            "name": calls["name"].astype(str)
            + (" · " + calls["topic"].astype(str) if by == "plugin" else ""),
            "outcome": calls["outcome"].astype(str),
            "duration_ns": calls["duration_ns"].astype(float),
            "error": calls["error"].astype(str),
            "seq": calls["seq"],
        }
    )


def added_up(frame: pd.DataFrame, bins: int, span: float) -> pd.DataFrame:
    """Spans of each lane added up in bins: columns at, until, lane, calls, failed, busy (share of the bin)."""
    width = span / bins
    keyed = frame.assign(
        bin=(frame["at"] // width).clip(0, bins - 1).astype("int64"), failed=frame["outcome"].eq("error")
    )
    counted = keyed.groupby(["lane", "bin"], sort=True).agg(
        calls=("failed", "size"), failed=("failed", "sum"), slowest=("duration_ns", "max")
    )
    counted = counted.reset_index()
    counted["at"] = counted["bin"] * width
    counted["until"] = counted["at"] + width
    return counted.drop(columns="bin")


def overview(at: pd.Series[Any], failed: pd.Series[Any], bins: int, span: float) -> pd.DataFrame:
    """How much happened all in all in each bin: columns at, until, calls, outcome (``ok`` or ``error``)."""
    width = span / bins
    frame = pd.DataFrame(
        {
            "bin": (at // width).clip(0, bins - 1).astype("int64"),
            "outcome": failed.map({True: "error", False: "ok"}),
        }
    )
    counted = frame.groupby(["bin", "outcome"]).size().rename("calls").reset_index()
    counted["at"] = counted["bin"] * width
    counted["until"] = counted["at"] + width
    return counted.drop(columns="bin")


def latencies(calls: pd.DataFrame) -> pd.DataFrame:
    """Percentiles for each handler, those that cost the most time in all first.

    Returns:
        A frame with low (5 %), q1, mid, q3, high (95 %), max and sum in ns, and the same as texts.
    """
    names = calls.assign(
        name=calls["name"].astype(str),
        plugin=calls["plugin"].astype(str),
        failed=calls["outcome"].eq("error"),
        # A logarithmic scale has no zero, and below 100 ns the clock itself is what is seen.
        ns=calls["own_ns"].astype(float).clip(lower=1.0),
    )
    groups = names.groupby(["plugin", "name"], sort=False)
    quantiles = groups["ns"].quantile(np.array([0.05, 0.25, 0.5, 0.75, 0.95])).unstack()
    quantiles.columns = pd.Index(["low", "q1", "mid", "q3", "high"])
    table = quantiles.join(groups["ns"].agg(["max", "sum"])).join(
        groups["failed"].agg(["size", "sum"]).rename(columns={"size": "calls", "sum": "errors"})
    )
    table = table.sort_values("sum", ascending=False, kind="stable").reset_index()
    table["handler"] = _distinct(table)
    for column, source in (("median", "mid"), ("p95", "high"), ("slowest", "max"), ("total", "sum")):
        table[column] = [duration_text(value) for value in table[source]]
    return table


def _distinct(table: pd.DataFrame) -> list[str]:
    """Handler names, with their plugin in front where two share one name."""
    twice = table["name"].duplicated(keep=False)
    return [
        f"{plugin}: {name}" if shared and plugin else name
        for plugin, name, shared in zip(table["plugin"], table["name"], twice, strict=True)
    ]


def _nanoseconds(delta: Any) -> int:
    return int(pd.Timedelta(delta).value)
