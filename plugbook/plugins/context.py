"""What a running plugin may take from its host: everything taken here is given back when it stops."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import reprlib
import sys
from collections.abc import Callable, Coroutine, MutableMapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Never, TypeVar

from plugbook.errors import LifecycleError
from plugbook.events.bus import Bus, Cause, current_cause
from plugbook.events.dispatch.asking import Asking
from plugbook.plugins.effects.clock import PluginClock, in_background
from plugbook.plugins.effects.effect import Effect
from plugbook.plugins.effects.performance import Asker
from plugbook.plugins.extending.extension import Extending
from plugbook.plugins.policy import Watch
from plugbook.plugins.scope import must_be_awaited
from plugbook.plugins.settings.frozen import frozen
from plugbook.trace.record import describe_error

if TYPE_CHECKING:
    from plugbook._types import Disconnect, Outcome
    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event
    from plugbook.events.subscription import Handler, Target
    from plugbook.plugins.effects.effect import EffectRules
    from plugbook.plugins.extending.contributions import Extensions
    from plugbook.plugins.scope import Scope
    from plugbook.plugins.services import Services

T = TypeVar("T")


class Context(Asking, Extending):
    """A plugin's hands: `self.ctx` inside the plugin, and the argument of its `start`.

    Attributes:
        plugin: the plugin's name.
        config: its validated configuration, on which nothing can be set; where it declares none, something false that
            has no options.
        log: a logger whose records also land in the recording.
        clock: the time; see `PluginClock`.
        effect: performs a call that touches the world, ``ctx.effect(fetch, url)``, so that a replay need not; see `Effect`.
        state: an empty namespace at each start, for what a plugin written as functions keeps between calls.
        watch: what becomes of its failures; the host's to change.
        is_waiting: whether its handlers get no events yet, as those of a generation that has to prove itself; the
            host's to change.
    """

    def __init__(
        self,
        plugin: str,
        config: Any,
        *,
        bus: Bus,
        scope: Scope,
        services: Services,
        effects: EffectRules,
        extensions: Extensions,
        watch: Watch = Watch(),  # noqa: B008 (it is immutable)
        is_waiting: bool = False,
    ) -> None:
        self.plugin = plugin
        self.config: Any = NoConfig(plugin) if config is None else frozen(config, plugin)
        self.log = PluginLog(plugin, bus)
        self.effect = Effect(Asker(plugin, bus, effects))
        self.clock = PluginClock(self.effect, effects)
        self.state = SimpleNamespace()
        self.watch = watch
        self.is_waiting = is_waiting
        self._bus = bus
        self._scope = scope
        self._services = services
        self._extensions = extensions

    # -- events -----------------------------------------------------------------------------------

    def publish(self, event: Event) -> Report:
        """Publish an event in the plugin's name; see `Bus.publish`."""
        return self._bus.publish(event, plugin=self.plugin)

    async def publish_async(self, event: Event) -> Report:
        """Publish an event in the plugin's name, awaiting its handlers; see `Bus.publish_async`."""
        return await self._bus.publish_async(event, plugin=self.plugin)

    def _extends(self) -> tuple[Extensions, Scope]:
        return self._extensions, self._scope

    def _asks(self) -> tuple[Bus, str]:
        return self._bus, self.plugin

    def subscribe(self, target: Target, handler: Handler, **options: Any) -> Disconnect:
        """Listen from now on until the plugin stops, as `on` does for methods; see `Bus.subscribe`."""
        watched: dict[str, Any] = {"policy": self.watch.policy, "on_failure": self.watch.on_call}
        if self.is_waiting:
            watched["is_waiting"] = True
        disconnect = self._bus.subscribe(target, handler, plugin=self.plugin, **(watched | options))
        self._scope.adopt("subscription", getattr(handler, "__qualname__", repr(target)), disconnect)
        return disconnect

    # -- what is given back -----------------------------------------------------------------------

    def defer(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Disconnect:
        """Call `function` at stop, whatever happened; see `Scope.defer`."""
        return self._scope.defer(function, *args, **kwargs)

    def enter(self, manager: AbstractContextManager[T]) -> T:
        """Enter a context manager now, and leave it at stop."""
        return self._scope.enter(manager)

    async def aenter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter an async context manager now, and leave it at stop."""
        return await self._scope.aenter(manager)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str | None = None) -> Future[Any]:
        """Run a coroutine in the background on the host's loop; it is cancelled at stop.

        What it raises is written to the log, and counts as a failure of the plugin.

        Args:
            coroutine: what to run.
            name: the task's name; by default the coroutine's.

        Raises:
            LifecycleError: it is no coroutine.
        """
        if problem := _task_problem(coroutine):
            raise LifecycleError(problem, plugin=self.plugin)
        title = f"{self.plugin}.{name or getattr(coroutine, '__name__', 'task')}"
        cause = self._bus.cause()

        def submit() -> Future[Any]:
            current_cause.set(cause._replace(report=None) if cause else None)
            return self._bus.loop.submit(self._watch(coroutine, title))

        return contextvars.copy_context().run(submit)

    def provide(self, kind: type[T], service: T) -> None:
        """Offer `service` to other plugins under its type, until the plugin stops.

        Raises:
            ServiceError: somebody provides that type already.
        """
        withdraw = self._services.provide(self.plugin, kind, service)
        self._scope.adopt("service", kind.__qualname__, withdraw)

    def get(self, kind: type[T]) -> T:
        """The service that some plugin provides under that type.

        Raises:
            ServiceError: nobody does.
        """
        return self._services.get(kind)

    async def _watch(self, coroutine: Coroutine[Any, Any, T], title: str) -> T | None:
        in_background.set(True)
        task = asyncio.current_task()
        if task is not None:
            task.set_name(title)
            try:
                self._scope.adopt_task(task)
            except BaseException:
                coroutine.close()
                raise
        try:
            return await coroutine
        except Exception as error:
            self.log.failure(error, "background task %s failed", title)
            if self.watch.on_task is not None:
                self.watch.on_task(title, error)
            return None

    def __repr__(self) -> str:
        return f"<Context of {self.plugin}: {self._scope!r}>"


def _task_problem(given: object) -> str:
    """Why something cannot run in the background, or ``""``."""
    if must_be_awaited(given):
        return ""
    name = getattr(given, "__name__", None)
    owner = "self." if inspect.ismethod(given) else ""
    if not (callable(given) and name):
        return f"spawn takes a coroutine, which {reprlib.repr(given)} is not. Write ctx.spawn(work())."
    return f"spawn takes a coroutine, and {name} is a function. Write ctx.spawn({owner}{name}())."


class NoConfig:
    """In place of the configuration of a plugin that declares none: false, and without options."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Never:
        msg = (
            f"{self._plugin} declares no options, so ctx.config has no {name!r}. "
            "Write class Config(BaseModel) with it inside the plugin."
        )
        raise AttributeError(msg)

    def __repr__(self) -> str:
        return f"<no options: {self._plugin} declares no Config>"


class PluginLog(logging.LoggerAdapter[logging.Logger]):
    """A plugin's logger, ``plugbook.plugin.<name>``, whose records also become `log` records.

    What the recording keeps does not depend on the levels and handlers of `logging`.
    """

    def __init__(self, plugin: str, bus: Bus) -> None:
        super().__init__(logging.getLogger(f"plugbook.plugin.{plugin}"), {})
        self._plugin = plugin
        self._bus = bus

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log with an integer level, as `logging.Logger.log` does."""
        self._record(level, msg, args, kwargs.get("exc_info"))
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, msg, *args, **kwargs)

    def failure(self, error: BaseException, msg: str, *args: object) -> None:
        """Log an error that nobody can catch; the recording counts it among its errors."""
        self._record(logging.ERROR, msg, args, error, "error")
        super().log(logging.ERROR, msg, *args, exc_info=error, stacklevel=2)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Hand everything on as it is; the logger's name says which plugin it was."""
        return msg, kwargs

    def _record(
        self, level: int, msg: object, args: tuple[object, ...], exc_info: Any, outcome: Outcome = "ok"
    ) -> None:
        recorder = self._bus.recorder
        if recorder is None:
            return
        cause = self._bus.cause() or Cause(0, 0)
        error = _error_of(exc_info)
        recorder.put(
            "log",
            logging.getLevelName(level).lower(),
            plugin=self._plugin,
            parent=cause.seq or None,
            root=cause.root or None,
            outcome=outcome,
            payload={"message": _formatted(msg, args), "logger": self.logger.name},
            error=describe_error(error) if error else None,
        )


def _error_of(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1]  # type: ignore[no-any-return]
    if exc_info:
        return sys.exc_info()[1]
    return None


def _formatted(msg: object, args: tuple[object, ...]) -> str:
    values: Any = args[0] if len(args) == 1 and isinstance(args[0], dict) else args
    try:
        return str(msg) % values if args else str(msg)
    except (TypeError, ValueError, KeyError):
        return f"{msg} {args!r}"
