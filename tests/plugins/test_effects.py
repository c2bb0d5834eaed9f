"""Declared effects while a host runs: what is recorded of them, how they are retried, timed out and denied."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest
from pydantic import SecretStr

from plugbook import Event, Host, Plugin, on
from plugbook.errors import EffectDeniedError, EffectError, EffectTimeoutError, UnknownPluginError
from plugbook.plugins.effects.effect import Effects

DEADLINE_S = 10.0


class Asked(Event):
    number: int = 0


class World:
    """What effects touch: it counts how often, and fails as often as it is told to."""

    def __init__(self, failures: int = 0):
        self.calls = []
        self.failures = failures

    def ask(self, number: int, *, token: str = "") -> int:
        self.calls.append(number)
        if len(self.calls) <= self.failures:
            raise ConnectionError(f"no answer to {number}")
        return number * 2

    async def ask_later(self, number: int) -> int:
        await asyncio.sleep(0)
        return self.ask(number)


class FakeTime:
    """Stands for waiting: notes for how long it was."""

    def __init__(self, host: Host):
        self.waited = []
        host.effects.sleep = self.waited.append
        host.effects.sleep_async = self.sleep_async

    async def sleep_async(self, seconds: float) -> None:
        self.waited.append(seconds)


def asking(handle, *, named: str = "asker") -> type[Plugin]:
    """A plugin whose handler is a function of its context and the event."""
    if asyncio.iscoroutinefunction(handle):

        class Asker(Plugin, name=named):
            @on(Asked)
            async def take(self, event):
                return await handle(self.ctx, event)
    else:

        class Asker(Plugin, name=named):
            @on(Asked)
            def take(self, event):
                return handle(self.ctx, event)

    return Asker


@pytest.fixture
def run():
    """Publishes one event to such a plugin; gives the call, and the records of its effects."""
    hosts = []

    def publish(handle, *, rules: Effects | None = None, host: Host | None = None):
        host = host or Host([asking(handle)], effects={"asker": rules} if rules else None)
        hosts.append(host)
        if host.states["asker"] != "active":
            host.start()
        call = host.publish(Asked(number=3)).calls[0]
        return call, list(host.recording.select(kinds="input"))

    yield publish
    for host in hosts:
        host.close()


# -- what is recorded -------------------------------------------------------------------------------


def test_an_effect_is_performed_once_and_recorded_under_its_call(run):
    """The record of an effect has its arguments by name, its result, and the call that made it as parent."""
    world = World()
    call, [record] = run(lambda ctx, event: ctx.effect(world.ask, event.number))
    assert call.result == 6
    assert world.calls == [3]
    assert (record.kind, record.name, record.plugin) == ("input", "World.ask", "asker")
    assert (record.parent, record.root) == (call.seq, call.seq - 1)
    assert record.payload["arguments"] == {"number": 3}
    assert record.payload["function"].endswith("test_effects.World.ask")
    assert (record.result, record.outcome, record.error) == (6, "ok", None)
    assert record.duration_ns > 0


def test_an_async_effect_is_awaited_and_recorded_the_same_way(run):
    """A coroutine function is awaited by the plugin, and its record differs in nothing."""
    world = World()

    async def handle(ctx, event):
        return await ctx.effect(world.ask_later, event.number)

    call, [record] = run(handle)
    assert (call.result, record.result, record.parent) == (6, 6, call.seq)
    assert record.payload["arguments"] == {"number": 3}


def test_an_effect_in_start_hangs_below_the_transition():
    """What a plugin asks for while it starts has the transition as its parent."""

    class Starting(Plugin):
        def start(self, ctx):
            self.got = ctx.effect(World().ask, 4)

    with Host([Starting]) as host:
        host.start()
        [record] = host.recording.select(kinds="input")
        parent = host.recording[record.parent]
    assert (parent.kind, parent.plugin) == ("state", "starting")
    assert parent.name.endswith("->starting")


def test_trees_and_frames_show_effects(run):
    """The tree of an event shows what an effect was asked and gave, and the frame of inputs holds both as JSON."""
    world = World()
    host = Host([asking(lambda ctx, event: ctx.effect(world.ask, event.number, token="abc"))])
    run(None, host=host)
    lines = str(host.recording.tree()).splitlines()
    assert 'World.ask (asker) (number=3, token="abc") -> 6' in lines[-1]
    assert lines[-1].startswith("   └─ #")
    [row] = host.recording.inputs().to_dict("records")
    assert (row["name"], row["result"]) == ("World.ask", "6")
    assert '"arguments":{"number":3,"token":"abc"}' in row["payload"]


def test_an_effect_inside_an_effect_is_recorded_below_it(run):
    """The outer effect is the parent of the inner one, and both are below the call."""
    world = World()

    def handle(ctx, event):
        return ctx.effect(lambda: ctx.effect(world.ask, 1) + ctx.effect(world.ask, 2))

    call, records = run(handle)
    outer, *inner = sorted(records, key=lambda record: record.seq)
    assert outer.parent == call.seq
    assert [record.parent for record in inner] == [outer.seq, outer.seq]
    assert {record.root for record in records} == {call.seq - 1}


def test_what_is_redacted_is_never_on_file(tmp_path):
    """An argument whose name is redacted is hidden even if it is given by position, and so are secret types."""
    secrets = "hush-1", SecretStr("hush-2"), SecretStr("hush-3")

    def fetch(url: str, token: str, key: SecretStr) -> SecretStr:
        return secrets[2]

    with Host([asking(lambda ctx, event: ctx.effect(fetch, "here", *secrets[:2]))]) as host:
        recording = host.record(tmp_path / "a.plugbook", redact=["token"])
        host.start()
        assert host.publish(Asked()).errors == []
        recording.close()
        [record] = recording.select(kinds="input")
    hidden = "**********"
    assert record.payload["arguments"] == {"url": "here", "token": hidden, "key": hidden}
    assert record.result == hidden
    assert b"hush" not in (tmp_path / "a.plugbook").read_bytes()


def test_an_error_is_recorded_and_raised(run):
    """What an effect raises reaches the plugin as it is, and is on record with its place."""
    world = World(failures=1)
    call, [record] = run(lambda ctx, event: ctx.effect(world.ask, 3))
    assert isinstance(call.error, ConnectionError)
    assert (record.outcome, record.error["type"], record.result) == ("error", "ConnectionError", None)
    assert record.error["message"] == "no answer to 3"
    assert "attempts" not in record.payload


def test_a_result_without_json_form_disturbs_nobody(run):
    """The plugin gets the object itself, and the record says that a replay cannot give it back."""
    kept = object()
    got = []
    _, [record] = run(lambda ctx, event: got.append(ctx.effect(lambda: kept)))
    assert got == [kept]
    assert record.outcome == "ok"
    assert "a replay cannot give it back: object has no JSON form" in record.reason
    assert record.result["$lost"]["type"] == "object"


def test_an_iterator_is_not_used_up(run):
    """A result that can be gone through once only is left to the plugin."""
    call, [record] = run(lambda ctx, event: list(ctx.effect(lambda: iter([1, 2]))))
    assert call.result == [1, 2]
    assert "$lost" in record.result


def test_a_host_without_timing_performs_effects():
    """Without a recorder nothing is kept, and effects do what they do."""
    world = World()
    with Host([asking(lambda ctx, event: ctx.effect(world.ask, 5))], timing=False) as host:
        host.start()
        assert host.publish(Asked()).calls[0].error is None
    assert world.calls == [5]


# -- retries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_failed_effect_is_tried_again_after_growing_pauses(run, kind):
    """Each failed attempt is in the one record, and the pauses double."""
    world = World(failures=3)

    def handle(ctx, event):
        return ctx.effect.using(retries=3, backoff=0.5)(world.ask, 7)

    async def handle_later(ctx, event):
        return await ctx.effect.using(retries=3, backoff=0.5)(world.ask_later, 7)

    host = Host([asking(handle if kind == "sync" else handle_later)])
    time = FakeTime(host)
    call, [record] = run(None, host=host)
    assert call.result == 14
    assert time.waited == [0.5, 1.0, 2.0]
    assert [each["type"] for each in record.payload["attempts"]] == ["ConnectionError"] * 3
    assert (record.outcome, record.reason) == ("ok", "attempt 4 succeeded")


def test_the_last_error_is_raised_when_no_attempt_is_left(run):
    """An effect that fails each time raises its last error, and its record holds all attempts."""
    world = World(failures=9)
    host = Host([asking(lambda ctx, event: ctx.effect.using(retries=1)(world.ask, 7))])
    FakeTime(host)
    call, [record] = run(None, host=host)
    assert isinstance(call.error, ConnectionError)
    assert len(world.calls) == len(record.payload["attempts"]) == 2
    assert (record.outcome, record.reason) == ("error", "2 attempts failed")


def test_only_the_errors_asked_for_are_tried_again(run):
    """With retry_on, another error is raised at once."""
    world = World(failures=1)
    host = Host([asking(lambda ctx, event: ctx.effect.using(retries=5, retry_on=KeyError)(world.ask, 7))])
    time = FakeTime(host)
    call, _ = run(None, host=host)
    assert isinstance(call.error, ConnectionError)
    assert time.waited == []


def test_pauses_do_not_grow_beyond_a_minute(run):
    """However many attempts there are, nobody waits longer than a minute for the next."""
    world = World(failures=12)
    host = Host([asking(lambda ctx, event: ctx.effect.using(retries=12, backoff=1.0)(world.ask, 7))])
    time = FakeTime(host)
    run(None, host=host)
    assert time.waited[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert max(time.waited) == 60.0


# -- timeouts ---------------------------------------------------------------------------------------


def test_a_sync_effect_that_takes_too_long_is_given_up(run):
    """The plugin goes on with an EffectTimeoutError, while the thread of the effect goes on by itself."""
    release, ended = threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(DEADLINE_S)
        ended.set()

    call, [record] = run(lambda ctx, event: ctx.effect.using(timeout=0.01)(slow))
    assert isinstance(call.error, EffectTimeoutError)
    assert (record.outcome, record.error["type"]) == ("timeout", "EffectTimeoutError")
    assert not ended.is_set()
    release.set()
    assert ended.wait(DEADLINE_S)


def test_an_async_effect_that_takes_too_long_is_cancelled(run):
    """The coroutine is cancelled, and the plugin gets an EffectTimeoutError."""
    cancelled = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def handle(ctx, event):
        await ctx.effect.using(timeout=0.01, name="slowly")(slow)

    call, [record] = run(handle)
    assert isinstance(call.error, EffectTimeoutError)
    assert "slowly took more than 0.01 s" in str(call.error)
    assert (record.name, record.outcome, cancelled) == ("slowly", "timeout", [True])


def test_a_timeout_of_the_functions_own_is_not_taken_for_ours(run):
    """A TimeoutError that the function raises stays what it is."""

    async def hasty() -> None:
        raise TimeoutError("mine")

    async def handle(ctx, event):
        await ctx.effect.using(timeout=DEADLINE_S)(hasty)

    call, [record] = run(handle)
    assert type(call.error) is TimeoutError
    assert record.outcome == "error"


def test_a_thread_is_used_only_where_a_timeout_is_asked_for(run):
    """Without a timeout a sync function runs where the plugin does; with one on a thread of its own."""
    here = threading.get_ident()
    call, _ = run(
        lambda ctx, event: [
            ctx.effect(threading.get_ident) == here,
            ctx.effect.using(timeout=DEADLINE_S)(threading.get_ident) == here,
        ]
    )
    assert call.result == [True, False]


def test_what_is_published_on_the_thread_of_a_timeout_has_its_cause(run):
    """An event that an effect publishes from such a thread is caused by the call, as it is without a thread."""

    def handle(ctx, event):
        if event.number == 3:
            ctx.effect.using(timeout=DEADLINE_S)(lambda: ctx.publish(Asked(number=4)) and None)

    host = Host([asking(handle)])
    call, _ = run(None, host=host)
    published = list(host.recording.select(kinds="event"))
    assert [record.parent for record in published] == [None, call.seq]


# -- denial and rules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["smtplib.*", "smtplib.SMTP.noop", "*.noop", "*"])
def test_a_denied_effect_is_not_performed(run, pattern):
    """A pattern denies by the qualified name of the function; the record is skipped and says by which pattern."""
    import smtplib

    server = object.__new__(smtplib.SMTP)  # connected to nobody
    call, [record] = run(lambda ctx, event: ctx.effect(server.noop), rules=Effects(deny=[pattern]))
    assert isinstance(call.error, EffectDeniedError)
    assert (call.error.effect, call.error.plugin, call.error.pattern) == (
        "smtplib.SMTP.noop",
        "asker",
        pattern,
    )
    assert "host does not let asker perform the effect smtplib.SMTP.noop" in str(call.error)
    assert (record.outcome, record.reason) == ("skipped", f"denied by {pattern!r}")


def test_what_hides_a_function_does_not_get_it_past_a_denial(run):
    """Partials, subclasses and names of one's own are looked behind."""
    import smtplib

    class Mine(smtplib.SMTP):
        def __init__(self):
            pass

    def handle(ctx, event):
        mine = Mine()
        for effect, f in (
            (ctx.effect, functools.partial(mine.sendmail, "a", "b")),
            (ctx.effect.using(name="harmless"), mine.sendmail),
        ):
            with pytest.raises(EffectDeniedError):
                effect(f)

    call, records = run(handle, rules=Effects(deny="smtplib.SMTP.*"))
    assert call.error is None
    assert [record.outcome for record in records] == ["skipped", "skipped"]


