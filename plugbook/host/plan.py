"""What a lifecycle request will do, before it does it, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from plugbook.errors import PluginError, ReloadError
from plugbook.plugins.leaks import Leaks
from plugbook.trace.telling import place_of, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plugbook.plugins.leaks import Leak
    from plugbook.plugins.resolving.mending import Mend
    from plugbook.plugins.resolving.resolution import Problem


_EXPLAINED: Final = ("add", "configure", "reload")
"""What was done with a reason that people are told."""


@dataclass(frozen=True, slots=True)
class Step:
    """One plugin's part of a request.

    Attributes:
        action: ``start``, ``stop``, ``load``, ``unload``, ``add``, ``configure``, ``reload``, ``tell`` ...
        plugin: whose.
        because: why it is part of it.
    """

    action: str
    plugin: str
    because: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.plugin}" + (f" ({self.because})" if self.because else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a request, in order. It is only a statement: nothing has been done.

    Attributes:
        action: what was asked for.
        plugin: of which plugin.
        steps: what would be done.
        problem: why it cannot be done, or None.
    """

    action: str
    plugin: str
    steps: tuple[Step, ...] = ()
    problem: Problem | None = None

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        head = f"{self.action} {self.plugin}"
        if self.problem is not None:
            return f"{head}: not possible: {self.problem.explanation}. {self.problem.remedy}"
        if not self.steps:
            return f"{head}: nothing to do"
        return "\n".join([f"{head}:", *(f"  {n}. {step}" for n, step in enumerate(self.steps, 1))])

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Generation:
    """A plugin has other code now, or a new instance of the same.

    Attributes:
        plugin: which one.
        old: the number of the generation that was replaced; 0 where there was none.
        new: the number of the one that runs.
        kept: what became of its state.
        duration_ns: how long all of it took, from the snapshot to the last cleanup.
        stale: looks for what is alive of the old generation.
    """

    plugin: str
    old: int
    new: int
    kept: str
    duration_ns: int
    stale: Callable[[], list[Leak]] = field(repr=False)


@dataclass(slots=True)
class Changes:
    """What a request did.

    Attributes:
        done: the steps that succeeded, in order.
        failed: what failed, by plugin.
        blocked: the plugins that could not be started, and why.
        generations: the plugins that have other code now.
    """

    done: list[Step] = field(default_factory=list)
    failed: dict[str, BaseException] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    generations: list[Generation] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether everything succeeded."""
        return not self.failed and not self.blocked

    @property
    def stale(self) -> Leaks:
        """What is alive at this moment of the generations that others have replaced, and who holds it."""
        return Leaks(leak for each in self.generations for leak in each.stale())

    def check(self) -> Changes:
        """Raise if anything failed or was blocked; otherwise the changes themselves.

        Raises:
            PluginError: names every plugin concerned; the first failure is its cause.
        """
        if self.is_complete:
            return self
        first = next(iter(self.failed), None)
        msg = "; ".join(self._troubles())
        error = self.failed.get(first or "")
        if isinstance(error, ReloadError):
            raise error
        raise PluginError(msg, plugin=first, phase="start") from error

    def _troubles(self) -> list[str]:
        failed = [f"{name} failed: {tell(error)}{_at(error)}" for name, error in self.failed.items()]
        return failed + [f"{name} was not started: {why}" for name, why in self.blocked.items()]

    def __str__(self) -> str:
        verbs: dict[str, list[str]] = {}
        for step in self.done:
            aside = f" ({step.because})" if step.action in _EXPLAINED and step.because else ""
            verbs.setdefault(step.action, []).append(step.plugin + aside)
        done = [f"{_past(action)} {', '.join(names)}" for action, names in verbs.items()]
        return "\n".join(done + self._troubles()) or "nothing to do"

    __repr__ = __str__


def _at(error: BaseException) -> str:
    place = place_of(error, brief=True)
    return f" ({place})" if place else ""


def _past(verb: str) -> str:
    irregular = {"stop": "stopped", "tell": "told"}
    return irregular.get(verb, f"{verb.removesuffix('e')}ed")


@dataclass(frozen=True, slots=True)
class Why:
    """Why a plugin is in the state it is in, down to the first cause.

    Attributes:
        plugin: which one.
        state: the state it is in.
        chain: sentences, each explained by the next; the last one is the first cause.
        troubles: what went wrong since, of a plugin that is active all the same.
        remedy: the smallest change that would mend it, or ``""`` where nothing needs mending.
        mend: that change, where it could be tried on a copy, and was.
    """

    plugin: str
    state: str
    chain: tuple[str, ...]
    remedy: str = ""
    troubles: tuple[str, ...] = ()
    mend: Mend | None = None

    def __str__(self) -> str:
        lines = [f"{self.plugin} is {self.state}"]
        lines += [f"{'  ' * depth}because {cause}" for depth, cause in enumerate(self.chain, 1)]
        lines += [f"but {trouble}" for trouble in self.troubles]
        if self.remedy:
            lines.append(f"To mend it: {self.remedy}")
        return "\n".join(lines)

    __repr__ = __str__
