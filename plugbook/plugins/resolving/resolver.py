"""In which order plugins can start, and why some of them cannot.

`resolve` is a pure function of manifests: the same manifests in the same order give the same result. A
plugin that cannot start is a `Problem`, which leads to its first cause, and does not keep the others from
resolving. Where two plugins exclude each other, both are problems: which one goes is for a person to say.
"""

from __future__ import annotations

import graphlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import pairwise

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from plugbook.errors import ResolutionError
from plugbook.plugins.manifest import Manifest, split
from plugbook.plugins.resolving.cycles import find_cycles, find_knots
from plugbook.plugins.resolving.resolution import Edge, Problem, Resolution

__all__ = ["Edge", "Problem", "Resolution", "fits", "resolve"]

_Wiring = dict[str, dict[str, str]]
"""For each plugin that can start what must be active before it, and the sentence that says so."""
_Layers = tuple[tuple[str, ...], ...]
_LONG_CIRCLE = 50
"""Up to here each plugin on a circle is told it from its own place; beyond, all are told the same."""


def resolve(manifests: Iterable[Manifest], host_version: str = "") -> Resolution:
    """Put plugins in order.

    A capability is met by a plugin that can start itself; of several, by the one of the highest version,
    then by name. An optional plugin comes first if it is there; where that would close a circle, it does
    not, and a note says so.

    Args:
        manifests: one of each plugin.
        host_version: the API version of the host; ``""`` where it does not matter.

    >>> ledger = Manifest(name="ledger", version="1.4")
    >>> billing = Manifest(name="billing", requires=["ledger>=1"])
    >>> resolve([billing, ledger]).layers
    (('ledger',), ('billing',))
    >>> print(resolve([billing]).problems["billing"].explanation)
    you asked for billing; billing 0.0.0 requires ledger>=1; there is no plugin ledger

    Raises:
        ResolutionError: two of the manifests have the same name.
    """
    named: dict[str, Manifest] = {}
    for manifest in manifests:
        if manifest.name in named:
            msg = f"two plugins are called {manifest.name!r}. Names are unique on a host; rename one."
            raise ResolutionError(
                msg,
                plugins=[manifest.name],
            )
        named[manifest.name] = manifest
    return _Resolver(named, host_version).run()


@lru_cache(maxsize=65_536)
def fits(versions: str, version: str) -> bool:
    """Whether a version is in a range; a pre-release that is there counts as there.

    >>> fits("<3,>=1", "2.0b1"), fits("", "0"), fits("<3,>=1", "3.0")
    (True, True, False)
    """
    return not versions or _range(versions).contains(parsed(version), prereleases=True)


@lru_cache(maxsize=16_384)
def _range(versions: str) -> SpecifierSet:
    return SpecifierSet(versions)


@lru_cache(maxsize=16_384)
def parsed(version: str) -> Version:
    """A version that a manifest holds, to be compared; remembered, since most plugins share a few."""
    return Version(version)


