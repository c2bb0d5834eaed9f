"""Recording a command: start it so that the pytest inside records itself, wait, and tell what came of it.

The command may run in another environment. Only what it needs of plugbook, which is the standard library
alone, is copied to a temporary folder for it; pytest is told by ``PYTHONPATH`` and ``PYTEST_ADDOPTS``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from plugbook.adapters import recorded_pytest
from plugbook.errors import RecordingError, RecordingExistsError

if TYPE_CHECKING:
    from plugbook.adapters.summary import Capture

PARTS: Final = ("__init__.py", "_clock.py", "_doors.py", "_types.py", "errors.py", "trace", "adapters")
"""What of the package the recorded process needs: floors 1 and 2, and the adapters."""

PLUGIN: Final = "plugbook_recorded_pytest"
"""The name under which the recorded process imports `recorded_pytest`."""

NOT_FOUND: Final = 127
KILLED: Final = 128


@dataclass(frozen=True, slots=True)
class Recorded:
    """One process that loaded the recording plugin.

    Attributes:
        path: its recording, or None where it could not record.
        executable: the Python it ran on; `python`: that Python's version.
        worker: the name that pytest-xdist gave it, or ``""``.
        closed: whether the recording was closed in order; one that was not is complete up to its last commit.
        problem: why it could not record, or not to the end.
    """

    path: Path | None
    executable: str
    python: str
    worker: str
    closed: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded command after its end.

    Attributes:
        command: what was started.
        exit_code: the command's own; as shells have it, 127 where it was not found, 128 and the signal
            where it was killed.
        processes: each process that loaded the recording plugin, the first one first.
    """

    command: tuple[str, ...]
    exit_code: int
    processes: tuple[Recorded, ...]

    def explain(self) -> str:
        """What was recorded where; or why nothing was, which interpreter ran, and what to do."""
        if self.exit_code == NOT_FOUND and shutil.which(self.command[0]) is None:
            return f"Nothing was recorded: there is no command {self.command[0]!r} here."
        lines = [_explain_process(process) for process in self.processes]
        if not any(process.path for process in self.processes):
            lines.append(self._explain_nothing())
        return "\n".join(lines)

    def _explain_nothing(self) -> str:
        if self.processes:
            return "Nothing was recorded."
        interpreter = interpreter_of(self.command[0])
        return (
            f"Nothing was recorded: no pytest has reported. The command started {interpreter}.\n"
            "plugbook reaches pytest through the environment variables PYTHONPATH and PYTEST_ADDOPTS. Check "
            "that the command starts pytest and that nothing on the way drops them, as tox, nox, sudo, "
            "containers and the Python options -E and -I do; then record the innermost command instead, "
            "such as: plugbook record -o run.plugbook -- path/to/environment/bin/python -m pytest"
        )


def record(
    command: Sequence[str],
    output: str | os.PathLike[str],
    *,
    payloads: Capture = "summary",
    cap_bytes: int = 65_536,
    redact: Iterable[str] = (),
) -> Run:
    """Run a command and record the pytest it starts; returns when the command has ended.

    Args:
        command: program and arguments, as for `subprocess`.
        output: the recording; further pytest processes, such as the workers of pytest-xdist, write beside it.
        payloads: what is kept of arguments and results, as for `plugbook.attach`.
        cap_bytes: the longest argument or result that is kept in full.
        redact: names of arguments and fields whose values are hidden.

    Raises:
        RecordingExistsError: there is a file at `output` already; the command was not started.
        RecordingError: there is no folder to write `output` to.
    """
    path = Path(output).absolute()
    _check_place(path)
    with tempfile.TemporaryDirectory(prefix="plugbook-") as folder:
        place = Path(folder)
        reports = place / "reports"
        reports.mkdir()
        _copy_parts(place / "home" / "plugbook")
        plugins = place / "plugins"
        plugins.mkdir()
        shutil.copyfile(recorded_pytest.__file__, plugins / f"{PLUGIN}.py")
        settings = {
            "path": str(path),
            "home": str(place / "home"),
            "reports": str(reports),
            "options": {"payloads": payloads, "cap_bytes": cap_bytes, "redact": list(redact)},
        }
        exit_code = _wait(command, _environment(os.environ, plugins, settings))
        return Run(tuple(command), exit_code, tuple(_read_reports(reports)))


def interpreter_of(program: str) -> str:
    """What runs when `program` is started: its path and, of a script, the interpreter its first line names."""
    found = shutil.which(program)
    if found is None:
        return program
    with Path(found).open("rb") as file:
        first = file.readline(500)
    if not first.startswith(b"#!"):
        return found
    return f"{found} with {first[2:].decode(errors='replace').strip()}"


def _check_place(path: Path) -> None:
    if path.exists():
        msg = (
            f"There is a file at {path} already, and a recording never overwrites one; nothing was started. "
            "Choose another path or remove the file."
        )
        raise RecordingExistsError(msg, path=str(path))
    if not path.parent.is_dir():
        msg = f"There is no folder {path.parent} to record to; nothing was started. Make it or choose another path."
        raise RecordingError(msg, path=str(path))


def _copy_parts(target: Path) -> None:
    source = Path(__file__).parents[1]
    target.mkdir(parents=True)
    for name in PARTS:
        part = source / name
        if part.is_dir():
            shutil.copytree(part, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(part, target / name)


def _environment(inherited: Mapping[str, str], plugins: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    def with_more(name: str, more: str, separator: str) -> str:
        return separator.join(filter(None, [more, inherited.get(name)]))

    # Started from inside a worker of pytest-xdist, the command is no worker of that run.
    own = {name: value for name, value in inherited.items() if not name.startswith("PYTEST_XDIST_")}
    return {
        **own,
        "PYTHONPATH": with_more("PYTHONPATH", str(plugins), os.pathsep),
        "PYTEST_ADDOPTS": with_more("PYTEST_ADDOPTS", f"-p {PLUGIN}", " "),
        recorded_pytest.SETTINGS: json.dumps(settings),
    }


def _wait(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command to its end, whatever signals come: it gets them, too, and ends as it always does."""
    program = shutil.which(command[0])
    if program is None:
        return NOT_FOUND
    with _signals_held() as pass_on_to:
        process = subprocess.Popen([program, *command[1:]], env=dict(environment))
        pass_on_to(process)
        code = process.wait()
    return KILLED - code if code < 0 else code


@contextmanager
def _signals_held() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """While it lasts, a signal to end is for the command, which has a recording to close.

    The terminal sends Ctrl-C to the command as well as to this process; a SIGTERM is passed on.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield processes.append
        return
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
    }
    try:
        yield processes.append
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read_reports(folder: Path) -> Iterator[Recorded]:
    for file in sorted(folder.iterdir(), key=lambda path: path.stat().st_ctime_ns):
        report = json.loads(file.read_text(encoding="utf-8"))
        path = report.pop("path")
        yield Recorded(path=Path(path) if path else None, **report)


def _explain_process(process: Recorded) -> str:
    who = f"pytest-xdist worker {process.worker}" if process.worker else "pytest"
    ran = f"{who} on {process.executable} (Python {process.python})"
    if process.path is None:
        return f"{ran} was not recorded: {process.problem}."
    ending = "" if process.closed else "; it was not closed, what was committed before the end is there"
    trouble = f"; {process.problem}" if process.problem else ""
    return f"Recorded {ran}: {process.path}{ending}{trouble}"
