"""A thread that keeps a view in step with what changes elsewhere, however fast that is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

_log = logging.getLogger("plugbook.notebook")

PAUSE_S: Final = 0.05
"""The least time between two refreshes: 20 a second are as many as an eye follows."""


class Follower:
    """Calls `refresh` soon after every `wake`, at most 20 times a second, and now and then without one.

    Args:
        refresh: called on the follower's own thread; what it raises is logged, and the next one runs.
        look_every_s: how often to refresh although nobody woke it; None for never.
    """

    def __init__(self, refresh: Callable[[], None], look_every_s: float | None = 0.5) -> None:
        self._refresh = refresh
        self._look_every_s = look_every_s
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plugbook-follower", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something changed; returns at once, from any thread."""
        self._woken.set()

    def stop(self) -> None:
        """End the thread, and wait for it unless it is the one that asks."""
        self._stopped.set()
        self._woken.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            self._woken.wait(self._look_every_s)
            if self._stopped.is_set():
                return
            self._woken.clear()
            try:
                self._refresh()
            except Exception:
                _log.exception("a view could not be refreshed")
            self._stopped.wait(PAUSE_S)
