"""What a check tells its fresh process to try, and what that process tells of it: plain data, written as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from plugbook.plugins.finding.discovery import GROUP

JOB: Final = "job.json"
RESULTS: Final = "results.jsonl"
STACKS: Final = "stacks.txt"
OUTPUT: Final = "output.txt"

HUNG: Final = 3
"""The exit code of a process that ended itself because its time was over."""


@dataclass(frozen=True)
class Job:
    """One plugin to try.

    Attributes:
        plugin: its name.
        entry_point: where its class is.
        classes: entry points of the plugins that are given to the host as classes.
        folders: folders with a ``plugin.toml``, which the host discovers.
        distribution: name and version of the project that brings it, which need not be installed.
        offers: the entry points of that project, by name.
        path: what to put before `sys.path`.
        api_version: of the host.
        timeout_s: seconds that all of it may take.
        recording: the file to record it in, or ``""``.
    """

    plugin: str
    entry_point: str
    classes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    distribution: tuple[str, str] = ("", "")
    offers: dict[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    api_version: str = "1.0"
    timeout_s: float = 20.0
    recording: str = ""

    def write(self, folder: Path) -> None:
        """Leave it in a folder, where its process looks for it, and for what an install would have put there."""
        (folder / JOB).write_text(json.dumps(asdict(self)), encoding="utf-8")
        if self.offers:
            name, version = self.distribution
            metadata = folder / f"{re.sub(r'[^A-Za-z0-9.]+', '_', name)}-{version}.dist-info"
            metadata.mkdir()
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (metadata / "METADATA").write_text(about, encoding="utf-8")
            lines = [f"{plugin} = {entry_point}" for plugin, entry_point in self.offers.items()]
            told = "\n".join([f"[{GROUP}]", *lines, ""])
            (metadata / "entry_points.txt").write_text(told, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The job that was left in a folder."""
        return cls(**json.loads((folder / JOB).read_text(encoding="utf-8")))


class Results:
    """Writes down what happens, line by line, so that a process that dies has told everything until then."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / RESULTS).open("a", encoding="utf-8")

    def put(self, **told: Any) -> None:
        """Write one line, at once."""
        self._file.write(json.dumps(told) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Write no more."""
        self._file.close()


def read_results(folder: Path) -> list[Mapping[str, Any]]:
    """Everything that was written; a last line that is cut short counts as not written."""
    file = folder / RESULTS
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    return [json.loads(line) for line in lines]
