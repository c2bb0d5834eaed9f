"""Choosing among several versions: the best set against a model that tries them all, and the reasons given."""

import builtins
import itertools
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.errors import ManifestError, MissingExtraError, ResolutionError
from plugbook.plugins.manifest import Manifest, split
from plugbook.plugins.resolving.choosing import choose, preference
from plugbook.plugins.resolving.resolver import fits, resolve

NAMES = ["a", "b", "c", "d"]
VERSIONS = ["1.0", "2.0", "3.0b1"]
RANGES = ["", ">=2", "<2", "==1.0", ">=4"]


def make(name, version="1.0", **fields):
    return Manifest(name=name, version=version, **fields)


def shown(choice):
    return [str(manifest) for manifest in choice.chosen.values()]


@st.composite
def offers(draw):
    """A few versions of a few plugins that want, provide and exclude each other."""
    made = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)):
        for version in draw(st.lists(st.sampled_from(VERSIONS), unique=True, min_size=1)):
            others = [other for other in NAMES if other != name]
            relations = st.lists(
                st.builds(str.__add__, st.sampled_from(others), st.sampled_from(RANGES)), max_size=2
            )
            made.append(
                make(
                    name,
                    version,
                    requires=draw(relations),
                    conflicts=draw(st.one_of(st.just([]), relations)),
                    provides=draw(st.sampled_from([[], ["x"]])),
                    needs=draw(st.sampled_from([[], ["y"], ["y>=2"]])),
                    requires_host=draw(st.sampled_from(["", ">=2"])),
                )
            )
            if draw(st.booleans()):
                flipped = {"provides": ["y"], "needs": ["x"] if draw(st.booleans()) else []}
                made[-1] = Manifest(**made[-1].model_dump() | flipped)
    return made


def best_by_trying_all(manifests, asked=(), host_version=""):
    """The definition: the best of all sets that the resolver finds nothing wrong with; None where there is none."""
    by_name = {}
    for manifest in manifests:
        by_name.setdefault(manifest.name, []).append(manifest)
    names = sorted(by_name)
    ranked = [sorted(by_name[name], key=preference) for name in names]
    best, best_key = None, None
    for places in itertools.product(*(range(len(versions) + 1) for versions in ranked)):
        chosen = {
            name: versions[place - 1]
            for name, versions, place in zip(names, ranked, places, strict=True)
            if place
        }
        key = (tuple(place > 0 for place in places), places)
        is_better = best_key is None or key > best_key
        is_met = is_better and all(_is_there(wish, chosen) for wish in asked)
        if is_met and not resolve(chosen.values(), host_version).problems:
            best, best_key = chosen, key
    return best


def _is_there(wish, chosen):
    name, versions = split(wish)
    return name in chosen and fits(versions, chosen[name].version)


@given(offers(), st.randoms(use_true_random=False))
def test_the_best_set_is_found_in_any_order(manifests, chance):
    """What is chosen is what trying all sets finds, whatever order the manifests come in."""
    expected = best_by_trying_all(manifests, host_version="1.5")
    chance.shuffle(manifests)
    choice = choose(manifests, host_version="1.5")
    assert choice.chosen == expected
    assert set(choice.missing) == {each.name for each in manifests} - set(choice.chosen)
    assert resolve(choice.chosen.values(), "1.5").problems == {}


@given(offers(), st.lists(st.sampled_from([*NAMES, "a>=2", "b<2"]), min_size=1, max_size=2, unique=True))
def test_what_is_asked_for_is_there_or_refused_with_a_core(manifests, asked):
    """Every wish is met by the best set that does, and where no set does, a ResolutionError tells why."""
    expected = best_by_trying_all(manifests, asked)
    if expected is not None:
        assert choose(manifests, asked=asked).chosen == expected
    else:
        with pytest.raises(ResolutionError, match="you asked for"):
            choose(manifests, asked=asked)


@given(offers())
def test_every_version_that_is_not_used_has_a_reason(manifests):
    """The version used has no reason against it, and every other one has."""
    choice = choose(manifests)
    for manifest in manifests:
        reason = choice.reason(manifest)
        assert bool(reason) == (choice.chosen.get(manifest.name) != manifest)


@given(offers())
def test_the_stand_ins_show_what_is_wrong(manifests):
    """Every plugin is handed to the host in one version, and all that are missing have a problem there."""
    choice = choose(manifests)
    assert set(choice.plugins) == {each.name for each in manifests}
    assert set(choice.missing) <= set(resolve(choice.plugins.values()).problems)


def test_a_conflict_is_told_by_its_core():
    """Of a hundred plugins only those that clash are named, in the words of their manifests."""
    others = [make(f"other-{n}", requires=[f"other-{n + 1}"] if n < 99 else []) for n in range(100)]
    with pytest.raises(ResolutionError) as caught:
        choose([*others, make("git", conflicts=["hg"]), make("hg")], asked=["other-1", "git", "hg"])
    assert "you asked for git; you asked for hg; git 1.0 conflicts with hg." in str(caught.value)
    assert caught.value.plugins == ("git", "hg")


