"""A model of starts, stops, failures, cancellations and interrupts in any order: every cleanup runs, once."""

import asyncio
import signal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plugbook.events.dispatch.loop import HostLoop
from plugbook.plugins.scope import Scope

RAISES = {
    "error": ValueError,
    "interrupt": KeyboardInterrupt,
    "exit": SystemExit,
    "cancelled": asyncio.CancelledError,
}
SYNC = st.sampled_from(["fine", "signal", "takes more", "closes", *RAISES])
ASYNC = st.sampled_from(["fine", "slow", *RAISES])


class ScopeMachine(RuleBasedStateMachine):
    """One plugin that is started and stopped over and over."""

    def __init__(self):
        super().__init__()
        self.loop = HostLoop()
        self.scope = None
        self.expected = []
        self.started = []
        self.awaited = set()
        self.ended = set()
        self.failures = 0
        self.signals = 0
        self.count = 0

    @precondition(lambda self: self.scope is None)
    @rule()
    def start(self):
        self.scope = Scope("model")
        self.expected, self.started = [], []
        self.awaited, self.ended = set(), set()
        self.failures = self.signals = 0

    @precondition(lambda self: self.scope is not None)
    @rule(how=SYNC)
    def take(self, how):
        number = self.number()

        def cleanup():
            self.started.append(number)
            if how == "signal":
                # The first one waits for us; a later one is raised right here.
                signal.raise_signal(signal.SIGINT)
            elif how == "takes more":
                self.expected.insert(len(self.started), self.take_late())
            elif how == "closes":
                self.scope.close()
            elif how in RAISES:
                raise RAISES[how]

        self.failures += how in RAISES
        self.signals += how == "signal"
        self.scope.defer(cleanup)
        self.expected.insert(0, number)

    @precondition(lambda self: self.scope is not None)
    @rule(how=ASYNC)
    def take_async(self, how):
        number = self.number()

        async def cleanup():
            self.started.append(number)
            for _ in range(3 if how == "slow" else 0):
                await asyncio.sleep(0)
            self.ended.add(number)
            if how in RAISES:
                raise RAISES[how]

        self.failures += how in RAISES
        self.awaited.add(number)
        self.scope.defer(cleanup)
        self.expected.insert(0, number)

    @precondition(lambda self: self.scope is not None)
    @rule()
    def let_go(self):
        number = self.number()
        self.scope.defer(self.started.append, number)()

    @precondition(lambda self: self.scope is not None)
    @rule(interrupts=st.lists(st.integers(0, 4), max_size=3))
    def stop(self, interrupts):
        """Close from this thread; Ctrl-C hits the waits of the given numbers."""
        waits = iter(range(1_000))
        hit = set(interrupts)
        arrived = 0

        def run(coroutine):
            nonlocal arrived
            if next(waits) not in hit:
                return self.loop.run(coroutine)
            # What HostLoop.run does when a KeyboardInterrupt arrives while it waits.
            self.loop.submit(coroutine).cancel()
            arrived += 1
            raise KeyboardInterrupt

        self.check(lambda: self.scope.close(run), lambda: arrived)

    @precondition(lambda self: self.scope is not None and not self.signals)
    @rule(cancels=st.integers(0, 3))
    def stop_async(self, cancels):
        """Close on the loop, cancelled that many times while it is under way."""
        delivered = 0

        async def outcome():
            try:
                await self.scope.aclose()
            except BaseException as error:
                return error

        async def close():
            nonlocal delivered
            closing = asyncio.create_task(outcome())
            for _ in range(cancels):
                await asyncio.sleep(0)
                delivered += closing.cancel()
            return await closing

        def run():
            error = self.loop.run(close())
            if error is not None:
                raise error

        self.check(run, lambda: delivered)

    def take_late(self):
        number = self.number()
        self.scope.defer(self.started.append, number)
        return number

    def number(self):
        self.count += 1
        return self.count

    def check(self, close, interrupts):
        """Close, and hold what happened against the model; `interrupts` says how often waiting was broken off."""
        collected = 0
        try:
            close()
        except BaseException as error:
            collected = count_errors(error)
        assert self.started == self.expected
        assert len(set(self.started)) == len(self.started)
        assert self.scope.closed
        assert self.scope.held == ()
        if interrupts() < 2:
            assert self.ended == self.awaited
            assert collected == self.failures + self.signals + interrupts()
        else:
            assert collected
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self.scope = None

    @invariant()
    def nothing_runs_before_the_close(self):
        assert self.scope is None or not self.started

    def teardown(self):
        if self.scope is not None:
            self.stop(interrupts=[])
        self.loop.close()


def count_errors(error):
    """How many errors were collected, in groups and as causes."""
    members = getattr(error, "exceptions", None)
    own = sum(map(count_errors, members)) if members else 1
    return own + (count_errors(error.__cause__) if error.__cause__ else 0)


TestScopeMachine = ScopeMachine.TestCase
TestScopeMachine.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
