"""A running plugin system being recorded: which adapter watches it, and where the records go.

It needs the standard library alone, so that a process with nothing of ours installed can be recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from plugbook.adapters.summary import Capture, Summaries
from plugbook.errors import AdapterError, RecordingBusyError, RecordingExistsError
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

ADAPTERS: Final = {"pluggy": "a pluggy PluginManager"}
"""The foreign library whose types an adapter watches, which is also the adapter's name, and what it takes."""

HANDLES: Final = ("pm", "pluginmanager", "plugin_manager", "manager", "plugins")
"""Attributes under which applications keep what can be attached to."""

logger = logging.getLogger("plugbook.adapters")


class Monitor(Protocol):
    """What an adapter gives back: it records from its making until `detach`."""

    def detach(self) -> str:
        """Restore the host; return ``""``, or why it could not be restored."""


class Attachment:
    """An adapter at work, and the recorder it feeds.

    Args:
        target: what to watch.
        store: where to write; it belongs to the attachment from now on.
        payloads: what is kept of arguments and results: ``summary``, ``full`` or ``none``.
        cap_bytes: the longest argument or result that is kept in full.
        redact: names of arguments and fields whose values are hidden.

    Raises:
        AdapterError: there is no adapter for the target.
    """

    def __init__(
        self,
        target: object,
        store: Store,
        *,
        payloads: Capture = "summary",
        cap_bytes: int = 65_536,
        redact: Iterable[str] = (),
    ) -> None:
        adapter = find_adapter(target)
        self.path = store.path
        # Summaries are made at the call, by rules of their own; the recorder writes out what they left.
        self.recorder = Recorder(store, payloads="full", cap_bytes=cap_bytes, redact=redact)
        self.monitor: Monitor = adapter.Monitor(
            target, self.recorder, Summaries(payloads, cap_bytes=cap_bytes)
        )

    def detach(self) -> str:
        """Stop watching; a second time does nothing.

        Returns:
            ``""``, or why the host could not be restored: then what is left in place does nothing.
        """
        return self.monitor.detach()

    def close(self) -> None:
        """Stop watching and close the recording."""
        self.detach()
        self.recorder.close()


def find_adapter(target: object) -> ModuleType:
    """The adapter for an object, found by where its classes come from; the foreign library is not imported.

    Raises:
        AdapterError: there is none.
    """
    for base in type(target).__mro__:
        library = base.__module__.partition(".")[0]
        if library in ADAPTERS:
            adapter = import_module(f"plugbook.adapters.{library}")
            if adapter.accepts(target):
                return adapter
    kind = type(target)
    given = (
        f"the module {target.__name__}"
        if isinstance(target, ModuleType)
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    msg = f"Cannot attach to {given}: plugbook attaches to {', '.join(ADAPTERS.values())}.{_better_handle(target)}"
    raise AdapterError(msg)


def _better_handle(target: Any) -> str:
    """`` Attach to its attribute 'pm' instead.`` where that would work."""
    for name in HANDLES:
        try:
            find_adapter(vars(target)[name])
        except (AdapterError, KeyError, TypeError):
            continue
        return f" Attach to its attribute {name!r} instead."
    return ""


def create_beside(path: Path, worker: str = "") -> Store:
    """A store at `path`, or beside it where that is taken: one command may start pytest more than once.

    Args:
        path: where the first process of a recorded command writes.
        worker: the name of a worker process, which becomes part of the file's name.
    """
    for number in range(1, 10_000):
        parts = filter(None, [worker, "" if number == 1 else str(number)])
        name = ".".join([path.stem, *parts]) + path.suffix
        try:
            return Store.create(path.with_name(name))
        except (RecordingExistsError, RecordingBusyError):
            continue
    msg = f"There are too many recordings beside {path} already; remove some."
    raise RecordingExistsError(msg, path=str(path))
