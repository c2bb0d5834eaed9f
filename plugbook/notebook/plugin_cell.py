"""``%%plugin``: a plugin defined in a cell, and swapped for its new self when the cell runs again."""

from __future__ import annotations

import ast
import itertools
import sys
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from plugbook.errors import ManifestError, PluginError
from plugbook.events.dispatch.registrations import current_registrar, unscoped

from .splitting import split_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugbook.host.host import Host
    from plugbook.host.plan import Changes
    from plugbook.plugins.plugin import Plugin

    from .magics import Notebook

_MODULE = "plugin_cell_"


@click.command("%%plugin", add_help_option=False)
@click.option("--config")
def _options(config: str | None) -> str | None:
    return config


class PluginCell:
    """Runs cells that define plugins, each in a module of its own, and adds the plugins to the current host.

    A cell sees your variables as they are when it runs. What it defines goes to your variables as well, but never
    in the place of something that did not come from such a cell.

    Args:
        door: says which host is the current one.
    """

    def __init__(self, door: Notebook) -> None:
        self._door = door
        self._shell = door.shell
        self._numbers = itertools.count(1)
        self._modules: dict[str, ModuleType] = {}
        self._given: dict[str, Any] = {}
        self._told: set[str] = set()
        self._waiting: set[str] = set()
        self._made: Host | None = None

    def run(self, line: str, cell: str) -> Any:
        """Run a cell, and add or replace what it defines; until all of it is sound, nothing is replaced.

        Raises:
            ManifestError: it defines no plugin, or one that cannot be.
            ConfigError: the options do not fit the plugin.
            PluginError: a plugin was put in place, but did not start.
        """
        __tracebackhide__ = True
        config = self._config(line)
        module, seen = self._execute(line, cell)
        try:
            changes = self._add(_plugins_of(module), config)
        except BaseException:
            if module not in self._modules.values():
                del sys.modules[module.__name__]
            raise
        if module in self._modules.values():
            self._share(module, seen)
            registrar = current_registrar.get()
            if changes.failed and registrar is not None:
                registrar.keep()  # it stays where it is, failed, for a person to ask why
        else:  # the plugins that ran before go on
            del sys.modules[module.__name__]
        return changes.check() if changes.failed else changes

    def close(self) -> None:
        """Forget the modules, and close the host if it was made here."""
        for module in self._modules.values():
            sys.modules.pop(module.__name__, None)
        self._modules.clear()
        if self._made is not None:
            self._made.close()
            self._made = None

    # -- the cell's code --------------------------------------------------------------------------

    def _config(self, line: str) -> Any:
        try:
            expression = _options.main(split_words(line), standalone_mode=False)
        except click.UsageError as error:
            msg = f"{error.format_message()}\nWrite: %%plugin [--config DICT]"
            raise UsageError(msg) from None
        return self._door.evaluate(expression) if expression else None

    def _execute(self, line: str, cell: str) -> tuple[ModuleType, dict[str, Any]]:
        """Run the cell in a new module; the module, and what it was given of the user's variables."""
        __tracebackhide__ = True
        shell = self._shell
        tree, file = self.parse(line, cell)
        module = ModuleType(f"{_MODULE}{next(self._numbers)}")
        seen = {name: shell.user_ns[name] for name in _names_in(tree) if name in shell.user_ns}
        vars(module).update(seen, __file__=file)
        sys.modules[module.__name__] = module
        try:
            exec(shell.compile(tree, file, "exec"), vars(module))  # noqa: S102 (the user's own cell)
        except BaseException:
            del sys.modules[module.__name__]
            raise
        return module, seen

    def parse(self, line: str, cell: str) -> tuple[ast.Module, str]:
        """The cell as a syntax tree, and the file that tracebacks name it by.

        Raises:
            SyntaxError: it is shown without the frames that lead here, for the mistake is in no code that ran.
        """
        shell = self._shell
        # The line with %%plugin counts, and so does every blank one, so that tracebacks name the line one sees.
        blank = len(cell) - len(cell.lstrip("\n"))
        source = "\n" * (1 + blank) + shell.transform_cell(cell)
        raw = f"%%plugin {line}\n{cell}" if line else f"%%plugin\n{cell}"
        file: str = shell.compile.cache(source, shell.displayhook.prompt_count, raw_code=raw)
        tree: ast.Module = shell.compile.ast_parse(source, filename=file)
        return tree, file

    def _share(self, module: ModuleType, seen: dict[str, Any]) -> None:
        """Put what the cell defined into the user's variables."""
        names = self._shell.user_ns
        kept = []
        for name, value in vars(module).items():
            if name.startswith("_") or (name in seen and seen[name] is value):
                continue
            if name in names and names[name] is not value and not self._is_ours(name, names[name]):
                kept.append(name)
                continue
            names[name] = self._given[name] = value
        for name in kept:
            if name not in self._told:
                self._told.add(name)
                click.echo(_still_means(name, vars(module)[name]))

    def _is_ours(self, name: str, value: Any) -> bool:
        from_cell = str(getattr(value, "__module__", "")).startswith(_MODULE)
        return from_cell or (name in self._given and self._given[name] is value)

    # -- its plugins ------------------------------------------------------------------------------

    def _add(self, plugins: list[type[Plugin]], config: Any) -> Changes:
        from plugbook.host.plan import Changes

        host = self._host()
        _check(plugins, config)
        changes = Changes()
        for plugin in plugins:
            _merge(changes, host.add(plugin, config=config, replace=True))
            if host.plugins[plugin.manifest.name].plugin_class is plugin:
                self._keep_module(plugin)
        self._start_waiting(host, changes)
        return changes

    def _host(self) -> Host:
        from plugbook.host.host import Host

        current = self._door.current()
        if isinstance(current, Host) and not current.is_closed:
            return current
        with unscoped():  # it is every such cell's
            self._made = Host()
            self._made.start()
        self._door.use(self._made)
        return self._made

    def _keep_module(self, plugin: type[Plugin]) -> None:
        """The module of the plugin's former self goes, unless another plugin came from it."""
        former = self._modules.get(plugin.manifest.name)
        self._modules[plugin.manifest.name] = sys.modules[plugin.__module__]
        if former is not None and former not in self._modules.values():
            sys.modules.pop(former.__name__, None)

    def _start_waiting(self, host: Host, changes: Changes) -> None:
        """Start what an earlier cell defined, if this one brought what it needed."""
        self._waiting |= set(changes.blocked)
        for name in sorted(self._waiting & set(host.plugins)):
            if host.plan("start", name).problem is not None:
                continue
            self._waiting.discard(name)
            changes.blocked.pop(name, None)
            with suppress(PluginError):  # its state and the record of it say so
                _merge(changes, host.start(name))


