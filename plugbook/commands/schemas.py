"""The word about schemas: which versions of events there are, and what changed from one to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugbook.errors import PlugbookError, UnknownNameError, suggestion

from .kinds import TOPIC
from .values import Rows, Text
from .words import word

if TYPE_CHECKING:
    from plugbook.events.versions.compatibility import Compatibility

    from .door import Door

Versions = dict[int, tuple[dict[str, Any], str]]
"""Of one topic, by version: the schema, and where it is from."""

_SUFFIX = ".plugbook"


@word()
@click.argument("names", nargs=-1, type=TOPIC, metavar="[RECORDING]... [TOPIC]")
def schema(door: Door, names: tuple[str, ...]) -> Any:
    r"""Show the schemas of events and what each version changed, or compare two recordings.

    \b
    schema                                list the topics, their versions and upcasters
    schema order.placed                   what it takes, and what each version changed
    schema run.plugbook [order.placed]    the same for what a recording holds
    schema old.plugbook new.plugbook      what changed from one to the other

    In the terminal the exit code is 1 where subscribers of the older recording cannot read the newer one.
    """
    files = [name for name in names if name.endswith(_SUFFIX) or Path(name).is_file()]
    topics = [name for name in names if name not in files]
    if len(files) > 2 or len(topics) > 1:
        msg = "Give one topic, one recording, or two recordings to compare."
        raise click.UsageError(msg)
    if len(files) == 2:
        return _compare(door, files, topics)
    known = _recorded(door.open(files[0]).facts("schema"), "recorded") if files else _known(door)
    if not topics:
        return _listed(known)
    topic = topics[0]
    if topic not in known:
        msg = f"There is no schema of {topic!r} here.{suggestion(topic, known)}"
        raise UnknownNameError(msg, name=topic, known=known)
    return _told(topic, known[topic])


def _known(door: Door) -> dict[str, Versions]:
    """What is known in this process, and what the current recording holds besides."""
    from plugbook.events.versions.schemas import schemas

    known: dict[str, Versions] = {}
    with suppress(PlugbookError):  # nothing is current
        known = _recorded(door.recording().facts("schema"), "recorded")
    for topic in schemas.topics:
        for version in schemas.versions(topic):
            kind = schemas.kind(topic, version)
            where = f"class {kind.__name__}" if kind else "registered"
            known.setdefault(topic, {})[version] = (schemas.schema(topic, version), where)
    return known


def _recorded(facts: Mapping[str, Any], where: str) -> dict[str, Versions]:
    known: dict[str, Versions] = {}
    for name, found in facts.items():
        topic, _, version = name.rpartition("@")
        if version.isdecimal():
            known.setdefault(topic, {})[int(version)] = (found, where)
    return known


def _listed(known: Mapping[str, Versions]) -> Rows:
    from plugbook.events.versions.schemas import schemas

    rows = [
        (
            topic,
            ", ".join(map(str, sorted(versions))),
            ", ".join(f"{each}->{each + 1}" for each in schemas.upcasters(topic)),
            ", ".join(dict.fromkeys(versions[each][1] for each in sorted(versions))),
        )
        for topic, versions in sorted(known.items())
    ]
    return Rows(("topic", "versions", "upcasters", "from"), tuple(rows), "No event has a schema here.")


def _told(topic: str, versions: Versions) -> Text:
    from plugbook.events.versions.compatibility import check_compatibility, outline
    from plugbook.events.versions.schemas import schemas

    lines = [topic]
    for version, (found, where) in sorted(versions.items()):
        lines += [f"  version {version} ({where})", *(f"    {each}" for each in outline(found))]
    for older, newer in pairwise(sorted(versions)):
        changed = check_compatibility(versions[older][0], versions[newer][0])
        steps = ", ".join(f"{each}->{each + 1}" for each in schemas.upcasters(topic) if older <= each < newer)
        by = f" (upcaster {steps})" if steps else ""
        lines += _indented(f"from {older} to {newer}{by}: {changed}", 1)
    return Text("\n".join(lines))


def _compare(door: Door, files: list[str], topics: list[str]) -> Text:
    from plugbook.events.versions.compatibility import check_recordings

    old, new = (door.open(file) for file in files)
    found = check_recordings(old, new)
    if topics and topics[0] not in found:
        msg = f"Not both recordings have events of {topics[0]!r}.{suggestion(topics[0], found)}"
        raise UnknownNameError(msg, name=topics[0], known=found)
    chosen = {topic: each for topic, each in found.items() if topic in (topics or found)}
    told = _told_all(chosen)
    if door.name == "terminal" and not all(chosen.values()):
        click.echo(told)
        click.get_current_context().exit(1)
    return told


def _told_all(found: Mapping[str, Compatibility]) -> Text:
    lines = [line for topic, each in found.items() for line in _indented(f"{topic}: {each}", 0)]
    return Text("\n".join(lines or ["The recordings have no topic in common."]))


def _indented(text: str, depth: int) -> Iterable[str]:
    return [f"{'  ' * depth}{line}" for line in text.splitlines()]
