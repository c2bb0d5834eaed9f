"""The monitor: opens and closes the event of each hook call, and lets go of the host on any trouble."""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from plugbook._clock import tick
from plugbook.trace.record import CallSite, Dispatch, Note, Plan, describe_error

from .registry import Registry
from .stand_ins import Crew, HookPlan, end_abandoned, error_note, running_call

if TYPE_CHECKING:
    from plugbook.adapters.summary import Summaries
    from plugbook.trace.writing.recorder import Recorder

MANY_PLANS: Final = 4_096
ERROR: Final = "error"

_Open = tuple[list[Any], HookPlan, Crew, Dispatch]
"""A hook call that has not ended: the list pluggy made for it, and what stands in for it."""

NOTHING_OPEN: Final[list[_Open]] = []

logger = logging.getLogger(__name__)


def accepts(target: object) -> bool:
    """Whether `target` is a pluggy ``PluginManager``, told without importing pluggy."""
    module = sys.modules.get("pluggy")
    return module is not None and isinstance(target, module.PluginManager)


class Monitor:
    """Records what a pluggy ``PluginManager`` does, from its making until `detach`.

    Args:
        manager: the ``PluginManager``.
        recorder: where the records go.
        summaries: what is kept of arguments and results.
    """

    def __init__(self, manager: Any, recorder: Recorder, summaries: Summaries) -> None:
        self.inert = False
        self._manager = manager
        self._recorder = recorder
        self._rows = recorder.rows
        self._next_seq = recorder.next_seq
        self._summaries = summaries
        self._wanted = summaries.wanted
        self._local = threading.local()
        self._latest: dict[str, HookPlan] = {}
        self._plans: dict[tuple[str, tuple[Any, ...]], HookPlan] = {}
        self._shared_plans: dict[tuple[CallSite, ...], Plan] = {}
        self._registry = Registry(manager, recorder)
        self._registry.describe_host()
        _monitors.add(self)
        self._undo = manager.add_hookcall_monitoring(self.before, self.after)
        # Private, and only compared: undoing takes away whatever was added on top of it since.
        self._installed = getattr(manager, "_inner_hookexec", None)

    def detach(self) -> str:
        """Stop recording and restore the manager; a second time does nothing.

        Returns:
            ``""``, or why the manager could not be restored: then what is left in place does nothing.
        """
        if self.inert:
            return ""
        self.inert = True
        self._guarded(self._registry.look, None)
        self._guarded(self._registry.describe_plugins)
        self._latest.clear()
        self._plans.clear()
        self._summaries.forget()
        if self._installed is not None and self._manager._inner_hookexec is self._installed:  # noqa: SLF001
            self._undo()
            return ""
        problem = (
            "Another monitor was added to this plugin manager after plugbook's and is still there, so "
            "plugbook's stays in place and does nothing. Detach in reverse order of attaching to remove it."
        )
        self._guarded(self._log, "warning", problem)
        return problem

    # -- what pluggy calls: several thousand times a second, so each line here is paid for ------------

    def before(self, hook_name: str, hook_impls: list[Any], kwargs: Mapping[str, object]) -> None:
        """Open the event and put timed stand-ins in the place of the implementations."""
        if self.inert:
            return
        try:
            local = self._local
            try:
                stack: list[_Open] = local.stack
            except AttributeError:
                stack = local.stack = []
                local.thread = threading.get_ident()
            registry = self._registry
            if registry.count() != registry.counted:
                self._look_at_registry(stack)
            plan = self._latest.get(hook_name)
            if plan is None or plan.originals != hook_impls:
                plan = self._plan(hook_name, hook_impls, stack)
            try:
                crew = plan.free.pop()
            except IndexError:  # first call, or a call inside a call of the same hook
                crew = Crew(plan.originals, self._summaries)
            run = Dispatch()
            run.seq = seq = self._next_seq()
            run.name = hook_name
            run.plugin = ""
            if stack:
                outer = stack[-1][3]
                run.parent = running_call(outer)
                run.root = outer.root
            else:
                run.parent = None
                run.root = seq
            run.plan = plan.plan
            run.result = None
            run.blocks = self._more_blocks(plan.more_blocks) if plan.more_blocks else ()
            run.thread = local.thread
            run.task = _task_name() if "asyncio" in sys.modules else ""
            run.cell = self._recorder.cell
            if self._wanted:
                run.payload = self._summaries.arguments(kwargs)
                run.notes = {}
            else:
                run.payload = run.notes = None
            run.born = now = tick()
            run.ticks = [now]
            crew.run = run
            stack.append((hook_impls, plan, crew, run))
            self._rows.append(run)
            hook_impls[:] = crew.stand_ins
        except RecursionError:
            return  # the host is about to find out by itself; this call goes unrecorded
        except Exception as error:  # nothing of ours may reach the host
            self._give_up(error)

    def after(
        self, outcome: Any, hook_name: str, hook_impls: list[Any], kwargs: Mapping[str, object]
    ) -> None:
        """Put the originals back and close the event."""
        try:
            stack: list[_Open] = getattr(self._local, "stack", NOTHING_OPEN)
            if not stack or stack[-1][0] is not hook_impls:
                # A before() that was interrupted leaves its entry, one that recorded nothing has none.
                if not any(entry[0] is hook_impls for entry in stack):
                    return
                while stack[-1][0] is not hook_impls:
                    stack.pop()
            _, plan, crew, run = stack.pop()
            hook_impls[:] = plan.originals
            crew.run = None
            plan.free.append(crew)
            if self._wanted or run.notes is not None or outcome.exception is not None:
                run.result = self._outcome(run, outcome)
            now = tick()
            run.ticks.append(now)
            recorder = self._recorder
            if (now > recorder.deadline or len(self._rows) > recorder.limit) and not self.inert:
                recorder.make_room()
        except RecursionError:
            return
        except Exception as error:  # nothing of ours may reach the host
            self._give_up(error)

    def _outcome(self, run: Dispatch, outcome: Any) -> Note | None:
        """What the whole hook call gave back, as the note on the event."""
        error = outcome.exception
        if error is not None:
            end_abandoned(run)
            return error_note(error, "")
        note = self._summaries.result(outcome.get_result()) if self._wanted else None
        if run.notes and ERROR in [note.outcome for note in run.notes.values()]:
            return (note or Note())._replace(reason="a wrapper handled the error")
        return note

    def _more_blocks(self, count: int) -> tuple[int, ...]:
        return tuple([self._next_seq() for _ in range(count)])

    # -- plans and stand-ins ---------------------------------------------------------------------

    def _plan(self, hook_name: str, impls: list[Any], stack: list[_Open]) -> HookPlan:
        """The plan for these implementations of a hook; made once unless some are there for one call only."""
        key = (hook_name, tuple(impls))
        plan = self._plans.get(key)
        if plan is None:
            self._look_at_registry(stack)
            sites = tuple([self._registry.site(hook_name, impl) for impl in reversed(impls)])
            shared = self._shared_plans.setdefault(sites, Plan(sites, "spans"))
            plan = HookPlan(list(impls), shared)
            if any(impl.plugin is None for impl in impls):  # HookCaller.call_extra
                return plan
            if len(self._plans) > MANY_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        self._latest[hook_name] = plan
        return plan

    # -- around it -------------------------------------------------------------------------------

    def _look_at_registry(self, stack: list[_Open]) -> None:
        if self._registry.look(running_call(stack[-1][3]) if stack else None):
            # Plans hold implementations, and with them plugins that may be gone.
            self._latest.clear()
            self._plans.clear()

    def _give_up(self, error: Exception) -> None:
        """After a failure of our own: leave the host alone from here on, and say so."""
        self.inert = True
        self._guarded(
            self._log,
            "error",
            "plugbook's monitor failed and stopped recording; the host goes on undisturbed.",
            error,
        )
        self._guarded(
            logger.error, "plugbook's monitor of pluggy failed and stopped recording", exc_info=error
        )

    def _log(self, level: str, message: str, error: Exception | None = None) -> None:
        self._recorder.put(
            "log",
            level,
            payload={"message": message, "logger": __name__},
            error=None if error is None else describe_error(error),
        )
        if error is None:
            logger.warning(message)

    @staticmethod
    def _guarded(action: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        try:
            action(*args, **kwargs)
        except Exception:
            logger.exception("plugbook could not record this of pluggy")


_monitors: weakref.WeakSet[Monitor] = weakref.WeakSet()


def _fall_silent() -> None:
    """In a forked child: the recording belongs to the parent, and its connection must not be used here."""
    for monitor in list(_monitors):
        monitor.inert = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fall_silent)


def _task_name() -> str:
    """The asyncio task that runs here, or ``""``."""
    asyncio = sys.modules["asyncio"]
    if asyncio._get_running_loop() is None:  # noqa: SLF001 - current_task() raises here, which costs more
        return ""
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
