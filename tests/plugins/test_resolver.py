"""Order and problems: a deterministic order that respects every need, and plain facts where there is none."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.errors import CycleError, ResolutionError
from plugbook.plugins.manifest import make_manifest, split
from plugbook.plugins.resolving.resolver import Edge, fits, resolve


def plugin(name, version="1.0", **relations):
    return make_manifest({"name": name, "version": version, **relations})


def test_layers_hold_what_can_start_together():
    """Each layer needs only earlier ones, and keeps the order in which the plugins were given."""
    resolution = resolve(
        [
            plugin("report", requires=["billing", "ledger"]),
            plugin("billing", requires=["ledger>=1,<3"]),
            plugin("zip"),
            plugin("ledger", "2.0"),
        ]
    )
    assert resolution.layers == (("zip", "ledger"), ("billing",), ("report",))
    assert resolution.order == ("zip", "ledger", "billing", "report")
    assert not resolution.problems
    resolution.check()


def test_no_plugins_are_fine():
    """Nothing resolves to nothing."""
    assert resolve([]).order == ()


def test_two_of_one_name_are_refused():
    """A name stands for one plugin."""
    with pytest.raises(ResolutionError, match="two plugins are called 'a'"):
        resolve([plugin("a"), plugin("a", "2.0")])


PROBLEMS = {
    "missing": (
        [plugin("a", requires=["ledgr>=1"]), plugin("ledger")],
        "missing",
        "you asked for a; a 1.0 requires ledgr>=1; there is no plugin ledgr",
        "Did you mean 'ledger'?",
    ),
    "version": (
        [plugin("a", requires=["b>=2"]), plugin("b", "1.9")],
        "version",
        "you asked for a; a 1.0 requires b>=2; b is 1.9",
        "Use b >=2",
    ),
    "conflict": (
        [plugin("a", conflicts=["b"]), plugin("b")],
        "conflict",
        "you asked for a; b is there; a 1.0 conflicts with b",
        "Remove a or b.",
    ),
    "capability": (
        [plugin("a", needs=["tax"]), plugin("b", provides=["taxes"])],
        "capability",
        "you asked for a; a 1.0 needs tax; no plugin provides it",
        "Did you mean 'taxes'?",
    ),
    "capability version": (
        [plugin("a", needs=["tax>=2"]), plugin("b", provides=["tax==1.5"])],
        "capability",
        "you asked for a; a 1.0 needs tax>=2; b provides tax 1.5",
        "Add a plugin that provides tax>=2",
    ),
    "cycle": (
        [plugin("a", requires=["b"]), plugin("b", needs=["c"]), plugin("c2", requires=["a"], provides=["c"])],
        "cycle",
        "you asked for a; a requires b; b needs c, which c2 provides; c2 requires a: that is a cycle",
        "Make one of them optional",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_first_cause_is_told_by_facts_and_a_remedy(case):
    """Each kind of problem is explained in plain facts, and says what would mend it."""
    manifests, kind, explanation, remedy = PROBLEMS[case]
    problem = resolve(manifests).problems["a"]
    assert problem.kind == kind
    assert problem.explanation == explanation
    assert remedy in problem.remedy
    with pytest.raises(ResolutionError) as caught:
        resolve(manifests).check()
    assert explanation in str(caught.value)
    assert remedy in str(caught.value)


def test_a_problem_leads_to_its_first_cause():
    """What needs something that cannot start says so, down to the one fact that began it."""
    resolution = resolve(
        [
            plugin("report", requires=["billing"]),
            plugin("billing", needs=["booking"]),
            plugin("ledger", provides=["booking"], requires=["disk"]),
            plugin("other"),
        ]
    )
    chain = resolution.problems["report"].chain
    assert [problem.plugin for problem in chain] == ["report", "billing", "ledger"]
    assert [problem.kind for problem in chain] == ["requirement", "requirement", "missing"]
    assert resolution.problems["report"].explanation == (
        "you asked for report; report 1.0 requires billing; billing 1.0 needs booking, which ledger "
        "provides; ledger 1.0 requires disk; there is no plugin disk"
    )
    assert resolution.problems["report"].remedy.startswith("Add a plugin disk.")
    assert resolution.problems["report"].error().plugins == ("report", "billing", "ledger")
    assert resolution.order == ("other",)


def test_both_sides_of_a_conflict_are_problems():
    """Neither is preferred silently, and a conflict outside its range is none."""
    resolution = resolve(
        [plugin("git", conflicts=["hg<2"]), plugin("hg", "1.0"), plugin("shop", requires="git")]
    )
    assert (
        resolution.problems["hg"].explanation == "you asked for hg; git is there; git 1.0 conflicts with hg<2"
    )
    assert set(resolution.problems) == {"git", "hg", "shop"}
    assert resolve([plugin("git", conflicts=["hg<2"]), plugin("hg", "2.0")]).order == ("git", "hg")


def test_the_best_provider_that_can_start_is_chosen():
    """Of several providers the highest version wins, then the name; one that cannot start is passed over."""
    user = plugin("user", needs=["store>=1"])
    providers = [
        plugin("b-store", "2.0", provides=["store"]),
        plugin("a-store", "2.0", provides=["store"]),
        plugin("old-store", "1.0", provides=["store==9"]),
        plugin("broken-store", "3.0", provides=["store"], requires=["nothing"]),
    ]
    chosen = [edge for edge in resolve([user, *providers]).edges if edge.kind == "capability"]
    assert chosen == [Edge("user", "a-store", "capability", "store>=1")]
    assert resolve([user, providers[3]]).problems["user"].because.plugin == "broken-store"


def test_the_shortest_circle_is_shown():
    """Of a knot of requirements the error names the shortest circle, first name repeated last."""
    resolution = resolve(
        [
            plugin("a", requires=["b"]),
            plugin("b", requires=["c"]),
            plugin("c", requires=["a", "d"]),
            plugin("d", requires=["c"]),
            plugin("user", requires=["a"]),
            plugin("free"),
        ]
    )
    with pytest.raises(CycleError) as caught:
        resolution.check()
    assert caught.value.plugins == ("c", "d", "c")
    assert {name: problem.kind for name, problem in resolution.problems.items()} == {
        "a": "requirement",
        "b": "requirement",
        "c": "cycle",
        "d": "cycle",
        "user": "requirement",
    }
    assert isinstance(resolution.problems["user"].error(), CycleError)
    assert resolution.order == ("free",)


def test_an_optional_plugin_comes_first_if_it_can():
    """`optional` orders, never excludes: missing, broken, of another version or in a circle, it is passed over."""
    resolution = resolve(
        [
            plugin("a", optional=["late", "missing", "broken", "old>=2", "b"]),
            plugin("b", requires=["a"]),
            plugin("late"),
            plugin("broken", requires=["nothing"]),
            plugin("old"),
        ]
    )
    assert resolution.layers == (("late", "old"), ("a",), ("b",))
    assert resolution.notes == (
        "a would use old>=2, but old is 1.0",
        "a does not start after b: that would close a circle",
    )


def test_it_answers_who_needs_whom():
    """Requirements come in starting order and dependents in stopping order, also of what cannot start."""
    resolution = resolve(
        [
            plugin("a"),
            plugin("b", requires=["a"]),
            plugin("c", requires=["b", "a"]),
            plugin("d", requires=["c", "nothing"]),
        ]
    )
    assert resolution.requirements_of("c") == ("a", "b")
    assert resolution.dependents_of("a") == ("d", "c", "b")
    assert resolution.needs["c"] == ("b", "a")
    assert resolution.needed_by["a"] == ("b", "c")
    assert resolution.dependents_of("nobody") == ()


def test_a_pre_release_that_is_there_counts():
    """PEP 440 leaves pre-releases out of ranges; one that is installed was chosen by a person."""
    assert fits(">=1", "2.0b1")
    assert not fits(">=2", "2.0b1")


def test_a_long_chain_and_a_long_circle_end():
    """Thousands of plugins in a row, broken at the end or closed to a circle, meet no recursion limit."""
    count = 3_000
    chain = [plugin(f"p{number}", requires=[f"p{number + 1}"]) for number in range(count)]
    resolution = resolve(chain)
    assert len(resolution.problems["p0"].chain) == count
    assert len(resolution.dependents_of(f"p{count - 1}")) == count - 1
    ring = resolve([*chain, plugin(f"p{count}", requires=["p0"])])
    assert len(ring.problems["p7"].plugins) == count + 2


NAMES = [f"p{number}" for number in range(7)]
RELATIONS = st.lists(
    st.builds(
        lambda name, versions: name + versions, st.sampled_from(NAMES), st.sampled_from(["", ">=2", "<2"])
    ),
    max_size=2,
)


@st.composite
def plugin_sets(draw):
    manifests = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        fields = {
            field: [text for text in draw(RELATIONS) if split(text).name != name]
            for field in ("requires", "optional", "conflicts")
        }
        fields["provides"] = draw(st.lists(st.sampled_from(["x", "y"]), max_size=1))
        fields["needs"] = [
            text
            for text in draw(st.lists(st.sampled_from(["x", "y>=2"]), max_size=1))
            if split(text).name not in fields["provides"]
        ]
        manifests.append(plugin(name, draw(st.sampled_from(["1.0", "2.0"])), **fields))
    return manifests


@given(plugin_sets())
def test_whatever_is_given_every_plugin_is_ordered_or_explained(manifests):
    """Each plugin either starts after all it needs, none in conflict, or has a chain to a first cause."""
    resolution = resolve(manifests)
    named = {manifest.name: manifest for manifest in manifests}
    position = {name: place for place, name in enumerate(resolution.order)}
    assert set(position) ^ set(resolution.problems) == set(named)
    for name in resolution.order:
        for text in named[name].requires:
            other, versions = split(text)
            assert position[other] < position[name]
            assert fits(versions, named[other].version)
        assert all(position[other] < position[name] for other in resolution.needs.get(name, ()))
        for text in named[name].conflicts:
            other, versions = split(text)
            assert other not in position or not fits(versions, named[other].version)
    for problem in resolution.problems.values():
        assert problem.chain[-1].kind != "requirement"
        assert problem.remedy
        assert str(problem.error())
    assert resolve(manifests) == resolution


@given(plugin_sets())
def test_taking_the_first_cause_away_mends(manifests):
    """Without the plugins that have a first cause of their own, fewer plugins have a problem."""
    problems = resolve(manifests).problems
    causes = {name for name, problem in problems.items() if problem.because is None}
    rest = resolve([manifest for manifest in manifests if manifest.name not in causes])
    assert not causes or len(rest.problems) < len(problems)


PRINT_A_RESOLUTION = """
from plugbook.plugins.manifest import Manifest
from plugbook.plugins.resolving.resolver import resolve
plugins = [
    Manifest(
        name=f"p{number}",
        requires={3: ["p38"], 38: ["p3"], 0: []}.get(number, [f"p{number // 2}"]),
        optional=[f"p{(number + step) % 40}" for step in (1, 3, 9)],
        needs=["x"] if number % 10 == 9 else [],
        provides=["x"] if number % 10 == 1 else [],
    )
    for number in range(40)
]
resolution = resolve(plugins)
print(resolution.layers, resolution.problems, resolution.edges, resolution.notes)
"""


def test_the_result_does_not_depend_on_hashing():
    """Processes that hash names differently come to the same resolution, word for word."""
    told = {
        subprocess.run(
            [sys.executable, "-c", PRINT_A_RESOLUTION],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert "cycle" in told.pop()
