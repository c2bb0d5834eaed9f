"""What a host will no longer offer: who still uses it is warned in time, and refused once it is gone.

A use is noticed where a plugin takes or gives something through its context, where its manifest names a plugin,
and where it is configured. While nothing is deprecated, a context is as it always was, and costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from packaging.version import Version

from plugbook.errors import ManifestError, PlugbookDeprecationWarning, RemovedError
from plugbook.events.topics import compile_pattern, matches
from plugbook.plugins.manifest import Manifest, check_version, split
from plugbook.plugins.warning import warn

if TYPE_CHECKING:
    from plugbook.plugins.context import Context

DeprecatedKind = Literal["topic", "service", "plugin", "option"]
Note = Callable[[str, "Deprecation", str], None]
"""Told once of each plugin that uses something deprecated: which, what, and the sentence about it."""

_CALLS: Final[Mapping[str, tuple[DeprecatedKind, str]]] = {
    "subscribe": ("topic", "listens to"),
    "publish": ("topic", "publishes"),
    "publish_async": ("topic", "publishes"),
    "ask": ("topic", "asks"),
    "provide": ("service", "provides"),
    "get": ("service", "gets"),
}
"""For each method of a context what it is about, and what a plugin does that calls it."""


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Something that a host still offers and will not offer for ever.

    Attributes:
        kind: what it is.
        name: a topic or a topic pattern, the name of a service's type or of a plugin, or an option as in
            ``billing.currency``.
        since: the API version of the host that deprecated it.
        removal: the API version that no longer has it.
        use: what to use instead, or ``""``.
        service: the type of a service, or None.
    """

    kind: DeprecatedKind
    name: str
    since: str
    removal: str
    use: str = ""
    service: type | None = field(default=None, repr=False)

    def sentence(self, user: str, *, is_gone: bool) -> str:
        """What to tell of somebody who uses it, such as ``billing listens to``."""
        instead = f" Use {self.use} instead." if self.use else ""
        if is_gone:
            return f"{user} the {self.kind} {self.name}, which API version {self.removal} of this host removed.{instead}"
        return (
            f"{user} the {self.kind} {self.name}, which is deprecated since API version {self.since} of this host "
            f"and will be gone with {self.removal}.{instead}"
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name} (since {self.since}, gone with {self.removal})"


class Deprecations:
    """What is deprecated on one host, and who uses it.

    Args:
        api_version: of the host.
        note: writes down each first use.

    Attributes:
        users: the plugins that use each deprecated thing, in the order in which they were noticed.
    """

    def __init__(self, api_version: str, note: Note) -> None:
        self.users: dict[Deprecation, list[str]] = {}
        self._api_version = Version(api_version)
        self._note = note

    def add(self, kind: DeprecatedKind, thing: Any, *, since: str, removal: str, use: str) -> Deprecation:
        """Deprecate something.

        Raises:
            ManifestError: a version is none, or it would be gone before it is deprecated.
            TopicError: a topic pattern is not well formed.
        """
        is_type = isinstance(thing, type)
        if is_type != (kind == "service") or not (is_type or isinstance(thing, str)):
            wanted = "the type that it is provided under" if kind == "service" else "its name as text"
            msg = f"{kind}={thing!r} cannot be deprecated. Give {wanted}."
            raise ManifestError(msg)
        if kind == "topic":
            compile_pattern(thing)
        first, last = check_version(since), check_version(removal)
        if Version(first) >= Version(last):
            msg = f"{thing} cannot be deprecated since {first} and gone with {last}. Let it go with a later version."
            raise ManifestError(msg)
        name = thing.__qualname__ if is_type else thing
        made = Deprecation(kind, name, first, last, use, thing if is_type else None)
        self.users.setdefault(made, [])
        return made

    def watch(self, context: Context, manifest: Manifest, options: Iterable[str]) -> None:
        """Notice from now on what a plugin uses through its context; what it says in advance, at once.

        Raises:
            RemovedError: it says that it uses something that is gone.
        """
        if not self.users:
            return
        for kind, user, name in _declared(manifest, options):
            self._check(manifest.name, user, self._named(kind, name))
        self._watch_calls(context)

    def look_at(
        self, context: Context, targets: Iterable[Any], manifest: Manifest, options: Iterable[str]
    ) -> None:
        """Notice what a plugin that is active uses already, and from now on; what it has is not refused.

        Args:
            context: of the plugin.
            targets: what its handlers listen to.
            manifest: what it says about itself.
            options: the names of those that it was given, wherever.
        """
        plugin = manifest.name
        for target in targets:
            self._tell(plugin, f"{plugin} listens to", self._topics(target))
        for kind, user, name in _declared(manifest, options):
            self._tell(plugin, user, self._named(kind, name))
        self._watch_calls(context)

    def configured(self, plugin: str, options: Iterable[str]) -> None:
        """Notice options that a plugin is given while it is on the host.

        Raises:
            RemovedError: one of them is gone.
        """
        for kind, user, name in _configured(plugin, options):
            self._check(plugin, user, self._named(kind, name))

    # -- inside -----------------------------------------------------------------------------------

    def _watch_calls(self, context: Context) -> None:
        kinds = {each.kind for each in self.users}
        for name, (kind, verb) in _CALLS.items():
            if kind in kinds:
                self._guard(context, name, verb, self._topics if kind == "topic" else self._services)

    def _guard(
        self, context: Context, name: str, verb: str, find: Callable[[Any], Iterator[Deprecation]]
    ) -> None:
        """Put a check in front of a method of this one context."""
        method = getattr(type(context), name)
        user = f"{context.plugin} {verb}"

        def guarded(thing: Any, *args: Any, **options: Any) -> Any:
            self._check(context.plugin, user, find(thing))
            return method(context, thing, *args, **options)

        setattr(context, name, guarded)

    def _topics(self, target: Any) -> Iterator[Deprecation]:
        """Those that a topic, an event or its type is; a pattern such as ``order.*`` means nothing in particular."""
        topic = target if isinstance(target, str) else target.__topic__
        for each in self.users:
            if each.kind == "topic" and (
                each.name == topic or ("*" not in topic and matches(each.name, topic))
            ):
                yield each

    def _services(self, kind: Any) -> Iterator[Deprecation]:
        return (each for each in self.users if each.service is not None and each.service is kind)

    def _named(self, kind: DeprecatedKind, name: str) -> Iterator[Deprecation]:
        return (each for each in self.users if (each.kind, each.name) == (kind, name))

    def _check(self, plugin: str, user: str, found: Iterator[Deprecation]) -> None:
        uses = list(found)
        for each in uses:
            if self._api_version >= Version(each.removal):
                msg = each.sentence(user, is_gone=True)
                raise RemovedError(msg, plugin=plugin)
        self._tell(plugin, user, uses)

    def _tell(self, plugin: str, user: str, found: Iterable[Deprecation]) -> None:
        for each in found:
            if plugin not in self.users[each]:
                self.users[each].append(plugin)
                text = each.sentence(user, is_gone=False)
                self._note(plugin, each, text)
                warn(text, PlugbookDeprecationWarning)


def _declared(manifest: Manifest, options: Iterable[str]) -> Iterator[tuple[DeprecatedKind, str, str]]:
    """The plugins that a manifest names and the options that were given."""
    for text in (*manifest.requires, *manifest.optional):
        yield "plugin", f"{manifest.name} requires", split(text).name
    yield from _configured(manifest.name, options)


def _configured(plugin: str, options: Iterable[str]) -> Iterator[tuple[DeprecatedKind, str, str]]:
    for option in options:
        yield "option", f"{plugin} is configured with", f"{plugin}.{option}"
