"""What recording costs a pytest run of 1,000 one-millisecond tests, from its first hook call to its last.

Run with ``python -m tests.benchmarks.bench_pytest_overhead [rounds]``. Each round runs all variants in turn,
each in a process of its own; the figure of a variant is its fastest round, its ratio is to the bare run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

TESTS = 1_000
VARIANTS = ("bare", "no-op monitor", "none", "summary")
LIMITS = {"none": 1.15, "summary": 1.30}

TEST_FILE = f"""
import pytest
from time import perf_counter

@pytest.mark.parametrize("number", range({TESTS}))
def test_one_millisecond(number):
    end = perf_counter() + 0.001
    while perf_counter() < end:
        pass
"""


def run_pytest(variant: str, folder: Path) -> None:
    """In the child: run the tests as `variant` and print the seconds they took."""
    from time import perf_counter

    import pytest

    from plugbook.adapters.attachment import Attachment
    from plugbook.trace.writing.store import Store

    class Attach:
        """Attaches where ``plugbook record`` does."""

        attachment: Attachment | None = None

        def pytest_plugin_registered(self, plugin, manager):
            if plugin is not self:
                return
            if variant == "no-op monitor":
                manager.add_hookcall_monitoring(lambda *_: None, lambda *_: None)
            else:
                store = Store.create(folder / f"{os.getpid()}.plugbook")
                self.attachment = Attachment(manager, store, payloads=variant)

        def pytest_configure(self, config):
            if self.attachment is not None:
                config.add_cleanup(self.attachment.close)

    plugins = [] if variant == "bare" else [Attach()]
    arguments = ["-q", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull, str(folder)]
    start = perf_counter()
    code = pytest.main(arguments, plugins=plugins)
    seconds = perf_counter() - start
    assert code == 0, code
    print(f"seconds {seconds}")


def measure(variant: str, folder: Path) -> float:
    """Seconds that one run took, as its process says."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_pytest_overhead", "--run", variant, str(folder)]
    # Only pytest's own plugins, so that the figure is about the adapter and not about what else is installed.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.rpartition("seconds ")[2])


def main(rounds: int = 5) -> None:
    """Print the overhead of each variant."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_thousand.py").write_text(TEST_FILE, encoding="utf-8")
        times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for _ in range(rounds):
            for variant in VARIANTS:
                times[variant].append(measure(variant, folder))
    bare = min(times["bare"])
    print(
        f"pytest {version('pytest')}, pluggy {version('pluggy')}: {TESTS:,} tests of 1 ms, bare {bare:.2f} s"
    )
    for variant in VARIANTS[1:]:
        ratio = min(times[variant]) / bare
        limit = f" (aim <= {LIMITS[variant] - 1:.0%})" if variant in LIMITS else ""
        print(f"  {variant:15} {ratio - 1:+7.1%}{limit}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run_pytest(sys.argv[2], Path(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:2]))
