"""Numbers computed from recorded calls: how long handlers take, how often, and how it is distributed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

    from plugbook.trace.reading.recording import Recording

PERCENTILES: Final = (50, 95, 99)


def handler_times(recording: Recording) -> pd.DataFrame:
    """How long each handler takes itself, slowest in all first.

    Columns: name, plugin, calls, errors, total_ns, mean_ns, p50_ns, p95_ns, p99_ns, max_ns. The times are own times:
    without the calls that were made inside, as a hook wrapper makes them. Percentiles are exact, of the calls that
    ended. Those that were `skipped` do not count, for their handlers never ran.
    """
    import numpy as np
    import pandas as pd

    calls = recording.calls(columns=("name", "plugin", "own_ns", "outcome"))
    calls = calls[calls["outcome"] != "skipped"]
    names, plugins = calls["name"].cat, calls["plugin"].cat
    handler = names.codes.to_numpy(np.int64) * len(plugins.categories) + plugins.codes.to_numpy(np.int64)
    durations = calls["own_ns"].to_numpy(np.int64, na_value=-1)
    failed = (calls["outcome"] == "error").to_numpy()
    order = np.lexsort((durations, handler))
    bounds = np.flatnonzero(np.diff(handler[order], prepend=-1, append=-1))
    rows = [
        {
            "name": names.categories[handler[order[first]] // len(plugins.categories)],
            "plugin": plugins.categories[handler[order[first]] % len(plugins.categories)],
            "calls": last - first,
            "errors": int(failed[order[first:last]].sum()),
            **_times(durations[order[first:last]]),
        }
        for first, last in itertools.pairwise(bounds)
    ]
    columns = ["name", "plugin", "calls", "errors", *_times(durations[:0])]
    made = pd.DataFrame(rows, columns=columns)
    return made.sort_values("total_ns", ascending=False, ignore_index=True, kind="stable")


def _times(ascending: Any) -> dict[str, int]:
    ended = ascending[ascending >= 0]
    count = len(ended)
    times = {"total_ns": int(ended.sum()), "mean_ns": int(ended.mean()) if count else 0}
    for percent in PERCENTILES:
        times[f"p{percent}_ns"] = int(ended[min(count - 1, count * percent // 100)]) if count else 0
    times["max_ns"] = int(ended[-1]) if count else 0
    return times


def histogram(durations_ns: Any) -> pd.DataFrame:
    """How many durations lie between each power of two and the next.

    Args:
        durations_ns: an array or column of durations in ns; missing ones are left out.

    Returns:
        Columns: from_ns, to_ns (not included), count; from the first bucket that holds any to the last.
    """
    import numpy as np
    import pandas as pd

    values = pd.array(durations_ns, dtype="Int64").to_numpy(np.int64, na_value=-1)
    values = values[values >= 0]
    buckets = np.frexp(values.astype(np.float64))[1]
    first = int(buckets.min(initial=0)) if len(buckets) == 0 else int(buckets.min())
    counts = np.bincount(buckets - first) if len(buckets) else np.empty(0, np.int64)
    exponents = np.arange(first, first + len(counts))
    bounds = [0 if exponent == 0 else 1 << int(exponent) - 1 for exponent in exponents]
    return pd.DataFrame(
        {"from_ns": bounds, "to_ns": [1 << int(exponent) for exponent in exponents], "count": counts}
    )


def topic_rates(recording: Recording, every_s: float = 1.0) -> pd.DataFrame:
    """Events per topic over time.

    Args:
        recording: or a selection of one.
        every_s: width of a bin, in seconds.

    Returns:
        Columns: time (start of the bin), topic, events; bins without events are left out.
    """
    import pandas as pd

    events = recording.events(columns=("time", "topic"))
    bins = events["time"].dt.floor(pd.Timedelta(seconds=every_s))
    grouped = events.groupby([bins, events["topic"].astype("str")], observed=True).size()
    return grouped.rename("events").reset_index()
