"""Whose events are held back, and what becomes of them: pause, mute, and the dead letters of each plugin."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from plugbook._clock import Clock
from plugbook.errors import LifecycleError
from plugbook.events.bus import Cause
from plugbook.events.subscription import ABSENT, Skipped
from plugbook.host.changes import record_change
from plugbook.host.supervision.dead_letters import DeadLetter, DeadLetters, Redelivered
from plugbook.plugins.lifecycle import State
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event
    from plugbook.events.subscription import Subscription
    from plugbook.host.handle import PluginHandle
    from plugbook.host.plan import Why

Mode = Literal["", "paused", "muted"]

RESTARTING: Final = "restarting"
QUARANTINED: Final = "quarantined"

_SETTLED: Final = (State.ACTIVE, State.UNLOADED)
_DUE: Final = ("paused", RESTARTING)
"""Why a plugin missed what it gets, without being asked, as soon as it is called again."""


@dataclass(slots=True)
class _Box:
    """What concerns one plugin.

    Attributes:
        mode: whether a person has paused or muted it.
        absence: why it cannot be called though it is wanted, such as ``quarantined``, or ``""``.
        letters: what it missed, oldest first.
        dropped: how many events it missed for good.
        stand_ins: what takes away each subscription that stands for one of its handlers.
    """

    mode: Mode = ""
    absence: str = ""
    letters: deque[DeadLetter] = field(default_factory=deque)
    dropped: int = 0
    stand_ins: list[Disconnect] = field(default_factory=list)

    @property
    def is_held(self) -> bool:
        """Whether its handlers are not to be called."""
        return bool(self.mode or self.absence)


class Deliveries:
    """Keeps what plugins miss while they are not to be called, and brings it to them later.

    An event that a handler misses is a `skipped` call with the reason, in the report and in the recording. What is
    missed by a plugin that is paused, or that the host itself has stopped, is kept as a dead letter. Beyond `most` of
    them, the newest is dropped, and its call says so.

    Args:
        bus: where the plugins are subscribed.
        most: how many dead letters are kept for each plugin.
    """

    def __init__(self, bus: Bus, most: int) -> None:
        self._bus = bus
        self._most = most
        self._boxes: dict[str, _Box] = {}
        self._numbers = itertools.count()
        self._clock = Clock()

    # -- looking ----------------------------------------------------------------------------------

    def letters(self, name: str, members: Iterable[str] = ()) -> DeadLetters:
        """What a plugin has missed, and these members of it if it is a bundle, in the order it was missed."""
        boxes = [self._boxes.get(each) or _Box() for each in (name, *members)]
        letters = sorted((letter for box in boxes for letter in box.letters), key=lambda each: each.number)
        return DeadLetters(name, letters, sum(box.dropped for box in boxes))

    def mode(self, name: str) -> Mode:
        """Whether a person has paused or muted it."""
        box = self._boxes.get(name)
        return box.mode if box is not None else ""

    def explain(self, why: Why) -> Why:
        """The same, and what of its events the plugin does not get."""
        mode, missed = self.mode(why.plugin), len(self.letters(why.plugin))
        events = count_text(missed, "event")
        if mode == "paused":
            trouble = f"it is paused, and {events} wait{'s' * (missed == 1)} for it"
        elif mode == "muted":
            trouble = "it is muted: its events are dropped"
        elif missed:
            trouble = f"{events} that it missed {'are' if missed != 1 else 'is'} kept: host.dead_letters({why.plugin!r})"
        else:
            return why
        mend = f"{'resume' if mode else 'redeliver'} {why.plugin!r}"
        return replace(why, troubles=(*why.troubles, trouble), remedy=why.remedy or mend)

    # -- what a person asks for -------------------------------------------------------------------

    def hold(self, name: str, mode: Literal["paused", "muted"]) -> bool:
        """Have nothing delivered from now on; whether that is new."""
        box = self._box(name)
        if box.mode == mode:
            return False
        box.mode = mode
        self._divert(name, box)
        record_change(self._bus, "pause" if mode == "paused" else "mute", name)
        return True

    def resume(self, held: Mapping[str, bool]) -> Redelivered:
        """Deliver to these plugins from now on, and first, in order, what is `due`. To be called inside a request.

        Args:
            held: the plugins, and whether each is active: one that is not gets what is due when it starts.
        """
        due: list[DeadLetter] = []
        for name, is_active in held.items():
            box = self._box(name)
            if not box.mode:
                continue
            box.mode = ""
            self._divert(name, box)
            waiting = self.due(name)
            record_change(self._bus, "resume", name, {"letters": len(waiting)})
            due += waiting if is_active else ()
        return self.redeliver(held, due)

    def due(self, name: str) -> list[DeadLetter]:
        """What a plugin missed and gets without being asked, once it is called again."""
        return [letter for letter in self.letters(name) if letter.why in _DUE]

    def redeliver(self, names: Iterable[str], letters: Iterable[DeadLetter] | None = None) -> Redelivered:
        """Deliver what these plugins missed, in the order in which it was missed. To be called inside a request.

        Args:
            names: the plugins.
            letters: which of their dead letters; by default all of them.
        """
        wanted = None if letters is None else {letter.number for letter in letters}
        chosen = [
            letter
            for name in names
            for letter in (self._boxes.get(name) or _Box()).letters
            if wanted is None or letter.number in wanted
        ]
        return self._deliver(sorted(chosen, key=lambda letter: letter.number))

    def discard(self, name: str, letters: Iterable[DeadLetter] | None = None) -> int:
        """Drop dead letters; how many it were."""
        box = self._box(name)
        wanted = {letter.number for letter in (box.letters if letters is None else letters)}
        kept = [letter for letter in box.letters if letter.number not in wanted]
        discarded = len(box.letters) - len(kept)
        box.letters = deque(kept)
        box.dropped += discarded
        if discarded:
            record_change(self._bus, "discard", name, {"letters": discarded})
        return discarded

    def forget(self, name: str) -> None:
        """Drop everything about a plugin that was removed."""
        if name in self._boxes:
            self.discard(name)
            self._leave(self._boxes.pop(name))
            self._bus.divert(name, None)

    # -- what the host does -----------------------------------------------------------------------

    @contextmanager
    def standing_in(self, handle: PluginHandle, absence: str) -> Iterator[None]:
        """Keep what a plugin misses from now on, until it is active again; inside, the host may stop it.

        Args:
            handle: the plugin.
            absence: why it is not there: ``restarting``, or another reason, which makes all of it wait for a person.
        """
        box = self._box(handle.name)
        wanted = _listening(handle, self._bus.subscriptions)
        box.absence = absence
        if absence != RESTARTING:
            waits = (replace(each, why=absence) if each.why == RESTARTING else each for each in box.letters)
            box.letters = deque(waits)
        self._divert(handle.name, box)
        try:
            yield
        finally:
            if not box.stand_ins:
                box.stand_ins = [self._bus.subscribe(handler=ABSENT, **each) for each in wanted]

    def follow(self, handle: PluginHandle) -> None:
        """A plugin has changed its state: what is active is there, and what is unloaded is not waited for."""
        box = self._boxes.get(handle.name)
        if box is not None and handle.state in _SETTLED:
            box.absence = ""
            self._leave(box)
            self._divert(handle.name, box)

    # -- inside -----------------------------------------------------------------------------------

    def _box(self, name: str) -> _Box:
        return self._boxes.setdefault(name, _Box())

    def _divert(self, name: str, box: _Box) -> None:
        self._bus.divert(name, partial(self._miss, name, box) if box.is_held else None)

    def _leave(self, box: _Box) -> None:
        stand_ins, box.stand_ins = box.stand_ins, []
        for disconnect in stand_ins:
            disconnect()

    def _miss(self, name: str, box: _Box, subscription: Subscription, event: Event) -> Skipped:
        """Take an event in a plugin's place; a question is not kept, for nobody will wait for its answer."""
        cause = self._bus.cause()
        report = cause.report if cause is not None else None
        if report is not None and report.asked:
            return Skipped(f"{name} is {box.absence or box.mode}: it cannot answer")
        if box.mode == "muted":
            box.dropped += 1
            return Skipped(f"{name} is muted: dropped")
        why = box.absence or box.mode
        if len(box.letters) >= self._most:
            box.dropped += 1
            return Skipped(f"{name} is {why}, and has its {self._most:,} dead letters: dropped")
        letter = DeadLetter(
            seq=report.seq if report else 0,
            topic=event.__topic__,
            handler=subscription.name,
            why=why,
            time_ns=self._clock.now_ns(),
            event=event,
            plugin=name,
            sender=report.plugin if report else "",
            root=report.root if report else 0,
            target=subscription.target,
            number=next(self._numbers),
        )
        box.letters.append(letter)
        return Skipped(f"{name} is {why}: kept as a dead letter")

    def _deliver(self, letters: Iterable[DeadLetter]) -> Redelivered:
        """Deliver each to the handler that missed it, once; it is no dead letter from then on."""
        reports = []
        kept = 0
        for letter in letters:
            box = self._boxes[letter.plugin]
            subscription = None if box.is_held else self._handler_of(letter)
            if subscription is None:
                kept += 1
                continue
            box.letters.remove(letter)
            reports.append(self._deliver_one(letter, subscription))
        return Redelivered(tuple(reports), kept)

    def _handler_of(self, letter: DeadLetter) -> Subscription | None:
        """Who would get it now; a class that was defined again is another, and events of the old one are not its."""
        kind = type(letter.event)
        wanted = (letter.plugin, letter.handler, letter.target)
        for each in self._bus.subscriptions:
            if (each.plugin, each.name, each.target) == wanted and each.wants(kind):
                return each
        return None

    def _deliver_one(self, letter: DeadLetter, subscription: Subscription) -> Report:
        def announce(report: Report) -> None:
            told = {"event": report.seq, "handler": letter.handler}
            record_change(self._bus, "redeliver", letter.plugin, told, reason=reason, cause=cause)

        reason = f"redelivered to {letter.handler}, which missed it: {letter.plugin} was {letter.why}"
        cause = Cause(letter.seq, letter.root) if letter.seq else None
        return self._bus.deliver_again(
            letter.event, subscription, plugin=letter.sender, cause=cause, reason=reason, announce=announce
        )


