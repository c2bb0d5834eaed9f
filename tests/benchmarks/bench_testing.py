"""What the pytest plugin costs a run that does not use it: the start-up of pytest with it and without it.

Run with ``python -m tests.benchmarks.bench_testing [rounds]``. Each round starts pytest with and without the plugin in
turn, each in a process of its own, on one empty test; the figure of a variant is the processor time of its fastest round,
which others that compute at the same time do not change.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ENTRY_POINT = "plugbook.testing.pytest_plugin"
VARIANTS = {"without": ("-p", "no:plugbook"), "with": ("-p", ENTRY_POINT)}
LIMIT_MS = 20.0


def seconds(options: tuple[str, ...], folder: Path) -> float:
    """What one run takes of a processor, from the start of its process to its end."""
    # Other plugins only add noise to both; the one that is measured is loaded by its name.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    arguments = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, *options, "."]
    script = (
        f"import pytest, time\nassert pytest.main({arguments!r}) == 0\nprint('took', time.process_time())"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.rpartition("took ")[2])


def main(rounds: int = 15) -> None:
    """Print the least time of each variant, and what they are held against."""
    best = dict.fromkeys(VARIANTS, math.inf)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_nothing():\n    pass\n", encoding="utf-8")
        for _ in range(rounds):
            for variant, options in VARIANTS.items():
                best[variant] = min(best[variant], seconds(options, folder))
    more_ms = (best["with"] - best["without"]) * 1e3
    print(
        f"pytest with one empty test: {best['without'] * 1e3:.0f} ms without, {best['with'] * 1e3:.0f} ms with"
    )
    print(f"the plugin costs {more_ms:+.1f} ms (limit {LIMIT_MS:.0f}), {best['with'] / best['without']:.3f}x")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
