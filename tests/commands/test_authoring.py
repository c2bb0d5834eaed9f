"""The word with which a plugin begins, at both doors."""

import pytest
from click.testing import CliRunner

from plugbook.cli import Terminal
from plugbook.commands import authoring, table


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs ``plugbook new ...`` in an empty folder, with what is typed when it asks."""
    monkeypatch.chdir(tmp_path)

    def call(*words, typed=None, fails=False):
        monkeypatch.setattr(authoring, "_may_ask", lambda door: typed is not None)
        result = CliRunner().invoke(table.behind("terminal"), ["new", *words], input=typed, obj=Terminal())
        assert (result.exit_code != 0) == fails, result.output
        return result.output

    return call


def test_a_package_is_made_and_shown(run, tmp_path):
    """The tree and the next steps are printed."""
    (tmp_path / "plugins").mkdir()
    said = run("shop-billing", "--into", "plugins", "--describe", "Bills.", "--author", "Ada")
    assert "└── pyproject.toml" in said
    assert "cd plugins/shop-billing" in said
    assert 'description = "Bills."' in (tmp_path / "plugins/shop-billing/pyproject.toml").read_text()


def test_the_templates_are_listed(run, tmp_path):
    """Each with a line, and nothing is made."""
    assert "basic" in run("--list")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_said_is_asked(run, tmp_path):
    """In a terminal; an empty answer is the default."""
    said = run(typed="shop-billing\n\nBills people.\n\n")
    assert "Template [basic]" in said
    assert "Bills people." in (tmp_path / "shop-billing/README.md").read_text()


def test_a_name_that_cannot_be_is_refused_before_the_rest_is_asked(run):
    """Nobody answers questions in vain."""
    said = run("json", typed="", fails=True)
    assert "json-plugin" in said
    assert "Template" not in said


def test_nothing_is_asked_where_all_is_said_or_yes(run):
    """--yes takes the defaults."""
    assert "Made shop-billing" in run("shop-billing", "--yes", typed="")


def test_nothing_is_asked_where_nobody_could_answer(run):
    """Without a terminal the name has to be said."""
    assert "Name the package" in run(fails=True)


def test_a_pipe_is_nobody(monkeypatch):
    """Only a terminal is asked."""
    assert not authoring._may_ask(Terminal())  # under pytest, stdin is no terminal
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert authoring._may_ask(Terminal())


def test_files_in_the_way_are_named(run, tmp_path):
    """The exit code says that nothing was written."""
    run("shop-billing")
    (tmp_path / "shop-billing/README.md").write_text("mine")
    assert "README.md" in run("shop-billing", fails=True)
    assert "Replaced: README.md" in run("shop-billing", "--force")