def test_versions_that_say_the_same_are_one_sentence():
    """What all versions on offer require stands there once."""
    billings = [make("billing", version, requires=["ledger>=3"]) for version in ("1.0", "2.0")]
    with pytest.raises(ResolutionError) as caught:
        choose([*billings, make("ledger")], asked=["billing"])
    told = "billing 2.0 and 1.0 require ledger>=3, which nobody offers: there is only 1.0"
    assert told in str(caught.value)


def test_a_wish_that_is_misspelt_gets_a_suggestion():
    """A plugin that nobody offers is said to be missing, with the name that was meant."""
    with pytest.raises(ResolutionError, match=r"you asked for leger, which nobody offers\..*'ledger'"):
        choose([make("ledger")], asked=["leger"])
    with pytest.raises(ManifestError, match="cannot be read"):
        choose([make("ledger")], asked=["ledger>>1"])


REASONS = {
    "nobody offers it": (
        [make("billing", "2.0", requires=["ledger>=3"]), make("billing", "1.0"), make("ledger", "2.0")],
        "billing 2.0 requires ledger>=3, which nobody offers: there is only 2.0",
    ),
    "nobody provides it": (
        [make("billing", "2.0", needs=["tax"]), make("billing", "1.0")],
        "billing 2.0 needs tax, which nobody provides",
    ),
    "the host": (
        [make("billing", "2.0", requires_host=">=3"), make("billing", "1.0")],
        "billing 2.0 requires a host of API version >=3, and this one has 2.1",
    ),
    "another plugin": (
        [make("order", "2.0", requires=["ledger<2"]), make("order"), make("ledger", "2.0"), make("ledger")],
        "ledger 2.0 is preferred to an older one; order 2.0 requires ledger<2",
    ),
    "a circle": (
        [
            make("billing", "2.0", requires=["ledger"]),
            make("billing", "1.0"),
            make("ledger", requires=["billing"]),
        ],
        "billing requires ledger requires billing: that is a cycle",
    ),
    "an older one": ([make("billing", "2.0b1"), make("billing", "1.0")], "billing 1.0 is newer"),
}


@pytest.mark.parametrize("case", REASONS)
def test_why_a_version_is_not_used(case):
    """The reason is the fewest sentences that exclude it, beginning with its own manifest."""
    manifests, told = REASONS[case]
    choice = choose(manifests, host_version="2.1")
    assert told in choice.reason(manifests[0])


def test_equal_versions_count_once():
    """Of the same version in two places, the first place by name is used, in whatever order they come."""
    twice = [make("billing", source="b"), make("billing", source="a"), make("billing", "1.0.0", source="c")]
    for order in itertools.permutations(twice):
        choice = choose(order)
        assert choice.chosen["billing"].source == "a"
        assert choice.reason(twice[0]) == "billing 1.0 is there twice"


def test_a_better_provider_opens_a_circle():
    """Where a capability leads into a circle, somebody who is preferred as its provider lets the rest be."""
    shop = make("shop", "1.0", needs=["pay"])
    circle = make("a-pay", "1.0", provides=["pay"], requires=["shop"])
    free = make("z-pay", "0.5", provides=["pay"])
    assert shown(choose([shop, circle, free])) == shown_best([shop, circle, free])
    better = make("z-pay", "2.0", provides=["pay"])
    assert len(choose([shop, circle, better]).chosen) == 3


def shown_best(manifests):
    return [str(each) for each in best_by_trying_all(manifests).values()]


def test_many_versions_of_one_plugin_are_chosen_among():
    """Fifty versions are no harder than two: the newest one that fits is taken."""
    ledgers = [make("ledger", f"1.{n}") for n in range(50)]
    random.Random(7).shuffle(ledgers)
    assert shown(choose([*ledgers, make("billing", requires=["ledger<1.17"])])) == [
        "billing 1.0",
        "ledger 1.16",
    ]


def test_without_a_real_choice_the_solver_is_not_needed(monkeypatch):
    """The newest of each is used where it fits; where it does not, the missing library is asked for by name."""
    for name in [name for name in sys.modules if name.startswith("pysat")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def refuse(name, *rest, **options):
        if name.startswith("pysat"):
            raise ModuleNotFoundError("No module named 'pysat'", name="pysat")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    ledgers = [make("ledger", "1.0"), make("ledger", "2.0")]
    assert shown(choose(ledgers)) == ["ledger 2.0"]
    with pytest.raises(MissingExtraError, match=r"Choosing among several versions.*plugbook\[resolve\]"):
        choose([*ledgers, make("billing", requires=["ledger<2"])])