def test_rules_count_from_the_next_effect_on_and_are_on_record(run):
    """Rules can be set and taken away while the plugin runs; each change is a record."""
    world = World()
    host = Host([asking(lambda ctx, event: ctx.effect(world.ask, 1))])
    assert run(None, host=host)[0].error is None
    host.effects["*"] = Effects(deny=["*ask"])
    assert isinstance(run(None, host=host)[0].error, EffectDeniedError)
    del host.effects["*"]
    assert run(None, host=host)[0].error is None
    changed = [record for record in host.recording.select(kinds="change") if record.name == "effects"]
    assert [record.payload and record.payload["deny"] for record in changed] == [["*ask"], None]


def test_what_the_host_says_goes_before_what_the_code_asks(run):
    """Retries of the host replace those of the code; a plugin's own rules go before those for all; the rest stays."""
    world = World(failures=2)
    host = Host(
        [asking(lambda ctx, event: ctx.effect.using(retries=0, backoff=3.0)(world.ask, 1))],
        effects={"*": Effects(retries=1), "asker": Effects(retries=2)},
    )
    time = FakeTime(host)
    call, _ = run(None, host=host)
    assert call.result == 2
    assert time.waited == [3.0, 6.0]


def test_a_denied_effect_is_not_tried_again(run):
    """Retrying does not help against a denial, of an effect inside another one either."""
    world = World()

    def handle(ctx, event):
        ctx.effect.using(retries=5, name="outer")(lambda: ctx.effect(world.ask, 1))

    host = Host([asking(handle)], effects={"asker": Effects(deny=["*World.ask"])})
    time = FakeTime(host)
    call, _ = run(None, host=host)
    assert isinstance(call.error, EffectDeniedError)
    assert (time.waited, world.calls) == ([], [])


