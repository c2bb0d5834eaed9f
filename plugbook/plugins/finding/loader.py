"""Imports the code of plugins, and takes it out again so that the next import sees what is on disk now.

A module is imported once, however many plugins live in it, and stays until the last of them is unloaded.
Only modules below the plugin's own package are ever taken out, and of those only what the loading
brought in: what was there before belongs to the application, and libraries belong to everybody.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import itertools
import re
import sys
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from os import sep
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from plugbook.errors import ManifestError, PluginError, suggestion
from plugbook.plugins.leaks.unloaded import Unloaded
from plugbook.plugins.plugin import Plugin, as_class
from plugbook.plugins.reloading.modules import Aside, forget, is_below
from plugbook.trace.telling import place_of, show_place

folders: Final[dict[str, Path]] = {}
"""The folders that are imported as packages of their own, by the names that were made for them."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """A plugin's class, imported afresh under the names of modules that are put aside.

    Attributes:
        plugin_class: the class.
        aside: the modules that there were.
    """

    plugin_class: type[Plugin]
    aside: Aside


class Loader:
    """Loads plugin classes for one host.

    Safe to use from any thread; loads one class at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._held: dict[str, set[str]] = {}
        self._packages: dict[str, str] = {}
        self._before: dict[str, set[str]] = {}
        self._unsettled: tuple[str, Aside, set[str] | None] | None = None
        self._unloaded: dict[str, list[Unloaded]] = {}

    def load(self, entry_point: str) -> type[Plugin]:
        """Import a plugin's module, unless it is there, and give its class.

        The modules it needs from its own package are held until `unload` is called for the same entry
        point. They are compiled from source: bytecode is matched by whole seconds and size, so that an
        edit of the same size in the same second would not be seen.

        Args:
            entry_point: where the class is, as ``module:Class``.

        Raises:
            PluginError: the import failed; the original error is its cause, and the modules that the
                attempt brought in are gone again.
            ManifestError: there is no such class in the module, or it is not a `Plugin`.
        """
        module, attribute = split_entry_point(entry_point)
        with self._lock:
            self._forget_left(_own_package(module))
            before = set(sys.modules)
            try:
                plugin = _import_class(entry_point, module, attribute)
            except BaseException:
                _forget(_below(_own_package(module), set(sys.modules) - before))
                raise
            package = self._packages[entry_point] = _own_package(module)
            # A plugin's folder is imported by hosts alone: what is there already, an earlier host has left.
            theirs = set() if package in folders else _below(package, before)
            old = self._before.setdefault(package, theirs)
            ours = _below(package, sys.modules) - old
            self._held[entry_point] = (ours - before) | _reached_from(module, ours)
            return plugin

    def renew(self, entry_point: str) -> Renewed:
        """Import a plugin's modules afresh under their own names; what they were is put aside, and still works.

        That is all of what `load` brought in for it, but for modules that other plugins hold, too, and whose files
        are as they were: their classes stay the same for everybody. Of a plugin that was imported by others, it is
        the module of its class alone. To be followed by `settle` or `take_back`.

        Raises:
            PluginError: the import failed; every module is back where it was.
            ManifestError: there is no such class any more, or it is not a `Plugin`; the same holds.
        """
        module, attribute = split_entry_point(entry_point)
        with self._lock:
            package = self._packages.get(entry_point) or _own_package(module)
            held = self._held.get(entry_point)
            aside = Aside(package)
            try:
                self._unsettled = (entry_point, aside, held)
                aside.put(self._to_renew(entry_point, package) if held else {module})
                before = set(sys.modules)
                plugin = _import_class(entry_point, module, attribute)
                old = self._before.get(package, set())
                ours = _below(package, sys.modules) - old
                if held:
                    self._held[entry_point] = (ours - before) | _reached_from(module, ours)
            except BaseException:
                self.take_back()
                raise
            return Renewed(plugin, aside)

    def take_back(self) -> None:
        """Have the modules again that were put aside and not settled, in place of those that were imported afresh."""
        with self._lock:
            if self._unsettled is not None:
                entry_point, aside, held = self._unsettled
                aside.put_back()
                if held is not None:
                    self._held[entry_point] = held
                self._unsettled = None

    def settle(self) -> None:
        """Let go of the modules that were put aside: the new ones are used."""
        self._unsettled = None

    def files_of(self, entry_point: str) -> tuple[Path, ...]:
        """The source files of a plugin: those of the modules that it holds, or else of the module of its class."""
        module, _ = split_entry_point(entry_point)
        names = self._held.get(entry_point) or {module}
        return tuple(Path(file) for file in map(_file_of, sorted(names)) if file)

    def _forget_left(self, package: str) -> None:
        """Take out what an earlier host has left of a plugin's folder, where a file was edited since."""
        if package in folders and package not in self._packages.values():
            left = _below(package, sys.modules)
            if any(_is_edited(sys.modules[name]) for name in left):
                _forget(left)

    def _to_renew(self, entry_point: str, package: str) -> set[str]:
        """The modules that a plugin brought in, without those that it shares and nobody has changed."""
        held = self._held[entry_point]
        others = [self._held[each] for each, its in self._packages.items() if its == package]
        shared = {name for each in others if each is not held for name in each}
        mine = held if shared else _below(package, sys.modules) - self._before[package]
        return {name for name in mine if name not in shared or _is_edited(sys.modules.get(name))}

    def unload(self, entry_point: str) -> tuple[str, ...]:
        """Let go of a plugin's modules; those that no other plugin holds are taken out.

        Returns:
            The names of the modules taken out. What still refers to their contents keeps them alive.
        """
        with self._lock:
            held = self._held.pop(entry_point, None)
            if held is None:
                return ()
            package = self._packages.pop(entry_point)
            others = [self._held[other] for other, theirs in self._packages.items() if theirs == package]
            if others:
                gone = held.difference(*others)
            else:
                # Nobody is left, so that what was imported later, from inside a function, goes too.
                gone = _below(package, sys.modules) - self._before.pop(package)
            self._unloaded[entry_point] = [*self.unloaded(entry_point), *map(Unloaded, _modules(gone))]
            _forget(gone)
            return tuple(sorted(gone))

    def modules(self, entry_point: str) -> list[ModuleType]:
        """The modules that are held for a plugin."""
        with self._lock:
            return _modules(self._held.get(entry_point, ()))

    def unloaded(self, entry_point: str) -> list[Unloaded]:
        """The modules that were taken out when a plugin was unloaded, and of which something is still alive."""
        with self._lock:
            return [each for each in self._unloaded.get(entry_point, ()) if each.alive()]


