"""Makes plugin classes out of functions, for a notebook cell and for code that puts plugins together.

Three ways to write a plugin, and one thing underneath: whatever is written, a host gets a `Plugin` class::

    class Billing(Plugin, version="1.2"):          billing = plugin("billing", version="1.2")
        @on(OrderPlaced, priority=5)
        def bill(self, event): ...                 @billing.on(OrderPlaced, priority=5)
                                                   def bill(event, ctx): ...

    billing = plugin("billing").version("1.2").on(OrderPlaced, bill, priority=5).build()
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Never, Self, TypeVar, overload

from plugbook.errors import ManifestError, suggestion
from plugbook.plugins.authoring.bundle import Bundle
from plugbook.plugins.authoring.description import describe
from plugbook.plugins.authoring.functions import (
    Function,
    Given,
    Handler,
    Targets,
    check_function,
    config_method,
    is_model,
    model_of,
    name_for,
    start_method,
)
from plugbook.plugins.extending.extension import ExtensionPoint, contributes
from plugbook.plugins.manifest import Manifest, make_manifest
from plugbook.plugins.plugin import (
    PLACE,
    Buildable,
    Plugin,
    Target,
    as_class,
    check_keywords,
    checked_layers,
    on,
)
from plugbook.trace.telling import show_place

if TYPE_CHECKING:
    from pydantic import BaseModel

    from plugbook.plugins.policy import Policy

_TAKEN = frozenset((*dir(Plugin), "ctx", "manifest"))
"""What a handler cannot be called, because it would take the place of something that every plugin has."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def plugin(name: str, /, **keywords: Any) -> PluginBuilder:
    """Begin a plugin that is written as functions; a host takes what this returns as it takes a class.

    Args:
        name: of the plugin.
        **keywords: what a class statement would say: `version`, `requires`, `middleware` and so on, see
            `Plugin`; and `config`, a pydantic model or defaults by option.

    Example:
        >>> from plugbook import Event, Host, plugin
        >>> class Ping(Event):
        ...     n: int
        >>> echo = plugin("echo", version="1.2").config(plus=1)
        >>> @echo.on(Ping)
        ... def answer(ping, ctx):
        ...     return ping.n + ctx.config.plus
        >>> with Host([echo]) as host:
        ...     _ = host.start()
        ...     host.publish(Ping(n=7)).calls[0].result
        8

    Raises:
        ManifestError: the name or a keyword cannot be.
    """
    caller = sys._getframe(1)  # noqa: SLF001 (inspect.stack() would read every source file on the way)
    place = show_place(caller.f_code.co_filename, caller.f_lineno, brief=True)
    return PluginBuilder(name, keywords, place=place, module=caller.f_globals.get("__name__", "__main__"))


