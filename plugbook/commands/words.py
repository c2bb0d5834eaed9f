"""A word of the command table, and the group of words behind a door: click, with our way to name what is meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from plugbook.errors import UnknownNameError, suggestion

from .door import DoorName, Needs, door_of

BOTH: tuple[DoorName, ...] = ("terminal", "notebook")
NOTEBOOK: tuple[DoorName, ...] = ("notebook",)
TERMINAL: tuple[DoorName, ...] = ("terminal",)

_WHOLE: Final = 1_000
"""Longer than any first sentence of a help text."""


class Word(click.Command):
    """One command. Its function takes the door first, then what was typed, and returns a value.

    Attributes:
        needs: what it works on.
        doors: where it can be typed.
    """

    needs: Needs
    doors: tuple[DoorName, ...]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """What says on what it works, which each door decides, before its own parameters."""
        return [*door_of(ctx).target_parameters(self.needs), *super().get_params(ctx)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As in click, once the door has taken its own."""
        if ctx.resilient_parsing and args and args[-1].startswith("-"):
            # An option whose value is being completed would keep click from reading the rest.
            args = args[:-1]
        return super().parse_args(ctx, door_of(ctx).take_target(self.needs, args))

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, and let the door bring the value to the person."""
        door = door_of(ctx)
        callback: Any = self.callback
        door.aim(ctx.params)
        return door.serve(lambda: ctx.invoke(callback, door, **ctx.params))


class Words(click.Group):
    """The words of one door; one that is not there is answered with the nearest.

    Attributes:
        elsewhere: the words that can only be typed at the other door.
    """

    elsewhere: frozenset[str] = frozenset()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, but for the answer to a word that is not there.

        Raises:
            UnknownNameError: it is not there.
        """
        word = args[0]
        if not ctx.resilient_parsing and self.get_command(ctx, word) is None:
            known = self.list_commands(ctx)
            door = door_of(ctx)
            remedy = suggestion(word, known)
            if word in self.elsewhere:
                remedy = (
                    " That is a word for a notebook: %pb."
                    if door.name == "terminal"
                    else " That is a word for the terminal."
                )
            msg = f"There is no command {word!r} here.{remedy} '{door.prompt} help' lists them."
            raise door.mistake(UnknownNameError(msg, name=word, known=known))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each word with its whole first sentence; click would cut it to one line."""
        rows = [(name, each.get_short_help_str(_WHOLE)) for name, each in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which goes from plugins to recordings."""
        return list(self.commands)


def word(
    needs: Needs = "", *, name: str | None = None, doors: Sequence[DoorName] = BOTH, **settings: Any
) -> Callable[[Callable[..., Any]], Word]:
    """Make a word of a function; its docstring is the help.

    Args:
        needs: what it works on.
        name: the word, where it is not the function's name.
        doors: where it can be typed.
        **settings: for `click.Command`.
    """

    def make(function: Callable[..., Any]) -> Word:
        # In a raw docstring the sign for a paragraph that keeps its lines is two characters, which click shows.
        told = inspect.cleandoc(function.__doc__ or "").replace("\\b\n", "\b\n")
        made = click.command(name or function.__name__, cls=Word, help=told, **settings)(function)
        made.needs, made.doors = needs, tuple(doors)
        return made

    return make
