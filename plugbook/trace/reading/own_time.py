"""How long a call took itself, without the calls that were made inside it.

A handler of our own host contains no other: what it publishes is queued. An implementation of a foreign
hook does: a wrapper contains what it wraps, and a hook called inside it all of its implementations. To
whoever looks for the slow one, only its own share says something.
"""

from __future__ import annotations

from typing import Any


def own_times(starts: Any, durations: Any, places: Any) -> Any:
    """Subtract from each duration those of the calls directly inside it.

    Args:
        starts: when each call started, in ns, calls that started together in the order of seq.
        durations: how long it took, in ns; -1 while it had not ended.
        places: where it ran, as any number: calls contain each other on one thread only.

    Returns:
        The own time of each call, in ns; -1 where it had not ended.
    """
    import numpy as np

    own = durations.copy()
    ends = np.where(durations < 0, np.iinfo(np.int64).max, starts + durations)
    order = np.lexsort((np.arange(len(starts)), starts, places))
    around: list[tuple[int, int, int]] = []  # the calls that contain the next one: place, end, index
    columns = (places[order].tolist(), starts[order].tolist(), ends[order].tolist(), order.tolist())
    for place, start, end, index in zip(*columns, strict=True):
        while around and (around[-1][0] != place or around[-1][1] <= start or around[-1][1] < end):
            around.pop()
        if around and durations[around[-1][2]] >= 0:
            own[around[-1][2]] -= end - start
        around.append((place, end, index))
    return np.where(durations < 0, -1, np.maximum(own, 0))
