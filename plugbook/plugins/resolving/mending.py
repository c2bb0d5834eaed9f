"""The smallest change that lets a plugin start, tried out on a copy of the manifests before anybody is told of it.

What may change: a plugin is added, removed or used in another version; a range is widened; a name is spelt right;
a requirement becomes optional, where it closes a circle. Versions that are there come before those that
somebody would have to write, and a change that keeps nobody else from starting before one that does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from plugbook.plugins.manifest import Manifest, split
from plugbook.plugins.resolving.resolver import fits, resolve

if TYPE_CHECKING:
    from plugbook.plugins.resolving.resolution import Problem, Resolution

Manifests = Mapping[str, Manifest]

_DEEPEST = 6
"""How many changes are tried together at most."""
_WIDEST = 3
"""How many of the most promising beginnings are followed at a time."""


class Change(NamedTuple):
    """One change of what is on a host.

    Attributes:
        text: what to do, such as ``add a plugin ledger>=1``.
        apply: does it to a copy.
    """

    text: str
    apply: Callable[[Manifests], Manifests]


@dataclass(frozen=True, slots=True)
class Mend:
    """Changes after which a plugin can start; that was tried.

    Attributes:
        changes: what to do.
        stops: the plugins that could start before, and then cannot.
        manifests: what would be on the host then, by name.
    """

    changes: tuple[str, ...]
    stops: tuple[str, ...] = ()
    manifests: Manifests = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        *most, last = self.changes
        text = f"{', '.join(most)}, and {last}" if most else last
        stops = f" Then {', '.join(self.stops)} cannot start." if self.stops else ""
        return f"{text[:1].upper()}{text[1:]}.{stops}"


class _Attempt(NamedTuple):
    """Manifests as they would be after some changes."""

    manifests: Manifests
    resolution: Resolution
    texts: tuple[str, ...] = ()


def find_mend(
    name: str, manifests: Manifests, *, available: Sequence[Manifest] = (), host_version: str = ""
) -> Mend | None:
    """The fewest changes after which a plugin can start; None if it can already, or if none were found.

    Args:
        name: of the plugin.
        manifests: what is on the host, by name.
        available: versions that are there and not used.
        host_version: the API version of the host.

    >>> billing = Manifest(name="billing", requires=["ledger>=2"])
    >>> ledger = Manifest(name="ledger", version="1.0")
    >>> print(find_mend("billing", {"billing": billing, "ledger": ledger}))
    Use ledger>=2 instead of 1.0.
    """
    first = _Attempt(manifests, resolve(manifests.values(), host_version))
    attempts = [first] if name in first.resolution.problems else []
    for _ in range(_DEEPEST):
        tried = [
            _try(attempt, change, host_version)
            for attempt in attempts
            for change in _changes(name, attempt, available, host_version)
        ]
        mends = [_mend(first, each) for each in tried if _can_start(name, each)]
        if mends:
            return min(mends, key=lambda mend: len(mend.stops))
        tried.sort(key=lambda each: len(each.resolution.problems))
        attempts = [each for each in tried if name in each.manifests][:_WIDEST]
    return None


def _try(attempt: _Attempt, change: Change, host_version: str) -> _Attempt:
    changed = change.apply(attempt.manifests)
    return _Attempt(changed, resolve(changed.values(), host_version), (*attempt.texts, change.text))


def _can_start(name: str, attempt: _Attempt) -> bool:
    return name in attempt.manifests and name not in attempt.resolution.problems


def _mend(before: _Attempt, after: _Attempt) -> Mend:
    stops = [each for each in after.resolution.problems if each in before.resolution.order]
    return Mend(after.texts, tuple(stops), after.manifests)


# -- what could be changed ------------------------------------------------------------------------


def _changes(
    name: str, attempt: _Attempt, available: Sequence[Manifest], host_version: str
) -> Iterator[Change]:
    """What might mend the first cause of a plugin's problem, the most welcome change first."""
    cause = attempt.resolution.problems[name].chain[-1]
    manifest = attempt.manifests[cause.plugin]
    match cause.kind:
        case "missing":
            yield from _for_missing(cause, manifest, attempt.manifests, available)
        case "version":
            yield from _for_version(cause, manifest, attempt.manifests, available)
        case "capability":
            yield from _for_capability(cause, manifest, attempt.manifests, available)
        case "host":
            yield from _for_host(manifest, available, host_version)
        case "conflict":
            yield from _for_conflict(name, cause, attempt.manifests, available)
        case "cycle":
            yield from _for_cycle(cause, attempt.manifests)


def _for_missing(
    cause: Problem, manifest: Manifest, manifests: Manifests, available: Sequence[Manifest]
) -> Iterator[Change]:
    wanted = split(cause.wanted)
    for provider in cause.plugins[:1]:
        needing = manifest.model_copy(update={"needs": (*manifest.needs, cause.wanted)})
        text = f"write needs={[cause.wanted]!r} in {manifest.name} instead of requires: {provider} provides {wanted.name}"
        yield Change(text, _with(_exchanged(needing, "requires", cause.wanted)))
    for each in available:
        if each.name == wanted.name and fits(wanted.versions, each.version):
            yield Change(f"add {each} from {each.source}", _with(each))
    for near in get_close_matches(wanted.name, manifests, n=1, cutoff=0.6):
        text = f"write {near!r} instead of {wanted.name!r} in what {manifest.name} requires"
        yield Change(text, _with(_exchanged(manifest, "requires", cause.wanted, near + wanted.versions)))
    version = _version_in(wanted.versions)
    if version:
        yield Change(f"add a plugin {cause.wanted}", _with(Manifest(name=wanted.name, version=version)))


