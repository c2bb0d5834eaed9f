"""Running the handlers of a plan in which some have middleware: every layer a call of its own, inside the next."""

from __future__ import annotations

import asyncio
import inspect
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextvars import Token
from typing import TYPE_CHECKING, Any, Final

from plugbook._clock import tick
from plugbook.errors import EventError
from plugbook.events.dispatch.calls import Turn, refuse_coroutine, strip_own_frames, tell_failure
from plugbook.events.dispatch.cause import Cause, current_cause
from plugbook.events.middleware import Middleware, form_of, name_of
from plugbook.events.subscription import NOT_WANTED, Handler, HandlerPlan, Skipped, Span, Subscription
from plugbook.trace.record import BLOCK, CallSite, Note, describe_error

if TYPE_CHECKING:
    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event

_PASSED_ON: Final = "passed the error on"
_LEFT: Final = Note("timeout", "was still running when its time was up")


def make_plan(kind: type[Event], subscriptions: Iterable[Subscription]) -> HandlerPlan:
    """The plan of these handlers; only where one has middleware, calls are told by where they start and end."""
    wanted = tuple(subscriptions)
    return (LayeredPlan if any(each.middleware for each in wanted) else HandlerPlan)(kind, wanted)


class LayeredPlan(HandlerPlan):
    """The handlers of one event type, some of them with middleware.

    Its sites are, for each subscription, the layers from the outside in, and then the handler.

    Attributes:
        firsts: for each subscription the site of its outermost layer.
        depths: for each site, how many layers are around it.
    """

    __slots__ = ("depths", "firsts")

    def __init__(self, kind: type[Event], subscriptions: tuple[Subscription, ...]) -> None:
        super().__init__(kind, subscriptions)
        self.layout = "spans"
        self.is_inline = False
        self.sites = tuple(site for each in subscriptions for site in _sites(each))
        self.firsts: list[int] = []
        self.depths: list[int] = []
        for each in subscriptions:
            self.firsts.append(len(self.depths))
            self.depths += range(len(each.middleware) + 1)

    def call_of(self, subscription: Subscription) -> Handler:
        """What is called in a subscription's place, with its middleware unless that is diverted."""
        is_layered = subscription.middleware and subscription.instead is None
        return Layered(subscription) if is_layered else subscription.guarded()

    def turn(self, report: Report, index: int) -> LayeredTurn:
        """A subscription's part in a dispatch."""
        return LayeredTurn(report, index, self.subscriptions[index], self.sites_of(index))

    def sites_of(self, index: int) -> range:
        """The sites of a subscription, from the outside in; the last one is the handler's."""
        following = self.firsts[index + 1] if index + 1 < len(self.firsts) else len(self.sites)
        return range(self.firsts[index], following)

    def abandon(self, report: Report, error: BaseException) -> bool:
        """Close a dispatch that cannot go on: end what is open, and skip whose turn has not come."""
        reason = type(error).__name__
        report.ticks.extend([tick()] * (not report.ticks))
        begun = self.begun(report.ticks)
        name = self.subscriptions[begun - 1].name if begun else ""
        if begun and not isinstance(error, Exception):
            end_open(report, 0, Note("cancelled", reason))
            report.decide(name, Note("cancelled", reason))
        where = f" in {name}" if name else ""
        for index in range(begun, len(self.subscriptions)):
            add_call(report, self.sites_of(index)[-1], Note("skipped", f"{reason}{where} ended the dispatch"))
        report.end_early(error)
        report.ticks.append(tick())
        return True

    # -- what the clock readings of a report say ------------------------------------------------------

    def is_complete(self, ticks: list[int]) -> bool:
        """Whether every handler has ended."""
        return len(ticks) % 3 == 2

    def spans(self, ticks: list[int]) -> list[Span]:
        """The calls so far, in the order they started."""
        triples = zip(ticks[1::3], ticks[2::3], ticks[3::3], strict=False)
        return [
            Span(site, end - start if end else None, bool(end), self.depths[site])
            for site, start, end in triples
        ]

    def count(self, ticks: list[int]) -> int:
        """How many calls there have been."""
        return (len(ticks) - 1) // 3

    def running(self, ticks: list[int]) -> int:
        """Which call runs: the last started that has not ended."""
        end = (len(ticks) - 1) // 3 * 3
        while end and ticks[end]:
            end -= 3
        return max(0, end // 3 - 1)

    def site_of(self, index: int, ticks: list[int]) -> int:
        """Which site the call is made at."""
        return ticks[1 + 3 * index]

    def begun(self, ticks: list[int]) -> int:
        """How many subscriptions have had their turn, or have it."""
        started = ticks[1::3][: (len(ticks) - 1) // 3]
        return bisect_right(self.firsts, max(started)) if started else 0


class Layered:
    """What stands in a plan for a handler with middleware.

    Attributes:
        layers: the middleware from the outside in, each in the form that fits the handler; `names` are theirs.
        handler: what is called in the middle.
        where: a predicate on the event; where it says no, no layer is called either.
    """

    __slots__ = ("handler", "layers", "names", "where")

    def __init__(self, subscription: Subscription) -> None:
        self.layers = [form_of(layer, is_async=subscription.is_async) for layer in subscription.middleware]
        self.names = [name_of(layer) for layer in subscription.middleware]
        self.handler = subscription.handler
        self.where = subscription.where

    def __call__(self, event: Event) -> Any:
        """Call the handler alone."""
        return self.handler(event)


class LayeredTurn(Turn):
    """One subscription's part in a dispatch whose calls nest.

    An error is the error of the call that raised it: the layers around that one have passed it on, or handled it.
    An answer is that of the handler, unless a layer gives another one.
    """

    __slots__ = (
        "_answer",
        "_failed",
        "_first",
        "_handler",
        "_is_over",
        "_layers",
        "_sites",
        "names",
        "raised",
        "rescuer",
    )

    def __init__(self, report: Report, index: int, subscription: Subscription, sites: Sequence[int]) -> None:
        super().__init__(report, index, subscription)
        self.raised: BaseException | None = None
        self.rescuer = ""
        self._sites = sites
        self._layers: Sequence[Middleware] = ()
        self.names: Sequence[str] = ()
        self._handler: Handler = subscription.handler
        self._first: int | None = None
        self._answer: tuple[int, Any] | None = None
        self._failed = self._is_over = False

    # -- what running it needs ------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return not (self._is_over or self.report.done)

    def be_cause(self) -> Token[Cause | None]:
        """Every layer sets itself as the cause when it starts."""
        return current_cause.set(current_cause.get())

    def run(self) -> Any:
        """Call the layers and the handler, or what stands in their place."""
        call = self.report.plan.calls[self.index]
        depth = len(self._sites) - 1
        self._handler = call
        if isinstance(call, Layered):
            if call.where is not None and not call.where(self.report.event):
                return NOT_WANTED
            depth, self._layers, self._handler = 0, call.layers, call.handler
            self.names = call.names
        return self.go(depth, self.report.event)

    def go(self, depth: int, event: Any) -> Any:
        """Call the layer at a depth, or the handler; where that is async, give what is to be awaited."""
        return (self._step_async if self.subscription.is_async else self._step)(depth, event)

    def _step(self, depth: int, event: Any) -> Any:
        span = _Span(self, depth)
        try:
            result = self._callee(depth)(event, *span.following)
            refuse_coroutine(span.name, result)
        except BaseException as error:
            span.fail(error)
            raise
        return span.end(result)

    async def _step_async(self, depth: int, event: Any) -> Any:
        span = _Span(self, depth)
        try:
            result = self._callee(depth)(event, *span.following)
            if result.__class__ is not Skipped:
                result = await result
            if span.following and not self.has_given(result):
                _refuse_awaitable(span.name, result)
        except BaseException as error:
            span.fail(error)
            raise
        return span.end(result)

    def _callee(self, depth: int) -> Middleware | Handler:
        return self._layers[depth] if depth < len(self._layers) else self._handler

    # -- what its calls tell --------------------------------------------------------------------------

    def begin(self, depth: int) -> int | None:
        """Start a call at a depth; None where it is not recorded: it was left behind, or there are too many."""
        report = self.report
        index = (len(report.ticks) - 1) // 3
        if not self.is_running or index >= (len(report.blocks) + 1) * (BLOCK - 1):
            return None
        if self._first is None:
            self._first = index
        report.ticks += (self._sites[depth], tick(), 0)
        return index

    def give(self, index: int | None, result: Any) -> None:
        """A call gave this, until another one around it gives something else."""
        self._answer = (index or 0, result)

    def has_given(self, result: Any) -> bool:
        """Whether that is what a call behind gave."""
        return self._answer is not None and self._answer[1] is result

    def skip_behind(self, depth: int, why: str) -> None:
        """What is behind a layer was not called."""
        if self.is_running:
            for site in self._sites[depth + 1 :]:
                add_call(self.report, site, Note("skipped", why))

    # -- how it ended ---------------------------------------------------------------------------------

    def noted(self) -> Note:
        """How it has ended so far."""
        if self._failed or self._first is None:
            return Note("error")
        return (self.report.notes or {}).get(self._first, Note())

    def note(self, note: Note, error: BaseException | None = None) -> None:
        """Keep how it ended, on its outermost call."""
        report = self.report
        if self._first is None:
            self._first = add_call(report, self._sites[-1], note, error)
        else:
            report.remark(self._first, note, error)
        if note.outcome not in ("ok", "skipped"):
            report.decide(self.subscription.name, note)

    def keep(self, result: Any) -> None:
        """Keep what came out of its outermost layer."""
        if result.__class__ is Skipped:
            self._answer = None
            if self._first is None:
                self.note(Note("skipped", result.reason))
        elif self.rescuer:
            name = self.subscription.name
            self.report.decide(name, Note("ok", f"{self.rescuer} handled an error of {name}"))

    def fail(self, error: BaseException) -> bool:
        """Keep that it failed; whether the error must be raised again."""
        strip_own_frames(error)
        self._failed = True
        tell_failure(self.subscription, error)
        if self._first is None:
            self.note(Note("error", error=describe_error(error)), error)
        else:
            self.report.decide(self.subscription.name, Note("error"))
        return self.subscription.policy == "raise"

    def answer(self) -> tuple[int, Any] | None:
        """Which call gave what, where that is not None."""
        given = self._answer
        return given if given is not None and given[1] is not None and not self._failed else None

    def end(self) -> None:
        """Others have their turn from now on."""
        report = self.report
        if self._first is not None:
            end_open(report, self._first, _LEFT)
        self._is_over = True
        if self.index == len(report.plan.subscriptions) - 1:
            report.ticks.append(tick())


class _Span:
    """One call of a turn, from its start to its end."""

    __slots__ = ("_depth", "_index", "_token", "_turn", "following", "name")

    def __init__(self, turn: LayeredTurn, depth: int) -> None:
        layer = depth < len(turn.names)
        self._turn = turn
        self._depth = depth
        self.name = turn.names[depth] if layer else turn.subscription.name
        self.following: tuple[Next, ...] = (Next(turn, depth),) if layer else ()
        self._index = index = turn.begin(depth)
        seq = turn.report.call_seq(index) if index is not None else turn.report.running_seq()
        self._token = current_cause.set(Cause(seq, turn.report.root, turn.report))

    def fail(self, error: BaseException) -> None:
        """It raised, or what is behind it did."""
        turn = self._turn
        for following in self.following:
            if not following.was_called:
                turn.skip_behind(self._depth, f"{self.name} failed")
        strip_own_frames(error)
        if error is turn.raised:
            self._close(Note(reason=self._told(_PASSED_ON)))
        elif isinstance(error, Exception):
            self._close(Note("error", self._told(""), error=describe_error(error)), error)
        else:
            self._close(Note("cancelled", type(error).__name__))
        turn.raised = error

    def end(self, result: Any) -> Any:
        """It returned."""
        if result.__class__ is Skipped:
            self._close(Note("skipped", result.reason))
            return result
        why = self._why_another(result)
        if why is None:
            said = self._told("")
            self._close(Note(reason=said) if said else None)
        else:
            self._turn.give(self._index, result)
            self._close(Note("ok", self._told(why), result=result, has_result=result is not None))
        return result

    def _why_another(self, result: Any) -> str | None:
        """Why the result is its own, as the reason of its call; None where it is that of what is behind."""
        turn = self._turn
        if not self.following:
            return ""
        following = self.following[0]
        if following.failures:
            turn.rescuer = turn.rescuer or self.name
        if not following.was_called:
            turn.skip_behind(self._depth, f"{self.name} answered")
            return "did not call what is behind it"
        if following.has_failed:
            return "handled the error"
        return None if turn.has_given(result) else "replaced the result"

    def _told(self, why: str) -> str:
        said = self.following[0].said if self.following else ""
        return "; ".join(filter(None, (said, why)))

    def _close(self, note: Note | None, error: BaseException | None = None) -> None:
        current_cause.reset(self._token)
        report, index = self._turn.report, self._index
        if index is None or report.ticks[3 * index + 3]:
            return
        if note is not None:
            report.remark(index, note, error)
        report.ticks[3 * index + 3] = tick()


class Next:
    """What a layer calls to go on: what is behind it.

    Attributes:
        was_called: whether the layer has called it, and awaited that where it is to be awaited.
        failures: how often what is behind has failed; `has_failed`: whether it did so the last time.
        said: what the layer wants to say in the record.
    """

    __slots__ = ("_depth", "_turn", "failures", "has_failed", "said", "was_called")

    def __init__(self, turn: LayeredTurn, depth: int) -> None:
        self._turn = turn
        self._depth = depth
        self.was_called = self.has_failed = False
        self.failures = 0
        self.said = ""

    @property
    def handler(self) -> str:
        """The name of the handler in the middle."""
        return self._turn.subscription.name

    @property
    def can_be_left(self) -> bool:
        """Whether the handler's time is limited, and it can be left behind when that is up."""
        subscription = self._turn.subscription
        return subscription.timeout is not None and (subscription.is_async or subscription.thread)

    def note(self, text: str) -> None:
        """Say something in the record of this layer's call; the last text counts."""
        self.said = text

    def __call__(self, event: Any) -> Any:
        """Call what is behind; around an async handler, give what is to be awaited."""
        return self._go_async(event) if self._turn.subscription.is_async else self._go(event)

    def _go(self, event: Any) -> Any:
        self.was_called = self.has_failed = True
        try:
            result = self._turn.go(self._depth + 1, event)
        except Exception:
            self.failures += 1
            raise
        self.has_failed = False
        return result

    async def _go_async(self, event: Any) -> Any:
        self.was_called = self.has_failed = True
        try:
            result = await self._turn.go(self._depth + 1, event)
        except Exception:
            self.failures += 1
            raise
        self.has_failed = False
        return result


def add_call(report: Report, site: int, note: Note, error: BaseException | None = None) -> int | None:
    """Record a call that was not made; None where there are too many."""
    index = (len(report.ticks) - 1) // 3
    if index >= (len(report.blocks) + 1) * (BLOCK - 1):
        return None
    report.remark(index, note, error)
    now = tick()
    report.ticks += (site, now, now)
    return index


def end_open(report: Report, first: int, note: Note) -> None:
    """End the calls from the `first` on that have not ended, and note those of which nothing is said."""
    ticks = report.ticks
    for at in range(3 * first + 3, len(ticks), 3):
        if not ticks[at]:
            if at // 3 - 1 not in (report.notes or {}):
                report.remark(at // 3 - 1, note)
            ticks[at] = tick()


def _refuse_awaitable(name: str, result: Any) -> None:
    """Raise where an async layer gave what nobody would await, and end that."""
    if inspect.iscoroutine(result):
        result.close()
    elif isinstance(result, asyncio.Task):
        result.cancel()
    else:
        return
    msg = f"{name} returned what nobody awaits: write await call_next(event)"
    raise EventError(msg)


def _sites(subscription: Subscription) -> Iterator[CallSite]:
    """The sites of a subscription, from the outside in."""
    handler = subscription.site()
    for layer in subscription.middleware:
        code = getattr(inspect.unwrap(layer), "__code__", None)
        yield CallSite(
            name=f"{name_of(layer)}({handler.name})",
            plugin=handler.plugin,
            order=handler.order,
            file=code.co_filename if code else "",
            line=code.co_firstlineno if code else 0,
            role="middleware",
        )
    yield handler