# -- refusals ---------------------------------------------------------------------------------------


def test_rules_for_a_plugin_that_is_not_there_are_refused():
    """A misspelt name is refused with the one that was meant, and nothing is set."""
    with pytest.raises(UnknownPluginError, match="Did you mean 'asker'"):
        Host([asking(None)], effects={"aksr": Effects()})
    with Host([asking(None)]) as host:
        with pytest.raises(EffectError, match=r"Write them as Effects\("):
            host.effects["asker"] = {"retries": 2}
        assert dict(host.effects) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "whole number"),
        ({"retries": 1.5}, "whole number"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": float("nan")}, "above 0"),
        ({"backoff": -1.0}, "from 0"),
        ({"backoff": "long"}, "from 0"),
    ],
)
def test_options_that_cannot_be_are_refused(run, options, said):
    """The host's rules and the code's options are checked when they are given."""
    with pytest.raises(EffectError, match=said):
        Effects(**options)
    call, records = run(lambda ctx, event: ctx.effect.using(**options))
    assert isinstance(call.error, EffectError)
    assert records == []


def test_other_misuse_is_refused_with_what_to_write(run):
    """A call that was made already, a coroutine, patterns and errors that are none: each says what to write."""

    async def later() -> None:
        pass

    def handle(ctx, event):
        with pytest.raises(EffectError, match=r"Write ctx.effect\(fetch, url\)"):
            ctx.effect(3)
        with pytest.raises(EffectError, match="the coroutine function itself"):
            ctx.effect(lambda: later())
        with pytest.raises(EffectError, match="ConnectionError"):
            ctx.effect.using(retry_on=3)
        with pytest.raises(EffectError, match="is no text"):
            Effects(deny=[3])

    call, _ = run(handle)
    assert call.error is None


def test_the_functions_own_keywords_are_its_own(run):
    """A function may have parameters of any name, those of the options included."""

    def odd(*, f: int, name: str, timeout: int, retries: int) -> list:
        return [f, name, timeout, retries]

    call, [record] = run(lambda ctx, event: ctx.effect(odd, f=1, name="n", timeout=2, retries=3))
    assert call.result == [1, "n", 2, 3]
    assert record.payload["arguments"] == {"f": 1, "name": "n", "timeout": 2, "retries": 3}
