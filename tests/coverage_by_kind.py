"""How much of the package each kind of test reaches; printed whenever tests run with `--cov --cov-context=test`.

- unit: each room by its own tests, those in `tests/<room>` for `plugbook/<room>`
- integration: the whole package by the tests that put its rooms together, in one process or in several
- end to end: the whole package by the tests that go through a real kernel

Lines and branches count alike. What runs while the tests are imported counts for the first two.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coverage import Coverage
from coverage.exceptions import NoDataError

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]
ROOMS = sorted(path.parent.name for path in (ROOT / "plugbook").glob("*/__init__.py"))

IMPORTED = "^$"
KERNEL = "browser/|end_to_end/|test_notebooks|notebook/test_kernel"
OWN_TESTS = rf"^(tests|plugbook)/{{room}}/(?!test_kernel)|{IMPORTED}"
TOGETHER = rf"^tests/(?!trace/|events/|plugins/|{KERNEL})|{IMPORTED}"
THROUGH_A_KERNEL = f"^tests/({KERNEL})"

AIMS = {"unit": 90, "integration": 85, "end to end": 80}


@dataclass
class Reached:
    """So many of the lines and branches that there are."""

    covered: int = 0
    total: int = 0

    def __add__(self, other: Reached) -> Reached:
        return Reached(self.covered + other.covered, self.total + other.total)

    @property
    def percent(self) -> float:
        """The part that is covered; all of nothing is all."""
        return 100 * self.covered / self.total if self.total else 100.0


def by_kind(data_file: str) -> dict[str, Reached]:
    """What each kind of test reaches, by its name."""
    unit = (reached(data_file, OWN_TESTS.format(room=room), f"plugbook/{room}/*") for room in ROOMS)
    return {
        "unit": sum(unit, Reached()),
        "integration": reached(data_file, TOGETHER, "plugbook/*"),
        "end to end": reached(data_file, THROUGH_A_KERNEL, "plugbook/*"),
    }


def reached(data_file: str, context: str, files: str) -> Reached:
    """What the tests whose files match `context` reach of some files."""
    coverage = Coverage(data_file=data_file, config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        try:
            coverage.json_report(contexts=[context], include=[files], outfile=str(report))
        except NoDataError:
            return Reached()
        totals = json.loads(report.read_text())["totals"]
    return Reached(
        totals["covered_lines"] + totals["covered_branches"],
        totals["num_statements"] + totals["num_branches"],
    )


def print_by_kind(terminal: pytest.TerminalReporter, data_file: str) -> None:
    """Write a line for each kind, with what it should reach."""
    terminal.section("coverage by kind of test (lines and branches)")
    for kind, found in by_kind(data_file).items():
        terminal.line(f"{kind:<12} {found.percent:5.1f} %   aim {AIMS[kind]} %   of {found.total:,}")
