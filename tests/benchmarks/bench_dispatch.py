"""Burst: one built event to ten trivial handlers, beside other dispatchers and a plain Python loop.

Run with ``python -m tests.benchmarks.bench_dispatch [rounds]``. All variants take turns in one process, and the figure
of each is its fastest round, so that the ratios hold on a busy machine too. Needs the extra ``bench``.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import blinker
import pluggy
import psygnal

from plugbook.events.bus import Bus
from plugbook.events.event import Event
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

HANDLERS: Final = 10
PUBLISHES: Final = 2_000
ROUNDS: Final = 60

Variant = Callable[[], object]


class Ping(Event, topic="ping"):
    """A small event, as most are."""

    number: int


def handlers() -> list[Callable[[Any], None]]:
    """Ten functions that do nothing, each one its own."""

    def make() -> Callable[[Any], None]:
        def handle(event: Any) -> None:
            pass

        return handle

    return [make() for _ in range(HANDLERS)]


def of_plugbook(event: Ping, recorder: Recorder | None, *, timing: bool) -> Variant:
    """Publishing on a bus."""
    bus = Bus(recorder, timing=timing)
    for handler in handlers():
        bus.subscribe(Ping, handler)
    publish = bus.publish
    return lambda: publish(event)


def of_loop(event: Ping) -> Variant:
    """The loop that every dispatcher has inside."""
    called = handlers()

    def loop() -> None:
        for handler in called:
            handler(event)

    return loop


def of_psygnal(event: Ping) -> tuple[Variant, Variant]:
    """Its `emit`, which checks and locks, and its `emit_fast`, which does neither."""

    class Emitter:
        signal = psygnal.Signal(object)

    signal = Emitter().signal
    for handler in KEPT:
        signal.connect(handler)
    return lambda: signal.emit(event), lambda: signal.emit_fast(event)


def of_pluggy(event: Ping) -> Variant:
    """A hook with one implementation in each of ten plugins."""
    specify, implement = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")

    class Specification:
        @specify
        def handle(self, event: Ping) -> None:
            """Do nothing."""

    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Specification)
    for _ in range(HANDLERS):

        class Implementation:
            @implement
            def handle(self, event: Ping) -> None:
                """Do nothing."""

        manager.register(Implementation())
    hook = manager.hook.handle
    return lambda: hook(event=event)


def of_blinker(event: Ping) -> Variant:
    """A signal with ten receivers; its sender is the event."""
    signal = blinker.Signal()
    for handler in KEPT:
        signal.connect(handler, weak=False)
    return lambda: signal.send(event)


KEPT: Final = handlers()  # psygnal holds them weakly


def fastest(variants: dict[str, Variant], rounds: int, after_each: Callable[[], object]) -> dict[str, float]:
    """Microseconds for each call of each variant, taking turns."""
    best = dict.fromkeys(variants, float("inf"))
    gc.disable()
    try:
        for _ in range(rounds):
            for name, variant in variants.items():
                start = time.perf_counter_ns()
                for _ in range(PUBLISHES):
                    variant()
                best[name] = min(best[name], (time.perf_counter_ns() - start) / PUBLISHES / 1_000)
                after_each()
    finally:
        gc.enable()
    return best


def say(what: str, figure: str, target: str, *, met: bool) -> None:
    """One line of the report."""
    print(f"{what:44} {figure:>10}   target {target}{'' if met else '   MISSED'}")


def main() -> None:
    """Run everything and print it."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    event = Ping(number=1)
    recorder = Recorder(Store.memory())
    emit, emit_fast = of_psygnal(event)
    times = fastest(
        {
            "loop": of_loop(event),
            "recorded": of_plugbook(event, recorder, timing=True),
            "off": of_plugbook(event, None, timing=False),
            "emit": emit,
            "emit_fast": emit_fast,
            "pluggy": of_pluggy(event),
            "blinker": of_blinker(event),
        },
        rounds,
        recorder.rows.clear,  # what writing costs is sustained recording's to say
    )
    recorder.close()
    peers = ", ".join(f"{name} {version(name)}" for name in ("psygnal", "pluggy", "blinker"))
    print(f"One event to {HANDLERS} handlers; Python {sys.version.split()[0]}, {peers}")
    print("  us: " + ", ".join(f"{name} {taken:.2f}" for name, taken in times.items()))
    for peer, limit in (("emit", 1.0), ("pluggy", 0.8), ("blinker", 0.5)):
        ratio = times["recorded"] / times[peer]
        name = "psygnal emit" if peer == "emit" else peer
        say(f"timed and recorded, of {name}", f"{ratio:.2f}", f"<= {limit}", met=ratio <= limit)
    ratio = times["recorded"] / times["emit_fast"]
    say(
        "timed and recorded, of psygnal emit_fast",
        f"{ratio:.2f}",
        "none: it neither times nor records",
        met=True,
    )
    ratio = times["off"] / times["loop"]
    say("everything off, of a plain loop", f"{ratio:.2f}", "<= 2.0", met=ratio <= 2.0)


if __name__ == "__main__":
    main()
