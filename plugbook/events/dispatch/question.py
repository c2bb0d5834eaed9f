"""What `ask` brings to its handlers, and what it gives back: each answer with the plugin and handler it is from."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, overload

from plugbook.errors import AskCycleError, NoAnswerError
from plugbook.events.dispatch.report import Call, Report, call_lines
from plugbook.trace.record import Note
from plugbook.trace.telling import tell

if TYPE_CHECKING:
    from plugbook._types import Outcome
    from plugbook.events.dispatch.calls import Turn
    from plugbook.events.subscription import HandlerPlan

NO_DEFAULT: Final[Any] = object()
"""In place of a default: then it is an error that nobody answers."""

_NOBODY: Final = "asked: nobody answered"


class Question(Report):
    """A report of an event that was asked: it ends with the first answer, unless all are wanted.

    An answer is what a handler returns, unless that is None. A handler that fails has not answered, and the
    next one is asked.

    Attributes:
        wants_all: whether every handler is asked.
        answered: which calls gave which answers.
        asker: the dispatch whose handler asks, while it waits; None where no handler does.
        failure: what ended it before its time, such as the error of a handler whose policy is ``raise``.
    """

    __slots__ = ("answered", "asker", "failure", "wants_all")

    def __init__(self, *fields: Any, wants_all: bool, asker: Report | None) -> None:
        super().__init__(*fields)
        self.wants_all = wants_all
        self.asker = asker
        self.answered: list[tuple[int, Any]] = []
        self.failure: BaseException | None = None
        self.result = self._verdict()

    @property
    def asked(self) -> str:
        """How many answers are wanted, ``first`` or ``all``."""
        return "all" if self.wants_all else "first"

    @property
    def enough(self) -> str:
        """Why the handlers that are left need not be called, or ``""``."""
        if self.wants_all or not self.answered:
            return ""
        return f"{self.name_of(self.answered[0][0])} answered"

    def end_turn(self, turn: Turn) -> None:
        """Take the answer, if the handler gave one."""
        answer = turn.answer()
        if answer is not None:
            self.answered.append(answer)
            self.result = self._verdict()

    def end_early(self, error: BaseException) -> None:
        """Keep what ended it, for the asker."""
        self.failure = error

    def settle(self, plan: HandlerPlan) -> None:
        """Let it go to the handlers of this plan."""
        super().settle(plan)
        self.result = self._verdict()

    def _verdict(self) -> Note:
        verdict = super()._verdict()
        values = [value for _, value in self.answered]
        return Note(
            self._outcome_by(verdict),
            self._reason_by(verdict),
            result=values if self.wants_all else next(iter(values), None),
            has_result=bool(values),
        )

    def _outcome_by(self, verdict: Note | None) -> Outcome:
        if verdict is not None:
            return verdict.outcome
        if not self.plan.subscriptions:
            return "unhandled"
        return "error" if any(note.outcome == "error" for note in (self.notes or {}).values()) else "ok"

    def _reason_by(self, verdict: Note | None) -> str:
        names = [self.name_of(index) for index, _ in self.answered]
        told = f"asked: {' and '.join(names)} answered" if names else _NOBODY
        return f"{told}; {verdict.reason}" if verdict is not None and verdict.reason else told

    # -- what the asker gets ------------------------------------------------------------------------

    def check_failure(self) -> None:
        """Raise what ended it where another thread delivered it, to whom that said nothing.

        Raises:
            Exception: of a handler whose policy is ``raise``.
        """
        if isinstance(self.failure, Exception):
            raise self.failure

    def given(self, default: Any) -> Answer | Answers:
        """The `Answer`, or the `Answers` where all are wanted.

        Raises:
            NoAnswerError: nobody answered, and there is no default.
        """
        sites = [self.plan.sites[self.plan.site_of(index, self.ticks)] for index, _ in self.answered]
        answers = [
            Answer(value, site.plugin, site.name, self)
            for site, (_, value) in zip(sites, self.answered, strict=True)
        ]
        if self.wants_all:
            return Answers(answers, self)
        return answers[0] if answers else self._default(default)

    def _default(self, default: Any) -> Answer:
        if default is not NO_DEFAULT:
            return Answer(default, "", "", self)
        told = [_told(call) for call in self.calls] or ["nobody listens to it"]
        msg = (
            f"nobody answered {self.topic}: {'; '.join(told)}. "
            "A handler answers by returning something other than None; default= is for when nobody does"
        )
        raise NoAnswerError(msg, topic=self.topic) from next((call.error for call in self.errors), None)


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What was answered, by whom, and what everybody else did.

    Attributes:
        value: what the handler returned, or the default.
        plugin: whose handler it is; ``""`` where nobody answered.
        handler: its name, such as ``Catalog.price``; ``""`` where nobody answered.
        report: the event and every call made for it.
    """

    value: Any
    plugin: str
    handler: str
    report: Question

    @property
    def calls(self) -> list[Call]:
        """Everybody who was asked, or would have been, with None, errors and who was skipped."""
        return self.report.calls

    @property
    def errors(self) -> list[Call]:
        """The calls that failed."""
        return self.report.errors

    def __repr__(self) -> str:
        by = f"by {self.handler}" if self.handler else "the default, for nobody answered"
        return "\n".join([f"Answer {reprlib.repr(self.value)} {by}", *call_lines(self.report)])


class Answers(Sequence[Answer]):
    """Every answer to one question, in the order they were given.

    Attributes:
        report: the event and every call made for it.
    """

    def __init__(self, answers: Sequence[Answer], report: Question) -> None:
        self._answers = tuple(answers)
        self.report = report

    @property
    def values(self) -> list[Any]:
        """What the handlers returned."""
        return [answer.value for answer in self._answers]

    @property
    def calls(self) -> list[Call]:
        """Everybody who was asked, with None and errors."""
        return self.report.calls

    @property
    def errors(self) -> list[Call]:
        """The calls that failed."""
        return self.report.errors

    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Answer]: ...
    def __getitem__(self, index: int | slice) -> Answer | Sequence[Answer]:
        return self._answers[index]

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def __repr__(self) -> str:
        count = f"{len(self):,} answer" + "s" * (len(self) != 1)
        return "\n".join([f"Answers to {self.report.topic}: {count}", *call_lines(self.report)])


def check_cycle(topic: str, asker: Report | None) -> None:
    """Refuse to ask what is being handled already.

    Raises:
        AskCycleError: somebody up the chain of askers is handling an event of this topic.
    """
    chain: list[Report] = []
    while asker is not None:
        chain.append(asker)
        if asker.topic == topic:
            raise _cycle(topic, chain[::-1])
        asker = asker.asker if isinstance(asker, Question) else None


def _cycle(topic: str, chain: Sequence[Report]) -> AskCycleError:
    told = " -> ".join(f"{report.topic} -> {report.running_name()}" for report in chain)
    msg = (
        f"asking {topic} here could never end, for it is being handled: {told} asks {topic}. "
        "Let one of these handlers work without asking, or publish instead"
    )
    return AskCycleError(msg, cycle=[*(report.topic for report in chain), topic])


def _told(call: Call) -> str:
    if call.error is not None:
        return f"{call.handler} failed with {tell(call.error)}"
    said = f" ({call.reason})" if call.reason else ""
    return f"{call.handler} returned None" if call.outcome == "ok" else f"{call.handler} {call.outcome}{said}"
