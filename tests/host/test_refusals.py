"""Ten thousand random manifests and files of them: what a host refuses leaves it as it was, and is told in words."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugbook import Host, Plugin
from plugbook.errors import ManifestError, PlugbookError
from plugbook.plugins.manifest import make_manifest
from plugbook.plugins.resolving.choosing import choose
from plugbook.plugins.resolving.mending import find_mend
from plugbook.plugins.resolving.resolver import resolve

BATCH, BATCHES = 100, 100
NAMES = ["a", "b", "billing", "Bad", "a b", "", "x" * 200]
RELATIONS = ["a", "b>=2", "b<2", "billing==1.0", "a>>1", "b[x]", "", "Ab", "a @ x"]
RANGES = ["", ">=1,<3", "==9", "two", "1.0"]
LINES = [
    "[plugin]",
    "[plugins]",
    "name = 'billing'",
    "name = 'Bad Name'",
    "name = 7",
    "version = '1.0'",
    "version = 'one'",
    "entry_point = 'code:Billing'",
    "entry_point = 'gone:Billing'",
    "entry_point = 'code'",
    "requires = ['a>=1']",
    "requires = ['a>>1']",
    "requires_host = '>=1'",
    "requires_host = ['x']",
    "requries = ['a']",
    "= 3",
    "name = 'billing",
    "# a comment",
]

texts = st.one_of(st.sampled_from(RELATIONS), st.none(), st.integers())
odd = st.one_of(texts, st.lists(texts, max_size=3))
manifests = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(st.sampled_from(NAMES), odd),
        "version": st.sampled_from(["1.0", "2.0", "one", ""]),
        "requires": odd,
        "conflicts": odd,
        "provides": odd,
        "needs": odd,
        "requires_host": st.one_of(st.sampled_from(RANGES), odd),
        "policy": st.sampled_from(["continue", "raise", "shrug"]),
        "requries": odd,
    },
)


def in_plain_words(error):
    """A message that says what and why on one short screen, and an error that crosses a process boundary."""
    assert isinstance(error, PlugbookError)
    assert 10 < len(str(error)) < 4_000
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@settings(max_examples=BATCHES)
@given(st.lists(manifests, min_size=BATCH, max_size=BATCH))
def test_what_a_host_refuses_leaves_it_as_it_was(data):
    """A class that cannot be, or cannot be added, changes neither plugins nor states nor what can start."""
    with Host(timing=False, api_version="2.1") as host:
        for keywords in data:
            before = (dict(host.plugins), host.states, host.layers, host.subscriptions)
            try:
                host.add(type("Billing", (Plugin,), {}, **keywords))
            except ManifestError as error:
                in_plain_words(error)
                assert (dict(host.plugins), host.states, host.layers, host.subscriptions) == before
        for name, handle in host.plugins.items():
            why = host.why(name)
            assert why.remedy
            assert (handle.problem is None) or why.chain
            if why.mend is not None:
                assert name in resolve(why.mend.manifests.values(), "2.1").order


@settings(max_examples=BATCHES)
@given(st.lists(manifests, max_size=12))
def test_random_manifests_are_chosen_among_and_mended(data):
    """Of whatever is valid the best set fits together, and a mend that is told works."""
    made = []
    for fields in data:
        try:
            made.append(make_manifest(fields))
        except ManifestError as error:
            in_plain_words(error)
    choice = choose(made)
    assert resolve(choice.chosen.values()).problems == {}
    for name in choice.missing:
        mend = find_mend(name, choice.plugins, available=made)
        if mend is not None:
            assert name in resolve(mend.manifests.values()).order


@given(st.lists(st.lists(st.sampled_from(LINES), max_size=6), min_size=20, max_size=20))
def test_random_plugin_files_hide_nothing(tmp_path_factory, files):
    """Whatever stands in a plugin.toml, it is a plugin or blocked with the path of its file, and a good one is found."""
    root = tmp_path_factory.mktemp("plugins")
    for number, lines in enumerate([*files, ["[plugin]", "name = 'good'", "entry_point = 'code:Good'"]]):
        folder = root / f"plugin-{number}"
        folder.mkdir()
        (folder / "plugin.toml").write_text("\n".join(lines))
        (folder / "code.py").write_text("from plugbook import Plugin\nclass Good(Plugin):\n    pass\n")
    with Host(timing=False) as host:
        changes = host.discover(root)
        assert "good" in host.plugins
        for told in changes.blocked.values():
            assert "plugin.toml" in told
        assert len(changes.blocked) + len(host.available) == len(files) + 1


def test_one_class_given_twice_is_refused_as_such():
    """A new host has nothing to be removed, so the message speaks of what it was given."""

    class Twice(Plugin): ...

    class Other(Plugin, name="twice"): ...

    with pytest.raises(ManifestError, match=r"^Twice was given to the host twice\. Leave one out\.$"):
        Host([Twice, Twice])
    with pytest.raises(ManifestError, match=r"two plugins called 'twice': .*Twice and .*Other\."):
        Host([Twice, Other])
