"""Mends: for each kind of problem the change that is told, that it was tried, and that it is the smallest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.plugins.manifest import Manifest
from plugbook.plugins.resolving.mending import find_mend
from plugbook.plugins.resolving.resolver import resolve

NAMES = ["a", "b", "c", "d"]


def make(name, version="1.0", **fields):
    return Manifest(name=name, version=version, **fields)


def mend(name, *manifests, **options):
    return find_mend(name, {each.name: each for each in manifests}, **options)


MENDS = {
    "missing": ([make("a", requires=["b>=2,<3"])], "Add a plugin b<3,>=2."),
    "misspelt": (
        [make("a", requires=["leger"]), make("ledger")],
        "Write 'ledger' instead of 'leger' in what a requires.",
    ),
    "misspelt, but of the wrong version": (
        [make("a", requires=["leger>=2"]), make("ledger")],
        "Add a plugin leger>=2.",
    ),
    "version": ([make("a", requires=["b>=2"]), make("b")], "Use b>=2 instead of 1.0."),
    "version that others need": (
        [make("a", requires=["b>=2"]), make("b"), make("c", requires=["b<2"])],
        "Let a, which requires b>=2, accept b 1.0.",
    ),
    "capability": ([make("a", needs=["tax>=2"])], "Add a plugin that provides tax>=2."),
    "capability misspelt": (
        [make("a", needs=["invoicin"]), make("b", provides=["invoicing"])],
        "Write 'invoicing' instead of 'invoicin' in what a needs.",
    ),
    "conflict": ([make("a", conflicts=["b"]), make("b")], "Remove b."),
    "conflict that stops others": (
        [make("a", conflicts=["b"]), make("b"), make("c", requires=["b"])],
        "Remove b.",
    ),
    "conflict of two that it needs": (
        [make("a", requires=["b", "c"]), make("b", conflicts=["c"]), make("c")],
        "Let b no longer exclude c.",
    ),
    "cycle": ([make("a", requires=["b"]), make("b", requires=["a"])], "Make b optional for a."),
    "cycle by a capability": (
        [make("a", needs=["x"]), make("b", provides=["x"], requires=["a"])],
        "Let a do without x, which b provides.",
    ),
    "several causes": (
        [make("a", requires=["b", "c>=2"], needs=["x"]), make("c")],
        "Add a plugin b, use c>=2 instead of 1.0, and add a plugin that provides x.",
    ),
    "far away": (
        [make("a", requires=["b"]), make("b", requires=["c"]), make("c", requires=["d"])],
        "Add a plugin d.",
    ),
}


@pytest.mark.parametrize("case", MENDS)
def test_the_mend_of_each_problem(case):
    """The smallest change is told in one sentence; after it the plugin can start."""
    manifests, told = MENDS[case]
    found = mend("a", *manifests)
    assert str(found) == told
    assert "a" in resolve(found.manifests.values()).order


AVAILABLE = {
    "missing": ([make("a", requires=["b"])], "Add b 3.0 from here."),
    "version": ([make("a", requires=["b>=2"]), make("b")], "Use b 3.0 from here instead of 1.0."),
    "conflict": (
        [make("a", requires=["b"], conflicts=["c"]), make("b", conflicts=["a<2"])],
        "Use b 3.0 from here instead of 1.0.",
    ),
    "capability": ([make("a", needs=["x"])], "Add b 3.0 from here, which provides x."),
}


@pytest.mark.parametrize("case", AVAILABLE)
def test_a_version_that_is_there_comes_first(case):
    """Nobody is sent to look for what lies in the next folder."""
    manifests, told = AVAILABLE[case]
    there = [make("b", "3.0", provides=["x"], source="here")]
    assert str(mend("a", *manifests, available=there)) == told


def test_the_version_for_this_host_is_named():
    """A plugin that is made for another host is used in a version for this one, or has to be made for it."""
    old = make("a", requires_host="<2")
    there = [make("a", "2.0", requires_host=">=2", source="here")]
    assert str(mend("a", old, available=there, host_version="2.1")) == "Use a 2.0 from here instead of 1.0."
    told = "Use a version of a that is made for API version 2.1 of the host."
    assert str(mend("a", old, host_version="2.1")) == told


def test_what_a_mend_stops_is_said():
    """Where every change has its price, it is told."""
    manifests = [
        make("a", "1.0", requires=["b"]),
        make("b", conflicts=["c"]),
        make("c"),
        make("d", requires=["c"]),
    ]
    found = mend("a", *manifests)
    assert (str(found), found.stops) == ("Remove c.", ())
    # c and d could not start before: c is in a conflict, and d needs it.


def test_a_plugin_that_can_start_needs_no_mend():
    """There is nothing to tell."""
    assert mend("a", make("a")) is None


relation = st.builds(str.__add__, st.sampled_from(NAMES), st.sampled_from(["", ">=2", "<2"]))


@given(st.data())
def test_every_mend_mends_and_changes_nothing(data):
    """Whatever is wrong, what is told was tried: applied, the plugin starts; the manifests given stay as they are."""
    manifests = {}
    for name in NAMES:
        others = st.lists(relation.filter(lambda text, name=name: not text.startswith(name)), max_size=2)
        manifests[name] = make(
            name,
            data.draw(st.sampled_from(["1.0", "2.0"])),
            requires=data.draw(others),
            conflicts=data.draw(others),
            needs=data.draw(st.sampled_from([[], ["x"], ["x>=2"]])),
        )
    before = dict(manifests)
    problems = resolve(manifests.values()).problems
    for name in manifests:
        found = find_mend(name, manifests)
        if name not in problems:
            assert found is None
        elif found is not None:
            resolution = resolve(found.manifests.values())
            assert name in resolution.order
            assert len(found.changes) >= 1
            assert set(found.stops) <= set(resolution.problems)
    assert manifests == before
