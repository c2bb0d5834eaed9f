"""Who listens: the part of a bus that handlers are connected to."""

from __future__ import annotations

import itertools
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from plugbook.errors import refuses_misspelt
from plugbook.events.dispatch.registrations import Redo, Registration, Undo, current_registrar
from plugbook.events.dispatch.table import Advice, SubscriptionTable
from plugbook.events.subscription import (
    Handler,
    Instead,
    OnFailure,
    Policy,
    Predicate,
    Source,
    Subscription,
    Target,
)

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.events.dispatch.cause import Cause
    from plugbook.events.dispatch.report import Report
    from plugbook.events.middleware import Middleware
    from plugbook.trace.writing.recorder import Recorder

Follower = Callable[["Report"], object]


class Listening(ABC):
    """Subscriptions, each of them recorded when it comes and when it goes."""

    _recorder: Recorder | None

    def __init__(self) -> None:
        self._table = SubscriptionTable()
        self._numbers = itertools.count()
        self._followers: tuple[Follower, ...] = ()

    @abstractmethod
    def cause(self) -> Cause | None:
        """What a record written here is caused by."""

    @abstractmethod
    def _choose_publish(self) -> None:
        """Let `publish` be the one that does no more than it has to."""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """All of them, in the order in which handlers are called."""
        return self._table.ordered()

    @refuses_misspelt
    def subscribe(
        self,
        target: Target,
        handler: Handler,
        *,
        plugin: str = "",
        name: str | None = None,
        priority: float = 0,
        where: Predicate | None = None,
        timeout: float | None = None,
        thread: bool = False,
        policy: Policy = "continue",
        source: Source | None = None,
        middleware: Sequence[Middleware] = (),
        on_failure: OnFailure | None = None,
        is_waiting: bool = False,
    ) -> Disconnect:
        """Call `handler` with every event that fits, until the returned function is called.

        An event goes to whoever listens when its turn comes: what is published while a plugin starts reaches
        the handlers it connects then, and what is queued behind its stop does not reach it any more.

        Args:
            target: an event type (its subclasses fit too), or a topic pattern such as ``order.**``.
            handler: a function or a coroutine function of one event.
            plugin: its owner.
            name: its name in reports; by default its qualified name.
            priority: higher runs earlier.
            where: a predicate on the event.
            timeout: seconds. A coroutine is cancelled; a sync handler is marked late.
            thread: run a sync handler on a thread of its own.
            policy: ``continue`` whatever the handler raises, or ``raise`` it where the event is delivered.
            source: only events that these plugins publish: a name or pattern such as ``shop-*``, or several;
                ``""`` stands for who publishes without being a plugin.
            middleware: what goes around the handler, from the outside in; see `plugbook.events.middleware`.
            on_failure: told, where the event is delivered, of each call that fails or takes too long.
            is_waiting: get no event before `switch` lets it take the place of another generation's handlers.

        Raises:
            EventError: target, handler or an option cannot be.
            TopicError: the topic pattern is not well formed.
        """
        subscription = Subscription(
            target=target,
            handler=handler,
            name=name or str(getattr(handler, "__qualname__", type(handler).__qualname__)),
            plugin=plugin,
            priority=priority,
            where=where,
            timeout=timeout,
            thread=thread,
            policy=policy,
            source=source,
            middleware=middleware,
            number=next(self._numbers),
            on_failure=on_failure,
            is_waiting=is_waiting,
        )
        self._table.add(subscription)
        self._record_change("subscribe", subscription, "it waits for the switch" if is_waiting else "")

        number = subscription.number
        if not plugin:
            self._tell("subscription", subscription.name, partial(Listening._withdraw, number=number))

        def disconnect() -> None:
            self._withdraw("", number=number)

        return disconnect

    def follow(self, follower: Follower) -> Disconnect:
        """Show `follower` every event that is published or asked, before its first handler runs, until this is undone.

        A follower is no handler: to whom an event goes, and whether anybody handles it, stays as it is. It is called
        on the thread that publishes, and must not raise. While nobody follows, publishing takes no longer for it.
        """
        self._followers = (*self._followers, follower)
        self._choose_publish()

        def unfollow() -> None:
            self._followers = tuple(each for each in self._followers if each is not follower)
            self._choose_publish()

        return unfollow

    def _tell(self, kind: str, label: str, undo: Undo) -> None:
        """Tell whoever keeps account of what is registered outside of handlers and transitions."""
        registrar = current_registrar.get()
        if registrar is not None and self.cause() is None:
            registrar.note(Registration(kind, label, weakref.ref(self), undo))

    def _withdraw(self, reason: str, *, number: int) -> Redo | None:
        former = self._table.remove(number)
        if former is None:
            return None
        self._record_change("unsubscribe", former, reason)

        def restore(reason: str) -> None:
            self._table.add(former)
            self._record_change("subscribe", former, reason)

        return restore

    def switch(self, plugins: Collection[str]) -> None:
        """In one step, let the handlers of these plugins that wait take the place of those that do not.

        Whatever is published meanwhile is handled once, by the former ones or by the new ones. To be called inside a
        request, so that no handler of theirs runs.
        """
        for former in self._table.switch(plugins):
            self._record_change("unsubscribe", former, "another generation has taken its place")

    def drop_waiting(self, plugins: Collection[str]) -> None:
        """Forget the handlers of these plugins that wait, for their generation will not take over.

        An interrupt may have come between subscribing one and noting that it is to be disconnected.
        """
        for former in self._table.drop_waiting(plugins):
            self._record_change("unsubscribe", former, "its generation does not take over")

    def divert(self, plugin: str, instead: Instead | None) -> None:
        """Have the events of a plugin's handlers go to `instead` from now on, until this is called with None.

        That holds for handlers that it connects later, and for events that are queued. What `instead` returns is
        why each call was `skipped`.
        """
        self._table.divert(plugin, instead)

    def surround(self, subscription: Subscription, layers: Iterable[Middleware]) -> None:
        """Put this middleware around a handler, in the place of what was, from the next event on."""
        subscription.middleware = tuple(layers)
        self._table.forget_plans()

    def rank(self, ranks: dict[str, int]) -> None:
        """Say in which order the plugins depend on each other: lower runs earlier at equal priority."""
        self._table.rank(ranks)

    def advise(self, advice: Advice) -> None:
        """Let somebody who knows more say who would handle what nobody does."""
        self._table.advice = advice

    def forget_unhandled(self) -> None:
        """Ask for that advice again, for it may have changed."""
        self._table.forget_unhandled()

    def _record_change(self, what: str, changed: Subscription, reason: str = "") -> None:
        if self._recorder is not None:
            payload = {"target": changed.target_text, "handler": changed.name, "priority": changed.priority}
            self._recorder.put("change", what, plugin=changed.plugin, reason=reason, payload=payload)
