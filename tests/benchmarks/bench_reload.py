"""How long a hot reload takes, asked for or by a save: a plugin of 13 modules with state."""

from __future__ import annotations

import queue
import statistics
import tempfile
import time
from pathlib import Path

from plugbook import Host

MODULES = 12
ROUNDS = 20
TARGET_MS = 50.0
TARGET_OF_SAVE_MS = 150.0

PART = """
import dataclasses
import enum

from plugbook import Event

class Mood{n}(enum.Enum):
    GLAD = 1
    SAD = 2

@dataclasses.dataclass
class Line{n}:
    text: str
    mood: Mood{n} = Mood{n}.GLAD

class Happened{n}(Event, topic="part.happened{n}"):
    number: int
    text: str = ""

def work{n}(text):
    return Line{n}(text)
"""

PLUGIN = """
from plugbook import Plugin, on
{imports}

class Shop(Plugin, name="shop"):
    def __init__(self):
        self.lines = []

    def snapshot(self):
        return {{"lines": self.lines}}

    def restore(self, state):
        self.lines = state["lines"]

    @on("part.*")
    def note(self, event):
        self.lines.append(parts0.work0(event.text))

    @on(parts1.Happened1)
    def count(self, event):
        return {edition}
"""


def write_plugin(folder: Path, edition: int) -> None:
    """Write a plugin of 13 modules, one of which says which edition it is."""
    (folder / "plugin.toml").write_text("[plugin]\nname = 'shop'\nentry_point = 'shop:Shop'\n")
    for number in range(MODULES):
        (folder / f"parts{number}.py").write_text(PART.format(n=number))
    write_class(folder, edition)


def write_class(folder: Path, edition: int) -> None:
    """Write the module of the plugin's class alone, all at once, as editors do."""
    imports = "\n".join(f"from . import parts{number}" for number in range(MODULES))
    draft = folder / "draft"
    draft.write_text(PLUGIN.format(imports=imports, edition=edition))
    draft.replace(folder / "shop.py")


def swap(host: Host, folder: Path, edition: int) -> float:
    """Write another edition and reload it; how long the reload took, in ms."""
    write_plugin(folder, edition)
    begun = time.perf_counter()
    host.reload("shop")
    return (time.perf_counter() - begun) * 1e3


def save(folder: Path, edition: int, told: queue.Queue[object]) -> float:
    """Save the module of the plugin's class; how long it takes until that code runs, in ms."""
    begun = time.perf_counter()
    write_class(folder, edition)
    told.get(timeout=10)
    return (time.perf_counter() - begun) * 1e3


def print_times(what: str, times: list[float], target_ms: float) -> None:
    """A line about some times, in ms, and whether the middle one is short enough."""
    middle = statistics.median(times)
    verdict = "ok" if middle <= target_ms else "TOO SLOW"
    print(
        f"{what} of {MODULES + 1} modules: median {middle:.1f} ms, least {min(times):.1f} ms, "
        f"most {max(times):.1f} ms (target {target_ms:g} ms): {verdict}"
    )


def main() -> None:
    """Print the time of one swap, and that from a save to running code."""
    with tempfile.TemporaryDirectory() as name, Host() as host:
        folder = Path(name)
        write_plugin(folder, 0)
        host.discover(folder)
        host.start()
        swap(host, folder, 1)
        editions = range(2, ROUNDS + 2)
        print_times("one swap", [swap(host, folder, each) for each in editions], TARGET_MS)

        told: queue.Queue[object] = queue.Queue()
        host.watch("shop", tell=told.put)
        save(folder, ROUNDS + 2, told)
        editions = range(ROUNDS + 3, 2 * ROUNDS + 3)
        print_times("save to new code", [save(folder, each, told) for each in editions], TARGET_OF_SAVE_MS)


if __name__ == "__main__":
    main()
