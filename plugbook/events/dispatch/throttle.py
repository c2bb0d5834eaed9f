"""Throttling: topics of which only so many events a second are delivered."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from plugbook.errors import EventError, UnknownNameError, suggestion
from plugbook.events.subscription import HandlerPlan, Target, check_target, is_for, text_of
from plugbook.trace.record import Note

if TYPE_CHECKING:
    from plugbook.events.event import Event

_SECOND_NS: Final = 1_000_000_000


class Throttles:
    """The limits of a bus, and who has used how much of them.

    Args:
        clock: gives the time in ns.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._limits: dict[Target, float] = {}
        self._windows: dict[tuple[Target, str], _Window] = {}
        self._plans: dict[type[Event], HandlerPlan | None] = {}
        self._lock = threading.Lock()

    def go_by(self, clock: Callable[[], int]) -> None:
        """Read the time from another clock, whose readings have nothing to do with those before."""
        with self._lock:
            self._clock = clock
            self._windows.clear()

    def __bool__(self) -> bool:
        return bool(self._limits)

    @property
    def limits(self) -> dict[str, float]:
        """How many events a second, by target as a person writes it."""
        return {text_of(target): limit for target, limit in self._limits.items()}

    def set(self, target: Target, per_second: Any) -> Callable[[], bool]:
        """Deliver only so many events of each topic; another limit of the same target is replaced.

        Returns:
            What takes the limit away again; it says whether it was still there.

        Raises:
            EventError: the target or the number cannot be.
            TopicError: the topic pattern is not well formed.
        """
        check_target(target)
        if not _is_rate(per_second):
            msg = f"throttle {text_of(target)}: per_second must be a number of events above 0, not {per_second!r}"
            raise EventError(msg)
        limit = float(per_second)
        with self._lock:
            self._limits[target] = limit
            self._forget(target)

        def remove() -> bool:
            with self._lock:
                if self._limits.get(target) is not limit:
                    return False
                del self._limits[target]
                self._forget(target)
            return True

        return remove

    def remove(self, name: str) -> None:
        """Take away the limit of a target as a person writes it.

        Raises:
            UnknownNameError: there is none.
        """
        with self._lock:
            named = [target for target in self._limits if text_of(target) == name]
            if not named:
                msg = f"{name} is not throttled.{suggestion(name, self.limits)}"
                raise UnknownNameError(msg, name=name, known=self.limits)
            for target in named:
                del self._limits[target]
                self._forget(target)

    def refusal(self, kind: type[Event]) -> HandlerPlan | None:
        """The plan of an event of this type that is not delivered; None where it is, which counts."""
        with self._lock:
            if kind not in self._plans:
                self._plans[kind] = self._plan(kind)
            plan = self._plans[kind]
            if plan is None:
                return None
            now = self._clock()
            windows = [self._window(target, kind) for target in self._limits if is_for(target, kind)]
            if any(window.is_full(now) for window in windows):
                return plan
            for window in windows:
                window.taken.append(now)
            return None

    def _plan(self, kind: type[Event]) -> HandlerPlan | None:
        """A plan that calls nobody, and says why; None where no limit is for this type."""
        limits = [limit for target, limit in self._limits.items() if is_for(target, kind)]
        if not limits:
            return None
        plan = HandlerPlan(kind, ())
        plan.verdict = Note("skipped", f"throttled: more than {min(limits):g} a second of {kind.__topic__}")
        return plan

    def _window(self, target: Target, kind: type[Event]) -> _Window:
        key = (target, kind.__topic__)
        if key not in self._windows:
            self._windows[key] = _Window(self._limits[target])
        return self._windows[key]

    def _forget(self, target: Target) -> None:
        self._plans.clear()
        for key in [key for key in self._windows if key[0] == target]:
            del self._windows[key]


class _Window:
    """When the last events were delivered: as many as fit a second, or one where that is less than one."""

    def __init__(self, per_second: float) -> None:
        most = max(1, int(per_second))
        self.taken: deque[int] = deque(maxlen=most)
        self._length_ns = most / per_second * _SECOND_NS

    def is_full(self, now: int) -> bool:
        """Whether one more would be too many."""
        return len(self.taken) == self.taken.maxlen and now - self.taken[0] < self._length_ns


def _is_rate(given: object) -> bool:
    return (
        isinstance(given, int | float) and not isinstance(given, bool) and given > 0 and math.isfinite(given)
    )
