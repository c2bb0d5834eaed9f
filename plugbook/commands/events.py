"""The words about events: bringing one into the host, and how many of a topic are delivered."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from plugbook.errors import EventError, UnknownNameError, suggestion

from . import names
from .kinds import EVENT, LIMIT, TOPIC
from .values import Rows
from .words import word

if TYPE_CHECKING:
    from pydantic import ValidationError

    from plugbook.host.host import Host

    from .door import Door

_BY_TOPIC = re.compile(r"([\w.-]+)(?:\s+(\{.*))?", re.DOTALL)


@word("host")
@click.argument("event", nargs=-1, required=True, type=EVENT)
def publish(door: Door, event: tuple[str, ...]) -> Any:
    r"""Publish an event, and show which handler did what.

    \b
    publish OrderPlaced(order_id=1, amount=2.0)
    publish order.placed {"order_id": 1, "amount": 2.0}

    An event is an expression in your own names, or a topic and its fields as JSON.
    """
    from pydantic import ValidationError

    host = door.host()
    text = " ".join(event)
    try:
        return host.publish(_event(door, host, text))
    except ValidationError as error:
        raise EventError(_told(error)) from error


@word("host")
@click.argument("topic", required=False, type=TOPIC)
@click.argument("limit", required=False, type=LIMIT)
def throttle(door: Door, topic: str | None, limit: float | None) -> Rows:
    r"""Deliver at most so many events a second of each topic that fits, and show the limits there are.

    \b
    throttle mouse.* 10
    throttle mouse.* off

    What is published beyond that is recorded as skipped.
    """
    host = door.host()
    if topic is not None:
        if limit is None:
            msg = f"Say how many events a second: throttle {topic} 10, or throttle {topic} off."
            raise click.UsageError(msg)
        if limit:
            host.throttle(topic, per_second=limit)
        else:
            host.unthrottle(topic)
    rows = tuple((name, f"{per_second:g}") for name, per_second in host.bus.throttles.items())
    return Rows(("topic", "events a second"), rows, "nothing is throttled")


def _event(door: Door, host: Host, text: str) -> Any:
    by_topic = _BY_TOPIC.fullmatch(text)
    if by_topic is None or not _means_topic(door, by_topic):
        return door.evaluate(text)
    kind = names.event_type(by_topic[1], [each.target for each in host.subscriptions])
    if kind is None:
        from plugbook.events.versions.schemas import schemas

        if schemas.versions(by_topic[1]):
            return schemas.make(by_topic[1], _fields(by_topic[2] or "{}"))
        known = names.topics(door)
        msg = f"No event is defined for the topic {by_topic[1]!r}.{suggestion(by_topic[1], known)}"
        raise UnknownNameError(msg, name=by_topic[1], known=known)
    return kind.model_validate_json(by_topic[2] or "{}")


def _means_topic(door: Door, found: re.Match[str]) -> bool:
    """A word alone is a variable where there is one of that name."""
    return found[2] is not None or found[1].partition(".")[0] not in door.namespace()


def _fields(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"{text} is not JSON: {error}"
        raise EventError(msg) from error


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = [": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"]])) for each in problems]
    return f"{error.title} was not published: {'; '.join(told)}."
