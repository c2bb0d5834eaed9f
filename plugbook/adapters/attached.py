"""The recording that `attach` returns: one that is being written, and that can be detached from its source."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from plugbook.trace.reading.live import LiveRecording

if TYPE_CHECKING:
    from plugbook.adapters.attachment import Attachment


class AttachedRecording(LiveRecording):
    """What a foreign plugin system does, while it does it."""

    def __init__(self, attachment: Attachment) -> None:
        super().__init__(attachment.recorder)
        self._attachment = attachment
        self._attached = True

    def detach(self) -> None:
        """Stop watching and restore the host; the recording stays open to look at. A second time does nothing.

        Where another monitor was added on top since, ours stays in place and does nothing; then it warns.
        """
        self._attached = False
        problem = self._attachment.detach()
        if problem:
            warnings.warn(problem, RuntimeWarning, stacklevel=2)

    def close(self) -> None:
        """Detach and close the recording; a second time does nothing.

        Raises:
            RecordingError: the rest could not be written.
        """
        try:
            self.detach()
        finally:
            self.release()
            super().close()

    def __repr__(self) -> str:
        state = "attached" if self._attached else "closed" if self.recorder.closed else "detached"
        return f"<AttachedRecording {'in memory' if self.path is None else self.path}, {state}>"
