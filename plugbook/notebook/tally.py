"""How often each plugin of a foreign system was called and failed: what is known of plugins without a lifecycle."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from plugbook.trace.reading.recording import Recording

_REST: Final = 10
"""How many times as long as a count took it is left alone, so that following a long recording costs a tenth at most."""


class Figures(NamedTuple):
    """What one plugin did.

    Attributes:
        calls: how many calls of it were recorded.
        errors: how many of them failed or timed out.
    """

    calls: int = 0
    errors: int = 0


class Tally:
    """Counts the calls of each plugin, again when the recording has grown.

    Attributes:
        of: plugin -> its figures, as counted last.
    """

    def __init__(self) -> None:
        self.of: dict[str, Figures] = {}
        self._version = -1
        self._not_before = 0.0

    def read(self, recording: Recording) -> bool:
        """Count, unless nothing was recorded since or it was a moment ago; say whether it was counted."""
        began, version = monotonic(), recording.version
        if version == self._version or began < self._not_before:
            return False
        calls = recording.calls(columns=["plugin", "outcome"])
        failed = calls["outcome"].isin(("error", "timeout"))
        counted = failed.groupby(calls["plugin"].astype(str)).agg(["size", "sum"])
        self.of = {
            str(plugin): Figures(int(size), int(errors))
            for plugin, size, errors in counted.itertuples(name=None)
        }
        self._version = version
        self._not_before = monotonic() + _REST * (monotonic() - began)
        return True
