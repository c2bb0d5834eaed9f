"""Has pytest let go of the plugins that it holds itself, so that they do not count as left behind by the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def let_go(request: pytest.FixtureRequest, log: pytest.LogCaptureFixture | None) -> None:
    """Forget the values of the test's fixtures, which have had their end, and the tracebacks of its log.

    An instance may be the value of a fixture, and an error that was logged leads to the frames it went through.
    """
    getattr(request.node, "funcargs", {}).clear()
    if log is not None:
        for when in ("setup", "call", "teardown"):
            for record in log.get_records(when):
                record.exc_info = None  # its text was made when it was logged
