"""What came to life while a plugin started: told apart by looking before and after, at what costs little to look at."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.plugins.leaks.census import Thing

_OUR_THREADS: Final = ("plugbook", "asyncio_")
"""Those of the host's loop, of its executor too, which end with the host."""

_DESCRIPTORS: Final = "/dev/fd"


class Descriptor(NamedTuple):
    """A number that the system gave for an open file or socket, and which file it is.

    The number alone is given out again once the file is closed.
    """

    number: int
    device: int
    inode: int

    @classmethod
    def of(cls, number: int) -> Descriptor | None:
        """That of an open file; None where it is not open."""
        with suppress(OSError, OverflowError):
            status = os.fstat(number)
            return cls(number, status.st_dev, status.st_ino)
        return None


class Begun:
    """What came to life while a plugin started, now and the times before, as far as it is there.

    Threads, tasks, widgets and child processes are listed; of files and sockets only the numbers are, since finding
    the objects would mean to look at everything there is.
    """

    def __init__(self) -> None:
        self.now = Lot()
        self.before = Lot()

    @contextmanager
    def noting(self, bus: Bus) -> Iterator[None]:
        """Note what comes to life in the block; what was noted already becomes what was before."""
        self.before.things |= self.now.things
        self.before.descriptors |= self.now.descriptors
        self.now = Lot()
        things, numbers = _listed(bus), _numbers()
        try:
            yield
        finally:
            self.now.things.update(_listed(bus) - things)
            found = map(Descriptor.of, _numbers() - numbers)
            self.now.descriptors.update(each for each in found if each is not None)

    def runners(self) -> Iterator[threading.Thread | asyncio.Task[Any]]:
        """The threads and tasks among them that have not ended."""
        for each in (*self.now.things, *self.before.things):
            runs = isinstance(each, threading.Thread) and each.is_alive()
            if runs or (isinstance(each, asyncio.Task) and not each.done()):
                yield each

    def __bool__(self) -> bool:
        return bool(self.now or self.before)


class Lot:
    """Things that came to life together.

    Attributes:
        things: threads, tasks, widgets and child processes, as long as somebody has them.
        descriptors: of files and sockets.
    """

    def __init__(self) -> None:
        self.things: weakref.WeakSet[Any] = weakref.WeakSet()
        self.descriptors: set[Descriptor] = set()

    def __contains__(self, thing: Thing) -> bool:
        return thing.it in self.things or thing.descriptor in self.descriptors

    def __bool__(self) -> bool:
        return bool(self.things) or any(Descriptor.of(each.number) == each for each in self.descriptors)


def widgets() -> list[Any]:
    """The widgets there are, if ipywidgets is in use."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    return list(getattr(module, "_instances", {}).values())


def _listed(bus: Bus) -> Set[Any]:
    """The threads, tasks, widgets and child processes there are, but for those that belong to the bus."""
    threads = {each for each in threading.enumerate() if not each.name.startswith(_OUR_THREADS)}
    tasks: set[asyncio.Task[Any]] = bus.loop.tasks()
    processes = getattr(sys.modules.get("multiprocessing.process"), "_children", ())
    return {*threads, *tasks, *processes, *widgets()}


def _numbers() -> set[int]:
    """The numbers of the files and sockets that are open, where the system tells them."""
    try:
        numbers = {int(name) for name in os.listdir(_DESCRIPTORS)}  # noqa: PTH208 (this is done at every start)
        free = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return set()
    os.close(free)
    return numbers - {free}  # the listing itself had that number
