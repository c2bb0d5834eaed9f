"""Where a recording and its selections read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugbook.errors import RecordingError

if TYPE_CHECKING:
    from plugbook.trace.reading.reader import Reader


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
