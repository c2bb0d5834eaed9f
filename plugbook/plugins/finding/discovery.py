"""Finds the plugins that installed distributions and folders offer, without running any of their code.

A distribution names its plugins as entry points of one group:

    [project.entry-points."plugbook.plugins"]
    billing = "shop.billing:Billing"

A folder says it in a ``plugin.toml``; see `folders`. What the class statement says literally is read from the
source, so that a plugin can be resolved before it is imported. A distribution that is broken is reported with the
others, and hides none of them.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, PathDistribution
from os import PathLike
from pathlib import Path

from plugbook.errors import ManifestError
from plugbook.plugins.finding.declared import read_declared
from plugbook.plugins.finding.folders import (
    is_plugin_file,
    manifest_of,
    package_of,
    place_in,
    plugin_files,
    read_plugin_file,
    split_inside,
)
from plugbook.plugins.finding.loader import split_entry_point
from plugbook.plugins.finding.readings import Readings, Stamps, stamp
from plugbook.plugins.manifest import Manifest, make_manifest

GROUP = "plugbook.plugins"


@dataclass(frozen=True, slots=True)
class Found:
    """One plugin that a distribution or a folder offers, or one of these that could not be read.

    Attributes:
        name: the plugin's name, as the entry point says; of what is broken its own.
        entry_point: where the class is, ``module:Class``, or ``""``.
        distribution: which distribution offers it, such as ``shop-plugins 1.2``, or the path of its folder.
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


def discover_in(*folders: str | PathLike[str]) -> list[Found]:
    """All plugins in these folders, by name: each is a folder with a ``plugin.toml``, or holds some that are.

    Raises:
        ManifestError: one of them is not there.
    """
    found: list[Found] = []
    for folder in folders:
        files = plugin_files(folder)
        if not files:
            msg = f"{folder} has no plugin.toml, neither itself nor in a folder in it. Write one."
            name = Path(folder).name
            found.append(Found(name, "", str(folder), error=ManifestError(msg, plugin=name)))
        for file in files:
            found += _readings.get((str(file),), file, partial(_read_folder, file))
    return sorted(found, key=lambda each: each.name)


def complete(found: Manifest, declared: Manifest) -> Manifest:
    """The manifest of a plugin whose class has been imported: what the class says, and where it came from.

    A ``plugin.toml`` has the last word, and is read again for it.

    Args:
        found: what discovery knew.
        declared: what the class says.

    Raises:
        ManifestError: the class gives itself another name than the entry point; or the ``plugin.toml`` became wrong.
    """
    file = Path(found.source)
    if is_plugin_file(file):
        said = read_plugin_file(file)
        known = {name: getattr(declared, name) for name in declared.model_fields_set}
        here = {"entry_point": found.entry_point, "source": found.source}
        manifest = manifest_of(file, {**known, **said, **here})
        _check_name(found.name, manifest, f"{file} says {found.name!r}")
    else:
        # A class that gives no version has that of its distribution.
        version = declared.version if "version" in declared.model_fields_set else found.version
        origin = {"version": version, "entry_point": found.entry_point, "source": found.source}
        manifest = declared.model_copy(update=origin)
    _check_name(found.name, declared, f"its entry point is called {found.name!r}")
    return manifest


_readings: Readings[Found] = Readings()


def _offered(metadata: str, group: str) -> tuple[Found, ...]:
    file = Path(metadata, "entry_points.txt")
    if not file.is_file():
        return ()
    return _readings.get((metadata, group), file, lambda stamps: _read(Path(metadata), group, stamps))


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


def _read(metadata: Path, group: str, stamps: Stamps) -> Iterator[Found]:
    name = _distribution_name(metadata.name)
    try:
        if group.encode() not in (metadata / "entry_points.txt").read_bytes():
            return
        for file in ("METADATA", "PKG-INFO"):
            stamps[metadata / file] = stamp(metadata / file)
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


def _describe(point: EntryPoint, folder: Path, about: tuple[str, str, str], stamps: Stamps) -> Found:
    distribution, version, summary = about
    source = f"{distribution} {version}".strip()
    entry_point = re.sub(r"\s*:\s*", ":", point.value.partition("[")[0]).strip()
    try:
        module, attribute = split_entry_point(entry_point)
        declared = read_declared(module, attribute, [str(folder), *sys.path])
        for file in declared.files:
            stamps[file] = stamp(file)
        known = {"name": point.name, "version": version, "summary": summary}
        fields = {**known, **declared.fields, "entry_point": entry_point, "source": source}
        manifest = make_manifest(fields, where="its manifest")
        _check_name(point.name, manifest, f"its entry point is called {point.name!r}")
    except ManifestError as problem:
        msg = f"{source} offers a plugin {point.name!r}: {problem}"
        error = ManifestError(msg, plugin=point.name, field=problem.field)
        return Found(point.name, entry_point, source, error=error)
    return Found(point.name, entry_point, source, manifest)


def _read_folder(file: Path, stamps: Stamps) -> Iterator[Found]:
    folder = file.parent
    try:
        manifest = _manifest_in(file, stamps)
    except ManifestError as error:
        error.plugin = folder.name
        yield Found(folder.name, "", str(folder), error=error)
    else:
        yield Found(manifest.name, manifest.entry_point, str(folder), manifest)


def _manifest_in(file: Path, stamps: Stamps) -> Manifest:
    said = read_plugin_file(file)
    module, attribute = split_inside(file, said)
    declared = read_declared(module, attribute, [str(file.parent)])
    stamps.update({each: stamp(each) for each in declared.files})
    if not declared.files:
        msg = f"{place_in(file, 'entry_point')}: there is no module {module!r} in {file.parent}"
        raise ManifestError(msg, field="entry_point")
    here = {"entry_point": f"{package_of(file.parent)}.{module}:{attribute}", "source": str(file)}
    manifest = manifest_of(file, {**declared.fields, **said, **here})
    if declared.fields:
        own = manifest.model_copy(update={"name": declared.fields["name"]})
        _check_name(manifest.name, own, f"{file} says {manifest.name!r}")
    return manifest


def _check_name(offered: str, manifest: Manifest, said: str) -> None:
    if manifest.name != offered:
        msg = (
            f"{said}, but the class {manifest.entry_point} calls itself {manifest.name!r}. "
            "Use one name in both."
        )
        raise ManifestError(msg, plugin=offered, field="name")