def is_importable(plugin_class: type[Plugin]) -> bool:
    """Whether its module can be imported again to give it anew: it has a file, and the class is found there by name."""
    module, attribute = plugin_class.__module__, plugin_class.__qualname__
    found: Any = sys.modules.get(module)
    if module == "__main__" or not isinstance(getattr(found, "__loader__", None), SourceFileLoader):
        return False
    for part in attribute.split("."):
        found = getattr(found, part, None)
    return as_class(found) is plugin_class


def split_entry_point(entry_point: str) -> tuple[str, str]:
    """The module and the class of an entry point.

    >>> split_entry_point("shop.billing:Billing")
    ('shop.billing', 'Billing')

    Raises:
        ManifestError: it is not of that form.
    """
    module, _, attribute = entry_point.partition(":")
    for names in (module, attribute):
        if not all(part.isidentifier() for part in names.split(".")):
            msg = f"{entry_point!r} is not an entry point. Write module and class, as in 'shop.billing:Billing'."
            raise ManifestError(
                msg,
                field="entry_point",
            )
    return module, attribute


def shown_as(text: str) -> str:
    """A text in which modules of folders are shown by their paths, for nobody has ever written their names."""
    for package, folder in folders.items():
        for inside in re.findall(rf"\b{package}((?:\.\w+)*)", text):
            text = text.replace(f"{package}{inside}", f"{folder}{inside.replace('.', sep)}", 1)
    return text


