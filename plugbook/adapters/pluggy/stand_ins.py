"""Stand-ins: copies of a hook's implementations whose calls are timed, for the length of one hook call."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import GeneratorType
from typing import Any, Final

from plugbook._clock import tick
from plugbook.adapters.summary import NOTHING, Summaries
from plugbook.trace.record import BLOCK, Dispatch, Note, Plan, describe_error

from .outcomes import note_of

ERROR_PASSED_ON: Final = Note(reason="passed the error on")
ABANDONED: Final = Note("cancelled", reason="its teardown was never run")
SECOND_YIELD: Final = Note("error", reason="has a second yield")


class HookPlan:
    """Whom a hook calls at present, and the stand-ins that wait for the next call."""

    __slots__ = ("free", "more_blocks", "originals", "plan")

    def __init__(self, originals: list[Any], plan: Plan) -> None:
        self.originals = originals
        self.plan = plan
        self.free: list[Crew] = []
        self.more_blocks = max(0, len(originals) - 1) // (BLOCK - 1)


class Crew:
    """Stand-ins for all implementations of a hook, working for one hook call at a time.

    Attributes:
        run: the hook call they work for now, or None.
        stand_ins: in pluggy's order, in which the last is called first.
    """

    __slots__ = ("run", "stand_ins")

    def __init__(self, originals: list[Any], summaries: Summaries) -> None:
        self.run: Dispatch | None = None
        last = len(originals) - 1
        self.stand_ins = [
            self._stand_in(impl, last - position, summaries) for position, impl in enumerate(originals)
        ]

    def _stand_in(self, impl: Any, site: int, summaries: Summaries) -> Any:
        # A copy is a real HookImpl, so whoever looks at it finds all that this version of pluggy has.
        stand_in = copy.copy(impl)
        if impl.hookwrapper:
            stand_in.function = _timed_wrapper(impl.function, site, self, summaries, _TimedHookWrapper)
        elif impl.wrapper:
            stand_in.function = _timed_wrapper(impl.function, site, self, summaries, _TimedGenerator)
        else:
            stand_in.function = _timed(impl.function, site, self, summaries)
        return stand_in


def running_call(run: Dispatch) -> int:
    """The seq of the call that runs inside a dispatch right now: the last started that has not ended.

    Wrappers that wait at their ``yield`` have not ended either, but what runs started later.
    """
    ticks = run.ticks
    end = len(ticks) - 1
    while end and ticks[end]:
        end -= 3
    return run.call_seq(end // 3 - 1) if end and run.blocks else run.seq + end // 3


def end_abandoned(run: Dispatch) -> None:
    """End the calls of wrappers that pluggy left at their ``yield``, as it does when another one yields twice."""
    ticks = run.ticks
    for end in range(3, len(ticks), 3):
        if not ticks[end]:
            ticks[end] = tick()
            _note(run, end, ABANDONED)


def _timed(function: Callable[..., Any], site: int, crew: Crew, summaries: Summaries) -> Callable[..., Any]:
    """`function`, its call recorded."""
    wanted = summaries.wanted

    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        run = crew.run
        if run is None:  # kept by somebody beyond the hook call it was made for
            return function(*args, **kwargs)
        ticks = run.ticks
        at = len(ticks) + 2
        ticks += (site, tick(), 0)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            ticks[at] = tick()
            _note_error(run, at, error)
            raise
        ticks[at] = tick()
        if wanted:
            run.notes[at // 3 - 1] = NOTHING if result is None else _result(summaries, result)  # type: ignore[index]
        return result

    return call


def _timed_wrapper(
    function: Callable[..., Any], site: int, crew: Crew, summaries: Summaries, kind: type[_TimedGenerator]
) -> Callable[..., Any]:
    """`function`, which makes the generator of a wrapper, its call recorded up to the end of the teardown."""

    def start(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        run = crew.run
        if run is None:
            return function(*args, **kwargs)
        ticks = run.ticks
        at = len(ticks) + 2
        ticks += (site, tick(), 0)
        try:
            generator = function(*args, **kwargs)
        except BaseException as error:
            ticks[at] = tick()
            _note_error(run, at, error)
            raise
        if not isinstance(generator, GeneratorType):  # pluggy refuses it, or not, in its own words
            ticks[at] = tick()
            return generator
        return kind(generator, run, at, summaries)

    return start


def _note(run: Dispatch, at: int, note: Note) -> None:
    if run.notes is None:
        run.notes = {}
    run.notes[at // 3 - 1] = note


def _result(summaries: Summaries, value: object) -> Note:
    try:
        return summaries.result(value)
    except Exception as error:  # nothing of ours may reach the host
        return Note(reason=f"the result could not be summarised: {type(error).__qualname__}")


def _note_error(run: Dispatch, at: int, error: BaseException) -> None:
    try:
        note = note_of(error) or Note("error", error=describe_error(error))
    except Exception:  # nothing of ours may reach the host
        note = Note("error", error={"type": type(error).__qualname__, "message": "", "frames": []})
    _note(run, at, note)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # the text of an exception is foreign code
        return f"<its text raised {type(broken).__qualname__}>"


def error_note(error: BaseException, reason: str) -> Note:
    """An error that a traceback is kept of elsewhere, or that has none; or the end that it stands for."""
    ended = note_of(error)
    if ended is not None:
        return ended._replace(reason=f"{reason}: {ended.reason}") if reason else ended
    return Note("error", reason, error=_short(error))


class _TimedGenerator:
    """The generator of a wrapper, its call open until the teardown ends.

    pluggy steps it with ``next``, ``send``, ``throw`` and ``close``, and puts ``gi_code`` in messages. A
    wrapper that passes the result on, as most do, leaves no note.
    """

    __slots__ = ("_at", "_generator", "_run", "_summaries")

    def __init__(self, generator: Any, run: Dispatch, at: int, summaries: Summaries) -> None:
        self._generator = generator
        self._run = run
        self._at = at
        self._summaries = summaries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def __iter__(self) -> _TimedGenerator:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        try:
            return next(self._generator)
        except StopIteration:
            self._end(Note("error", reason="did not yield"))
            raise
        except BaseException as error:
            self._end_by(error)
            raise

    def send(self, value: Any) -> Any:
        """Hand it the result of what it wraps; its own comes as the value of ``StopIteration``."""
        __tracebackhide__ = True
        try:
            yielded = self._generator.send(value)
        except StopIteration as stop:
            if self._end() and stop.value is not value:
                self._note_result(stop.value, "replaced the result")
            raise
        except BaseException as error:
            self._end_by(error)
            raise
        self._end(SECOND_YIELD)
        return yielded

    def throw(self, *error: Any) -> Any:
        """Hand it the error of what it wraps."""
        __tracebackhide__ = True
        try:
            yielded = self._generator.throw(*error)
        except StopIteration as stop:
            if self._end():
                self._note_result(stop.value, "handled the error")
            raise
        except BaseException as raised:
            self._end_by(raised, error[0])
            raise
        self._end(SECOND_YIELD)
        return yielded

    def close(self) -> None:
        """Close it, which ends the call if nothing else did."""
        try:
            self._generator.close()
        finally:
            self._end()

    def _end(self, note: Note | None = None) -> bool:
        """Set the end of the call and the note on it; tell whether it had not ended before."""
        ticks = self._run.ticks
        if ticks[self._at]:
            return False
        ticks[self._at] = tick()
        if note is not None:
            _note(self._run, self._at, note)
        return True

    def _end_by(self, error: BaseException, received: object = None) -> None:
        if not self._end():
            return
        if error is received:
            _note(self._run, self._at, ERROR_PASSED_ON)
        else:
            _note_error(self._run, self._at, error)

    def _note_result(self, result: object, reason: str) -> None:
        note = _result(self._summaries, result) if self._summaries.wanted else Note()
        _note(self._run, self._at, note._replace(reason=reason))


class _TimedHookWrapper(_TimedGenerator):
    """The generator of an old-style wrapper: it is sent a ``Result``, which it may change in place."""

    __slots__ = ()

    def send(self, value: Any) -> Any:
        """Hand it the ``Result`` of what it wraps."""
        __tracebackhide__ = True
        received = value.exception
        told = value.get_result() if received is None else None
        try:
            yielded = self._generator.send(value)
        except StopIteration:
            if self._end():
                self._note_changes(value, told, received)
            raise
        except BaseException as error:
            self._end_by(error, received)
            raise
        self._end(SECOND_YIELD)
        return yielded

    def _note_changes(self, value: Any, told: object, received: BaseException | None) -> None:
        """Compare the ``Result`` after the teardown with what it held before."""
        error = value.exception
        if error is not None:
            note = ERROR_PASSED_ON if error is received else error_note(error, "forced an error")
            _note(self._run, self._at, note)
        elif received is not None:
            self._note_result(value.get_result(), "handled the error")
        elif value.get_result() is not told:
            self._note_result(value.get_result(), "replaced the result")


def _short(error: BaseException) -> dict[str, Any]:
    return {"type": type(error).__qualname__, "message": _message(error), "frames": []}
