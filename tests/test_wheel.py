"""The wheel holds what an installed plugbook needs: the package, its types and the front end."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FRONT_END = [path.relative_to(ROOT / "widgets") for path in (ROOT / "widgets").rglob("*") if path.is_file()]

TEMPLATES = ROOT / "plugbook/scaffold/templates"


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel and return the names of the files in it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_package_is_typed(contents: set[str]) -> None:
    """The package is in the wheel with the marker that makes type checkers read its annotations."""
    assert {"plugbook/__init__.py", "plugbook/py.typed"} <= contents


def test_the_front_end_is_inside(contents: set[str]) -> None:
    """Every file of `widgets/` lies where an installed plugbook looks for it."""
    assert {f"plugbook/notebook/static/{path.as_posix()}" for path in FRONT_END} <= contents


def test_the_templates_are_inside(contents: set[str]) -> None:
    """Every file of every template is there, hidden ones too."""
    files = [path.relative_to(ROOT).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()]
    assert any("/.github/" in file for file in files)
    assert set(files) <= contents


def test_nothing_else_is_inside(contents: set[str]) -> None:
    """Tests, notebooks and tools stay out of the wheel."""
    folders = {name.partition("/")[0] for name in contents}
    assert [name for name in folders - {"plugbook"} if not name.endswith(".dist-info")] == []
