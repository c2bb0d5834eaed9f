"""The notebook's door: ``%plugbook`` and ``%pb``, with the words of the command table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from plugbook.commands import table
from plugbook.commands.door import Defaults, Door, DoorName, Needs, TypedPlugin
from plugbook.commands.kinds import ANY_EXPRESSION, TARGET
from plugbook.commands.words import Word
from plugbook.errors import RecordingError, UnknownNameError
from plugbook.host.current import current, use

from .splitting import split_words

if TYPE_CHECKING:
    from plugbook.host.host import Host
    from plugbook.trace.reading.recording import Recording

    from .settings import Plugbook

SUFFIX = ".plugbook"
_HOST = "host_name"


class Notebook(Door):
    """The door of one IPython shell.

    Attributes:
        shell: the shell.
        settings: the defaults the person has set.
        words: what can be typed.
    """

    name: ClassVar[DoorName] = "notebook"
    prompt: ClassVar[str] = "%pb"

    def __init__(self, shell: Any, settings: Plugbook) -> None:
        super().__init__()
        self.shell = shell
        self.settings = settings
        self.words = table.behind(self.name)
        self._held: Any = None
        self._named: str | None = None
        self._host_name: str | None = None
        self._opened: dict[tuple[Path, int], Recording] = {}

    @property
    def defaults(self) -> Defaults:
        """What the person has set, at this moment."""
        settings = self.settings
        return Defaults(
            payloads=settings.payloads,
            cap_bytes=settings.cap_bytes,
            redact=tuple(settings.redact),
            rate=math.inf if settings.rate == "max" else settings.rate,
        )

    def current(self) -> Any:
        """The recording named in this line, or the current host or recording."""
        return current() if self._named is None else self.open(self._named)

    def use(self, target: Any) -> None:
        """Make it the current one; it is held until another one is."""
        self._held = target
        use(target)

    def namespace(self) -> Mapping[str, Any]:
        """The user's variables."""
        names: Mapping[str, Any] = self.shell.user_ns
        return names

    def typed_plugin(self, name: str | None) -> TypedPlugin | None:
        """The cell that defines a plugin, with what it uses of other cells."""
        from .cell_source import cell_source

        history = self.shell.history_manager.input_hist_raw
        return cell_source(history, self.shell.transform_cell, name)

    def player_host(self) -> Host | None:
        """The host in the variable that ``--host`` names, or the current one."""
        from plugbook.host.host import Host

        target = self.evaluate(self._host_name) if self._host_name else current()
        if isinstance(target, Host):
            return target
        if self._host_name:
            msg = f"--host {self._host_name} is a {type(target).__name__}; name a variable that holds a host."
            raise UnknownNameError(msg, name=self._host_name)
        return None

    def target_parameters(self, needs: Needs) -> list[click.Parameter]:
        """The current one is meant; only who replays to plugins may name their host."""
        if needs != "recording, may use host":
            return []
        return [
            click.Option(
                ["--host", _HOST], type=TARGET, help="The variable that holds the host; else the current."
            )
        ]

    def take_target(self, needs: Needs, words: list[str]) -> list[str]:
        """A recording's file may stand before the rest, as in the terminal."""
        if needs in ("", "host") or not words or not words[0].endswith(SUFFIX):
            return words
        self._named = words[0]
        return words[1:]

    def aim(self, parameters: dict[str, Any]) -> None:
        """Remember which host was named."""
        self._host_name = parameters.pop(_HOST, None)

    def serve(self, call: Callable[[], Any]) -> Any:
        """The value itself: it can be assigned, and shows itself where it is not."""
        return call()

    def run(self, line: str) -> Any:
        """Run what was typed after ``%pb``.

        Raises:
            UsageError: a word's arguments are wrong.
            PlugbookError: there is no such word, or what it does could not be done.
        """
        try:
            with self.words.make_context(self.prompt, self.read(line), obj=self) as ctx:
                return self.words.invoke(ctx)
        except click.exceptions.Exit:  # --help was asked for, and has been shown
            return None
        except click.UsageError as error:
            raise UsageError(_told(error)) from None
        finally:
            self._named = None

    def complete(self, line: str, incomplete: str) -> tuple[list[str], bool]:
        """What could stand next, and whether any Python expression could, too.

        Args:
            line: what was typed after ``%pb``, up to the word that is being typed.
            incomplete: the beginning of that word.
        """
        from click.shell_completion import ShellComplete

        completer = ShellComplete(self.words, {"obj": self}, self.prompt, "")
        typed = self.read(line)
        try:
            found = completer.get_completions(list(typed), incomplete)
            values = [each for item in found for each in _values(item.value, item.type, incomplete)]
            values += self._recordings(typed, incomplete)
            if not values and not incomplete:  # what is not answered is answered by all of IPython's own
                values = [item.value for item in completer.get_completions([*typed, ""], "--")]
        finally:
            self._named = None
        return values, any(item.type == ANY_EXPRESSION for item in found)

    def read(self, line: str) -> list[str]:
        """The words of a line; ``$name`` stands for a variable's value."""
        names = self.namespace()
        return [
            str(names[word[1:]]) if word[:1] == "$" and word[1:] in names else word
            for word in split_words(line)
        ]

    def open(self, file: str) -> Recording:
        """A recording stays open, for what came out of it may read on; the same file is opened once."""
        path = Path(file).resolve()
        key = (path, path.stat().st_ino if path.exists() else 0)
        if key not in self._opened or not _is_open(self._opened[key]):
            self._opened[key] = super().open(file)
        return self._opened[key]

    def close(self) -> None:
        """Close what was opened, attached and replayed here; a host that somebody still holds goes on."""
        if self.player is not None:
            self.player.close()
        for recording in (*reversed(self.attached), *self._opened.values()):
            recording.close()
        self._opened.clear()
        self.attached.clear()
        self._held = self.player = None

    def _recordings(self, typed: list[str], incomplete: str) -> list[str]:
        """The files that may stand right after a word that looks at a recording."""
        word = self.words.commands.get(typed[0]) if len(typed) == 1 else None
        if not isinstance(word, Word) or word.needs in ("", "host"):
            return []
        return [path for path in _files(incomplete, folders_only=False) if path.endswith((SUFFIX, "/"))]


