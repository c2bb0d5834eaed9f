"""The names a person may mean at this moment: plugins, topics, events, and variables of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from plugbook.errors import PlugbookError

if TYPE_CHECKING:
    from plugbook.events.event import Event

    from .door import Door


def plugins(door: Door) -> list[str]:
    """The plugins of the current host or recording."""
    target = door.current()
    if target is None:
        return []
    if hasattr(target, "plugins"):
        return sorted(target.plugins)
    return list(target.names["plugins"])


def topics(door: Door) -> list[str]:
    """The topics of the events that are defined or have a schema, and of those that the current recording holds."""
    from plugbook.events.versions.schemas import schemas

    found = set(schemas.topics)
    with suppress(PlugbookError):  # nothing is current: then the defined ones are all there is
        found.update(door.recording().names["topics"])
    return sorted(found)


def events(door: Door) -> list[str]:
    """What can be published: topics, and the variables that hold an event type or an event."""
    from plugbook.events.event import Event

    held = [
        name
        for name, value in list(door.namespace().items())
        if (isinstance(value, type) and issubclass(value, Event)) or isinstance(value, Event)
    ]
    return [*topics(door), *sorted(held)]


def targets(door: Door) -> list[str]:
    """The variables that hold a host or a recording, but for those with an underscore."""
    held = list(door.namespace().items())
    return sorted(name for name, value in held if not name.startswith("_") and is_target(value))


def variables(door: Door) -> list[str]:
    """The person's own variables, but for those with an underscore."""
    return sorted(name for name in door.namespace() if not name.startswith("_"))


def is_target(value: object) -> bool:
    """Whether it is a host or a recording."""
    from plugbook.host.host import Host
    from plugbook.trace.reading.recording import Recording

    return isinstance(value, Host | Recording)


def event_types() -> Iterator[type[Event]]:
    """Every event type that is defined, older definitions before newer ones."""
    from plugbook.events.versions.known import event_classes

    return event_classes()


def event_type(topic: str, preferred: Iterable[object]) -> type[Event] | None:
    """The event type of a topic: the one somebody listens to, or else the one defined last."""
    candidates = [kind for kind in event_types() if kind.__topic__ == topic]
    heard = [kind for kind in candidates if kind in set(preferred)]
    return next(reversed(heard or candidates), None)
