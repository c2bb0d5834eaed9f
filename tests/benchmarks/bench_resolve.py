"""How long plugins take to be put in order, and their versions to be chosen; both for 1,000 and 10,000 plugins."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable

from plugbook.errors import ResolutionError
from plugbook.plugins.manifest import Manifest
from plugbook.plugins.resolving.choosing import choose
from plugbook.plugins.resolving.resolver import resolve

SIZES = (1_000, 10_000)
ROUNDS = 5
VERSIONS = 5
ORDER_LIMIT_S = 0.2
"""For the larger size."""
CHOICE_LIMITS_S = {1_000: 0.5, 10_000: 15.0}
CORE_LIMITS_S = {1_000: 0.2, 10_000: 3.0}


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


def make_versions(count: int) -> list[Manifest]:
    """Five versions of each plugin, which require ranges of three others; every tenth excludes newer ones."""
    chance = random.Random(count)
    made = []
    for number in range(count):
        others = chance.sample(range(number), min(3, number))
        for version in range(1, VERSIONS + 1):
            requires = [f"plugin-{other}>={max(1, version - 2)},<{version + 2}" for other in others]
            conflicts = [f"plugin-{others[0]}=={version}"] if others and number % 10 == 0 else []
            made.append(
                Manifest(
                    name=f"plugin-{number}",
                    version=f"{version}.0",
                    requires=tuple(requires[1:] if conflicts else requires),
                    conflicts=tuple(conflicts),
                )
            )
    chance.shuffle(made)
    return made


def make_clash(manifests: list[Manifest], count: int) -> list[Manifest]:
    """The same with two plugins more, each at the end of its own path, that cannot be there together."""
    ends = [
        Manifest(name=name, requires=(f"plugin-{count - place}", f"{name}-base"))
        for place, name in enumerate(("git", "hg"), start=1)
    ]
    bases = [Manifest(name="git-base", conflicts=("hg-base",)), Manifest(name="hg-base")]
    return [*manifests, *ends, *bases]


def best_of(rounds: int, function: Callable[[], object]) -> float:
    """The least time of several rounds, in seconds."""
    best = math.inf
    for _ in range(rounds):
        gc.collect()
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def say(what: str, taken_s: float, limit_s: float) -> None:
    """One line of the report: a figure beside its target."""
    missed = "" if taken_s <= limit_s else "   MISSED"
    print(f"{what:44} {taken_s:8.3f} s   target <= {limit_s:g} s{missed}")


def measure_order() -> None:
    """One version each: put in order and checked, and the growth beside that of n log n."""
    times = []
    for size in SIZES:
        start = time.perf_counter()
        manifests = make_manifests(size)
        made = time.perf_counter() - start
        assert len(resolve(manifests).order) == size
        times.append(best_of(ROUNDS, lambda manifests=manifests: resolve(manifests)))
        print(f"{size:>7,} plugins: manifests {made * 1e3:8.1f} ms, resolve {times[-1] * 1e3:8.1f} ms")
    small, large = SIZES
    say(f"one version, {large:,} plugins", times[1], ORDER_LIMIT_S)
    growth = times[1] / times[0]
    n_log_n = large * math.log(large) / (small * math.log(small))
    print(f"growth {growth:.1f}x; n log n would be {n_log_n:.1f}x: {growth / n_log_n:.2f} of it")


def measure_choice(size: int) -> None:
    """Five versions each: the best set, and the smallest conflict where two wishes clash."""
    manifests = make_versions(size)
    choice = choose(manifests)
    older = sum(each.version != f"{VERSIONS}.0" for each in choice.chosen.values())
    rounds = ROUNDS if size < SIZES[-1] else 2
    chosen = best_of(rounds, lambda: choose(manifests))
    clash = make_clash(manifests, size)
    told = ""

    def find_core() -> None:
        nonlocal told
        try:
            choose(clash, asked=("git", "hg"))
        except ResolutionError as error:
            told = str(error)

    core = best_of(rounds, find_core)
    what = f"{size:,} plugins x {VERSIONS} versions"
    say(f"{what}: choose", chosen, CHOICE_LIMITS_S[size])
    print(f"        {older:,} in an older version, {len(choice.missing):,} missing")
    say(f"{what}: smallest conflict", core, CORE_LIMITS_S[size])
    print(f"        {told}")


def main() -> None:
    """Print the times."""
    measure_order()
    for size in SIZES:
        measure_choice(size)


if __name__ == "__main__":
    main()
