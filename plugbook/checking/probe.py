"""The fresh process of a check: a plugin is imported, started, given an event of each type, and stopped, twice.

    python -m plugbook.checking.probe FOLDER

What happens is told in the folder, phase by phase; see `job`. Nothing here returns to anybody: where the time is
over, the process writes down where every thread and task stands, and ends itself. What a plugin needs of plugbook is
imported first, so that neither the time nor the figures of its phases count that.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugbook.checking.job import Job, Results
from plugbook.checking.problem import sentences
from plugbook.checking.watchdog import Watchdog
from plugbook.errors import ConfigError, EventError, PlugbookDeprecationWarning, ReloadError
from plugbook.events.versions.example import example, example_event
from plugbook.events.versions.known import types_for
from plugbook.host.host import Host
from plugbook.plugins.config import validate
from plugbook.plugins.finding.discovery import discover_in
from plugbook.plugins.plugin import as_class
from plugbook.plugins.reloading.keeping import is_defined, keeps_state
from plugbook.trace.telling import place_of, recorded_place, tell

if TYPE_CHECKING:
    from plugbook.events.event import Event
    from plugbook.plugins.plugin import HandlerSpec, Plugin


class _PhaseFailed(Exception):  # noqa: N818 (it is no error, but the end of the attempt)
    """What failed has been told; what would come after it cannot be tried."""


class Probe:
    """Tries one plugin.

    Args:
        job: what to try.
        results: where to tell it.
    """

    def __init__(self, job: Job, results: Results) -> None:
        self._job = job
        self._results = results
        self.host: Host | None = None
        self._left: set[str] = set()
        self._told = 0

    def run(self) -> None:
        """Try it, until something fails that nothing can be tried after."""
        try:
            classes = self._import()
            with self._host(classes) as host:
                if not self._can_start(host):
                    return
                self._start(host, "")
                self._publish_all(host)
                self._reload(host)
                self._stop(host, "")
                self._start(host, " again")
                self._stop(host, " again")
        except _PhaseFailed:
            return

    def tasks(self) -> Collection[asyncio.Task[Any]]:
        """What runs on the host's loop."""
        return self.host.bus.loop.tasks() if self.host is not None else ()

    # -- one phase after the other ----------------------------------------------------------------

    def _import(self) -> list[Any]:
        before = set(threading.enumerate())
        sys.path[:0] = self._job.path
        with self._phase("import"):
            if self._job.folders:
                discover_in(*self._job.folders)  # from now on Python finds what is in them
            _named(self._job.entry_point)
            classes = [_named(each) for each in self._job.classes]
        for thread in set(threading.enumerate()) - before:
            told = f"importing it started the thread {thread.name!r}, which no stop of the plugin ends"
            remedy = "Start it in start, and end it with ctx.defer(...)."
            self._problem("import-thread", told, remedy, severity="warning")
        return classes

    def _host(self, classes: list[Any]) -> Host:
        with self._phase("set up"):
            self.host = host = Host(env_prefix=None, api_version=self._job.api_version)
            if self._job.recording:
                host.record(self._job.recording, append=Path(self._job.recording).exists())
            for plugin in classes:
                host.add(plugin)
            if self._job.folders:
                host.discover(*self._job.folders)
            host.discover()
            host.set_policy(self._job.plugin, "continue")  # what it does about a failure is not what is tried
            self._configure(host)
        return host

    def _configure(self, host: Host) -> None:
        """Options without a default are made up, as small as the model allows."""
        for name in _needed(host, self._job.plugin):
            plugin_class = _class_of(host, name)
            if plugin_class is None or plugin_class.Config is None:
                continue
            try:
                validate(plugin_class)
            except ConfigError:
                made = example(plugin_class.Config)
                self._results.put(note=f"{name} was configured with what its Config allows: {made}")
                host.configure(name, made)

    def _can_start(self, host: Host) -> bool:
        problem = host.plan("start", self._job.plugin).problem
        if problem is None:
            return True
        told = f"it was imported, but not started: {problem.explanation}"
        remedy = problem.remedy or "Install what is missing, or check the folder that has all of them."
        self._problem("not-started", told, remedy, severity="warning")
        return False

    def _start(self, host: Host, again: str) -> None:
        with self._phase(f"start{again}"):
            host.start(self._job.plugin)
        self._tell_failures(host, f"started{again}")

    def _publish_all(self, host: Host) -> None:
        plugin_class = _class_of(host, self._job.plugin)
        tried = set()
        for spec in plugin_class.handlers() if plugin_class is not None else ():
            for event in self._examples(spec):
                if type(event) not in tried:
                    tried.add(type(event))
                    self._publish(host, event)

    def _reload(self, host: Host) -> None:
        """Whether the next generation takes the state that this one gives, and says that it is well."""
        plugin_class = _class_of(host, self._job.plugin)
        if plugin_class is not None and (keeps_state(plugin_class) or is_defined(plugin_class, "health")):
            with self._phase("reload", goes_on=True):
                host.reload(self._job.plugin)

    def _publish(self, host: Host, event: Event) -> None:
        topic = type(event).__topic__
        with self._phase(f"handle {topic}", goes_on=True):
            report = host.publish(event)
            called = [call for call in report.calls if call.outcome != "skipped"]
            if not any(call.plugin.startswith(self._job.plugin) for call in called):
                self._results.put(note=f"the example of {topic} reached no handler: {event!r}")
        self._tell_failures(host, f"given the smallest {topic} that its schema allows: {event!r}")

    def _examples(self, spec: HandlerSpec) -> Iterator[Event]:
        types = types_for(spec.target)
        for event_type in types:
            try:
                yield example_event(event_type)
            except EventError as error:
                self._results.put(note=str(error))
        if not types:
            self._results.put(note=f"{spec.method} was not tried: no event is defined for {spec.target!r}")

    def _tell_failures(self, host: Host, when: str) -> None:
        """Every call and background task that failed since this was asked last."""
        recording = host.recording
        failed = recording.select(outcome="error", kinds=["call", "log"]).records() if recording else ()
        for record in failed:
            error = record.error
            if record.seq > self._told and isinstance(error, dict):
                self._told = record.seq
                told = f"{error['type']}: {error['message']}"
                place = recorded_place(error)
                if record.kind == "call":
                    remedy = "Handle it, or narrow the event's field, as in Field(gt=0), so that there is no such event."
                    self._problem(
                        "handler-failed", f"{record.name} raised {told}, {when}", remedy, place=place
                    )
                elif record.plugin == self._job.plugin:
                    remedy = "Catch what may happen there, and say it: ctx.log."
                    self._problem("task-failed", f"it logged {told}, {when}", remedy, place=place)

    def _stop(self, host: Host, again: str) -> None:
        with self._phase(f"stop{again}"):
            changes: Any = host.stop(self._job.plugin)
            changes.check()
        self._tell_failures(host, f"until it was stopped{again}")
        left = host.leaks()
        for leak in left:
            if leak.is_ahead or leak.kind in self._left:
                continue
            told = f"after stop{again}, {str(leak).partition('. To mend it: ')[0]}"
            self._problem(f"leak-{leak.kind}", told, f"To mend it: {leak.remedy}.", place=leak.place)
        self._left |= {leak.kind for leak in left}

    # -- telling ----------------------------------------------------------------------------------

    @contextmanager
    def _phase(self, name: str, *, goes_on: bool = False) -> Iterator[None]:
        self._results.put(begin=name)
        started = time.perf_counter_ns()
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always", PlugbookDeprecationWarning)
                yield
        except BaseException as error:
            self._results.put(end=name, duration_ns=time.perf_counter_ns() - started, outcome="error")
            self._failed(name, error)
            if not goes_on:
                raise _PhaseFailed from None
        else:
            self._results.put(end=name, duration_ns=time.perf_counter_ns() - started, outcome="ok")
        for each in warned:
            if issubclass(each.category, PlugbookDeprecationWarning):
                message, remedy = sentences(str(each.message))
                place = f"{each.filename}:{each.lineno}"
                self._problem("deprecated", message, remedy, severity="warning", place=place)

    def _failed(self, name: str, error: BaseException) -> None:
        cause = error.__cause__ or error
        details = "".join(traceback.format_exception(cause))
        code = f"{name.partition(' ')[0]}-failed"
        where = f" in {error.phase}" if isinstance(error, ReloadError) else ""
        told = f"{name} failed{where}: {tell(cause)}"
        self._problem(code, told, place=place_of(cause), details=details)

    def _problem(
        self,
        code: str,
        message: str,
        remedy: str = "",
        *,
        severity: str = "error",
        place: str = "",
        details: str = "",
    ) -> None:
        file, _, line = place.rpartition(":") if place[-1:].isdigit() else (place, "", "0")
        problem = {
            "code": code,
            "message": message,
            "remedy": remedy,
            "severity": severity,
            "details": details,
        }
        self._results.put(problem=problem | {"file": file, "line": int(line)})


# -- finding --------------------------------------------------------------------------------------


def _named(entry_point: str) -> Any:
    module, _, attribute = entry_point.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _needed(host: Host, plugin: str) -> list[str]:
    """The plugin, and those that would be started for it."""
    return list(dict.fromkeys([step.plugin for step in host.plan("start", plugin).steps] + [plugin]))


def _class_of(host: Host, name: str) -> type[Plugin] | None:
    handle = host.plugins[name]
    if handle.plugin_class is not None or not handle.is_imported:
        return handle.plugin_class
    found: type[Plugin] = as_class(_named(handle.manifest.entry_point))
    return found


def main(folder: Path) -> None:
    """Do the job that was left in a folder."""
    job = Job.read(folder)
    sys.path.insert(0, str(folder))  # where the metadata of a project is that is not installed
    results = Results(folder)
    probe = Probe(job, results)
    Watchdog(folder, job.timeout_s, probe.tasks).start()
    probe.run()
    results.put(done=True)
    results.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a thread that was left behind would keep it waiting


if __name__ == "__main__":
    main(Path(sys.argv[1]))
