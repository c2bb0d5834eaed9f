"""How each object that a person leaves on a cell's last line is shown: one function a type, object to HTML."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from plugbook.errors import PlugbookError
from plugbook.trace.units import count_text, duration_text

from .check_picture import check as check
from .markup import (
    LONGEST_TEXT,
    Html,
    bar,
    chip,
    code,
    cut,
    folded,
    head,
    html_of,
    join,
    page,
    safe_repr,
    stats,
    table,
    tag,
)
from .palette import UNKNOWN, outcome_mark, state_mark
from .views import error_place, error_text, reason_of

if TYPE_CHECKING:
    from plugbook.errors import PlugbookError
    from plugbook.events.dispatch.question import Answer, Answers
    from plugbook.events.dispatch.report import Call, Report
    from plugbook.host.host import Host
    from plugbook.host.plan import Changes, Plan, Why
    from plugbook.host.supervision.dead_letters import DeadLetters
    from plugbook.plugins.authoring.builder import PluginBuilder
    from plugbook.plugins.extending.contributions import ExtensionTable
    from plugbook.plugins.leaks import Leak, Leaks
    from plugbook.plugins.plugin import Plugin
    from plugbook.plugins.settings.view import Option, PluginConfig
    from plugbook.replay.player import Player
    from plugbook.scaffold.package import NewPackage
    from plugbook.trace.reading.recording import Recording
    from plugbook.trace.reading.summary import Summary
    from plugbook.trace.reading.tree import Tree
    from plugbook.trace.record import Record

_SUMMED_UP: Final = 100_000
"""Records up to which showing a recording sums it up at once; beyond, that would keep a cell waiting."""

_TREE_SHOWN: Final = 400
_NOTES_SHOWN: Final = 5


def report(shown: Report) -> str:
    """What became of an event: a line for each handler, with its time, outcome and answer."""
    calls = shown.calls
    longest = max((call.duration_ns or 0 for call in calls), default=0) or 1
    notes = [count_text(len(calls), "call"), _took(shown.duration_ns), shown.reason]
    title = join([code(shown.topic), chip(outcome_mark(shown.outcome), shown.outcome)], "&ensp;")
    event = folded("event", tag("pre", safe_repr(shown.event)))
    if not calls:
        nobody = "No handler takes this event. A handler for it is a method with @on of its type or topic."
        if shown.outcome == "skipped":
            nobody = "It was not delivered to anybody."
        return page(head(title, shown.reason), tag("div", nobody, cls="pb-quiet"), event)
    rows = [
        (
            _seq(call.seq),
            code("\u2003" * call.depth + call.handler),
            call.plugin,
            bar((call.duration_ns or 0) / longest, _took(call.duration_ns)),
            chip(outcome_mark(call.outcome), call.outcome),
            _answer(call),
        )
        for call in calls
    ]
    return page(
        head(title, *notes), table(["seq", "handler", "plugin", "time", "outcome", "result"], rows), event
    )


def answer(shown: Answer | Answers) -> str:
    """What was answered and by whom, and below it what became of the question."""
    return page(head(code(repr(shown).partition("\n")[0]))) + report(shown.report)


def host(shown: Host) -> str:
    """The plugins of a host with their states."""
    handles = list(shown.plugins.values())
    active = sum(str(handle.state) == "active" for handle in handles)
    recording = shown.recording
    kept = "nothing is recorded" if recording is None else f"recording to {recording.path or 'memory'}"
    if not handles:
        return page(head("Host", "no plugins yet: host.add(MyPlugin)"))
    rows = [
        (
            handle.name,
            handle.manifest.version,
            chip(state_mark(handle.state), handle.state),
            _clock_time(handle.since_ns),
            _took(handle.start_ns) if handle.start_ns is not None else "",
            cut(reason_of(shown, handle.name)),
        )
        for handle in handles
    ]
    notes = (
        f"{active} of {count_text(len(handles), 'plugin')} active",
        count_text(len(shown.subscriptions), "handler"),
        kept,
    )
    return page(
        head("Host", *notes), table(["plugin", "version", "state", "since", "#start took", "why"], rows)
    )


def plan(shown: Plan) -> str:
    """The steps a request would take."""
    title = f"{shown.action} {shown.plugin}"
    if shown.problem is not None:
        return page(
            head(title, "not possible"),
            tag("div", tag("div", shown.problem.explanation), _mend(shown.problem.remedy), cls="pb-bad"),
        )
    if not shown.steps:
        return page(head(title, "nothing to do"))
    steps = [
        tag("li", tag("b", step.action), " ", step.plugin, _because(step.because)) for step in shown.steps
    ]
    return page(
        head(title, f"would take {count_text(len(steps), 'step')}; nothing was done yet"), tag("ol", *steps)
    )


def dead_letters(shown: DeadLetters) -> str:
    """The events that a plugin has missed."""
    rows = [
        (_seq(each.seq), code(each.topic), code(each.handler), each.why, _clock_time(each.time_ns))
        for each in shown
    ]
    title = head("Dead letters", shown.title)
    return page(title, table(["seq", "topic", "handler", "why", "when"], rows) if rows else None)


def changes(shown: Changes) -> str:
    """What a request did."""
    steps = [
        tag("li", tag("b", step.action), " ", step.plugin, _because(step.because)) for step in shown.done
    ]
    failed = [
        tag("li", chip(state_mark("failed"), name), ": ", _failure(error))
        for name, error in shown.failed.items()
    ]
    blocked = [
        tag("li", chip(UNKNOWN, name), " was not started: ", cut(why)) for name, why in shown.blocked.items()
    ]
    if not (steps or failed or blocked):
        return page(head("Nothing to do"))
    trouble = tag("div", tag("ul", *failed, *blocked), cls="pb-bad") if failed or blocked else None
    title = "Done" if shown.is_complete else "Done in part" if steps else "Not done"
    return page(head(title, count_text(len(steps), "step")), tag("ol", *steps) if steps else None, trouble)


def why(shown: Why) -> str:
    """The chain of causes, each below what it explains."""
    title = join([shown.plugin, chip(state_mark(shown.state), shown.state)], "&ensp;")
    causes = [
        tag("div", "because ", cause, style=f"padding-left:{18 * depth}px")
        for depth, cause in enumerate(shown.chain, 1)
    ]
    troubles = [tag("div", "but ", trouble, cls="pb-bad") for trouble in shown.troubles]
    return page(head(title), *causes, *troubles, _mend(shown.remedy))


def leaks(shown: Leaks) -> str:
    """What stopped plugins left behind, and what others would, each with who holds it and what to write instead."""
    if not shown:
        return page(head("Leaks", "nothing was left behind"))
    ahead = sum(leak.is_ahead for leak in shown)
    counted = [
        f"{count_text(len(shown) - ahead, 'thing')} left behind" if ahead < len(shown) else "",
        f"{count_text(ahead, 'thing')} outside a scope" if ahead else "",
    ]
    rows = [
        (leak.plugin, leak.kind, code(leak.what), _whether(leak), leak.path, leak.place, leak.remedy)
        for leak in shown
    ]
    columns = ["plugin", "kind", "what", "", "held by", "from", "to mend it"]
    return page(head("Leaks", *filter(None, counted)), table(columns, rows))


def _whether(leak: Leak) -> str:
    return "its plugin runs, and would leave it behind" if leak.is_ahead else ""


def config(shown: PluginConfig) -> str:
    """The options of a plugin, with what each place says that another one stands above."""
    if not shown:
        return page(head(f"Configuration of {shown.plugin}", "no options"))
    rows = [
        (
            code(option.name),
            code(option.value_text),
            _source(option),
            code(option.type),
            code(option.default_text),
            option.remark,
        )
        for option in shown.values()
    ]
    problem = tag("div", shown.problem, cls="pb-bad") if shown.problem else None
    title = head(f"Configuration of {shown.plugin}", count_text(len(rows), "option"))
    return page(title, problem, table(["option", "value", "from", "type", "default", "what"], rows))


def plugin(shown: Plugin | PluginBuilder | type[Plugin]) -> str:
    """What a plugin says about itself, the same however it was written."""
    from plugbook.plugins.authoring.description import describe
    from plugbook.plugins.plugin import Buildable, as_class

    given = as_class(shown)
    told = describe(given if isinstance(given, type) else type(given))
    rows = [
        (heading, join(map(code, items), Html("<br>")))
        for heading, items in told.fields.items()
        if heading != "summary"
    ]
    title = head(
        f"Plugin {told.manifest}", told.manifest.summary, shown.hint if isinstance(shown, Buildable) else ""
    )
    return page(title, table(["field", "what it says"], rows) if rows else None)


def extensions(shown: ExtensionTable) -> str:
    """Who declares which extension point, and what plugins contribute to it, in order."""
    rows = [
        (point.name, point.owner or chip(UNKNOWN, "nobody"), code(point.contract), plugin, what, cut(lacks))
        for point in shown.values()
        for plugin, what, lacks in point.rows()
    ]
    if not rows:
        return page(head("No extension points"))
    headings = ("point", "declared by", "expects", "contributed by", "what", "lacks")
    return page(head("Extension points", count_text(len(shown), "point")), table(headings, rows))


def recording(shown: Recording) -> str:
    """A recording: summed up where that is quick, counted where it is long."""
    try:
        length = len(shown)
    except LookupError:
        raise
    except ValueError as closed:
        return page(
            head("Recording", str(shown.path or "in memory")), tag("div", str(closed), cls="pb-quiet")
        )
    if length <= _SUMMED_UP:
        return summary(shown.summary())
    first_ns, last_ns = shown.span
    figures = [(f"{shown.count(kind):,}", f"{kind}s") for kind in ("event", "call", "state", "log")]
    figures.append((duration_text(last_ns - first_ns), f"from {_date_time(first_ns)}"))
    hint = "recording.summary() tells more, which takes a moment for this many."
    return page(
        head("Recording", str(shown.path or "in memory")), stats(figures), tag("div", hint, cls="pb-quiet")
    )


def summary(shown: Summary) -> str:
    """A recording at a glance: how much, how long, what is slow, what failed, what recording cost."""
    figures: list[tuple[object, str]] = [
        (f"{count:,}", kind if count == 1 else f"{kind}s") for kind, count in shown.counts.items()
    ]
    if not figures:
        return page(head("Recording", shown.path, "nothing was recorded yet"))
    figures.append((duration_text(shown.span_ns), f"from {_date_time(shown.start_ns)}"))
    figures.append((f"{shown.overhead:.1%}", f"of it recording ({duration_text(shown.overhead_ns)})"))
    topics = [tag("span", code(topic), f" {count:,}") for topic, count in list(shown.topics.items())[:8]]
    more = len(shown.topics) - len(topics)
    return page(
        head("Recording", shown.path),
        stats(figures),
        tag(
            "div",
            tag("span", "topics: ", cls="pb-quiet"),
            join(topics, " · "),
            f" and {more} more" if more > 0 else "",
        ),
        _slowest(shown),
        _failures(shown),
        _allowed(shown),
        tag("div", f"The oldest {shown.dropped:,} rows were dropped.", cls="pb-bad")
        if shown.dropped
        else None,
        tag("div", shown.remark, cls="pb-bad") if shown.remark else None,
    )


def _slowest(shown: Summary) -> Html | None:
    rows = shown.handlers.head(5).to_dict("records")
    if not rows:
        return None
    longest = max(row["total_ns"] for row in rows) or 1
    cells = [
        (
            code(row["name"]),
            row.get("plugin", ""),
            bar(row["total_ns"] / longest, duration_text(row["total_ns"])),
            f"{row['calls']:,}",
            duration_text(row["p50_ns"]),
            duration_text(row["max_ns"]),
        )
        for row in rows
    ]
    headings = ["handler", "plugin", "time in all", "#calls", "#median", "#longest"]
    return join([tag("h4", "Slowest"), table(headings, cells, hidden=max(len(shown.handlers) - 5, 0))])


def _failures(shown: Summary) -> Html | None:
    if not shown.errors:
        return None
    rows = [
        (
            _seq(record.seq),
            code(record.name.replace("->", " → ")),
            record.plugin,
            _failure(record.error, record.reason),
        )
        for record in shown.errors
    ]
    left = shown.error_count - len(rows)
    return join(
        [
            tag("h4", f"Errors ({shown.error_count:,})"),
            table(["seq", "where", "plugin", "what"], rows, hidden=max(left, 0)),
        ]
    )


def _allowed(shown: Summary) -> Html:
    lines = [
        tag(
            "div",
            chip(outcome_mark("skipped" if reason else "ok"), what),
            tag("span", f" {reason}", cls="pb-quiet"),
        )
        for what, reason in shown.allows.items()
    ]
    return join([tag("h4", "What it allows"), *lines]) if lines else Html("")


def tree(shown: Tree) -> str:
    """What caused what, each record indented below its cause."""
    rows: list[tuple[object, ...]] = []
    waiting = [(0, shown)]
    total = len(shown)
    while waiting and len(rows) < _TREE_SHOWN:
        depth, node = waiting.pop()
        rows.append(_tree_row(node.record, depth, asked=node.asked))
        waiting += [(depth + 1, child) for child in reversed(node.children)]
    drawn = table(["what", "seq", "plugin", "#time", "outcome", "error"], rows, hidden=total - len(rows))
    return page(head("What caused what", count_text(total, "record")), drawn)


def _tree_row(record: Record, depth: int, *, asked: bool) -> tuple[object, ...]:
    from plugbook.trace.reading.tree import said_by

    lead = tag("span", "└ ", cls="pb-quiet") if depth else ""
    name = tag("b", code(record.name), " ◀") if asked else code(record.name)
    said = tag("span", " ", said_by(record)) if record.kind in ("input", "log", "mark") else ""
    return (
        tag("span", lead, name, said, style=f"display:block;padding-left:{depth * 18}px"),
        _seq(record.seq),
        record.plugin,
        _took(record.duration_ns),
        chip(outcome_mark(record.outcome), record.outcome),
        _failure(record.error, record.reason),
    )


def player(shown: Player) -> str:
    """Where a replay stands, and what it did so far."""
    position, result = shown.position, shown.result
    rate = "as fast as it goes" if shown.rate is None else f"{shown.rate:g} × real time"
    place = f"{position.index:,} of {count_text(shown.total, 'event')}"
    figures = [
        (f"{result.published:,}", "published"),
        (f"{result.calls:,}", "calls"),
        (f"{result.errors:,}", "errors"),
        (f"{result.matched:,}", "published by handlers as recorded"),
        (f"{result.differs + result.missing + result.extra:,}", "otherwise"),
    ]
    effects = result.effects
    if effects != type(effects)():
        figures += [
            (f"{effects.matched:,}", "effects given back"),
            (f"{effects.differs + effects.missing + effects.extra + effects.lost:,}", "otherwise"),
        ]
    told = (result.differences, effects.differences, effects.losses, result.unapplied, result.skips)
    notes = [tag("li", str(note)) for each in told for note in each[:_NOTES_SHOWN]]
    return page(
        head("Player", str(shown.state), rate),
        tag("div", bar(position.index / max(shown.total, 1), place)),
        stats(figures) if result.events else None,
        tag("ul", *notes) if notes else None,
    )


def new_package(shown: NewPackage) -> str:
    """A package that was made: its files, and what to do with them."""
    title = head(code(shown.shown_folder), f"made from the template {shown.template}")
    replaced = f"Replaced: {', '.join(shown.replaced)}" if shown.replaced else ""
    steps = tag("pre", "\n".join(shown.next_steps))
    return page(title, replaced, tag("pre", shown.tree), tag("h4", "Next, in a terminal"), steps)


def error(shown: PlugbookError) -> str:
    """An error that is looked at as a value: what and why first, its traceback folded."""
    message, _, rest = str(shown).partition("\n")
    parts = [tag("div", tag("b", type(shown).__name__)), tag("div", message)]
    if rest:
        parts.append(tag("pre", rest))
    if shown.__cause__ is not None:
        parts.append(tag("div", "from ", _failure(shown.__cause__), cls="pb-quiet"))
    trace = "".join(traceback.format_exception(shown)) if shown.__traceback__ else ""
    return page(tag("div", *parts, cls="pb-bad"), folded("traceback", tag("pre", trace)) if trace else None)


def _answer(call: Call) -> object:
    if call.error is not None:
        return _failure(call.error)
    if call.reason:
        return cut(call.reason)
    return "" if call.result is None else code(_json_or_repr(call.result))


def _failure(error: object, otherwise: str = "") -> Html:
    """What was raised, and below it where; or what else there is to say."""
    text = html_of(cut(error_text(error) or otherwise))
    place = error_place(error)
    return Html(text + tag("div", place, cls="pb-place")) if place else text


def _json_or_repr(value: object) -> str:
    if isinstance(value, Mapping | list):
        try:
            return cut(json.dumps(value, ensure_ascii=False))
        except (TypeError, ValueError):
            pass
    return safe_repr(value)[:LONGEST_TEXT]


def _mend(remedy: str) -> Html | None:
    return tag("div", tag("b", "To mend it: "), remedy, style="margin-top:4px") if remedy else None


def _source(option: Option) -> Html:
    below = [tag("div", place, ": ", value, cls="pb-quiet") for place, value in option.below_texts]
    return join([option.source, *below])


def _because(reason: str) -> Html | None:
    return tag("span", f" ({reason})", cls="pb-quiet") if reason else None


def _took(duration_ns: int | None) -> str:
    return "" if duration_ns is None else duration_text(duration_ns)


def _seq(seq: int) -> Html:
    return tag("span", _seq_text(seq), cls="pb-code pb-quiet")


def _seq_text(seq: object) -> str:
    from plugbook.trace.record import show_seq

    return f"#{show_seq(seq)}" if isinstance(seq, int) else str(seq)


def _clock_time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9).astimezone().strftime("%H:%M:%S") if time_ns else ""


def _date_time(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC" if time_ns else ""
