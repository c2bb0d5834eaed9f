"""What plugins ask of the world, and how a replay in the notebook answers instead of it."""

import pytest

NAMES = """
import dataclasses, time
from plugbook import Effects
from plugbook.events.middleware import retry

class Asked(Event, topic="e.asked"):
    number: int = 0

class Told(Event, topic="e.told"):
    number: int = 0

@dataclasses.dataclass
class Answer:
    number: int
    text: str

class World:
    def __init__(self):
        self.calls = 0
    def ask(self, number: int, *, token: str = "") -> Answer:
        self.calls += 1
        return Answer(number, f"answer {self.calls}")
    async def ask_later(self, number: int) -> Answer:
        await asyncio.sleep(0)
        return self.ask(number)
    def fail(self) -> None:
        self.calls += 1
        raise FileNotFoundError(2, f"missing for the {self.calls}th time", "a.txt")
    def slow(self):
        threading.Event().wait(0.2)
    async def slow_later(self):
        await asyncio.Event().wait()
    def flaky(self):
        self.calls += 1
        if self.calls < 3:
            raise ConnectionError(f"try {self.calls}")
        return self.calls

world = World()

def asking(take, options=None, **rules):
    class Asker(Plugin):
        if asyncio.iscoroutinefunction(take):
            @on(Asked)
            async def ask(self, event):
                return await take(self.ctx, event)
        else:
            @on(Asked)
            def ask(self, event):
                return take(self.ctx, event)
    host = Host([Asker], effects={"asker": Effects(**rules)} if rules else None)
    host.effects.sleep = lambda seconds: None
    host.start()
    return host
"""

ASKER = """
class Asker(Plugin):
    def start(self, ctx):
        self.got = [ctx.effect(world.ask, -1, token="secret")]
        self.opened = ctx.clock.now().isoformat()

    @on(Asked)
    def take(self, event):
        self.got.append(self.ctx.effect(world.ask, event.number, token="secret"))
        self.ctx.publish(Told(number=event.number))
        try:
            self.ctx.effect(world.fail)
        except FileNotFoundError as error:
            self.got.append((error.errno, str(error)))

    @on(Asked)
    async def take_later(self, event):
        answers = asyncio.gather(*(self.ctx.effect(world.ask_later, n) for n in range(event.number)))
        self.got.append(await answers)
"""


@pytest.fixture(scope="module")
def shop(notebook):
    """The notebook with a world that counts how often it is asked, and the recording of a plugin that asks it."""
    notebook.run(NAMES)
    notebook.run(ASKER)
    notebook.run("""
        with Host([Asker]) as host, host.record("asked.plugbook", redact=["token"]):
            host.start()
            for number in range(3):
                host.publish(Asked(number=number))
            live = host.plugins["asker"].instance.got
        """)
    return notebook


def test_an_effect_is_recorded_under_its_call(shop):
    """The tree shows what was asked and what came; what a plugin took for an answer is there as well."""
    shop.run("host = asking(lambda ctx, event: ctx.effect(world.ask, event.number, token='abc').text)")
    shop.run("host.publish(Asked(number=4)); tree = host.recording.tree()")
    assert "World.ask (asker) (number=4, token=" in shop.run("print(tree)")
    assert shop.run("len(host.recording.inputs())") == "1"
    shop.run("host.close()")
    assert "World.fail" in shop.run("print(open_recording('asked.plugbook').tree())")


