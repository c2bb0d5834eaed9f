"""Makes a new package: checks what it is to be called, fills in the template, and puts it into its folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from os import PathLike
from pathlib import Path
from typing import Any, Final

from plugbook.errors import ScaffoldError
from plugbook.scaffold.naming import Names, check_is_new, names_of
from plugbook.scaffold.placing import place
from plugbook.scaffold.rendering import render
from plugbook.scaffold.template import template_named

DEFAULT_TEMPLATE: Final = "basic"
_LONGEST_DESCRIPTION: Final = 200

_Tree = dict[str, "_Tree"]


@dataclass(frozen=True, slots=True)
class NewPackage:
    """A package that was made.

    Attributes:
        folder: where it is.
        names: what it is called.
        template: the name of the template it was made from.
        files: every file that was written, as paths below the folder.
        replaced: those of them that stood there with another content.
    """

    folder: Path
    names: Names
    template: str
    files: tuple[str, ...]
    replaced: tuple[str, ...] = ()

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to type next, in a terminal."""
        return (
            f"cd {self.shown_folder}",
            "python -m pip install -e . --group dev",
            "pytest",
            "plugbook check .",
        )

    @property
    def shown_folder(self) -> str:
        """The folder, as short as it can be said from here."""
        here = Path.cwd()
        return str(self.folder.relative_to(here) if self.folder.is_relative_to(here) else self.folder)

    @property
    def tree(self) -> str:
        """The files as a tree."""
        return "\n".join([f"{self.folder.name}/", *_branches(_nested(self.files))])

    def __str__(self) -> str:
        title = f"Made {self.shown_folder} from the template {self.template}."
        replaced = [f"Replaced: {', '.join(self.replaced)}."] if self.replaced else []
        steps = [f"  {step}" for step in self.next_steps]
        return "\n".join([title, *replaced, "", self.tree, "", "Next:", *steps])

    __repr__ = __str__


def new_package(
    name: str,
    *,
    template: str = DEFAULT_TEMPLATE,
    into: str | PathLike[str] = ".",
    description: str = "",
    author: str = "",
    force: bool = False,
) -> NewPackage:
    """Make the package that a new plugin begins as; it works, and passes its own tests.

    Args:
        name: what to call it, such as ``shop-billing``.
        template: one of `plugbook.scaffold.template.templates`.
        into: the folder in which the package's own folder is made.
        description: what the plugin does, in a line.
        author: a name, an address, or both: ``Ada <ada@example.org>``.
        force: replace files that are in the way.

    Raises:
        ScaffoldError: something said cannot be, or is in the way; nothing was written.
        UnknownNameError: there is no such template.
    """
    chosen = template_named(template)
    names = names_of(name)
    folder = Path(into).expanduser().absolute() / names.project
    check_is_new(names, folder)
    told = _one_line("The description", description) or f"The {names.title} plugin."
    files = render(chosen, names, told, _author(author))
    replaced = _placed(files, folder, force=force)
    return NewPackage(folder, names, chosen.name, tuple(files), replaced)


def _placed(files: Mapping[str, str], folder: Path, *, force: bool) -> tuple[str, ...]:
    try:
        return place(files, folder, force=force)
    except ScaffoldError:
        raise
    except OSError as error:
        msg = f"{folder} could not be written: {error}. Everything is as it was."
        raise ScaffoldError(msg) from error


def _one_line(what: str, text: str) -> str:
    text = text.strip()
    if not all(map(str.isprintable, text)):
        msg = f"{what} is more than a line of text: {text[:40]!r}. Leave out line breaks and control characters."
        raise ScaffoldError(msg)
    if len(text) > _LONGEST_DESCRIPTION:
        msg = f"{what} has {len(text)} characters, and {_LONGEST_DESCRIPTION} are the most."
        raise ScaffoldError(msg)
    return text


def _author(text: str) -> dict[str, str]:
    text = _one_line("The author", text)
    if "@" not in text:
        return {"name": text} if text else {}
    name, email = parseaddr(text)
    if email.count("@") != 1:
        msg = f"{text!r} is no author. Write a name, an address, or 'Ada <ada@example.org>'."
        raise ScaffoldError(msg)
    return {"name": name, "email": email} if name else {"email": email}


def _nested(files: Iterable[str]) -> _Tree:
    root: _Tree = {}
    for file in files:
        branch = root
        for part in file.split("/"):
            branch = branch.setdefault(part, {})
    return root


def _branches(tree: dict[str, Any], indent: str = "") -> Iterator[str]:
    # Folders first, as editors show them.
    names = sorted(tree, key=lambda name: (not tree[name], name))
    for name in names:
        is_last = name == names[-1]
        yield f"{indent}{'└── ' if is_last else '├── '}{name}{'/' if tree[name] else ''}"
        yield from _branches(tree[name], indent + ("    " if is_last else "│   "))
