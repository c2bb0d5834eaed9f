"""The word check, at the terminal's door."""

import json

import pytest
from click.testing import CliRunner

from plugbook.cli import Terminal
from plugbook.commands import table

FINE = "from plugbook import Plugin\nclass Billing(Plugin): ...\n"
WARNED = "from plugbook import Plugin\nprint(1)\nclass Billing(Plugin): ...\n"
BROKEN = "from plugbook import Plugin\nclass Billing(Plugin, versoin=1): ...\n"


@pytest.fixture
def run(tmp_path):
    """Checks a source with these options; what was printed, and the exit code."""

    def call(source, *options):
        file = tmp_path / "billing.py"
        if source:
            file.write_text(source)
        result = CliRunner().invoke(
            table.behind("terminal"),
            ["check", str(file), "--no-run", *options],
            obj=Terminal(),
            prog_name="plugbook",
        )
        return result.output, result.exit_code

    return call


@pytest.mark.parametrize(
    ("source", "options", "code"),
    [
        (FINE, (), 0),
        (WARNED, (), 0),
        (WARNED, ("--strict",), 1),
        (BROKEN, (), 1),
        (BROKEN, ("--json",), 1),
        ("", (), 2),
        (FINE, ("--timeout", "0"), 2),
    ],
)
def test_the_exit_code_says_what_came_of_it(run, source, options, code):
    """0 where nothing is wrong, 1 where something is, 2 where there was nothing to check."""
    assert run(source, *options)[1] == code


def test_json_holds_all_of_it(run):
    """A program reads the same problems as a person."""
    said = json.loads(run(BROKEN, "--json")[0])
    assert said["ok"] is False
    assert [(each["code"], each["line"], each["plugin"]) for each in said["problems"]] == [
        ("unknown-keyword", 2, "billing")
    ]


def test_what_is_below_the_working_folder_is_named_from_there(run, tmp_path, monkeypatch):
    """A place is short enough to read, and still one that an editor finds."""
    monkeypatch.chdir(tmp_path)
    said, _ = run(BROKEN)
    assert said.startswith("billing (billing.py:2)\n  billing.py:2:23: error")


def test_people_read_place_source_and_remedy(run):
    """Each problem has its place, the line, and what to do; below stands what it comes to."""
    said, _ = run(BROKEN)
    assert "billing.py:2:23: error [unknown-keyword] a plugin has no class keyword 'versoin'" in said
    assert "class Billing(Plugin, versoin=1): ..." in said
    assert "Did you mean 'version'?" in said
    assert said.endswith("1 error in 1 plugin\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--api-version", "banana"], "'banana' is not a version"),
        (["--record", "no/such/folder/run.plugbook"], "There is no folder"),
    ],
)
def test_what_was_typed_wrong_is_no_fault_of_the_plugin(run, options, told):
    """A mistake in an option is told as one, with exit code 2, and no plugin is tried."""
    said, code = run(BROKEN, *options)
    assert code == 2
    assert told in said
