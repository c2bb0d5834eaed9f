"""Asking: having an event answered while the asker waits, which is the exception to the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from plugbook.errors import DeadlockError, EventError, refuses_misspelt
from plugbook.events.dispatch.question import NO_DEFAULT, Answer, Answers, Question, check_cycle

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.cause import Cause
    from plugbook.events.dispatch.drain import Drain
    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event
    from plugbook.events.subscription import HandlerPlan


class Asking:
    """`ask` and `ask_async`, alike for everybody who has them: a bus, a host, the context of a plugin."""

    def _asks(self) -> tuple[Bus, str]:
        """The bus, and the plugin in whose name is asked."""
        raise NotImplementedError

    @overload
    def ask(self, event: Event, *, all: Literal[False] = False, default: Any = ...) -> Answer: ...
    @overload
    def ask(self, event: Event, *, all: Literal[True]) -> Answers: ...
    @refuses_misspelt
    def ask(
        self,
        event: Event,
        *,
        all: bool = False,  # noqa: A002 (what is asked for is called so)
        default: Any = NO_DEFAULT,
    ) -> Answer | Answers:
        """Ask the handlers of an event one after the other, until one answers.

        Inside a handler they run at once, while it waits; elsewhere, as soon as nobody else's handlers run.
        An answer is what a handler returns, unless that is None. One that fails has not answered: its error
        is kept, and the next one is asked.

        Args:
            event: the question.
            all: ask every handler, and give back every answer, be it none.
            default: the answer where nobody answers.

        Raises:
            EventError: what was given is not an event, or there is a default for all answers.
            NoAnswerError: nobody answered, and there is no default.
            AskCycleError: a handler up the chain of askers is handling an event of this topic.
            DeadlockError: it could never end, because a handler needs the loop that would wait here.

        >>> from plugbook import Event, Host, Plugin, on
        >>> class Price(Event):
        ...     item: str
        >>> class Catalog(Plugin):
        ...     @on(Price)
        ...     def price(self, asked: Price) -> float | None:
        ...         return {"tea": 3.5}.get(asked.item)
        >>> with Host([Catalog]) as host:
        ...     _ = host.start()
        ...     answer = host.ask(Price(item="tea"))
        >>> answer.value, answer.plugin, answer.handler
        (3.5, 'catalog', 'Catalog.price')
        """
        bus, plugin = self._asks()
        _check_default(default, wants_all=all)
        question = bus.question(event, wants_all=all, plugin=plugin, awaits=False)
        bus.answer(question)
        return question.given(default)

    @overload
    async def ask_async(self, event: Event, *, all: Literal[False] = False, default: Any = ...) -> Answer: ...
    @overload
    async def ask_async(self, event: Event, *, all: Literal[True]) -> Answers: ...
    @refuses_misspelt
    async def ask_async(
        self,
        event: Event,
        *,
        all: bool = False,  # noqa: A002 (as in ask)
        default: Any = NO_DEFAULT,
    ) -> Answer | Answers:
        """As `ask`, awaiting the handlers instead of blocking the caller's loop.

        Where a handler asks several questions at once, as with `asyncio.gather`, those who answer them take
        turns at their awaits.
        """
        bus, plugin = self._asks()
        _check_default(default, wants_all=all)
        question = bus.question(event, wants_all=all, plugin=plugin, awaits=True)
        await bus.answer_async(question)
        return question.given(default)


def check(drain: Drain, plan: HandlerPlan, cause: Cause | None, *, awaits: bool) -> Report | None:
    """Refuse a question that could never be answered; nothing has been done yet.

    Returns:
        The dispatch whose handler asks, or None where no handler does.

    Raises:
        AskCycleError: a handler up the chain of askers is handling such an event.
        DeadlockError: it would wait for what cannot go on meanwhile.
    """
    is_inside = drain.is_inside_call()
    asker = cause.report if cause is not None and is_inside else None
    check_cycle(plan.topic, asker)
    if awaits:
        return asker
    if drain.is_on_loop and plan.must_wait:
        name = next(each.name for each in plan.subscriptions if each.is_async or each.thread)
        raise _never(plan.topic, f"{name} needs the host's loop, which waiting here stops")
    if not is_inside and drain.must_not_wait() and (drain.queue or not drain.free):
        raise _never(plan.topic, "its turn comes on the loop that waiting here stops")
    return asker


def _check_default(default: object, *, wants_all: bool) -> None:
    if wants_all and default is not NO_DEFAULT:
        msg = "default= is for the first answer; with all=True, where nobody answers there are no answers"
        raise EventError(msg)


def answer(drain: Drain, question: Question) -> None:
    """Have it answered, waiting here."""
    try:
        if drain.is_inside_call():
            drain.deliver_inside(question)
        elif not drain.deliver_now(question):
            _queue_up(drain, question)
            drain.run_quietly()
            if not question.done:
                drain.wait(question.topic, lambda: question.done, None)
            question.check_failure()
    finally:
        question.asker = None


async def answer_async(drain: Drain, question: Question) -> None:
    """Have it answered, awaiting here."""
    try:
        if drain.is_inside_call():
            await drain.deliver_inside_async(question)
            return
        _queue_up(drain, question)
        await drain.run_async()
        if not question.done:
            await drain.await_until(lambda: question.done)
        question.check_failure()
    finally:
        question.asker = None


def _queue_up(drain: Drain, question: Question) -> None:
    question.waiter = drain.wait
    drain.queue.append(question)


def _never(topic: str, why: str) -> DeadlockError:
    msg = f"asking {topic} here could never end: {why}. Write: await ctx.ask_async(event)"
    return DeadlockError(msg)