class PluginBuilder(Buildable):
    """A plugin while it is put together.

    Every method checks what it is given at once, and a refused one leaves the builder as it was. All but the
    decorators return the builder itself, so that they can be chained.

    The functions are called with the event, or with the plugin's context, too, where they take two
    arguments: ``bill(event)`` or ``bill(event, ctx)``. What they keep between calls belongs into
    ``ctx.state``, which is fresh at each start. A function that is defined again takes the place of its former
    self, so that running a cell again does not double it; another one of the same name gets a number.
    """

    def __init__(self, name: Any, keywords: dict[str, Any], *, place: str, module: str) -> None:
        self._place = f"plugin {name!r} ({place})" if isinstance(name, str) else f"plugin(...) ({place})"
        self._module = module
        self._fields: dict[str, Any] = {}
        self._layers: tuple[Any, ...] | None = None
        self._config: type[BaseModel] | None = None
        self._handlers: dict[str, Handler] = {}
        self._starts: dict[str, Function] = {}
        self._stops: dict[str, Function] = {}
        self._config_changes: dict[str, Function] = {}
        self._points: tuple[ExtensionPoint[Any], ...] = ()
        self._given: dict[str, Given] = {}
        self._members: tuple[Any, ...] = ()
        self._built: type[Plugin] | None = None
        self._taken: type[Plugin] | None = None
        if callable(name) or "name" in keywords:
            msg = f"{self._place} takes one name. Write: billing = plugin('billing'), then @billing.on(OrderPlaced)."
            raise ManifestError(msg, field="name")
        config, members = keywords.pop("config", None), keywords.pop("members", ())
        self._state(name=name, **keywords)
        if config is not None:
            _ = self.config(**_by_name(config)) if isinstance(config, Mapping) else self.config(config)
        self.members(*members)

    # -- the manifest -----------------------------------------------------------------------------

    @property
    def manifest(self) -> Manifest:
        """What the plugin says about itself so far."""
        return self.build().manifest

    def version(self, version: str) -> Self:
        """Say which version it is (PEP 440)."""
        return self._state(version=version)

    def summary(self, text: str) -> Self:
        """Say in one line what it is for."""
        return self._state(summary=text)

    def policy(self, policy: Policy | str | Mapping[str, Any]) -> Self:
        """Say what the host does where one of its handlers or background tasks fails."""
        return self._state(policy=policy)

    def requires_host(self, versions: str) -> Self:
        """Say which API versions of a host it runs on: ``">=2,<3"``."""
        return self._state(requires_host=versions)

    def requires(self, *relations: str) -> Self:
        """Name further plugins that must be active before it: ``"ledger>=1"``."""
        return self._relate("requires", relations)

    def optional(self, *relations: str) -> Self:
        """Name further plugins that start before it where they are there."""
        return self._relate("optional", relations)

    def conflicts(self, *relations: str) -> Self:
        """Name further plugins that cannot be there together with it."""
        return self._relate("conflicts", relations)

    def provides(self, *capabilities: str) -> Self:
        """Name further capabilities that it offers."""
        return self._relate("provides", capabilities)

    def needs(self, *capabilities: str) -> Self:
        """Name further capabilities that some plugin must provide."""
        return self._relate("needs", capabilities)

    def restart_with(self, *plugins: str) -> Self:
        """Name further plugins with whose reload it is restarted."""
        return self._relate("restart_with", plugins)

    def middleware(self, *layers: Callable[..., Any]) -> Self:
        """Put further layers around its handlers, inside those that are there."""
        return self._state(middleware=[*(self._layers or ()), *layers])

    def members(self, *plugins: Any) -> Self:
        """Make it a bundle of these plugins and those that it has already; see `Bundle`.

        Raises:
            ManifestError: one is no plugin, or two have the same name.
        """
        former, self._members = self._members, (*self._members, *map(as_class, plugins))
        try:
            self._built = self._build()
        except ManifestError:
            self._members = former
            raise
        return self

    def config(self, model: type[BaseModel] | None = None, /, **defaults: Any) -> Self:
        """Declare its options, either as a pydantic model or by their defaults.

        Args:
            model: a pydantic model.
            **defaults: by option; the type of an option is that of its default, and a type in place of a
                default makes the option required: ``config(currency="EUR", key=str)``.

        Raises:
            ManifestError: it is no model, both ways are used, or an option cannot have that name.
        """
        if model is None:
            made = model_of(defaults, self._place, self._fields["name"], self._module)
        elif is_model(model) and not defaults:
            made = model
        else:
            msg = (
                f"{self._place}: config takes either one pydantic model, or options by name, as in "
                "config(currency='EUR')."
            )
            raise ManifestError(msg, plugin=self._fields["name"], field="Config")
        self._config, self._built = made, None
        return self

    # -- functions --------------------------------------------------------------------------------

    @overload
    def on(self, target: Target, /, **options: Any) -> Callable[[F], F]: ...
    @overload
    def on(self, target: Target, function: Callable[..., Any], /, **options: Any) -> Self: ...

    def on(self, target: Target, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Have a function called with each event of that type, or whose topic fits the pattern.

        Args:
            target: as for `plugbook.on`.
            function: of the event, or of the event and the plugin's context; may be async. Without it, this
                is a decorator.
            **options: as for `plugbook.on`.

        Raises:
            ManifestError: target, options or function cannot be; says where the function is.
        """
        if function is not None:
            self._listen(function, lambda former: (*former, (target, options)))
            return self

        def decorate(function: F) -> F:
            # Decorators apply from the bottom up; what they listen to is kept as it is read.
            self._listen(function, lambda former: ((target, options), *former))
            return function

        if isinstance(target, types.FunctionType):
            on(target)  # refuses it, with what to write
        return decorate

    def on_start(self, function: F) -> F:
        """Have a function called at start, with the plugin's context or with nothing; may be async.

        Several run in the order of their definitions. This is a decorator; in a chain it is `starting`.

        Raises:
            ManifestError: it cannot be called like that.
        """
        self.starting(function)
        return function

    def on_stop(self, function: F) -> F:
        """Have a function called at stop, with the plugin's context or with nothing; may be async.

        Several run in the reverse order of their definitions, all of them, whatever the others do. They do
        not run where a function of `on_start` failed: what must be given back then belongs into
        ``ctx.defer``. This is a decorator; in a chain it is `stopping`.

        Raises:
            ManifestError: it cannot be called like that.
        """
        self.stopping(function)
        return function

    def on_config_change(self, function: F) -> F:
        """Have a function called with the old and the new configuration, and with the plugin's context; may be async.

        What it raises refuses the new configuration; see `Plugin.on_config_change`. This is a decorator; in a chain
        it is `configuring`.

        Raises:
            ManifestError: it cannot be called like that.
        """
        self.configuring(function)
        return function

    def starting(self, function: Callable[..., Any]) -> Self:
        """As `on_start`, in a chain."""
        return self._call_at("start", self._starts, function)

    def stopping(self, function: Callable[..., Any]) -> Self:
        """As `on_stop`, in a chain."""
        return self._call_at("stop", self._stops, function)

    def configuring(self, function: Callable[..., Any]) -> Self:
        """As `on_config_change`, in a chain."""
        return self._call_at("config change", self._config_changes, function)

    # -- extension points -------------------------------------------------------------------------

    def declares(self, *points: ExtensionPoint[Any]) -> Self:
        """Declare extension points while the plugin runs.

        Raises:
            ManifestError: one is none.
        """
        for point in points:
            if not isinstance(point, ExtensionPoint):
                msg = f"{self._place}: {point!r} is no extension point. Write declares(themes)."
                raise ManifestError(msg, plugin=self._fields["name"])
        self._points += points
        self._built = None
        return self

    @overload
    def contributes(
        self, point: ExtensionPoint[Any] | str, /, *, priority: float = ...
    ) -> Callable[[T], T]: ...
    @overload
    def contributes(
        self, point: ExtensionPoint[Any] | str, value: object, /, *, priority: float = ...
    ) -> Self: ...

    def contributes(self, point: ExtensionPoint[Any] | str, /, *value: Any, priority: float = 0) -> Any:
        """Contribute to an extension point while the plugin runs.

        Args:
            point: where, or its name.
            *value: what; without it, this is a decorator of a function, or of a class of which each start makes
                an object.
            priority: higher comes earlier.

        Raises:
            ManifestError: `point` is no extension point.
        """
        contributes(point)  # refuses what is none
        if value:
            self._give(point, lambda: value[0], priority, value[0])
            return self

        def decorate(decorated: T) -> T:
            self._give(
                point, decorated if isinstance(decorated, type) else lambda: decorated, priority, decorated
            )
            return decorated

        return decorate

    # -- the plugin -------------------------------------------------------------------------------

    def build(self) -> type[Plugin]:
        """The plugin class. The same one again, as long as nothing was added."""
        if self._built is None:
            self._built = self._build()
        return self._built

    def taken(self) -> None:
        """A host has the plugin as it is now, and does not see what is added later."""
        self._taken = self._built

    @property
    def hint(self) -> str:
        """What to do where it was changed after a host took it, or ``""``."""
        if self._taken in (None, self.build()):
            return ""
        return f"Changed since a host took it; for the change: host.add({self.manifest.name}, replace=True)"

    def _build(self) -> type[Plugin]:
        names: dict[str, Any] = {name: handler.method(name) for name, handler in self._handlers.items()}
        if self._starts or self._stops or self._points or self._given:
            names["start"] = start_method(
                self._starts.values(), self._stops.values(), self._points, self._given.values()
            )
        if self._config_changes:
            names["on_config_change"] = config_method(self._config_changes.values())
        if self._config is not None:
            names["Config"] = self._config
        title = _class_name(self._fields["name"])
        names |= {PLACE: self._place, "__module__": self._module, "__qualname__": title}
        keywords = self._fields if self._layers is None else self._fields | {"middleware": self._layers}
        if self._members:
            keywords = keywords | {"members": self._members}
        base = Bundle if self._members else Plugin
        return types.new_class(title, (base,), dict(keywords), lambda namespace: namespace.update(names))

    # -- inside -----------------------------------------------------------------------------------

    def _state(self, **keywords: Any) -> Self:
        """Take over what would be class keywords, if the manifest is sound with them."""
        check_keywords(keywords, self._place)
        layers = checked_layers(keywords.pop("middleware", None), self._place, self._fields.get("name"))
        fields = self._fields | keywords
        make_manifest(fields, where=self._place)
        self._fields = fields
        self._layers = self._layers if layers is None else layers
        self._built = None
        return self

    def _relate(self, field: str, relations: tuple[str, ...]) -> Self:
        stated = self._fields.get(field, ())
        return self._state(**{field: [*((stated,) if isinstance(stated, str) else stated), *relations]})

    def _listen(self, function: Callable[..., Any], among: Callable[[Targets], Targets]) -> None:
        """Add a handler; `among` puts what it listens to among what the same function listens to already."""
        checked = check_function(function, "handler", self._place)
        name = name_for(function, self._handlers, among(())[0][0])
        former = self._handlers.get(name)
        is_known = former is not None and former.function.call == function
        handler = Handler(checked, among(former.targets if former is not None and is_known else ()))
        handler.method(name)  # refuses what cannot be
        if name in _TAKEN:
            msg = f"{self._place}: a handler cannot be called {name!r}, as every plugin has that. Rename the function."
            raise ManifestError(msg, plugin=self._fields["name"])
        self._handlers[name] = handler
        self._built = None

    def _give(
        self, point: ExtensionPoint[Any] | str, make: Callable[[], Any], priority: float, value: Any
    ) -> None:
        """Take a contribution; what a cell defines again takes the place of its former self."""
        name = str(getattr(value, "__name__", None) or f"{type(value).__name__}_{len(self._given)}")
        target = point if isinstance(point, str) else point.name
        self._given[f"{target}.{name}"] = Given(point, make, priority, name)
        self._built = None

    def _call_at(self, when: str, functions: dict[str, Function], function: Callable[..., Any]) -> Self:
        functions[name_for(function, functions, when)] = check_function(function, when, self._place)
        self._built = None
        return self

    if not TYPE_CHECKING:  # a type checker knows the names, and finds a misspelt one itself

        def __getattr__(self, name: str) -> Never:
            words = [word for word in dir(PluginBuilder) if not word.startswith("_")]
            msg = f"a plugin that is put together has no {name!r}.{suggestion(name, words, listing=False)}"
            raise AttributeError(msg, name=name, obj=self)

    def __repr__(self) -> str:
        return "\n".join(filter(None, (repr(describe(self.build())), self.hint)))


def _by_name(options: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(option): default for option, default in options.items()}


def _class_name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_.]", name))
