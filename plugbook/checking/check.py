"""Checks a plugin: reads all that it says without running any of it, then tries it in a fresh process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from plugbook.checking.imports import check_imports
from plugbook.checking.job import Job
from plugbook.checking.manifests import check_host_version, check_manifest, check_relations, manifest_of
from plugbook.checking.methods import check_methods, check_topics
from plugbook.checking.promises import check_promises
from plugbook.checking.report import Checked, CheckReport, Run
from plugbook.checking.smoke import smoke_test
from plugbook.checking.source import Source, newer_syntax
from plugbook.checking.subjects import Subject, Subjects, find_subjects
from plugbook.checking.written import plugins_in, topics_in
from plugbook.errors import UnknownNameError
from plugbook.host.host import API_VERSION
from plugbook.plugins.manifest import Manifest, check_version, split

if TYPE_CHECKING:
    from plugbook.checking.problem import Problem

DEFAULT_TIMEOUT_S = 20.0


def check(
    path: str | PathLike[str],
    *,
    run: bool = True,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    api_version: str = API_VERSION,
    recording: str | PathLike[str] = "",
) -> CheckReport:
    """Check a plugin, or all that are there.

    Nothing of a plugin is imported here. It is read first; one that has no errors then lives for a moment in a
    fresh process: it is started, given the smallest event of each type that it takes, stopped, and asked what it
    left behind, twice.

    Args:
        path: of a file, a folder with a ``plugin.toml`` or several of them, or a project; or else the name of an
            installed plugin, or an entry point ``module:Class``.
        run: whether to try it as well.
        timeout_s: seconds that trying one plugin may take.
        api_version: of the application that it is for, which ``requires_host`` is about.
        recording: a file to record the trial in; opened as any other.

    Raises:
        UnknownNameError: there is nothing of that name, or no folder for the recording.
        ManifestError: `api_version` is no version.
    """
    api_version = check_version(api_version)
    _check_place(recording)
    subjects = find_subjects(fspath(path))
    report = CheckReport(subjects.where, problems=[*subjects.problems])
    manifests = {
        each.name: manifest for each in subjects.plugins if (manifest := _manifest(each)) is not None
    }
    for source in subjects.sources.values():
        report.problems += _check_source(subjects, source)
    for subject in subjects.plugins:
        report.problems += _check_subject(subject, manifests, api_version)
        report.plugins.append(_checked(subjects, subject, manifests.get(subject.name)))
    if run:
        trial = partial(_try, report, subjects)
        jobs = [
            _job(subjects, each, manifests, timeout_s, api_version, fspath(recording))
            for each in subjects.plugins
        ]
        # A recording has one writer.
        with ThreadPoolExecutor(1 if recording else os.cpu_count()) as pool:
            for problems in pool.map(trial, report.plugins, jobs):
                report.problems += problems
    if subjects.project is not None:
        report.problems += check_promises(subjects.project, subjects.sources.values())
    return report


def check_sources(files: Mapping[str, str], where: str, lines_before: int = 0, **options: Any) -> CheckReport:
    """Check a plugin that is in no file.

    Args:
        files: the text of each file that it would be, by name; the plugin is in the first.
        where: what a person calls it; problems are located by this word.
        lines_before: how many lines of the first file a person does not know of.
        **options: see `check`.
    """
    with TemporaryDirectory(prefix="plugbook-check-") as made:
        for name, text in files.items():
            Path(made, name).write_text(text, encoding="utf-8")
        file = str(Path(made, next(iter(files))))
        report = check(file, **options)
    report.where = where
    for plugin in report.plugins:
        plugin.place = where
    report.problems = [
        replace(each, file=where, line=max(each.line - lines_before, 0)) if each.file == file else each
        for each in report.problems
    ]
    return report


def _check_place(recording: str | PathLike[str]) -> None:
    folder = Path(recording).expanduser().absolute().parent
    if not folder.is_dir():
        msg = f"There is no folder {str(folder)!r} to record the trial in. Make it, or name another file."
        raise UnknownNameError(msg, name=str(folder))


def _manifest(subject: Subject) -> Manifest | None:
    if subject.manifest is not None:
        return subject.manifest
    return manifest_of(subject.written) if subject.written is not None else None


# -- reading --------------------------------------------------------------------------------------


def _check_source(subjects: Subjects, source: Source) -> Iterator[Problem]:
    owner = _owner(subjects, source)
    oldest = subjects.project.oldest_python() if subjects.project is not None else None
    newer = newer_syntax(source, oldest) if oldest is not None else None
    if newer is not None:
        yield newer
    for problem in check_imports(source):
        yield problem.of(owner)
    topics = [topic for each in subjects.sources.values() for topic in topics_in(each)]
    for written in plugins_in(source):
        for problem in (*check_manifest(written), *check_methods(written), *check_topics(written, topics)):
            yield problem.of(written.name)


def _owner(subjects: Subjects, source: Source) -> str:
    """The one plugin that a source belongs to; ``""`` where it is not one's alone."""
    owners = [
        each.name
        for each in subjects.plugins
        if (each.folder is not None and source.file.is_relative_to(each.folder))
        or (each.written is not None and each.written.source is source)
    ]
    return owners[0] if len(owners) == 1 else ""


