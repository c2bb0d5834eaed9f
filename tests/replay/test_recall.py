"""Effects in a replay: none is performed, each gives what it gave when recorded, and differences are named."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from plugbook import Event, Host, Plugin, on, open_recording
from plugbook.errors import EffectDeniedError, EffectReplayError, RecordedError
from plugbook.events.middleware import retry, timing
from plugbook.plugins.effects.effect import Effects

DEADLINE_S = 10.0


class Asked(Event):
    number: int = 0


class Told(Event):
    number: int = 0


@dataclass
class Answer:
    number: int
    text: str


class World:
    """What effects touch: every call is counted, and answers what it never answered before."""

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


WORLD = World()


class Asker(Plugin):
    """Asks in start, in handlers of both kinds, and takes errors for answers."""

    def start(self, ctx):
        self.got = [ctx.effect(WORLD.ask, -1, token="secret")]

    @on(Asked)
    def take(self, event):
        self.got.append(self.ctx.effect(WORLD.ask, event.number, token="secret"))
        try:
            self.ctx.effect(WORLD.fail)
        except FileNotFoundError as error:
            self.got.append((error.errno, str(error)))

    @on(Asked)
    async def take_later(self, event):
        answers = asyncio.gather(*(self.ctx.effect(WORLD.ask_later, n) for n in range(event.number)))
        self.got.append(await answers)


def record(path, *plugins: type[Plugin], numbers=range(3), **options):
    """Record those events from before the start of the plugins; what they got, and the recording."""
    with Host(plugins) as host:
        recording = host.record(path, **options)
        host.start()
        for number in numbers:
            host.publish(Asked(number=number))
        got = [handle.instance.got for handle in host.plugins.values()]
    return got, open_recording(recording.path)


def replay(recording, *plugins: type[Plugin], start_first: bool = False):
    """Replay it to fresh plugins; what they got, the result, and how often the world was touched."""
    touched = WORLD.calls
    with Host(plugins) as host:
        if start_first:
            host.start()
        with host.replay(recording, rate=None) as player:
            if not start_first:
                host.start()
            player.play()
            result = player.result
        got = [handle.instance.got for handle in host.plugins.values() if handle.instance]
        inputs = list(host.recording.select(kinds="input"))
    return got, result, inputs, WORLD.calls - touched


def handler(take, *, named: str = "asker") -> type[Plugin]:
    """A plugin that keeps what a function of its context and the event gives, errors included."""

    class Made(Plugin, name=named):
        def start(self, ctx):
            self.got = []

        @on(Asked)
        def take(self, event):
            self.got.append(take(self.ctx, event))

    Made.__name__ = "Asker"
    return Made


# -- what comes back --------------------------------------------------------------------------------


def test_a_replay_gives_everything_back_and_performs_nothing(tmp_path):
    """Start, sync and async handlers, results and errors: plugins get what they got, and the world is not touched."""
    live, recording = record(tmp_path / "a.plugbook", Asker, redact=["token"])
    again, result, inputs, touched = replay(recording, Asker)
    assert again == live
    assert touched == 0
    assert result.same
    assert result.effects.matched == len(inputs) == 1 + 3 * 2 + 3
    assert "effects given back: 10 as recorded, 0 differ, 0 missing, 0 extra" in str(result)
    assert all("given back from #" in record.reason for record in inputs)


def test_the_tree_of_a_replay_is_the_tree_of_the_recording(tmp_path):
    """A host that records while it replays has the same effects under the same calls, and can be replayed as well."""
    _, recording = record(tmp_path / "a.plugbook", Asker, numbers=[2])
    with Host([Asker]) as host:
        again = host.record(tmp_path / "b.plugbook")
        with host.replay(recording, rate=None) as player:
            host.start()
            player.play()
    shapes = [
        [
            (node.record.kind, node.record.name, node.record.payload, node.record.result)
            for node in each.tree()
        ]
        for each in (recording, again)
    ]
    assert shapes[0] == shapes[1]
    assert replay(open_recording(again.path), Asker)[1].same


def test_a_recording_in_memory_is_replayed_on_the_host_that_makes_it():
    """The last events of a host can be replayed at once; what is recorded meanwhile is no part of it."""
    with Host([handler(lambda ctx, event: ctx.effect(WORLD.ask, event.number))]) as host:
        host.start()
        for number in range(3):
            host.publish(Asked(number=number))
        got = host.plugins["asker"].instance.got
        touched = WORLD.calls
        with host.replay(host.recording, rate=None) as player:
            player.play()
            assert player.result.same
        assert got[:3] == got[3:]
        assert WORLD.calls == touched
        host.publish(Asked())
        assert WORLD.calls == touched + 1


@st.composite
def effects(draw):
    """What one handler asks for: numbers, some of them through a function that fails, some awaited."""
    return draw(st.lists(st.tuples(st.sampled_from(["ask", "later", "fail"]), st.integers(0, 2)), max_size=4))


def asking_for(handlers: list[list[tuple[str, int]]]) -> type[Plugin]:
    """A plugin with those handlers, which keeps all that it gets."""

    async def one(ctx, kind: str, number: int):
        if kind == "later":
            return await ctx.effect(WORLD.ask_later, number)
        try:
            return ctx.effect(WORLD.ask, number) if kind == "ask" else ctx.effect(WORLD.fail)
        except FileNotFoundError as error:
            return str(error)

    class Many(Plugin):
        def start(self, ctx):
            self.got = []
            for index, asks in enumerate(handlers):
                ctx.subscribe(Asked, self.make(ctx, asks), name=f"handler-{index}")

        def make(self, ctx, asks):
            async def handle(event):
                self.got.extend([await one(ctx, kind, number + event.number) for kind, number in asks])

            return handle

    return Many


@settings(max_examples=25)
@given(st.lists(effects(), min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_whatever_is_asked_is_given_back(handlers, numbers):
    """Any handlers that ask for any effects get in a replay, played at once or in steps, exactly what they got."""
    asker = asking_for(handlers)
    with Host([asker]) as first:
        first.start()
        for number in numbers:
            first.publish(Asked(number=number))
        touched = WORLD.calls
        for in_steps in (False, True):
            with Host([asker]) as host, host.replay(first.recording, rate=None) as player:
                host.start()
                while in_steps and player.step():
                    pass
                player.play()
                assert player.result.same, player
                assert host.plugins["many"].instance.got == first.plugins["many"].instance.got
        assert WORLD.calls == touched


# -- differences ------------------------------------------------------------------------------------


def test_what_changed_code_asks_for_is_told_apart(tmp_path):
    """Other arguments, effects that nobody asks for any more, and new ones, which are refused."""
    asked = [[("ask", 1), ("ask", 2)], [("ask", 3)], []]

    def take(ctx, event):
        got = []
        for name, number in asked[event.number]:
            try:
                got.append(ctx.effect.using(name=name)(WORLD.ask, number))
            except EffectReplayError as error:
                got.append(str(error))
        return got

    live, recording = record(tmp_path / "a.plugbook", handler(take))
    asked[:] = [[("ask", 1), ("ask", 5)], [], [("ask", 9)]]
    again, result, inputs, touched = replay(recording, handler(take))
    effects = result.effects
    assert (effects.matched, effects.differs, effects.missing, effects.extra) == (1, 1, 1, 1)
    assert not result.same
    assert touched == 0
    assert again[0][0] == live[0][0]
    assert "no counterpart in the recording, and a replay performs none" in again[0][2][0]
    assert inputs[-1].outcome == "skipped"
    differing = {each.kind: each for each in effects.differences}
    assert (differing["differs"].recorded, differing["differs"].replayed) == ('{"number":2}', '{"number":5}')
    assert (differing["missing"].recorded, differing["missing"].replayed) == ('{"number":3}', "")
    assert (differing["extra"].seq, differing["extra"].replayed) == (None, '{"number":9}')
    assert {each.handler for each in effects.differences} == {"Asker.take"}
    assert "1 as recorded, 1 differ, 1 missing, 1 extra" in str(result)


@given(st.permutations(range(4)))
def test_the_same_arguments_find_each_other_in_any_order(order):
    """Where several effects of one name are asked for in another order, each gets the answer to its arguments."""
    now = list(range(4))

    def take(ctx, event):
        return {number: ctx.effect(WORLD.ask, number) for number in now}

    with Host([handler(take)]) as first:
        first.start()
        first.publish(Asked())
        now[:] = order
        with Host([handler(take)]) as host, host.replay(first.recording, rate=None) as player:
            host.start()
            player.play()
            assert player.result.same
            assert host.plugins["asker"].instance.got == first.plugins["asker"].instance.got


def test_an_answer_that_was_lent_is_still_there_for_who_asks_the_same(tmp_path):
    """A new effect before the others gets the first answer, and the others get theirs all the same."""
    numbers = [1, 2]

    def take(ctx, event):
        return [ctx.effect(WORLD.ask, number).number for number in numbers]

    _, recording = record(tmp_path / "a.plugbook", handler(take), numbers=[0])
    numbers[:] = [7, 1, 2]
    again, result, _, _ = replay(recording, handler(take))
    assert again == [[[1, 1, 2]]]
    assert (result.effects.matched, result.effects.differs, result.effects.missing) == (2, 1, 0)


def test_hidden_arguments_are_compared_as_hidden(tmp_path):
    """A redacted argument differs from none, another one beside it does."""
    token, number = ["first"], [1]

    def take(ctx, event):
        return ctx.effect(WORLD.ask, number[0], token=token[0])

    _, recording = record(tmp_path / "a.plugbook", handler(take), numbers=[0], redact=["token"])
    token[0] = "second"
    assert replay(recording, handler(take))[1].same
    number[0] = 2
    result = replay(recording, handler(take))[1]
    assert result.effects.differs == 1
    assert "second" not in str(result)


# -- what cannot be given back ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"payloads": "none"}, None),
        ({"redact": ["text"]}, "secrets in its result were redacted: text"),
        ({"cap_bytes": 200}, "its result was cut"),
    ],
)
def test_what_the_recording_does_not_hold_is_refused_with_the_reason(tmp_path, options, said):
    """A result that was not recorded, redacted or cut cannot be given back, and the world is not asked instead."""

    def big(number: int) -> Answer:
        return Answer(number, "x" * 300)

    def take(ctx, event):
        try:
            return ctx.effect(big, event.number)
        except EffectReplayError as error:
            return str(error)

    _, recording = record(tmp_path / "a.plugbook", handler(take), numbers=[1], **options)
    again, result, _, touched = replay(recording, handler(take))
    assert touched == 0
    if said is None:  # no event can be made again either
        assert result.skipped == 1
        return
    assert "the effect big cannot be given back from #" in again[0][0]
    assert said in again[0][0]


def test_a_denial_is_given_back_too(tmp_path):
    """What the host denied when it was recorded is denied in the replay, on a host that would allow it."""
    kept = []

    def take(ctx, event):
        with pytest.raises(EffectDeniedError) as caught:
            ctx.effect(WORLD.ask, 1)
        kept.append(caught.value)
        return caught.value.pattern

    with Host([handler(take)], effects={"asker": Effects(deny=["*"])}) as host:
        host.start()
        host.publish(Asked())
        got, result, inputs, touched = replay(host.recording, handler(take))
    assert (got, touched) == ([["*"]], 0)
    assert result.same
    assert inputs[0].outcome == "skipped"


def test_an_error_whose_type_is_not_at_hand_is_a_recorded_error(tmp_path):
    """The plugin gets type and message of an error that only the recorded process knew."""

    class LocalError(Exception):
        pass

    def fail() -> None:
        raise LocalError("no")

    def take(ctx, event):
        try:
            ctx.effect(fail)
        except (LocalError, RecordedError) as error:
            return type(error).__name__, str(error).rpartition(".")[2]

    _, recording = record(tmp_path / "a.plugbook", handler(take), numbers=[0])
    assert replay(recording, handler(take))[0] == [[("RecordedError", "LocalError: no")]]


def test_a_cancelled_effect_gives_nothing_back():
    """An interrupt left no answer, so that the replay says so instead of waiting for one."""

    def stop() -> None:
        raise KeyboardInterrupt

    def take(ctx, event):
        ctx.effect(stop)

    with Host([handler(take)]) as host:
        host.start()
        with pytest.raises(KeyboardInterrupt):
            host.publish(Asked())
        with host.replay(host.recording, rate=None) as player:
            [report] = player.step()
    assert isinstance(report.errors[0].error, EffectReplayError)
    assert "it was cancelled before it gave anything" in str(report.errors[0].error)


# -- what is part of a replay -------------------------------------------------------------------------


def test_a_plugin_that_starts_during_a_replay_gets_its_recorded_start(tmp_path):
    """Each start gets the effects of the last recorded start before the place where the replay stands."""

    class Starting(Plugin):
        def start(self, ctx):
            self.got = ctx.effect(WORLD.ask, 1)

        @on(Asked)
        def take(self, event):
            """Take it."""

    with Host([Starting]) as host:
        recording = host.record(tmp_path / "a.plugbook")
        host.start()
        first = host.plugins["starting"].instance.got
        host.publish(Asked(number=1))
        host.restart("starting")
        second = host.plugins["starting"].instance.got
        host.publish(Asked(number=2))
        recording.close()
    assert first != second
    touched = WORLD.calls
    with Host([Starting]) as host, host.replay(recording, rate=None) as player:
        host.start()
        assert host.plugins["starting"].instance.got == first
        host.restart("starting")
        assert host.plugins["starting"].instance.got == first
        player.play()
        host.restart("starting")
        assert host.plugins["starting"].instance.got == second
    assert WORLD.calls == touched


def test_a_start_that_was_not_recorded_is_refused(tmp_path):
    """A plugin that starts during a replay, of which the recording holds no start, fails to, and says why."""
    _, recording = record(tmp_path / "a.plugbook", handler(lambda ctx, event: None))
    touched = WORLD.calls
    with Host([Asker]) as host, host.replay(recording, rate=None):
        host.start()
        error = host.plugins["asker"].error
    assert isinstance(error, EffectReplayError)
    assert "the start of asker" in str(error)
    assert WORLD.calls == touched


def test_what_started_before_the_player_asked_the_world_itself(tmp_path):
    """A plugin that was started first has performed its start; that is no difference, and its handlers are replayed."""
    live, recording = record(tmp_path / "a.plugbook", Asker)
    again, result, _, touched = replay(recording, Asker, start_first=True)
    assert touched == 1
    assert again[0][1:] == live[0][1:]
    assert result.same


def test_what_a_person_publishes_meanwhile_goes_into_the_world(tmp_path):
    """Effects of events that do not come from the recording are performed, between steps and after the end."""
    _, recording = record(tmp_path / "a.plugbook", handler(lambda ctx, event: ctx.effect(WORLD.ask, 1)))
    touched = WORLD.calls
    with Host([handler(lambda ctx, event: ctx.effect(WORLD.ask, 1))]) as host:
        host.start()
        with host.replay(recording, rate=None) as player:
            player.step()
            assert WORLD.calls == touched
            host.publish(Asked())
            assert WORLD.calls == touched + 1
            player.play()
            assert player.result.same
    assert WORLD.calls == touched + 1


def test_background_tasks_are_given_back_what_they_got(tmp_path):
    """A task that start spawned gets its recorded answers in order, and is refused further ones."""
    done = threading.Event()

    class Polling(Plugin):
        def start(self, ctx):
            self.got = []
            ctx.spawn(self.poll(ctx))

        async def poll(self, ctx):
            try:
                for _ in range(limit[0]):
                    self.got.append(await ctx.effect(WORLD.ask_later, 1))
            except EffectReplayError:
                self.got.append("refused")
            finally:
                done.set()

    limit = [2]
    with Host([Polling]) as host:
        recording = host.record(tmp_path / "a.plugbook")
        host.start()
        assert done.wait(DEADLINE_S)
        live = host.plugins["polling"].instance.got
        recording.close()
    done.clear()
    limit[0] = 3
    touched = WORLD.calls
    with Host([Polling]) as host, host.replay(recording, rate=None) as player:
        host.start()
        assert done.wait(DEADLINE_S)
        assert host.plugins["polling"].instance.got == [*live, "refused"]
        assert (player.result.effects.matched, player.result.effects.extra) == (2, 1)
    assert WORLD.calls == touched


def test_a_task_that_a_handler_spawned_is_given_back_what_it_got():
    """The effects of such a task belong to the call that spawned it."""
    done = threading.Event()

    class Spawning(Plugin):
        def start(self, ctx):
            self.got = []

        @on(Asked)
        def take(self, event):
            self.ctx.spawn(self.later(event.number))

        async def later(self, number):
            self.got.append(await self.ctx.effect(WORLD.ask_later, number))
            done.set()

    with Host([Spawning]) as first:
        first.start()
        first.publish(Asked(number=4))
        assert done.wait(DEADLINE_S)
        done.clear()
        with Host([Spawning]) as host, host.replay(first.recording, rate=None) as player:
            host.start()
            player.step()
            assert done.wait(DEADLINE_S)
            assert player.result.effects.matched == 1
            assert host.plugins["spawning"].instance.got == first.plugins["spawning"].instance.got


def test_playing_again_from_an_earlier_place_gives_the_same_back(tmp_path):
    """After a seek the effects of what is played again are all there."""
    live, recording = record(tmp_path / "a.plugbook", handler(lambda ctx, event: ctx.effect(WORLD.ask, 1)))
    with Host([handler(lambda ctx, event: ctx.effect(WORLD.ask, 1))]) as host:
        host.start()
        with host.replay(recording, rate=None) as player:
            player.play()
            player.seek(seq=0)
            player.play()
            assert player.result.same
            assert player.result.effects.matched == 6
        assert host.plugins["asker"].instance.got == live[0] * 2


def test_a_closed_player_lets_effects_into_the_world_again(tmp_path):
    """Once the player is closed, plugins that start ask the world."""
    _, recording = record(tmp_path / "a.plugbook", Asker)
    with Host([Asker]) as host:
        with host.replay(recording, rate=None):
            assert host.effects.recall is not None
        assert host.effects.recall is None
        touched = WORLD.calls
        host.start()
        assert WORLD.calls == touched + 1


def test_what_middleware_calls_again_is_given_back_again(tmp_path):
    """Each attempt of a handler that is retried gets what the same attempt got, and what it publishes is held back."""
    tries = []

    def flaky(number: int) -> int:
        tries.append(number)
        if len(tries) % 3:
            raise ConnectionError(f"try {len(tries)}")
        return number

    class Retried(Plugin):
        def start(self, ctx):
            self.got, self.told = [], []
            for handler in (self.take, self.take_later):
                ctx.subscribe(Asked, handler, middleware=(retry(retries=2), timing(over=DEADLINE_S)))
            ctx.subscribe(Told, lambda event: self.told.append(event.number))

        def take(self, event):
            self.ctx.publish(Told(number=event.number))
            self.got.append(self.ctx.effect(flaky, event.number))

        async def take_later(self, event):
            self.got.append(self.ctx.effect(flaky, event.number))

    with Host([Retried]) as host:
        recording = host.record(tmp_path / "a.plugbook")
        host.start()
        for number in range(2):
            host.publish(Asked(number=number))
        live = host.plugins["retried"].instance
        recording.close()
        live = live.got, live.told
    assert len(tries) == 12
    with Host([Retried]) as host, host.replay(recording, rate=None) as player:
        host.start()
        player.play()
        assert player.result.same, player.result
        assert (player.result.effects.matched, player.result.matched) == (12, 6)
        again = host.plugins["retried"].instance
        assert (again.got, again.told) == live
    assert len(tries) == 12


SERVED = """
import socket, threading, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from plugbook import Event, Host, Plugin, on


