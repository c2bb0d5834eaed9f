"""Who gets an event that a handler missed, and got later: in a replay as in the recording, each of them once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugbook.events.subscription import Subscription

    from .stream import Stream

Route = Callable[["Subscription"], bool]
"""Whether an event goes to a subscription."""

Who = tuple[str, str]
"""The plugin and the name of a handler."""


def routes_of(stream: Stream) -> dict[int, Route]:
    """By seq, the way of each event that was delivered again, and of each that this made up for.

    What a plugin has missed for good is not among them: it gets that in a replay, for it may be a better one by now.
    """
    missed: defaultdict[int, set[Who]] = defaultdict(set)
    routes: dict[int, Route] = {}
    for event, again, who in stream.redeliveries():
        missed[event].add(who)
        routes[again] = _to_those({who})
    routes.update({event: _to_others(those) for event, those in missed.items()})
    return routes


def _to_those(those: set[Who]) -> Route:
    return lambda subscription: (subscription.plugin, subscription.name) in those


def _to_others(those: set[Who]) -> Route:
    return lambda subscription: (subscription.plugin, subscription.name) not in those
