"""Options that are misspelt, wherever people give some: each is refused with the one that was meant."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from plugbook import Effects, Event, Host, Plugin, on
from plugbook.errors import DeadlockError, EventError, OptionError, refuses_misspelt
from plugbook.plugins.policy import Restart


class Asked(Event):
    number: int = 0


class Echo(Plugin):
    @on(Asked)
    def answer(self, event):
        return event.number


@pytest.fixture
def host():
    with Host([Echo]) as host:
        host.start()
        yield host


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda _: Host([], confg={}), "Host has no option 'confg'. Did you mean 'config'?"),
        (lambda _: on(Asked, priorty=1), "on has no option 'priorty'. Did you mean 'priority'?"),
        (lambda _: Effects(retrys=1), "Effects has no option 'retrys'. Did you mean 'retries'?"),
        (lambda _: Restart(max=3), "Restart has no option 'max'. There are: action, backoff,"),
        (lambda host: host.ask(Asked(), defalt=1), "ask has no option 'defalt'. Did you mean 'default'?"),
        (lambda host: host.ask_async(Asked(), al=True), "ask_async has no option 'al'. Did you mean 'all'?"),
        (lambda host: host.subscribe(Asked, print, priorty=1), "subscribe has no option 'priorty'. Did you"),
        (lambda host: host.throttle(Asked, persecond=1), "throttle has no option 'persecond'. Did you mean"),
        (lambda host: host.replay(host.recording, speed=2), "Player has no option 'speed'. There are:"),
        (lambda host: host.redeliver("echo", leters=()), "redeliver has no option 'leters'. Did you mean"),
        (lambda host: host.record("x.plugbook", apend=True), "record has no option 'apend'. Did you mean"),
    ],
)
def test_a_misspelt_option_is_refused_with_what_was_meant(host, call, told):
    """It says which option of what, and nothing was done."""
    before = host.subscriptions, dict(host.bus.throttles)
    with pytest.raises(OptionError) as refused:
        call(host)
    assert told in str(refused.value)
    assert refused.value.option not in refused.value.known
    assert isinstance(refused.value, TypeError)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)
    assert before == (host.subscriptions, dict(host.bus.throttles))


def test_an_error_from_inside_is_left_as_it_is():
    """A TypeError that the function itself raises is not taken for a misspelt option, nor is a missing argument."""

    @refuses_misspelt
    def play(rate: float, **more: object) -> None:
        int(more["rat"])

    with pytest.raises(TypeError, match=r"int\(\) argument"):
        play(1.0, rat=None)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        play()


def test_a_pending_request_says_how_to_look_at_it(host):
    """Awaiting what a handler asked of the host is refused with what to do instead."""
    errors = []

    async def handle(event):
        try:
            await host.stop("echo")
        except DeadlockError as error:
            errors.append(str(error))

    host.subscribe(Asked, handle)
    host.publish(Asked())
    assert "runs when that has ended, so that it cannot be awaited there" in errors[0]
    assert host.states["echo"] == "stopped"


def test_one_dead_letter_is_taken_like_several(host):
    """A letter need not stand in a list; what is no letter is refused, and all letters stay."""
    host.pause("echo")
    for number in range(3):
        host.publish(Asked(number=number))
    first, *_ = host.dead_letters("echo")
    with pytest.raises(EventError, match="'first' is no dead letter"):
        host.discard("echo", ["first"])
    assert host.discard("echo", first) == 1
    host.resume("echo")
    assert len(host.dead_letters("echo")) == 0
    assert asyncio.run(host.publish_async(Asked())).outcome == "ok"
