"""Says why nobody handled an event, or fewer than were meant to: what listens to something very much like that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from plugbook.errors import suggestion
from plugbook.events.topics import matches

if TYPE_CHECKING:
    from plugbook.events.event import Event
    from plugbook.events.subscription import Subscription

_CLOSE: Final = 0.7


def earlier_definition(kind: type[Event], subscriptions: Iterable[Subscription]) -> str:
    """Who listens to an earlier definition of this event class, as after running its cell again; ``""`` if nobody."""
    for subscription in subscriptions:
        target = subscription.target
        if (
            isinstance(target, type)
            and target is not kind
            and not subscription.wants(kind)
            and (target.__module__, target.__qualname__) == (kind.__module__, kind.__qualname__)
        ):
            return (
                f"{subscription.name} listens to an earlier definition of {kind.__name__}; "
                "define the plugin again, or listen to the topic"
            )
    return ""


def similar_pattern(topic: str, subscriptions: Iterable[Subscription]) -> str:
    """Who listens to a pattern that would fit with a letter or a wildcard changed; ``""`` if nobody."""
    for subscription in subscriptions:
        target = subscription.target
        meant = mended(target, topic) if isinstance(target, str) else None
        if meant is not None:
            return f"{subscription.name} listens to {target!r}; did you mean {meant!r}?"
    return ""


def misspelt_sources(subscriptions: Iterable[Subscription], plugins: Collection[str]) -> Iterator[str]:
    """A sentence for each plugin whose events a handler wants, that is not there and nearly has the name of one.

    Any other may be meant for a plugin that is still to come.
    """
    for subscription in subscriptions:
        for name in subscription.source or ():
            near = suggestion(name, plugins, listing=False) if name not in plugins and "*" not in name else ""
            if near:
                yield f"{subscription.name} wants events that {name!r} publishes, and no plugin has that name.{near}"


def mended(pattern: str, topic: str) -> str | None:
    """The pattern that was meant, if one fits the topic that is very much like this one.

    >>> mended("clok.*", "clock.tick"), mended("order.*", "order.line.added"), mended("disk.*", "clock.tick")
    ('clock.*', 'order.**', None)
    """
    words = pattern.split(".")
    if words[-1] == "*" and matches(f"{pattern}*", topic):
        return f"{pattern}*"
    spelt = [_spelt(word, meant) for word, meant in zip(words, topic.split("."), strict=False)]
    text = ".".join([*spelt, *words[len(spelt) :]])
    return text if text != pattern and matches(text, topic) else None


def _spelt(word: str, meant: str) -> str:
    """The word that was meant, where it is nearly the one that is there."""
    is_near = SequenceMatcher(None, word.lower(), meant.lower()).ratio() >= _CLOSE
    return meant if is_near and "*" not in word else word
