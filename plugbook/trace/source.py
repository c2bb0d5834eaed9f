"""Where a recording reads from: a file, or what a recorder of this very process has written so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugbook.errors import RecordingError
from plugbook.trace.reader import Reader

if TYPE_CHECKING:
    from plugbook.trace.recorder import Recorder


class Source:
    """Where a recording and all selections of it read from, opened when first asked."""

    def __init__(self, reader: Reader | None = None) -> None:
        self._reader = reader

    def reader(self) -> Reader:
        """What answers queries, now.

        Raises:
            RecordingError: the recording was closed, or cannot be read.
        """
        if self._reader is None:
            msg = "This recording was closed; open it again with open_recording(path)."
            raise RecordingError(msg)
        return self._reader

    def close(self) -> None:
        """Stop reading; a second time does nothing."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.close()


class LiveSource(Source):
    """Reads what a recorder of this process has recorded up to this moment."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def reader(self) -> Reader:
        """What answers queries, with everything up to now written."""
        recorder = self._recorder
        if not recorder.closed:
            recorder.bring_up_to_date()
        if self._reader is None:
            path = recorder.store.path
            if path is None:
                self._reader = Reader.on_memory(recorder)
            else:
                self._reader = Reader.open(path if recorder.closed else recorder.store.working_path or path)
        return self._reader
