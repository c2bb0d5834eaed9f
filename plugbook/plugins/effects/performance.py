"""One effect from the moment it is asked for until it is on record: denied, given back, or performed and retried.

An effect is one record however many attempts it takes: the plugin got one answer, and one answer is what a replay has
to give back. The attempts that failed are in its payload, with their errors and times.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import ContextVar
from types import CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

from plugbook._clock import tick
from plugbook.errors import EffectDeniedError, EffectError, EffectReplayError, EffectTimeoutError
from plugbook.events.bus import Cause, current_cause
from plugbook.plugins.effects.function import Functions
from plugbook.plugins.effects.values import describe_raised, raised_by, read, written
from plugbook.trace.record import JsonText, describe_error, show_seq

if TYPE_CHECKING:
    from plugbook._types import Outcome
    from plugbook.events.bus import Bus
    from plugbook.plugins.effects.effect import EffectRules
    from plugbook.plugins.effects.function import Function

T = TypeVar("T")

_LONGEST_PAUSE_S: Final = 60.0
_MOST_DOUBLINGS: Final = 64  # beyond any pause worth waiting for, and within what a float holds
_FINAL: Final = (EffectError, EffectDeniedError, EffectReplayError)
"""What no further attempt would mend."""


class Limits(NamedTuple):
    """How an effect is performed.

    Attributes:
        retries: how many attempts more there are after one that failed.
        backoff: seconds before the first of them; before each further one it is twice as long.
        timeout: seconds that an attempt may take, or None.
        retry_on: the errors after which it is tried again.
    """

    retries: int = 0
    backoff: float = 0.1
    timeout: float | None = None
    retry_on: tuple[type[Exception], ...] = (Exception,)


class Asker:
    """A plugin that asks for effects, from one start to its stop.

    Attributes:
        plugin: its name.
        bus: what knows by which call it asks, and where it is recorded.
        rules: what its host says about effects.
        functions: what is known of those that it has called.
        born: the tick at which it was made, before the plugin's `start` ran.
    """

    def __init__(self, plugin: str, bus: Bus, rules: EffectRules) -> None:
        self.plugin = plugin
        self.bus = bus
        self.rules = rules
        self.functions = Functions()
        self.born = tick()


class Asked(NamedTuple):
    """What a replay is asked for.

    Attributes:
        asker: who asks.
        cause: the call or transition in which it asks.
        name: of the effect.
        arguments: as JSON text of an object.
    """

    asker: Asker
    cause: Cause | None
    name: str
    arguments: JsonText


class Recalled(NamedTuple):
    """What a recording holds of an effect.

    Attributes:
        seq: of its record.
        outcome: how it ended.
        result: as JSON text; None where it raised.
        error: what it raised, as `describe_raised` says it.
    """

    seq: int
    outcome: Outcome
    result: str | None
    error: dict[str, Any] | None


class Recall(Protocol):
    """A replay's answer to an effect."""

    def __call__(self, asked: Asked) -> Recalled | None:
        """What to give back; None where the effect is not part of the replay, and is performed.

        Raises:
            EffectReplayError: there is nothing to give back.
        """


class _Enclosing(NamedTuple):
    """The effect that is being performed: what is asked for inside it is caused by it."""

    cause: Cause
    outside: int  # the seq of what caused it: inside another call, it does not enclose


_enclosing: ContextVar[_Enclosing | None] = ContextVar("plugbook_effect", default=None)


