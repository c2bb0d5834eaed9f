"""The explorer in a real JupyterLab: what is clicked happens in the kernel, what happens there is seen."""

import json
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab

SHOP = """\
from plugbook import Event, Host, Plugin, on
from plugbook.notebook.explorer import Explorer

class OrderPlaced(Event, topic="order.placed"):
    order_id: int

class Ledger(Plugin, name="ledger", version="1.2.0"):
    @on(OrderPlaced)
    def book(self, event: OrderPlaced) -> None:
        if event.order_id == 13:
            raise ValueError("no order has this number")

class Billing(Plugin, name="billing", version="1.0.0", requires=["ledger>=1,<3"]):
    @on(OrderPlaced)
    def bill(self, event: OrderPlaced) -> int:
        return event.order_id

class Mail(Plugin, name="mail", version="0.3", requires=["billing"]):
    def start(self, ctx) -> None:
        self.sent = 0

class Printer(Plugin, name="printer"):
    def start(self, ctx) -> None:
        raise RuntimeError("no ink")

class Fax(Plugin, name="fax", requires=["modem>=2"]):
    pass

shop = Host([Ledger, Billing, Mail, Printer, Fax])
shop.start()
for number in (1, 2, 13, 4):
    shop.publish(OrderPlaced(order_id=number))
"""


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook with these code cells."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def explorer(lab: Lab, tmp_path: Path):
    """A notebook that has run up to the explorer of a shop, and the explorer in the page."""
    lab.open(write_notebook(tmp_path / "shop.ipynb", SHOP, "shop.explore()"))
    lab.run_all()
    assert lab.errors() == []
    shown = lab.output(1).get_by_role("region", name="plugbook explorer")
    shown.wait_for()
    return shown


def row(explorer, plugin):
    return explorer.locator(f'tr[data-plugin="{plugin}"]')


def wait_for_another_picture(lab: Lab, part: dict[str, float], before: bytes) -> None:
    """Wait until a part of the page looks different."""
    deadline = time.monotonic() + 10
    while lab.page.screenshot(clip=part) == before:
        assert time.monotonic() < deadline, "the page looks as it did before"
        lab.page.wait_for_timeout(50)


def test_a_click_stops_a_plugin(lab: Lab, explorer) -> None:
    """A click changes the state in the kernel and in the page; a change in the kernel is seen in the page."""
    lab.screenshot("explorer", explorer)
    explorer.get_by_role("button", name="stop mail").click()
    lab.wait_for("str(shop.states['mail'])", "stopped")
    expect(row(explorer, "mail")).to_have_attribute("data-state", "stopped")
    expect(explorer.get_by_role("button", name="stop mail")).to_be_disabled()
    lab.evaluate("shop.start('mail')")
    expect(row(explorer, "mail")).to_have_attribute("data-state", "active")
    assert lab.page_errors == []


def test_taking_others_along_is_asked_first(lab: Lab, explorer) -> None:
    """Stopping what others need shows the steps, and does them when they are confirmed, by keyboard too."""
    explorer.get_by_role("button", name="stop ledger").click()
    question = explorer.get_by_role("status").filter(has_text="along")
    expect(question).to_contain_text("stop billing")
    lab.screenshot("explorer-asks", explorer)
    assert lab.evaluate("str(shop.states['ledger'])") == "'active'"
    lab.page.keyboard.press("Enter")
    lab.wait_for("[str(shop.states[name]) for name in ('ledger', 'billing', 'mail')]", ["stopped"] * 3)
    expect(question).to_be_hidden()


def test_errors_and_refusals_are_seen(lab: Lab, explorer) -> None:
    """Errors stand in the log as they happen; what cannot be started says why."""
    log = explorer.get_by_role("table", name="Errors, newest first")
    expect(log).to_contain_text("no order has this number")
    expect(explorer.get_by_text("Errors (2)")).to_be_visible()
    lab.evaluate("shop.publish(OrderPlaced(order_id=13))")
    expect(explorer.get_by_text("Errors (3)")).to_be_visible()
    expect(row(explorer, "fax")).to_contain_text("modem")
    expect(explorer.get_by_role("button", name="start fax", exact=True)).to_be_disabled()


def test_buttons_work_while_a_cell_runs(lab: Lab, tmp_path: Path) -> None:
    """A plugin is stopped by a click while a cell is waiting for just that."""
    wait = """\
import time
deadline = time.monotonic() + 30
while str(shop.states["mail"]) != "stopped" and time.monotonic() < deadline:
    time.sleep(0.05)
print(shop.states["mail"])
"""
    lab.open(write_notebook(tmp_path / "busy.ipynb", SHOP, "shop.explore()", wait))
    lab.script("app.commands.execute('notebook:run-all-cells'); return null")
    shown = lab.output(1).get_by_role("region", name="plugbook explorer")
    shown.wait_for()
    lab.wait_until("return kernel?.status === 'busy'")
    shown.get_by_role("button", name="stop mail").click()
    expect(row(shown, "mail")).to_have_attribute("data-state", "stopped")
    lab.wait_idle()
    assert lab.outputs()[2][0]["text"] == "stopped\n"


