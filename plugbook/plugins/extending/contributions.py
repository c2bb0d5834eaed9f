"""What is contributed to the extension points of one host: kept by the point's name, held against its contract, in order.

What counts is the point's name, so that a cell which declares it anew, or a plugin that was written against an
older declaration, still means the same point. A contribution waits while nobody declares its point; it is held
against the contract when it is made, where the contract is known, and again whenever the point is declared.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from plugbook.errors import ContributionError, PlugbookWarning, suggestion
from plugbook.plugins.extending.contract import fit, title_of
from plugbook.plugins.extending.extension import ExtensionPoint, name_of, title_of_value
from plugbook.plugins.warning import warn

if TYPE_CHECKING:
    from plugbook._types import Disconnect
    from plugbook.plugins.context import PluginLog

T = TypeVar("T")

_NEAR: Final = 0.8
"""How much two words have in common, of 1, where one is the other with a letter or two wrong."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one plugin adds to an extension point.

    Attributes:
        point: the point's name.
        plugin: who contributes.
        value: what it contributes.
        name: what it is called, for people.
        priority: higher comes earlier.
        number: counts the registrations.
        lacks: why it does not fit the contract as it is declared now; empty where it does.
    """

    point: str
    plugin: str
    value: Any
    name: str
    priority: float = 0
    number: int = 0
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PointState:
    """An extension point as it is now.

    Attributes:
        name: its name.
        owner: the plugin that declares it; ``""`` where nobody does, so that what is contributed waits.
        contract: what it expects, for people.
        contributions: what was contributed and fits, in order.
        refused: what was contributed before the contract was known, and does not fit it.
    """

    name: str
    owner: str = ""
    contract: str = ""
    contributions: tuple[Contribution, ...] = ()
    refused: tuple[Contribution, ...] = ()

    def rows(self) -> list[tuple[str, str, str]]:
        """Of each contribution its plugin, its name and what it lacks; one empty row where there is none."""
        every = (*self.contributions, *self.refused)
        return [(each.plugin, each.name, "; ".join(each.lacks)) for each in every] or [("", "", "")]

    def __str__(self) -> str:
        head = (
            f"{self.name}: {self.contract}, by {self.owner}"
            if self.owner
            else f"{self.name}: nobody declares it"
        )
        lines = [f"  {each.plugin:<16} {each.name}" for each in self.contributions]
        lines += [
            f"  {each.plugin:<16} {each.name}: refused, {'; '.join(each.lacks)}" for each in self.refused
        ]
        return "\n".join([head, *(lines or ["  nothing was contributed"])])


class ExtensionTable(dict[str, PointState]):
    """Every extension point of a host by name, declared or only contributed to."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self.values())) or "no extension points"


class _Follower(NamedTuple):
    point: str
    told: Callable[[tuple[Any, ...]], object]
    log: PluginLog


@dataclass(slots=True)
class _Table:
    """What is declared and contributed, as one thing that a stage and what it joins can share."""

    declared: dict[str, tuple[str, ExtensionPoint[Any]]] = field(default_factory=dict)
    given: tuple[Contribution, ...] = ()
    followers: tuple[_Follower, ...] = ()


