"""What manifests demand of each other as clauses, and who of their rules cannot hold together (python-sat).

A variable stands for one version of one plugin being there. The variables are numbered by name and then
from the preferred version down, and nothing else is asked of the solver but yes or no, so that the same
manifests give the same answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from plugbook.errors import missing_extra
from plugbook.plugins.manifest import split
from plugbook.plugins.resolving.resolver import fits

if TYPE_CHECKING:
    from plugbook.plugins.manifest import Manifest

Candidates = Mapping[str, Sequence["Manifest"]]
"""For each plugin its versions, the preferred one first; the names in order."""
Clause = list[int]
RuleKind = Literal[
    "requires", "needs", "conflicts", "requires_host", "asked", "used", "present", "newer", "cycle"
]

_FEATURE = "Choosing among several versions of a plugin"


class Rule(NamedTuple):
    """Something that must hold, with what a person calls it.

    Attributes:
        kind: the manifest's field that says so; or a wish: that something is there because a person ``asked``
            for it, that a version is ``used``, that a plugin is ``present`` at all, or in no older version
            (``newer``); or that a ``cycle`` is avoided.
        text: what the field holds, or what is wished for.
        clauses: all of them hold where the rule does.
        manifest: who says so, where it is a manifest.
    """

    kind: RuleKind
    text: str
    clauses: tuple[Clause, ...]
    manifest: Manifest | None = None


class Formula:
    """The variables of a set of candidates and the rules among them.

    Args:
        candidates: the versions there are.
        host_version: the API version of the host, or ``""`` where it does not matter.

    Attributes:
        size: one more than the last variable that stands for a manifest.
    """

    def __init__(self, candidates: Candidates, host_version: str = "") -> None:
        self.candidates = candidates
        self.host_version = host_version
        self._first: dict[str, int] = {}
        self._names: list[str] = [""]
        for name, versions in candidates.items():
            self._first[name] = len(self._names)
            self._names += [name] * len(versions)
        self.size = len(self._names)
        self._once: dict[str, list[Clause]] = {}
        self._as_new_as = {name: self._ladder(name, len(each)) for name, each in candidates.items()}
        self._fitting: dict[str, list[int]] = {}
        self._offers = self._find_offers()

    # -- variables --------------------------------------------------------------------------------

    def variables(self, name: str) -> range:
        """Whether each version of a plugin is there, the preferred one first."""
        first = self._first[name]
        return range(first, first + len(self.candidates[name]))

    def variable_of(self, manifest: Manifest) -> int:
        """Whether this version is there."""
        return self._first[manifest.name] + self._place(manifest)

    def as_new_as(self, manifest: Manifest) -> int:
        """Whether this version of a plugin, or one that is preferred to it, is there."""
        return self._as_new_as[manifest.name][self._place(manifest)]

    def present(self, name: str) -> int:
        """Whether any version of a plugin is there."""
        return self._as_new_as[name][-1]

    def leads_to(self, rule: Rule) -> Iterable[str]:
        """The plugins that a rule asks for; what it only speaks against is none."""
        if rule.kind == "needs":
            return {self._names[variable] for variable in self.providers(rule.text)}
        name = split(rule.text).name
        return (name,) if rule.kind == "requires" and name in self.candidates else ()

    def names_in(self, rule: Rule) -> Iterator[str]:
        """The plugins that a rule is about, each as often as it is."""
        return (self._names[abs(literal)] for clause in rule.clauses for literal in clause)

    def manifest(self, variable: int) -> Manifest:
        """What a variable below `size` stands for."""
        name = self._names[variable]
        return self.candidates[name][variable - self._first[name]]

    def _place(self, manifest: Manifest) -> int:
        return self.candidates[manifest.name].index(manifest)

    def _ladder(self, name: str, count: int) -> list[int]:
        """At most one of a plugin's versions, in four clauses each instead of one for each pair."""
        first = self._first[name]
        steps, once = [first], self._once.setdefault(name, [])
        for variable in range(first + 1, first + count):
            below, step = steps[-1], len(self._names)
            self._names.append(name)
            steps.append(step)
            once += [[-below, step], [-variable, step], [-step, below, variable], [-below, -variable]]
        return steps

    # -- rules ------------------------------------------------------------------------------------

    def rules(self) -> Iterator[Rule]:
        """Everything that the manifests say of each other."""
        for name in self.candidates:
            yield from self.rules_of(name)

    def rules_of(self, name: str) -> Iterator[Rule]:
        """What the versions of one plugin say."""
        for variable, manifest in zip(self.variables(name), self.candidates[name], strict=True):
            for text in manifest.requires:
                yield Rule("requires", text, ([-variable, *self.fitting(text)],), manifest)
            for need in manifest.needs:
                yield Rule("needs", need, ([-variable, *self.providers(need)],), manifest)
            for text in manifest.conflicts:
                if clauses := tuple([-variable, -other] for other in self.fitting(text)):
                    yield Rule("conflicts", text, clauses, manifest)
            if self.host_version and not fits(manifest.requires_host, self.host_version):
                yield Rule("requires_host", manifest.requires_host, ([-variable],), manifest)

    def fitting(self, text: str) -> list[int]:
        """The versions of a plugin that a relation admits."""
        if text not in self._fitting:
            name, versions = split(text)
            found = enumerate(self.candidates.get(name, ()), self._first.get(name, 0))
            self._fitting[text] = [variable for variable, each in found if fits(versions, each.version)]
        return self._fitting[text]

    def providers(self, need: str) -> list[int]:
        """The versions of plugins that provide what a need admits."""
        name, versions = split(need)
        return [variable for variable, version in self._offers.get(name, ()) if fits(versions, version)]

    def _find_offers(self) -> dict[str, list[tuple[int, str]]]:
        offers: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for name, versions in self.candidates.items():
            for variable, manifest in enumerate(versions, self._first[name]):
                if manifest.provides:
                    for capability, version in manifest.capabilities().items():
                        offers[capability].append((variable, version))
        return offers

    # -- what follows from them -------------------------------------------------------------------

    def solver(self, rules: Iterable[Rule]) -> Any:
        """A solver that holds these rules; close it.

        Raises:
            MissingExtraError: python-sat is not installed.
        """
        solver = new_solver()
        solver.append_formula(clause for once in self._once.values() for clause in once)
        solver.append_formula(clause for rule in rules for clause in rule.clauses)
        return solver

    def core(self, rules: Sequence[Rule]) -> list[Rule] | None:
        """A smallest part of the rules that cannot hold together: without any one of them it could.

        Of several such parts, one that does without the rules further back; None where all can hold.
        """
        with self.solver(()) as solver:
            # The solver names those of its assumptions that clash: there is one for each rule.
            switches = {len(self._names) + place: rule for place, rule in enumerate(rules)}
            solver.append_formula(
                [-switch, *clause] for switch, rule in switches.items() for clause in rule.clauses
            )
            if solver.solve(assumptions=list(switches)):
                return None
            return self._shrunk([switches[switch] for switch in sorted(solver.get_core())])

    def _shrunk(self, core: list[Rule]) -> list[Rule]:
        concerned = sorted({name for rule in core for name in self.names_in(rule)})
        once = [clause for name in concerned for clause in self._once[name]]
        for rule in reversed(core):
            others = [each for each in core if each is not rule]
            with new_solver() as solver:
                solver.append_formula(once + [clause for each in others for clause in each.clauses])
                if not solver.solve():
                    core = others
        return core


def new_solver() -> Any:
    """An empty solver; close it, or use it as a context manager.

    Raises:
        MissingExtraError: python-sat is not installed.
    """
    try:
        from pysat.solvers import Minisat22
    except ImportError as error:
        return missing_extra(_FEATURE, "resolve", error)
    return Minisat22()
