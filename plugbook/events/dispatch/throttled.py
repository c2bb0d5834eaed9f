"""How much gets through: the part of a bus that limits how often a topic is delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugbook.errors import refuses_misspelt
from plugbook.events.dispatch.listening import Listening
from plugbook.events.dispatch.throttle import Throttles
from plugbook.events.subscription import Target, text_of

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.events.dispatch.registrations import Redo


class Throttled(Listening):
    """Limits by topic; without any, publishing takes no longer for them.

    Args:
        clock: the time in ns that they go by.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()
        self._throttles = Throttles(clock)

    @property
    def throttles(self) -> dict[str, float]:
        """How many events a second are delivered, by topic pattern or event type."""
        return self._throttles.limits

    def throttle_by(self, clock: Callable[[], int]) -> None:
        """Go by another clock, in ns; what was delivered so far counts no more."""
        self._throttles.go_by(clock)

    @refuses_misspelt
    def throttle(self, target: Target, *, per_second: float) -> Disconnect:
        """Deliver at most so many events a second of each topic that fits, until the returned function is called.

        What is published beyond that is recorded and reported as ``skipped``. A question is no publishing,
        and is always asked. Another limit for the same target takes the place of this one.

        Raises:
            EventError: the target cannot be, or the number is not above 0.
            TopicError: the topic pattern is not well formed.
        """
        limit = [self._throttles.set(target, per_second)]
        payload = {"target": text_of(target), "per_second": per_second}
        self._changed_throttles("throttle", payload)

        def undo(bus: Throttled, reason: str = "") -> Redo | None:
            if not limit[0]():
                return None
            bus._changed_throttles("unthrottle", payload, reason)

            def redo(reason: str) -> None:
                limit[0] = bus._throttles.set(target, per_second)
                bus._changed_throttles("throttle", payload, reason)

            return redo

        def disconnect() -> None:
            undo(self)

        self._tell("throttle", text_of(target), undo)
        return disconnect

    def unthrottle(self, target: Target) -> None:
        """Take a limit away.

        Raises:
            UnknownNameError: there is none for this target.
        """
        self._throttles.remove(text_of(target))
        self._changed_throttles("unthrottle", {"target": text_of(target)})

    def _changed_throttles(self, what: str, payload: dict[str, object], reason: str = "") -> None:
        self._choose_publish()
        if self._recorder is not None:
            self._recorder.put("change", what, reason=reason, payload=payload)
