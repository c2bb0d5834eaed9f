"""A new package: what is made, what is refused, and that what was made works."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.errors import FilesInTheWayError, ScaffoldError, UnknownNameError
from plugbook.plugins.finding.declared import read_declared
from plugbook.scaffold.naming import LONGEST_NAME, names_of
from plugbook.scaffold.package import new_package
from plugbook.scaffold.rendering import render
from plugbook.scaffold.template import FOLDER, templates

ROOT = Path(__file__).parents[2]
LONGEST = ("wide-" * LONGEST_NAME)[: LONGEST_NAME - 1] + "w"
TEMPLATES = list(templates())
LINES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" \"'\\{}[]#"), max_size=30)


def run(*words, cwd, **environment):
    """Run a tool on a package; what it said, where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_package_passes_its_own_tests(tmp_path, template):
    """As it was made, without being installed."""
    made = new_package("shop-billing", template=template, into=tmp_path)
    assert run("pytest", "-q", "-p", "no:cacheprovider", cwd=made.folder) == ""


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_package_passes_the_check(tmp_path, template):
    """As it was made: `plugbook check .` has nothing to say, and keeps what the template promises."""
    made = new_package("shop-billing", template=template, into=tmp_path)
    assert run("plugbook", "check", ".", cwd=made.folder) == ""


@pytest.mark.parametrize("name", ["a", "shop-billing", LONGEST])
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_package_is_clean(tmp_path, template, name):
    """Whatever the length of its name, ruff finds nothing to say and nothing to format."""
    ruff = pytest.importorskip("ruff", reason="ruff comes with the extra `dev`")
    assert ruff
    made = new_package(name, template=template, into=tmp_path)
    assert run("ruff", "check", "--no-cache", cwd=made.folder) == ""
    assert run("ruff", "format", "--check", "--diff", "--no-cache", cwd=made.folder) == ""


@pytest.mark.parametrize("template", TEMPLATES)
def test_discovery_reads_the_plugin_without_importing_it(tmp_path, template):
    """The entry point leads to a class that is called as the entry point says."""
    made = new_package("shop-billing", template=template, into=tmp_path)
    said = tomllib.loads((made.folder / "pyproject.toml").read_text())
    points = said["project"]["entry-points"]["plugbook.plugins"]
    module, _, attribute = points["shop-billing"].partition(":")
    declared = read_declared(module, attribute, [str(made.folder / "src")])
    assert declared.fields["name"] == "shop-billing"
    assert said["tool"]["plugbook"]["template"]["name"] == template


@given(LINES, LINES)
def test_any_line_may_describe_a_package(description, author):
    """TOML and docstrings hold what was said, be it quotes, braces or backslashes."""
    names, said = names_of("shop-billing"), description.strip() or "x"
    files = render(templates()["basic"], names, said, {"name": author or "x"})
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["description"] == said
    assert project["authors"] == [{"name": author or "x"}]
    docstring = ast.parse(files["src/shop_billing/__init__.py"]).body[0].value.value
    assert docstring == said


@pytest.mark.parametrize(
    ("author", "written"),
    [
        ("Ada Lovelace", {"name": "Ada Lovelace"}),
        ("ada@example.org", {"email": "ada@example.org"}),
        ("Ada <ada@example.org>", {"name": "Ada", "email": "ada@example.org"}),
    ],
)
def test_the_author_is_written_as_said(tmp_path, author, written):
    """A name, an address, or both."""
    made = new_package("shop-billing", into=tmp_path, author=author)
    said = tomllib.loads((made.folder / "pyproject.toml").read_text())
    assert said["project"]["authors"] == [written]


@pytest.mark.parametrize(
    "options",
    [
        {"name": "json"},
        {"name": "plugbook"},
        {"name": "plugin"},
        {"template": "basics"},
        {"description": "two\nlines"},
        {"description": "x" * 201},
        {"author": "ada@@example.org"},
        {"into": "missing"},
    ],
)
def test_a_refusal_leaves_nothing_behind(tmp_path, monkeypatch, options):
    """Whatever is wrong with what was said, no file and no folder is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ScaffoldError, UnknownNameError)):
        new_package(**({"name": "shop-billing"} | options))
    assert list(tmp_path.iterdir()) == []


def test_a_package_is_not_made_over_another_unless_told(tmp_path):
    """Files that were edited are named; with force they are replaced, and the person's own files stay."""
    made = new_package("shop-billing", into=tmp_path)
    assert new_package("shop-billing", into=tmp_path).replaced == ()
    (made.folder / "README.md").write_text("mine")
    (made.folder / "notes.txt").write_text("mine")
    with pytest.raises(FilesInTheWayError, match="--force"):
        new_package("shop-billing", into=tmp_path)
    assert new_package("shop-billing", into=tmp_path, force=True).replaced == ("README.md",)
    assert (made.folder / "README.md").read_text() != "mine"
    assert (made.folder / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path, monkeypatch):
    """What the disk says becomes one of plugbook's errors."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ScaffoldError, match="No space left"):
        new_package("shop-billing", into=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_is_shown_as_a_tree_with_what_to_do_next(tmp_path, monkeypatch):
    """Folders come first, and paths are as short as they can be."""
    monkeypatch.chdir(tmp_path)
    shown = str(new_package("shop-billing"))
    assert shown.startswith("Made shop-billing from the template basic.")
    assert "│   └── shop_billing/\n│       ├── __init__.py" in shown
    assert "  cd shop-billing\n  python -m pip install" in shown


def test_every_folder_of_templates_is_listed():
    """A template that is there can be chosen, and says what it is in a line."""
    folders = {path.name for path in FOLDER.iterdir()} - {"shared"}
    assert folders == set(templates())
    assert all(template.summary for template in templates().values())
