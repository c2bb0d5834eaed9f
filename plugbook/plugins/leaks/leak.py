"""What a leak report is made of: one thing each, who holds it, where it came from and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Left = Literal["thread", "task", "subscription", "instance", "module", "file", "socket", "process", "widget"]
Stale = Literal[
    "stale thread", "stale task", "stale subscription", "stale instance", "stale closure", "stale name"
]
Kind = Left | Stale

_REMEDIES: Final[dict[Kind, str]] = {
    "thread": "tell it to end and wait for it at stop: ctx.defer(thread.join)",
    "task": "ctx.spawn(work()) instead of asyncio.create_task(work())",
    "subscription": "subscribe with ctx.subscribe or @on, which end with the plugin",
    "instance": "undo at stop what handed it out: ctx.defer(registry.remove, self)",
    "module": "let go of what came from the old module: ctx.defer(cache.clear)",
    "file": "ctx.enter(open(...)), which closes it at stop",
    "socket": "ctx.defer(connection.close)",
    "process": "end it and wait for it at stop: ctx.defer(process.wait); ctx.defer(process.terminate)",
    "widget": "ctx.defer(widget.close)",
    "stale thread": "tell it to end and wait for it at stop: ctx.defer(thread.join)",
    "stale task": "ctx.spawn(work()) instead of asyncio.create_task(work())",
    "stale subscription": "subscribe with ctx.subscribe or @on, which end with their generation",
    "stale instance": "get it again where it is held: on_reload(self, plugin), or restart_with=[...]",
    "stale closure": "make it again where it is held: on_reload(self, plugin), or restart_with=[...]",
    "stale name": "import it again there, or use it through its module",
}


@dataclass(frozen=True, slots=True)
class Leak:
    """One thing that should be gone, or that nothing will give back.

    Attributes:
        plugin: whose.
        kind: what sort of thing: ``thread``, ``task``, ``subscription``, ``instance``, ``module``, ``file``,
            ``socket``, ``process`` or ``widget``; of a generation of code that was replaced ``stale`` before it, and
            also ``stale closure`` and ``stale name``.
        what: its name.
        path: a path from something that never goes away to it, or what it is doing.
        place: file and line where it was made, or of the code that it runs, as far as that is known.
        is_ahead: whether its plugin still runs: it holds the thing outside its scope, and would leave it behind.
    """

    plugin: str
    kind: Kind
    what: str
    path: str = ""
    place: str = ""
    is_ahead: bool = False

    @property
    def remedy(self) -> str:
        """What the plugin's author can write so that it is given back."""
        return _REMEDIES[self.kind]

    def __str__(self) -> str:
        a = "an" if self.kind == "instance" else "a"
        told = f"holds {a} {self.kind} outside its scope" if self.is_ahead else f"left {a} {self.kind} behind"
        held = f", held by {self.path}" if self.path else ""
        place = f", from {self.place}" if self.place else ""
        return f"{self.plugin} {told}: {self.what}{held}{place}. To mend it: {self.remedy}"


class Leaks(list[Leak]):
    """What was left behind, and what plugins that run would leave behind; empty where nothing is."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "nothing was left behind"

    __repr__ = __str__
