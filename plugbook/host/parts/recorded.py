"""The part of a host that is recorded, and that plays recordings."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

from plugbook._doors import behind
from plugbook.errors import SelectionError, refuses_misspelt
from plugbook.trace.record import BLOCK
from plugbook.trace.writing.payload import check_keeping, names_to_redact
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

if TYPE_CHECKING:
    from plugbook._types import Payloads
    from plugbook.events.bus import Bus
    from plugbook.host.engine import Engine
    from plugbook.host.registry import Registry
    from plugbook.trace.reading.live import LiveRecording
    from plugbook.trace.reading.recording import Recording


class Recorded(ABC):
    """What can be asked of a host about records."""

    bus: Bus
    _registry: Registry
    _engine: Engine

    @abstractmethod
    def _check_open(self) -> None:
        """Refuse what a closed host cannot do."""

    @property
    def recording(self) -> LiveRecording | None:
        """What is being recorded: the file `record` opened, or else the last records, in memory."""
        recorder = self.bus.recorder
        return recorder.recording if recorder is not None else None

    @refuses_misspelt
    def record(
        self,
        path: str | PathLike[str],
        *,
        append: bool = False,
        payloads: Payloads = "full",
        cap_bytes: int = 65_536,
        redact: Iterable[str] = (),
        sources: bool = True,
    ) -> LiveRecording:
        """Record everything into a file, until the recording or the host is closed.

        Args:
            path: the file, by custom ``*.plugbook``.
            append: go on with an existing recording.
            payloads: ``full``, ``summary``, ``reference`` or ``none``.
            cap_bytes: the longest payload kept in full.
            redact: names of fields whose values are hidden, at any depth; see `Recorder`. Messages of exceptions and
                texts of logs are not searched by name: keep secrets out of them. Those that plugins are configured
                with are hidden wherever they stand.
            sources: whether to keep the source text of handlers.

        Raises:
            RecordingExistsError: there is a file already, and `append` was not asked for.
            RecordingBusyError: somebody else writes to it.
            RecordingError: it cannot be written there, or `payloads`, `cap_bytes` or `redact` cannot be.
            HostClosedError: the host was closed.
        """
        self._check_open()
        check_keeping(payloads, cap_bytes)
        redact = names_to_redact(redact)
        store = Store.create(path, append=append)
        recorder = Recorder(store, payloads=payloads, cap_bytes=cap_bytes, redact=redact, sources=sources)
        recorder.on_close = lambda: self._switch_recorder(Recorder(Store.memory()))
        self._switch_recorder(recorder)
        return recorder.recording

    def replay(
        self, recording: Recording | str | PathLike[str], *, rate: float | None = 1.0, **options: Any
    ) -> Any:
        """A player that publishes a recording's events to this host's plugins; see `Player`.

        Args:
            recording: what to replay, or its path; a selection of one will do.
            rate: multiple of real time; None for as fast as it goes.
            **options: see `Player`.

        Raises:
            SelectionError: it is no recording, or `rate` is no number above 0.
        """
        self._check_open()
        return behind("player")(_recording_of(recording), host=self, rate=rate, **options)

    def explore(self) -> Any:
        """The explorer widget, for a notebook."""
        return behind("explorer")(self)

    def _switch_recorder(self, recorder: Recorder) -> None:
        """Write to another recorder from now on; seqs go on, since what runs has its number already."""
        first = max(recorder.next_seq(), self.bus.next_seq())
        recorder.next_seq = itertools.count(first, BLOCK).__next__
        recorder.conceal(self._engine.secrets)
        self.bus.recorder = recorder
        for handle in self._registry.handles.values():
            self._engine.describe(handle)


def _recording_of(given: Any) -> Recording:
    from plugbook.trace.reading.recording import Recording, open_recording

    if isinstance(given, Recording):
        return given
    if isinstance(given, str | PathLike):
        return open_recording(given)
    msg = f"replay takes a recording, or the path of one, not {type(given).__name__}"
    raise SelectionError(msg)
