"""Services: objects that one plugin provides and others get by their type."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from plugbook.errors import ServiceError, suggestion

if TYPE_CHECKING:
    from plugbook._types import Disconnect

T = TypeVar("T")


class Services:
    """What is provided now, by type: at most one object for each.

    >>> services = Services()
    >>> withdraw = services.provide("ledger", dict, {"balance": 0})
    >>> services.get(dict)
    {'balance': 0}
    """

    def __init__(self) -> None:
        self._now = _Provided()

    def stage(self, plugins: Collection[str]) -> Services:
        """What would be provided without these plugins, for new generations of them; nobody else sees what they add."""
        staged = Services()
        staged._now.by_type = {
            kind: entry for kind, entry in self._now.by_type.items() if entry[0] not in plugins
        }
        return staged

    def join(self, staged: Services, plugins: Collection[str]) -> None:
        """In one step, provide what these plugins provide on the stage, and nothing else of theirs.

        From then on the stage is no copy any more: what is provided there is provided here.
        """
        others = {kind: entry for kind, entry in self._now.by_type.items() if entry[0] not in plugins}
        theirs = {kind: entry for kind, entry in staged._now.by_type.items() if entry[0] in plugins}
        self._now.by_type = others | theirs
        staged._now = self._now

    def provide(self, plugin: str, kind: type[T], service: T) -> Disconnect:
        """Offer `service` under `kind`; returns what takes it back.

        Raises:
            ServiceError: somebody provides that type already, or the object is not one of that type.
        """
        _check_kind("provide(Store, store)", kind)
        holder = self._now.by_type.get(kind)
        if holder is not None:
            msg = (
                f"{plugin} cannot provide {kind.__qualname__}: {holder[0]} does already. "
                "Stop that plugin first, or provide a subclass."
            )
            raise ServiceError(msg)
        if not _is_one(service, kind):
            msg = (
                f"{plugin} cannot provide {kind.__qualname__}: the object given is a "
                f"{type(service).__qualname__}. Give ctx.provide the type, then an object of it."
            )
            raise ServiceError(msg)
        entry = (plugin, service)
        self._now.by_type[kind] = entry

        def withdraw() -> None:
            if self._now.by_type.get(kind) is entry:
                del self._now.by_type[kind]

        return withdraw

    def get(self, kind: type[T]) -> T:
        """The object provided under `kind`, or the only one under a subclass of it.

        A class counts as another one of its name in the same module: who has imported it before its plugin was
        reloaded gets what is provided under its later self.

        Raises:
            ServiceError: nobody provides it, or several provide subclasses of it.
        """
        _check_kind("get(Store)", kind)
        provided = self._now.by_type
        if kind in provided:
            found: T = provided[kind][1]
            return found
        under = [entry for each, entry in provided.items() if _is_below(each, kind)]
        under = under or [entry for each, entry in provided.items() if _is_namesake(each, kind)]
        if len(under) == 1:
            return under[0][1]  # type: ignore[no-any-return]
        if under:
            who = ", ".join(sorted(plugin for plugin, _ in under))
            msg = f"{kind.__qualname__} is provided more than once, by {who}; ask for the subclass you mean."
            raise ServiceError(msg)
        names = [each.__qualname__ for each in provided]
        msg = (
            f"nobody provides {kind.__qualname__}.{suggestion(kind.__qualname__, names)} "
            "A plugin offers it in start with ctx.provide; name that plugin in requires=."
        )
        raise ServiceError(msg)

    def of(self, plugin: str) -> list[str]:
        """The names of the types that this plugin provides."""
        return [kind.__qualname__ for kind, (owner, _) in self._now.by_type.items() if owner == plugin]


@dataclass(slots=True)
class _Provided:
    """What is provided, as one thing that a stage and what it joins can share."""

    by_type: dict[type, tuple[str, Any]] = field(default_factory=dict)


def _check_kind(example: str, kind: object) -> None:
    if isinstance(kind, type) or get_origin(kind) is not None:
        return
    msg = (
        f"services go by type, and {kind!r} is a {type(kind).__qualname__}. Write ctx.{example} with the class "
        "of what is offered; a name belongs in the class statement, as in provides=['storage']."
    )
    raise ServiceError(msg)


def _is_below(provided: type, kind: type) -> bool:
    try:
        return issubclass(provided, kind)
    except TypeError:  # list[int] and the like stand for themselves alone
        return False


def _is_namesake(provided: object, kind: object) -> bool:
    """Whether one is another definition of the other, as after a reload."""
    if not (isinstance(provided, type) and isinstance(kind, type)):
        return False
    return (provided.__module__, provided.__qualname__) == (kind.__module__, kind.__qualname__)


def _is_one(service: object, kind: type) -> bool:
    try:
        return isinstance(service, kind)
    except TypeError:  # a Protocol that cannot be asked at run time
        return True
