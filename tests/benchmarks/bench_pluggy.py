"""What recording adds to one pluggy hook call, beside pluggy's own `enable_tracing`.

Run with ``python -m tests.benchmarks.bench_pluggy``. All variants run in turn in one process; the figure of
each is its fastest round, in which whatever was recorded to a file is written, too.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import pluggy

from plugbook.adapters.pluggy import Monitor
from plugbook.adapters.summary import Capture, Summaries
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

ROUNDS = 40
CALLS = 500

hookspec = pluggy.HookspecMarker("bench")
hookimpl = pluggy.HookimplMarker("bench")


class Hooks:
    @hookspec
    def go(self, number, text): ...


class Plugin:
    @hookimpl
    def go(self, number):
        return None


def make(implementations: int) -> pluggy.PluginManager:
    """A manager with so many trivial implementations of one hook."""
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Hooks)
    for _ in range(implementations):
        manager.register(Plugin())
    return manager


class Watched:
    """A manager and whatever watches it."""

    def __init__(self, implementations: int) -> None:
        self.manager = make(implementations)
        self.recorder: Recorder | None = None

    def record(self, store: Store, payloads: Capture) -> None:
        """Attach a monitor."""
        self.recorder = Recorder(store)
        Monitor(self.manager, self.recorder, Summaries(payloads))

    def round(self) -> float:
        """Us per hook call."""
        go = self.manager.hook.go
        start = perf_counter()
        for _ in range(CALLS):
            go(number=1, text="text")
        if self.recorder is not None:
            self.recorder.make_room()
        return (perf_counter() - start) / CALLS * 1e6


def variants(implementations: int, folder: Path) -> dict[str, Watched]:
    """One manager for each way of being watched."""
    names = ("bare", "no-op monitor", "enable_tracing", "none, in memory", "none", "summary")
    watched = {name: Watched(implementations) for name in names}
    watched["no-op monitor"].manager.add_hookcall_monitoring(lambda *_: None, lambda *_: None)
    watched["enable_tracing"].manager.enable_tracing()
    watched["none, in memory"].record(Store.memory(), "none")
    watched["none"].record(Store.create(folder / f"none{implementations}.plugbook"), "none")
    watched["summary"].record(Store.create(folder / f"summary{implementations}.plugbook"), "summary")
    return watched


def main() -> None:
    """Print us per hook call for each variant."""
    print(f"pluggy {version('pluggy')}, us per hook call, fastest of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as folder:
        for implementations in (3, 10):
            watched = variants(implementations, Path(folder))
            fastest = dict.fromkeys(watched, float("inf"))
            for _ in range(ROUNDS):
                for name, each in watched.items():
                    fastest[name] = min(fastest[name], each.round())
            for each in watched.values():
                if each.recorder is not None:
                    each.recorder.close()
            print(f"  {implementations} implementations")
            for name, us in fastest.items():
                print(f"    {name:15} {us:6.2f}  {us / fastest['bare']:5.2f}x bare")


if __name__ == "__main__":
    main()