def _for_version(
    cause: Problem, manifest: Manifest, manifests: Manifests, available: Sequence[Manifest]
) -> Iterator[Change]:
    wanted = split(cause.wanted)
    other = manifests[wanted.name]
    for each in available:
        if each.name == wanted.name and fits(wanted.versions, each.version):
            yield Change(f"use {each} from {each.source} instead of {other.version}", _with(each))
    version = _version_in(wanted.versions)
    if version:
        instead = other.model_copy(update={"version": version})
        yield Change(f"use {cause.wanted} instead of {other.version}", _with(instead))
    yield Change(
        f"let {manifest.name}, which requires {cause.wanted}, accept {other}",
        _with(_exchanged(manifest, "requires", cause.wanted, f"{other.name}=={other.version}")),
    )


def _for_capability(
    cause: Problem, manifest: Manifest, manifests: Manifests, available: Sequence[Manifest]
) -> Iterator[Change]:
    wanted = split(cause.wanted)
    for each in available:
        offered = each.capabilities().get(wanted.name)
        if each.name not in manifests and offered and fits(wanted.versions, offered):
            yield Change(f"add {each} from {each.source}, which provides {wanted.name}", _with(each))
    offers = {word: version for each in manifests.values() for word, version in each.capabilities().items()}
    for near in get_close_matches(wanted.name, offers.keys() - {wanted.name}, n=1, cutoff=0.6):
        text = f"write {near!r} instead of {wanted.name!r} in what {manifest.name} needs"
        yield Change(text, _with(_exchanged(manifest, "needs", cause.wanted, near + wanted.versions)))
    version = _version_in(wanted.versions)
    if version:
        provider = Manifest(name=_free_name(wanted.name, manifests), provides=(f"{wanted.name}=={version}",))
        yield Change(f"add a plugin that provides {cause.wanted}", _with(provider))
    if wanted.name in offers:
        text = f"let {manifest.name}, which needs {cause.wanted}, accept {wanted.name} {offers[wanted.name]}"
        yield Change(text, _with(_exchanged(manifest, "needs", cause.wanted, wanted.name)))


def _for_host(manifest: Manifest, available: Sequence[Manifest], host_version: str) -> Iterator[Change]:
    for each in available:
        if each.name == manifest.name:
            yield Change(f"use {each} from {each.source} instead of {manifest.version}", _with(each))
    widened = manifest.model_copy(update={"requires_host": ""})
    text = f"use a version of {manifest.name} that is made for API version {host_version} of the host"
    yield Change(text, _with(widened))


def _for_conflict(
    name: str, cause: Problem, manifests: Manifests, available: Sequence[Manifest]
) -> Iterator[Change]:
    for each in available:
        if each.name in cause.plugins:
            used = manifests[each.name].version
            yield Change(f"use {each} from {each.source} instead of {used}", _with(each))
    for rival in cause.plugins:
        if rival != name:
            yield Change(f"remove {rival}", _without(rival))
    for one in cause.plugins:
        for text in manifests[one].conflicts:
            if split(text).name in cause.plugins:
                yield Change(
                    f"let {one} no longer exclude {text}",
                    _with(_exchanged(manifests[one], "conflicts", text)),
                )


def _for_cycle(cause: Problem, manifests: Manifests) -> Iterator[Change]:
    for user, other in pairwise(cause.plugins):
        manifest = manifests[user]
        for text in manifest.requires:
            if split(text).name == other:
                freed = _exchanged(manifest, "requires", text)
                freed = freed.model_copy(update={"optional": (*freed.optional, text)})
                yield Change(f"make {other} optional for {user}", _with(freed))
        for need in manifest.needs:
            if split(need).name in manifests[other].capabilities():
                freed = _exchanged(manifest, "needs", need)
                yield Change(f"let {user} do without {need}, which {other} provides", _with(freed))


# -- doing it to a copy ---------------------------------------------------------------------------


def _with(manifest: Manifest) -> Callable[[Manifests], Manifests]:
    return lambda manifests: {**manifests, manifest.name: manifest}


def _without(name: str) -> Callable[[Manifests], Manifests]:
    return lambda manifests: {each: manifest for each, manifest in manifests.items() if each != name}


def _exchanged(manifest: Manifest, field: str, old: str, *new: str) -> Manifest:
    kept = (text for text in getattr(manifest, field) if text != old)
    return manifest.model_copy(update={field: (*kept, *new)})


def _version_in(versions: str) -> str:
    """Some version in a range, near its ends; ``""`` where none was found."""
    ends = re.findall(r"[0-9][^,*]*", versions)
    near = [each for end in ends for each in (end.rstrip("."), f"{end.rstrip('.')}.1", _major_after(end))]
    return next((each for each in ["1.0", *near, "0"] if fits(versions, each)), "")


def _major_after(version: str) -> str:
    return str(Version(version.rstrip(".")).major + 1)


def _free_name(word: str, manifests: Manifests) -> str:
    name = f"{word}-provider"
    while name in manifests:
        name += "-x"
    return name
