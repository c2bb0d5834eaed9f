"""A notebook whose cells run in a real kernel: one for each file of tests, in a folder of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest
from nbclient import NotebookClient

CELL_MAY_TAKE_S = 120
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Notebook:
    """Runs cells one after the other, and gives what a person sees below each."""

    def __init__(self, client: NotebookClient, folder: Path) -> None:
        self.folder = folder
        self._client = client

    def run(self, cell: str) -> str:
        """The text below a cell, which must not fail."""
        shown, failed = self._execute(cell)
        assert not failed, shown
        return shown

    def fail(self, cell: str) -> str:
        """The text below a cell, which must fail."""
        shown, failed = self._execute(cell)
        assert failed, f"this was to fail:\n{cell}\n{shown}"
        return shown

    def _execute(self, cell: str) -> tuple[str, bool]:
        cells = self._client.nb.cells
        cells.append(nbformat.v4.new_code_cell(dedent(cell).strip()))
        outputs = self._client.execute_cell(cells[-1], len(cells) - 1).outputs
        text = "\n".join(_text(output) for output in outputs)
        return COLOURS.sub("", text), any(output["output_type"] == "error" for output in outputs)


def _text(output: nbformat.NotebookNode) -> str:
    """What one output shows, as text."""
    if output["output_type"] == "error":
        return "\n".join(output["traceback"])
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file on one worker: a second kernel for it would only take time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook with the extension loaded and the common names imported."""
    folder = tmp_path_factory.mktemp("notebook")
    client = NotebookClient(
        nbformat.v4.new_notebook(),
        timeout=CELL_MAY_TAKE_S,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("IPYTHONDIR", str(folder / ".ipython"))
        # So that `!plugbook` and `!python` are those of the tests.
        environment.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        with client.setup_kernel():
            made = Notebook(client, folder)
            made.run("%load_ext plugbook")
            made.run("import asyncio, pathlib, threading\nfrom pydantic import BaseModel, Field, SecretStr")
            made.run(
                "from plugbook import Bundle, Event, Host, Plugin, on, open_recording, plugin, schemas, use"
            )
            yield made
