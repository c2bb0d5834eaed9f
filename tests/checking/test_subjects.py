"""What a path or a name stands for: files, folders, projects, entry points and what is installed."""

import sys

import pytest

from plugbook.checking.check import check
from plugbook.errors import UnknownNameError

LEDGER = "from plugbook import Plugin\nclass Ledger(Plugin, version='2', provides=['books']): ...\n"
BILLING = """
from plugbook import Event, Plugin, on
class Paid(Event, topic="test.paid"): ...
class Billing(Plugin, requires=["ledger>=1"]):
    @on("test.paid")
    def bill(self, event): ...
"""
PROJECT = """
[project]
name = "shop-plugins"
version = "1.4"
requires-python = ">=3.11"
[project.entry-points."plugbook.plugins"]
billing = "shop.billing:Billing"
[tool.plugbook.template]
name = "basic"
version = 1
promises = [{promises}]
"""


def codes(report):
    return [(each.code, each.severity, each.line) for each in report.problems]


@pytest.fixture
def folders(write, tmp_path):
    """Two plugins, each in a folder of its own."""
    write("plugins/ledger/plugin.toml", '[plugin]\nname = "ledger"\nentry_point = "ledger:Ledger"\n')
    write("plugins/ledger/ledger.py", LEDGER)
    write(
        "plugins/billing/plugin.toml",
        '[plugin]\nname = "billing"\nversion = "3"\nentry_point = "billing:Billing"\n',
    )
    write("plugins/billing/billing.py", BILLING)
    return tmp_path / "plugins"


def test_a_folder_of_plugins_is_tried_together(folders):
    """What one plugin requires is found beside it, and each gets a life of its own."""
    report = check(folders)
    assert codes(report) == []
    assert [str(each) for each in report.plugins] == ["billing 3", "ledger 2"]
    assert [each.run.events for each in report.plugins] == [1, 0]


def test_alone_a_plugin_misses_what_it_requires(folders):
    """A plugin whose requirement is not in its folder is imported, and said not to have been started."""
    report = check(folders / "billing" / "plugin.toml")
    assert codes(report) == [("not-started", "warning", 0)]
    assert "ledger" in report.problems[0].message
    assert report


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('[plugin]\nname = "ledger"\nentry_point = "ledger:Legder"\n', "entry-point", 0),
        ('[plugin]\nname = "ledger"\nentry_point = "books:Ledger"\n', "entry-point", 3),
        ('[plugin]\nname = "ledger"\nentry_point = "Ledger"\n', "entry-point", 3),
        ('[plugin]\nname = "ledger"\nversion = "x"\nentry_point = "ledger:Ledger"\n', "manifest-version", 3),
        ('[plugin]\nname = "books"\nentry_point = "ledger:Ledger"\n', "manifest-name", 0),
        ('[plugin]\nnaem = "ledger"\nentry_point = "ledger:Ledger"\n', "manifest-naem", 2),
        ("[plugin\n", "manifest", 1),
    ],
)
def test_what_is_wrong_with_a_plugin_toml_is_located(write, folders, text, code, line):
    """Each mistake in a plugin.toml has its code and its line."""
    write("plugins/ledger/plugin.toml", text)
    problem = next(each for each in check(folders / "ledger", run=False).problems)
    assert (problem.code, problem.line) == (code, line)
    assert problem.file.endswith("plugin.toml")
    assert problem.message


@pytest.fixture
def project(write, tmp_path):
    """A project with one plugin, and what a template makes besides."""

    def make(promises='"events", "readme", "entry-point", "tests"', **files):
        write("shop/pyproject.toml", PROJECT.format(promises=promises))
        write("shop/README.md", "Shop.")
        write("shop/src/shop/__init__.py", "")
        write("shop/src/shop/billing.py", BILLING.replace(', requires=["ledger>=1"]', ""))
        write("shop/tests/test_billing.py", "")
        for name, text in files.items():
            write(f"shop/{name}", text)
        return tmp_path / "shop"

    return make


