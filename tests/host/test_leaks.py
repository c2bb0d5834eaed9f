"""What plugins leave behind, and what only looks as if they had."""

from __future__ import annotations

import asyncio
import threading

from plugbook import Event, Host, Plugin, on


class Tick(Event, topic="clock.tick"):
    pass


def test_a_replacement_of_the_same_name_is_no_leak_of_what_it_replaced():
    """Subscriptions and tasks of the plugin that runs are its own, though name and class are the same."""

    def define(also):
        class Clock(Plugin):
            def start(self, ctx):
                ctx.subscribe("clock.*", lambda event: None)
                ctx.spawn(self.run(), name="run")
                threading.Thread(target=self.wait, daemon=True).start()

            async def run(self):
                await asyncio.Event().wait()

            def wait(self):
                ended.wait(30)

            @on(Tick)
            def handle(self, event):
                return also

        return Clock

    ended = threading.Event()
    with Host([define(1)]) as host:
        host.start()
        host.add(define(2), replace=True)
        left = {(leak.kind, leak.is_ahead) for leak in host.leaks()}
        assert left == {("stale thread", False), ("stale instance", False), ("thread", True)}
        ended.set()


def test_a_thread_that_start_left_running_is_found():
    """A thread that came to life in start counts as the plugin's, whatever code it runs."""
    ended = threading.Event()

    class Leaky(Plugin):
        def start(self, ctx):
            threading.Thread(target=ended.wait, args=(30,), name="waiter", daemon=True).start()

    host = Host([Leaky])
    host.start()
    assert [leak.is_ahead for leak in host.leaks()] == [True]
    host.remove("leaky")
    host.close()
    leaks = host.leaks()
    ended.set()
    assert [(leak.kind, leak.what) for leak in leaks] == [("thread", "waiter")]
    assert leaks[0].plugin == "leaky"


def test_the_threads_of_the_host_itself_are_no_leaks():
    """The loop that a plugin's coroutine needed, and the pool it used, end with the host."""

    class Worker(Plugin):
        async def start(self, ctx):
            await asyncio.to_thread(int)

    with Host([Worker]) as host:
        host.start()
        host.stop()
        assert host.leaks() == []


def test_the_loop_holds_nothing_of_the_request_that_started_it():
    """An async start that failed, and is over, is not held by the loop that was made for it."""
    fails = [True]

    class Fragile(Plugin):
        async def start(self, ctx):
            if fails.pop():
                raise ValueError("not yet")

    with Host([Fragile]) as host:
        host.start()
        fails.append(False)
        host.start("fragile")
        host.stop("fragile")
        assert host.leaks() == []
