"""Reloads plugins when the files that their code comes from are saved."""

from __future__ import annotations

import contextvars
import itertools
import logging
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from plugbook.errors import PlugbookError, missing_extra
from plugbook.events.dispatch.work import Work
from plugbook.host.handle import PluginName, name_of
from plugbook.plugins.lifecycle import State
from plugbook.trace.telling import tell
from plugbook.trace.units import count_text

if TYPE_CHECKING:
    from typing import Self

    from watchfiles.main import FileChange

    from plugbook.host.handle import PluginHandle
    from plugbook.host.plan import Changes
    from plugbook.host.registry import Registry

_log = logging.getLogger("plugbook.host")

STEP_MS: Final = 10
"""How long nothing may be written before a save counts as complete."""
DEBOUNCE_MS: Final = 100
"""How long saves that follow each other are gathered at most."""
LOOK_AGAIN_MS: Final = 1_000
"""How long it takes at most until the files of a plugin that was added are watched, too."""
MOST_RELOADS: Final = 100
"""How many reloads a watch remembers."""

_Stamp = tuple[int, int]
_RELOADED: Final = (State.ACTIVE, State.FAILED)


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of one save for one plugin.

    Attributes:
        plugin: whose file was saved.
        files: what was saved.
        changes: what its reload did, or None where there was none or it failed.
        error: why it could not take over; the old generation goes on.
    """

    plugin: str
    files: tuple[Path, ...]
    changes: Changes | None = None
    error: Exception | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return str(self.error) if isinstance(self.error, PlugbookError) else tell(self.error)
        if self.changes is None:
            return (
                f"{self.plugin} is not active, so that it was not reloaded: host.reload({self.plugin!r}) does"
            )
        return f"{self.changes}{self._duration()}"

    def _duration(self) -> str:
        took = sum(each.duration_ns for each in self.changes.generations) if self.changes is not None else 0
        return f" in {took / 1e6:.0f} ms" if took else ""


class FileWatch:
    """Reloads plugins as their files are saved, until it is closed; `Host.watch` makes one.

    A save of what several plugins share reloads each of them, who is needed before who needs. What cannot take over
    leaves the generation that runs, and the next save is another try.

    Args:
        host: whose plugins.
        registry: the plugins of that host.
        names: those that are watched; None for all, also those that come later.
        tell: given each reload when it is over, on the thread that watches.

    Attributes:
        reloads: the last 100, the newest last.
    """

    def __init__(
        self,
        host: Watched,
        registry: Registry,
        names: tuple[str, ...] | None,
        tell: Callable[[Reload], object] | None,
    ) -> None:
        self.reloads: deque[Reload] = deque(maxlen=MOST_RELOADS)
        self._host = host
        self._registry = registry
        self._names = names
        self._tell = tell
        self._stop = threading.Event()
        self._seen: dict[Path, _Stamp | None] = {path: _stamp(path) for path in self.files}
        # What a reloaded plugin prints belongs to whoever asked for the watch: a notebook goes by the context.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(
            target=run, args=(self._watch,), name="plugbook-file-watch", daemon=True
        )
        self._thread.start()

    @property
    def files(self) -> dict[Path, tuple[str, ...]]:
        """The files that are watched, and which plugins come from each, in the order in which those start."""
        found: dict[Path, tuple[str, ...]] = {}
        for handle in self._handles():
            for path in self._host.files_of(handle.name):
                found[path.absolute()] = (*found.get(path.absolute(), ()), handle.name)
        return found

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._stop.is_set()

    def close(self) -> None:
        """Watch no more; a reload that is under way ends first. Closing again does nothing."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        files = self.files
        plugins = dict.fromkeys(itertools.chain.from_iterable(files.values()))
        does = "watched" if self.is_closed else "watches"
        told = f"{does} {count_text(len(files), 'file')} of {', '.join(plugins) or 'no plugin'}"
        last = f"; last: {self.reloads[-1]}" if self.reloads else ""
        return f"<{told}{last}>"

    # -- inside -----------------------------------------------------------------------------------

    def _handles(self) -> list[PluginHandle]:
        ranks = {name: rank for rank, name in enumerate(self._registry.resolve().order)}
        names = self._registry.handles if self._names is None else self._names
        known = [self._registry.handles[name] for name in list(names) if name in self._registry.handles]
        return sorted(known, key=lambda handle: ranks.get(handle.name, len(ranks)))

    def _watch(self) -> None:
        """Watch the folders of the files; where these become others, begin again with what was saved meanwhile."""
        while not self.is_closed:
            folders = {path.parent for path in self.files}
            for saved in self._saves(folders):
                self._reload(saved)
                if {path.parent for path in self.files} != folders:
                    break

    def _saves(self, folders: Iterable[Path]) -> Iterator[set[Path]]:
        from watchfiles import watch

        if not folders:
            self._stop.wait(LOOK_AGAIN_MS / 1_000)
            yield set()
            return
        changes = watch(
            *folders,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            stop_event=self._stop,
            rust_timeout=LOOK_AGAIN_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        )
        for batch in changes:
            yield self._saved(batch)

    def _saved(self, batch: set[FileChange]) -> set[Path]:
        """The files that were written, also before anybody looked; one that is gone may be about to be replaced."""
        named = {Path(name) for _, name in batch}
        now = {path: _stamp(path) for path in self.files}
        return {
            path
            for path, stamp in now.items()
            if stamp is not None and (path in named or stamp != self._seen.setdefault(path, stamp))
        }

    def _reload(self, saved: set[Path]) -> None:
        plugins: dict[str, list[Path]] = {}
        for path, names in self.files.items():
            if path in saved:
                self._seen[path] = _stamp(path)
                for name in names:
                    plugins.setdefault(name, []).append(path)
        for handle in self._handles():
            if handle.name in plugins and not self.is_closed:
                self._note(self._reloaded(handle, tuple(plugins[handle.name])))

    def _reloaded(self, handle: PluginHandle, files: tuple[Path, ...]) -> Reload:
        if handle.state not in _RELOADED:
            return Reload(handle.name, files)
        try:
            return Reload(handle.name, files, self._result(self._host.reload(handle.name)))
        except Exception as error:
            return Reload(handle.name, files, error=error)

    def _result(self, changes: Changes | Work[Changes]) -> Changes | None:
        """What a reload did; None where it waits for a handler, in which this watch is closed."""
        if not isinstance(changes, Work):
            return changes
        while not changes.done and not self.is_closed:
            with suppress(TimeoutError):
                changes.result(timeout=STEP_MS / 1_000)
        return changes.result() if changes.done else None

    def _note(self, reload: Reload) -> None:
        self.reloads.append(reload)
        # Whoever is told already needs no warning as well, which Python prints where no logging was set up.
        _log.log(logging.WARNING if reload.error and self._tell is None else logging.INFO, "%s", reload)
        if self._tell is None:
            return
        try:
            self._tell(reload)
        except Exception:
            _log.exception("telling of a reload failed")


