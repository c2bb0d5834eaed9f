"""What a resolution says: who starts in which order, who refers to whom, and why somebody cannot start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from plugbook.errors import CycleError, ResolutionError, suggestion
from plugbook.plugins.manifest import split

EdgeKind = Literal["requires", "optional", "conflicts", "capability"]
ProblemKind = Literal["missing", "version", "capability", "host", "conflict", "cycle", "requirement"]


class Edge(NamedTuple):
    """One plugin refers to another one.

    Attributes:
        source: the plugin whose manifest says so.
        target: the plugin it refers to; for a capability the provider that was chosen.
        kind: ``requires``, ``optional``, ``conflicts`` or ``capability``.
        text: what the manifest says, such as ``ledger<3,>=1``.
    """

    source: str
    target: str
    kind: EdgeKind
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one plugin cannot start.

    Attributes:
        plugin: which one.
        kind: ``missing``, ``version``, ``capability``, ``host``, ``conflict`` and ``cycle`` are first causes;
            ``requirement`` means that something it needs has a problem of its own.
        facts: the sentences that together exclude it; none can be left out.
        because: the problem of what it needs, for ``requirement``.
        plugins: the names the facts are about; where a plugin is missing, those that provide a capability of its name.
        wanted: what was looked for: a plugin or capability, with its range.
        known: the names there are where `wanted` was looked for.
    """

    plugin: str
    kind: ProblemKind
    facts: tuple[str, ...]
    because: Problem | None = field(default=None, repr=False, compare=False)
    plugins: tuple[str, ...] = ()
    wanted: str = ""
    known: Collection[str] = field(default=(), repr=False, compare=False)

    @property
    def text(self) -> str:
        """What is wrong here, in one sentence."""
        return "; ".join(self.facts)

    @property
    def chain(self) -> tuple[Problem, ...]:
        """This problem, what it comes from, and so on to the first cause."""
        chain = [self]
        while (cause := chain[-1].because) is not None:
            chain.append(cause)
        return tuple(chain)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The facts from this plugin down to the first cause, each once."""
        *facts, last = dict.fromkeys(fact for problem in self.chain for fact in problem.facts)
        return (*facts, f"{last}: that is a cycle" if self.chain[-1].kind == "cycle" else last)

    @property
    def explanation(self) -> str:
        """From what was asked for down to the first cause, in plain sentences."""
        return "; ".join((f"you asked for {self.plugin}", *self.sentences))

    @property
    def advice(self) -> str:
        """The same where nobody asked for this plugin in particular, and what would mend it."""
        return f"{'; '.join(self.sentences)}. {self.remedy}"

    @property
    def remedy(self) -> str:
        """The smallest change that would mend the first cause."""
        first = self.chain[-1]
        relation = split(first.wanted)
        match first.kind:
            case "missing" if first.plugins:
                provider = first.plugins[0]
                return f"Write needs=[{first.wanted!r}] instead of requires: {provider} provides {relation.name}."
            case "missing":
                return f"Add a plugin {first.wanted}.{suggestion(relation.name, first.known, listing=False)}"
            case "capability":
                near = suggestion(relation.name, first.known, listing=False)
                return f"Add a plugin that provides {first.wanted}, or let one that is here do so.{near}"
            case "version":
                return f"Use {relation.name} {relation.versions}, or widen what {first.plugin} requires."
            case "host":
                return f"Use a version of {first.plugin} that is made for this host, or a host that it is made for."
            case "conflict":
                return f"Remove {' or '.join(first.plugins)}."
            case _:
                return "Make one of them optional, or move what they share into a plugin of its own."

    def error(self) -> ResolutionError:
        """The same as an exception: a `CycleError` where the first cause is a circle."""
        first = self.chain[-1]
        message = f"{self.plugin!r} cannot start: {self.explanation}. {self.remedy}"
        if first.kind == "cycle":
            return CycleError(message, plugins=first.plugins)
        names = [name for problem in self.chain for name in (problem.plugin, *problem.plugins)]
        return ResolutionError(message, plugins=tuple(dict.fromkeys(names)))


@dataclass(frozen=True)
class Resolution:
    """What can start, in which order, and what cannot.

    Attributes:
        layers: each layer needs nothing but the layers before it; inside one, the order given.
        problems: why the others cannot start, by name.
        edges: who refers to whom, of all plugins, also of those that cannot start.
        notes: what was passed over, such as an optional plugin of the wrong version.
    """

    layers: tuple[tuple[str, ...], ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The plugins that can start, each after what it needs."""
        return tuple(name for layer in self.layers for name in layer)

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """For each plugin what it needs directly: by `requires`, or as the provider of a capability."""
        return self._neighbours(lambda edge: (edge.source, edge.target))

    @cached_property
    def needed_by(self) -> Mapping[str, tuple[str, ...]]:
        """For each plugin who needs it directly."""
        return self._neighbours(lambda edge: (edge.target, edge.source))

    def requirements_of(self, name: str) -> tuple[str, ...]:
        """What must be active before `name` starts, directly or not, first to start first."""
        return _reach(name, self.needs)

    def dependents_of(self, name: str) -> tuple[str, ...]:
        """What needs `name`, directly or not, first to stop first."""
        return _reach(name, self.needed_by)

    def check(self) -> None:
        """Refuse a resolution that has a problem.

        Raises:
            CycleError: plugins require each other in a circle.
            ResolutionError: something else is wrong.
        """
        for problem in self.problems.values():
            if problem.because is None:
                raise problem.error()

    def _neighbours(self, ends: Callable[[Edge], tuple[str, str]]) -> dict[str, tuple[str, ...]]:
        near: dict[str, dict[str, None]] = defaultdict(dict)
        for edge in self.edges:
            if edge.kind in ("requires", "capability"):
                one, other = ends(edge)
                near[one][other] = None
        return {name: tuple(others) for name, others in near.items()}


def _reach(name: str, near: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Everything that can be reached, what is reached from others after them; a stack, for long chains."""
    done: dict[str, None] = {}
    seen = {name}
    path = [(name, iter(near.get(name, ())))]
    while path:
        node, targets = path[-1]
        target = next((each for each in targets if each not in seen), None)
        if target is None:
            done[node] = None
            path.pop()
        else:
            seen.add(target)
            path.append((target, iter(near.get(target, ()))))
    del done[name]
    return tuple(done)
