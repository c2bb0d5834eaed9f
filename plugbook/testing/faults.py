"""Faults on demand: what a plugin does when its events are lost, come twice or late, or when something raises or hangs.

A fault is a layer of middleware around the handlers that it is for, so that dispatch takes no longer where there is
none, and the recording shows each one as a call of its own, with what was done. Faults in a plugin's own methods, such
as `start`, and in its cleanup are `mark` records.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import threading
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Self

from plugbook.errors import EventError, UnknownNameError, suggestion
from plugbook.events.middleware import Layer
from plugbook.events.subscription import Subscription, Target, check_target, is_for, text_of
from plugbook.testing.scopes import ScopeWatch, leaks_of

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.events.dispatch.layers import Next
    from plugbook.host.host import Host
    from plugbook.plugins.plugin import Plugin
    from plugbook.plugins.scope import Scope

Error = BaseException | type[BaseException]


class Faults:
    """Makes faults on one host; each is there inside of its ``with``.

    Every fault takes two further options: `nth`, which of the times that it could strike it does, counted from 1, by
    default every time; and `probability`, with which it strikes then.

    >>> from plugbook import Event, Host, Plugin, on
    >>> class OrderPlaced(Event):
    ...     order_id: int
    >>> billed = []
    >>> class Billing(Plugin):
    ...     @on(OrderPlaced)
    ...     def bill(self, order: OrderPlaced) -> None:
    ...         billed.append(order.order_id)
    >>> with Host([Billing]) as host:
    ...     faults = Faults(host)
    ...     _ = host.start()
    ...     with faults.drop(OrderPlaced, plugin="billing", nth=1) as drop:
    ...         for order_id in (1, 2):
    ...             _ = host.publish(OrderPlaced(order_id=order_id))
    ...     _ = host.stop()
    ...     faults.assert_clean()
    >>> drop.count, billed
    (1, [2])

    Args:
        host: whose plugins they are for.
        seed: of what is left to chance; the same seed, the same faults.
    """

    def __init__(self, host: Host, *, seed: int = 0) -> None:
        self._host = host
        self._seed = seed
        self._made = 0
        self._scopes = ScopeWatch(host)

    # -- in the way of events -----------------------------------------------------------------------

    def drop(self, target: Target, *, plugin: str = "*", **when: Any) -> Fault:
        """Keep events from handlers.

        Args:
            target: which events: a type, its subclasses included, or a topic pattern.
            plugin: whose handlers: a name, or a pattern such as ``mail*``.
            **when: `nth` and `probability`.

        Raises:
            EventError: the target or an option cannot be.
            UnknownPluginError: there is no plugin of that name.
        """
        return self._around(_Drop, target, plugin, when)

    def duplicate(self, target: Target, *, plugin: str = "*", **when: Any) -> Fault:
        """Call handlers twice, as a broker that delivers at least once may do; see `drop` for the arguments."""
        return self._around(_Duplicate, target, plugin, when)

    def fail(self, target: Target, error: Error, *, plugin: str = "*", **when: Any) -> Fault:
        """Raise an error in the place of handlers; see `drop` for the other arguments."""
        return self._around(partial(_Fail, error=error), target, plugin, when)

    def delay(self, target: Target, seconds: float, *, plugin: str = "*", **when: Any) -> Fault:
        """Have handlers begin later, by the clock of the host: a virtual one moves on, and nobody waits.

        See `drop` for the other arguments.
        """
        if not seconds >= 0:
            msg = f"delay takes a number of seconds, 0 or more, not {seconds!r}"
            raise EventError(msg)
        return self._around(partial(_Delay, host=self._host, seconds=seconds), target, plugin, when)

    def hang(self, target: Target, *, plugin: str = "*", **when: Any) -> Fault:
        """Have handlers never come back: until their timeout, or the end of the fault.

        See `drop` for the arguments. A handler whose publisher would wait for ever, because it has no timeout or
        runs inline, refuses this with an `EventError` when it is its turn.
        """
        return self._around(_Hang, target, plugin, when)

    # -- in a plugin's own methods ------------------------------------------------------------------

    def raise_in(self, plugin: str, where: str, error: Error, **when: Any) -> Fault:
        """Raise an error where a plugin does something of its own.

        Args:
            plugin: its name.
            where: the name of a method that its host calls, such as ``start``, ``__init__`` or ``health``, or
                ``stop``, for the first cleanup of the plugin.
            error: the error, or its class.
            **when: `nth` and `probability`.

        Raises:
            UnknownPluginError: there is no such plugin.
            UnknownNameError: it has no such method.
            EventError: an option cannot be.
        """
        handle = self._host.plugins[plugin]
        chance = self._chance(when)
        if where == "stop":
            return _InCleanup(self._host, plugin, where, error, chance)
        known = handle.plugin_class
        if known is not None and not callable(getattr(known, where, None)):
            methods = [name for name in dir(known) if not name.startswith("_")]
            msg = f"{plugin} has no method {where!r}.{suggestion(where, methods, listing=False)}"
            raise UnknownNameError(msg, name=where, known=methods)
        return _InMethod(self._host, plugin, where, error, chance)

    # -- afterwards ---------------------------------------------------------------------------------

    def assert_clean(self) -> None:
        """Whatever has gone wrong: what does not run any more holds nothing, and has left nothing behind.

        Raises:
            AssertionError: it has; the message names what.
        """
        wrong = self._scopes.left()
        leaks = leaks_of(self._host)
        if wrong or leaks:
            msg = "\n".join([*wrong, *map(str, leaks)])
            raise AssertionError(msg)

    def _around(
        self, make: Callable[[_Chance, Target], _FaultLayer], target: Target, plugin: str, when: Any
    ) -> Fault:
        check_target(target)
        if not any(sign in plugin for sign in "*?["):
            self._host.plugins[plugin]  # refuses a name that is not there
        return _AroundHandlers(self._host, make(self._chance(when), target), plugin)

    def _chance(self, when: dict[str, Any]) -> _Chance:
        self._made += 1
        return _Chance(random.Random(f"{self._seed}:{self._made}"), **_checked(when))  # noqa: S311 (it is to repeat)

    def __repr__(self) -> str:
        return f"<Faults: {self._made} made, seed {self._seed}>"


def _checked(when: dict[str, Any]) -> dict[str, Any]:
    for name in when:
        if name not in ("nth", "probability"):
            msg = f"a fault knows nth and probability, and not {name!r}.{suggestion(name, ('nth', 'probability'))}"
            raise EventError(msg)
    nth, probability = when.get("nth"), when.get("probability", 1.0)
    if nth is not None and (type(nth) is not int or nth < 1):
        msg = f"nth must be a whole number from 1, not {nth!r}"
        raise EventError(msg)
    if not 0 <= probability <= 1:
        msg = f"probability must be between 0 and 1, not {probability!r}"
        raise EventError(msg)
    return when


class _Chance:
    """Says when a fault strikes."""

    def __init__(self, dice: random.Random, nth: int | None = None, probability: float = 1.0) -> None:
        self._dice = dice
        self._nth = nth
        self._probability = probability
        self._asked = 0
        self._lock = threading.Lock()
        self.count = 0

    def strikes(self) -> bool:
        """Whether it does this time."""
        with self._lock:
            self._asked += 1
            is_due = self._nth in (None, self._asked) and self._dice.random() < self._probability
            self.count += is_due
            return is_due


class Fault:
    """A fault that is there inside of its ``with``, in plugins that start meanwhile, too."""

    def __init__(self, host: Host, chance: _Chance) -> None:
        self._host = host
        self._chance = chance
        self._disconnect: Disconnect | None = None

    @property
    def count(self) -> int:
        """How often it struck so far."""
        return self._chance.count

    def __enter__(self) -> Self:
        self._host.bus.perform(self._apply)
        self._disconnect = self._host.on_change(self._apply)
        return self

    def __exit__(self, *_: object) -> None:
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None
        self._release()
        self._host.bus.perform(self._take_back)

    def _apply(self) -> None:
        """Put it wherever it belongs and is not yet."""
        raise NotImplementedError

    def _take_back(self) -> None:
        """Take it away everywhere."""
        raise NotImplementedError

    def _release(self) -> None:
        """Let go of whoever waits for it to end."""


# -- around handlers ------------------------------------------------------------------------------


class _AroundHandlers(Fault):
    def __init__(self, host: Host, layer: _FaultLayer, plugin: str) -> None:
        super().__init__(host, layer.chance)
        self._layer = layer
        self._plugin = plugin

    def _apply(self) -> None:
        for each in self._host.subscriptions:
            if self._layer not in each.middleware and self._is_for(each):
                self._host.bus.surround(each, (self._layer, *each.middleware))

    def _take_back(self) -> None:
        for each in self._host.subscriptions:
            if self._layer in each.middleware:
                self._host.bus.surround(
                    each, [layer for layer in each.middleware if layer is not self._layer]
                )

    def _is_for(self, subscription: Subscription) -> bool:
        if not fnmatchcase(subscription.plugin, self._plugin):
            return False
        wanted, heard = self._layer.target, subscription.target
        if isinstance(wanted, str) or isinstance(heard, str):
            return True  # the layer looks at each event
        return issubclass(wanted, heard) or issubclass(heard, wanted)

    def _release(self) -> None:
        self._layer.release()

    def __repr__(self) -> str:
        return (
            f"<{self._layer.name} {text_of(self._layer.target)} in {self._plugin}: struck {self.count} times>"
        )


class _FaultLayer(Layer):
    """What a fault does around one handler; where it does not strike, nothing."""

    def __init__(self, chance: _Chance, target: Target) -> None:
        self.chance = chance
        self.target = target

    def __call__(self, event: Any, call_next: Next) -> Any:
        return self._strike(event, call_next) if self._strikes(event) else call_next(event)

    async def call_async(self, event: Any, call_next: Next) -> Any:
        return await (self._strike_async(event, call_next) if self._strikes(event) else call_next(event))

    def _strikes(self, event: Any) -> bool:
        return is_for(self.target, type(event)) and self.chance.strikes()

    def _strike(self, event: Any, call_next: Next) -> Any:
        raise NotImplementedError

    async def _strike_async(self, event: Any, call_next: Next) -> Any:
        return self._strike(event, call_next)

    def release(self) -> None:
        """Let go of whoever hangs."""


class _Drop(_FaultLayer):
    name = "fault: drop"

    def _strike(self, event: Any, call_next: Next) -> Any:
        call_next.note("fault: dropped")


class _Duplicate(_FaultLayer):
    name = "fault: duplicate"

    def _strike(self, event: Any, call_next: Next) -> Any:
        call_next.note("fault: delivered twice")
        call_next(event)
        return call_next(event)

    async def _strike_async(self, event: Any, call_next: Next) -> Any:
        call_next.note("fault: delivered twice")
        await call_next(event)
        return await call_next(event)


class _Fail(_FaultLayer):
    name = "fault: fail"

    def __init__(self, chance: _Chance, target: Target, error: Error) -> None:
        super().__init__(chance, target)
        self._error = error

    def _strike(self, event: Any, call_next: Next) -> Any:
        call_next.note("fault: raised")
        raise _made(self._error)


class _Delay(_FaultLayer):
    name = "fault: delay"

    def __init__(self, chance: _Chance, target: Target, host: Host, seconds: float) -> None:
        super().__init__(chance, target)
        self._host = host
        self._seconds = seconds

    def _strike(self, event: Any, call_next: Next) -> Any:
        call_next.note(f"fault: delayed by {self._seconds:g} s")
        self._host.effects.sleep(self._seconds)
        return call_next(event)

    async def _strike_async(self, event: Any, call_next: Next) -> Any:
        call_next.note(f"fault: delayed by {self._seconds:g} s")
        await self._host.effects.sleep_async(self._seconds)
        return await call_next(event)


class _Hang(_FaultLayer):
    name = "fault: hang"

    def __init__(self, chance: _Chance, target: Target) -> None:
        super().__init__(chance, target)
        self._is_over = threading.Event()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def _strike(self, event: Any, call_next: Next) -> Any:
        self._check(call_next)
        self._is_over.wait()

    async def _strike_async(self, event: Any, call_next: Next) -> Any:
        self._check(call_next)
        over = asyncio.Event()
        self._waiting[over] = asyncio.get_running_loop()
        try:
            await over.wait()
        finally:
            del self._waiting[over]

    def release(self) -> None:
        self._is_over.set()
        for over, loop in list(self._waiting.items()):
            loop.call_soon_threadsafe(over.set)

    def _check(self, call_next: Next) -> None:
        call_next.note("fault: hung")
        if not call_next.can_be_left:
            msg = (
                f"{call_next.handler} cannot hang: whoever publishes would wait for ever. Give the handler a timeout, "
                "and thread=True if it is not async."
            )
            raise EventError(msg)


# -- in methods -----------------------------------------------------------------------------------


class _Inside(Fault):
    """A fault in what one plugin does of its own."""

    def __init__(self, host: Host, plugin: str, where: str, error: Error, chance: _Chance) -> None:
        super().__init__(host, chance)
        self._plugin = plugin
        self._where = where
        self._error = error

    def _strike(self) -> None:
        if self._chance.strikes():
            error = _made(self._error)
            if self._host.recording is not None:
                told = f"fault: {type(error).__name__} raised in {self._where}"
                self._host.recording.mark(told, plugin=self._plugin)
            raise error

    def __repr__(self) -> str:
        return f"<fault: raise in {self._plugin}.{self._where}: struck {self.count} times>"


class _InMethod(_Inside):
    """In a method: the class has another one for the time, which those that are made meanwhile have too."""

    _changed: tuple[type[Plugin], Any] | None = None

    def _apply(self) -> None:
        handle = self._host.plugins.get(self._plugin)
        current = handle.plugin_class if handle is not None else None
        if current is None or (self._changed is not None and self._changed[0] is current):
            return
        self._take_back()
        own = vars(current).get(self._where)
        found = inspect.getattr_static(current, self._where, None)
        function = getattr(found, "__func__", found)
        if callable(function):
            made = self._before(function)
            setattr(current, self._where, classmethod(made) if isinstance(found, classmethod) else made)
            self._changed = (current, own)

    def _before(self, function: Callable[..., Any]) -> Any:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self._strike()
            return function(*arguments, **named)

        return call

    def _take_back(self) -> None:
        if self._changed is None:
            return
        changed, own = self._changed
        if own is None:
            delattr(changed, self._where)
        else:
            setattr(changed, self._where, own)
        self._changed = None


class _InCleanup(_Inside):
    """In the cleanup of a plugin: whenever it is active, there is one more, which runs first."""

    _armed: tuple[Scope, Disconnect] | None = None

    def _apply(self) -> None:
        handle = self._host.plugins.get(self._plugin)
        scope = handle.scope if handle is not None and handle.is_active else None
        if scope is not None and (self._armed is None or self._armed[0] is not scope):
            self._armed = (scope, scope.defer(self._strike))

    def _take_back(self) -> None:
        if self._armed is not None:
            self._armed[1]()
            self._armed = None


def _made(error: Error) -> BaseException:
    return error("raised by a fault") if isinstance(error, type) else error
