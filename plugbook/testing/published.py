"""What was published in a test, as a sequence of events that can be asserted on in words."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, overload

from plugbook.errors import EventError, UnknownNameError, suggestion
from plugbook.events.event import Event
from plugbook.events.subscription import check_target, is_for, text_of
from plugbook.trace.record import show_seq

from .differences import field_differences, short

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.report import Report

E = TypeVar("E", bound=Event)
Expected = type[Event] | str | Event

_MOST_SHOWN: Final = 3


class Published(NamedTuple):
    """One event, with what a failing test says of it.

    Attributes:
        event: what was published.
        plugin: who published it, or ``""`` for whoever is no plugin.
        seq: its number in the recording of its host.
    """

    event: Event
    plugin: str
    seq: int

    def __str__(self) -> str:
        by = f" by {self.plugin}" if self.plugin else ""
        return f"{short(self.event)}{by} (#{show_seq(self.seq)})"


class PublishedEvents(Sequence[Event]):
    """The events that were published on one or several hosts, in order; questions are none.

    It compares with lists: a failing ``assert events == [...]`` shows where the two differ, field by field.

    >>> from plugbook import Event, Host
    >>> class OrderPlaced(Event):
    ...     order_id: int
    ...     amount: float = 1.0
    >>> with Host() as host:
    ...     events = PublishedEvents()
    ...     events.listen_to(host.bus)
    ...     _ = host.publish(OrderPlaced(order_id=1)), host.publish(OrderPlaced(order_id=2, amount=9.0))
    >>> events == [OrderPlaced(order_id=1), OrderPlaced(order_id=2, amount=9.0)]
    True
    >>> events.assert_published(OrderPlaced, amount=9.0)
    OrderPlaced(order_id=2, amount=9.0)
    >>> events.assert_published(OrderPlaced, amount=9.5)
    Traceback (most recent call last):
      ...
    AssertionError: no OrderPlaced with amount=9.5 was published. The nearest:
      OrderPlaced(order_id=2, amount=9.0) (#...)
        amount: 9.5 was expected, 9.0 was published
    ...
    >>> [order.order_id for order in events.of(OrderPlaced)]
    [1, 2]
    """

    was_published = True
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, entries: Iterable[Published] = ()) -> None:
        self._entries = list(entries)
        self._more = threading.Condition()

    def listen_to(self, bus: Bus) -> None:
        """Take in what is published there from now on."""
        bus.follow(self._take)

    def _take(self, report: Report) -> None:
        if report.asked:
            return
        with self._more:
            # The report itself is not kept: it leads to handlers, and so to plugins that should be gone by and by.
            self._entries.append(Published(report.event, report.plugin, report.seq))
            self._more.notify_all()

    # -- looking ----------------------------------------------------------------------------------

    def of(self, *targets: type[Event] | str) -> PublishedEvents:
        """Those of some types, subclasses included, or whose topic fits a pattern such as ``order.*``.

        Raises:
            EventError: a target is neither an event type nor text.
            TopicError: a topic pattern is not well formed.
        """
        for target in targets:
            check_target(target)
        return self._chosen(lambda each: any(is_for(target, type(each.event)) for target in targets))

    def by(self, plugin: str) -> PublishedEvents:
        """Those that a plugin published; ``""`` stands for whoever is no plugin."""
        return self._chosen(lambda each: each.plugin == plugin)

    def clear(self) -> None:
        """Forget what was published so far."""
        with self._more:
            self._entries.clear()

    def _chosen(self, is_wanted: Any) -> PublishedEvents:
        return PublishedEvents(filter(is_wanted, list(self._entries)))

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        chosen = self._entries[index]
        return [each.event for each in chosen] if isinstance(chosen, list) else chosen.event

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Event]:
        return iter([each.event for each in self._entries])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return list(self) == list(other)

    # -- asserting --------------------------------------------------------------------------------

    @overload
    def assert_published(self, expected: type[E], /, **fields: object) -> E: ...
    @overload
    def assert_published(self, expected: E, /, **fields: object) -> E: ...
    @overload
    def assert_published(self, expected: str, /, **fields: object) -> Event: ...
    def assert_published(self, expected: Any, /, **fields: object) -> Event:
        """Assert that such an event was published, at least once; the first one is returned.

        Args:
            expected: an event type, a topic pattern, or a whole event that it must be equal to.
            **fields: what some of its fields must be equal to; `pytest.approx` fits here.

        Raises:
            AssertionError: there was none; names those that come near, and in which fields they differ.
            UnknownNameError: events of that type have no such field.
        """
        __tracebackhide__ = True
        found = self._fitting(expected, fields)
        if not found:
            raise AssertionError(self._missing(expected, fields))
        return found[0].event

    def assert_once(self, expected: Any, /, **fields: object) -> Event:
        """Assert that such an event was published exactly once; arguments and errors as for `assert_published`."""
        __tracebackhide__ = True
        found = self._fitting(expected, fields)
        if len(found) > 1:
            msg = f"{_told(expected, fields)} was published {len(found)} times, and once was expected:"
            raise AssertionError(_listed(msg, found))
        if not found:
            raise AssertionError(self._missing(expected, fields))
        return found[0].event

    def assert_not_published(self, expected: Expected, /, **fields: object) -> None:
        """Assert that no such event was published; arguments as for `assert_published`.

        Raises:
            AssertionError: there was one; says who published it.
            UnknownNameError: events of that type have no such field.
        """
        __tracebackhide__ = True
        found = self._fitting(expected, fields)
        if found:
            msg = f"{_told(expected, fields)} was published, and none was expected:"
            raise AssertionError(_listed(msg, found))

    def wait_for(self, expected: Any, /, *, timeout: float = 5.0, **fields: object) -> Event:
        """Wait until such an event was published, as a background task may do on its own time; it is returned.

        Args:
            expected: as for `assert_published`.
            timeout: seconds of real time.
            **fields: as for `assert_published`.

        Raises:
            AssertionError: none was published in that time.
            UnknownNameError: events of that type have no such field.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout
        with self._more:
            while not (found := self._fitting(expected, fields)):
                if not self._more.wait(deadline - time.monotonic()):
                    waited = f" Waited {timeout:g} s for it."
                    raise AssertionError(self._missing(expected, fields) + waited)
        return found[0].event

    # -- inside -----------------------------------------------------------------------------------

    def _fitting(self, expected: Expected, fields: Mapping[str, object]) -> list[Published]:
        _check(expected, fields)
        return [each for each in list(self._entries) if _fits(each.event, expected, fields)]

    def _missing(self, expected: Expected, fields: Mapping[str, object]) -> str:
        """Why nothing fits, and what comes near."""
        told = f"no {_told(expected, fields)} was published."
        kind = type(expected) if isinstance(expected, Event) else expected
        near = sorted(
            (
                (_unlike(each.event, expected, fields), each)
                for each in reversed(self._entries)
                if is_for(kind, type(each.event))
            ),
            key=lambda found: len(found[0]),
        )
        if near:
            lines = [f"{told} The nearest:"]
            for unlike, each in near[:_MOST_SHOWN]:
                lines += [f"  {each}", *(f"    {line}" for line in unlike)]
            return "\n".join([*lines, f"  {self}"])
        return "\n".join([f"{told}{_meant(kind, list(self))}", f"  {self}"])

    def __str__(self) -> str:
        counts = Counter(f"{type(each).__name__} ({type(each).__topic__})" for each in self)
        listed = ", ".join(f"{count} x {name}" if count > 1 else name for name, count in counts.items())
        return f"published in all: {listed}" if listed else "nothing was published at all"

    def __repr__(self) -> str:
        return f"[{', '.join(map(short, self))}]"


def _check(expected: object, fields: Mapping[str, object]) -> None:
    """Refuse what no event could fit, for such an assertion would never fail, or never hold.

    Raises:
        EventError: it is not about events.
        UnknownNameError: there is no such field.
    """
    if isinstance(expected, Event):
        if fields:
            msg = f"give a whole event, or its type and fields: {type(expected).__name__}, {_named(fields)}"
            raise EventError(msg)
        return
    check_target(expected)  # type: ignore[arg-type]  # which is what it finds out
    if isinstance(expected, type) and issubclass(expected, Event):
        known = expected.model_fields
        for name in fields:
            if name not in known:
                msg = f"{expected.__name__} has no field {name!r}.{suggestion(name, known)}"
                raise UnknownNameError(msg, name=name, known=known)


def _fits(event: Event, expected: Expected, fields: Mapping[str, object]) -> bool:
    if isinstance(expected, Event):
        return event == expected
    return is_for(expected, type(event)) and not _unlike(event, expected, fields)


def _unlike(event: Event, expected: Expected, fields: Mapping[str, object]) -> list[str]:
    """In what an event is not what was expected."""
    if isinstance(expected, Event):
        return field_differences(event, expected)
    published = dict(event)
    return field_differences({name: published[name] for name in fields if name in published}, fields)


def _meant(kind: type[Event] | str, published: Sequence[Event]) -> str:
    """What may have been meant, where there was no event of that type or topic."""
    kinds = {type(each) for each in published}
    if isinstance(kind, type):
        if any(
            (each.__module__, each.__qualname__) == (kind.__module__, kind.__qualname__) for each in kinds
        ):
            return (
                f" Another definition of {kind.__name__} was: the class was defined twice, "
                "as an import under two names does. Import it as the plugin does."
            )
        near = get_close_matches(kind.__name__, [each.__name__ for each in kinds], n=1)
    else:
        near = get_close_matches(kind, [each.__topic__ for each in kinds], n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _told(expected: Expected, fields: Mapping[str, object]) -> str:
    if isinstance(expected, Event):
        return short(expected)
    of = f"event of {expected!r}" if isinstance(expected, str) else text_of(expected)
    return f"{of} with {_named(fields)}" if fields else of


def _named(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={short(value)}" for name, value in fields.items())


def _listed(head: str, found: Sequence[Published]) -> str:
    more = [f"  and {len(found) - _MOST_SHOWN:,} more"] if len(found) > _MOST_SHOWN else []
    return "\n".join([head, *(f"  {each}" for each in found[:_MOST_SHOWN]), *more])
