"""Finds what plugins left behind, and what those that run hold outside their scope.

A thing is a plugin's if Python kept track of how it was made (`tracemalloc`) and that was by the plugin's code; if it
came to life while the plugin started; if it runs or calls back the plugin's code; or if nobody but the plugin holds
it. What a library keeps for a plugin, opened in a call of a handler, can be told by the first of these alone.

Of a plugin that runs, what a cleanup can get at is no leak: `ctx.enter(file)`, `ctx.defer(file.close)` and
`ctx.defer(self.close)` all take care of it, the last one as far as anybody can see without calling it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

from plugbook.events.subscription import ABSENT
from plugbook.plugins.leaks.census import census
from plugbook.plugins.leaks.leak import Kind, Leak, Left
from plugbook.plugins.leaks.origins import Line, made_through, told_place
from plugbook.plugins.leaks.owners import Life, Owner, owner_of
from plugbook.plugins.leaks.paths import is_held, path_to

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.events.subscription import Subscription
    from plugbook.plugins.leaks.census import Thing

_ORDER: Final[dict[Kind, int]] = {kind: number for number, kind in enumerate(get_args(Left))}


def find_leaks(lives: Iterable[Life], bus: Bus) -> list[Leak]:
    """What plugins left behind, and what those that run would leave behind.

    Args:
        lives: of the plugins of one host.
        bus: where their subscriptions would be, and the loop on which their tasks would run.
    """
    gc.collect()
    tasks = bus.loop.tasks()
    owners = [Owner(life, tasks) for life in sorted(lives, key=lambda life: life.is_over)]
    search = _Search(owners, bus)
    leaks = [*search.subscriptions(), *search.things(), *search.instances(), *search.modules()]
    return sorted(dict.fromkeys(leaks), key=lambda leak: (leak.plugin, _ORDER[leak.kind]))


class _Search:
    """One look at everything."""

    def __init__(self, owners: Sequence[Owner], bus: Bus) -> None:
        self._owners = owners
        self._bus = bus
        self._running = {owner.life.plugin for owner in owners if not owner.life.is_over}
        self._ends = {
            id(each): f"the running {owner.life.plugin}"
            for owner in owners
            if not owner.life.is_over
            for instance in owner.instances
            for each in (instance, vars(instance))
        }

    def subscriptions(self) -> Iterator[Leak]:
        """Those that no scope will take back."""
        for each in self._bus.subscriptions:
            owner = self._subscriber(each)
            if owner is None or owner.life.is_replaced:
                continue
            if each.plugin in self._running and not owner.life.is_over:
                continue  # its scope has it
            what, place = f"{each.name} to {each.target_text}", _place_of((each.handler,))
            yield self._leak(owner, "subscription", what, "the subscriptions of the host", place)

    def things(self) -> Iterator[Leak]:
        """Threads, tasks, files and the others, each under the plugin whose it is."""
        for thing in census():
            owner = owner_of(thing, self._owners)
            if owner is None or (owner.life.is_replaced and thing.kind in ("thread", "task")):
                continue
            if not self._is_given_back(thing, owner):
                path = thing.now or path_to(thing.it, (), self._ends)
                lines = made_through(thing.core)
                place = told_place(lines) if lines else _place_of(thing.does)
                yield self._leak(owner, thing.kind, thing.what, path, place)

    def instances(self) -> Iterator[Leak]:
        """Plugins that are there though they were stopped."""
        for owner in self._owners:
            for instance in owner.instances if owner.life.is_over and not owner.life.is_replaced else ():
                path = path_to(instance, owner.instances, self._ends)
                place = told_place(made_through(instance))
                yield self._leak(owner, "instance", type(instance).__qualname__, path, place)

    def modules(self) -> Iterator[Leak]:
        """Modules that were taken out, and of which something is held by more than the instances."""
        for owner in self._owners:
            for module in owner.life.unloaded:
                for each in module.alive():
                    if not owner.instances or is_held(each, without=owner.anchors):
                        name = getattr(each, "__qualname__", "")
                        what = f"{module.name} ({name})" if name else module.name
                        yield self._leak(owner, "module", what, path_to(each, (), self._ends), "")
                        break

    def _is_given_back(self, thing: Thing, owner: Owner) -> bool:
        """Whether its plugin will; also a newer life of the same plugin may have taken it over."""
        name = owner.life.plugin
        return any(each.gives_back(thing) for each in self._owners if each.life.plugin == name)

    def _subscriber(self, subscription: Subscription) -> Owner | None:
        """Whose handler it is; where the code does not say it, that of the name, unless that is running again."""
        handler = subscription.handler
        if handler is ABSENT:
            return None  # the host put it there
        named = (
            owner for owner in self._owners if owner.life.plugin == subscription.plugin not in self._running
        )
        return next((owner for owner in self._owners if owner.is_its_code(handler)), None) or next(
            named, None
        )

    @staticmethod
    def _leak(owner: Owner, kind: Kind, what: str, path: str, place: str) -> Leak:
        return Leak(owner.life.plugin, kind, what, path, place, is_ahead=not owner.life.is_over)


def _place_of(functions: Iterable[Any]) -> str:
    """Where the first of some functions was written."""
    for each in functions:
        code = getattr(each, "__code__", None) or getattr(each, "cr_code", None)
        if code is not None:
            return str(Line(code.co_filename, code.co_firstlineno))
    return ""
