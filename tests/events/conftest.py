"""Buses for the tests of this room, and the ways in which one and the same handler can be called."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from plugbook.events.bus import Bus
from plugbook.events.event import Event

if TYPE_CHECKING:
    from plugbook.events.dispatch.report import Report

PATIENCE_S = 10.0


class Number(Event, topic="test.number"):
    """An event that no handler can change."""

    n: int = 0


class Even(Number, topic="test.number.even"):
    """A subclass, for subscriptions to its base."""


@dataclass(frozen=True)
class Way:
    """One way to have handlers called: what kind they are, and which publish is used."""

    kind: str
    awaits: bool
    timing: bool = True

    def handler(self, function: Callable[[Any], Any], place: int = 0) -> Callable[[Any], Any]:
        """The function as a handler of this kind; in a mixed plan every other one is async."""
        if self.kind == "sync" or (self.kind == "mixed" and place % 2 == 0):
            return function

        async def handle(event: Any) -> Any:
            await asyncio.sleep(0)
            return function(event)

        return handle

    def publish(self, bus: Bus, event: Event) -> Report:
        """Publish from outside of any handler."""
        if self.awaits:
            return asyncio.run(bus.publish_async(event))
        return bus.publish(event)

    def __str__(self) -> str:
        return f"{self.kind}-{'publish_async' if self.awaits else 'publish'}{'' if self.timing else '-bare'}"


WAYS = [
    Way(kind, awaits, timing)
    for kind, awaits, timing in itertools.product(("sync", "async", "mixed"), (False, True), (True, False))
]


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    """Each way in turn: what a test asserts must hold for all of them."""
    return request.param


@pytest.fixture
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """A bus without a recorder, as the test's `way` wants it; nothing may be left of it afterwards."""
    timing = request.getfixturevalue("way").timing if "way" in request.fixturenames else True
    bus = Bus(timing=timing)
    yield bus
    assert bus.loop.close() == []
    assert bus._drain.free == {0: True}
    assert not bus._drain._waiters


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread does, and fail if it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)