class Asked(Event):
    path: str


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


class Rates(Plugin):
    def start(self, ctx):
        self.got = []

    @on(Asked)
    def look(self, event):
        self.got.append(self.ctx.effect(fetch, f"http://127.0.0.1:1/{event.path}"))
"""

RECORDED = '''
class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_):
        """Say nothing."""


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
real = fetch


def fetch(url: str) -> bytes:
    return real(url.replace(":1/", f":{server.server_port}/"))


with Host([Rates]) as host:
    host.record(PATH)
    host.start()
    for path in ("usd", "chf"):
        assert not host.publish(Asked(path=path)).errors
    print(host.plugins["rates"].instance.got)
server.shutdown()
server.server_close()
'''

REPLAYED = """
def refuse(event, args):
    if event.startswith("socket.") and event != "socket.__new__":
        raise SystemExit(f"the network was touched: {event}")


with Host([Rates]) as host, host.replay(PATH, rate=None) as player:
    host.start()
    import sys
    sys.addaudithook(refuse)
    player.play()
    assert player.result.same, player
    print(host.plugins["rates"].instance.got)
"""


def test_what_one_process_fetched_another_replays_without_a_network(tmp_path):
    """A recording of a process that asked a server is replayed in another one, in which no socket may connect."""
    said = []
    for part in (RECORDED, REPLAYED):
        text = f"PATH = {str(tmp_path / 'a.plugbook')!r}\n{SERVED}{part}"
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1] == "[b'/usd', b'/chf']\n"


def test_an_effect_without_a_result_to_give_back_is_not_as_recorded(tmp_path):
    """The summary names the effect and the type of what it gave; the handler that asked gets the error."""

    def connect() -> object:
        return object()

    def take(ctx, event):
        try:
            ctx.effect(connect)
        except EffectReplayError as error:
            return str(error)

    _, recording = record(tmp_path / "a.plugbook", handler(take), numbers=range(2))
    again, result, _, _ = replay(recording, handler(take))
    assert all("its result, of type object, has no JSON form" in each for each in again[0])
    assert (result.effects.matched, result.effects.lost) == (0, 2)
    assert not result.same
    assert "effects whose results could not be given back: 2\n" in str(result)
    assert "connect: its result, of type object, has no JSON form" in str(result)


def test_options_that_were_changed_in_the_recording_are_said_not_to_be(tmp_path):
    """A replay leaves the options of its host alone, and says which change it has passed; secrets stay hidden."""

    class Till(Plugin):
        class Config(BaseModel):
            currency: str = "EUR"
            token: SecretStr = SecretStr("first-token")

        @on(Asked)
        def take(self, event):
            """Its options do not matter here."""

    with Host([Till]) as host:
        recording = host.record(tmp_path / "a.plugbook")
        host.start()
        host.configure("till", currency="CHF")
        host.publish(Asked(number=0))
        host.configure("till", currency="USD", token="second-token")
        host.publish(Asked(number=1))
        host.publish(Asked(number=2))
    with Host([Till]) as host, host.replay(recording.path, rate=None) as player:
        host.start()
        player.step(1)
        assert not player.result.unapplied
        player.play()
        [change] = player.result.unapplied
        assert change.topic == "till was configured"
        assert "currency 'EUR'" not in change.reason
        assert "currency 'CHF' -> 'USD'" in change.reason
        assert "options changed in the recording, and not here: 1\n" in str(player.result)
        assert "second-token" not in str(player.result)