def test_a_replay_is_steered(lab: Lab, tmp_path: Path) -> None:
    """Step and play drive a replay from the page."""
    explore = "player = shop.replay(shop.recording, rate=None)\nExplorer(player)"
    lab.open(write_notebook(tmp_path / "replay.ipynb", SHOP, explore))
    lab.run_all()
    shown = lab.output(1).get_by_role("region", name="plugbook explorer")
    shown.get_by_role("button", name="Step to the next event").click()
    lab.wait_for("player.position.index", 1)
    expect(shown.get_by_text("1 of 4 events")).to_be_visible()
    lab.screenshot("explorer-replay", shown)
    shown.get_by_role("button", name="Play", exact=True).click()
    expect(shown.get_by_text("4 of 4 events")).to_be_visible()


def test_it_fits_a_narrow_page_in_a_dark_theme(lab: Lab, explorer) -> None:
    """At 600 pixels nothing is cut off, and the dark theme's own colours are used."""
    lab.script("await app.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    explorer.evaluate("node => { node.style.width = '600px'; }")
    expect(explorer.get_by_role("button", name="restart ledger")).to_be_visible()
    lab.screenshot("explorer-dark", explorer)
    # The theme is a setting of the server, which the other tests share.
    lab.script("await app.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    overflow = explorer.evaluate("node => node.scrollWidth - node.clientWidth")
    assert overflow <= 0


def test_pointing_at_a_plugin_picks_out_its_edges(lab: Lab, tmp_path: Path) -> None:
    """In the dependency graph, the edges of the plugin under the pointer stand out from the others."""
    cell = "from plugbook.notebook import charts\ncharts.dependency_graph(shop)"
    lab.open(write_notebook(tmp_path / "graph.ipynb", SHOP, cell))
    lab.run_all()
    canvas = lab.output(1).locator(".vega-embed canvas, .vega-embed svg.marks").first
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    edges = {"x": box["x"], "y": box["y"] + box["height"] * 0.5, "width": box["width"] * 0.6, "height": 30}
    before = lab.page.screenshot(clip=edges)
    lab.page.mouse.move(box["x"] + box["width"] * 0.83, box["y"] + box["height"] * 0.53)
    wait_for_another_picture(lab, edges, before)
    lab.screenshot("picked", lab.output(1))


def test_dragging_across_the_strip_looks_closer(lab: Lab, tmp_path: Path) -> None:
    """A brush on the timeline's strip narrows what is drawn above it."""
    cell = "from plugbook.notebook import charts\ncharts.timeline(shop)"
    lab.open(write_notebook(tmp_path / "timeline.ipynb", SHOP, cell))
    lab.run_all()
    canvas = lab.output(1).locator(".vega-embed canvas, .vega-embed svg.marks").first
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    strip = box["y"] + box["height"] - 55
    detail = {"x": box["x"], "y": box["y"] + 60, "width": box["width"], "height": box["height"] - 180}
    before = lab.page.screenshot(clip=detail)
    lab.page.mouse.move(box["x"] + box["width"] * 0.9, strip)
    lab.page.mouse.down()
    lab.page.mouse.move(box["x"] + box["width"] * 0.99, strip, steps=5)
    lab.page.mouse.up()
    wait_for_another_picture(lab, detail, before)
    lab.screenshot("brushed", lab.output(1))


def test_charts_are_drawn_without_a_network(lab: Lab, tmp_path: Path) -> None:
    """Each chart is drawn live by JupyterLab itself, and the output holds a picture beside it."""
    cells = [f"from plugbook.notebook import charts\ncharts.{name}(shop)" for name in CHARTS]
    lab.open(write_notebook(tmp_path / "charts.ipynb", SHOP, *cells))
    lab.run_all()
    assert lab.errors() == []
    for place, name in enumerate(CHARTS, 1):
        drawn = lab.output(place).locator(".vega-embed canvas, .vega-embed svg.marks")
        expect(drawn.first).to_be_visible()
        lab.screenshot(name, lab.output(place))
        data = lab.outputs()[place][0]["data"]
        assert "application/vnd.vegalite.v5+json" in data
        assert "image/svg+xml" in data or "image/png" in data
        json.dumps(data)
    assert lab.page_errors == []


CHARTS = ("dependency_graph", "timeline", "handler_latency", "topic_rate")