def _stamp(path: Path) -> _Stamp | None:
    """When a file was written, and how long it is; None where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


class Watched(ABC):
    """The part of a host that watches the files of its plugins."""

    _registry: Registry
    _watches: weakref.WeakSet[FileWatch]

    @abstractmethod
    def _check_open(self) -> None:
        """Refuse what a closed host cannot do."""

    @abstractmethod
    def files_of(self, name: PluginName) -> tuple[Path, ...]:
        """The source files that a reload of a plugin would read again."""

    @abstractmethod
    def reload(self, name: PluginName) -> Changes | Work[Changes]:
        """Let the code that is in a plugin's files now take over."""

    @property
    def watches(self) -> list[FileWatch]:
        """Those that have not been closed."""
        return [each for each in self._watches if not each.is_closed]

    def watch(self, *names: PluginName, tell: Callable[[Reload], object] | None = None) -> FileWatch:
        """Reload plugins whenever their files are saved, until the watch or the host is closed.

        ::

            with shop.watch("billing", tell=print):
                ...

        Args:
            names: which plugins; without any, all of them, also those that are added later.
            tell: given a `Reload` when it is over, on the thread that watches.

        Raises:
            UnknownPluginError: there is no such plugin.
            HostClosedError: the host was closed.
            MissingExtraError: watchfiles is not installed.
        """
        self._check_open()
        try:
            import watchfiles  # noqa: F401
        except ImportError as error:
            missing_extra("Watching files", "watch", error)
        chosen = tuple(self._registry[name_of(name)].name for name in names)
        watch = FileWatch(self, self._registry, chosen or None, tell)
        self._watches.add(watch)
        return watch
