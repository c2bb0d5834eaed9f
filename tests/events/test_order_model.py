"""A model of the contract: whatever is subscribed, disconnected and published, the order is the one it predicts."""

from __future__ import annotations

import itertools
from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plugbook.events.bus import Bus

from .conftest import Even, Number, Way

TARGETS = {"Number": Number, "Even": Even, "test.*": "test.*", "test.**": "test.**", "nobody": "nobody.**"}
FITS = {
    Number: {"Number", "test.*", "test.**"},
    Even: {"Number", "Even", "test.**"},
}
KINDS = st.sampled_from([Number, Even])
# What a handler does when it is called for the first time: publish these, and fail or not.
DEEDS = st.tuples(st.lists(KINDS, max_size=3), st.booleans())


class BusMachine(RuleBasedStateMachine):
    """Drives a bus and the model of it side by side, and compares the calls they make."""

    way = Way("sync", awaits=False)

    def __init__(self) -> None:
        super().__init__()
        self.bus = Bus(timing=self.way.timing)
        self.ranks: dict[str, int] = {}
        self.numbers = itertools.count()
        self.handlers: list[dict] = []
        self.ran: list[tuple[int, str]] = []
        self.expected: list[tuple[int, str]] = []

    @rule(
        listens_to=st.sampled_from(sorted(TARGETS)),
        priority=st.integers(-1, 1),
        plugin=st.sampled_from(["", "a", "b"]),
        deed=DEEDS,
    )
    def subscribe(self, listens_to, priority, plugin, deed):
        number = next(self.numbers)
        wish = {"number": number, "target": listens_to, "priority": priority, "plugin": plugin, "deed": deed}
        wish["to_do"] = [deed]

        def handle(event):
            self.ran.append((number, type(event).__name__))
            if wish["to_do"]:
                publishes, fails = wish["to_do"].pop()
                for kind in publishes:
                    assert not self.bus.publish(kind()).done
                if fails:
                    raise ValueError(number)

        wish["disconnect"] = self.bus.subscribe(
            TARGETS[listens_to],
            self.way.handler(handle, number),
            priority=priority,
            plugin=plugin,
            name=str(number),
        )
        self.handlers.append(wish)

    @rule(ranks=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 3)))
    def rank(self, ranks):
        self.ranks = ranks
        self.bus.rank(ranks)

    @rule(place=st.integers(0, 20))
    def disconnect(self, place):
        if self.handlers:
            self.handlers.pop(place % len(self.handlers))["disconnect"]()

    @rule(kind=KINDS)
    def publish(self, kind):
        queue = deque([kind])
        while queue:
            event = queue.popleft()
            for wish in self.order(event):
                self.expected.append((wish["number"], event.__name__))
                if not wish.get("is_done"):
                    wish["is_done"] = True
                    queue.extend(wish["deed"][0])
        report = self.way.publish(self.bus, kind())
        assert report.done
        assert [call.handler for call in report.calls] == [str(wish["number"]) for wish in self.order(kind)]

    def order(self, kind):
        fitting = [wish for wish in self.handlers if wish["target"] in FITS[kind]]
        last = len(self.ranks)
        return sorted(
            fitting,
            key=lambda wish: (-wish["priority"], self.ranks.get(wish["plugin"], last), wish["number"]),
        )

    @invariant()
    def the_calls_are_those_of_the_model(self):
        assert self.ran == self.expected

    def teardown(self):
        self.bus.loop.close()


class MixedMachine(BusMachine):
    """The same with every other handler async."""

    way = Way("mixed", awaits=False)


class AwaitingMachine(BusMachine):
    """The same by `publish_async`."""

    way = Way("mixed", awaits=True)


class BareMachine(BusMachine):
    """The same without timing."""

    way = Way("sync", awaits=False, timing=False)


for machine in (BusMachine, MixedMachine, AwaitingMachine, BareMachine):
    machine.TestCase.settings = settings(max_examples=25, stateful_step_count=25)

TestSync = BusMachine.TestCase
TestMixed = MixedMachine.TestCase
TestAwaiting = AwaitingMachine.TestCase
TestBare = BareMachine.TestCase
