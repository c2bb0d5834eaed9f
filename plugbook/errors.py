"""Every error plugbook raises on purpose, sorted by whose fault it is.

Each class also inherits the builtin a person would catch, is picklable, and carries what a program
needs as attributes; the message says what happened, why, and what to do.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class PlugbookError(Exception):
    """The root: ``except PlugbookError`` catches everything plugbook raises on purpose."""


# -- the caller asked for something that cannot be ------------------------------------------------


class UnknownNameError(PlugbookError, LookupError):
    """A plugin, option, topic or command of that name does not exist.

    Attributes:
        name: what was asked for.
        known: the names there are.
    """

    def __init__(self, message: str, *, name: str | None = None, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.known = tuple(known)


class OptionError(PlugbookError, TypeError):
    """Something was called with an option that it does not have; nothing was done.

    Attributes:
        option: the option that was given.
        known: those there are.
    """

    def __init__(self, message: str, *, option: str | None = None, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.option = option
        self.known = tuple(known)


class UnknownPluginError(UnknownNameError):
    """No plugin of that name is on the host."""


class LifecycleError(PlugbookError, RuntimeError):
    """A lifecycle request that the plugin's state does not allow; nothing was changed.

    Attributes:
        plugin: the plugin's name.
        state: the state it is in.
        request: what was asked of it.
        allowed: the requests that its state allows.
    """

    def __init__(
        self,
        message: str,
        *,
        plugin: str | None = None,
        state: str | None = None,
        request: str | None = None,
        allowed: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.state = state
        self.request = request
        self.allowed = tuple(allowed)


class DeadlockError(PlugbookError, RuntimeError):
    """Waiting here could never end, because what is waited for needs this very call to return."""


class AskCycleError(DeadlockError):
    """A question was asked again while it was being answered.

    Attributes:
        cycle: its topics, from the one that is asked again to itself.
    """

    def __init__(self, message: str, *, cycle: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.cycle = tuple(cycle)


class PublishCycleError(PlugbookError, RecursionError):
    """Handlers publish for each other in a circle without an end; what was published last was not delivered.

    Attributes:
        cycle: its topics, from one of them to itself.
    """

    def __init__(self, message: str, *, cycle: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.cycle = tuple(cycle)


class NoAnswerError(PlugbookError, LookupError):
    """Nobody answered what was asked; where a handler failed instead, its error is the ``__cause__``.

    Attributes:
        topic: of the event that was asked.
    """

    def __init__(self, message: str, *, topic: str | None = None) -> None:
        super().__init__(message)
        self.topic = topic


class HostClosedError(PlugbookError, RuntimeError):
    """The host was closed; make a new one."""


class ReplayError(PlugbookError, RuntimeError):
    """A player cannot do that now: it was closed, or another one is playing on the same host."""


class ClockError(PlugbookError, ValueError):
    """A virtual clock cannot be moved like that; it stands where it stood."""


class EffectError(PlugbookError, ValueError):
    """An effect is declared, or limited, in a way that cannot be; nothing was performed."""


class EffectDeniedError(PlugbookError, PermissionError):
    """The host does not let the plugin perform that effect; it was not performed.

    Attributes:
        effect: the function, such as ``smtplib.SMTP.send_message``.
        plugin: who asked for it.
        pattern: what denies it.
    """

    def __init__(
        self,
        message: str,
        *,
        effect: str | None = None,
        plugin: str | None = None,
        pattern: str | None = None,
    ) -> None:
        super().__init__(message)
        self.effect = effect
        self.plugin = plugin
        self.pattern = pattern


class EffectTimeoutError(PlugbookError, TimeoutError):
    """An effect took longer than it was allowed to."""


class EffectReplayError(ReplayError, LookupError):
    """A replay has nothing to give back for an effect, which is never performed instead."""


class RecordedError(PlugbookError, RuntimeError):
    """In a replay: the effect failed in the recording, with an error whose type is not at hand here.

    Attributes:
        type_name: the qualified name of that type.
        message: what it said.
    """

    def __init__(self, message: str, *, type_name: str | None = None) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.message = message

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.type_name else self.message


class ScaffoldError(PlugbookError, ValueError):
    """A package cannot be made as it was asked for; nothing was written."""


class FilesInTheWayError(ScaffoldError, FileExistsError):
    """Files would be overwritten; nothing was written.

    Attributes:
        files: which ones, as paths below the package's folder.
    """

    def __init__(self, message: str, *, files: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.files = tuple(files)


class TopicError(PlugbookError, ValueError):
    """A topic or a topic pattern is not well formed."""


class SelectionError(PlugbookError, ValueError):
    """A selection of records names something that cannot be."""


class FrameTooLargeError(PlugbookError, MemoryError):
    """A frame would not fit the memory budget; narrow it with ``select``, ``columns=`` or ``limit=``."""


# -- a plugin is at fault -------------------------------------------------------------------------


class PluginError(PlugbookError, RuntimeError):
    """A plugin failed; the original error is chained as ``__cause__``.

    Attributes:
        plugin: the plugin's name.
        phase: what it was doing: ``import``, ``load``, ``__init__``, ``start``, ``stop``, ``handle`` or ``cleanup``; in a
            reload also ``snapshot``, ``migrate``, ``restore``, ``health`` or ``switch``.
    """

    def __init__(self, message: str, *, plugin: str | None = None, phase: str | None = None) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.phase = phase


class RemovedError(PluginError):
    """A plugin uses something that its host no longer offers; the message says what to use instead."""


class StateError(PluginError):
    """What a plugin gives as its state is no plain data, or cannot be brought back by the code that there is now.

    Attributes:
        path: where in the state, or the name of the class.
    """

    def __init__(
        self, message: str, *, path: str = "", plugin: str | None = None, phase: str | None = None
    ) -> None:
        super().__init__(message, plugin=plugin, phase=phase)
        self.path = path


class ReloadError(PluginError):
    """New code of a plugin could not take over; the generation that was running goes on, untouched.

    Attributes:
        generation: the number of the one that goes on.
    """

    def __init__(
        self, message: str, *, plugin: str | None = None, phase: str | None = None, generation: int = 0
    ) -> None:
        super().__init__(message, plugin=plugin, phase=phase)
        self.generation = generation


class ManifestError(PlugbookError, ValueError):
    """A plugin's manifest is not valid.

    Attributes:
        plugin: the plugin's name, if it got that far.
        field: the manifest field that is wrong.
    """

    def __init__(self, message: str, *, plugin: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.field = field


class ContributionError(PlugbookError, TypeError):
    """What a plugin contributes does not fit its extension point, or a point cannot be declared.

    Attributes:
        plugin: the plugin's name.
        point: the extension point's.
        lacks: what keeps the contribution from fitting, a phrase each.
    """

    def __init__(
        self, message: str, *, plugin: str | None = None, point: str | None = None, lacks: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.point = point
        self.lacks = tuple(lacks)


class ResolutionError(PlugbookError, RuntimeError):
    """A set of plugins cannot work together.

    Attributes:
        plugins: the smallest set of names that explains it, in the order the message tells it.
    """

    def __init__(self, message: str, *, plugins: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.plugins = tuple(plugins)


class CycleError(ResolutionError):
    """Plugins require each other in a circle; ``plugins`` is the shortest one, first name repeated last."""


class ConfigError(PlugbookError, ValueError):
    """A plugin's configuration does not fit its model.

    Attributes:
        plugin: the plugin's name.
        path: the field's path inside the plugin's configuration, as in ``tax.rates.0``.
    """

    def __init__(self, message: str, *, plugin: str | None = None, path: str | None = None) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.path = path


class ServiceError(PlugbookError, LookupError):
    """No plugin provides a service of that type."""


# -- the data is at fault -------------------------------------------------------------------------


class RecordingError(PlugbookError, ValueError):
    """A recording cannot be read or written.

    Attributes:
        path: the file.
        offset: the seq, or the byte in the file, at which it went wrong, where that is known.
    """

    def __init__(self, message: str, *, path: str | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset


class RecordingExistsError(RecordingError, FileExistsError):
    """There is a file at that path already; nothing was overwritten."""


class RecordingMissingError(RecordingError, FileNotFoundError):
    """There is no recording at that path."""


class RecordingBusyError(RecordingError, BlockingIOError):
    """Another process or host is writing to that recording."""


class QuarantineError(PlugbookError, ValueError):
    """The file that says which plugins are quarantined cannot be read; it was left as it is.

    Attributes:
        path: the file.
    """

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class EventError(PlugbookError, ValueError):
    """An event type is declared wrongly, or something that is not an event was published."""


class SchemaError(EventError):
    """A schema or an upcaster cannot be registered: it is not one, or there is another one already."""


class PayloadError(EventError):
    """A payload does not fit the schema of its topic.

    Attributes:
        topic: the topic.
        version: the version of the schema.
        path: the first field that does not fit, as in ``lines[2].price``; ``""`` for the payload itself.
        problems: what is wrong, a line for each field.
    """

    def __init__(
        self,
        message: str,
        *,
        topic: str | None = None,
        version: int | None = None,
        path: str | None = None,
        problems: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.topic = topic
        self.version = version
        self.path = path
        self.problems = tuple(problems)


class UpcastError(EventError):
    """A payload cannot be brought up to a newer version of its schema.

    Attributes:
        topic: the topic.
        version: the version at which it went wrong: that of the payload which the failing or missing step takes.
    """

    def __init__(self, message: str, *, topic: str | None = None, version: int | None = None) -> None:
        super().__init__(message)
        self.topic = topic
        self.version = version


class EnvelopeError(EventError):
    """Something is not a CloudEvents envelope of an event, or an event cannot be put into one.

    Attributes:
        attribute: the attribute of the envelope that is wrong, where it is one.
    """

    def __init__(self, message: str, *, attribute: str | None = None) -> None:
        super().__init__(message)
        self.attribute = attribute


class PlugbookWarning(UserWarning):
    """Something is allowed, but hardly what was meant; the message says what to write instead."""


class PlugbookDeprecationWarning(PlugbookWarning, FutureWarning):
    """A plugin uses something that its host will no longer offer; the message says until when, and what else to use.

    Not a DeprecationWarning: Python hides those from the people who put plugins together.
    """


# -- the environment lacks something --------------------------------------------------------------


class MissingExtraError(PlugbookError, ImportError):
    """A feature needs an optional library that is not installed.

    Attributes:
        feature: what was asked for.
        extra: the extra of plugbook that brings the library.
    """

    def __init__(self, message: str, *, feature: str | None = None, extra: str | None = None) -> None:
        super().__init__(message)
        self.feature = feature
        self.extra = extra


class AdapterError(PlugbookError, TypeError):
    """There is no adapter for that object, or it cannot be attached to."""


def suggestion(name: str, known: Iterable[str], *, listing: bool = True) -> str:
    """`` Did you mean 'ledger'?`` with a leading blank, or, with `listing`, the known names, or nothing.

    >>> suggestion("leger", ["ledger", "billing"])
    " Did you mean 'ledger'?"
    >>> suggestion("x", ["ledger", "billing"])
    ' There are: billing, ledger.'
    """
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" There are: {', '.join(names)}." if listing and 0 < len(names) <= 12 else ""


def refuses_misspelt(function: F) -> F:
    """Have a misspelt option of a function or class refused with the one that was meant.

    >>> @refuses_misspelt
    ... def play(rate: float = 1.0) -> None: ...
    >>> play(rat=2.0)
    Traceback (most recent call last):
    plugbook.errors.OptionError: play has no option 'rat'. Did you mean 'rate'?
    """
    if isinstance(function, type):
        function.__init__ = refuses_misspelt(function.__init__)  # type: ignore[misc]
        return function
    name = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    known = [each for each in inspect.signature(function).parameters if each != "self"]

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        # Only a call that Python itself refuses is looked at, so that all others cost no more for it.
        try:
            return function(*args, **options)
        except TypeError as error:
            unknown = [each for each in options if each not in known]
            was_called = error.__traceback__ is None or error.__traceback__.tb_next is not None
            if was_called or not unknown:
                raise
        msg = f"{name} has no option {unknown[0]!r}.{suggestion(unknown[0], known)}"
        raise OptionError(msg, option=unknown[0], known=known)

    return checked  # type: ignore[return-value]


def missing_extra(feature: str, extra: str, cause: ImportError) -> Any:
    """Raise the error for an optional library that `feature` needs and that is not installed.

    Raises:
        MissingExtraError: always, naming the feature and the install command.
    """
    msg = (
        f"{feature} needs {cause.name or 'a library'}, which is not installed. "
        f"Install it with: pip install 'plugbook[{extra}]'"
    )
    raise MissingExtraError(
        msg,
        feature=feature,
        extra=extra,
    ) from cause
