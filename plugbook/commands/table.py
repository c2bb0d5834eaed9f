"""The table itself: every word in the order in which it is listed, and the group of them behind each door."""

from __future__ import annotations

from typing import Any, Final

import click

from plugbook.errors import UnknownNameError, suggestion

from . import authoring, deliveries, events, playback, plugins, recordings, schemas
from .door import Door, DoorName, door_of
from .values import Text
from .words import Word, Words, word

_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@word(name="help")
@click.argument("command", required=False)
def help_(door: Door, command: str | None) -> Text:
    """Explain a command, or list them all."""
    here = click.get_current_context()
    above = here.parent or here
    if command is None:
        return Text(above.get_help())
    explained = behind(door.name).get_command(above, command)
    if explained is None:
        known = behind(door.name).list_commands(above)
        msg = f"There is no command {command!r}.{suggestion(command, known)}"
        raise UnknownNameError(msg, name=command, known=known)
    with click.Context(explained, above, info_name=command, **_SETTINGS) as ctx:
        return Text(explained.get_help(ctx))


WORDS: Final[tuple[Word, ...]] = (
    plugins.list_,
    plugins.versions,
    plugins.deprecations,
    plugins.add,
    plugins.remove,
    plugins.start,
    plugins.stop,
    plugins.restart,
    plugins.reload,
    plugins.disable,
    plugins.enable,
    plugins.watch,
    plugins.why,
    plugins.plan,
    plugins.config,
    plugins.extensions,
    plugins.leaks,
    plugins.keep,
    events.publish,
    events.throttle,
    schemas.schema,
    authoring.check,
    deliveries.resume,
    deliveries.mute,
    deliveries.release,
    deliveries.dead_letters,
    deliveries.redeliver,
    deliveries.discard,
    recordings.record_host,
    recordings.record_command,
    recordings.attach,
    recordings.detach,
    recordings.open_,
    recordings.use,
    recordings.close,
    recordings.close_file,
    recordings.summary,
    recordings.select,
    recordings.tree,
    recordings.mark,
    recordings.export,
    recordings.explore,
    playback.replay,
    playback.pause,
    playback.continue_,
    playback.step,
    playback.seek,
    authoring.new,
    help_,
)


def behind(door: DoorName) -> Words:
    """The words that can be typed at a door; a word may have a form for each."""
    words = {each.name: each for each in WORDS if door in each.doors}
    group = Words(
        name="plugbook",
        commands={name: each for name, each in words.items() if name},
        callback=_nothing_typed,
        invoke_without_command=door == "notebook",
        no_args_is_help=door == "terminal",
        help="See why a running plugin system does what it does.",
        context_settings=dict(_SETTINGS),
    )
    group.elsewhere = frozenset(each.name for each in WORDS if each.name and each.name not in words)
    return click.version_option(package_name="plugbook")(group) if door == "terminal" else group


def _nothing_typed() -> Any:
    """With no word, say what is current."""
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is not None:
        return None
    current = door_of(ctx).current()
    return current if current is not None else Text("Nothing is current: start a host, or open a recording.")