class Performance(Generic[T]):
    """One effect. `run` or `run_async` it once.

    Args:
        asker: who asks.
        f: what touches the world.
        args, kwargs: its arguments.
        function: what is known of `f`.
        name: what it is called in the recording; by default as the function is.
        limits: how it is performed.
    """

    def __init__(
        self,
        asker: Asker,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        function: Function,
        name: str | None,
        limits: Limits,
    ) -> None:
        self._asker = asker
        self._f, self._args, self._kwargs = f, args, kwargs
        self._function = function
        self._name = name or function.name
        self._limits = limits
        self._attempts = _Attempts(limits)
        self._reason = ""
        self._outcome: Outcome | None = None
        self._result: JsonText | None = None

    def run(self) -> T:
        """Perform it here, or give back what a recording holds of it."""
        with self:
            recalled = self._recalled()
            if recalled is not None:
                return self._given_back(recalled)
            while True:
                with self._attempts:
                    return self._succeeded(self._call_here())
                self._asker.rules.sleep(self._attempts.pause)

    async def run_async(self) -> T:
        """The same for a coroutine function."""
        with self:
            recalled = self._recalled()
            if recalled is not None:
                return self._given_back(recalled)
            while True:
                with self._attempts:
                    return self._succeeded(await self._call_awaiting())
                await self._asker.rules.sleep_async(self._attempts.pause)

    # -- around it ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        asker = self._asker
        self._cause = cause = asker.bus.cause()
        self._outer = outer = _enclosing.get()
        if outer is not None and outer.outside == (cause.seq if cause else 0):
            self._cause = outer.cause
        self._seq = asker.bus.next_seq()
        self._arguments = JsonText("{}")
        if asker.bus.recorder is not None or asker.rules.recall is not None:
            # Now: the call may change them.
            self._arguments = self._function.arguments(self._f, self._args, self._kwargs)
        root = self._cause.root if self._cause else self._seq
        _enclosing.set(_Enclosing(Cause(self._seq, root), cause.seq if cause else 0))
        self._begun = tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _enclosing.set(self._outer)  # not by a token: a coroutine may be thrown away in another context
        recorder = self._asker.bus.recorder
        if recorder is None:
            return
        outcome = self._outcome
        if outcome is None:
            outcome = _outcome_of(error) if error is not None else "ok"
        recorder.put(
            "input",
            self._name,
            plugin=self._asker.plugin,
            parent=self._cause.seq if self._cause else None,
            root=self._cause.root if self._cause else self._seq,
            tick=self._begun,
            duration_ns=tick() - self._begun,
            outcome=outcome,
            reason=self._reason or self._attempts.told(error),
            payload=self._payload(),
            result=self._result,
            error=describe_raised(error) if error is not None else None,
            seq=self._seq,
        )

    def _payload(self) -> JsonText:
        failed = self._attempts.failed
        attempts = f',"attempts":{json.dumps(failed, separators=(",", ":"))}' if failed else ""
        return JsonText(f'{{"function":{self._function.quoted},"arguments":{self._arguments}{attempts}}}')

    # -- from a recording -----------------------------------------------------------------------------

    def _recalled(self) -> Recalled | None:
        """What a replay gives back; None where the effect is to be performed, and may be.

        Raises:
            EffectReplayError: a replay has nothing to give back.
            EffectDeniedError: the host does not allow it.
        """
        recall = self._asker.rules.recall
        if recall is not None:
            try:
                recalled = recall(Asked(self._asker, self._cause, self._name, self._arguments))
            except EffectReplayError:
                self._outcome, self._reason = "skipped", "a replay has nothing to give back"
                raise
            if recalled is not None:
                return recalled
        self._check_allowed()
        return None

    def _given_back(self, recalled: Recalled) -> T:
        self._outcome = recalled.outcome
        self._reason = f"given back from #{show_seq(recalled.seq)} of the recording"
        if recalled.error is not None:
            error = raised_by(recalled.error)
            error.add_note(
                f"the effect {self._name} raised this in the recording, and was not performed again"
            )
            raise error
        text = recalled.result or "null"
        value: T = read(self._function.adapter, self._name, text)
        self._result = JsonText(text)
        return value

    def _check_allowed(self) -> None:
        plugin, qualified = self._asker.plugin, self._function.qualified
        pattern = self._asker.rules.denied_by(plugin, (self._name, qualified, *self._function.also))
        if pattern is None:
            return
        self._outcome, self._reason = "skipped", f"denied by {pattern!r}"
        msg = (
            f"the host does not let {plugin} perform the effect {qualified}: {pattern!r} denies it. "
            f"Take that out of host.effects, if {plugin} may do so."
        )
        raise EffectDeniedError(msg, effect=qualified, plugin=plugin, pattern=pattern)

    # -- in the world -----------------------------------------------------------------------------------

    def _call_here(self) -> Any:
        timeout = self._limits.timeout
        if timeout is None:
            return self._f(*self._args, **self._kwargs)
        cause = self._asker.bus.cause()
        context = contextvars.copy_context()
        context.run(current_cause.set, cause)
        ended: Future[Any] = Future()

        def call() -> None:
            try:
                ended.set_result(context.run(self._f, *self._args, **self._kwargs))
            except BaseException as error:
                ended.set_exception(error)

        # A thread only where a timeout is asked for: what it leaves behind must not hold up the end of the process.
        threading.Thread(target=call, name=f"plugbook-{self._name}", daemon=True).start()
        if wait([ended], timeout).not_done:
            raise self._too_slow(left="; its thread goes on")
        return ended.result()

    async def _call_awaiting(self) -> Any:
        limit = asyncio.timeout(self._limits.timeout)
        try:
            async with limit:
                return await self._f(*self._args, **self._kwargs)
        except TimeoutError as error:
            if limit.expired():
                raise self._too_slow() from error
            raise

    def _too_slow(self, left: str = "") -> EffectTimeoutError:
        msg = f"the effect {self._name} took more than {self._limits.timeout:g} s{left}"
        return EffectTimeoutError(msg)

    def _succeeded(self, value: Any) -> T:
        if isinstance(value, CoroutineType):
            value.close()
            msg = (
                f"{self._function.qualified} returned a coroutine, which a replay could not give back. "
                "Give ctx.effect the coroutine function itself: await ctx.effect(fetch, url)."
            )
            raise EffectError(msg)
        if self._asker.bus.recorder is not None:
            self._result, remark = written(self._function.adapter, value)
            if remark or self._attempts.failed:
                self._reason = "; ".join(filter(None, (self._attempts.told(None), remark)))
        result: T = value
        return result


class _Attempts:
    """One `with` for each attempt: it takes in what an attempt raises that is not the last one.

    Attributes:
        pause: seconds to wait before the next attempt.
        failed: those that failed, as they are recorded; a single one that nothing followed is not among them.
    """

    __slots__ = ("_begun", "_limits", "failed", "pause")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pause = 0.0
        self.failed: list[dict[str, Any]] = []

    def told(self, error: BaseException | None) -> str:
        """How many attempts it took to end with this error, or without one; ``""`` where it was one."""
        count = len(self.failed)
        if not count:
            return ""
        return f"{count} attempts failed" if error is not None else f"attempt {count + 1} succeeded"

    def __enter__(self) -> None:
        self._begun = tick()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        number, limits = len(self.failed) + 1, self._limits
        is_last = (
            isinstance(error, _FINAL) or number > limits.retries or not isinstance(error, limits.retry_on)
        )
        if number > 1 or not is_last:
            described = describe_error(error)
            told = {"type": described["type"], "message": described["message"]}
            self.failed.append(told | {"duration_ns": tick() - self._begun})
        self.pause = min(limits.backoff * 2.0 ** min(number - 1, _MOST_DOUBLINGS), _LONGEST_PAUSE_S)
        return not is_last


def _outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, EffectTimeoutError):
        return "timeout"
    return "error" if isinstance(error, Exception) else "cancelled"
