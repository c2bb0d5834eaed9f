"""A bundle: a plugin made of plugins, with options, handlers and middleware of its own, started and stopped as one.

Each member becomes a plugin of its own on the host, called after the bundle: ``shop.ledger`` is the member
``ledger`` of the bundle ``shop``. So the same plugin may be in two bundles and stand alone as well, and every
question and request takes a member by that name. Inside the bundle, members name each other as they always did.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

from plugbook.errors import ConfigError, ManifestError, suggestion
from plugbook.plugins.config import check_options
from plugbook.plugins.manifest import Manifest, make_manifest, split
from plugbook.plugins.plugin import PLACE, WITHIN, Plugin, as_class, where_defined

_NAMING: Final = ("requires", "optional", "conflicts", "restart_with")
"""The relations that name plugins, and not capabilities."""


class Bundle(Plugin):
    """A plugin made of plugins: subclass it, and name the members as a class keyword.

    The members start before the bundle itself, in the order of their own requirements, and stop after it. So
    who requires the bundle depends on all of its members. What the bundle requires and needs is there before
    any member starts. A member that does not start fails the bundle, and what was started for it is stopped
    again. A member that is stopped alone, by its full name, stops the bundle; the other members run on.

    A bundle's middleware stands outside that of its members. Options of members are nested in its own:
    ``config={"shop": {"currency": "EUR", "ledger": {"size": 3}}}``. A subclass has the members of its bases
    and its own; one of the same name takes the other's place, and ``members=[]`` takes all of them away.

    Example:
        >>> from plugbook import Host, Plugin
        >>> class Ledger(Plugin): ...
        >>> class Billing(Plugin, requires=["ledger"]): ...
        >>> class Shop(Bundle, members=[Billing, Ledger]): ...
        >>> with Host([Shop]) as host:
        ...     print(host.start("shop"))
        started shop.ledger, shop.billing, shop

    Raises:
        ManifestError: a member is no plugin, or two have the same name; says where the class is.
    """

    _given: ClassVar[tuple[type[Plugin], ...]] = ()
    _members: ClassVar[dict[str, type[Plugin]]] = {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Check the class, and make a class of its own for each member."""
        place = where_defined(cls)
        given = keywords.pop("members", None)
        super().__init_subclass__(**keywords)
        cls._given = _given(cls, given, place)
        cls._members = _made(cls, place)
        full = tuple(member.manifest.name for member in cls._members.values())
        stated = {name: getattr(cls.manifest, name) for name in cls.manifest.model_fields_set}
        requires = tuple(dict.fromkeys((*cls.manifest.requires, *full)))
        cls.manifest = make_manifest(stated | {"requires": requires, "members": full}, where=place)

    @classmethod
    def members(cls) -> dict[str, type[Plugin]]:
        """The class of each member, by the name it has inside the bundle."""
        return dict(cls._members)


@dataclass(frozen=True, slots=True)
class Within:
    """What a plugin has from the bundle that it is a member of.

    Attributes:
        bundle: the bundle's name.
        requires: what the bundle requires, and so each member.
        needs: the capabilities it needs, and so each member but one that provides them.
        layers: its middleware.
        table: where the options of the bundle are in a configuration file.
        names: inside the bundle, the full name of each plugin by the name that members use.
    """

    bundle: str
    requires: tuple[str, ...]
    needs: tuple[str, ...]
    layers: tuple[Any, ...]
    table: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def manifest_of(self, own: Manifest, place: str) -> Manifest:
        """The manifest of a member: what it says itself, seen from the host."""
        stated = {name: getattr(own, name) for name in own.model_fields_set}
        for relation in _NAMING:
            stated[relation] = tuple(map(self._full, getattr(own, relation)))
        provided = own.capabilities()
        needs = tuple(need for need in self.needs if split(need).name not in provided)
        stated["requires"] = (*stated["requires"], *self.requires)
        stated["needs"] = (*own.needs, *needs)
        return make_manifest(stated | {"bundle": self.bundle}, where=place)

    def _full(self, relation: str) -> str:
        name, versions = split(relation)
        return self.names.get(name, name) + versions


