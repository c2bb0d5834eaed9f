"""Two replays of one recording are the same, and the same as the run that was recorded."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plugbook import Event, Host, Plugin


class Tick(Event, topic="tick"):
    level: int
    number: int


class Tock(Event, topic="tock.loud"):
    level: int
    number: int


KINDS = {"Tick": Tick, "Tock": Tock}
DEEPEST = 2


@st.composite
def handlers(draw) -> dict[str, Any]:
    """What one handler listens to, what it publishes for each event, and how."""
    return {
        "target": draw(st.sampled_from([Tick, Tock, "tick", "tock.*", "**"])),
        "priority": draw(st.integers(-1, 1)),
        "runs": draw(st.sampled_from(["inline", "async", "thread"])),
        "fails": draw(st.booleans()),
        "publishes": draw(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 3)), max_size=2)),
    }


plugin_sets = st.lists(st.lists(handlers(), min_size=1, max_size=2), min_size=1, max_size=3)
streams = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 3)), min_size=1, max_size=4)


def make_plugin(number: int, specs: list[dict[str, Any]], calls: list[Any]) -> type[Plugin]:
    """A plugin that subscribes those handlers, and notes each call in `calls`."""

    def start(self, ctx):
        for index, spec in enumerate(specs):
            handle = make_handler(ctx, (number, index), spec, calls)
            ctx.subscribe(
                spec["target"],
                handle,
                name=f"handler-{index}",
                priority=spec["priority"],
                thread=spec["runs"] == "thread",
            )

    return type(f"Plugin{number}", (Plugin,), {"start": start}, name=f"plugin-{number}")


def make_handler(ctx, name: tuple[int, int], spec: dict[str, Any], calls: list[Any]):
    def handle(event):
        calls.append((name, event.__plugbook_json__(), type(event).__topic__))
        if event.level < DEEPEST:
            for kind, plus in spec["publishes"]:
                ctx.publish(KINDS[kind](level=event.level + 1, number=event.number + plus))
        if spec["fails"]:
            raise ValueError

    async def handle_later(event):
        handle(event)

    return handle_later if spec["runs"] == "async" else handle


def make_host(plugins: list[list[dict[str, Any]]], calls: list[Any]) -> Host:
    host = Host([make_plugin(number, specs, calls) for number, specs in enumerate(plugins)])
    host.start()
    return host


@settings(max_examples=25)
@given(plugins=plugin_sets, stream=streams, steps=st.integers(1, 5))
def test_replays_make_the_recorded_calls_in_the_recorded_order(plugins, stream, steps):
    """Played at once or in steps, a recording leads to exactly the calls of the recorded run, and nothing differs."""
    live: list[Any] = []
    with make_host(plugins, live) as first:
        for kind, number in stream:
            first.publish(KINDS[kind](level=0, number=number))
        for in_steps in (False, True):
            replayed: list[Any] = []
            with make_host(plugins, replayed) as host, host.replay(first.recording, rate=None) as player:
                while in_steps and player.step(steps):
                    pass
                player.play()
                assert player.state == "ended"
                assert player.result.same, player
                assert player.result.matched == player.total - len(stream)
            assert replayed == live
