"""What importing costs, each in a fresh process: the package, a plugin class, the notebook extension."""

from __future__ import annotations

import math
import subprocess
import sys

ROUNDS = 7

TIMED = """
import time
{before}
begun = time.perf_counter()
{measured}
print(time.perf_counter() - begun)
"""

SHELL = "from IPython.core.interactiveshell import InteractiveShell; ip = InteractiveShell.instance()"
PLUGIN = "from plugbook import Plugin\nclass Ledger(Plugin): pass"
MODEL = "from pydantic import BaseModel\nclass Model(BaseModel): n: int"

CASES = {
    "import plugbook": ("", "import plugbook"),
    "define a BaseModel": ("", MODEL),
    "from plugbook import Plugin, define one": ("", PLUGIN),
    "%load_ext plugbook after that": (f"{SHELL}\n{PLUGIN}", "ip.run_line_magic('load_ext', 'plugbook')"),
}


def seconds(before: str, measured: str) -> float:
    """The time `measured` takes in a fresh process, after `before`."""
    script = TIMED.format(before=before, measured=measured)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the least time of several interleaved rounds, and what they are held against."""
    best = dict.fromkeys(CASES, math.inf)
    for _ in range(ROUNDS):
        for name, (before, measured) in CASES.items():
            best[name] = min(best[name], seconds(before, measured))
    for name, time_s in best.items():
        print(f"{name:<42} {time_s * 1e3:7.1f} ms")
    package, model, plugin, extension = best.values()
    print(f"package {package * 1e3:.1f} ms (limit 20); plugin {plugin / model:.2f}x a model (limit 2.0)")
    print(f"extension {extension * 1e3:.0f} ms (limit 300)")


if __name__ == "__main__":
    main()