@dataclass(slots=True)
class Extensions:
    """The extension points of one host, and what is contributed to them. Safe to use from any thread.

    Attributes:
        note: writes a `change` record: what, plugin, payload, outcome, reason.
        rank: gives the place of each plugin in the dependency order.
    """

    note: Callable[..., None]
    rank: Callable[[], dict[str, int]]
    _now: _Table = field(default_factory=_Table)
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _warned: set[str] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def stage(self, plugins: Collection[str]) -> Extensions:
        """What there would be without these plugins, for new generations of them; nobody else sees what they add."""
        now = self._now
        declared = {name: entry for name, entry in now.declared.items() if entry[0] not in plugins}
        given = tuple(each for each in now.given if each.plugin not in plugins)
        return replace(self, _now=_Table(declared, given))

    def join(self, staged: Extensions, plugins: Collection[str]) -> None:
        """In one step, have what these plugins declare and contribute on the stage, and nothing else of theirs.

        From then on the stage is no copy any more: what is done there is done here.
        """
        with self._lock:
            now, theirs = self._now, staged._now
            touched = self._touched(plugins) | staged._touched(plugins)
            changed: dict[str, tuple[Any, ...]] = {name: self.values(name) for name in touched}
            declared = {name: entry for name, entry in now.declared.items() if entry[0] not in plugins}
            declared |= {name: entry for name, entry in theirs.declared.items() if entry[0] in plugins}
            given = (
                *(each for each in now.given if each.plugin not in plugins),
                *(each for each in theirs.given if each.plugin in plugins),
            )
            now.declared = declared
            now.given = tuple(
                _fitted(each, declared[each.point][1]) if each.point in declared else each for each in given
            )
            now.followers = (*now.followers, *theirs.followers)
            staged._now = now
        for name, before in changed.items():
            if self.values(name) != before:
                self._tell(name)

    def declare(self, plugin: str, point: ExtensionPoint[Any]) -> Disconnect:
        """Open a point; what waited for it is held against its contract.

        Raises:
            ContributionError: another plugin declares it.
        """
        with self._lock:
            owner = self._now.declared.get(point.name, ("",))[0]
            if owner:
                msg = f"{plugin} cannot declare the extension point {point.name!r}: {owner} does already. Rename one."
                raise ContributionError(msg, plugin=plugin, point=point.name)
            entry = self._now.declared[point.name] = (plugin, point)
            self._now.given = tuple(
                _fitted(each, point) if each.point == point.name else each for each in self._now.given
            )
        self.note("declare", plugin, {"point": point.name, "contract": title_of(point.contract)})
        for each in self._of(point.name):
            if each.lacks:
                self.note(
                    "refuse", each.plugin, _payload(each), outcome="error", reason="; ".join(each.lacks)
                )
        self._tell(point.name)

        def withdraw() -> None:
            with self._lock:
                if self._now.declared.get(point.name) is not entry:
                    return  # another generation has taken its place
                del self._now.declared[point.name]
            self.note("undeclare", plugin, {"point": point.name})
            self._tell(point.name)

        return withdraw

    def contribute(
        self,
        plugin: str,
        point: ExtensionPoint[Any] | str,
        value: Any,
        *,
        priority: float = 0,
        name: str = "",
    ) -> Disconnect:
        """Add to a point; returns what takes it back.

        Raises:
            ContributionError: it does not fit the contract; says what is missing.
        """
        target = name_of(point)
        given = Contribution(
            target, plugin, value, name or title_of_value(value), priority, next(self._count)
        )
        known = self._now.declared[target][1] if target in self._now.declared else point
        if isinstance(known, ExtensionPoint):
            given = _fitted(given, known)
            if given.lacks:
                msg = (
                    f"{plugin} contributes {given.name} to {target!r}, but that expects {title_of(known.contract)}: "
                    f"{'; '.join(given.lacks)}."
                )
                raise ContributionError(msg, plugin=plugin, point=target, lacks=given.lacks)
        with self._lock:
            self._now.given = (*self._now.given, given)
        waits = "" if target in self._now.declared else self._waits(target)
        self.note("contribute", plugin, _payload(given), reason=waits)
        self._tell(target)

        def withdraw() -> None:
            with self._lock:
                if all(each.number != given.number for each in self._now.given):
                    return  # another generation has taken its place
                self._now.given = tuple(each for each in self._now.given if each.number != given.number)
            self.note("withdraw", plugin, _payload(given))
            self._tell(target)

        return withdraw

    def values(self, point: ExtensionPoint[T] | str) -> tuple[T, ...]:
        """What is contributed to a point, in order; nothing while nobody declares it."""
        name = name_of(point)
        return tuple(each.value for each in self._listed(name)) if name in self._now.declared else ()

    def check_asked(self, plugin: str, point: ExtensionPoint[Any] | str) -> None:
        """Warn, once, where a plugin asks for a point by a name that nobody declares, and that is nearly right."""
        if isinstance(point, str) and point not in self._now.declared:
            self._warn(f"{plugin} asks for the contributions to {point!r}", point)

    def warn_of_strangers(self) -> None:
        """Warn, once each, of contributions that wait for a point which nobody declares, if the name is nearly right.

        Others may have been meant for a plugin that is not there. To be called when everything was started.
        """
        for each in self._now.given:
            if each.point not in self._now.declared:
                self._warn(f"{each.plugin} contributes {each.name} to {each.point!r}", each.point)

    def follow(
        self, point: ExtensionPoint[T] | str, told: Callable[[tuple[T, ...]], object], log: PluginLog
    ) -> Disconnect:
        """Call `told` with what is contributed: now, and after every change."""
        follower = _Follower(name_of(point), told, log)
        told(self.values(point))
        with self._lock:
            self._now.followers = (*self._now.followers, follower)

        def disconnect() -> None:
            with self._lock:
                self._now.followers = tuple(each for each in self._now.followers if each is not follower)

        return disconnect

    def table(self) -> ExtensionTable:
        """Every point as it is now."""
        names = dict.fromkeys((*self._now.declared, *(each.point for each in self._now.given)))
        return ExtensionTable((name, self._state(name)) for name in names)

    # -- inside -----------------------------------------------------------------------------------

    def _state(self, name: str) -> PointState:
        owner, point = self._now.declared.get(name, ("", None))
        refused = tuple(each for each in self._of(name) if each.lacks)
        contract = title_of(point.contract) if point is not None else ""
        return PointState(name, owner, contract, tuple(self._listed(name)), refused)

    def _of(self, name: str) -> list[Contribution]:
        return [each for each in self._now.given if each.point == name]

    def _touched(self, plugins: Collection[str]) -> set[str]:
        """The points that these plugins declare or contribute to."""
        declared = {name for name, (plugin, _) in self._now.declared.items() if plugin in plugins}
        return declared | {each.point for each in self._now.given if each.plugin in plugins}

    def _listed(self, name: str) -> list[Contribution]:
        rank = self.rank()
        fitting = [each for each in self._of(name) if not each.lacks]
        return sorted(
            fitting, key=lambda each: (-each.priority, rank.get(each.plugin, len(rank)), each.number)
        )

    def _tell(self, name: str) -> None:
        for follower in self._now.followers:
            if follower.point == name:
                try:
                    follower.told(self.values(name))
                except Exception as error:
                    follower.log.failure(error, "what follows the extension point %s failed", name)

    def _waits(self, name: str) -> str:
        near = suggestion(name, self._now.declared, listing=False)
        return f"nobody declares {name}, so it waits.{near}"

    def _warn(self, what: str, point: str) -> None:
        near = suggestion(
            point, (name for name in self._now.declared if _is_slip(point, name)), listing=False
        )
        if near and what not in self._warned:
            self._warned.add(what)
            warn(f"{what}, which nobody declares.{near}", PlugbookWarning)


# -- inside ---------------------------------------------------------------------------------------


def _is_slip(name: str, meant: str) -> bool:
    """Whether one name may be the other, misspelt: word by word, for words that they share prove nothing."""
    pairs = list(itertools.zip_longest(name.split("."), meant.split("."), fillvalue=""))
    return all(SequenceMatcher(None, *pair).ratio() >= _NEAR for pair in pairs)


def _fitted(given: Contribution, point: ExtensionPoint[Any]) -> Contribution:
    value, lacks = fit(given.value, point.contract)
    return replace(given, value=value, lacks=lacks)


def _payload(given: Contribution) -> dict[str, Any]:
    return {"point": given.point, "contribution": given.name, "priority": given.priority}
