"""What a plugin is: the base class, the `on` decorator, and the checks made when such a class is defined.

A mistake in a class statement is refused there and then, with file and line, and not when the first
event arrives.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from plugbook.errors import ManifestError, TopicError, refuses_misspelt, suggestion
from plugbook.events.event import Event
from plugbook.events.middleware import layer_problem
from plugbook.events.subscription import Source, source_problem
from plugbook.events.topics import compile_pattern
from plugbook.plugins.authoring.inheritance import (
    RELATIONS,
    inherited_config,
    inherited_fields,
    inherited_layers,
)
from plugbook.plugins.authoring.methods import check_methods, warn_of_uncalled
from plugbook.plugins.manifest import Manifest, kebab, make_manifest
from plugbook.plugins.reloading.keeping import HANDLER_MARK, Keeping
from plugbook.trace.telling import show_place

if TYPE_CHECKING:
    from pydantic import BaseModel

    from plugbook.events.middleware import Middleware
    from plugbook.plugins.authoring.bundle import Within
    from plugbook.plugins.context import Context

Target = type[Event] | str
Predicate = Callable[[Any], object]
F = TypeVar("F", bound=Callable[..., Any])

_INHERITED = ("version", *RELATIONS, "requires_host", "policy")
_KEYWORDS = ("name", *_INHERITED, "summary")
_BESIDES = ("middleware",)
"""Class keywords that are no part of the manifest."""
PLACE = "__plugbook_place__"
"""Under this name a class that no class statement made says where it was written."""
WITHIN = "__plugbook_within__"
"""Under this name the class of a bundle's member has what it is given by the bundle."""


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """One `@on` of a plugin class.

    Attributes:
        method: the method's name.
        target: an event type (subclasses included) or a topic pattern.
        where: a predicate on the event, or None.
        priority: higher runs earlier.
        timeout: seconds, or None.
        thread: run a sync handler on a thread of its own.
        source: names or patterns of the plugins whose events it wants, or None.
    """

    method: str
    target: Target
    where: Predicate | None = None
    priority: int = 0
    timeout: float | None = None
    thread: bool = False
    source: Source | None = None


@refuses_misspelt
def on(
    target: Target,
    *,
    where: Predicate | None = None,
    priority: int = 0,
    timeout: float | None = None,
    thread: bool = False,
    source: Source | None = None,
) -> Callable[[F], F]:
    """Have a plugin's method called with each event of that type, or whose topic fits the pattern.

    Args:
        target: an `Event` class, its subclasses included, or a topic pattern such as ``"order.*"``.
        where: called with the event first; the handler runs where it says yes.
        priority: higher runs earlier; the default is 0.
        timeout: seconds the handler may take.
        thread: run a sync handler on a thread of its own, so that `timeout` can end the wait for it.
        source: only events that these plugins publish: a name or pattern such as ``"shop-*"``, or several;
            ``""`` stands for who publishes without being a plugin.

    Raises:
        ManifestError: the target is not one, or an option cannot be; says where the method is.
        OptionError: there is no such option.
    """

    def mark(method: F) -> F:
        place = place_of(method)
        if not isinstance(method, FunctionType):
            msg = (
                f"@on at {place} decorates a {type(method).__name__}. Put it directly on a method, "
                "closest to its def."
            )
            raise ManifestError(msg)
        spec = HandlerSpec(method.__name__, target, where, priority, timeout, thread, source)
        _check_target(spec, place)
        _check_options(spec, place, is_async=inspect.iscoroutinefunction(method))
        # Decorators apply from the bottom up; the specs are kept as they are read.
        setattr(method, HANDLER_MARK, (spec, *getattr(method, HANDLER_MARK, ())))
        return method

    if isinstance(target, FunctionType):
        msg = (
            f"@on at {place_of(target)} does not say what to listen to. "
            f"Write @on(OrderPlaced) or @on('order.*') above {target.__name__}."
        )
        raise ManifestError(msg)
    return mark


