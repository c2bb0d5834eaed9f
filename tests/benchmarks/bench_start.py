"""How long a host takes to start and stop plugins, and how that grows: 1,000 and 10,000 with 3 requirements each."""

from __future__ import annotations

import gc
import math
import random
import time

from plugbook import Host, Plugin

SIZES = (1_000, 10_000)
ROUNDS = 3


def make_plugins(count: int) -> list[type[Plugin]]:
    """Plugins that each require three random ones made before them."""
    chance = random.Random(count)
    made: list[type[Plugin]] = []
    for number in range(count):
        needed = chance.sample(range(number), min(3, number))
        requires = [f"plugin-{other}>=1,<9" for other in needed]

        class Numbered(Plugin, name=f"plugin-{number}", version=f"{1 + number % 5}.0", requires=requires):
            pass

        made.append(Numbered)
    return made


def measure(plugins: list[type[Plugin]]) -> tuple[float, float]:
    """The least times of several rounds to start and to close a host, in seconds."""
    start_s = close_s = math.inf
    for _ in range(ROUNDS):
        gc.collect()
        host = Host(plugins)
        begun = time.perf_counter()
        changes = host.start()
        start_s = min(start_s, time.perf_counter() - begun)
        assert len(changes.done) == len(plugins)
        begun = time.perf_counter()
        host.close()
        close_s = min(close_s, time.perf_counter() - begun)
    return start_s, close_s


def main() -> None:
    """Print the times, and the growth beside that of n log n."""
    times = []
    for size in SIZES:
        begun = time.perf_counter()
        plugins = make_plugins(size)
        defined_s = time.perf_counter() - begun
        start_s, close_s = measure(plugins)
        times.append(start_s)
        print(
            f"{size:>7,} plugins: define {defined_s * 1e3:8.1f} ms, start {start_s * 1e3:8.1f} ms, "
            f"close {close_s * 1e3:8.1f} ms"
        )
    small, large = SIZES
    n_log_n = large * math.log(large) / (small * math.log(small))
    growth = times[1] / times[0]
    print(
        f"start grows {growth:.1f}x; n log n would be {n_log_n:.1f}x: {growth / n_log_n:.2f} of it (limit 1.0)"
    )


if __name__ == "__main__":
    main()