def _import_class(entry_point: str, module: str, attribute: str) -> type[Plugin]:
    importlib.invalidate_caches()
    entry_point = shown_as(entry_point)
    try:
        with _from_source(module.partition(".")[0]):
            found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        told = shown_as(traceback.format_exception_only(error)[-1].strip())
        place = _place_of(error)
        msg = (
            f"{entry_point!r} could not be imported: {told}{f' ({place})' if place else ''}. "
            "Mend that, and load it again."
        )
        raise PluginError(
            msg,
            phase="import",
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            classes = [name for name, value in vars(found).items() if _is_plugin(value)]
            msg = f"{shown_as(module)} has no {attribute!r}.{suggestion(part, classes)}"
            raise ManifestError(msg, field="entry_point")
        found = as_class(getattr(found, part))
    if not _is_plugin(found):
        msg = (
            f"{entry_point!r} is no plugin, but a {type(found).__name__}. Name a subclass of plugbook.Plugin."
        )
        raise ManifestError(
            msg,
            field="entry_point",
        )
    plugin: type[Plugin] = found
    return plugin


def _place_of(error: BaseException) -> str:
    """Where an import failed; a mistake of syntax is where no frame ever was."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return show_place(error.filename, error.lineno)
    return place_of(error)


def _is_plugin(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Plugin) and value is not Plugin


# -- which modules are whose ----------------------------------------------------------------------


def _own_package(module: str) -> str:
    """The package a module belongs to: the outermost one that is not a namespace shared with others."""
    first, *rest = module.split(".")
    package = first
    for part in rest:
        found = sys.modules.get(package)
        if found is None or getattr(found, "__file__", None) is not None or not hasattr(found, "__path__"):
            break
        package = f"{package}.{part}"
    return package


def _below(package: str, names: Iterable[str]) -> set[str]:
    return {name for name in names if is_below(package, name)}


def _modules(names: Iterable[str]) -> list[ModuleType]:
    return [sys.modules[name] for name in names if name in sys.modules]


def _reached_from(module: str, among: Collection[str]) -> set[str]:
    """Those modules that a module imports, directly or not, with the packages around them.

    A package's own imports do not count: one that imports all of its plugins would tie them together.
    """
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in among:
            continue
        reached.add(name)
        waiting += _imports_in(sys.modules[name])
    for name in tuple(reached):
        parts = name.split(".")
        reached.update(".".join(parts[:end]) for end in range(1, len(parts)))
    return reached.intersection(among)


def _imports_in(module: ModuleType) -> Iterator[str]:
    """What the source of a module imports, by absolute names; a name may also be an attribute."""
    loader = getattr(module, "__loader__", None)
    source = loader.get_source(module.__name__) if isinstance(loader, SourceFileLoader) else None
    for node in ast.walk(ast.parse(source or "")):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = getattr(module, "__package__", None) or module.__name__
                base = importlib.util.resolve_name("." * node.level + base, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _forget(names: Iterable[str]) -> None:
    for name in names:
        forget(name)


def _file_of(name: str) -> str | None:
    """The file of a module; of one that could not be imported, where that would be looked for."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    spec: ModuleSpec | None = None
    for whole in itertools.accumulate(name.split("."), "{}.{}".format):
        path = spec.submodule_search_locations if spec is not None else None
        specs = (finder.find_spec(whole, path) for finder in sys.meta_path)
        spec = next(filter(None, specs), None)
        if spec is None:
            return None
    return spec.origin if spec is not None else None


def _is_edited(module: ModuleType | None) -> bool:
    """Whether the file of a module is another one than when it was imported."""
    loader = getattr(module, "__loader__", None)
    try:
        return isinstance(loader, _SourceLoader) and loader.digest != _digest(Path(loader.path).read_bytes())
    except OSError:
        return True


def _digest(source: bytes) -> bytes:
    return sha256(source).digest()


# -- importing from source ------------------------------------------------------------------------


@contextmanager
def _from_source(package: str) -> Iterator[None]:
    finder = _SourceFinder(package)
    try:
        sys.meta_path.insert(0, finder)
        yield
    finally:
        with suppress(ValueError):  # an interrupt came before it was there
            sys.meta_path.remove(finder)


class _SourceFinder(MetaPathFinder):
    """Lets the other finders find, and has what they find compiled from source."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _below(self._package, [fullname]):
            return None
        for finder in sys.meta_path:
            # Another one may be there, which an interrupt has kept from being taken out: they would ask each other.
            spec = None if type(finder) is _SourceFinder else finder.find_spec(fullname, path, target)
            if spec is not None:
                if type(spec.loader) is SourceFileLoader:
                    spec.loader = _SourceLoader(spec.loader.name, spec.loader.path)
                return spec
        return None


class _SourceLoader(SourceFileLoader):
    """Reads the source and nothing else.

    Attributes:
        digest: of the source that was read.
    """

    digest = b""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        self.digest = _digest(source)
        return self.source_to_code(source, path)
