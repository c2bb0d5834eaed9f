"""`binder/` starts the guide: what it installs exists, on a Python that plugbook supports."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [
    line
    for text in (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if (line := text.partition("#")[0].strip())
]


@pytest.mark.parametrize("line", LINES)
def test_each_requirement_can_be_read(line: str) -> None:
    """Each line is a requirement; `.` stands for plugbook, and its extras are among those of the project."""
    requirement = Requirement(re.sub(r"^\.", PROJECT["name"], line))
    if requirement.name == PROJECT["name"]:
        assert requirement.extras <= set(PROJECT["optional-dependencies"])


def test_the_checkout_and_a_lab_are_installed() -> None:
    """The image holds this very checkout, and a JupyterLab to open its notebooks with."""
    (checkout,) = [line for line in LINES if line.startswith(".")]
    assert "lab" in Requirement(re.sub(r"^\.", PROJECT["name"], checkout)).extras


def test_the_python_is_supported() -> None:
    """The Python of the image is one that plugbook supports."""
    name, _, version = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip().partition("-")
    assert name == "python"
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_the_last_step_can_run() -> None:
    """`postBuild` is executable: repo2docker would otherwise only say so in the middle of a build."""
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)
