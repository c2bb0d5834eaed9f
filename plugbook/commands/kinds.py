"""What can be typed after a word: the kinds of arguments, how each is read, and what completes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from plugbook.errors import PlugbookError
from plugbook.trace.record import KINDS, OUTCOMES, parse_seq

from . import names
from .door import Door, door_of

F = Callable[..., Any]

if TYPE_CHECKING:
    _Kind = click.ParamType[Any]
else:
    _Kind = click.ParamType  # it became generic with click 8.2


ANY_EXPRESSION = "expression"
"""The type of a completion that stands for any expression."""


class Named(_Kind):
    """A name that is looked up later; known names complete it."""

    def __init__(self, name: str, known: Callable[[Door], Iterable[str]]) -> None:
        self.name = name
        self._known = known

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The known names that begin like that."""
        door = door_of(ctx)
        door.aim(dict(ctx.params))
        with suppress(PlugbookError):  # the file that was typed cannot be read: then nothing is known
            return [CompletionItem(each) for each in self._known(door) if each.startswith(incomplete)]
        return []


class Expression(Named):
    """A Python expression in the person's own names; beyond these, the notebook's own completion knows best."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The known names, and a sign that any expression may stand there."""
        return [*super().shell_complete(ctx, param, incomplete), CompletionItem("", type=ANY_EXPRESSION)]


class Seq(_Kind):
    """A seq as it is shown: 10, or 10.3 for a call inside it."""

    name = "seq"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The raw number."""
        try:
            return parse_seq(value) if isinstance(value, str) else int(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Span(_Kind):
    """Two ends, ``A..B``, either of which may be left out."""

    def __init__(self, name: str, end: Callable[[str], Any]) -> None:
        self.name = name
        self._end = end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The two ends as a tuple, None where open."""
        first, dots, last = value.partition("..")
        try:
            ends = tuple(self._end(text) if text else None for text in (first, last if dots else first))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return ends


class Rate(_Kind):
    """A multiple of real time; ``max``, which is infinite, for as fast as it goes."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The multiple."""
        try:
            rate = math.inf if value == "max" else float(value)
        except ValueError:
            rate = 0.0
        if not rate > 0:
            self.fail(f"{value!r} is no rate: give a multiple of real time such as 2, or max", param, ctx)
        return rate

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """A few usual ones."""
        return [CompletionItem(each) for each in ("0.5", "1", "10", "max") if each.startswith(incomplete)]


class Limit(_Kind):
    """A number of events a second; ``off``, which is 0, for no limit."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            limit = 0.0 if value == "off" else float(value) or math.nan
        except ValueError:
            limit = math.nan
        if not 0 <= limit < math.inf:
            self.fail(f"{value!r} is no limit: give a number of events above 0, or off", param, ctx)
        return limit

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """A few usual ones."""
        return [CompletionItem(each) for each in ("1", "10", "off") if each.startswith(incomplete)]


def moment(text: str) -> float | str:
    """A moment as ``select`` takes it: seconds since the start, or an ISO time."""
    try:
        return float(text)
    except ValueError:
        return text


PLUGIN = Named("plugin", names.plugins)
TOPIC = Named("topic", names.topics)
TARGET = Named("name", names.targets)
EXPRESSION = Expression("expression", names.variables)
EVENT = Expression("event", names.events)
SEQ = Seq()
RATE = Rate()
LIMIT = Limit()
RECORDING_FILE = click.Path(dir_okay=False)

_CHOOSING: tuple[Callable[[F], F], ...] = (
    click.option("--topics", multiple=True, type=TOPIC, help="Events of these topics; order.* is a pattern."),
    click.option("--plugins", multiple=True, type=PLUGIN, help="What these plugins did."),
    click.option("--kinds", multiple=True, type=click.Choice(KINDS), help="Records of these kinds."),
    click.option("--outcome", multiple=True, type=click.Choice(OUTCOMES), help="What ended like that."),
    click.option("--seq", type=Span("seq..seq", parse_seq), help="From one seq to another."),
    click.option(
        "--time", type=Span("time..time", moment), help="From one moment to another: seconds or ISO."
    ),
)


def choosing(function: F) -> F:
    """Give a word the options that choose records; `chosen` reads them."""
    for option in reversed(_CHOOSING):
        function = option(function)
    return function


def chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that were given, as `Recording.select` takes them."""
    return {name: value for name, value in options.items() if value not in (None, ())}
