"""What a replay puts before the bus, to decide what becomes of each event that plugins publish or ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from plugbook.events.dispatch.question import Question
    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event


class Gate(Protocol):
    """Asked about each event before anything is done with it."""

    def __call__(self, event: Event, plugin: str) -> Report | None:
        """What the plugin that publishes the event is given, or None to let it through."""

    def ask(self, question: Question) -> None:
        """Take note of a question, which is about to be answered."""
