"""Restarts plugins that fail, as their policy says, and sets aside those whom that does not help.

It is told of a failure where the event is delivered, and asks for a request, which runs while no handler does. What
it does to a plugin is recorded as the transitions that it does, with the failure as their cause and its reason::

    Billing.bill       error
      active->stopping   Billing.bill failed (1 of 3 in 60 s), starts again in 0.1 s
      stopping->stopped
      stopped->starting  restarted after Billing.bill failed (1 of 3 in 60 s)
      starting->active
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from plugbook.host.changes import record_change
from plugbook.host.plan import Changes, Step
from plugbook.host.supervision.deliveries import QUARANTINED, RESTARTING
from plugbook.plugins.lifecycle import State
from plugbook.plugins.policy import Policy, Restart, Watch, policy_as_json
from plugbook.trace.telling import first_line, tell
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.events.bus import Bus
    from plugbook.events.dispatch.loop import HostLoop
    from plugbook.events.subscription import Subscription
    from plugbook.host.engine import Engine
    from plugbook.host.handle import PluginHandle
    from plugbook.host.registry import Registry
    from plugbook.host.requests import Requests
    from plugbook.host.supervision.deliveries import Deliveries
    from plugbook.host.supervision.quarantine import Quarantine
    from plugbook.plugins.effects.clock import Time
    from plugbook.plugins.plugin import Plugin
    from plugbook.trace.record import Note

_log = logging.getLogger("plugbook.host")

_DOWN = (State.STOPPED, State.FAILED)


class Timer(Protocol):
    """What a supervisor waits by; a test gives it one whose time it moves itself."""

    def now(self) -> float:
        """Seconds on a clock that never runs backwards."""

    def call_later(self, delay_s: float, function: Callable[[], object]) -> Disconnect:
        """Call a function, on any thread, in so many seconds; what is returned takes that back."""


class LoopTimer:
    """Waits on the host's loop, so that what it waits for ends with the host."""

    def __init__(self, loop: HostLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def call_later(self, delay_s: float, function: Callable[[], object]) -> Disconnect:
        """Call it on the loop's thread."""

        async def wait() -> None:
            await asyncio.sleep(delay_s)
            function()

        job = self._loop.submit(wait())

        def cancel() -> None:
            job.cancel()

        return cancel


class ClockTimer:
    """Waits by the clock that a host was told to go by."""

    def __init__(self, clock: Time) -> None:
        self._clock = clock
        self.call_later = clock.call_later

    def now(self) -> float:
        """Seconds since some moment."""
        return self._clock.monotonic_ns() / 1e9


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of a plugin that is watched.

    Attributes:
        plugin: its name.
        instance: the instance that failed; where another runs by now, somebody was faster.
        what: what failed, such as ``Billing.bill failed``.
        error: what it raised, in one line.
    """

    plugin: str
    instance: Plugin | None
    what: str
    error: str


class Supervisor:
    """Does what the policies of plugins say, one failure at a time.

    A restart is counted when it is decided on. One that fails in its start is followed by the next, after a longer
    wait. Whom the host has stopped keeps what it misses as dead letters, until it is active again; after a restart
    they are delivered before anything else. An interrupt ends a recovery: the plugin stays as it is, and a person
    goes on. While a player has the host, nothing is done, for failures of the past are replayed.

    Args:
        bus: where requests are made.
        registry: the plugins.
        engine: stops them.
        requests: starts them.
        deliveries: keeps what they miss.
        quarantine: sets them aside, and lets them out.

    Attributes:
        timer: what it waits by.
    """

    def __init__(
        self,
        bus: Bus,
        registry: Registry,
        engine: Engine,
        requests: Requests,
        deliveries: Deliveries,
        quarantine: Quarantine,
    ) -> None:
        self._bus = bus
        self._registry = registry
        self._engine = engine
        self._requests = requests
        self._deliveries = deliveries
        self._quarantine = quarantine
        self.timer: Timer = LoopTimer(bus.loop)
        self._restarts: dict[str, list[float]] = {}
        self._recovering: set[str] = set()
        self._waits: dict[str, Disconnect] = {}
        self._turn = threading.Lock()
        self._is_closed = False
        engine.watcher = self.watch

    # -- policies ---------------------------------------------------------------------------------

    def policy_of(self, handle: PluginHandle) -> Policy:
        """What the host was told about it, or else its manifest says, or else holds for the nearest bundle it is in."""
        told = self._engine.policies
        for name in (handle.name, *self._registry.bundles_of(handle.name)):
            policy = told.get(name, self._registry[name].manifest.policy)
            if name in told or policy != "continue":
                return policy
        return "continue"

    def set_policy(self, handle: PluginHandle, policy: Policy | None, reason: str = "") -> None:
        """Let another policy hold from now on, for handlers that are connected, too, and for members of a bundle.

        Args:
            handle: the plugin.
            policy: None for what its manifest says.
            reason: why, for the record.
        """
        old = self.policy_of(handle)
        if policy is None:
            self._engine.policies.pop(handle.name, None)
        else:
            self._engine.policies[handle.name] = policy
        new = self.policy_of(handle)
        if new != old:
            told = {"old": policy_as_json(old), "new": policy_as_json(new)}
            record_change(self._bus, "policy", handle.name, told, reason=reason)
            if self._bus.recorder is not None:
                self._bus.recorder.describe("policy", handle.name, policy_as_json(new))
        for name in (handle.name, *self._registry.members_of(handle.name)):
            self._engine.watch_anew(self._registry[name])

    def watch(self, handle: PluginHandle) -> Watch:
        """What becomes of a plugin's failures; of most plugins nobody is told."""
        policy = self.policy_of(handle)
        if policy == "raise":
            return Watch("raise")
        if policy == "continue":
            return Watch()
        return Watch(on_call=partial(self._on_call, handle), on_task=partial(self._on_task, handle))

    # -- failures ---------------------------------------------------------------------------------

    def _on_call(self, handle: PluginHandle, subscription: Subscription, note: Note) -> None:
        error = note.error if isinstance(note.error, dict) else {}
        verb = "timed out" if note.outcome == "timeout" else "failed"
        message = first_line(str(error.get("message", "")))
        told = f"{error['type']}: {message}" if error else note.reason or ""
        self._on_failure(handle, f"{subscription.name} {verb}", told)

    def _on_task(self, handle: PluginHandle, title: str, error: BaseException) -> None:
        self._on_failure(handle, f"background task {title} failed", tell(error))

    def _on_failure(self, handle: PluginHandle, what: str, error: str) -> None:
        """Ask for a recovery, unless one is due: it is the plugin that fails, however many of its calls do."""
        with self._turn:
            if self._is_closed or self._bus.gate is not None:
                return
            if not handle.is_active or handle.name in self._recovering:
                return
            self._recovering.add(handle.name)
        failure = Failure(handle.name, handle.instance, what, error)
        self._request(handle.name, partial(self._recover, failure))

    def _request(self, name: str, function: Callable[[], object]) -> None:
        """Have something done while no handler runs; nobody waits for it, so what goes wrong in it is logged."""

        def carry_out() -> None:
            try:
                function()
            except Exception:
                _log.exception("%s could not be recovered", name)
            except BaseException:
                self._registry.down.pop(name, None)  # somebody has interrupted it, who decides how to go on
                raise

        self._bus.perform(carry_out)

    def _recover(self, failure: Failure) -> None:
        with self._turn:
            self._recovering.discard(failure.plugin)
        handle = self._registry.handles.get(failure.plugin)
        if handle is None or not handle.is_active or handle.instance is not failure.instance:
            return
        policy = self.policy_of(handle)
        if isinstance(policy, Restart):
            self._restart(handle, policy, failure)
        elif policy == "quarantine":
            self._set_aside(handle, f"{failure.what}: {failure.error}")

    # -- restarts ---------------------------------------------------------------------------------

    def _restart(self, handle: PluginHandle, policy: Restart, failure: Failure) -> None:
        count = self._count(handle.name, policy)
        if count > policy.intensity:
            restarts = count_text(policy.intensity, "restart")
            spent = f"after {restarts} in {policy.period:g} s" if policy.intensity else ""
            self._set_aside(handle, f"{' '.join(filter(None, (failure.what, spent)))}: {failure.error}")
            return
        why = f"{failure.what} ({count} of {policy.intensity} in {policy.period:g} s)"
        delay_s = policy.delay_s(count)
        record_change(self._bus, "restart", handle.name, {"count": count, "delay_s": delay_s}, reason=why)
        told = f"{why}, starts again in {delay_s:g} s" if delay_s else why
        self._bring_down(handle, told, RESTARTING, alone=not policy.dependents)
        self._start_in(delay_s, handle.name, why)

    def _count(self, name: str, policy: Restart) -> int:
        """How many restarts there were of late, with the one that is to be decided on."""
        now = self.timer.now()
        recent = [each for each in self._restarts.get(name, ()) if now - each < policy.period]
        self._restarts[name] = [*recent, now]
        return len(self._restarts[name])

    def _start_in(self, delay_s: float, name: str, why: str) -> None:
        if delay_s:
            due = partial(self._request, name, partial(self._bring_up, name, why))
            # In a context of its own: whichever thread the timer calls on, the failure is the cause.
            self._waits[name] = self.timer.call_later(delay_s, partial(copy_context().run, due))
        else:
            self._bring_up(name, why)

    def _bring_down(self, handle: PluginHandle, why: str, absence: str, *, alone: bool = False) -> None:
        """Stop a plugin and its dependents, each of which keeps what it misses."""
        name = handle.name
        dependents = self._registry.in_stop_order(self._registry.resolve().dependents_of(name))
        if alone and not _provides_services(handle):
            dependents = []
        known = self._registry.down.setdefault(name, [name])
        known[1:1] = [each for each in reversed(dependents) if each not in known]
        theirs = absence if absence == RESTARTING else f"stopped with {name}"
        for each in dependents:
            with self._deliveries.standing_in(self._registry[each], theirs):
                self._engine.stop(self._registry[each], f"{name} is {absence}: {why}")
        with self._deliveries.standing_in(handle, absence):
            if handle.is_active:
                self._engine.stop(handle, why)

    def _bring_up(self, name: str, why: str) -> Changes:
        """Start what was stopped; what does not start fails once more, or waits for what it needs."""
        self._waits.pop(name, None)
        changes = Changes()
        for each in self._registry.down.pop(name, ()):
            handle = self._registry.handles.get(each)
            if handle is not None and handle.state in _DOWN:
                because = f"restarted after {why}" if each == name else f"{name} was restarted"
                self._requests.start_one(Step("start", each, because), changes)
        for each, error in changes.failed.items():
            self._start_failed(self._registry[each], error)
        for each in changes.blocked:
            self._wait_for_need(each)
        started = [step.plugin for step in changes.done]
        due = [letter for each in started for letter in self._deliveries.due(each)]
        self._deliveries.redeliver(started, due)
        return changes

    def _start_failed(self, handle: PluginHandle, error: BaseException) -> None:
        """A plugin that was running did not start again."""
        policy = self.policy_of(handle)
        told = tell(error)
        if policy == "quarantine":
            self._set_aside(handle, f"its {handle.phase} failed: {told}")
        elif isinstance(policy, Restart):
            self._registry.down.setdefault(handle.name, [handle.name])
            self._restart(handle, policy, Failure(handle.name, None, f"its {handle.phase} failed", told))

    def _wait_for_need(self, name: str) -> None:
        """Start it when that starts again for which it has to wait."""
        need = self._registry.missing_need(name)
        while need is not None and need.name not in self._registry.down:
            need = self._registry.missing_need(need.name)
        if need is not None and name not in self._registry.down[need.name]:
            self._registry.down[need.name].append(name)

    # -- quarantine -------------------------------------------------------------------------------

    def _set_aside(self, handle: PluginHandle, why: str) -> None:
        """Stop a plugin for good, and remember it."""
        self._bring_down(handle, why, QUARANTINED)
        self._quarantine.set_aside(handle, why)

    def release(self, name: str) -> Changes:
        """Let a plugin out, with nothing held against it; on a host that was started, it starts."""
        self._quarantine.release(self._registry[name])
        self._restarts.pop(name, None)
        names = [each for each in self._registry.down.pop(name, (name,)) if each in self._registry.handles]
        return self._requests.start_if_running(names, Changes([Step("release", name)]))

    # -- the end ----------------------------------------------------------------------------------

    def stand_down(self) -> None:
        """Start nobody again who waits for it: everything is to stop."""
        for name, cancel in list(self._waits.items()):
            cancel()
            del self._waits[name]
            self._registry.down.pop(name, None)

    def close(self) -> None:
        """Do nothing any more, whatever fails."""
        self._is_closed = True
        self.stand_down()


def _provides_services(handle: PluginHandle) -> bool:
    return handle.scope is not None and any(held.kind == "service" for held in handle.scope.held)
