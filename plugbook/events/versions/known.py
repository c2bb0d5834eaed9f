"""Which event classes there are in this process, and what stands in where there is none."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final

from plugbook.events.event import Event
from plugbook.events.subscription import Target, is_for

_NAME: Final = re.compile(r"[A-Za-z]\w*")
_MOST_STAND_INS: Final = 1_024


class StandIn(Event, topic="stand.in", extra="allow"):
    """Stands for an event whose class is not at hand: its fields are what the payload holds.

    Attributes:
        declared_schema: the JSON Schema that its payloads are said to fit, or None.
    """

    declared_schema: ClassVar[Mapping[str, Any] | None] = None

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What was declared of its payloads, or else that they take any field."""
        if cls.declared_schema is not None:
            return dict(cls.declared_schema)
        return super().model_json_schema(*arguments, **options)


def stand_in(topic: str, version: int, schema: Mapping[str, Any] | None = None) -> type[StandIn]:
    """The class of events of a topic that has none; the same one each time it is asked for.

    >>> made = stand_in("order.placed", 2)
    >>> made(order_id=7)
    OrderPlaced(order_id=7)

    Raises:
        EventError: topic or version is not one.
    """
    return _made(topic, version, json.dumps(schema) if schema else "")


@lru_cache(_MOST_STAND_INS)
def _made(topic: str, version: int, schema: str) -> type[StandIn]:
    declared = json.loads(schema) if schema else None
    title = str((declared or {}).get("title", ""))
    name = title if _NAME.fullmatch(title) else "".join(map(str.capitalize, re.split(r"\W+", topic)))
    made: type[StandIn] = types.new_class(name, (StandIn,), {"topic": topic, "version": version})
    made.declared_schema = declared
    return made


def event_classes() -> Iterator[type[Event]]:
    """Every event class that is defined, of the subclasses of each class the latest last."""
    return _below(Event)


def classes_of(topic: str) -> list[type[Event]]:
    """Those of one topic."""
    return [kind for kind in event_classes() if kind.__topic__ == topic]


def types_for(target: Target) -> list[type[Event]]:
    """The event types that are meant by a target: itself, or of each topic that fits a pattern the newest.

    >>> class RateSet(Event, topic="types-for.rate-set"): ...
    >>> class RateSetAnew(Event, topic="types-for.rate-set", version=2): ...
    >>> [kind.__name__ for kind in types_for("types-for.*")]
    ['RateSetAnew']
    """
    if not isinstance(target, str):
        return [target]
    newest: dict[str, type[Event]] = {}
    for kind in event_classes():
        if is_for(target, kind) and not issubclass(kind, StandIn):
            known = newest.get(kind.__topic__, kind)
            newest[kind.__topic__] = kind if kind.__version__ >= known.__version__ else known
    return list(newest.values())


def _below(kind: type[Event]) -> Iterator[type[Event]]:
    for each in kind.__subclasses__():
        if each is not StandIn:
            yield each
            yield from _below(each)