class Plugin(Keeping):
    """What extends an application: subclass it, and give the manifest as class keywords.

    Class keywords: `name` (default: the class name in kebab-case), `version` (default 0.0.0), and `summary`
    (default: the docstring's first line). `requires`, `optional` and `conflicts` name other plugins, as text
    with a range of versions: ``["ledger>=1,<3"]``. `provides` and `needs` name capabilities, which any
    plugin may offer: ``["invoicing"]``. `requires_host` is a range of API versions of the host, such as
    ``">=2,<3"``. `restart_with` names the plugins with whose reload this one is restarted. `policy` says what the host does about a failing handler or background task: ``"continue"`` with
    the others (the default), ``"raise"`` it where the event was published, ``"restart"`` the plugin, or
    ``"quarantine"`` it; see `Restart`. `middleware` wraps every handler of the plugin, the first layer outermost:
    ``[retry(3)]``. What a subclass of a plugin inherits is said in `plugbook.plugins.authoring.inheritance`.

    A capability is a word that decides who starts before whom. The objects that plugins give each other
    are services, by type: ``ctx.provide(Books, books)`` in one `start`, ``ctx.get(Books)`` in another.

    A nested pydantic model called ``Config`` describes its options. They change while the plugin runs, which it
    is told by `on_config_change`; see `Host.configure`. An instance is made without
    arguments for each generation of the code; what a plugin takes, it takes in `start`, through `ctx`. What it may
    define to keep its state through a reload is in `Keeping`.

    Example:
        >>> class Greeter(Plugin, version="1.0", requires=["names>=2"]):
        ...     def start(self, ctx):
        ...         ctx.defer(print, "bye")
        >>> print(Greeter.manifest, Greeter.manifest.requires)
        greeter 1.0 ('names>=2',)

    Attributes:
        manifest: what the class says about itself.
        ctx: what it may take from the host; there from `start` on.

    Raises:
        ManifestError: at class creation; says what is wrong, why, and what to write, with file and line.

    Warns:
        PlugbookWarning: at class creation, of a method such as ``stop``, which nobody calls.
    """

    manifest: ClassVar[Manifest]
    Config: ClassVar[type[BaseModel] | None] = None
    ctx: Context
    _handlers: ClassVar[tuple[HandlerSpec, ...]] = ()
    _layers: ClassVar[tuple[Middleware, ...]] = ()
    _stated: ClassVar[frozenset[str]] = frozenset()
    _declared: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Check the class and make its manifest."""
        super().__init_subclass__()
        place = where_defined(cls)
        check_keywords(keywords, place)
        layers = keywords.pop("middleware", None)
        cls.manifest = _manifest_of(cls, keywords, place)
        within: Within | None = vars(cls).get(WITHIN)
        if within is not None:
            cls.manifest = within.manifest_of(cls.manifest, place)
        # A base keeps what it says itself apart from what a bundle adds to its manifest later.
        cls._stated = frozenset(keywords)
        cls._declared = {field: getattr(cls.manifest, field) for field in cls.manifest.model_fields_set}
        layers = inherited_layers(cls, checked_layers(layers, place, cls.manifest.name))
        cls._layers = (*within.layers, *layers) if within is not None else layers
        cls.Config = inherited_config(cls, place)
        check_methods(cls, place)
        cls._handlers = _collect_handlers(cls)
        warn_of_uncalled(cls, place)

    def start(self, ctx: Context) -> Awaitable[None] | None:
        """Take what the plugin needs, through `ctx`; may be async. The default takes nothing."""

    def on_config_change(self, old: Any, new: Any) -> Awaitable[None] | None:
        """Go on with another configuration, which is in ``ctx.config`` already; may be async. The default does nothing.

        What it raises refuses the new configuration: the old one is back, so leave the plugin as it was.

        Args:
            old: the configuration until now, an instance of ``Config``.
            new: the one from now on. Options marked `NeedsRestart` never differ, for they restart the plugin instead.
        """

    @classmethod
    def handlers(cls) -> tuple[HandlerSpec, ...]:
        """Every `@on`, inherited ones first, in the order of their definitions.

        A method that overrides a handler is called in its place; with an `@on` of its own it also
        replaces what the overridden one listened to, and ``name = None`` takes the handler away.
        """
        return cls._handlers

    @classmethod
    def layers(cls) -> tuple[Middleware, ...]:
        """The middleware around each of its handlers, the outermost first."""
        return cls._layers

    def __repr__(self) -> str:
        from plugbook.plugins.authoring.description import describe

        return repr(describe(type(self)))


class Buildable:
    """What a plugin class can be made of, so that it is taken wherever a class is."""

    def build(self) -> type[Plugin]:
        """The plugin class."""
        raise NotImplementedError

    def taken(self) -> None:
        """A host has that class now."""

    @property
    def hint(self) -> str:
        """What to do where it was changed after a host took it, or ``""``."""
        return ""


def as_class(given: Any) -> Any:
    """The class of a plugin that was written as functions; anything else as it is."""
    return given.build() if isinstance(given, Buildable) else given


# -- the manifest ---------------------------------------------------------------------------------


def check_keywords(keywords: Iterable[str], place: str) -> None:
    """Refuse what is no class keyword of a plugin.

    Raises:
        ManifestError: suggests the one that was meant.
    """
    known = (*_KEYWORDS, *_BESIDES)
    for keyword in keywords:
        if keyword == "members":
            msg = f"{place}: a plugin has no members, but a bundle does. Subclass plugbook.Bundle instead of Plugin."
            raise ManifestError(msg, field=keyword)
        if keyword not in known:
            msg = f"{place}: a plugin has no class keyword {keyword!r}.{suggestion(keyword, known)}"
            raise ManifestError(msg, field=keyword)


def _manifest_of(cls: type[Plugin], keywords: dict[str, Any], place: str) -> Manifest:
    data = {"name": kebab(cls.__name__), "entry_point": f"{cls.__module__}:{cls.__qualname__}"}
    if docstring := (vars(cls).get("__doc__") or "").strip():
        data["summary"] = docstring.splitlines()[0]
    own = make_manifest(data | keywords, where=place)
    inherited = inherited_fields(cls, own, _INHERITED)
    if not inherited:
        return own
    stated = {field: getattr(own, field) for field in own.model_fields_set}
    return make_manifest(stated | inherited, where=place)


def checked_layers(layers: Any, place: str, plugin: str | None) -> tuple[Middleware, ...] | None:
    """The middleware that a plugin states, in order, or None where it states none.

    Raises:
        ManifestError: something given is no layer.
    """
    if layers is None:
        return None
    several = layers if isinstance(layers, list | tuple) else (layers,)
    for layer in several:
        if problem := layer_problem(layer):
            msg = f"{place}: {problem}."
            raise ManifestError(msg, plugin=plugin, field="middleware")
    return tuple(several)


# -- handlers -------------------------------------------------------------------------------------


def _collect_handlers(cls: type[Plugin]) -> tuple[HandlerSpec, ...]:
    found: dict[str, tuple[HandlerSpec, ...]] = {}
    for base in reversed(cls.__mro__):
        for name, attribute in vars(base).items():
            function = attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute
            marks: tuple[HandlerSpec, ...] = getattr(function, "__dict__", {}).get(HANDLER_MARK, ())
            if marks:
                found[name] = marks
            elif name in found and attribute is None:
                del found[name]
    for name in found:
        _check_method(cls, name, inspect.getattr_static(cls, name))
    # The name in the class counts: a method may stand under a second one.
    return tuple(replace(spec, method=name) for name, marks in found.items() for spec in marks)


def _check_method(cls: type[Plugin], name: str, method: Any) -> None:
    place = place_of(method)
    subject = f"{cls.__name__}.{name} ({place})"
    if not isinstance(method, FunctionType):
        msg = (
            f"{subject} overrides a handler, but is a {type(method).__name__}. Make it a method, "
            "or set it to None to take the handler away."
        )
        raise ManifestError(
            msg,
            plugin=cls.manifest.name,
        )
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        msg = f"{subject} yields, so calling it would run nothing. Return a value, or publish events instead."
        raise ManifestError(
            msg,
            plugin=cls.manifest.name,
        )
    try:
        inspect.signature(method).bind(None, None)
    except TypeError:
        msg = (
            f"{subject} takes {inspect.signature(method)}, but a handler is called with one event. "
            f"Write def {name}(self, event)."
        )
        raise ManifestError(
            msg,
            plugin=cls.manifest.name,
        ) from None


def _check_target(spec: HandlerSpec, place: str) -> None:
    if isinstance(spec.target, str):
        try:
            compile_pattern(spec.target)
        except TopicError as error:
            msg = f"@on for {spec.method} ({place}): {error}"
            raise ManifestError(msg) from error
    elif not _is_event_class(spec.target):
        kind = getattr(spec.target, "__name__", None) or repr(spec.target)
        msg = (
            f"@on for {spec.method} ({place}) cannot listen to {kind}, which is no Event class. "
            "Give an Event class or a topic pattern such as 'order.*'."
        )
        raise ManifestError(msg)


def _is_event_class(target: object) -> bool:
    return isinstance(target, type) and issubclass(target, Event)


def _check_options(spec: HandlerSpec, place: str, *, is_async: bool) -> None:
    problem = ""
    where: object = spec.where
    if where is not None and not callable(where):
        problem = f"where={where!r} cannot be called; give a function of the event"
    elif type(spec.priority) is not int:
        problem = f"priority={spec.priority!r} is not a whole number"
    elif spec.timeout is not None and not _is_positive(spec.timeout):
        problem = f"timeout={spec.timeout!r} is not a number of seconds above 0"
    elif spec.thread and is_async:
        problem = "thread=True is for sync handlers; an async one runs on the host's loop, so leave it out"
    else:
        problem = source_problem(spec.source)
    if problem:
        msg = f"@on for {spec.method} ({place}): {problem}."
        raise ManifestError(msg)


def _is_positive(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and number > 0


# -- where something stands, for messages ---------------------------------------------------------


def place_of(function: Any, otherwise: str = "an unknown place") -> str:
    """Where a function was written, for messages."""
    given = getattr(function, PLACE, None)
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return given or (show_place(code.co_filename, code.co_firstlineno, brief=True) if code else otherwise)


def where_defined(cls: type[Plugin]) -> str:
    """A class and the place of its class statement, for messages while it is being made."""
    given: str | None = vars(cls).get(PLACE)
    if given is not None:
        return given
    # inspect.stack() would read every source file on the way, for a message that is rarely shown.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None and frame.f_code.co_name == "__init_subclass__":
        frame = frame.f_back
    place = show_place(frame.f_code.co_filename, frame.f_lineno, brief=True) if frame else "an unknown place"
    return f"class {cls.__name__} ({place})"
