"""A recording while this very process writes it: everything up to this moment is in what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugbook.trace.reading.reader import Reader
from plugbook.trace.reading.recording import Recording
from plugbook.trace.reading.source import Source

if TYPE_CHECKING:
    from plugbook.trace.writing.recorder import Recorder


class LiveRecording(Recording):
    """A recording that this process is writing: everything up to this moment is in what it returns."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.store.path, LiveSource(recorder))
        self.recorder = recorder

    def mark(self, text: str, *, plugin: str = "") -> int:
        """Add a note to the recording; its seq is returned."""
        if self.recorder.closed:
            return super().mark(text, plugin=plugin)
        return self.recorder.put("mark", "note", plugin=plugin, payload={"text": text})

    @property
    def dropped(self) -> int:
        """How many of the oldest rows the recorder has given up."""
        return self.recorder.dropped

    def flush(self) -> None:
        """Make sure that everything recorded so far survives the end of the process.

        Raises:
            RecordingError: it could not be written; it is kept in memory.
        """
        self.recorder.flush()

    def close(self) -> None:
        """Stop recording and close the file; a second time does nothing.

        Raises:
            RecordingError: the rest could not be written.
        """
        self.recorder.close()
        self._source.close()

    def release(self) -> None:
        """Let go of the file, so that the recorder can make it one; reading opens it again."""
        if self.path is not None:
            self._source.close()

    def __repr__(self) -> str:
        state = "closed" if self.recorder.closed else "recording"
        return f"<LiveRecording {'in memory' if self.path is None else self.path}, {state}>"


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
