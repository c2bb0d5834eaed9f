"""The terminal's door: the `plugbook` command, with the words of the command table."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import click

from plugbook.commands import table
from plugbook.commands.door import Door, DoorName, Needs
from plugbook.commands.kinds import RECORDING_FILE
from plugbook.errors import PlugbookError, UnknownNameError

if TYPE_CHECKING:
    from plugbook.host.host import Host
    from plugbook.replay.player import Player

    _Kind = click.ParamType[str]
else:
    _Kind = click.ParamType  # it became generic with click 8.2

_FILE = "recording_file"
_HOST = "host_factory"


class _HostFactory(_Kind):
    """``module:name``, where a host is or is made."""

    name = "host"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What it is for, since a file does not do where plugins have to run."""
        return (
            "Say where the plugins run, as in --host shop:make_host; a recording holds none that could run."
        )


_HOST_FACTORY: Final = _HostFactory()


class Terminal(Door):
    """The door of one command line: the file comes after the word, and ``--host`` says where plugins run."""

    name: ClassVar[DoorName] = "terminal"
    prompt: ClassVar[str] = "plugbook"

    def __init__(self) -> None:
        super().__init__()
        self._file: str | None = None
        self._factory: str | None = None
        self._target: Any = None
        self._open = ExitStack()

    def current(self) -> Any:
        """The recording that was named, or else the host."""
        if self._target is None and self._file is not None:
            self.use(self.open(self._file))
        if self._target is None and self._factory is not None:
            self.use(self.player_host())
        return self._target

    def player_host(self) -> Host | None:
        """The host that was named, started."""
        if self._factory is None:
            return None
        host = _made_by(self._factory)
        self._open.callback(host.close)
        host.start()
        return host

    def use(self, target: Any) -> None:
        """Make it the one that is meant, and close it when the command has ended."""
        self._target = target
        self._open.callback(target.close)

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
                    type=_HOST_FACTORY,
                    metavar="MODULE:FACTORY",
                    required=needs == "host",
                    help="Where the host is: a Host, or what makes one.",
                )
            )
        return parameters

    def mistake(self, error: PlugbookError) -> Exception:
        """The message alone, and exit code 2, as for every mistake in usage."""
        return click.UsageError(str(error))

    def take_target(self, needs: Needs, words: list[str]) -> list[str]:
        """Nothing: the parameters say it."""
        return words

    def aim(self, parameters: dict[str, Any]) -> None:
        """Remember the file and the host that were typed; they are opened when something asks."""
        self._file, self._factory = parameters.pop(_FILE, None), parameters.pop(_HOST, None)

    def serve(self, call: Callable[[], Any]) -> None:
        """Print the value, and close what was opened for it."""
        with self._open, _told_briefly(), _progress_shown():
            for line in _lines(call()):
                click.echo(line)


def main(prog_name: str = "plugbook") -> None:
    """Run the command line.

    Args:
        prog_name: how it is called, for its help.
    """
    sys.path.insert(0, str(Path.cwd()))  # a host beside the file that is looked at, as with python -m
    table.behind("terminal").main(prog_name=prog_name, obj=Terminal())


@contextmanager
def _told_briefly() -> Iterator[None]:
    """What went wrong in a line, not as a traceback: it is about what was typed, or about the data."""
    try:
        yield
    except PlugbookError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _progress_shown() -> Iterator[None]:
    """While a long replay goes on, its place in one line; only where somebody looks."""
    if not sys.stderr.isatty():
        yield
        return
    from plugbook.replay.progress import draw_with

    stop_drawing = draw_with(_draw)
    try:
        yield
    finally:
        stop_drawing()


def _draw(player: Player) -> None:
    position, total = player.position.index, player.total
    is_over = player.state != "playing"
    click.echo(
        f"\rreplay: {position:,} of {total:,} events ({position / max(total, 1):.0%})", nl=is_over, err=True
    )


def _metavar(is_needed: bool) -> str:
    return "FILE" if is_needed else "[FILE]"


def _made_by(factory: str) -> Host:
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
    from plugbook.trace.reading.recording import Recording

    if isinstance(value, Recording):
        from plugbook.trace.reading.tree import describe

        chosen = iter(value.records())
        first = next(chosen, None)
        unknown = " ".join(value.unknown_names)
        if first is None and unknown:
            raise UnknownNameError(unknown)
        if first is None or unknown:
            click.echo(unknown or "No record is chosen.", err=True)
        if first is not None:
            yield from map(describe, itertools.chain([first], chosen))
    elif value is not None:
        yield str(value)
