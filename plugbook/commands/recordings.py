"""The words about recordings: making them, opening them, choosing from them, and handing them on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugbook.errors import RecordingError, UnknownNameError, suggestion
from plugbook.trace.record import show_seq

from . import names
from .kinds import EXPRESSION, RECORDING_FILE, SEQ, TARGET, choosing, chosen
from .values import Text
from .words import NOTEBOOK, TERMINAL, word

if TYPE_CHECKING:
    from .door import Door

PAYLOADS = ("full", "summary", "reference", "none")


class NotStarted(click.ClickException):
    """A command that was to be recorded did not run: exit code 1 would say that it did, and that tests failed."""

    exit_code = 2


def _keeping(function: Any) -> Any:
    """The options that say how much a recording keeps; what is not given is as the door's defaults have it."""
    for option in (
        click.option(
            "--redact", multiple=True, metavar="NAME", help="Hide the values of this name; may be repeated."
        ),
        click.option("--cap-bytes", type=click.IntRange(1), help="Longest value kept in full."),
    ):
        function = option(function)
    return function


def _kept(door: Door, cap_bytes: int | None, redact: tuple[str, ...]) -> dict[str, Any]:
    defaults = door.defaults
    return {"cap_bytes": cap_bytes or defaults.cap_bytes, "redact": redact or defaults.redact}


@word("host", name="record", doors=NOTEBOOK)
@click.argument("file", type=RECORDING_FILE)
@click.option("--append", is_flag=True, help="Go on with a recording that is there.")
@click.option("--payloads", type=click.Choice(PAYLOADS), help="How much of payloads to keep.")
@_keeping
def record_host(
    door: Door, file: str, append: bool, payloads: Any, cap_bytes: int | None, redact: tuple[str, ...]
) -> Any:
    """Record everything the host does into a file, until 'close'."""
    return door.host().record(
        file, append=append, payloads=payloads or door.defaults.payloads, **_kept(door, cap_bytes, redact)
    )


@word(name="record", doors=TERMINAL, context_settings={"ignore_unknown_options": True})
@click.option(
    "-o", "--output", required=True, type=RECORDING_FILE, help="The recording to write; it must not exist."
)
@click.option(
    "--payloads",
    type=click.Choice(["summary", "full", "none"]),
    default="summary",
    show_default=True,
    help="What to keep of arguments and results.",
)
@_keeping
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def record_command(
    door: Door,
    output: str,
    payloads: Any,
    cap_bytes: int | None,
    redact: tuple[str, ...],
    command: tuple[str, ...],
) -> None:
    r"""Record the pytest run that COMMAND starts, also in another environment.

    \b
    plugbook record -o run.plugbook -- pytest tests
    plugbook record -o run.plugbook -- other/.venv/bin/python -m pytest

    The exit code is that of COMMAND.
    """
    from plugbook.adapters.launch import record as launch

    try:
        run = launch(command, output, payloads=payloads, **_kept(door, cap_bytes, redact))
    except RecordingError as error:
        raise NotStarted(str(error)) from error
    click.echo(run.explain(), err=True)
    click.get_current_context().exit(run.exit_code)


@word(doors=NOTEBOOK)
@click.argument("target", type=EXPRESSION)
@click.argument("file", type=RECORDING_FILE, required=False)
@click.option("--payloads", type=click.Choice(["summary", "full", "none"]), help="What to keep of arguments.")
@_keeping
def attach(
    door: Door, target: str, file: str | None, payloads: Any, cap_bytes: int | None, redact: tuple[str, ...]
) -> Any:
    """Record a plugin system that is not ours, such as datasette.plugins.pm, until 'detach'."""
    from plugbook.adapters.attaching import attach as attach_to

    recording = attach_to(
        door.evaluate(target), file, payloads=payloads or "summary", **_kept(door, cap_bytes, redact)
    )
    door.attached.append(recording)
    door.use(recording)
    return recording


@word(doors=NOTEBOOK)
def detach(door: Door) -> Any:
    """Stop recording what was attached to; the recording stays open to look at."""
    if not door.attached:
        msg = f"Nothing is attached. Attach to a plugin system with: {door.prompt} attach EXPRESSION [FILE]"
        raise UnknownNameError(msg)
    recording = door.attached.pop()  # the last one first: monitors are undone in that order
    recording.detach()
    return recording


@word(name="open", doors=NOTEBOOK)
@click.argument("file", type=RECORDING_FILE)
def open_(door: Door, file: str) -> Any:
    """Open a recording and make it the current one."""
    recording = door.open(file)
    door.use(recording)
    return recording


@word(doors=NOTEBOOK)
@click.argument("name", type=TARGET)
def use(door: Door, name: str) -> Any:
    """Make a host or recording that one of your variables holds the current one."""
    held = door.namespace()
    root = re.split(r"\W", name, maxsplit=1)[0]
    known = names.targets(door)
    if root not in held:
        msg = f"There is no variable {name!r}.{suggestion(name, known)}"
        raise UnknownNameError(msg, name=name, known=known)
    target = door.evaluate(name)
    if not names.is_target(target):
        msg = f"{name} is {type(target).__name__}, which is neither a host nor a recording.{suggestion(name, known)}"
        raise UnknownNameError(msg, name=name, known=known)
    door.use(target)
    return target


@word("recording", doors=NOTEBOOK)
def close(door: Door) -> Text:
    """Close the recording: everything is written, and one file is left."""
    recording = door.recording()
    if recording.path is None and recording is not door.current():
        return Text("The host records in memory only, until it is closed; there is no file to close.")
    recording.close()
    door.attached[:] = [each for each in door.attached if each is not recording]
    if recording is door.current():
        door.use(None)
    return Text(f"{recording.path or 'the recording in memory'} is closed")


@word(name="close", doors=TERMINAL)
@click.argument("file", type=RECORDING_FILE)
def close_file(door: Door, file: str) -> Text:
    """Fold in what a process that was killed left beside its recording; one file is left."""
    from plugbook.trace.integrity import fold

    done = fold(file)
    return Text(str(done) if done.remark else f"{file} is {done}")


@word("recording")
def summary(door: Door) -> Any:
    """Say what a recording holds: counts, span, slowest handlers, errors, and what it allows."""
    return door.recording().summary()


@word("recording")
@choosing
def select(door: Door, **options: Any) -> Any:
    """Choose records; the choice is a recording, too."""
    return door.recording().select(**chosen(options))


@word("recording")
@click.argument("seq", type=SEQ, required=False)
def tree(door: Door, seq: int | None) -> Any:
    """Draw what one record caused, and what caused it; without SEQ the last tree."""
    return door.recording().tree(None if seq is None else show_seq(seq))


@word("recording")
@click.argument("text", nargs=-1, required=True)
def mark(door: Door, text: tuple[str, ...]) -> Text:
    """Put a note into the recording."""
    return Text(f"Marked as {show_seq(door.recording().mark(' '.join(text)))}")


@word("recording")
@click.argument("output", type=click.Path(dir_okay=False))
@choosing
def export(door: Door, output: str, **options: Any) -> Path:
    """Write the records as .parquet, .csv, .json or .jsonl."""
    recording = door.recording()
    words = chosen(options)
    return (recording.select(**words) if words else recording).export(output)


@word("either", doors=NOTEBOOK)
def explore(door: Door) -> Any:
    """Show the explorer: the plugins with buttons, the errors, the replay."""
    return door.target().explore()
