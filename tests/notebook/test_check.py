"""The word check in a notebook: a plugin of a cell is checked with what it uses of other cells, and the report is shown."""

import pytest
from IPython.core.error import UsageError

from plugbook.checking.check import check
from plugbook.notebook import pictures
from plugbook.notebook.cell_source import cell_source

IMPORTS = "from plugbook import Event, Plugin, on"
EVENTS = """class Paid(Event, topic="test.paid"):
    amount: int

RATES = {"EUR": 2}
WHO = print("never run again")
"""
TAX = """%%plugin
class Tax(Plugin):
    @on(Paid)
    def tax(self, event):
        return RATES["EUR"] / event.amount
"""


def plain(cell):
    return cell


def test_a_cell_is_tried_with_what_it_uses(shell):
    """The last plugin cell runs in a fresh process with its imports, events and constants, and keeps its lines."""
    for cell in (IMPORTS, EVENTS, TAX):
        shell.run(cell)
    report = shell.run("%pb check --timeout 60")
    [problem] = report.problems
    assert (problem.code, problem.place) == ("handler-failed", "the cell:5")
    assert "ZeroDivisionError" in problem.message
    assert [str(each) for each in report.plugins] == ["tax"]
    assert report.plugins[0].run.output == ""
    shell.run("from plugbook import current; current().close()")


def test_a_plugin_is_found_by_name_and_not_run_where_told(shop):
    """A plugin of a plain cell is found by its name, whose lines count as they were typed."""
    report = shop.run("%pb check billing --no-run")
    assert report.problems == []
    assert report.where == "the cell"
    shop.ip.run_cell("class Bad(Plugin, name='bad'):\n    def start(self): ...", store_history=True)
    [problem] = shop.run("%pb check bad --no-run").problems
    assert (problem.code, problem.place) == ("start-signature", "the cell:2:5")


def test_a_plugin_of_the_current_host_is_checked_where_it_is_from(shop, tmp_path):
    """A plugin that the host discovered in a folder is checked there."""
    (tmp_path / "plugin.toml").write_text('[plugin]\nname = "books"\nentry_point = "books:Books"\n')
    (tmp_path / "books.py").write_text("from plugbook import Plugin\nclass Books(Plugin): ...\n")
    shop.run(f"shop.discover({str(tmp_path)!r})")
    report = shop.run("%pb check books --no-run")
    assert (report.where, report.problems) == (str(tmp_path), [])


def test_what_is_nowhere_is_a_mistake_of_who_typed_it(shell):
    """Without a plugin cell, and for a name that nothing has, the word says what to write."""
    assert isinstance(shell.fail("%pb check"), UsageError)
    assert "nothing-like-it" in str(shell.fail("%pb check nothing-like-it"))


def test_only_what_is_used_goes_along():
    """Other statements of earlier cells are left out, and so are cells that come later."""
    later = "RATES = {}"
    typed = cell_source([IMPORTS, EVENTS, TAX, later], plain)
    assert list(typed.files) == ["tax.py", "cells_before.py"]
    assert "WHO" not in typed.files["cells_before.py"]
    assert "RATES = {'EUR': 2}" in typed.files["cells_before.py"].replace('"', "'")
    assert typed.files["tax.py"].splitlines()[1:] == TAX.splitlines()[1:]
    assert cell_source([IMPORTS], plain) is None
    assert cell_source(["%%html\n<p>", "x = (", TAX], plain, "other") is None


@pytest.mark.parametrize("source", ["class Tax(Plugin, versoin='<b>'): ...", "class Tax(Plugin): ..."])
def test_a_report_is_shown_escaped(source, tmp_path):
    """Problems, phases and verdict are in the picture, and nothing of a source is taken for HTML."""
    file = tmp_path / "tax.py"
    file.write_text(f"{IMPORTS}\n{source}\n")
    report = check(file)
    drawn = pictures.check(report)
    assert report.verdict in drawn
    assert "<b>'" not in drawn
    assert ("unknown-keyword" in drawn) is bool(report.problems)
    assert ("stop again" in drawn) is not ("unknown-keyword" in drawn)