# -- on a host ------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A plugin as it is put on a host.

    Attributes:
        manifest: what it says about itself.
        plugin_class: its class, if it is known yet.
        options: its own configuration.
    """

    manifest: Manifest
    plugin_class: type[Plugin] | None
    options: dict[str, Any]


def unfold(manifest: Manifest, plugin_class: type[Plugin] | None, options: Any) -> Iterator[Entry]:
    """A plugin as it is put on a host: the members of a bundle, then itself, each with its own options.

    Raises:
        ConfigError: the options are not given by name, or one is neither an option nor a member.
    """
    given = check_options(manifest.name, options)
    members = members_of(plugin_class)
    for name, member in members.items():
        yield from unfold(member.manifest, member, given.pop(name, None))
    if members and plugin_class is not None and plugin_class.Config is None and given:
        wrong = str(next(iter(given)))
        msg = (
            f"the bundle {manifest.name!r} has no options of its own and no member {wrong!r}."
            f"{suggestion(wrong, members)}"
        )
        raise ConfigError(msg, plugin=manifest.name, path=wrong)
    yield Entry(manifest, plugin_class, given)


def gather(manifest: Manifest, plugin_class: type[Plugin] | None, config: Mapping[str, Any]) -> Any:
    """The options of a plugin in the configuration of a host; those of members may stand there by full name, too.

    Raises:
        ConfigError: the options of a bundle or of a member are not given by name.
    """
    members = members_of(plugin_class)
    options = config.get(manifest.name)
    if not members:
        return options
    nested = check_options(manifest.name, options)
    for name, member in members.items():
        apart = gather(member.manifest, member, config)
        if apart:
            nested[name] = check_options(member.manifest.name, nested.get(name)) | dict(apart)
    return nested


def members_of(plugin_class: type[Plugin] | None) -> dict[str, type[Plugin]]:
    """The members of a bundle by the name they have in it; none of any other plugin."""
    return plugin_class.members() if plugin_class is not None and issubclass(plugin_class, Bundle) else {}


def parts_of(plugin_class: type[Plugin]) -> tuple[type[Plugin], ...]:
    """What the members of a bundle were made of: the classes that its class statement named."""
    return plugin_class._given if issubclass(plugin_class, Bundle) else ()  # noqa: SLF001 (its own module)


def table_of(plugin_class: type[Plugin] | None) -> tuple[str, ...]:
    """Where the options of a bundle's member are inside those of the bundle; ``()`` of any other plugin."""
    within: Within | None = vars(plugin_class).get(WITHIN) if plugin_class is not None else None
    if within is None or plugin_class is None:
        return ()
    return (*within.table, plugin_class.manifest.name.removeprefix(f"{within.bundle}."))


# -- inside ---------------------------------------------------------------------------------------


def _given(cls: type[Bundle], given: Any, place: str) -> tuple[type[Plugin], ...]:
    """The members as they were written: those of the bases, then the class's own."""
    if given is not None and not isinstance(given, list | tuple):
        msg = f"{place}: members takes a list of plugin classes, such as members=[Ledger, Billing]."
        raise ManifestError(msg, plugin=cls.manifest.name, field="members")
    own = [_checked(cls, as_class(member), place) for member in given or ()]
    names = [member.manifest.name for member in own]
    for name in names:
        if names.count(name) > 1:
            msg = f"{place}: two members are called {name!r}. Give one of the classes another name."
            raise ManifestError(msg, plugin=cls.manifest.name, field="members")
    if given is not None and not own:
        return ()
    bases = [member for base in cls.__bases__ for member in getattr(base, "_given", ())]
    inherited = {member.manifest.name: member for member in bases}
    return tuple((inherited | dict(zip(names, own, strict=True))).values())


def _checked(cls: type[Bundle], member: Any, place: str) -> type[Plugin]:
    if isinstance(member, type) and issubclass(member, Plugin) and member not in (Plugin, Bundle):
        return member
    msg = f"{place}: {member!r} is no plugin class, and the members of a bundle are. Write members=[Ledger]."
    raise ManifestError(msg, plugin=cls.manifest.name, field="members")


def _made(cls: type[Bundle], place: str) -> dict[str, type[Plugin]]:
    outer: Within | None = vars(cls).get(WITHIN)
    manifest = cls.manifest
    names = {member.manifest.name: f"{manifest.name}.{member.manifest.name}" for member in cls._given}
    for name in names:
        if cls.Config is not None and name in cls.Config.model_fields:
            msg = f"{place}: {name!r} is both an option and a member of {manifest.name}. Rename the option."
            raise ManifestError(msg, plugin=manifest.name, field="Config")
    known = {**(outer.names if outer is not None else {}), **names}
    table = table_of(cls) or (manifest.name,)
    within = Within(manifest.name, manifest.requires, manifest.needs, cls.layers(), table, known)
    return {
        member.manifest.name: _member(member, names[member.manifest.name], within, place)
        for member in cls._given
    }


def _member(plugin: type[Plugin], name: str, within: Within, place: str) -> type[Plugin]:
    """A class of its own for a plugin as the member of one bundle."""
    names = {
        WITHIN: within,
        PLACE: f"{place}: its member {plugin.__name__}",
        "__doc__": plugin.__doc__,
        "__module__": plugin.__module__,
        "__qualname__": plugin.__qualname__,
    }
    return types.new_class(
        plugin.__name__, (plugin,), {"name": name}, lambda namespace: namespace.update(names)
    )
