"""What a check found: for each plugin its problems and how its short life went, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from plugbook.checking.problem import near
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    from plugbook.checking.problem import Problem

_MOST_LINES: Final = 10
"""Of what a plugin printed that are shown; all of it is in the report."""


@dataclass(frozen=True)
class Phase:
    """One step in the life of a plugin in its fresh process.

    Attributes:
        name: ``import``, ``start``, ``handle order.placed``, ``stop`` and so on.
        outcome: ``ok``, ``error``, or ``timeout`` of one that did not end.
        duration_ns: how long it took; None where it did not end.
    """

    name: str
    outcome: str
    duration_ns: int | None = None

    def __str__(self) -> str:
        took = f" {self.duration_ns / 1e6:.1f} ms" if self.duration_ns is not None else ""
        return f"{self.name}{took}{'' if self.outcome == 'ok' else f' ({self.outcome})'}"


@dataclass
class Run:
    """The short life of one plugin.

    Attributes:
        phases: what was tried, in order.
        notes: what to know about it, such as what was made up, or why it was not run.
        output: what it printed.
    """

    phases: list[Phase] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    output: str = ""

    @property
    def events(self) -> int:
        """How many events it was given."""
        return sum(phase.name.startswith("handle ") for phase in self.phases)


@dataclass
class Checked:
    """One plugin.

    Attributes:
        name: its name.
        version: its version, or ``""`` where nobody says it.
        place: where it is written.
        run: how its short life went, or None where it was not run.
    """

    name: str
    version: str = ""
    place: str = ""
    run: Run | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


@dataclass(repr=False)
class CheckReport:
    """What `check` found; true where nothing is wrong but for warnings.

    Attributes:
        where: what was checked.
        plugins: the plugins that were found.
        problems: what is wrong.
    """

    where: str
    plugins: list[Checked] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        """The problems with which a plugin does not work, or leaves something behind."""
        return [each for each in self.problems if each.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        """The problems that soon may be errors."""
        return [each for each in self.problems if each.severity == "warning"]

    def of(self, plugin: str) -> list[Problem]:
        """The problems of one plugin, by place; of ``""`` those that are nobody's alone."""
        names = {each.name for each in self.plugins}
        theirs = [each for each in self.problems if (each.plugin if each.plugin in names else "") == plugin]
        return sorted(theirs, key=lambda each: (each.file, each.line, each.column))

    @property
    def verdict(self) -> str:
        """What it comes to, in a line."""
        found = {"error": len(self.errors), "warning": len(self.warnings)}
        told = ", ".join(count_text(number, noun) for noun, number in found.items() if number)
        where = count_text(len(self.plugins), "plugin") if self.plugins else "no plugin"
        return f"{told or 'nothing to mend'} in {where}"

    def __bool__(self) -> bool:
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "where": self.where,
            "ok": bool(self),
            "plugins": [asdict(each) for each in self.plugins],
            "problems": [each.to_json() for each in self.problems],
        }

    def json(self) -> str:
        """All of it as JSON text."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        lines = [str(each) for each in self.of("")]
        for plugin in self.plugins:
            lines += [f"{plugin} ({near(plugin.place)})" if plugin.place else str(plugin)]
            lines += [_indented(str(each)) for each in self.of(plugin.name)]
            lines += [_indented(each) for each in _told(plugin.run)]
        return "\n".join([*lines, self.verdict])

    __repr__ = __str__


def _told(run: Run | None) -> list[str]:
    """How the life of a plugin went, in lines."""
    if run is None:
        return []
    lines = [", ".join(map(str, run.phases))] if run.phases else []
    lines += run.notes
    printed = run.output.splitlines()
    if printed:
        rest = len(printed) - _MOST_LINES
        more = f" ({count_text(rest, 'more line')} in the report)" if rest > 0 else ""
        lines += [f"it printed{more}:", *(f"  {line}" for line in printed[:_MOST_LINES])]
    return lines


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def phases_of(results: list[Mapping[str, Any]]) -> list[Phase]:
    """The phases that a process told of; the last one may not have ended."""
    ended = {each["end"]: each for each in results if "end" in each}
    begun = [each["begin"] for each in results if "begin" in each]
    return [
        Phase(name, ended[name]["outcome"], ended[name]["duration_ns"])
        if name in ended
        else Phase(name, "timeout")
        for name in begun
        if name != "set up" or name not in ended
    ]