def check_callable(handle: PluginHandle, mode: Mode) -> None:
    """Refuse to deliver dead letters to a plugin that is not to be called.

    Raises:
        LifecycleError: it is not active, paused or muted; says what to do first.
    """
    if handle.is_active and not mode:
        return
    state = mode or handle.state.value
    first = "resume" if mode else "release" if handle.state is State.QUARANTINED else "start"
    msg = f"cannot redeliver to {handle.name!r}: it is {state}. First: host.{first}({handle.name!r})"
    raise LifecycleError(msg, plugin=handle.name, state=state, request="redeliver", allowed=[first])


def _listening(handle: PluginHandle, subscriptions: Iterable[Subscription]) -> list[dict[str, Any]]:
    """What a plugin listens to: what it is subscribed to now, or else what its class says."""
    now = [
        {
            "target": each.target,
            "name": each.name,
            "priority": each.priority,
            "where": each.where,
            "source": each.source,
        }
        for each in subscriptions
        if each.plugin == handle.name and each.handler is not ABSENT
    ]
    plugin_class = handle.plugin_class
    if not now and plugin_class is not None:
        now = [
            {
                "target": spec.target,
                "name": f"{plugin_class.__name__}.{spec.method}",
                "priority": spec.priority,
                "where": spec.where,
                "source": spec.source,
            }
            for spec in plugin_class.handlers()
        ]
    return [{**each, "plugin": handle.name} for each in now]
