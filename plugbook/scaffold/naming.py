"""What a new package is called, in each place where it has a name: on disk, in Python, on a host."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from plugbook.errors import ScaffoldError
from plugbook.plugins.manifest import kebab

LONGEST_NAME: Final = 40
"""Characters of a name; longer ones would break the lines of a template elsewhere than they were written."""

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_.]+[a-z0-9]+)*")
_BESIDE: Final = frozenset({"conftest", "setup", "src", "tests"})
"""What stands in a project beside its package, and would be imported in the place of it."""


@dataclass(frozen=True, slots=True)
class Names:
    """One name in all its forms.

    Attributes:
        project: of the distribution, of its folder, and of the plugin: ``shop-billing``.
        package: what is imported: ``shop_billing``.
        class_name: of the plugin class: ``ShopBilling``.
        title: for people: ``Shop Billing``.
    """

    project: str
    package: str
    class_name: str
    title: str


def names_of(name: str) -> Names:
    """The names of a package, all made of one; the project's is in the normal form of PEP 503.

    >>> names_of("shop_billing")
    Names(project='shop-billing', package='shop_billing', class_name='ShopBilling', title='Shop Billing')

    Raises:
        ScaffoldError: no package can be called so; says what to call it instead.
    """
    if len(name) > LONGEST_NAME:
        msg = f"{name[:20]}... has {len(name)} characters, and {LONGEST_NAME} are the most. Find a shorter name."
        raise ScaffoldError(msg)
    if not _NAME.fullmatch(name):
        msg = (
            f"{name!r} is not a name for a package: use lower-case letters and digits, in words joined by '-', "
            f"starting with a letter.{_remedy(kebab(name).lstrip('-0123456789'))}"
        )
        raise ScaffoldError(msg)
    names = _names_of(name)
    if problem := _taken(names):
        msg = f"{name!r} {problem}. Write {names.project + '-plugin'!r}, or another name."
        raise ScaffoldError(msg)
    return names


def check_is_new(names: Names, folder: Path) -> None:
    """Refuse a package that would hide one which is there already, unless that lies in the folder itself.

    Raises:
        ScaffoldError: there is one.
    """
    spec = _spec_of(names.package)
    # A folder without __init__.py counts as a namespace, has no origin, and gives way to a package.
    if spec is None or spec.origin is None or Path(spec.origin).is_relative_to(folder.resolve()):
        return
    msg = (
        f"there is a module {names.package!r} already ({spec.origin}), which the new one would hide. "
        f"Write {names.project + '-plugin'!r}, or another name."
    )
    raise ScaffoldError(msg)


def _names_of(name: str) -> Names:
    words = re.split(r"[-_.]+", name)
    return Names(
        project="-".join(words),
        package="_".join(words),
        class_name="".join(map(str.capitalize, words)),
        title=" ".join(map(str.capitalize, words)),
    )


def _remedy(name: str) -> str:
    """Advice to take that name, or one made of it where it is taken; ``""`` where neither is a name."""
    for each in (name, f"{name}-plugin"):
        if len(each) <= LONGEST_NAME and _NAME.fullmatch(each) and not _taken(_names_of(each)):
            return f" Write {each!r}."
    return ""


def _taken(names: Names) -> str:
    """Why no package can be called so, or ``""``."""
    package = names.package
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return "is a word of the Python language"
    if package in sys.stdlib_module_names:
        return f"is a module of Python's own: import {package} would find that one or yours, by chance"
    if hasattr(builtins, names.class_name):
        return f"would have a class {names.class_name}, which is a name of Python's own"
    if package in _BESIDE:
        return "is what a project calls a file or folder beside its package"
    return ""


def _spec_of(package: str) -> ModuleSpec | None:
    try:
        return find_spec(package)
    except ValueError:  # it is imported, by something that says nothing of where from
        return ModuleSpec(package, None, origin="imported already")
