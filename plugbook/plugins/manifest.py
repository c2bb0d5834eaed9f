"""What a plugin says about itself before it runs: its name, its version, what it requires and provides.

A manifest comes from the class keywords of a `Plugin`, or, before anything is imported, from an entry
point. Names are matched exactly; versions and ranges follow PEP 440, by `packaging`.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from plugbook.errors import ManifestError, suggestion
from plugbook.plugins.policy import Policy

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*")
_RELATION = re.compile(r"([a-z0-9._-]+)(.*)", re.DOTALL)
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST_NAME = 100


class Relation(NamedTuple):
    """A plugin or capability that a manifest names, and which versions of it.

    Attributes:
        name: of the plugin or the capability.
        versions: a PEP 440 specifier such as ``<3,>=1``, or ``""`` for any.
    """

    name: str
    versions: str


@lru_cache(maxsize=131_072)
def split(text: str) -> Relation:
    """The two halves of a relation as a manifest holds it; remembered, as resolving asks for each several times.

    >>> split("ledger<3,>=1")
    Relation(name='ledger', versions='<3,>=1')
    """
    found = _RELATION.match(text)
    return Relation(found[1], found[2]) if found else Relation(text, "")


def kebab(class_name: str) -> str:
    """The plugin name that a class name suggests.

    >>> kebab("GitHubLogin"), kebab("HTTPServer"), kebab("_Ledger2")
    ('git-hub-login', 'http-server', 'ledger2')
    """
    return re.sub(r"[^a-z0-9]+", "-", _CAPITAL.sub("-", class_name).lower()).strip("-")


def _checked_name(name: str) -> str:
    if len(name) <= _LONGEST_NAME and _NAME.fullmatch(name):
        return name
    better = kebab(name[:_LONGEST_NAME])
    remedy = f" Write {better!r}." if _NAME.fullmatch(better) else ""
    msg = (
        f"{_short(name)} is not a name: use lower-case letters and digits, in words joined by single "
        f"'-', '_' or '.', starting with a letter.{remedy}"
    )
    raise ValueError(msg)


def read_relation(text: str) -> str:
    """A relation that a person wrote, in the form that a manifest holds.

    >>> read_relation("ledger >= 1, <3")
    'ledger<3,>=1'

    Raises:
        ManifestError: it cannot be read.
    """
    try:
        return _checked_relation(text)
    except ValueError as error:
        raise ManifestError(str(error)) from None


def check_version(version: object) -> str:
    """A version in its normal form.

    Raises:
        ManifestError: it is none.
    """
    try:
        return _checked_version(str(version))
    except ValueError as error:
        raise ManifestError(str(error), field="version") from None


def _checked_version(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion:
        msg = f"{_short(version)} is not a version (PEP 440). Write it like '1.0.0' or '2.1b1'."
        raise ValueError(msg) from None


@lru_cache(maxsize=65_536)
def _checked_relation(text: str) -> str:
    """The relation in its canonical form; remembered, since thousands of plugins name the same few."""
    try:
        parsed = Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        msg = f"{_short(text)} cannot be read ({reason}). Write a name and a range, such as 'ledger>=1,<3'."
        raise ValueError(msg) from None
    if parsed.extras or parsed.url or parsed.marker:
        msg = (
            f"{_short(text)} has an extra, a URL or a marker, which are for packages. "
            f"Name the plugin alone, with its range: '{parsed.name}{parsed.specifier}'."
        )
        raise ValueError(msg)
    return f"{_checked_name(parsed.name)}{parsed.specifier}"


def _checked_range(text: str) -> str:
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier:
        msg = f"{_short(text)} is not a range of versions. Write it like '>=2,<3'."
        raise ValueError(msg) from None


@lru_cache(maxsize=65_536)
def _checked_capability(text: str) -> str:
    relation = split(_checked_relation(text))
    if relation.versions and not re.fullmatch(r"==[^=*,]+", relation.versions):
        msg = (
            f"{_short(text)} is a range, but what is provided has one version. "
            f"Write '{relation.name}' or '{relation.name}==1.0'."
        )
        raise ValueError(msg)
    return relation.name + relation.versions


def _one_or_many(value: Any) -> Any:
    values = (value,) if isinstance(value, str | type) else value
    parts = values if isinstance(values, list | tuple | set | frozenset) else ()
    wrong = [part for part in parts if not isinstance(part, str)]
    if wrong:
        raise ValueError(_not_text(wrong[0]))
    return values


def _not_text(value: object) -> str:
    """What to write in place of a class, or of anything else that is no name."""
    named = getattr(value, "manifest", None)
    if isinstance(named, Manifest):
        return f"name plugins and capabilities as text. Write {named.name!r} instead of the class."
    if isinstance(value, type):
        kind = value.__name__
        return (
            f"a capability is a word, such as {kebab(kind)!r}, not a class. Services go by type: "
            f"ctx.provide({kind}, ...) in the start of one plugin, ctx.get({kind}) in that of another."
        )
    return f"{reprlib.repr(value)} is not text. Write a name, such as 'ledger', or 'ledger>=1,<3'."


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _short(text: str) -> str:
    return repr(text) if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]!r}…"


_Name = Annotated[str, AfterValidator(_checked_name)]
_Names = Annotated[tuple[_Name, ...], BeforeValidator(_one_or_many), AfterValidator(_once)]
_Version = Annotated[str, AfterValidator(_checked_version)]
_Range = Annotated[str, AfterValidator(_checked_range)]
_Relations = Annotated[
    tuple[Annotated[str, AfterValidator(_checked_relation)], ...],
    BeforeValidator(_one_or_many),
    AfterValidator(_once),
]
_Capabilities = Annotated[
    tuple[Annotated[str, AfterValidator(_checked_capability)], ...],
    BeforeValidator(_one_or_many),
    AfterValidator(_once),
]


class Manifest(BaseModel):
    """What a plugin says about itself.

    Attributes:
        name: unique on a host, such as ``billing`` or ``git-lfs``.
        version: PEP 440; ``0.0.0`` where nobody gave one.
        requires: plugins that must be active before this one starts, such as ``ledger>=1,<3``.
        optional: plugins that start before this one if they are there.
        conflicts: plugins that cannot be there together with this one.
        provides: capabilities others may need: ``invoicing``, which then has the plugin's own version,
            or ``invoicing==2.0``.
        needs: capabilities that some plugin must provide, such as ``invoicing>=1``.
        requires_host: the API versions of a host that it runs on, such as ``>=2,<3``; ``""`` for any.
        restart_with: plugins with whose reload this one is restarted, as it would go on with what they gave it.
        members: of a bundle, the names of the plugins that it is made of.
        bundle: of a member, the name of its bundle.
        policy: what the host does where it fails: ``continue``, ``raise``, ``quarantine``, or a `Restart`.
        summary: one line for people.
        entry_point: where the class is, ``module:Class``.
        source: ``class``, or the distribution that brought it, such as ``shop-plugins 1.2``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    version: _Version = "0.0.0"
    requires: _Relations = ()
    optional: _Relations = ()
    conflicts: _Relations = ()
    provides: _Capabilities = ()
    needs: _Relations = ()
    requires_host: _Range = ""
    restart_with: _Names = ()
    members: _Names = ()
    bundle: str = ""
    policy: Policy = "continue"
    summary: str = ""
    entry_point: str = ""
    source: str = "class"

    @model_validator(mode="after")
    def _does_not_mean_itself(self) -> Manifest:
        for field in ("requires", "optional", "conflicts", "restart_with"):
            if any(split(text).name == self.name for text in getattr(self, field)):
                msg = f"{field} names the plugin {self.name!r} itself. Take it out."
                raise ValueError(msg)
        own = {split(text).name for text in self.provides} & {split(text).name for text in self.needs}
        if own:
            msg = f"it needs {min(own)!r}, which it provides itself. Take one of them out."
            raise ValueError(msg)
        return self

    def capabilities(self) -> dict[str, str]:
        """Every capability it provides, with the version provided.

        >>> Manifest(name="billing", version="1.2", provides=["invoicing", "tax==3"]).capabilities()
        {'invoicing': '1.2', 'tax': '3'}
        """
        provided = map(split, self.provides)
        return {name: versions.removeprefix("==") or self.version for name, versions in provided}

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def make_manifest(data: dict[str, Any], *, where: str = "") -> Manifest:
    """A manifest out of anybody's data.

    Args:
        data: fields of `Manifest` by name.
        where: who says so, for the message, such as ``class Billing (shop.py:12)``.

    Raises:
        ManifestError: a field is unknown, missing or wrong; says which, why, and what to write.
    """
    name = data.get("name")
    plugin = name if isinstance(name, str) else None
    subject = where or (f"plugin {plugin!r}" if plugin else "a manifest")
    for field in data:
        if field not in Manifest.model_fields:
            msg = (
                f"{subject} has {_short(str(field))}, which no manifest has."
                f"{suggestion(str(field), Manifest.model_fields)}"
            )
            raise ManifestError(
                msg,
                plugin=plugin,
                field=str(field),
            )
    try:
        return Manifest(**data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        field = ".".join(str(part) for part in problems[0]["loc"])
        told = "; ".join(_told(problem["loc"], problem["msg"]) for problem in problems)
        msg = f"{subject}: {told}"
        raise ManifestError(msg, plugin=plugin, field=field or None) from None


def _told(location: Iterable[int | str], message: str) -> str:
    path = ".".join(str(part) for part in location)
    message = message.removeprefix("Value error, ")
    return f"{path}: {message}" if path else message
