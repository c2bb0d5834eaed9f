"""How events reach handlers, seen from a notebook: order, waiting, questions, layers, limits, and what goes wrong."""

import pytest

NAMES = """
import time, traceback
from plugbook.events.middleware import guard, retry, timing

class Ping(Event, topic="d.ping"):
    n: int = 0

class Pong(Event, topic="d.pong"):
    n: int = 0

class Price(Event, topic="d.price"):
    item: str = "tea"

class Stock(Event, topic="d.stock"):
    item: str = "tea"
"""


@pytest.fixture(scope="module")
def shop(notebook):
    """The notebook with some events to send."""
    notebook.run(NAMES)
    return notebook


def test_handlers_of_every_kind_are_called_in_order(shop):
    """Sync, async and threaded handlers come one after the other, by priority; the report has each, by sync and by await."""
    shop.run("""
        class Kinds(Plugin):
            @on(Ping, priority=2)
            def first(self, event):
                return "sync"
            @on(Ping, priority=1)
            async def second(self, event):
                await asyncio.sleep(0)
                self.ctx.publish(Pong(n=event.n))
                return "async"
            @on("d.ping", thread=True)
            def third(self, event):
                return threading.current_thread() is threading.main_thread()
            @on("d.*", priority=-1, where=lambda event: event.n > 5)
            def fourth(self, event):
                return "large"
            @on(Ping, priority=-2, timeout=0.02)
            async def late(self, event):
                await asyncio.Event().wait()
            @on(Ping, priority=-3)
            def broken(self, event):
                return 1 / event.n
        host = Host([Kinds]); host.start(); use(host)
        """)
    for cell in ("host.publish(Ping())", "await host.publish_async(Ping())"):
        report = shop.run(cell)
        names = [line.split()[0] for line in report.splitlines() if line.strip().startswith("Kinds.")]
        assert names == [
            f"Kinds.{each}" for each in ("first", "second", "third", "fourth", "late", "broken")
        ], report
        assert "where= said no" in report
        assert "timeout" in report
        assert "ZeroDivisionError" in report
        assert "False" in report
    assert "d.pong" in shop.run("%pb tree")
    shop.run("host.close()")


def test_a_question_is_answered_by_the_first_who_knows(shop):
    """`ask` gives the answer and who gave it, or all of them; where nobody answers, it says what each did."""
    shop.run("""
        class Catalog(Plugin):
            @on(Price)
            def price(self, event):
                return {"tea": 3.5}.get(event.item)
        class Import(Plugin):
            @on(Price)
            async def price(self, event):
                return {"tea": 4.0, "coffee": 9.0}.get(event.item)
        class Broken(Plugin):
            @on(Price, priority=9)
            def price(self, event):
                raise ValueError("no list")
        class Counter(Plugin):
            @on(Stock)
            def count(self, event):
                return self.ctx.ask(Price(item=event.item), default=0).value * 2
            @on(Stock)
            async def count_later(self, event):
                return (await self.ctx.ask_async(Price(item=event.item), default=0)).value * 3
        host = Host([Catalog, Import, Broken, Counter]); host.start()
        """)
    assert shop.run("host.ask(Price())").startswith("Answer 3.5 by Catalog.price")
    assert shop.run("await host.ask_async(Price(item='coffee'))").startswith("Answer 9.0 by Import.price")
    assert "2 answers" in shop.run("host.ask(Price(), all=True)")
    assert "the default, for nobody answered" in shop.run("host.ask(Price(item='milk'), default=7)")
    told = shop.fail("host.ask(Price(item='milk'))")
    assert "Broken.price failed with ValueError: no list" in told
    assert "Catalog.price returned None" in told
    assert shop.run("[call.result for call in host.publish(Stock()).calls]") == "[7.0, 10.5]"
    assert (
        shop.run("[call.result for call in (await host.publish_async(Stock(item='coffee'))).calls]")
        == "[18.0, 27.0]"
    )
    assert "default= is for the first answer" in shop.fail("host.ask(Price(), all=True, default=1)")
    assert "call it" in shop.fail("host.ask(Price)")
    assert "asked: Catalog.price answered" in shop.run(
        "[record.reason for record in host.recording.select(topics='d.price', kinds='event')]"
    )
    shop.run("host.close()")


def test_what_could_never_end_is_refused(shop):
    """Questions in a circle, events in a circle, and a coroutine that would wait for its own loop: each is named."""
    shop.run("""
        host = Host(most_caused=20)
        host.subscribe(Price, lambda event: host.ask(Stock()).value, name="Catalog.price")
        host.subscribe(Stock, lambda event: host.ask(Price()).value, name="Warehouse.count")
        host.subscribe(Ping, lambda event: host.publish(Pong(n=event.n + 1)), name="there")
        host.subscribe(Pong, lambda event: host.publish(Ping(n=event.n + 1)), name="back")
        async def waits(event):
            return host.ask(Price()).value
        async def answers(event):
            return 1
        other = Host()
        other.subscribe(Price, answers, name="Catalog.price")
        async def asks(event):
            return other.ask(Price()).value
        other.subscribe(Stock, asks, name="asks")
        """)
    assert "d.price -> Catalog.price -> d.stock -> Warehouse.count asks d.price" in shop.fail(
        "host.ask(Price())"
    )
    shop.run("host.publish(Ping())")
    told = shop.run("host.recording.calls().error.dropna().tolist()")
    assert "there -> d.pong -> back" in told or "back -> d.ping -> there" in told
    assert "await ctx.ask_async(event)" in shop.fail("other.ask(Stock())")
    shop.run("host.close(); other.close()")