def test_a_project_is_tried_without_being_installed(project, write):
    """The entry points of a project are started from its source, with the version of the project."""
    folder = project()
    write("shop/tests/test_billing.py", "def test_it(): ...")
    report = check(folder)
    assert codes(report) == []
    assert [str(each) for each in report.plugins] == ["billing 1.4"]
    assert report.plugins[0].run.events == 1


def test_a_broken_promise_of_the_template_is_told(project):
    """What the template promised and is not there any more is an error, and an unknown promise a warning."""
    folder = project('"config", "state", "async", "members", "ci", "tests", "conformance", "luck"')
    report = check(folder / "pyproject.toml", run=False)
    assert [each.code for each in report.problems] == [
        "promise-config",
        "promise-state",
        "promise-async",
        "promise-members",
        "promise-ci",
        "promise-tests",
        "promise-conformance",
        "promise-unknown",
    ]
    assert {each.line for each in report.problems} == {10}
    assert "take 'ci' out of promises" in report.problems[4].remedy


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("shop.billing:Billing", "shop.billing:Paid", "entry-point"),
        ("shop.billing:Billing", "shop.bill:Billing", "entry-point"),
        ("shop.billing:Billing", "shop.billing", "entry-point"),
        ("billing = ", "bills = ", "manifest-name"),
        ("plugbook.plugins", "other.plugins", "entry-point"),
        (">=3.11", "three", "python-version"),
        (">=3.11", "<3", "python-version"),
        ("[project]", "[project", "unreadable"),
    ],
)
def test_what_is_wrong_with_a_project_is_told(project, write, old, new, code):
    """Entry points that lead nowhere, and what cannot be read, are problems of the project."""
    folder = project()
    write("shop/pyproject.toml", PROJECT.format(promises="").replace(old, new))
    [problem] = check(folder, run=False).problems
    assert problem.code == code


def test_syntax_that_is_newer_than_the_project_says_is_told(project):
    """What the oldest Python that a project takes cannot read is an error."""
    folder = project("", **{"src/shop/newer.py": "type Amount = int\n"})
    [problem] = check(folder, run=False).problems
    assert problem.code == ("newer-syntax" if sys.version_info >= (3, 12) else "syntax")


def test_an_installed_plugin_is_found_by_name(tmp_path, monkeypatch, write):
    """A plugin that a distribution brings is checked by its name, and by its entry point."""
    write("site/ledger.py", LEDGER)
    write("site/books-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: books\nVersion: 1.0\n")
    write("site/books-1.0.dist-info/entry_points.txt", "[plugbook.plugins]\nledger = ledger:Ledger\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    report = check("ledger")
    assert (str(report.plugins[0]), codes(report)) == ("ledger 2", [])
    assert len(report.plugins[0].run.phases) == 5
    assert str(check("ledger:Ledger", run=False).plugins[0]) == "ledger 2"
    with pytest.raises(UnknownNameError, match="'ledger'"):
        check("legder")


@pytest.mark.parametrize("name", ["nothing-of-that-name", "nothing_like_it:Plugin", "no such:thing"])
def test_what_is_not_there_is_refused(name):
    """A name that stands for nothing is a mistake of who typed it, not of a plugin."""
    with pytest.raises(UnknownNameError):
        check(name)


def test_a_module_of_a_package_is_imported_as_one(write):
    """A file that belongs to a package may use relative imports."""
    write("shop/__init__.py", "")
    write("shop/base.py", "RATE = 2\n")
    report = check(
        write(
            "shop/billing.py", "from plugbook import Plugin\nfrom .base import RATE\nclass Tax(Plugin): ...\n"
        )
    )
    assert codes(report) == []


def test_a_folder_of_files_is_checked(write, tmp_path):
    """Where a folder has neither a plugin.toml nor a project, its modules are looked at; an empty one has none."""
    write("files/ledger.py", LEDGER)
    write("files/other.py", "x = 1")
    assert [each.name for each in check(tmp_path / "files", run=False).plugins] == ["ledger"]
    (tmp_path / "empty").mkdir()
    assert codes(check(tmp_path / "empty")) == [("no-plugin", "error", 0)]
