"""What each way to steer events costs when it is used, beside a plain publish to the same handlers.

Questions, filters, limits, middleware, policies, pausing and effects; those of plugins are on a host of one plugin.

Run with ``python -m tests.benchmarks.bench_routing [rounds]``. All variants take turns in one process, and the figure
of each is its fastest round. Everything is timed and recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from plugbook import Host, Plugin
from plugbook.events.bus import Bus
from plugbook.events.middleware import guard, retry, timing
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store
from tests.benchmarks.bench_dispatch import HANDLERS, Ping, Variant, fastest, handlers

ROUNDS = 20


def bus_of(recorder: Recorder, **options: Any) -> Bus:
    """A bus with ten handlers that do nothing, subscribed with these options."""
    bus = Bus(recorder)
    for handler in handlers():
        bus.subscribe(Ping, handler, **options)
    return bus


def asked(recorder: Recorder, event: Ping) -> Variant:
    """Ten handlers are asked, of whom the last one answers."""
    bus = bus_of(recorder)
    bus.subscribe(Ping, lambda event: 1, priority=-1)
    return lambda: bus.ask(event)


def asked_inside(recorder: Recorder, event: Ping) -> Variant:
    """A handler asks ten others; what its own publish costs is part of it."""
    bus = asked_bus = bus_of(recorder)
    bus.subscribe(Ping, lambda event: 1, priority=-1)

    class Outer(Ping, topic="outer"):
        pass

    bus.subscribe("outer", lambda _: asked_bus.ask(event).value)
    outer = Outer(number=1)
    return lambda: bus.publish(outer)


def published(bus: Bus, event: Ping, **options: Any) -> Variant:
    """Publishing on that bus."""
    publish: Callable[..., object] = bus.publish
    return lambda: publish(event, **options)


def throttled(recorder: Recorder, event: Ping, *, per_second: float) -> Variant:
    """Publishing under a limit."""
    bus = bus_of(recorder)
    bus.throttle("ping", per_second=per_second)
    return published(bus, event)


class Busy(Plugin):
    """Ten handlers that do nothing."""

    def start(self, ctx: Any) -> None:
        """Connect them."""
        for handler in handlers():
            ctx.subscribe(Ping, handler)


class Asking(Plugin):
    """Ten handlers, each of which has one effect, of a function that does nothing."""

    def start(self, ctx: Any) -> None:
        """Connect them."""
        effect = ctx.effect
        for function in handlers():
            ctx.subscribe(Ping, lambda event, function=function: effect(function, 1))


def host_of(recorder: Recorder, plugin: type[Plugin] = Busy, **options: Any) -> Host:
    """A started host of one plugin, that writes where the others do."""
    host = Host([plugin], **options)
    host.bus.recorder = recorder
    host.start()
    return host


def main() -> None:
    """Run everything and print it."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    event = Ping(number=1)
    recorder = Recorder(Store.memory())
    layers = {"retry": retry(), "timing": timing(), "guard": guard(lambda event: True)}
    plain, restarting, paused, muted, asking = hosts = [
        host_of(recorder),
        host_of(recorder, policies={"busy": "restart"}),
        host_of(recorder),
        host_of(recorder),
        host_of(recorder, Asking),
    ]
    paused.pause("busy")
    muted.mute("busy")
    times = fastest(
        {
            "publish": published(bus_of(recorder), event),
            "ask": asked(recorder, event),
            "ask in a handler": asked_inside(recorder, event),
            "source=, wanted": published(bus_of(recorder, source="shop"), event, plugin="shop"),
            "source=, skipped": published(bus_of(recorder, source="shop"), event, plugin="other"),
            "where=, true": published(bus_of(recorder, where=lambda event: True), event),
            "where=, false": published(bus_of(recorder, where=lambda event: False), event),
            "throttle, delivered": throttled(recorder, event, per_second=1e9),
            "throttle, refused": throttled(recorder, event, per_second=1e-9),
            **{
                f"middleware {name}": published(bus_of(recorder, middleware=[layer]), event)
                for name, layer in layers.items()
            },
            "middleware, all three": published(bus_of(recorder, middleware=list(layers.values())), event),
            "plugin": published(plain.bus, event),
            "policy restart, all well": published(restarting.bus, event),
            "paused, dead letters": published(paused.bus, event),
            "muted": published(muted.bus, event),
            "ctx.effect in each": published(asking.bus, event),
        },
        rounds,
        recorder.rows.clear,
    )
    for host in hosts:
        host.close()
    recorder.close()
    print(f"One event to {HANDLERS} handlers, timed and recorded; Python {sys.version.split()[0]}")
    for name, taken in times.items():
        print(f"{name:24} {taken:8.2f} us   {taken / times['publish']:5.1f} x a plain publish")
    one_effect = (times["ctx.effect in each"] - times["plugin"]) / HANDLERS
    print(f"{'one ctx.effect':24} {one_effect:8.2f} us")


if __name__ == "__main__":
    main()
