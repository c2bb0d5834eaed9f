"""The guide is true: every notebook under `notebooks/` runs from top to bottom without an error."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(
    path
    for path in (ROOT / "notebooks").rglob("*.ipynb")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
CELL_MAY_TAKE_S = 120


def test_the_guide_has_a_quick_start() -> None:
    """The notebook that `make lab` and binder open exists."""
    assert ROOT / "notebooks" / "00-quickstart.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each notebook runs in a fresh kernel and an empty folder, and leaves nothing behind in the checkout."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = nbformat.read(path, as_version=4)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    # A cell that raises, or takes too long, fails here with its traceback.
    NotebookClient(
        notebook,
        timeout=CELL_MAY_TAKE_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
