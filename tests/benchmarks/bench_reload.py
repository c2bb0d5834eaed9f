"""How long a hot reload takes: a plugin of 13 modules with state, its old generation serving until the switch."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from plugbook import Host

MODULES = 12
ROUNDS = 20
TARGET_MS = 50.0

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
    imports = "\n".join(f"from . import parts{number}" for number in range(MODULES))
    (folder / "shop.py").write_text(PLUGIN.format(imports=imports, edition=edition))


def swap(host: Host, folder: Path, edition: int) -> float:
    """Write another edition and reload it; how long the reload took, in ms."""
    write_plugin(folder, edition)
    begun = time.perf_counter()
    host.reload("shop")
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    """Print the time of one swap."""
    with tempfile.TemporaryDirectory() as name, Host() as host:
        folder = Path(name)
        write_plugin(folder, 0)
        host.discover(folder)
        host.start()
        swap(host, folder, 1)
        times = [swap(host, folder, edition) for edition in range(2, ROUNDS + 2)]
        middle = statistics.median(times)
        verdict = "ok" if middle <= TARGET_MS else "TOO SLOW"
        print(
            f"one swap of {MODULES + 1} modules: median {middle:.1f} ms, least {min(times):.1f} ms, "
            f"most {max(times):.1f} ms (target {TARGET_MS:g} ms): {verdict}"
        )


if __name__ == "__main__":
    main()
