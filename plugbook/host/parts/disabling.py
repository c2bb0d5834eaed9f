"""The part of a host that keeps plugins from starting as long as a person wants that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from plugbook.host.changes import record_change
from plugbook.host.handle import PluginName, name_of

if TYPE_CHECKING:
    from plugbook.events.dispatch.work import Work
    from plugbook.host.engine import Engine
    from plugbook.host.plan import Changes, Plan, Step
    from plugbook.host.registry import Registry
    from plugbook.host.requests import Requests

T = TypeVar("T")


class Disabling(ABC):
    """What can be asked of a host about plugins that are not to start."""

    _registry: Registry
    _requests: Requests
    _engine: Engine

    @abstractmethod
    def _request(self, function: Callable[[], T]) -> T | Work[T]:
        """Run a request while no handler runs; inside a handler it is pending."""

    def disable(self, name: PluginName) -> Changes | Work[Changes]:
        """Keep a plugin from starting until `enable`; if it is active, it is stopped, its dependents first.

        Who needs it does not start either, as `why` says. It stays disabled when it is reloaded or replaced, and no
        longer than the host. A bundle is disabled with its members.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        return self._request(lambda: self._carry_out(self._registry.plan("disable", name_of(name))))

    def enable(self, name: PluginName) -> Changes | Work[Changes]:
        """Let a plugin start again; it is started, with its dependents, if `disable` had stopped it.

        Raises:
            UnknownPluginError: there is no such plugin.
        """
        return self._request(lambda: self._carry_out(self._registry.plan("enable", name_of(name))))

    def _carry_out(self, plan: Plan) -> Changes:
        """Do what a plan says: stop who is active, then disable; or enable, then start who was stopped."""
        marks = [step for step in plan if step.action == plan.action]
        others = [step for step in plan if step.action != plan.action]
        if plan.action == "disable":
            changes = self._requests.carry_out(replace(plan, steps=tuple(others)))
            if others:
                self._registry.down[plan.plugin] = [step.plugin for step in reversed(others)]
            self._mark(marks, is_disabled=True)
            changes.done += marks
        else:
            self._mark(marks, is_disabled=False)
            self._registry.down.pop(plan.plugin, None)
            changes = self._requests.carry_out(replace(plan, steps=tuple(others)))
            changes.done = [*marks, *changes.done]
        return changes

    def _mark(self, steps: Iterable[Step], *, is_disabled: bool) -> None:
        for step in steps:
            handle = self._registry[step.plugin]
            change = handle.disable if is_disabled else handle.enable
            change()
            record_change(self._engine.bus, step.action, step.plugin, reason=step.because)
            if self._engine.bus.recorder is not None:
                self._engine.bus.recorder.describe("disabled", step.plugin, is_disabled)
        self._engine.tell()
