"""Which version of each plugin is used where there are several: the newest set that fits together.

`choose` is a pure function of manifests, in whatever order they come. Sets are compared like this:

1. A set in which a plugin is there beats one in which it is missing; plugins earlier by name decide first.
2. Between sets of the same plugins, the newer version wins; again plugins earlier by name decide first.

A final version counts as newer than any pre-release. A set fits together if `resolve` finds no problem in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from plugbook.errors import ResolutionError, suggestion
from plugbook.plugins.manifest import Manifest, read_relation, split
from plugbook.plugins.resolving.conflict import clash, exclusion, tell
from plugbook.plugins.resolving.formula import Clause, Formula, Rule
from plugbook.plugins.resolving.resolver import fits, parsed, resolve

if TYPE_CHECKING:
    from packaging.version import Version

    from plugbook.plugins.resolving.resolution import Problem


@dataclass(frozen=True)
class Choice:
    """Which version of each plugin is used, and why no newer one is.

    Attributes:
        chosen: by name, in order; they fit together.
        missing: the plugins of which no version can be there, by name.
    """

    chosen: Mapping[str, Manifest]
    missing: tuple[str, ...] = ()
    _formula: Formula = field(default_factory=lambda: Formula({}), repr=False, compare=False)
    _circles: tuple[Rule, ...] = field(default=(), repr=False, compare=False)

    @property
    def plugins(self) -> dict[str, Manifest]:
        """One version of every plugin, by name; of those that are `missing` the newest that disturbs nobody.

        A host takes these, so that it can say of the others what is wrong with them.
        """
        stand_ins = {name: self._stand_in(name) for name in self.missing}
        return dict(sorted({**self.chosen, **stand_ins}.items()))

    def weighed(self, manifest: Manifest) -> bool:
        """Whether this version was among those to choose from, wherever it is from."""
        version = parsed(manifest.version)
        return any(
            parsed(each.version) == version for each in self._formula.candidates.get(manifest.name, ())
        )

    def reason(self, manifest: Manifest) -> str:
        """Why a version that was `weighed` is not the one that is used, in plain sentences; ``""`` if it is."""
        used = self.chosen.get(manifest.name)
        versions = self._formula.candidates.get(manifest.name, ())
        if manifest == used:
            return ""
        if manifest not in versions:
            return f"{manifest} is there twice"
        if used is not None and versions.index(used) < versions.index(manifest):
            return f"{used} is newer"
        return tell(self._formula, exclusion(self._formula, manifest, self.chosen, self._circles))

    def _stand_in(self, name: str) -> Manifest:
        versions = self._formula.candidates[name]
        return next((each for each in versions if not self._disturbs(each)), versions[0])

    def _disturbs(self, manifest: Manifest) -> bool:
        others = self.chosen.values()
        return any(_excludes(manifest, other) or _excludes(other, manifest) for other in others)


_AT_ONCE = 256
"""How many wishes are tried together: with fewer, more answers are built; with more, each takes longer."""


def choose(manifests: Iterable[Manifest], *, asked: Iterable[str] = (), host_version: str = "") -> Choice:
    """The best set of versions; see the module for which one that is.

    python-sat is asked only where the newest version of each plugin does not do.

    Args:
        manifests: every version of every plugin there is, in any order.
        asked: what must be there, such as ``billing`` or ``billing>=2``.
        host_version: the API version of the host, or ``""`` where it does not matter.

    Raises:
        ResolutionError: what was asked for cannot be there together; tells the smallest part that clashes.
        MissingExtraError: python-sat is needed and not installed.

    >>> ledgers = [Manifest(name="ledger", version=version) for version in ("1.0", "2.0", "3.0")]
    >>> choice = choose([*ledgers, Manifest(name="billing", requires=["ledger<3"])])
    >>> [str(each) for each in choice.chosen.values()]
    ['billing 0.0.0', 'ledger 2.0']
    >>> choice.reason(ledgers[2])
    'billing is to be there; billing 0.0.0 requires ledger<3'
    """
    formula = Formula(_sorted(manifests), host_version)
    wishes = [read_relation(wish) for wish in asked]
    newest = {name: versions[0] for name, versions in formula.candidates.items()}
    if all(_is_met(wish, newest) for wish in wishes) and not _problems(newest, formula):
        return Choice(newest, (), formula)
    return _Chooser(formula, wishes).run()


def preference(manifest: Manifest) -> tuple[bool, Version]:
    """The newer of two versions has the greater one: final versions before pre-releases."""
    version = parsed(manifest.version)
    return not version.is_prerelease, version


def _sorted(manifests: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    """The versions of each plugin, the preferred one first; of equal ones the first by where it is from."""
    by_name: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in sorted(manifests, key=lambda each: (each.name, each.source, each.entry_point)):
        by_name[manifest.name].append(manifest)
    candidates = {}
    for name, versions in by_name.items():
        different: dict[Version, Manifest] = {}
        for manifest in versions:
            different.setdefault(parsed(manifest.version), manifest)
        candidates[name] = sorted(different.values(), key=preference, reverse=True)
    return candidates


def _is_met(wish: str, chosen: Mapping[str, Manifest]) -> bool:
    name, versions = split(wish)
    return name in chosen and fits(versions, chosen[name].version)


def _excludes(one: Manifest, other: Manifest) -> bool:
    """Whether one manifest says that it cannot be there together with the other."""
    relations = map(split, one.conflicts)
    return any(name == other.name and fits(versions, other.version) for name, versions in relations)


def _problems(chosen: Mapping[str, Manifest], formula: Formula) -> Mapping[str, Problem]:
    return resolve(chosen.values(), formula.host_version).problems


class _Chooser:
    """One choice under way."""

    def __init__(self, formula: Formula, asked: list[str]) -> None:
        self.formula = formula
        self.wishes = [Rule("asked", wish, (formula.fitting(wish),)) for wish in asked]
        self.circles: list[Rule] = []

    def run(self) -> Choice:
        """The best set; a circle that shows in it is forbidden, and the next best is looked for."""
        while True:
            with self.formula.solver([*self.wishes, *self.formula.rules(), *self.circles]) as solver:
                chosen = self._best(solver)
            problems = _problems(chosen, self.formula).values()
            circles = {each.plugins for each in problems if each.kind == "cycle"}
            if not circles:
                missing = tuple(name for name in self.formula.candidates if name not in chosen)
                return Choice(chosen, missing, self.formula, tuple(self.circles))
            self.circles += [self._never(circle, chosen) for circle in sorted(circles)]

    def _best(self, solver: Any) -> dict[str, Manifest]:
        """Settle one plugin after the other: first whether it is there, then in which version."""
        formula = self.formula
        solver.set_phases(list(range(1, formula.size)))  # what is tried first: to have it
        if not solver.solve():
            raise self._clash()
        _settle(solver, [[formula.present(name)] for name in formula.candidates])
        _settle(solver, [formula.variables(name) for name in formula.candidates])
        solver.solve()
        found = [
            formula.manifest(literal) for literal in solver.get_model()[: formula.size - 1] if literal > 0
        ]
        return {manifest.name: manifest for manifest in found}

    def _clash(self) -> ResolutionError:
        rules = clash(self.formula, self.wishes, self.circles) or self.wishes
        unknown = next((split(rule.text).name for rule in rules if not any(rule.clauses)), "")
        near = suggestion(unknown, self.formula.candidates, listing=False)
        msg = (
            f"these plugins cannot be there together: {tell(self.formula, rules)}. "
            f"Ask for one less, or add a version that fits.{near}"
        )
        names = [rule.manifest.name if rule.manifest else split(rule.text).name for rule in rules]
        return ResolutionError(msg, plugins=tuple(dict.fromkeys(names)))

    def _never(self, circle: tuple[str, ...], chosen: Mapping[str, Manifest]) -> Rule:
        """That a circle does not come about: one of its versions is not there, or somebody else provides."""
        clause: Clause = [-self.formula.variable_of(chosen[name]) for name in circle[1:]]
        for user, provider in pairwise(circle):
            if provider not in {split(text).name for text in chosen[user].requires}:
                clause += self._preferred(chosen[user], chosen[provider])
        return Rule("cycle", " requires ".join(circle), (clause,))

    def _preferred(self, user: Manifest, provider: Manifest) -> Iterator[int]:
        """Whom the resolver would take instead of a provider, if they were there."""
        # As in the resolver: the highest version first, then by name.
        version = parsed(provider.version)
        for need in user.needs:
            for variable in self.formula.providers(need):
                other = self.formula.manifest(variable)
                theirs = parsed(other.version)
                if theirs > version or (theirs == version and other.name < provider.name):
                    yield variable


def _settle(solver: Any, wishes: Sequence[Sequence[int]]) -> None:
    """Have the first of each wish that can be, beside what is settled for those before it.

    What is settled becomes a clause, so that what the solver learns on the way stays true.
    """
    for start in range(0, len(wishes), _AT_ONCE):
        block = wishes[start : start + _AT_ONCE]
        places = _first_that_can_be(solver, block)
        for wish, place in zip(block, places, strict=True):
            for literal in wish[:place]:
                solver.add_clause([-literal])
            if place < len(wish):
                solver.add_clause([wish[place]])


def _first_that_can_be(solver: Any, wishes: Sequence[Sequence[int]]) -> list[int]:
    """For each wish the place of the literal that can be; its length where none can.

    All wishes are assumed at once. Where they clash, the last one of a clash has to give way, and those
    behind it begin anew: whatever comes before the places that are tried next is known not to be possible.
    """
    places = [0] * len(wishes)
    while True:
        assumed = {
            wish[at]: n for n, (wish, at) in enumerate(zip(wishes, places, strict=True)) if at < len(wish)
        }
        if solver.solve(assumptions=list(assumed)):
            return places
        last = max(assumed[literal] for literal in solver.get_core())
        places[last:] = [places[last] + 1, *[0] * (len(places) - last - 1)]
