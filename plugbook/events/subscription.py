"""Who listens to what: subscriptions, and the plan of handlers that they add up to for one event type."""

from __future__ import annotations

import inspect
import math
import reprlib
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from plugbook.errors import EventError
from plugbook.events.event import Event, is_deeply_frozen
from plugbook.events.lineage import is_same_line
from plugbook.events.middleware import Middleware, is_coroutine_function, problem_of, takes
from plugbook.events.topics import compile_pattern
from plugbook.trace.record import CallSite, Note, Plan, extent

if TYPE_CHECKING:
    from plugbook.events.dispatch.calls import Turn
    from plugbook.events.dispatch.report import Report
    from plugbook.trace.reading.selection import Patterns

Handler = Callable[[Any], Any]
Predicate = Callable[[Any], object]
Target = type[Event] | str
Policy = Literal["continue", "raise"]
Source = str | Sequence[str]
"""One plugin name or pattern, or several; ``""`` stands for who publishes without being a plugin."""
OnFailure = Callable[["Subscription", Note], object]
"""Told of a call that failed or took too long: whose it was, and how it ended. It must not raise."""
Instead = Callable[["Subscription", Event], "Skipped"]
"""Given an event in place of a subscription's handler; says why that was not called."""


def is_event_type(target: object) -> bool:
    """Whether it is a class of events, as opposed to an event or anything else."""
    return isinstance(target, type) and issubclass(target, Event)


def is_for(target: Target, kind: type[Event]) -> bool:
    """Whether who listens to `target` listens to events of exactly this type."""
    if isinstance(target, str):
        return compile_pattern(target)(kind.__topic__)
    return issubclass(kind, target) or is_same_line(kind, target)


def text_of(target: Target) -> str:
    """A target as a person writes it."""
    return target if isinstance(target, str) else target.__name__


def check_target(target: Target) -> None:
    """Refuse what nobody could listen to.

    Raises:
        EventError: it is neither an event type nor text.
        TopicError: the topic pattern is not well formed.
    """
    if problem := _target_problem(target):
        raise EventError(problem)
    if isinstance(target, str):
        compile_pattern(target)


def _target_problem(target: object) -> str:
    if isinstance(target, str) or is_event_type(target):
        return ""
    return f"handlers cannot listen to {_shown(target)}; give an Event class or a topic pattern such as 'order.*'"


@dataclass(frozen=True, slots=True)
class Skipped:
    """What stands in a plan returns instead of calling the handler.

    Attributes:
        reason: why the handler was not called.
    """

    reason: str


NOT_WANTED: Final = Skipped("where= said no")
_GONE: Final = Skipped("it was disconnected before its turn")


def _skip_gone(_: Event) -> Skipped:
    return _GONE


class _Absent:
    """Stands for the handler of a plugin that is not running, where what it misses is to be seen."""

    def __call__(self, event: Event) -> Skipped:
        return Skipped("its plugin is not running")


ABSENT: Final = _Absent()


