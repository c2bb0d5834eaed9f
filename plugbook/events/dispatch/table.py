"""All subscriptions of a bus, and the plans of handlers that follow from them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from plugbook.events.dispatch.layers import make_plan
from plugbook.events.dispatch.near_miss import earlier_definition, similar_pattern
from plugbook.trace.record import Note

if TYPE_CHECKING:
    from plugbook.events.event import Event
    from plugbook.events.subscription import HandlerPlan, Instead, Subscription

Advice = Callable[[type["Event"]], str]
"""Given the type of an event that nobody handles, who would; ``""`` where nobody comes to mind."""


class SubscriptionTable:
    """Which handlers an event goes to, in which order; resolved once for each type of event.

    Attributes:
        plans: type -> plan, as far as somebody asked; the same dict for life, emptied by every change.
        advice: says more of an event that nobody handles, or None.
    """

    def __init__(self) -> None:
        self.plans: dict[type, HandlerPlan] = {}
        self.advice: Advice | None = None
        self._subscriptions: dict[int, Subscription] = {}
        self._ranks: Mapping[str, int] = {}
        self._diverted: dict[str, Instead] = {}
        # A plan is built from one state of the table, and kept for that one only. Reentrant, for a finaliser
        # that disconnects may run anywhere.
        self._lock = threading.RLock()

    def add(self, subscription: Subscription) -> None:
        """Let its handler be called from the next event on."""
        with self._lock:
            subscription.instead = self._diverted.get(subscription.plugin)
            self._subscriptions[subscription.number] = subscription
            self.plans.clear()

    def remove(self, number: int) -> Subscription | None:
        """Let a handler be called no more, not even for events that are queued.

        Returns:
            What can be added again, or None where there is no subscription of that number.
        """
        with self._lock:
            subscription = self._subscriptions.pop(number, None)
            if subscription is None:
                return None
            self.plans.clear()
            former = replace(subscription)
            subscription.leave()
        return former

    def switch(self, plugins: Collection[str]) -> list[Subscription]:
        """In one step, let the handlers of plugins that have waited be called, and their other ones no more.

        An event that is queued goes to those that join: it is settled who gets it when its turn comes.

        Returns:
            Those that have left.
        """
        with self._lock:
            theirs = [each for each in self._subscriptions.values() if each.plugin in plugins]
            gone = [each for each in theirs if not each.is_waiting]
            former = [replace(each) for each in gone]
            left = {number: each for number, each in self._subscriptions.items() if each not in gone}
            for each in theirs:
                each.is_waiting = False
            self._subscriptions = left
            self.plans.clear()
            for each in gone:
                each.leave()
        return former

    def drop_waiting(self, plugins: Collection[str]) -> list[Subscription]:
        """Take out the handlers of plugins that wait; gives those that were there."""
        with self._lock:
            waiting = [
                each for each in self._subscriptions.values() if each.is_waiting and each.plugin in plugins
            ]
            for each in waiting:
                del self._subscriptions[each.number]
        return waiting

    def divert(self, plugin: str, instead: Instead | None) -> None:
        """Have the events of all handlers of a plugin, later ones too, go to `instead`; None ends that."""
        with self._lock:
            self._diverted.pop(plugin, None)
            if instead is not None:
                self._diverted[plugin] = instead
            for subscription in self._subscriptions.values():
                if subscription.plugin == plugin:
                    subscription.divert(instead)

    def rank(self, ranks: Mapping[str, int]) -> None:
        """Order the handlers of plugins at equal priority: lower runs earlier."""
        with self._lock:
            self._ranks = dict(ranks)
            self.plans.clear()

    def forget_plans(self) -> None:
        """Have every plan made anew."""
        with self._lock:
            self.plans.clear()

    def forget_unhandled(self) -> None:
        """Have the plans without a handler made anew: the advice may have changed."""
        with self._lock:
            for kind in [kind for kind, plan in self.plans.items() if not plan.subscriptions]:
                del self.plans[kind]

    def ordered(self) -> tuple[Subscription, ...]:
        """All subscriptions, in the order in which handlers are called."""
        with self._lock:
            return self._ordered()

    def plan_of(self, kind: type[Event]) -> HandlerPlan:
        """The handlers that an event of exactly this type goes to."""
        with self._lock:
            plan = self.plans.get(kind)
            if plan is None:
                everyone = self._ordered()
                plan = make_plan(kind, (each for each in everyone if each.wants(kind)))
                plan.verdict = self._verdict_on(kind, everyone, is_handled=bool(plan.subscriptions))
                self.plans[kind] = plan
            return plan

    def _verdict_on(
        self, kind: type[Event], everyone: tuple[Subscription, ...], *, is_handled: bool
    ) -> Note | None:
        why = earlier_definition(kind, everyone)
        if not (why or is_handled):
            why = self.advice(kind) if self.advice is not None else ""
            why = why or similar_pattern(kind.__topic__, everyone)
        return Note("ok" if is_handled else "unhandled", why) if why else None

    def _ordered(self) -> tuple[Subscription, ...]:
        there = (each for each in self._subscriptions.values() if not each.is_waiting)
        return tuple(sorted(there, key=self._place))

    def _place(self, subscription: Subscription) -> tuple[float, int, int]:
        rank = self._ranks.get(subscription.plugin, len(self._ranks))
        return (-subscription.priority, rank, subscription.number)
