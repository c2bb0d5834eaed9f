"""The part of a host that code outside of its plugins publishes to and listens on."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from plugbook.errors import refuses_misspelt
from plugbook.events.dispatch.asking import Asking

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event
    from plugbook.events.subscription import Handler, Target


class Publishing(Asking):
    """What a host takes from whoever is no plugin."""

    bus: Bus

    @abstractmethod
    def _check_open(self) -> None:
        """Refuse what a closed host cannot do."""

    def publish(self, event: Event) -> Report:
        """Bring an event to its handlers; see `Bus.publish`.

        Raises:
            EventError: what was given is not an event.
            HostClosedError: the host was closed.
        """
        return self.bus.publish(event)

    def subscribe(self, target: Target, handler: Handler, **options: Any) -> Disconnect:
        """Listen from outside of any plugin, until the returned function is called; see `Bus.subscribe`.

        In a notebook it belongs to the cell: run again, the cell listens once, and not twice.

        Raises:
            EventError: target, handler or an option cannot be.
            TopicError: the topic pattern is not well formed.
        """
        self._check_open()
        return self.bus.subscribe(target, handler, **options)

    async def publish_async(self, event: Event) -> Report:
        """As `publish`, awaiting the handlers instead of blocking the caller's loop."""
        return await self.bus.publish_async(event)

    @refuses_misspelt
    def throttle(self, target: Target, *, per_second: float) -> Disconnect:
        """Deliver at most so many events a second of each topic that fits; see `Bus.throttle`.

        >>> from plugbook import Host
        >>> undo = Host().throttle("mouse.*", per_second=10)

        Raises:
            EventError: the target cannot be, or the number is not above 0.
            TopicError: the topic pattern is not well formed.
        """
        self._check_open()
        return self.bus.throttle(target, per_second=per_second)

    def unthrottle(self, target: Target) -> None:
        """Deliver every event again, whoever set the limit; see `Bus.unthrottle`.

        Args:
            target: as it was given to `throttle`.

        Raises:
            UnknownNameError: there is none for this target.
        """
        self._check_open()
        self.bus.unthrottle(target)

    def _asks(self) -> tuple[Bus, str]:
        return self.bus, ""