def _check_subject(
    subject: Subject, manifests: Mapping[str, Manifest], api_version: str
) -> Iterator[Problem]:
    """What can be said of a plugin only when all of it is known, and the others."""
    manifest = manifests.get(subject.name)
    if manifest is None:
        return
    problem = check_host_version(manifest, api_version)
    if problem is not None:
        yield problem
    yield from check_relations(manifest, manifests)


def _checked(subjects: Subjects, subject: Subject, manifest: Manifest | None) -> Checked:
    version = manifest.version if manifest is not None and "version" in manifest.model_fields_set else ""
    if not version and subjects.project is not None:
        version = subjects.project.version  # that of the distribution, as on a host
    written = subject.written
    place = f"{written.source.file}:{written.node.lineno}" if written is not None else ""
    return Checked(subject.name, version, place)


# -- trying ---------------------------------------------------------------------------------------


def _try(report: CheckReport, subjects: Subjects, checked: Checked, job: Job) -> list[Problem]:
    if any(_stands_in_the_way(each, checked) for each in report.errors):
        checked.run = Run(notes=["it was not run: mend its errors first"])
        return []
    checked.run, problems = smoke_test(job, {str(file) for file in subjects.sources})
    return problems


def _stands_in_the_way(problem: Problem, checked: Checked) -> bool:
    return problem.plugin in ("", checked.name) and problem.code != "host-version"


def _job(
    subjects: Subjects,
    subject: Subject,
    manifests: Mapping[str, Manifest],
    timeout_s: float,
    api_version: str,
    recording: str,
) -> Job:
    project = subjects.project
    folders = tuple(str(each.folder) for each in subjects.plugins if each.folder is not None)
    needed = _needed(subject.name, manifests)
    classes = tuple(each.entry_point for each in subjects.plugins if each.name in needed)
    return Job(
        subject.name,
        subject.entry_point,
        classes=() if folders or project or subject.is_installed else classes,
        folders=folders,
        distribution=(project.name, project.version) if project else ("", ""),
        offers=project.entry_points if project else {},
        path=tuple(subjects.path),
        api_version=api_version,
        timeout_s=timeout_s,
        recording=recording,
    )


def _needed(name: str, manifests: Mapping[str, Manifest]) -> set[str]:
    """The plugin, and those of the others that it may need, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in found or (each not in manifests and each != name):
            continue
        found.add(each)
        if each in manifests:
            manifest = manifests[each]
            wanted = {split(text).name for text in (*manifest.requires, *manifest.optional, *manifest.needs)}
            waiting += wanted
            waiting += [other for other, known in manifests.items() if wanted & known.capabilities().keys()]
    return found
