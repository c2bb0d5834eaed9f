"""What a plugin may define so that a reload keeps its state, asks for its health, and tells it of others."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Any, ClassVar, Final

from plugbook.errors import PluginError

HANDLER_MARK: Final = "__plugbook_on__"
"""What `on` sets on a method."""

_OTHER_HALF: Final = {"snapshot": "restore(self, state)", "restore": "snapshot(self)"}
"""What a plugin needs beside each to keep its state."""


class Keeping:
    """The part of a plugin that a reload talks to; all of it is optional.

    A reload makes a second instance beside the one that runs, which goes on until the new one has proved itself.
    The methods are called in this order; a mistake in any of them leaves the old instance running::

        old.snapshot()                      # plain data; see plugbook.plugins.reloading.plain
        new = Billing()
        new.migrate(state, from_version)    # only where state_version differs
        new.restore(state)                  # self.ctx is there
        new.start(ctx)
        new.health()
                                            # the switch: handlers, services and contributions, in one step
        old: its cleanups, last in first out

    `restore` comes before `start`, which can build on the state. So what is to be kept is set up in ``__init__``:
    a `start` that sets it would throw away what was restored. What only one instance can hold at a time, such as a
    port, the new one cannot take while the old one runs: stop such a plugin before it is reloaded.

    A plugin without a `snapshot` starts anew with each generation, and the `Changes` of the reload say so.

    Attributes:
        state_version: of the layout of what `snapshot` gives; count it up when that changes, and write `migrate`.
    """

    state_version: ClassVar[int] = 1

    def snapshot(self) -> Any:
        """Give the state as plain data, for the next generation of the plugin; may be async. By default, none is kept."""
        return None

    def restore(self, state: Any) -> Awaitable[None] | None:
        """Take over what the generation before gave as its `snapshot`; may be async. Called before `start`.

        Args:
            state: a copy of it, its enum members and dataclasses being those of the new code.
        """

    def migrate(self, state: Any, from_version: int) -> Any:
        """Bring a state of another version to this class's `state_version`; may be a classmethod.

        Args:
            state: what the other generation gave.
            from_version: the `state_version` of its class; a higher one where older code comes back.

        Returns:
            The state as `restore` takes it.
        """
        name, version = type(self).__name__, self.state_version
        msg = (
            f"the state is of version {from_version}, and {name} has state_version = {version}. "
            f"Write migrate(self, state, from_version) in {name}, which returns it as version {version}."
        )
        raise PluginError(msg, phase="migrate")

    def health(self) -> Any:
        """Say whether it runs as it should; may be async. Called after `start`, before the old generation goes.

        Returns:
            None or True where all is well; False, or a text that says what is wrong, where it is not. It may
            raise instead.
        """
        return None

    def on_reload(self, plugin: str) -> Awaitable[None] | None:
        """Notice that a plugin which this one depends on has other code now; may be async.

        Here is the place to get its services again. A plugin that would rather be restarted names the other one
        with the class keyword ``restart_with=["ledger"]``.

        Args:
            plugin: the name of that plugin.
        """


def keeps_state(plugin_class: type[Keeping]) -> bool:
    """Whether a plugin gives its state to the generation after it."""
    return is_defined(plugin_class, "snapshot")


def is_defined(plugin_class: type[Keeping], name: str) -> bool:
    """Whether a plugin defines one of the methods above itself, and not a handler that is called like it."""
    found = getattr(plugin_class, name)
    return found is not getattr(Keeping, name) and not hasattr(found, HANDLER_MARK)


def state_problem(defined: Collection[str]) -> str:
    """Why no state would be kept of a plugin that defines methods of these names, or ``""``."""
    halves = [name for name in _OTHER_HALF if name in defined]
    if len(halves) != 1:
        return ""
    return f"it has a {halves[0]} alone, so that no state is kept. Write def {_OTHER_HALF[halves[0]]} as well"
