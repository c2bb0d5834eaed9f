"""Finds the plugins that installed distributions offer, without running any of their code.

A distribution names its plugins as entry points of one group:

    [project.entry-points."plugbook.plugins"]
    billing = "shop.billing:Billing"

What the class statement says literally is read from the source, so that a plugin can be resolved before
it is imported. A distribution that is broken is reported with the others, and hides none of them.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

from plugbook.errors import ManifestError

from .declared import read_declared
from .loader import split_entry_point
from .manifest import Manifest, make_manifest

GROUP = "plugbook.plugins"
_SETTLED_NS = 2_000_000_000
"""A file that was touched less than this before it was read may change again without a new time stamp."""

_Stamp = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Found:
    """One plugin that a distribution offers, or a distribution that could not be read.

    Attributes:
        name: the plugin's name, as the entry point says; of a broken distribution its own.
        entry_point: where the class is, ``module:Class``, or ``""``.
        distribution: which distribution offers it, such as ``shop-plugins 1.2``.
        manifest: what is known before the class is imported, or None.
        error: why there is no manifest, or None.
    """

    name: str
    entry_point: str
    distribution: str
    manifest: Manifest | None = None
    error: ManifestError | None = None


def discover(group: str = GROUP, path: Iterable[str] | None = None) -> list[Found]:
    """All plugins that the distributions on the path offer, by name.

    A distribution that is there twice counts once, where it is found first, as for imports. What has not
    changed since the last call is not read again.

    Args:
        group: the entry point group.
        path: folders to look in instead of `sys.path`.
    """
    found: list[Found] = []
    seen: set[str] = set()
    for folder in dict.fromkeys(sys.path if path is None else path):
        for name, metadata in _metadata_folders(folder or "."):
            if name not in seen:
                seen.add(name)
                found += _offered(metadata, group)
    return sorted(found, key=lambda each: each.name)


def complete(found: Manifest, declared: Manifest) -> Manifest:
    """The manifest of a plugin whose class has been imported: what the class says, and where it came from.

    Args:
        found: what discovery knew.
        declared: what the class says.

    Raises:
        ManifestError: the class gives itself another name than the entry point.
    """
    _check_name(found.name, declared)
    # A class that gives no version has that of its distribution.
    version = declared.version if "version" in declared.model_fields_set else found.version
    origin = {"version": version, "entry_point": found.entry_point, "source": found.source}
    return declared.model_copy(update=origin)


# -- what was read before -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one metadata folder gave, and the files it was read from."""

    found: tuple[Found, ...]
    stamps: dict[Path, _Stamp]
    is_settled: bool

    def is_current(self) -> bool:
        return self.is_settled and all(_stamp(file) == stamp for file, stamp in self.stamps.items())


_readings: dict[tuple[str, str], _Reading] = {}


def _offered(metadata: str, group: str) -> tuple[Found, ...]:
    file = Path(metadata, "entry_points.txt")
    stamp = _stamp(file)
    if stamp is None:
        return ()
    reading = _readings.get((metadata, group))
    if reading is None or not reading.is_current():
        # The stamps come first: an edit during the reading makes them old, and it is read again.
        started_ns = time.time_ns()
        stamps: dict[Path, _Stamp] = {file: stamp}
        found = tuple(_read(Path(metadata), group, stamps))
        newest = max((each[0] for each in stamps.values() if each), default=0)
        reading = _Reading(found, stamps, is_settled=started_ns - newest > _SETTLED_NS)
        _readings[metadata, group] = reading
    return reading.found


def _stamp(file: Path) -> _Stamp:
    """What changes when a file does; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


# -- reading --------------------------------------------------------------------------------------


def _metadata_folders(folder: str) -> Iterator[tuple[str, str]]:
    """Every metadata folder in a folder, with the normal form of its distribution's name."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))
            )
    except OSError:  # not there, not a folder, or not ours to read: Python's own import passes it over too
        return
    for name in names:
        if not name.startswith("~"):  # what pip leaves behind where it could not delete
            yield _distribution_name(name), f"{folder}{os.sep}{name}"


def _distribution_name(metadata: str) -> str:
    stem = metadata.rpartition(".")[0].partition("-")[0]
    return re.sub(r"[-_.]+", "-", stem).lower()


def _read(metadata: Path, group: str, stamps: dict[Path, _Stamp]) -> Iterator[Found]:
    name = _distribution_name(metadata.name)
    try:
        if group.encode() not in (metadata / "entry_points.txt").read_bytes():
            return
        for file in ("METADATA", "PKG-INFO"):
            stamps[metadata / file] = _stamp(metadata / file)
        distribution = PathDistribution(metadata)
        about = distribution.metadata
        title, version, summary = [
            about[header] if header in about else ""  # noqa: SIM401 (it has no get)
            for header in ("Name", "Version", "Summary")
        ]
        points = list(distribution.entry_points.select(group=group))
    except Exception as error:  # whatever is broken there, importlib.metadata raises what it meets
        msg = (
            f"the distribution {name!r} cannot be read ({type(error).__name__}: {error}). "
            f"Install it again, or delete {metadata.name}."
        )
        yield Found(name, "", name, error=ManifestError(msg, plugin=name))
        return
    importlib.invalidate_caches()
    for point in points:
        yield _describe(point, metadata.parent, (title or name, version, summary), stamps)


def _describe(
    point: EntryPoint, folder: Path, about: tuple[str, str, str], stamps: dict[Path, _Stamp]
) -> Found:
    distribution, version, summary = about
    source = f"{distribution} {version}".strip()
    entry_point = re.sub(r"\s*:\s*", ":", point.value.partition("[")[0]).strip()
    try:
        module, attribute = split_entry_point(entry_point)
        declared = read_declared(module, attribute, [str(folder), *sys.path])
        for file in declared.files:
            stamps[file] = _stamp(file)
        known = {"name": point.name, "version": version, "summary": summary}
        fields = {**known, **declared.fields, "entry_point": entry_point, "source": source}
        manifest = make_manifest(fields, where="its manifest")
        _check_name(point.name, manifest)
    except ManifestError as problem:
        msg = f"{source} offers a plugin {point.name!r}: {problem}"
        error = ManifestError(msg, plugin=point.name, field=problem.field)
        return Found(point.name, entry_point, source, error=error)
    return Found(point.name, entry_point, source, manifest)


def _check_name(offered: str, manifest: Manifest) -> None:
    if manifest.name != offered:
        msg = (
            f"its entry point is called {offered!r}, but the class {manifest.entry_point} calls itself "
            f"{manifest.name!r}. Use one name in both."
        )
        raise ManifestError(msg, plugin=offered, field="name")
