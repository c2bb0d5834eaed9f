"""What one test has of plugbook: its hosts, what they publish and record, and the check that all is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from plugbook.errors import LifecycleError
from plugbook.host.host import Host, PluginClass
from plugbook.host.plan import Changes
from plugbook.trace.telling import recorded_place
from plugbook.trace.units import count_text

from .clock import VirtualClock
from .published import PublishedEvents
from .scopes import left_behind

if TYPE_CHECKING:
    from plugbook.plugins.leaks import Leak
    from plugbook.trace.reading.live import LiveRecording

Allowed = bool | Iterable[str]
"""True for every kind of leak, or the kinds: ``thread``, ``task``, ``subscription``, ``instance`` ..."""

_REMEDY: Final = (
    "What a plugin takes in start(), it gives back by ctx.defer, ctx.enter or ctx.spawn. Where it may stay, say so: "
    "plugin_host(..., allow_leaks=[{kinds}]), or @pytest.mark.allow_leaks({kinds}) above the test."
)


class _Tested(NamedTuple):
    """A host, and the kinds of leaks that it may have: all where None."""

    host: Host
    allowed: frozenset[str] | None
    is_checked: bool


class Bench:
    """The hosts of a test, with all that its fixtures ask of them.

    Args:
        allowed: the leaks that the whole test may have.
        let_go: makes pytest let go of what it holds of the test, before instances count as left behind.

    Attributes:
        is_red: whether the test has failed: its traceback then holds what it will, and leaks say nothing.
        recordings: the files that were recorded, in the order of their hosts.
    """

    def __init__(self, allowed: Allowed = False, let_go: Callable[[], object] = lambda: None) -> None:
        self._hosts: list[_Tested] = []
        self._allowed = allowed
        self._let_go = let_go
        self._events: PublishedEvents | None = None
        self._clock: VirtualClock | None = None
        self._folder: Path | None = None
        self.is_red = False
        self.recordings: list[Path] = []

    def make(
        self,
        *plugins: PluginClass,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        start: bool = True,
        allow_leaks: Allowed = False,
        **options: Any,
    ) -> Host:
        """A host with these plugins, started; see the fixture `plugin_host`.

        Raises:
            PluginError: a plugin did not start; names it and the reason.
        """
        host = Host(plugins, config=config, **{"env_prefix": None, **options})
        self.adopt(host, allow_leaks=allow_leaks)
        if start:
            changes = host.start()
            if isinstance(changes, Changes):
                changes.check()
        return host

    def adopt(self, host: Host, *, allow_leaks: Allowed = False, check: bool = True) -> Host:
        """Take in a host that the test has made itself: it is seen, recorded, stopped and checked as the others are."""
        kinds = [_kinds(allow_leaks), _kinds(self._allowed)]
        allowed = None if None in kinds else frozenset().union(*(kind or () for kind in kinds))
        self._hosts.append(_Tested(host, allowed, check))
        if self._events is not None:
            self._events.listen_to(host.bus)
        if self._folder is not None:
            self._record(host, self._folder)
        if self._clock is not None:
            self._clock.govern(host)
        return host

    # -- what the other fixtures give ---------------------------------------------------------------

    @property
    def events(self) -> PublishedEvents:
        """What is published on the hosts, from the first time that this is asked for."""
        if self._events is None:
            self._events = PublishedEvents()
            for each in self._hosts:
                self._events.listen_to(each.host.bus)
        return self._events

    @property
    def clock(self) -> VirtualClock:
        """What the hosts go by, from the first time that this is asked for."""
        if self._clock is None:
            self._clock = VirtualClock()
            for each in self._hosts:
                self._clock.govern(each.host)
        return self._clock

    def failures(self) -> list[str]:
        """Each call of a handler that failed so far, in words: the host goes on, and a test may not look at it."""
        recordings = [each.host.recording for each in self._hosts if not each.host.is_closed]
        return [
            f"{record.name} raised {error['type']}: {error['message']} ({recorded_place(error)})"
            for recording in recordings
            if recording is not None
            for record in recording.select(outcome="error", kinds="call").records()
            if isinstance(error := record.error, dict)
        ]

    def record_to(self, folder: Path) -> None:
        """Record every host into a file of its own, the ones to come as well."""
        self._folder = folder
        for each in self._hosts:
            self._record(each.host, folder)

    @property
    def recording(self) -> LiveRecording:
        """What the first host records.

        Raises:
            LifecycleError: there is no host yet.
        """
        found = next((each.host.recording for each in self._hosts), None)
        if found is None:
            msg = "nothing is recorded yet: make a host first, with plugin_host(Billing)"
            raise LifecycleError(msg)
        return found

    def _record(self, host: Host, folder: Path) -> None:
        number = len(self.recordings) + 1
        path = folder / (f"test-{number}.plugbook" if number > 1 else "test.plugbook")
        host.record(path)
        self.recordings.append(path)

    # -- the end ------------------------------------------------------------------------------------

    def close(self) -> str:
        """Stop and close every host, the last one first; what went wrong meanwhile, as text for a person."""
        troubles: list[str] = []
        leaks: list[Leak] = []
        while self._hosts:
            tested = self._hosts.pop()
            try:
                troubles += _stop(tested.host)
                leaks += self._leaks_of(tested)
            finally:
                tested.host.close()
        return "" if self.is_red else "\n".join(_told(troubles, leaks))

    def _leaks_of(self, tested: _Tested) -> list[Leak]:
        host, allowed = tested.host, tested.allowed
        if self.is_red or not tested.is_checked or allowed is None:
            return []
        if any(leak.kind == "instance" for leak in host.leaks()):
            self._let_go()
        # The traceback of what a plugin failed with holds its instance, for whoever wants to look at it.
        failed = {name for name, handle in host.plugins.items() if handle.error is not None}
        return [
            leak
            for leak in left_behind(host)
            if leak.kind not in allowed and not (leak.kind == "instance" and leak.plugin in failed)
        ]


def _kinds(allowed: Allowed) -> frozenset[str] | None:
    """The kinds that are allowed; None for all of them."""
    if isinstance(allowed, bool):
        return None if allowed else frozenset()
    return frozenset((allowed,) if isinstance(allowed, str) else allowed)


def _stop(host: Host) -> list[str]:
    if host.is_closed:
        return []
    changes = host.stop()
    if not isinstance(changes, Changes) or changes.is_complete:
        return []
    return [str(Changes(failed=changes.failed, blocked=changes.blocked))]


def _told(troubles: list[str], leaks: list[Leak]) -> Iterator[str]:
    if troubles:
        yield "The host could not stop every plugin when the test had ended:"
        yield from (f"  {trouble}" for trouble in troubles)
    if leaks:
        count = count_text(len(leaks), "thing")
        yield f"The host had stopped every plugin, and {count} of theirs {'are' if len(leaks) > 1 else 'is'} still there:"
        yield from (f"  {leak}" for leak in leaks)
        kinds = ", ".join(repr(kind) for kind in dict.fromkeys(leak.kind for leak in leaks))
        yield _REMEDY.format(kinds=kinds)
