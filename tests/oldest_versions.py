"""Print a pip constraints file that pins every direct dependency to its lower bound.

`make test-oldest` installs with it, so that the bounds in pyproject.toml are versions somebody tried. Run as
`python tests/oldest_versions.py [EXTRA ...]`; it needs `packaging` alone.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def oldest(requirement: Requirement) -> str:
    """Return the lowest version that a requirement's `>=` allows.

    Raises:
        ValueError: the requirement has no lower bound, so nobody can know what it was tried with.
    """
    bounds = [specifier.version for specifier in requirement.specifier if specifier.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"{requirement} needs exactly one lower bound (>=) in pyproject.toml")
    return bounds[0]


def direct_requirements(extras: list[str]) -> Iterator[Requirement]:
    """Yield the dependencies of the project and of some of its extras; plugbook itself is left out."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    for group in groups:
        for line in group:
            requirement = Requirement(line)
            if requirement.name != project["name"]:
                yield requirement


if __name__ == "__main__":
    pins = {f"{requirement.name}=={oldest(requirement)}" for requirement in direct_requirements(sys.argv[1:])}
    print("\n".join(sorted(pins)))
