"""What a manifest accepts, how it is told, and what it says about a mistake."""

import pytest

from plugbook.errors import ManifestError
from plugbook.plugins.manifest import Manifest, make_manifest, split
from plugbook.plugins.plugin import Plugin

BAD = {
    "a name with a blank": ({"name": "My Plugin"}, "name", "'my-plugin'"),
    "an empty name": ({"name": ""}, "name", "is not a name"),
    "no name": ({}, "name", "Field required"),
    "a name that is no text": ({"name": 3}, "name", "string"),
    "a bad version": ({"name": "a", "version": "one"}, "version", "PEP 440"),
    "a bad range": ({"name": "a", "requires": ["b>>1"]}, "requires.0", "cannot be read"),
    "an extra": ({"name": "a", "requires": ["b[x]>=1"]}, "requires.0", "b>=1"),
    "a marker": ({"name": "a", "optional": ["b; python_version > '3'"]}, "optional.0", "marker"),
    "a URL": ({"name": "a", "conflicts": ["b @ https://example.org/b"]}, "conflicts.0", "URL"),
    "a range provided": ({"name": "a", "provides": ["b>=1"]}, "provides.0", "one version"),
    "itself": ({"name": "a", "requires": ["a"]}, None, "itself"),
    "its own capability": ({"name": "a", "provides": "c", "needs": "c>=1"}, None, "provides itself"),
    "a number for a list": ({"name": "a", "requires": 3}, "requires", "tuple"),
    "a misspelt field": ({"name": "a", "requries": ["b"]}, "requries", "Did you mean 'requires'?"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_refused_with_its_field_and_a_remedy(case):
    """Every mistake raises one ManifestError that names the field and says what to write."""
    data, field, text = BAD[case]
    with pytest.raises(ManifestError) as caught:
        make_manifest(data)
    assert caught.value.field == field
    assert text in str(caught.value)
    assert caught.value.__cause__ is None


def test_relations_are_kept_in_one_form():
    """Blanks, order and repetition in a range make no difference, and one text stands for a list of one."""
    one = make_manifest({"name": "a", "requires": ["b >= 1, < 3", "b<3,>=1"]})
    other = make_manifest({"name": "a", "requires": "b<3,>=1"})
    assert one == other
    assert split(one.requires[0]) == ("b", "<3,>=1")


def test_a_manifest_cannot_be_changed():
    """It is frozen, hashable and equal to another one that says the same."""
    manifest = Manifest(name="a", provides=("b",))
    with pytest.raises(ValueError, match="frozen"):
        manifest.name = "b"
    assert len({manifest, Manifest(name="a", provides=("b",))}) == 1
    assert str(manifest) == "a 0.0.0"


def test_it_survives_being_stored():
    """What a recording stores as JSON gives the same manifest again."""
    manifest = make_manifest({"name": "a", "version": "1.0", "requires": ["b>=1"], "summary": "says a"})
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_a_class_in_place_of_a_name_is_told_what_to_write():
    """A plugin class is answered with its name, another class with how services are offered by type."""

    class Books:
        pass

    class Ledger(Plugin, name="general-ledger"):
        pass

    with pytest.raises(ManifestError, match="Write 'general-ledger' instead of the class"):
        make_manifest({"name": "a", "requires": [Ledger]})
    for given in ([Books], Books):
        with pytest.raises(ManifestError, match=r"ctx\.provide\(.*Books, \.\.\.\)"):
            make_manifest({"name": "a", "provides": given})
    with pytest.raises(ManifestError, match="3 is not text"):
        make_manifest({"name": "a", "needs": [3]})


def test_what_is_provided_has_a_version_that_can_be_compared():
    """Arbitrary equality (===) names no version, so that no range could be asked of it."""
    with pytest.raises(ManifestError, match="has one version"):
        make_manifest({"name": "billing", "provides": ["invoicing===x"]})