def test_effects_are_retried_limited_and_denied(shop):
    """The code asks for retries and time limits, the host may say otherwise, and what it denies is not performed."""
    shop.run(
        "world.calls = 0; host = asking(lambda ctx, event: ctx.effect.using(retries=5, retry_on=ConnectionError)(world.flaky))"
    )
    assert shop.run("host.publish(Asked()).calls[0].result") == "3"
    assert "attempts" in shop.run("[record.payload for record in host.recording.select(kinds='input')]")
    shop.run("world.calls = 0; host.effects['asker'] = Effects(retries=0)")
    assert "ConnectionError" in shop.run("host.publish(Asked())")
    shop.run("del host.effects['asker']; host.close()")
    shop.run("host = asking(lambda ctx, event: ctx.effect(world.slow), timeout=0.01)")
    assert "EffectTimeoutError" in shop.run("host.publish(Asked())")
    shop.run("host.close()")
    shop.run("""
        async def take(ctx, event):
            await ctx.effect.using(timeout=0.01, retries=1)(world.slow_later)
        host = asking(take)
        async def no_sleep(seconds): pass
        host.effects.sleep_async = no_sleep
        """)
    assert "EffectTimeoutError" in shop.run("host.publish(Asked())")
    shop.run("host.close()")
    shop.run(
        "host = asking(lambda ctx, event: ctx.effect.using(name='fetch')(world.ask, 1), deny=['*.World.ask', 'smtp*'])"
    )
    assert "EffectDeniedError" in shop.run("host.publish(Asked())")
    assert "skipped" in shop.run("[record.outcome for record in host.recording.select(kinds='input')]")
    assert "Did you mean 'asker'?" in shop.fail("host.effects['aske'] = Effects()")
    assert "Effects(" in shop.run("host.effects")
    shop.run("host.close()")


def test_misuse_of_an_effect_says_what_to_write(shop):
    """A call that was made already, an option that cannot be, and a coroutine without a function are refused."""
    for call, told in {
        "ctx.effect(world.ask(1))": "not ctx.effect(fetch(url))",
        "ctx.effect.using(retries=-1)": "whole number from 0",
        "ctx.effect.using(timeout=0)": "above 0",
        "ctx.effect.using(backoff='x')": "number of seconds",
        "ctx.effect.using(retry_on=3)": "takes exceptions",
        "ctx.effect.using(retris=3)": "Did you mean 'retries'?",
        "ctx.effect(lambda: world.ask_later(1))": "coroutine",
    }.items():
        shop.run(f"host = asking(lambda ctx, event: {call})")
        assert told in shop.run("str(host.publish(Asked()).errors[0].error)"), call
        shop.run("host.close()")
    assert "whole number" in shop.fail("Effects(retries='x')")
    assert "is no text" in shop.fail("Effects(deny=[3])")


def test_a_replay_gives_everything_back_and_touches_nothing(shop):
    """Start, handlers of both kinds, errors, and the clock: the plugin gets what it got, the world is not asked."""
    shop.run("""
        touched = world.calls
        with Host([Asker]) as host, host.replay("asked.plugbook", rate=None) as player:
            host.start()
            player.play()
            again, result = host.plugins["asker"].instance.got, player.result
        """)
    assert shop.run("again == live, world.calls - touched, result.same") == "(True, 0, True)"
    assert "0 differ, 0 missing, 0 extra" in shop.run("print(result)")


def test_a_replay_of_changed_code_names_each_difference(shop):
    """Other arguments, effects nobody asks for any more, new ones, and events that are not published: each is told."""
    shop.run("""
        class Changed(Plugin, name="asker"):
            def start(self, ctx):
                self.got = [ctx.effect(world.ask, -7, token="other")]
            @on(Asked)
            def take(self, event):
                self.ctx.effect(world.ask, event.number + 1, token="secret")
                self.ctx.effect(world.ask, 99)
                self.ctx.publish(Told(number=7))
        Changed.__qualname__ = Changed.__name__ = "Asker"
        touched = world.calls
        with Host([Changed]) as host, host.replay("asked.plugbook", rate=None) as player:
            host.start()
            player.play()
            result = player.result
        """)
    assert shop.run("result.same, world.calls - touched") == "(False, 0)"
    told = shop.run("print(result)")
    assert "differ" in told
    assert '{"number":' in told.replace(" ", "")
    assert "missing" in told
    assert "extra" in told