@magics_class
class PluginMagics(Magics):
    """``%%plugin``."""

    def __init__(self, shell: Any, plugin_cell: PluginCell) -> None:
        super().__init__(shell)
        self._plugin_cell = plugin_cell

    @no_var_expand
    @cell_magic
    def plugin(self, line: str, cell: str) -> Any:
        """Define a plugin in this cell, and start it; run the cell again to swap it for its new self.

        %%plugin [--config DICT]

        It is added to the current host; where there is none, one is made: plugbook.current(). A plugin that has
        snapshot and restore keeps its state. While the cell is not sound, the plugin that runs goes on running.
        """
        __tracebackhide__ = True
        return self._plugin_cell.run(line, cell)


def _names_in(tree: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _plugins_of(module: ModuleType) -> list[type[Plugin]]:
    """The plugins that the module defines, as classes or otherwise; one with an underscore is a base for others.

    What a bundle of the cell is made of is not taken apart from it.

    Raises:
        ManifestError: there is none.
    """
    from plugbook.plugins.authoring.bundle import parts_of
    from plugbook.plugins.plugin import Buildable, Plugin, as_class

    plugins = [
        as_class(value)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (
            isinstance(value, Buildable)
            or (
                isinstance(value, type)
                and issubclass(value, Plugin)
                and (value.__module__, value.__name__) == (module.__name__, name)
            )
        )
    ]
    if not plugins:
        msg = (
            "this cell defines no plugin. Write a subclass of Plugin in it, or x = plugin('x'), "
            "or leave %%plugin out."
        )
        raise ManifestError(msg)
    parts = {part for each in plugins for part in parts_of(each)}
    return [
        each for each in dict.fromkeys(plugins) if each.__module__ == module.__name__ and each not in parts
    ]


def _still_means(name: str, made: Any) -> str:
    """What is said of a name that was the user's before the cell defined it, too."""
    if isinstance(made, type):
        return (
            f"The name {name} in your notebook still means the class defined in another cell; "
            "the host now runs this cell's."
        )
    return (
        f"The name {name} in your notebook still means what another cell gave it; the plugin has this cell's."
    )


def _merge(changes: Changes, more: Any) -> None:
    changes.done += more.done
    changes.failed.update(more.failed)
    changes.blocked.update(more.blocked)
    changes.generations += more.generations


def _check(plugins: list[type[Plugin]], config: Any) -> None:
    """Whether the options given fit every plugin of the cell, before anything is stopped for the first."""
    from plugbook.plugins.config import validate

    for plugin in plugins if config is not None else ():
        validate(plugin, config)
