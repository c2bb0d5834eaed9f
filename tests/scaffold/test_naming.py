"""What a new package is called."""

import keyword
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from plugbook.errors import ScaffoldError
from plugbook.plugins.manifest import make_manifest
from plugbook.scaffold.naming import LONGEST_NAME, check_is_new, names_of

WORDS = st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=5)
SIGNS = st.sampled_from(["-", "_", ".", "--", "-_"])


@given(st.builds(lambda sign, words: sign.join(words), SIGNS, WORDS) | st.text(max_size=60))
def test_every_name_is_valid_wherever_it_is_used_or_refused(name):
    """A name that is taken is valid as a distribution, a package, a class and a plugin."""
    try:
        names = names_of(name)
    except ScaffoldError:
        return
    assert names.project == canonicalize_name(name)
    assert names.package.isidentifier()
    assert not keyword.iskeyword(names.package)
    assert names.package not in sys.stdlib_module_names
    assert names.class_name.isidentifier()
    assert make_manifest({"name": names.project}).name == names.project
    assert names_of(names.project) == names


@given(WORDS)
@example(["json"])
def test_the_suggestion_for_a_refused_name_is_a_name(words):
    """Where another name is suggested, that one is taken."""
    try:
        names_of("".join(map(str.capitalize, words)))
    except ScaffoldError as error:
        if "Write" in str(error):
            names_of(str(error).rpartition("Write ")[2].split("'")[1])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is not a name"),
        ("ShopBilling", "Write 'shop-billing'"),
        ("shop billing", "Write 'shop-billing'"),
        ("9lives", "Write 'lives'"),
        ("../up", "Write 'up'"),
        ("class", "word of the Python language"),
        ("match", "word of the Python language"),
        ("json", "Write 'json-plugin'"),
        ("exception", "a class Exception"),
        ("tests", "beside its package"),
        ("a" * (LONGEST_NAME + 1), "Find a shorter name"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_what_to_write(name, said):
    """The message says why not, and what instead."""
    with pytest.raises(ScaffoldError, match=said):
        names_of(name)


def test_a_module_that_is_there_is_not_hidden(tmp_path, monkeypatch):
    """A package is refused where a module of that name can be imported, unless it is the package itself."""
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    (tmp_path / "src/there_already").mkdir(parents=True)
    check_is_new(names_of("there-already"), Path("/elsewhere"))  # a bare folder gives way to a package
    (tmp_path / "src/there_already/__init__.py").touch()
    with pytest.raises(ScaffoldError, match="Write 'there-already-plugin'"):
        check_is_new(names_of("there-already"), Path("/elsewhere"))
    check_is_new(names_of("there-already"), tmp_path)


def test_what_is_imported_without_a_trace_is_not_hidden(monkeypatch):
    """A module that says nothing of where it is from counts as there."""
    monkeypatch.setitem(sys.modules, "from_nowhere", type(sys)("from_nowhere"))
    with pytest.raises(ScaffoldError, match="imported already"):
        check_is_new(names_of("from-nowhere"), Path("/elsewhere"))
