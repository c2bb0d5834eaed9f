"""The hands of the browser tests work: what is clicked in the page happens in the kernel."""

from pathlib import Path

import nbformat
import pytest

from tests.browser.lab import Lab

COUNTER = """\
import ipywidgets
clicks = 0
def count(button):
    global clicks
    clicks += 1
    button.description = f"clicked {clicks}"
button = ipywidgets.Button(description="Count")
button.on_click(count)
button
"""


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook with these code cells; one that names no kernel would be asked about in a dialog."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)
    return path


def test_a_click_reaches_the_kernel(lab: Lab, tmp_path: Path) -> None:
    """A button clicked in the browser changes a variable in the kernel, and the page shows the change."""
    lab.open(write_notebook(tmp_path / "counter.ipynb", COUNTER))
    lab.run_all()
    assert lab.errors() == []
    lab.click("Count")
    lab.wait_for("clicks", 1)
    lab.click("clicked 1")
    lab.wait_for("clicks", 2)
    assert lab.screenshot("counter", lab.output(0)).stat().st_size > 500
    assert lab.page_errors == []


def test_outputs_and_errors_are_read_back(lab: Lab, tmp_path: Path) -> None:
    """The outputs are those of the code cells in their order, and an exception is found among them."""
    lab.open(write_notebook(tmp_path / "outputs.ipynb", "6 * 7", "print('before'); 1 / 0"))
    lab.run_all()
    value, broken = lab.outputs()
    assert value[0]["data"]["text/plain"] == "42"
    assert [output["output_type"] for output in broken] == ["stream", "error"]
    assert lab.errors() == ["ZeroDivisionError: division by zero"]


def test_a_wait_that_cannot_end_fails(lab: Lab, tmp_path: Path) -> None:
    """Waiting for what never comes ends at its deadline, saying what was found instead."""
    lab.open(write_notebook(tmp_path / "never.ipynb", "answer = 41"))
    lab.run_all()
    with pytest.raises(AssertionError, match="answer is 41"):
        lab.wait_for("answer", 42, timeout_s=0.2)
