"""Plugins as folders: what their ``plugin.toml`` says, and how their code is imported once they are loaded.

    [plugin]
    name = "billing"
    version = "1.2"
    entry_point = "billing:Billing"        # the class Billing in billing.py, in this folder
    requires = ["ledger>=1,<3"]

Every field of a manifest may stand there but the source; what does not is taken from the class statement. Each
folder is imported as a package of its own, so that several may have a module of the same name; inside it, modules
import each other with a leading dot.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
import zlib
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from plugbook.errors import ManifestError, suggestion
from plugbook.plugins.finding.loader import folders, split_entry_point
from plugbook.plugins.manifest import Manifest, make_manifest

PLUGIN_FILE = "plugin.toml"
_TABLE = "plugin"
_FIELDS = tuple(name for name in Manifest.model_fields if name != "source")


def is_plugin_file(path: Path) -> bool:
    """Whether a path is that of a ``plugin.toml``."""
    return path.name == PLUGIN_FILE


def plugin_files(folder: str | PathLike[str]) -> list[Path]:
    """The ``plugin.toml`` of a folder, or else those of the folders in it, by name.

    Args:
        folder: may also be the path of a ``plugin.toml``.

    Raises:
        ManifestError: it is not there.
    """
    path = Path(folder).expanduser().absolute()
    if path.is_file() and is_plugin_file(path):
        return [path]
    if not path.is_dir():
        msg = f"there is no folder {str(folder)!r}. Give a folder of plugins, or one with a {PLUGIN_FILE}."
        raise ManifestError(msg)
    if (path / PLUGIN_FILE).is_file():
        return [path / PLUGIN_FILE]
    return sorted(path.glob(f"*/{PLUGIN_FILE}"))


def read_plugin_file(file: Path) -> dict[str, Any]:
    """The fields that a ``plugin.toml`` gives.

    Raises:
        ManifestError: it cannot be read; says in which line.
    """
    try:
        text = file.read_text(encoding="utf-8")
        said = tomllib.loads(text)
    except (OSError, UnicodeError) as error:
        msg = f"{file} cannot be read ({type(error).__name__}: {error})"
        raise ManifestError(msg) from None
    except tomllib.TOMLDecodeError as error:
        told, _, at = str(error).partition(" (at line ")
        line = int(at.partition(",")[0]) if at[:1].isdigit() else len(text.splitlines())
        msg = f"{file}:{line} is no TOML: {told}"
        raise ManifestError(msg) from None
    for name in said:
        if name != _TABLE:
            near = suggestion(name, [_TABLE], listing=False)
            msg = f"{place_in(file, name)}: {name!r} is not [{_TABLE}], where all fields stand.{near}"
            raise ManifestError(msg, field=name)
    table = said.get(_TABLE)
    if not isinstance(table, dict):
        msg = f"{file} has no table [{_TABLE}]. Write one with name and entry_point."
        raise ManifestError(msg)
    for name in table:
        if name not in _FIELDS:
            msg = f"{place_in(file, name)}: there is no field {name!r}.{suggestion(name, _FIELDS)}"
            raise ManifestError(msg, field=name)
    return table


def manifest_of(file: Path, fields: dict[str, Any]) -> Manifest:
    """A manifest out of what a ``plugin.toml`` and a class say.

    Raises:
        ManifestError: a field is wrong; says in which line.
    """
    try:
        return make_manifest(fields, where=str(file))
    except ManifestError as error:
        told = str(error).removeprefix(f"{file}: ")
        msg = f"{place_in(file, error.field or '')}: {told}"
        raise ManifestError(msg, plugin=error.plugin, field=error.field) from None


def split_inside(file: Path, said: dict[str, Any]) -> tuple[str, str]:
    """The module, seen from its folder, and the class that a ``plugin.toml`` names.

    Raises:
        ManifestError: it names none.
    """
    entry_point = said.get("entry_point", "")
    try:
        return split_entry_point(str(entry_point))
    except ManifestError:
        msg = (
            f"{place_in(file, 'entry_point')}: entry_point is {entry_point!r}. "
            "Write module and class, as in 'billing:Billing' for the class Billing in billing.py."
        )
        raise ManifestError(msg, field="entry_point") from None


def place_in(file: Path, field: str) -> str:
    """Where a field is given: file and line, or the file alone where it is not."""
    head = (
        re.compile(rf"\s*\[?\s*[\"']?{re.escape(field.partition('.')[0])}[\"']?\s*[=\]]") if field else None
    )
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if head else (), 1):
        if head is not None and head.match(line):
            return f"{file}:{number}"
    return str(file)


# -- importing ------------------------------------------------------------------------------------


def package_of(folder: Path) -> str:
    """The name of the package that a folder is imported as; from now on Python finds it."""
    words = re.sub(r"\W+", "_", folder.name)
    name = f"plugin_{words}_{zlib.crc32(str(folder).encode()):08x}"
    folders[name] = folder
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    return name


class _FolderFinder(MetaPathFinder):
    """Finds the packages of folders; what is in them, Python finds by itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = folders.get(fullname)
        if folder is None:
            return None
        inside = [str(folder)]
        initial = folder / "__init__.py"
        if initial.is_file():
            return importlib.util.spec_from_file_location(
                fullname, initial, submodule_search_locations=inside
            )
        spec = ModuleSpec(fullname, _Empty(), origin=str(folder / PLUGIN_FILE), is_package=True)
        spec.submodule_search_locations = inside
        spec.has_location = True  # a package with a file is nobody else's namespace
        return spec


class _Empty(Loader):
    """Loads a package that has no code of its own."""

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


_finder = _FolderFinder()
