"""How the report of a check is shown: each plugin with what to mend, how its trial went, and what it printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plugbook.checking.problem import near
from plugbook.trace.units import count_text, duration_text

from .markup import Html, chip, code, folded, head, html_of, join, page, table, tag
from .palette import Mark, outcome_mark

if TYPE_CHECKING:
    from plugbook.checking.problem import Problem
    from plugbook.checking.report import Checked, CheckReport

_SEVERITIES: Final = {"error": Mark("#d55e00", "✕"), "warning": Mark("#e0a100", "!")}
_FINE: Final = Mark("#009e73", "✓")


def check(shown: CheckReport) -> str:
    """The problems of each plugin, and its short life in a fresh process."""
    problems = shown.of("")
    parts = [_problems(problems)] if problems else []
    for plugin in shown.plugins:
        parts += _plugin(plugin, shown.of(plugin.name))
    return page(head("Check", shown.verdict), tag("div", shown.where, cls="pb-place"), *parts)


def _plugin(plugin: Checked, problems: list[Problem]) -> list[Html]:
    fine = not any(each.severity == "error" for each in problems)
    title = chip(_FINE, plugin) if fine else chip(_SEVERITIES["error"], plugin)
    parts = [tag("h4", title, " ", tag("span", near(plugin.place), cls="pb-place"))]
    if problems:
        parts.append(_problems(problems))
    run = plugin.run
    if run is not None:
        if run.phases:
            parts.append(tag("div", join([_phase(*each) for each in _told(plugin)], "&ensp;")))
        parts += [tag("div", note, cls="pb-quiet") for note in run.notes]
        if run.output:
            lines = count_text(len(run.output.splitlines()), "line")
            parts.append(folded(f"it printed {lines}", tag("pre", run.output)))
    return parts


def _told(plugin: Checked) -> list[tuple[str, str, int | None]]:
    return [(each.name, each.outcome, each.duration_ns) for each in plugin.run.phases] if plugin.run else []


def _phase(name: str, outcome: str, duration_ns: int | None) -> Html:
    took = f" {duration_text(duration_ns)}" if duration_ns is not None else ""
    return chip(outcome_mark(outcome), f"{name}{took}")


def _problems(problems: list[Problem]) -> Html:
    rows = [
        (
            chip(_SEVERITIES[each.severity], each.code),
            tag("span", each.place.rpartition("/")[2], title=each.place, cls="pb-code"),
            _message(each),
        )
        for each in problems
    ]
    return table(["problem", "where", "what, and what to do"], rows)


def _message(problem: Problem) -> Html:
    parts: list[Html] = [html_of(problem.message)]
    if problem.source.strip():
        parts.append(tag("div", code(problem.source.strip())))
    if problem.remedy:
        parts.append(tag("div", problem.remedy, cls="pb-quiet"))
    if problem.details:
        parts.append(folded("traceback", tag("pre", problem.details)))
    return join(parts)
