"""Ends a circle of handlers that publish for each other for ever: from outside that looks as if nothing happened."""

from __future__ import annotations

import logging
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from plugbook.errors import EventError, PublishCycleError
from plugbook.events.subscription import HandlerPlan
from plugbook.trace.record import BLOCK, Note, show_seq

if TYPE_CHECKING:
    from plugbook.events.dispatch.cause import Cause
    from plugbook.events.dispatch.report import Report

MOST_CAUSED: Final = 100_000
"""How many events one event may cause before a circle among its handlers is looked for."""

_log = logging.getLogger("plugbook.events")


class Circles:
    """Counts what one event causes, where that is suspiciously much, and refuses what goes round in a circle.

    An event whose number is not far above that of its root is not counted: comparing the two is all that an event
    costs which is published inside a handler, and any other costs nothing. Many events of one root are no fault
    either, as where a handler publishes one for each line of a file: there has to be a circle of topics.

    Args:
        most_caused: how many events one event may cause before a circle is looked for.

    Attributes:
        distance: how far above its root's the number of an event is that has to be checked.

    Raises:
        EventError: that is no whole number above 0.
    """

    def __init__(self, most_caused: int = MOST_CAUSED) -> None:
        if type(most_caused) is not int or most_caused < 1:
            msg = f"most_caused is a whole number of events above 0, not {most_caused!r}"
            raise EventError(msg)
        self._most = most_caused
        self.distance = most_caused * BLOCK
        self._trees: defaultdict[int, _Tree] = defaultdict(_Tree)

    def check(self, report: Report, cause: Cause | None) -> None:
        """Refuse what was published if it is in a circle; then it is `skipped`, with the circle as the reason.

        Args:
            report: of an event that is more than `distance` away from its root.
            cause: what it was published in.

        Raises:
            PublishCycleError: it is in a circle.
        """
        if cause is None or cause.report is None:
            return  # published on its own account, as by a clock that ticks as long as its plugin runs
        tree = self._trees[report.root]
        tree.count += 1
        if tree.count <= self._most:
            return
        circle = tree.circle(cause.report.topic, cause.report.running_name(), report.topic)
        if circle is None:
            return
        plan = HandlerPlan(type(report.event), ())
        plan.verdict = Note("skipped", f"it would go on for ever: {tree.told(circle)}")
        report.settle(plan)
        report.ticks.append(report.born)
        raise self._refusal(report, tree, circle)

    def forget(self) -> None:
        """Begin anew, for nothing is queued: whatever it was, it has ended."""
        self._trees.clear()

    def _refusal(self, report: Report, tree: _Tree, circle: list[str]) -> PublishCycleError:
        root = f" of {show_seq(report.root)}" if report.root else ""
        msg = (
            f"publishing {report.topic} here would go on for ever: {tree.told(circle)}, and more than {self._most:,} "
            f"events{root} have come of it. Let one of these handlers publish only while there is something left to "
            "do; or, if it does end some time, give the host a higher most_caused"
        )
        if not tree.was_told:  # each handler that fails has it in its own record
            tree.was_told = True
            _log.error("%s", msg)
        return PublishCycleError(msg, cycle=circle)


class _Tree:
    """What one root has caused.

    Attributes:
        count: how many events there were, far away from it.
        was_told: whether somebody was told that it goes round in a circle.
    """

    __slots__ = ("_circles", "_handlers", "count", "was_told")

    def __init__(self) -> None:
        self.count = 0
        self.was_told = False
        self._handlers: dict[tuple[str, str], str] = {}
        self._circles: dict[tuple[str, str], list[str] | None] = {}

    def circle(self, topic: str, handler: str, published: str) -> list[str] | None:
        """The topics of the circle that is closed by publishing this inside a handler of that; None if there is none."""
        link = (topic, published)
        if link not in self._circles:
            self._handlers[link] = handler
            self._circles[link] = self._closed_by(link)
        return self._circles[link]

    def told(self, circle: list[str]) -> str:
        """A circle with who publishes in it."""
        steps = [f"{topic} -> {self._handlers[topic, published]}" for topic, published in pairwise(circle)]
        return " -> ".join([*steps, circle[-1]])

    def _closed_by(self, link: tuple[str, str]) -> list[str] | None:
        open_links = [each for each, circle in self._circles.items() if circle is None]
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for topic, published in [*open_links, link]:
            sorter.add(published, topic)
        try:
            sorter.prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            return circle
        return None
