"""How long plugins take to be put in order, and how that grows: 1,000 and 10,000 with 3 requirements each."""

from __future__ import annotations

import gc
import math
import random
import time

from plugbook.plugins.manifest import Manifest
from plugbook.plugins.resolver import resolve

SIZES = (1_000, 10_000)
ROUNDS = 5


def make_manifests(count: int) -> list[Manifest]:
    """Plugins that each require three random ones made before them."""
    chance = random.Random(count)
    return [
        Manifest(
            name=f"plugin-{number}",
            version=f"{1 + number % 5}.0",
            requires=tuple(
                f"plugin-{other}>={1 + other % 5},<9"
                for other in chance.sample(range(number), min(3, number))
            ),
        )
        for number in range(count)
    ]


def measure(manifests: list[Manifest]) -> float:
    """The least time of several rounds, in seconds."""
    best = math.inf
    for _ in range(ROUNDS):
        gc.collect()
        start = time.perf_counter()
        resolution = resolve(manifests)
        best = min(best, time.perf_counter() - start)
        assert len(resolution.order) == len(manifests)
    return best


def main() -> None:
    """Print the times, and the growth beside that of n log n."""
    times = []
    for size in SIZES:
        start = time.perf_counter()
        manifests = make_manifests(size)
        made = time.perf_counter() - start
        times.append(measure(manifests))
        print(f"{size:>7,} plugins: manifests {made * 1e3:8.1f} ms, resolve {times[-1] * 1e3:8.1f} ms")
    small, large = SIZES
    growth = times[1] / times[0]
    n_log_n = large * math.log(large) / (small * math.log(small))
    print(f"growth {growth:.1f}x; n log n would be {n_log_n:.1f}x: {growth / n_log_n:.2f} of it")


if __name__ == "__main__":
    main()
