"""The extension in a real kernel, as a notebook runs it."""

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = [
    "%load_ext plugbook",
    "from plugbook import Event, Plugin, on\nclass Ping(Event):\n    n: int",
    "%%plugin\nclass Echo(Plugin):\n    @on(Ping)\n    def answer(self, ping):\n        return 10 // ping.n",
    "report = %pb publish Ping(n=5)\nreport.calls[0].result",
    '%pb publish ping {"n": 0}',
    "%pb why echoo",
    "%pb list",
    "import plugbook\n[record.cell[0] for record in plugbook.current().recording.select(kinds='event').records()]",
    "plugbook.current().explore()",
    "%unload_ext plugbook",
    "%pb list",
]


@pytest.fixture(scope="module")
def cells():
    """The cells of a notebook that was executed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in CELLS])
    NotebookClient(notebook, timeout=120, allow_errors=True).execute()
    return notebook.cells


def texts(cell):
    """What a cell shows, as text."""
    shown = []
    for output in cell.outputs:
        data = output.get("data", {})
        shown.append(data.get("text/plain") or output.get("text") or "\n".join(output.get("traceback", [])))
    return "\n".join(shown)


def test_a_plugin_is_defined_in_a_cell_and_answers(cells):
    """Cells define a plugin, publish to it, and show who did what."""
    assert "started echo" in texts(cells[2])
    assert texts(cells[3]) == "2"


def test_what_a_cell_returns_is_shown_rich(cells):
    """A report has an HTML view beside its text."""
    data = cells[4].outputs[0]["data"]
    assert "ZeroDivisionError" in data["text/plain"]
    assert "<" in data["text/html"]


def test_a_mistake_is_shown_by_its_message(cells):
    """The error is short, and has the suggestion."""
    output = cells[5].outputs[0]
    assert output["output_type"] == "error"
    assert "Did you mean 'echo'?" in output["traceback"][0]


def test_records_carry_the_execution_count(cells):
    """The recording knows which cell published each event."""
    assert texts(cells[7]) == "[4, 5]"


def test_a_notebook_that_nobody_watches_keeps_the_picture_of_an_explorer(cells):
    """Who executes it takes no input, and stores a picture: a stored widget could be drawn by few, and by none offline."""
    data = cells[8].outputs[0]["data"]
    assert "application/vnd.jupyter.widget-view+json" not in data
    assert "1 of 1 plugin active" in data["text/html"]


def test_after_unloading_the_magic_is_gone(cells):
    """%pb is not known any more."""
    assert "not found" in texts(cells[10])


def test_the_same_cell_twice_listens_once():
    """In a kernel too, a cell that runs again replaces what it registered, and one that fails takes it back."""
    listen = "host.subscribe(Ping, lambda ping: seen.append(ping.n))"
    sources = [
        "%load_ext plugbook\nfrom plugbook import Event, Host\nclass Ping(Event):\n    n: int\nseen = []\nhost = Host()",
        listen,
        listen,
        "host.subscribe(Ping, print)\n1 / 0",
        "host.publish(Ping(n=1))\nseen",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in sources])
    NotebookClient(notebook, timeout=120, allow_errors=True).execute()
    assert "taken back: subscription print" in texts(notebook.cells[3])
    assert texts(notebook.cells[4]) == "[1]"
