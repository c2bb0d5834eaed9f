"""The words for those who write plugins: how a new one begins."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from .kinds import Named
from .values import Rows
from .words import word

if TYPE_CHECKING:
    from plugbook.scaffold.package import NewPackage

    from .door import Door


def _templates(_: Door) -> Iterable[str]:
    from plugbook.scaffold.template import templates

    return templates()


@word()
@click.argument("name", required=False)
@click.option("--template", type=Named("template", _templates), help="What to begin with; see --list.")
@click.option("--into", type=click.Path(file_okay=False), default=".", help="The folder to make it in.")
@click.option("--describe", metavar="TEXT", help="What the plugin does, in a line.")
@click.option("--author", metavar="TEXT", help="A name, an address, or both: 'Ada <ada@example.org>'.")
@click.option("--force", is_flag=True, help="Replace files that are in the way.")
@click.option("--yes", is_flag=True, help="Ask nothing; what is not said has its default.")
@click.option("--list", "lists", is_flag=True, help="List the templates.")
def new(door: Door, name: str | None, yes: bool, lists: bool, **said: Any) -> Rows | NewPackage:
    r"""Make the package of a new plugin, which works, with tests, a README and a CI file.

    \b
    new shop-billing
    new shop-billing --template async --into plugins
    new --list

    In a terminal it asks for what is not said. Files that are there already are never replaced without --force.
    """
    from plugbook.scaffold.package import new_package
    from plugbook.scaffold.template import templates

    if lists:
        rows = [(each.name, each.summary) for each in templates().values()]
        return Rows(("template", "what it is"), tuple(rows))
    if _may_ask(door) and not yes:
        name, said = _asked(name, said)
    if not name:
        msg = "Name the package, as in: new shop-billing"
        raise click.UsageError(msg)
    options = {option: value for option, value in said.items() if value is not None}
    if "describe" in options:
        options["description"] = options.pop("describe")
    return new_package(name, **options)


def _may_ask(door: Door) -> bool:
    """Whether somebody is there to answer: a notebook runs from top to bottom, and nobody types into a pipe."""
    return door.name == "terminal" and sys.stdin.isatty()


def _asked(name: str | None, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What was said, and what the person answers to the rest."""
    from plugbook.scaffold.naming import names_of
    from plugbook.scaffold.package import DEFAULT_TEMPLATE
    from plugbook.scaffold.template import templates

    answers = dict(said)
    name = name or click.prompt("Name of the package, such as shop-billing")
    names_of(name)  # so that nobody answers the rest for a name that cannot be
    if answers["template"] is None:
        for template in templates().values():
            click.echo(f"  {template.name:<15}{template.summary}")
        choice = click.Choice(list(templates()))
        answers["template"] = click.prompt("Template", DEFAULT_TEMPLATE, type=choice, show_choices=False)
    if answers["describe"] is None:
        answers["describe"] = click.prompt("What it does, in a line", "", show_default=False)
    if answers["author"] is None:
        answers["author"] = click.prompt("Author (name <address>)", "", show_default=False)
    return name, answers
