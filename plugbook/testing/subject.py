"""The plugin that a conformance suite is about, and the hosts on which it is tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from plugbook.errors import EventError
from plugbook.events.versions.example import example_event
from plugbook.events.versions.known import types_for
from plugbook.host.host import Host
from plugbook.plugins.scope import must_be_awaited

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugbook.events.dispatch.report import Report
    from plugbook.events.event import Event
    from plugbook.plugins.plugin import HandlerSpec, Plugin

_PATIENCE_S: Final = 10.0


class IntendedError(Exception):
    """What a start ends with, whose cleanup is looked at."""


@dataclass(frozen=True)
class Subject:
    """A plugin, and all that it needs to be tried.

    Attributes:
        plugin_class: the plugin.
        options: its own options.
        beside: the plugins that it needs.
        events: examples of events that are given to it as well, or in the place of those that are made up.
        allowed: the kinds of leaks that it may have.
        host_options: further arguments of each `Host`.
    """

    plugin_class: type[Plugin]
    options: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[Any, ...] = ()
    events: tuple[Event, ...] = ()
    allowed: frozenset[str] = frozenset()
    host_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.plugin_class.manifest.name

    @contextmanager
    def host(self) -> Iterator[Host]:
        """A host with the plugin and those that it needs, which are started without it."""
        config = {self.name: self.options} if self.options else None
        options = {"env_prefix": None, **self.host_options}
        with Host([*self.beside, self.plugin_class], config=config, **options) as host:
            yield host

    @contextmanager
    def started(self) -> Iterator[Host]:
        """The same with the plugin started.

        Raises:
            PluginError: it, or one that it needs, does not start.
        """
        with self.host() as host:
            host.start(self.name)
            yield host

    @contextmanager
    def failing_start(self) -> Iterator[None]:
        """Have its start fail when it has done all that it does."""
        start = self.plugin_class.start

        def failing(plugin: Plugin, ctx: Any) -> Any:
            result: Any = start(plugin, ctx)
            if must_be_awaited(result):
                return _fail_after(result)
            raise IntendedError

        with patch.object(self.plugin_class, "start", failing):
            yield

    def examples(self) -> tuple[list[tuple[HandlerSpec, Event]], list[str]]:
        """Every handler with an event that it listens to, and why there is none for the others.

        Of a topic pattern the event types count that are defined by now. One of those that no example can be made up
        for is not missed: it may be anybody's.
        """
        found: list[tuple[HandlerSpec, Event]] = []
        missing: list[str] = []
        for spec in self.plugin_class.handlers():
            for event_type in types_for(spec.target):
                given = [event for event in self.events if isinstance(event, event_type)]
                try:
                    found += [(spec, event) for event in given or [example_event(event_type)]]
                except EventError as error:
                    if event_type is spec.target:
                        missing.append(str(error))
        return found, missing

    def send_examples(self, host: Host) -> Iterator[Report]:
        """Publish those there are, each once, as a plugin that the handler listens to; each report is done."""
        sent: list[Event] = []
        for spec, event in self.examples()[0]:
            if event not in sent:
                sent.append(event)
                yield host.bus.publish(event, plugin=_publisher(spec)).wait(_PATIENCE_S)

    def leaks(self, host: Host) -> list[str]:
        """What it left behind on a host, as text."""
        return [
            str(leak) for leak in host.leaks() if leak.plugin == self.name and leak.kind not in self.allowed
        ]

    def awaited(self, host: Host, call: Callable[[], Any]) -> Any:
        """What one of its methods gives, which may be async."""
        result = call()
        return host.bus.loop.run(_awaited(result)) if must_be_awaited(result) else result


def _publisher(spec: HandlerSpec) -> str:
    """Whose events a handler wants, where it wants those of some plugin by name."""
    sources: Iterable[str] = (spec.source,) if isinstance(spec.source, str) else spec.source or ()
    return next((source for source in sources if "*" not in source), "")


async def _fail_after(awaitable: Any) -> None:
    await awaitable
    raise IntendedError


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
