"""What a command knows of where it was typed: a door, of which there are two, the terminal and the notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from plugbook.errors import PlugbookError, UnknownNameError, suggestion

if TYPE_CHECKING:
    import click

    from plugbook._types import Payloads
    from plugbook.adapters.attached import AttachedRecording
    from plugbook.host.host import Host
    from plugbook.trace.reading.recording import Recording

DoorName = Literal["terminal", "notebook"]
Needs = Literal["", "host", "recording", "either", "recording, may use host"]
"""What a command works on, which is how each door knows what has to be named."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a command is not told otherwise.

    Attributes:
        payloads: how much of payloads a recording keeps.
        cap_bytes: the longest payload it keeps in full.
        redact: names of fields whose values it hides.
        rate: of a replay, as a multiple of real time; infinite for as fast as it goes.
    """

    payloads: Payloads = "full"
    cap_bytes: int = 65_536
    redact: tuple[str, ...] = ()
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class TypedPlugin:
    """A plugin that was typed at a door, and is in no file.

    Attributes:
        files: the text of each file that it would be, by name; the plugin is in the first.
        lines_before: how many lines that has which were not typed.
    """

    files: Mapping[str, str]
    lines_before: int = 0


def door_of(ctx: click.Context) -> Door:
    """The door at which a command was typed.

    Raises:
        TypeError: the command was invoked without ``obj=``.
    """
    door = ctx.find_object(Door)  # type: ignore[type-abstract]
    if door is None:
        msg = "A word of the table is invoked with obj=, the door it was typed at"
        raise TypeError(msg)
    return door


class Door(ABC):
    """One way in: which host or recording is meant, what expressions see, and where results go.

    Attributes:
        attached: the recordings of foreign systems that are attached to, the last one last.
        player: the replay that is under way, or None.
    """

    name: ClassVar[DoorName]
    prompt: ClassVar[str]
    """What is typed before a word, for messages."""

    def __init__(self) -> None:
        self.attached: list[AttachedRecording] = []
        self.player: Any = None

    @property
    def defaults(self) -> Defaults:
        """What holds where a command is not told otherwise."""
        return Defaults()

    @abstractmethod
    def current(self) -> Any:
        """The host or recording that is meant; None where there is none."""

    @abstractmethod
    def use(self, target: Any) -> None:
        """Make a host or recording the one that is meant, and keep it."""

    @abstractmethod
    def namespace(self) -> Mapping[str, Any]:
        """The names that an expression may use."""

    @abstractmethod
    def target_parameters(self, needs: Needs) -> list[click.Parameter]:
        """What has to be typed to say on what a command works."""

    @abstractmethod
    def take_target(self, needs: Needs, words: list[str]) -> list[str]:
        """Take from the words after a command what says on what it works, where no parameter does."""

    @abstractmethod
    def aim(self, parameters: dict[str, Any]) -> None:
        """Take out of what was typed the door's own parameters, which say on what a command works."""

    @abstractmethod
    def serve(self, call: Callable[[], Any]) -> Any:
        """Run a command, and bring its value to the person."""

    def mistake(self, error: PlugbookError) -> Exception:
        """A mistake in what was typed, found before any command runs, as this door reports it."""
        return error

    def open(self, file: str) -> Recording:
        """A recording, to look at.

        Raises:
            RecordingError: it cannot be read.
        """
        from plugbook.trace.reading.recording import open_recording

        return open_recording(file)

    def evaluate(self, expression: str) -> Any:
        """The value of a Python expression in the person's own names.

        Raises:
            UnknownNameError: a name in it is not defined.
            PlugbookError: it is no expression.
        """
        names = dict(self.namespace())
        try:
            # The whole point is to run what the person has typed, in their own process.
            return eval(expression, names)  # noqa: S307
        except NameError as error:
            if error.name in names:  # it is not their expression that misses it, but what they call
                raise
            msg = f"{error}.{suggestion(error.name or '', names)}"
            raise UnknownNameError(msg, name=error.name, known=names) from error
        except SyntaxError as error:
            msg = f"{expression!r} is no Python expression: {error.msg}."
            raise PlugbookError(msg) from error

    def host(self) -> Host:
        """The host that is meant.

        Raises:
            UnknownNameError: there is none.
        """
        from plugbook.host.host import Host

        target = self.current()
        if isinstance(target, Host):
            return target
        raise UnknownNameError(self._no_host(target))

    def recording(self) -> Recording:
        """The recording that is meant: the current one, or what the current host records.

        Raises:
            UnknownNameError: there is none.
        """
        from plugbook.trace.reading.recording import Recording

        target = self.current()
        if isinstance(target, Recording):
            return target
        if target is None:
            msg = f"There is no recording to look at. Open one ({self.prompt} open FILE), or start a host."
            raise UnknownNameError(msg)
        if target.recording is None:
            msg = "This host does not record: it was made with timing=False. Make it without."
            raise PlugbookError(msg)
        live: Recording = target.recording
        return live

    def typed_plugin(self, name: str | None) -> TypedPlugin | None:
        """A plugin that was typed here, or None where there is no such plugin.

        Args:
            name: of the plugin; None for the last one.
        """
        return None

    @abstractmethod
    def player_host(self) -> Host | None:
        """The host to whose plugins a recording is played; None to play it to nobody."""

    def target(self) -> Any:
        """The host or recording that is meant.

        Raises:
            UnknownNameError: there is none.
        """
        target = self.current()
        if target is None:
            msg = (
                "There is no host and no recording yet. Start a host (Host([...]).start()), "
                f"or open a recording ({self.prompt} open FILE)."
            )
            raise UnknownNameError(msg)
        return target

    def _no_host(self, target: Any) -> str:
        if target is None:
            return "There is no host yet. Start one, as in: shop = Host([Billing]); shop.start()"
        from plugbook.host.host import Host

        known = [
            name
            for name, value in list(self.namespace().items())
            if isinstance(value, Host) and name[0] != "_"
        ]
        return (
            "This needs a host, and the current target is a recording. "
            f"Go to a host with: {self.prompt} use {known[0] if known else 'NAME'}"
        )
