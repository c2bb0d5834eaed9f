"""The terminal's door: the `plugbook` command, with the words of the command table."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import click

from plugbook.commands import table
from plugbook.commands.door import Door, DoorName, Needs
from plugbook.commands.kinds import RECORDING_FILE
from plugbook.errors import PlugbookError, UnknownNameError

_FILE = "recording_file"
_HOST = "host_factory"


class Terminal(Door):
    """The door of one command line: the file comes after the word, and ``--host`` says where plugins run."""

    name: ClassVar[DoorName] = "terminal"
    prompt: ClassVar[str] = "plugbook"

    def __init__(self) -> None:
        super().__init__()
        self._file: str | None = None
        self._factory: str | None = None
        self._target: Any = None

    def current(self) -> Any:
        """The host or recording that was named."""
        if self._target is None and self._file is not None:
            from plugbook.trace.recording import open_recording

            self._target = open_recording(self._file)
        if self._target is None and self._factory is not None:
            self._target = _made_by(self._factory)
            self._target.start()
        return self._target

    def use(self, target: Any) -> None:
        """Make it the one that is meant, until this command has ended."""
        self._target = target

    def namespace(self) -> Mapping[str, Any]:
        """The names in the module that the host comes from."""
        return vars(importlib.import_module(self._factory.partition(":")[0])) if self._factory else {}

    def target_parameters(self, needs: Needs) -> list[click.Parameter]:
        """FILE where a recording is looked at, ``--host`` where plugins run."""
        parameters: list[click.Parameter] = []
        if needs in ("recording", "recording, may use host", "either"):
            is_needed = needs != "either"
            parameters.append(
                click.Argument([_FILE], required=is_needed, type=RECORDING_FILE, metavar=_metavar(is_needed))
            )
        if needs in ("host", "recording, may use host", "either"):
            parameters.append(
                click.Option(
                    ["--host", _HOST],
                    metavar="MODULE:FACTORY",
                    required=needs == "host",
                    help="Where the host is: a Host, or what makes one.",
                )
            )
        return parameters

    def take_target(self, needs: Needs, words: list[str]) -> list[str]:
        """Nothing: the parameters say it."""
        return words

    def serve(self, call: Callable[[], Any], parameters: dict[str, Any]) -> None:
        """Print the value, and close what was opened for it."""
        self._file, self._factory = parameters.pop(_FILE, None), parameters.pop(_HOST, None)
        try:
            for line in _lines(call()):
                click.echo(line)
        except PlugbookError as error:
            raise click.ClickException(str(error)) from error
        finally:
            if self._target is not None:
                self._target.close()


def main() -> None:
    """Run the command line."""
    sys.path.insert(0, str(Path.cwd()))  # a host beside the file that is looked at, as with python -m
    try:
        table.behind("terminal").main(prog_name="plugbook", obj=Terminal())
    except PlugbookError as error:
        click.ClickException(str(error)).show()
        sys.exit(1)


def _metavar(is_needed: bool) -> str:
    return "FILE" if is_needed else "[FILE]"


def _made_by(factory: str) -> Any:
    """The host that ``module:factory`` names.

    Raises:
        UnknownNameError: there is no such module or name, or it is no host and makes none.
    """
    from plugbook.host.host import Host

    module_name, _, name = factory.partition(":")
    try:
        made = getattr(importlib.import_module(module_name), name)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        msg = f"--host {factory} leads nowhere: {error}. Write module:name, as in shop:make_host."
        raise UnknownNameError(msg, name=factory) from error
    host = made if isinstance(made, Host) or not callable(made) else made()
    if not isinstance(host, Host):
        msg = f"--host {factory} is a {type(host).__name__}. Name a plugbook Host, or a function that makes one."
        raise UnknownNameError(msg, name=factory)
    return host


def _lines(value: Any) -> Iterator[str]:
    """A value as text; a choice of records one by one, for there may be millions."""
    from plugbook.trace.recording import Recording

    if isinstance(value, Recording):
        from plugbook.trace.tree import describe

        yield from map(describe, value.records())
    elif value is not None:
        yield str(value)
