"""Who listens to what: subscriptions, and the plan of handlers that they add up to for one event type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from plugbook.errors import EventError
from plugbook.trace.record import CallSite, Plan

from .event import Event, is_deeply_frozen
from .topics import compile_pattern

Handler = Callable[[Any], Any]
Predicate = Callable[[Any], object]
Target = type[Event] | str
Policy = Literal["continue", "raise"]


def is_event_type(target: object) -> bool:
    """Whether it is a class of events, as opposed to an event or anything else."""
    return isinstance(target, type) and issubclass(target, Event)


class _Skipped:
    """What a guarded handler returns when its predicate said no."""

    def __repr__(self) -> str:
        return "SKIPPED"


SKIPPED: Final = _Skipped()


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
        number: counts the registrations.
    """

    target: Target
    handler: Handler
    name: str
    plugin: str = ""
    priority: int = 0
    where: Predicate | None = None
    timeout: float | None = None
    thread: bool = False
    policy: Policy = "continue"
    number: int = 0
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_async = inspect.iscoroutinefunction(self.handler) or inspect.iscoroutinefunction(
            getattr(self.handler, "__call__", None)  # noqa: B004 (an object with an async __call__)
        )
        if not callable(self.handler):
            msg = f"a handler must be callable, and {self.handler!r} is not"
            raise EventError(msg)
        if self.timeout is not None and not self.timeout > 0:
            msg = f"handler {self.name}: timeout must be a number of seconds above 0"
            raise EventError(msg)
        if isinstance(self.target, str):
            compile_pattern(self.target)
        elif not is_event_type(self.target):
            msg = (
                f"handler {self.name} cannot listen to {self.target!r}: give an Event class or a topic "
                "pattern such as 'order.*'"
            )
            raise EventError(msg)

    def wants(self, kind: type[Event]) -> bool:
        """Whether events of exactly this type are for this handler."""
        if isinstance(self.target, str):
            return compile_pattern(self.target)(kind.__topic__)
        return issubclass(kind, self.target)

    @property
    def target_text(self) -> str:
        """The target as a person writes it."""
        return self.target if isinstance(self.target, str) else self.target.__name__

    def site(self) -> CallSite:
        """Where it stands, for the recording."""
        code = getattr(inspect.unwrap(self.handler), "__code__", None)
        return CallSite(
            name=self.name,
            plugin=self.plugin,
            order=f"priority {self.priority}" if self.priority else "",
            file=code.co_filename if code else "",
            line=code.co_firstlineno if code else 0,
            role="async" if self.is_async else "thread" if self.thread else "",
        )

    def guarded(self) -> Handler:
        """The handler with its predicate in front."""
        if self.where is None:
            return self.handler
        handler, where = self.handler, self.where

        def ask_first(event: Event) -> Any:
            return handler(event) if where(event) else SKIPPED

        return ask_first


class HandlerPlan(Plan):
    """The handlers of one exact event type, in order, ready to be called.

    Attributes:
        topic: the topic of the event type.
        calls: the handlers as plain functions, in order.
        subscriptions: what they come from, in the same order.
        is_inline: whether all of them run on the publisher's thread and none of them has a time limit.
        is_frozen: whether no handler could change the payload before it is written.
        near_miss: why there is no handler, if somebody seems to have wanted the event.
    """

    __slots__ = ("calls", "is_frozen", "is_inline", "near_miss", "subscriptions", "topic")

    def __init__(self, kind: type[Event], subscriptions: Iterable[Subscription]) -> None:
        wanted = tuple(subscriptions)
        super().__init__(subscription.site() for subscription in wanted)
        self.topic = kind.__topic__
        self.subscriptions = wanted
        self.calls = tuple(subscription.guarded() for subscription in wanted)
        self.is_inline = not any(each.is_async or each.thread or each.timeout for each in wanted)
        self.is_frozen = is_deeply_frozen(kind)
        self.near_miss = ""


def find_near_miss(kind: type[Event], subscriptions: Iterable[Subscription]) -> str:
    """Who listens to an earlier definition of this event class, as after running its cell again."""
    for subscription in subscriptions:
        target = subscription.target
        if (
            isinstance(target, type)
            and target is not kind
            and (target.__module__, target.__qualname__) == (kind.__module__, kind.__qualname__)
        ):
            return (
                f"{subscription.name} listens to an earlier definition of {kind.__name__}; "
                "define the plugin again, or listen to the topic"
            )
    return ""
