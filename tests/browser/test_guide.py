"""The guide in a real JupyterLab: its notebooks run there, its charts are drawn, its explorer acts on the host."""

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab

GUIDE = Path(__file__).parents[2] / "notebooks"
CHARTS = {
    "00-quickstart": 3,
    "01-debug-a-real-plugin-system": 2,
    "architecture": 0,
    "lifecycle": 0,
    "patterns/observer": 1,
}
LEAST_MARKS = 10

DRAWN = """() => [...document.querySelectorAll('.vega-embed')].map(chart => {
    const canvas = chart.querySelector('canvas');
    if (!canvas) return chart.querySelectorAll('svg path, svg text').length;
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
})"""
"""For each chart how many marks it has, or, drawn on a canvas, how many colours."""


@pytest.mark.parametrize("name", CHARTS)
def test_a_notebook_of_the_guide_runs_in_the_page(lab: Lab, name: str):
    """Every cell runs without an error, every chart is drawn without a network, and the page raises nothing."""
    lab.open(GUIDE / f"{name}.ipynb")
    lab.run_all(timeout_s=180)
    assert lab.errors() == []
    shown = lab.page.locator(".vega-embed")
    for number in range(CHARTS[name]):
        shown.nth(number).scroll_into_view_if_needed()
    drawn = lab.page.evaluate(DRAWN)
    assert len(drawn) == CHARTS[name]
    assert all(marks >= LEAST_MARKS for marks in drawn), drawn
    assert lab.page_errors == []


def test_a_button_of_the_quick_start_stops_a_plugin(lab: Lab, tmp_path: Path):
    """In the quick start, stopping `mailer` in the explorer stops it in the kernel, and the explorer shows it."""
    notebook = nbformat.read(GUIDE / "00-quickstart.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells]
    del notebook.cells[sources.index("shop.explore()") + 1 :]
    nbformat.write(notebook, tmp_path / "quickstart.ipynb")
    lab.open(tmp_path / "quickstart.ipynb")
    lab.run_all()
    explorer = lab.page.get_by_role("region", name="plugbook explorer")
    row = explorer.locator('tr[data-plugin="mailer"]')
    expect(row).to_contain_text("active")
    row.get_by_role("button", name="Stop").click()
    lab.wait_for("shop.states['mailer'].value", "stopped")
    expect(row).to_contain_text("stopped")
    lab.evaluate("shop.start('mailer') and None")
    expect(row).to_contain_text("active")
