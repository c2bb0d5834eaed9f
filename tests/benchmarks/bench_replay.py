"""How many recorded events a second a player brings to a trivial handler, beside a bare loop that decodes and calls."""

from __future__ import annotations

import gc
import json
import math
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from plugbook import Event, Host, Plugin, on, open_recording

EVENTS = 100_000
ROUNDS = 5


class Ping(Event, topic="ping", version=1):
    """A small event, as most are."""

    number: int
    text: str = "twenty characters ok"


class Quiet(Plugin):
    """One trivial handler."""

    @on(Ping)
    def take(self, event: Ping) -> None:
        """Do nothing."""


def record(path: Path) -> None:
    """Record the events that are replayed."""
    with Host([Quiet]) as host:
        host.start()
        host.record(path)
        for number in range(EVENTS):
            host.publish(Ping(number=number))


def replay(path: Path, *, timing: bool) -> None:
    """Play all of it to a fresh host."""
    with Host([Quiet], timing=timing) as host, open_recording(path) as recording:
        host.start()
        with host.replay(recording, rate=None) as player:
            player.play()
            assert player.result.published == EVENTS, player


def bare_loop(path: Path) -> None:
    """What reading, decoding, validating and calling cost at the least."""
    take = Quiet().take
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT payload FROM rows WHERE kind = 0 ORDER BY seq")
    for (payload,) in rows:
        take(Ping.model_validate(json.loads(payload)))
    connection.close()


def least_s(run: Callable[[], None]) -> float:
    """Seconds that it took this time, without a collection of what came before."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print events a second, and the ratio to the bare loop, interleaved, of the fastest round."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.plugbook"
        record(path)
        runs: dict[str, Callable[[], None]] = {
            "bare decode-and-call loop": lambda: bare_loop(path),
            "replay, timed and recorded in memory": lambda: replay(path, timing=True),
            "replay, nothing timed": lambda: replay(path, timing=False),
        }
        best = dict.fromkeys(runs, math.inf)
        for _ in range(ROUNDS):
            for name, run in runs.items():
                best[name] = min(best[name], least_s(run))
    bare = best["bare decode-and-call loop"]
    for name, seconds in best.items():
        print(f"{name:<40} {EVENTS / seconds:>10,.0f} events/s   {seconds / bare:5.2f}x the bare loop")


if __name__ == "__main__":
    main()
