"""Options given by a file, TOML or JSON: a table for each plugin, and inside it one for each nested model.

The parsers of Python say what a file holds, and not in which line. So when somebody asks for a line, which is only
where something is shown or refused, a TOML file is cut into its statements, each of which is TOML by itself, and a
JSON file is read once more, name by name.
"""

from __future__ import annotations

import json
import tomllib
from functools import cached_property, partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from plugbook.errors import ConfigError

from .layers import Layer, Said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .fields import Path

_CLOSING = ("]", "}", '"""', "'''")


class ConfigFile:
    """What a configuration file says.

    Args:
        path: the file; one whose name ends in ``.json`` is read as JSON, any other as TOML.

    Attributes:
        path: the file, from the root of the file system.
        tables: options by plugin.

    Raises:
        ConfigError: it cannot be read, or is not made of tables.
    """

    def __init__(self, path: Any) -> None:
        self.path = _checked(path)
        self._text = _read(self.path)
        self.tables = self._parse()

    def said(self, plugin: str, nested: Path = (), members: Collection[str] = ()) -> Iterator[Said]:
        """What it says about a plugin's options, if it does.

        Args:
            plugin: its name, which may be that of a table.
            nested: of a member of a bundle, where its table is inside that of the bundle.
            members: of a bundle, what inside its table belongs to its members.
        """
        for table in dict.fromkeys((nested or (plugin,), (plugin,))):
            options: Any = self.tables
            for name in table:
                options = options.get(name) if isinstance(options, dict) else None
            if isinstance(options, dict):
                own = {name: value for name, value in options.items() if name not in members}
                yield Said(Layer.FILE, own, partial(self._place_in, table))

    def _place_in(self, table: Path, path: Path) -> str:
        return self.place((*table, *path))

    def place(self, path: Path) -> str:
        """The place of a value, such as ``shop.toml line 12``.

        Args:
            path: the plugin, and the path of its option.
        """
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return f"{self.path.name} line {self._lines[path[:end]]}"
        return self.path.name

    def _parse(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self._text) if self._is_json else tomllib.loads(self._text)
        except (ValueError, RecursionError) as error:
            kind = "JSON" if self._is_json else "TOML"
            told = str(error) or type(error).__name__
            msg = f"the configuration file {self.path} is not {kind}: {told}. Mend it; nothing was changed."
        else:
            odd = _odd_entry(content)
            if odd is None:
                return dict(content)
            place = self.place((odd,))
            msg = (
                f"{place}: a configuration file holds a table for each plugin, but {odd or 'this'} is none. "
                "Write [billing], and its options below."
            )
        raise ConfigError(msg)

    @property
    def _is_json(self) -> bool:
        return self.path.suffix.lower() == ".json"

    @cached_property
    def _lines(self) -> dict[Path, int]:
        """The line of each table and value, counted from 1."""
        return dict(_lines_of_json(self._text)) if self._is_json else _lines_of(self._text)


def _checked(path: Any) -> FilePath:
    try:
        return FilePath(path).absolute()
    except TypeError:
        msg = f"config_file={path!r} is no path. Give that of a TOML or JSON file, such as 'shop.toml'."
    raise ConfigError(msg)


def _read(path: FilePath) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        msg = f"the configuration file {path} cannot be read: {why}. Mend that, or give another one."
        raise ConfigError(msg) from error


def _odd_entry(content: Any) -> str | None:
    """The first entry that is no table, ``""`` where the whole is none; None where all is well."""
    if not isinstance(content, dict):
        return ""
    return next((name for name, table in content.items() if not isinstance(table, dict)), None)


# -- lines of a JSON file -------------------------------------------------------------------------


def _lines_of_json(text: str, at: int | None = None, path: Path = ()) -> Iterator[tuple[Path, int]]:
    r"""The line of every name of an object, and of the objects in it.

    Args:
        text: JSON that was parsed already, so it is well formed.
        at: where the object begins; by default the outermost one.
        path: of the object.

    >>> list(_lines_of_json('{\n"billing": {\n"rate": 1}}'))
    [(('billing',), 2), (('billing', 'rate'), 3)]
    """
    decode = json.JSONDecoder().raw_decode
    at = _after_blanks(text, (_after_blanks(text, 0) if at is None else at) + 1)
    while text[at] == '"':
        name, end = decode(text, at)
        yield (*path, name), text.count("\n", 0, at) + 1
        at = _after_blanks(text, _after_blanks(text, end) + 1)  # past the colon
        if text[at] == "{":
            yield from _lines_of_json(text, at, (*path, name))
        _, end = decode(text, at)
        at = _after_blanks(text, end)
        at = _after_blanks(text, at + 1) if text[at] == "," else at


def _after_blanks(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


# -- lines of a TOML file -------------------------------------------------------------------------


def _lines_of(text: str) -> dict[Path, int]:
    r"""The first line of every table and value.

    >>> _lines_of("[billing]\ncurrency = 'EUR'\n[billing.tax]\nrates = [\n1,\n]\n")[
    ...     ("billing", "tax", "rates")
    ... ]
    4
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, content, is_header in _statements(text):
        if is_header:
            table = _header(content, counts)
            found.setdefault(table, number)
        else:
            for path in _inside(content):
                found.setdefault((*table, *path), number)
    return found


def _statements(text: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """Line, content and kind of each statement: as few lines as make TOML by themselves."""
    lines = text.split("\n")
    begin = 0
    for end, line in enumerate(lines, 1):
        # What goes on over several lines ends where something is closed; without this a long list takes seconds.
        if end > begin + 1 and not any(closing in line for closing in _CLOSING):
            continue
        statement = "\n".join(lines[begin:end])
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if content:
            yield begin + 1, content, statement.lstrip().startswith("[")
        begin = end


def _header(content: Any, counts: dict[Path, int]) -> Path:
    """The table that a header opens; one in a list of tables is told by its number."""
    path: Path = ()
    while content:
        if isinstance(content, list):
            counts[path] = counts.get(path, -1) + 1
            content = content[0]
        else:
            (name, content), *_ = content.items()
            path = (*path, name)
        if path in counts and not isinstance(content, list):
            path = (*path, counts[path])
    return path


def _inside(content: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    for name, value in content.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from _inside(value, (*path, name))