def test_a_replay_is_stepped_through_by_words(shop):
    """`%pb replay --paused`, `step`, `seek`, `continue` and `pause` move about, and say where the replay stands."""
    shop.run("host = Host([Asker]); use(host)")
    said = shop.run("%pb replay asked.plugbook --paused --rate max")
    assert "0 of 6 events" in said
    shop.run("host.start()")
    assert "Asker.take" in shop.run("%pb step")
    shop.run("%pb step 2")
    fifth = shop.run("list(open_recording('asked.plugbook').select(kinds='event'))[4].seq // 1024")
    assert "4 of 6 events" in shop.run(f"%pb seek {fifth}")
    assert "ended at 6 of 6" in shop.run("%pb continue")
    assert "at its end" in shop.run("%pb step")
    shop.run("%pb seek --time 0")
    assert "Say where to go" in shop.fail("%pb seek")
    shop.run("host.close(); use(None)")
    shop.run("player = open_recording('asked.plugbook').player(rate=None)")
    assert "e.asked" in shop.run("player.step(2)")
    assert "active" in shop.run("player.plugin_states()")
    shop.run("player.play(until=lambda record: True)")
    assert "rate" in shop.fail("open_recording('asked.plugbook').player(rate=0)")
    assert "Did you mean 'topics'?" in shop.fail("open_recording('asked.plugbook').player(topic='e.asked')")
    shop.run("player.close()")


def test_what_a_recording_does_not_hold_cannot_be_given_back(shop):
    """A result without a JSON form, one that was cut, or hidden: the handler gets the reason, and the world is not asked."""
    shop.run("""
        def big(number):
            return {"text": "x" * 400, "pin": number}
        class Wide(Plugin):
            def start(self, ctx):
                self.got = []
            @on(Asked)
            def take(self, event):
                for function in (lambda: object(), lambda: big(1), lambda: iter([1])):
                    try:
                        self.ctx.effect(function)
                    except Exception as error:
                        self.got.append(str(error))
        def played(**options):
            with Host([Wide]) as host, host.record(f"wide{len(options)}{'cap_bytes' in options}.plugbook", **options) as recording:
                host.start()
                host.publish(Asked())
            with Host([Wide]) as host, host.replay(recording.path, rate=None) as player:
                host.start()
                player.play()
                return [*host.plugins["wide"].instance.got, str(player.result)]
        """)
    assert "has no JSON form" in shop.run("print(*played(), sep='\\n')")
    assert "redacted: pin" in shop.run("print(*played(redact=['pin']), sep='\\n')")
    assert "its result was cut" in shop.run("print(*played(cap_bytes=200), sep='\\n')")


def test_questions_and_retries_are_replayed_too(shop):
    """What a plugin asked others, and what middleware tried again, comes back in the same order."""
    shop.run("""
        class Price(Event, topic="e.price"):
            item: str
        class Catalog(Plugin):
            @on(Price)
            async def price(self, event):
                return self.ctx.effect(world.ask, len(event.item)).number
        class Shop(Plugin):
            def start(self, ctx):
                self.tries = 0
                ctx.subscribe(Asked, self.buy, middleware=[retry(2)])
                ctx.subscribe(Asked, self.tick)
            def buy(self, event):
                self.tries += 1
                self.ctx.effect(world.ask, self.tries)
                if self.tries % 2:
                    raise ConnectionError("again")
                return self.ctx.ask(Price(item="tea")).value
            def tick(self, event):
                async def later():
                    self.ctx.publish(Told(number=event.number))
                self.ctx.spawn(later())
        with Host([Catalog, Shop]) as host, host.record("shop.plugbook"):
            host.start()
            for number in range(2):
                host.publish(Asked(number=number))
            touched = world.calls
        with Host([Catalog, Shop]) as host, host.replay("shop.plugbook", rate=None) as player:
            host.start()
            player.play()
            result = player.result
        """)
    assert shop.run("result.effects.differs, result.effects.extra, world.calls - touched") == "(0, 0, 0)"
    assert "as recorded" in shop.run("print(result)")