class _Resolver:
    """One resolution under way."""

    def __init__(self, manifests: dict[str, Manifest], host_version: str) -> None:
        self.manifests = manifests
        self.host_version = host_version
        self.problems: dict[str, Problem] = {}
        self.notes: list[str] = []
        self.offers = self._offers()
        self.providers: dict[str, tuple[str, ...]] = {}
        self.conflicts = self._conflicts()

    def run(self) -> Resolution:
        for manifest in self.manifests.values():
            problem = next(self._own_problems(manifest), None)
            if problem is not None:
                self.problems[manifest.name] = problem
        self._spread(self.problems)
        wiring = self._wiring()
        while (layers := self._layers(wiring)) is None:
            self._spread(self._cycles(wiring))
            wiring = self._wiring()
        optional = self._optional(wiring)
        layers = self._layers_with(wiring, optional) if optional else layers
        problems = {name: self.problems[name] for name in self.manifests if name in self.problems}
        return Resolution(layers, problems, tuple(self._edges()), tuple(self.notes))

    # -- capabilities -----------------------------------------------------------------------------

    def _offers(self) -> dict[str, list[tuple[str, str]]]:
        """For each capability who offers it in which version, the preferred plugin first."""
        offers: dict[str, list[tuple[str, str]]] = defaultdict(list)
        offering = sorted((each for each in self.manifests.values() if each.provides), key=lambda m: m.name)
        # A stable sort after the one by name: the highest version first, and of equal ones by name.
        for manifest in sorted(offering, key=lambda each: parsed(each.version), reverse=True):
            for capability, version in manifest.capabilities().items():
                offers[capability].append((manifest.name, version))
        return offers

    def _candidates(self, need: str) -> tuple[str, ...]:
        """Who could meet a need, the preferred one first."""
        if need not in self.providers:
            name, versions = split(need)
            offers = self.offers.get(name, ())
            self.providers[need] = tuple(plugin for plugin, version in offers if fits(versions, version))
        return self.providers[need]

    def _provider(self, need: str) -> str | None:
        """Who meets a need: the preferred one that can start, or else the preferred one."""
        candidates = self._candidates(need)
        healthy = (plugin for plugin in candidates if plugin not in self.problems)
        return next(healthy, candidates[0] if candidates else None)

    # -- first causes -----------------------------------------------------------------------------

    def _own_problems(self, manifest: Manifest) -> Iterator[Problem]:
        if self.host_version and not fits(manifest.requires_host, self.host_version):
            facts = (
                f"{manifest} requires a host of API version {manifest.requires_host}",
                f"this one has {self.host_version}",
            )
            yield Problem(manifest.name, "host", facts, wanted=manifest.requires_host)
        for text in manifest.requires:
            name, versions = split(text)
            other = self.manifests.get(name)
            if other is None:
                facts = (f"{manifest} requires {text}", f"there is no plugin {name}")
                providers, known = self._candidates(text), self.manifests.keys()
                yield Problem(manifest.name, "missing", facts, plugins=providers, wanted=text, known=known)
            elif not fits(versions, other.version):
                facts = (f"{manifest} requires {text}", f"{name} is {other.version}")
                yield Problem(manifest.name, "version", facts, plugins=(name,), wanted=text)
        for need in manifest.needs:
            if not self._candidates(need):
                yield self._unmet(manifest, need)
        for one, rejected, text in self.conflicts.get(manifest.name, ()):
            rival = rejected if one == manifest.name else one
            facts = (f"{rival} is there", f"{self.manifests[one]} conflicts with {text}")
            yield Problem(manifest.name, "conflict", facts, plugins=(manifest.name, rival))

    def _unmet(self, manifest: Manifest, need: str) -> Problem:
        offers = self.offers.get(split(need).name, ())
        offered = [f"{plugin} provides {split(need).name} {version}" for plugin, version in offers]
        facts = (f"{manifest} needs {need}", *(offered or ["no plugin provides it"]))
        plugins = tuple(plugin for plugin, _ in offers)
        known = self.offers.keys()
        return Problem(manifest.name, "capability", facts, plugins=plugins, wanted=need, known=known)

    def _conflicts(self) -> dict[str, list[tuple[str, str, str]]]:
        """For each plugin the conflicts it is in: who says so, about whom, and in which words."""
        conflicts: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for manifest in self.manifests.values():
            for text in manifest.conflicts:
                name, versions = split(text)
                other = self.manifests.get(name)
                if other is not None and fits(versions, other.version):
                    for side in (manifest.name, name):
                        conflicts[side].append((manifest.name, name, text))
        return conflicts

    def _cycles(self, wiring: _Wiring) -> list[str]:
        """Make a problem of whatever is on a circle; returns who that was."""
        found = []
        for cycle in find_cycles(wiring):
            for place, name in enumerate(cycle):
                if place == 0 or len(cycle) <= _LONG_CIRCLE:
                    circle = (*cycle[place:], *cycle[: place + 1])
                    facts = tuple(wiring[one][other] for one, other in pairwise(circle))
                self.problems[name] = Problem(name, "cycle", facts, plugins=circle)
                found.append(name)
        return found

    # -- what follows from them -------------------------------------------------------------------

    def _spread(self, names: Iterable[str]) -> None:
        """Make problems of all plugins that need one with a problem, the nearest cause first."""
        waiting = deque(names)
        if not waiting:
            return  # who uses whom is not worth finding out
        requiring, needing = self._users
        while waiting:
            failed = waiting.popleft()
            for user, fact in requiring.get(failed, ()):
                self._blame(user, fact, failed, waiting)
            for user, need in needing.get(failed, ()):
                candidates = self._candidates(need)
                if all(plugin in self.problems for plugin in candidates):
                    fact = f"{self.manifests[user]} needs {need}, which {candidates[0]} provides"
                    self._blame(user, fact, candidates[0], waiting)

    def _blame(self, user: str, fact: str, failed: str, waiting: deque[str]) -> None:
        if user not in self.problems:
            because = self.problems[failed]
            self.problems[user] = Problem(user, "requirement", (fact,), because, plugins=(failed,))
            waiting.append(user)

    @cached_property
    def _users(self) -> tuple[dict[str, list[tuple[str, str]]], dict[str, list[tuple[str, str]]]]:
        """Who requires each plugin, with the sentence; who could use it as a provider, with the need."""
        requiring: dict[str, list[tuple[str, str]]] = defaultdict(list)
        needing: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for manifest in self.manifests.values():
            for text in manifest.requires:
                requiring[split(text).name].append((manifest.name, f"{manifest} requires {text}"))
            for need in manifest.needs:
                for provider in self._candidates(need):
                    needing[provider].append((manifest.name, need))
        return requiring, needing

    # -- order ------------------------------------------------------------------------------------

    def _wiring(self) -> _Wiring:
        wiring: _Wiring = {}
        for name, manifest in self.manifests.items():
            if name not in self.problems:
                before = wiring[name] = {}
                for text in manifest.requires:
                    before[split(text).name] = f"{name} requires {text}"
                for need in manifest.needs:
                    provider = self._provider(need) or ""
                    before.setdefault(provider, f"{name} needs {need}, which {provider} provides")
        return wiring

    def _optional(self, wiring: _Wiring) -> _Wiring:
        """What each plugin would like to start after, where that is there and can start."""
        optional: _Wiring = {}
        for name in wiring:
            for text in self.manifests[name].optional:
                other, versions = split(text)
                if other not in self.manifests:
                    continue
                version = self.manifests[other].version
                if not fits(versions, version):
                    self.notes.append(f"{name} would use {text}, but {other} is {version}")
                elif other in wiring and other not in wiring[name]:
                    optional.setdefault(name, {})[other] = text
        return optional

    def _layers_with(self, wiring: _Wiring, optional: _Wiring) -> _Layers:
        """The layers, leaving out what would only be nice where it closes a circle."""
        both = {name: wiring[name] | optional.get(name, {}) for name in wiring}
        for knot in find_knots(both):
            inside = set(knot)
            for name in knot:
                for other in sorted(inside & optional.get(name, {}).keys()):
                    del both[name][other]
                    self.notes.append(f"{name} does not start after {other}: that would close a circle")
        return self._layers(both) or ()

    def _layers(self, wiring: _Wiring) -> _Layers | None:
        """The layers, each in the order given; None where there is a circle."""
        sorter = graphlib.TopologicalSorter(wiring)
        try:
            sorter.prepare()
        except graphlib.CycleError:
            return None
        place = {name: number for number, name in enumerate(wiring)}
        layers = []
        while ready := sorter.get_ready():
            layers.append(tuple(sorted(ready, key=place.__getitem__)))
            sorter.done(*ready)
        return tuple(layers)

    def _edges(self) -> Iterator[Edge]:
        for name, manifest in self.manifests.items():
            for kind in ("requires", "optional", "conflicts"):
                for text in getattr(manifest, kind):
                    other = split(text).name
                    if other in self.manifests:
                        yield Edge(name, other, kind, text)
            for need in manifest.needs:
                provider = self._provider(need)
                if provider is not None:
                    yield Edge(name, provider, "capability", need)