def _is_open(recording: Recording) -> bool:
    try:
        return recording.version >= 0
    except RecordingError:  # somebody closed it, or the file is not what it was
        return False


def _told(error: click.UsageError) -> str:
    message = error.format_message()
    if error.ctx is None:
        return message
    usage = error.ctx.get_usage().removeprefix("Usage: ")
    return f"{message}\nWrite: {usage}"


def _values(value: str, kind: str, incomplete: str) -> list[str]:
    if kind == ANY_EXPRESSION:
        return []
    return _files(incomplete, folders_only=kind == "dir") if kind in ("file", "dir") else [value]


def _files(incomplete: str, *, folders_only: bool) -> list[str]:
    """Paths that begin like that: folders, then recordings, then the rest."""
    typed = Path(incomplete).expanduser()
    folder = typed if incomplete.endswith("/") or not incomplete else typed.parent
    begin = "" if folder == typed else typed.name
    prefix = incomplete[: len(incomplete) - len(begin)]
    try:
        found = sorted(
            folder.iterdir(), key=lambda path: (not path.is_dir(), path.suffix != SUFFIX, path.name)
        )
    except OSError:  # no such folder
        return []
    return [
        prefix + path.name + "/" * path.is_dir()
        for path in found
        if path.name.startswith(begin)
        and (begin or not path.name.startswith("."))
        and (path.is_dir() or not folders_only)
    ]


def _listing() -> str:
    """What ``%pb?`` shows."""
    words = table.behind("notebook").commands
    width = max(map(len, words)) + 2
    return "\n".join(
        [
            "%pb [WORD ...] (or %plugbook): see why a running plugin system does what it does.",
            "",
            *(f"  {name:<{width}}{word.get_short_help_str(90)}" for name, word in words.items()),
            "",
            "%pb alone shows what is current; %pb help WORD explains a word; x = %pb ... keeps the value.",
        ]
    )


@magics_class
class PlugbookMagics(Magics):
    """``%plugbook`` and its short form ``%pb``."""

    def __init__(self, shell: Any, door: Notebook) -> None:
        super().__init__(shell)
        self._door = door

    @no_var_expand
    @line_magic
    def pb(self, line: str) -> Any:
        """Run a word of the command table."""
        return self._door.run(line)

    @no_var_expand
    @line_magic
    def plugbook(self, line: str) -> Any:
        """Run a word of the command table."""
        return self._door.run(line)

    pb.__doc__ = plugbook.__doc__ = _listing()  # what %pb? shows