def test_layers_around_a_handler_are_calls_of_their_own(shop):
    """Retry, timing, guard and own middleware: the report shows each layer, what it changed, and what it let through."""
    shop.run("""
        tries = []
        def flaky(event):
            tries.append(event.n)
            if len(tries) < 3:
                raise ConnectionError("no line")
            return event.n
        def double(event, call_next):
            return call_next(Ping(n=event.n * 2)) + 1
        def cached(event, call_next):
            return 7
        async def later(event, call_next):
            return await call_next(event)
        async def slow(event):
            await asyncio.sleep(0)
            return event.n
        host = Host()
        host.subscribe(Ping, flaky, name="flaky", middleware=[timing(), retry(2)])
        host.subscribe(Ping, lambda event: event.n, name="doubled", middleware=[double])
        host.subscribe(Ping, print, name="never", middleware=[timing(), cached, retry()])
        host.subscribe(Ping, slow, name="slow", middleware=[later, retry(1), timing()], timeout=5)
        host.subscribe(Ping, lambda event: 1 / 0, name="fails", middleware=[retry(1)])
        host.subscribe(Ping, time.sleep, name="threaded", thread=True, middleware=[timing()])
        """)
    report = shop.run("host.publish(Ping(n=4))")
    for told in (
        "retry 2 of 2",
        "double(doubled)",
        "replaced the result",
        "cached answered",
        "later(slow)",
        "retry 1 of 1; passed the error on",
    ):
        assert told in report
    assert "retry 2 of 2" not in shop.run("await host.publish_async(Ping(n=4))")
    assert "Did you mean 'middleware'?" in shop.fail("host.subscribe(Ping, print, midleware=[])")
    assert "middleware" in shop.fail("host.subscribe(Ping, print, middleware=[7])")
    shop.run("host.close()")


def test_a_topic_can_be_throttled(shop):
    """Beyond the limit events are recorded as skipped; the limits are listed, and can be taken away."""
    shop.run("host = Host(); host.subscribe(Ping, lambda event: None, name='quiet'); use(host)")
    assert "d.*" in shop.run("%pb throttle d.* 1")
    assert shop.run("[host.publish(Ping()).outcome for _ in range(3)]") == "['ok', 'skipped', 'skipped']"
    assert "skipped" in shop.run("print(await host.publish_async(Ping()))")
    assert "nothing is throttled" in shop.run("%pb throttle d.* off")
    assert shop.run("host.publish(Ping()).outcome") == "'ok'"
    assert "Say how many" in shop.run("%pb throttle d.*")
    shop.fail("host.throttle('d.*', per_second=-1)")
    shop.run("host.close()")


def test_threads_and_tasks_publish_side_by_side(shop):
    """Events of several threads and tasks are delivered one after the other, none lost and none twice."""
    assert (
        shop.run("""
        seen, inside = [], []
        def take(event):
            inside.append(1)
            assert len(inside) == 1
            seen.append(event.n)
            inside.pop()
        async def take_later(event):
            await asyncio.sleep(0)
        with Host() as host:
            host.subscribe(Ping, take)
            host.subscribe(Ping, take_later)
            threads = [threading.Thread(target=lambda n=n: [host.publish(Ping(n=n * 10 + k)) for k in range(10)]) for n in range(4)]
            for each in threads: each.start()
            await asyncio.gather(*(host.publish_async(Ping(n=40 + k)) for k in range(10)))
            for each in threads: await asyncio.to_thread(each.join)
            host.publish(Pong())
        sorted(seen) == list(range(50))
        """)
        == "True"
    )


def test_an_interrupt_in_a_handler_leaves_the_host_working(shop):
    """Ctrl-C while a handler runs ends the cell; the call is cancelled, and the next event goes as ever."""
    shop.run("""
        import os, signal
        def stuck(event):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        host = Host()
        forget = host.subscribe(Ping, stuck, name="stuck")
        host.subscribe(Ping, lambda event: "fine", name="fine")
        """)
    assert "KeyboardInterrupt" in shop.fail("host.publish(Ping(n=1))")
    assert shop.run("host.recording.calls().outcome.tolist()") == "['cancelled', 'skipped']"
    shop.run("forget()")
    assert "'fine'" in shop.run("host.publish(Ping()).calls[0].result")
    shop.run("""
        async def hang(event):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(30)
        host.subscribe(Ping, hang, name="hang")
        """)
    assert "KeyboardInterrupt" in shop.fail("host.publish(Ping(n=2))")
    shop.run("host.close()")
    assert "closed" in shop.fail("host.publish(Ping())")


def test_an_event_that_nobody_hears_says_who_nearly_did(shop):
    """The report of an unhandled event names what listens to something like it."""
    shop.run("""
        class Pinged(Event, topic="d.pings"):
            pass
        host = Host()
        host.subscribe("d.pingz", print, name="misspelt")
        """)
    assert "d.pingz" in shop.run("host.publish(Pinged())")
    assert "not a topic pattern" in shop.fail("host.subscribe('d..ping', print)")
    assert "Did you mean 'priority'?" in shop.fail("host.subscribe(Ping, print, prio=1)")
    shop.run("host.close()")


def test_without_timing_the_same_handlers_run(shop):
    """A host that keeps no times delivers, asks, waits and isolates as another one does."""
    shop.run("""
        async def later(event):
            return event.n + 1
        bare = Host(timing=False)
        bare.subscribe(Ping, lambda event: event.n)
        bare.subscribe(Ping, later)
        bare.subscribe(Ping, lambda event: 1 / 0, name="fails")
        """)
    assert "ZeroDivisionError" in shop.run("bare.publish(Ping(n=1))")
    assert "ZeroDivisionError" in shop.run("await bare.publish_async(Ping(n=1))")
    assert "1" in shop.run("bare.ask(Ping(n=1)).value")
    shop.run("bare.close()")
