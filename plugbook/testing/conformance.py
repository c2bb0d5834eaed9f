"""What every plugin must hold, as tests that a plugin's package runs with one line.

In a test file of the package, such as ``tests/test_conformance.py``::

    from plugbook.testing.conformance import conformance
    from shop import Billing, Ledger

    TestBilling = conformance(Billing, config={"currency": "USD"}, beside=[Ledger])

Each test is named after what must hold, and a failing one says what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from plugbook.errors import ManifestError, PlugbookError
from plugbook.plugins.manifest import make_manifest
from plugbook.plugins.plugin import Plugin, as_class
from plugbook.plugins.reloading.keeping import keeps_state
from plugbook.plugins.settings.marks import is_secret
from plugbook.trace.writing.payload import SHORTEST_SECRET

from .subject import IntendedError, Subject

if TYPE_CHECKING:
    from plugbook.events.event import Event
    from plugbook.host.host import Host, PluginClass

_GIVE_BACK = "What start() takes, take it through ctx, and it is given back: ctx.defer, ctx.enter, ctx.spawn."


def conformance(
    plugin: PluginClass,
    *,
    config: Mapping[str, Any] | None = None,
    beside: Iterable[PluginClass] = (),
    events: Iterable[Event] = (),
    allow_leaks: Iterable[str] = (),
    **host_options: Any,
) -> type:
    """A test class that holds a plugin to what every plugin must hold; give it a name that begins with ``Test``.

    The plugin is started and given events for real: what it does to the world can be denied or replaced with
    ``effects=``, or by the fixtures of the test file.

    >>> class Billing(Plugin, version="1.0"):
    ...     '''Sends invoices.'''
    >>> TestBilling = conformance(Billing)
    >>> [name for name in dir(TestBilling) if name.startswith("test_it")]
    ['test_it_handles_an_example_of_each_event', 'test_it_says_what_it_is', 'test_it_starts_and_stops_twice']

    Args:
        plugin: its class, or what `plugin` returns.
        config: its options, by name.
        beside: the plugins that it needs.
        events: examples for its handlers, where those that are made up will not do.
        allow_leaks: the kinds of things that it may leave behind, such as ``thread``.
        **host_options: further arguments of `Host`.

    Raises:
        ManifestError: it is no plugin class.
    """
    plugin_class = as_class(plugin)
    if not (isinstance(plugin_class, type) and issubclass(plugin_class, Plugin)) or plugin_class is Plugin:
        msg = f"conformance takes a plugin class, a subclass of plugbook.Plugin, not {plugin!r}"
        raise ManifestError(msg)
    allowed = frozenset((allow_leaks,) if isinstance(allow_leaks, str) else allow_leaks)
    subject = Subject(
        plugin_class, dict(config or {}), tuple(beside), tuple(events), allowed, dict(host_options)
    )
    bases: list[type] = [Conforming]
    if plugin_class.Config is not None:
        bases.append(ConformingOptions)
        bases += [ConformingSecrets] * bool(_secret_options(plugin_class))
    if keeps_state(plugin_class):
        bases.append(ConformingState)
    doc = f"What {plugin_class.__qualname__} holds as a plugin."
    return type(f"{plugin_class.__name__}Conformance", tuple(bases), {"subject": subject, "__doc__": doc})


class Conforming:
    """What holds for every plugin."""

    subject: ClassVar[Subject]

    def test_it_says_what_it_is(self) -> None:
        """The manifest has a version and a summary, and is the same when it was written down and read."""
        manifest = self.subject.plugin_class.manifest
        name = self.subject.plugin_class.__name__
        if manifest.version == "0.0.0":
            _fail(
                f'{name} has no version, so that nobody can require one: class {name}(Plugin, version="1.0").'
            )
        if not manifest.summary:
            _fail(f"{name} does not say what it is for: give its class a docstring, or summary=.")
        if make_manifest(json.loads(manifest.model_dump_json())) != manifest:
            _fail(
                f"the manifest of {name} is another one when it is read from JSON: give it plain text only."
            )

    def test_it_starts_and_stops_twice(self) -> None:
        """What it did in its first life does not keep it from a second one."""
        with self.subject.started() as host:
            host.stop(self.subject.name)
            try:
                host.start(self.subject.name)
            except PlugbookError as error:
                _fail(f"It started once, and not again after a stop: {error}\n{_GIVE_BACK}")
            host.stop(self.subject.name)

    def test_nothing_is_left_when_it_has_stopped(self) -> None:
        """Threads, tasks, subscriptions and the instance are gone, though events were handled."""
        with self.subject.started() as host:
            for _ in self.subject.send_examples(host):
                pass
            host.stop(self.subject.name)
            self._check_leaks(host, "when it had stopped")

    def test_nothing_is_left_when_its_start_has_failed(self) -> None:
        """A start that fails at its end gives back what it took, and the next one succeeds."""
        with self.subject.host() as host:
            with self.subject.failing_start():
                error = host.start().failed.get(self.subject.name)  # type: ignore[union-attr]  # nothing runs here
            if not isinstance(error, IntendedError):
                _fail(f"It did not start: {error or host.why(self.subject.name)}")
            del error
            try:
                host.start(self.subject.name)
            except PlugbookError as again:
                _fail(f"When its start had failed once, it could not start any more: {again}\n{_GIVE_BACK}")
            host.stop(self.subject.name)
            self._check_leaks(host, "when its start had failed, and it had started again and stopped")

    def test_nothing_is_left_when_it_was_removed(self) -> None:
        """A host that has forgotten it holds nothing of it."""
        with self.subject.started() as host:
            host.remove(self.subject.name)
            self._check_leaks(host, "when it was removed")

    def test_it_handles_an_example_of_each_event(self) -> None:
        """No handler fails with the smallest event that its type allows, nor with an example that was given."""
        _, missing = self.subject.examples()
        if missing:
            name = self.subject.plugin_class.__name__
            _fail("\n".join([*missing, f"Give it to the suite: conformance({name}, events=[...])."]))
        with self.subject.started() as host:
            failed = [
                f"  {call.handler} with {report.event!r}: {call.error!r} {call.reason}".rstrip()
                for report in self.subject.send_examples(host)
                for call in report.calls
                if call.plugin == self.subject.name and call.outcome in ("error", "timeout")
            ]
        if failed:
            remedy = (
                "Handle all that the type of an event allows, or let the type allow less, as by Field(gt=0). "
                "Where an example makes no sense here, give another: conformance(..., events=[...])."
            )
            _fail("\n".join(["Handlers fail with events that are valid:", *failed, remedy]))

    def _check_leaks(self, host: Host, when: str) -> None:
        left = self.subject.leaks(host)
        if left:
            _fail(
                "\n".join([f"Something was left behind {when}:", *(f"  {leak}" for leak in left), _GIVE_BACK])
            )


class ConformingOptions:
    """What holds for a plugin that has options."""

    subject: ClassVar[Subject]

    def test_its_options_are_documented(self) -> None:
        """Every option says what it is for, and they have a JSON Schema, from which forms are made."""
        model = self.subject.plugin_class.Config
        if model is None:
            return
        silent = [name for name, field in model.model_fields.items() if not field.description]
        if silent:
            where = f"{self.subject.plugin_class.__name__}.Config"
            _fail(
                f"{where} does not say what these are for: {', '.join(silent)}. "
                f'Write {silent[0]}: ... = Field(..., description="...").'
            )
        json.dumps(model.model_json_schema())


class ConformingSecrets:
    """What holds for a plugin that is given secrets."""

    subject: ClassVar[Subject]

    def test_its_secrets_are_not_recorded(self, tmp_path: Path) -> None:
        """A recording of all that it does holds none of its secrets."""
        path = tmp_path / "conformance.plugbook"
        with self.subject.host() as host:
            host.record(path)
            host.start(self.subject.name)
            layers = host.plugins[self.subject.name].layers
            secrets = layers.secrets() if layers is not None else set()
            for _ in self.subject.send_examples(host):
                pass
        known = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        if not known:
            secret = _secret_options(self.subject.plugin_class)[0]
            _fail(
                f"It has the secret option {secret!r}, and none was given to look for: "
                f"conformance(..., config={{{secret!r}: 'not-a-real-secret'}})."
            )
        if any(secret.encode() in path.read_bytes() for secret in known):
            _fail(
                "A secret of its options is in the recording. Put it into no event and no log in another form than "
                "it was given, and declare it as SecretStr."
            )


class ConformingState:
    """What holds for a plugin that keeps its state when it is reloaded."""

    subject: ClassVar[Subject]

    def test_its_state_survives_a_reload(self) -> None:
        """What `snapshot` gives, after some events, the next generation gives as well when it was restored."""
        name, awaited = self.subject.name, self.subject.awaited
        with self.subject.started() as host:
            for _ in self.subject.send_examples(host):
                pass
            before = awaited(host, lambda: _instance(host, name).snapshot())
            try:
                host.reload(name)
            except PlugbookError as error:
                _fail(f"It cannot be reloaded with its state: {error}")
            after = awaited(host, lambda: _instance(host, name).snapshot())
        if before != after:
            _fail(
                f"Before a reload its state was {before!r}, afterwards it is {after!r}. restore() takes over all that "
                "snapshot() gives, and start(), which comes after it, must not set that anew: do so in __init__."
            )


def _secret_options(plugin_class: type[Plugin]) -> list[str]:
    model = plugin_class.Config
    return [] if model is None else [name for name in model.model_fields if is_secret(model, (name,))]


def _instance(host: Host, name: str) -> Any:
    return host.plugins[name].instance


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)
