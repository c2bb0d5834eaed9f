"""The house rules on imports: floors, light doors, and a recording half that needs the standard library alone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What a person who only imports plugbook, or records a foreign process, must not pay for.
HEAVY = ("IPython", "altair", "anywidget", "ipywidgets", "numpy", "pandas", "pydantic", "traitlets")

# The half of plugbook that is put on a foreign process's path.
RECORDING_HALF = [
    "plugbook",
    "plugbook.errors",
    "plugbook.trace.record",
    "plugbook.trace.writing.recorder",
    "plugbook.trace.writing.store",
    *(f"plugbook.adapters.{path.stem}" for path in sorted(ROOT.glob("plugbook/adapters/[a-z]*.py"))),
]


def run_python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a line of code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_layers_hold() -> None:
    """Every import in the package runs downward, as the contracts in pyproject.toml say."""
    pytest.importorskip("importlinter.cli", reason="import-linter comes with the extra `dev`")
    # In a process of its own: it sets up logging, and disables every logger that is there.
    found = run_python(
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    assert found.returncode == 0, found.stdout


def test_the_face_is_light() -> None:
    """`import plugbook` loads no heavy library."""
    found = run_python(f"import sys, plugbook; print(*sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == ""


@pytest.mark.parametrize("module", RECORDING_HALF)
def test_recording_needs_the_standard_library_alone(module: str) -> None:
    """Each module of the recording half can be imported by a Python that has nothing installed."""
    done = run_python(f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}", "-I", "-S")
    assert done.returncode == 0, done.stderr
