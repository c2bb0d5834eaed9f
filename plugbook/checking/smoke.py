"""Gives a plugin a short life in a fresh process, and ends that process where it does not end itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from plugbook.checking.job import OUTPUT, STACKS, Job, read_results
from plugbook.checking.problem import Problem
from plugbook.checking.report import Run, phases_of

_LATER_S: Final = 5.0
"""How long a process that should have ended itself is waited for: as long as Python may take to begin."""

_MOST_OUTPUT: Final = 20_000
_FRAME: Final = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+)', re.MULTILINE)


def smoke_test(job: Job, files: Collection[str] = ()) -> tuple[Run, list[Problem]]:
    """Try a plugin in a fresh process.

    Args:
        job: what to try.
        files: the plugin's own sources, to tell its frames from others where it hangs.

    Returns:
        How it went, and what is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="plugbook-check-") as made:
        folder = Path(made)
        job.write(folder)
        exit_code = _run(folder, job.timeout_s)
        results = read_results(folder)
        output = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")[:_MOST_OUTPUT]
        stacks = folder / STACKS
        stack = stacks.read_text(encoding="utf-8", errors="replace") if stacks.is_file() else ""
    problems = [Problem(plugin=job.plugin, **each["problem"]) for each in results if "problem" in each]
    run = Run(phases_of(results), [each["note"] for each in results if "note" in each], output.rstrip())
    if not any("done" in each for each in results):
        last = run.phases[-1].name if run.phases else "begin"
        if exit_code is None or stack:  # the plugin may end the process with any code
            problems.append(_hang(job, last, stack, files))
        else:
            if run.phases:
                run.phases[-1] = replace(run.phases[-1], outcome="error")
            problems.append(_crash(job, last, exit_code, output))
    return run, _once(problems)


def _run(folder: Path, timeout_s: float) -> int | None:
    """Run the process; its exit code, or None where it had to be ended."""
    command = [sys.executable, "-P", "-m", "plugbook.checking.probe", str(folder)]
    with (folder / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,  # what the plugin starts itself is ended with it
        )
        try:
            return process.wait(timeout_s + _LATER_S)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end_all(process)
            process.wait()


def _environment() -> dict[str, str]:
    """That of this process; what can be imported here can be imported there.

    Where the folder that we are in comes first, for convenience, it comes last there: a keyword.py in it would hide
    Python's own before anything is tried.
    """
    here = str(Path.cwd())
    path = [*sys.path[1:], here] if sys.path[0] in ("", here) else sys.path
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _end_all(process: subprocess.Popen[Any]) -> None:
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # nothing is left of it
            return
    else:
        process.kill()


def _hang(job: Job, phase: str, stack: str, files: Collection[str]) -> Problem:
    file, line = next(
        ((each["file"], int(each["line"])) for each in _FRAME.finditer(stack) if each["file"] in files),
        ("", 0),
    )
    return Problem(
        "hang",
        f"{phase} did not end within {job.timeout_s:g} s",
        "See in the stack what it waits for, or give it longer: --timeout.",
        plugin=job.plugin,
        file=file,
        line=line,
        details=stack,
    )


def _crash(job: Job, phase: str, exit_code: int | None, output: str) -> Problem:
    ended = (
        f"by signal {-exit_code}"
        if exit_code is not None and exit_code < 0
        else f"with exit code {exit_code}"
    )
    remedy = "See what it printed; a plugin never ends the process that it runs in."
    told = f"the process ended {ended} in the phase {phase!r}"
    return Problem("crash", told, remedy, plugin=job.plugin, details=output)


def _once(problems: list[Problem]) -> list[Problem]:
    """Each problem once: what is left behind at the first stop is still there at the second."""
    seen: dict[tuple[Any, ...], Problem] = {}
    for each in problems:
        told = each.message.replace("after stop again, ", "after stop, ")
        seen.setdefault((each.code, told, each.file, each.line), each)
    return list(seen.values())