@dataclass(eq=False, slots=True)
class Subscription:
    """One handler's wish to be called.

    Attributes:
        target: an event type, its subclasses included, or a topic pattern.
        handler: what is called with the event.
        name: how the handler is called in reports, such as ``Billing.bill``.
        plugin: who owns it, or ``""``.
        priority: higher runs earlier.
        where: a predicate on the event; where it says no, the call is `skipped`.
        timeout: seconds the handler may take, or None.
        thread: run a sync handler on a thread of its own, so that a timeout can end the wait for it.
        policy: what a failure does: the others go on, or `publish` raises.
        source: patterns of the plugins whose events it wants, or None for everybody's; where none fits, the
            call is `skipped`.
        middleware: what goes around the handler, from the outside in.
        number: counts the registrations.
        on_failure: told when a call fails or takes too long, or None.
        instead: given the events in place of the handler, while that is not to be called, or None.
        is_waiting: whether it gets no event before it takes the place of another one.
    """

    target: Target
    handler: Handler
    name: str
    plugin: str = ""
    priority: float = 0
    where: Predicate | None = None
    timeout: float | None = None
    thread: bool = False
    policy: Policy = "continue"
    source: Source | None = None
    middleware: Sequence[Middleware] = ()
    number: int = 0
    on_failure: OnFailure | None = None
    instead: Instead | None = None
    is_waiting: bool = False
    is_async: bool = field(init=False)
    _sources: Patterns | None = field(init=False, repr=False, default=None)
    _plans: weakref.WeakSet[HandlerPlan] = field(init=False, repr=False, default_factory=weakref.WeakSet)

    def __post_init__(self) -> None:
        self.is_async = is_coroutine_function(self.handler)
        for problem in (_target_problem(self.target), self._handler_problem(), self._option_problem()):
            if problem:
                msg = f"handler {self.name}: {problem}"
                raise EventError(msg)
        if isinstance(self.target, str):
            compile_pattern(self.target)
        self.middleware = tuple(self.middleware)
        if self.source is not None:
            self.source = (self.source,) if isinstance(self.source, str) else tuple(self.source)
            self._sources = _patterns(self.source)

    def _handler_problem(self) -> str:
        if not callable(self.handler):
            return f"a handler must be callable, and {_shown(self.handler)} is not"
        if any(check(self.handler) for check in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
            return "it has 'yield' in it, so that calling it would not run it; return or publish instead"
        if not takes(self.handler, 1):
            signature = inspect.signature(self.handler, follow_wrapped=False)
            return f"a handler is called with one event, and this one takes {signature}"
        if self.thread and self.is_async:
            return "thread=True is for sync handlers, and this one is async"
        return ""

    def _option_problem(self) -> str:
        if not (self.where is None or _is_sync(self.where)):
            return f"where must be a sync function of the event, not {_shown(self.where)}"
        if not _is_number(self.priority):
            return f"priority must be a number, not {_shown(self.priority)}"
        if self.timeout is not None and not (_is_number(self.timeout) and self.timeout > 0):
            return f"timeout must be a number of seconds above 0, not {_shown(self.timeout)}"
        if self.policy not in get_args(Policy):
            return f"policy must be one of {', '.join(get_args(Policy))}, not {_shown(self.policy)}"
        return source_problem(self.source) or problem_of(self.middleware, is_async=self.is_async)

    def wants(self, kind: type[Event]) -> bool:
        """Whether events of exactly this type are for this handler."""
        return is_for(self.target, kind)

    def source_refuses(self, plugin: str) -> str:
        """Why it does not want the events of a plugin, as the reason of a call that is skipped; else ``""``."""
        if self._sources is None:
            return ""
        named = self.source or ()
        if plugin in (self._sources if plugin else named):  # no pattern means nobody
            return ""
        wanted = ", ".join(name or "''" for name in named)
        return f"source= {wanted}: published by {plugin or 'no plugin'}"

    @property
    def target_text(self) -> str:
        """The target as a person writes it."""
        return text_of(self.target)

    def site(self) -> CallSite:
        """Where it stands, for the recording."""
        file, line, end = extent(getattr(inspect.unwrap(self.handler), "__code__", None))
        return CallSite(
            name=self.name,
            plugin=self.plugin,
            order=f"priority {self.priority:g}" if self.priority else "",
            file=file,
            line=line,
            end=end,
            role="async" if self.is_async else "thread" if self.thread else "",
        )

    def guarded(self) -> Handler:
        """The handler, or what is called instead of it, with its predicate in front."""
        handler = self.handler if self.instead is None else partial(self.instead, self)
        where = self.where
        if where is None:
            return handler

        def ask_first(event: Event) -> Any:
            return handler(event) if where(event) else NOT_WANTED

        return ask_first

    def join(self, plan: HandlerPlan) -> None:
        """Note a plan that it is part of."""
        self._plans.add(plan)

    def divert(self, instead: Instead | None) -> None:
        """Have its events go to `instead`, those that are queued or under way, too; None ends that."""
        self.instead = instead
        for plan in self._plans:
            plan.calls[plan.subscriptions.index(self)] = plan.call_of(self)

    @property
    def has_left(self) -> bool:
        """Whether it was disconnected; a report of what it once did may keep it."""
        return self.handler is _skip_gone

    def leave(self) -> None:
        """Take the handler out of every plan, of events that are queued or under way, too.

        Reports and recordings keep plans; what they are made of must not keep a stopped plugin alive.
        """
        for plan in self._plans:
            plan.calls[plan.subscriptions.index(self)] = _skip_gone
        self.handler = _skip_gone
        self.where = None
        self.middleware = ()


def source_problem(source: object) -> str:
    """What is wrong with what is given as ``source=``, or ``""``."""
    if source is None or isinstance(source, str):
        return ""
    if not isinstance(source, list | tuple) or not source:
        return f"source must be the name or pattern of a plugin, or several in a list, not {_shown(source)}"
    wrong = [each for each in source if not isinstance(each, str)]
    return f"source must be names or patterns of plugins, and {_shown(wrong[0])} is no text" if wrong else ""


class Span(NamedTuple):
    """What the clock readings of a dispatch say of one call.

    Attributes:
        site: where it stands in the plan.
        duration_ns: how long it took, or None where timing is off or it has not ended.
        has_ended: whether it has.
        depth: how many other calls are around it.
    """

    site: int
    duration_ns: int | None
    has_ended: bool
    depth: int = 0


class HandlerPlan(Plan):
    """The handlers of one exact event type, in order, ready to be called.

    Attributes:
        topic: the topic of the event type.
        calls: the handlers as plain functions, in order; one that was disconnected is replaced.
        subscriptions: what they come from, in the same order.
        is_inline: whether calling them one after the other is all there is to do: all of them run on the
            publisher's thread, and none of them has a time limit or cares who publishes.
        must_wait: whether any of them runs on the host's loop or a thread of its own.
        is_frozen: whether no handler could change the payload before it is written.
        is_fixed: whether who listens when the event's turn comes makes no difference.
        verdict: what reports say from the start: why there is no handler, or who is missing among them.
    """

    __slots__ = (
        "__weakref__",
        "calls",
        "is_fixed",
        "is_frozen",
        "is_inline",
        "must_wait",
        "subscriptions",
        "topic",
        "verdict",
    )

    def __init__(self, kind: type[Event], subscriptions: Iterable[Subscription]) -> None:
        wanted = tuple(subscriptions)
        super().__init__((subscription.site() for subscription in wanted), version=kind.__version__)
        self.topic = kind.__topic__
        self.subscriptions = wanted
        self.calls = [self.call_of(subscription) for subscription in wanted]
        self.must_wait = any(each.is_async or each.thread for each in wanted)
        self.is_inline = not (self.must_wait or any(each.timeout or each.source for each in wanted))
        self.is_frozen = is_deeply_frozen(kind)
        self.is_fixed = False
        self.verdict: Note | None = None
        for subscription in wanted:
            subscription.join(self)

    def call_of(self, subscription: Subscription) -> Handler:
        """What is called in a subscription's place."""
        return subscription.guarded()

    def turn(self, report: Report, index: int) -> Turn | None:
        """A subscription's part in a dispatch, where that is more than a call."""
        return None

    def abandon(self, report: Report, error: BaseException) -> bool:
        """Close a dispatch that cannot go on, where its calls are not one after the other; whether that is so."""
        return False

    # -- what the clock readings of a report say ------------------------------------------------------

    def is_complete(self, ticks: list[int]) -> bool:
        """Whether every handler has ended."""
        return len(ticks) > len(self.sites)

    def spans(self, ticks: list[int]) -> list[Span]:
        """The calls, in the order they ran or will run."""
        ended = len(ticks) - 1
        return [
            Span(at, ticks[at + 1] - ticks[at] if at < ended and ticks[0] else None, at < ended)
            for at in range(len(self.sites))
        ]

    def count(self, ticks: list[int]) -> int:
        """How many calls there are."""
        return len(self.sites)

    def running(self, ticks: list[int]) -> int:
        """Which call runs."""
        return max(0, len(ticks) - 1)

    def site_of(self, index: int, ticks: list[int]) -> int:
        """Which site the call is made at."""
        return index


def _patterns(names: Iterable[str]) -> Patterns:
    from plugbook.trace.reading.selection import Patterns

    return Patterns(names)


def _is_sync(function: object) -> bool:
    return callable(function) and not is_coroutine_function(function)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _shown(value: object) -> str:
    return reprlib.repr(value)
