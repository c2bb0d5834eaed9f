"""The words for those who write plugins: how a new one begins, and whether it is ready for others."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugbook.errors import ManifestError, UnknownNameError

from .kinds import Named
from .values import Rows, Text
from .words import word

if TYPE_CHECKING:
    from plugbook.checking.report import CheckReport
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


@word()
@click.argument("path", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON, for other programs.")
@click.option("--no-run", is_flag=True, help="Only read it; run none of its code.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=20.0, help="Seconds for trying a plugin."
)
@click.option("--api-version", metavar="VERSION", help="Of the application that it is for (requires_host).")
@click.option(
    "--record", "recording", type=click.Path(dir_okay=False), help="Record the trial into this file."
)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
def check(
    door: Door,
    path: str | None,
    as_json: bool,
    no_run: bool,
    timeout: float,
    api_version: str | None,
    recording: str | None,
    strict: bool,
) -> CheckReport | Text | None:
    r"""Check a plugin: read all that it says, then try it in a process of its own.

    \b
    check billing.py                a file
    check plugins/                  a folder with a plugin.toml, or with folders that have one
    check .                         a project: the entry points in its pyproject.toml
    check billing                   an installed plugin
    check shop.billing:Billing      an entry point
    %pb check [billing]             the last plugin cell of a notebook, or that of this plugin

    It is started, given an event of each type that it takes, and stopped, twice; then it is said what is left of it.
    In the terminal the exit code is 1 where there are errors, and 2 where there is nothing to check.
    """
    options = {"run": not no_run, "timeout_s": timeout, "recording": recording or ""}
    if api_version:
        options["api_version"] = api_version
    try:
        report = _checked(door, path, options)
    except (UnknownNameError, ManifestError) as error:
        raise click.UsageError(str(error)) from error
    told = Text(report.json()) if as_json else report
    if door.name == "terminal" and (report.errors or (strict and report.warnings)):
        click.echo(str(told))
        click.get_current_context().exit(1)
    return told


def _checked(door: Door, path: str | None, options: dict[str, Any]) -> CheckReport:
    """What comes of a path, or else of a plugin that was typed here, or that is on the current host."""
    from plugbook.checking.check import check as check_plugin
    from plugbook.checking.check import check_sources

    is_path = path is not None and Path(path).expanduser().exists()
    typed = None if is_path else door.typed_plugin(path)
    if typed is not None:
        return check_sources(typed.files, "the cell", typed.lines_before, **options)
    if path is None:
        msg = "Say what to check, as in: check billing.py"
        raise click.UsageError(msg)
    return check_plugin(path if is_path else _loaded(door, path), **options)


def _loaded(door: Door, name: str) -> str:
    """Where a plugin of the current host came from; any other name stays what it is."""
    handle = getattr(door.current(), "plugins", {}).get(name)
    if handle is None:
        return name
    source = Path(handle.manifest.source)
    return str(source) if source.is_file() else str(handle.manifest.entry_point)


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
