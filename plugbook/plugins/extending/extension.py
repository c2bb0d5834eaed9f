"""Extension points: one plugin declares what others may contribute, and contributions come and go with their plugin.

Contributions are listed as handlers are called: by priority (high first), then by the dependency order of their
plugins (a provider before its dependents), then by registration.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from plugbook.errors import ManifestError
from plugbook.plugins.extending.contract import check_contract, title_of
from plugbook.trace.telling import show_place

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.plugins.context import PluginLog
    from plugbook.plugins.extending.contributions import Extensions
    from plugbook.plugins.scope import Scope

T = TypeVar("T")
F = TypeVar("F")

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*")
_MARK: Final = "__plugbook_contributes__"


class ExtensionPoint(Generic[T]):
    """A place where plugins add to another one, and what is expected of what they add.

    As an attribute of a plugin class it is declared while that plugin runs; `Extending.declare` does so in `start`.

    Args:
        name: words joined by dots, such as ``shop.themes``.
        contract: a Protocol, an abstract or any other class, a pydantic model, a function with the wanted
            signature, or ``Callable[[int], str]``.

    Example:
        >>> from collections.abc import Callable
        >>> from plugbook import ExtensionPoint, Host, Plugin, contributes
        >>> greetings: ExtensionPoint[Callable[[str], str]] = ExtensionPoint(
        ...     "greetings", Callable[[str], str]
        ... )
        >>> class Greeter(Plugin):
        ...     greetings = greetings
        >>> class French(Plugin):
        ...     @contributes(greetings)
        ...     def salut(self, name):
        ...         return f"Salut, {name}!"
        >>> with Host([Greeter, French]) as host:
        ...     _ = host.start()
        ...     [greet("Ada") for greet in host.plugins["greeter"].context.contributions(greetings)]
        ['Salut, Ada!']

    Raises:
        ManifestError: the name or the contract cannot be.
    """

    def __init__(self, name: str, contract: type[T] | Callable[..., Any]) -> None:
        caller = sys._getframe(1)  # noqa: SLF001 (inspect.stack() would read every source file on the way)
        place = (
            f"extension point {name!r} ({show_place(caller.f_code.co_filename, caller.f_lineno, brief=True)})"
        )
        if not _NAME.fullmatch(str(name)):
            msg = f"{place}: that is no name. Use lower-case words joined by dots, such as 'shop.themes'."
            raise ManifestError(msg)
        check_contract(contract, place)
        self.name = name
        self.contract = contract

    def __repr__(self) -> str:
        return f"<ExtensionPoint {self.name}: {title_of(self.contract)}>"


class Extending:
    """What the context of a plugin offers for extension points; all of it is taken back when the plugin stops."""

    plugin: str
    log: PluginLog

    def _extends(self) -> tuple[Extensions, Scope]:
        """The extension points of the host, and the scope of the plugin."""
        raise NotImplementedError

    def declare(self, point: ExtensionPoint[Any]) -> None:
        """Open an extension point until the plugin stops.

        Raises:
            ContributionError: another plugin declares it.
        """
        extensions, scope = self._extends()
        scope.adopt("extension point", point.name, extensions.declare(self.plugin, point))

    def contribute(
        self, point: ExtensionPoint[T] | str, value: T, *, priority: float = 0, name: str = ""
    ) -> Disconnect:
        """Add to an extension point until the plugin stops, or until the returned function is called.

        Args:
            point: where, or its name; it need not be declared yet.
            value: what fits its contract; for a pydantic model, a mapping that does.
            priority: higher comes earlier.
            name: what it is called, for people.

        Raises:
            ContributionError: it does not fit; says what is missing.
        """
        extensions, scope = self._extends()
        withdraw = extensions.contribute(self.plugin, point, value, priority=priority, name=name)
        let_go = scope.adopt("contribution", name or title_of_value(value), withdraw)

        def take_back() -> None:
            let_go()
            withdraw()

        return take_back

    def contributions(self, point: ExtensionPoint[T] | str) -> tuple[T, ...]:
        """What plugins contribute to a point now, in order; nothing while nobody declares it.

        Warns:
            PlugbookWarning: nobody declares a point of that name, but somebody one of nearly that name.
        """
        extensions, _ = self._extends()
        extensions.check_asked(self.plugin, point)
        return extensions.values(point)

    def follow(self, point: ExtensionPoint[T] | str, told: Callable[[tuple[T, ...]], object]) -> None:
        """Call `told` with what is contributed to a point: now, and after every change, until the plugin stops.

        What it raises later is written to the log.
        """
        extensions, scope = self._extends()
        extensions.check_asked(self.plugin, point)
        scope.adopt("follower", name_of(point), extensions.follow(point, told, self.log))


# -- in a class statement -------------------------------------------------------------------------


class _Mark(NamedTuple):
    point: ExtensionPoint[Any] | str
    priority: float


def contributes(point: ExtensionPoint[Any] | str, *, priority: float = 0) -> Callable[[F], F]:
    """Have a method, or an object of a nested class, contributed to an extension point while the plugin runs.

    Args:
        point: where, or its name.
        priority: higher comes earlier.

    Raises:
        ManifestError: `point` is no extension point.
    """
    if not isinstance(point, str | ExtensionPoint):
        msg = f"@contributes takes an extension point or its name, not {point!r}. Write @contributes(themes)."
        raise ManifestError(msg)

    def mark(decorated: F) -> F:
        setattr(decorated, _MARK, (_Mark(point, priority), *vars(decorated).get(_MARK, ())))
        return decorated

    return mark


def points_of(cls: type) -> tuple[ExtensionPoint[Any], ...]:
    """The extension points that a plugin class has as attributes, those of its bases first."""
    found = {name: vars(base)[name] for base in reversed(cls.__mro__) for name in vars(base)}
    return tuple(value for value in found.values() if isinstance(value, ExtensionPoint))


def contribute_marked(instance: object, ctx: Extending) -> None:
    """Contribute what the class of a plugin marks with `contributes`, in the order of its definitions."""
    for name, marks in _marks_of(type(instance)).items():
        value = getattr(instance, name)
        made = value() if isinstance(value, type) else value
        for mark in marks:
            ctx.contribute(mark.point, made, priority=mark.priority, name=name)


# -- inside ---------------------------------------------------------------------------------------


def _marks_of(cls: type) -> dict[str, tuple[_Mark, ...]]:
    """What is marked in a class by name; overrides count as they do for handlers."""
    found: dict[str, tuple[_Mark, ...]] = {}
    for base in reversed(cls.__mro__):
        for name, attribute in vars(base).items():
            marks = getattr(attribute, "__dict__", {}).get(_MARK, ())
            if marks:
                found[name] = marks
            elif attribute is None:
                found.pop(name, None)
    return found


def name_of(point: ExtensionPoint[Any] | str) -> str:
    """The name of a point, however it was given."""
    return point if isinstance(point, str) else point.name


def title_of_value(value: Any) -> str:
    """What a contribution is called that was not given a name."""
    return str(getattr(value, "__qualname__", None) or type(value).__qualname__)
