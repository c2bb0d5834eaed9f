"""Remembers what the plugins of a host took while they ran, to say afterwards what was never given back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from plugbook.plugins.leaks import Leaks

if TYPE_CHECKING:
    from plugbook.host.host import Host
    from plugbook.plugins.scope import Scope

_MOMENT_S: Final = 1.0
_OF_THE_TEST: Final = frozenset({"stale name", "stale instance", "stale closure", "stale subscription"})
"""What there is of replaced code because a test has imported it, made events of it, and put it on a host again."""


class ScopeWatch:
    """Every scope that a host has had since this was made.

    Args:
        host: whose plugins' scopes.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._scopes: dict[int, Scope] = {}
        self._look()
        self.stop = host.on_change(self._look)

    def left(self) -> list[str]:
        """What plugins hold that are not running any more, a phrase for each of them."""
        running = {id(handle.scope) for handle in self._host.plugins.values()}
        over = [key for key in self._scopes if key not in running]
        ended = [self._scopes.pop(key) for key in over]
        return [
            f"{scope.owner} is over and still holds {', '.join(f'{kind} {label}' for kind, label in scope.held)}"
            for scope in ended
            if not scope.closed
        ]

    def _look(self) -> None:
        for handle in self._host.plugins.values():
            if handle.scope is not None:
                self._scopes[id(handle.scope)] = handle.scope


def left_behind(host: Host) -> Leaks:
    """What plugins have left behind on a host, without what a test itself holds of code that was reloaded."""
    return Leaks(leak for leak in host.leaks() if leak.kind not in _OF_THE_TEST)


def leaks_of(host: Host) -> Leaks:
    """What is left behind on a host, after the moment that threads and cancelled tasks need until they are gone."""
    leaks = left_behind(host)
    deadline = time.monotonic() + _MOMENT_S
    while leaks and not host.is_closed and time.monotonic() < deadline:
        host.bus.loop.run(asyncio.sleep(0.01))
        leaks = left_behind(host)
    return leaks
