"""State as plain data: what may be in it, and what other code makes of it."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.errors import StateError
from plugbook.plugins.reloading.plain import from_plain, to_plain


class Mood(enum.Enum):
    GLAD = 1
    SAD = 2


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass(frozen=True)
class Line:
    text: str
    mood: Mood
    length: int = dataclasses.field(init=False, default=0)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
hashable = scalars | st.sampled_from([*Mood, *Level]) | st.builds(Line, st.text(), st.sampled_from(Mood))
states = st.recursive(
    hashable | st.frozensets(hashable),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.sets(hashable)
        | st.dictionaries(st.text().filter(lambda key: not key.startswith("$")), inner)
    ),
)


@given(states)
def test_a_state_comes_back_as_it_was(state):
    """Whatever may be in a state survives JSON, with its types."""
    back = from_plain(json.loads(json.dumps(to_plain(state))), {})
    assert back == state
    assert type(back) is type(state)


def test_it_is_a_copy():
    """What the plugin does to its state later does not change what was taken."""
    state = {"seen": [1]}
    taken = to_plain(state)
    state["seen"].append(2)
    assert taken == {"seen": [1]}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a": [1, object()]}, r"snapshot\(\)\['a'\]\[1\] is a object, which is no plain data"),
        ({1: 2}, r"the key 1, and keys of plain data are texts. Write '1'"),
        ({"$enum": "x"}, "stands for something else"),
        ({"a": lambda: 1}, r"\['a'\] is a function"),
        (dict.fromkeys, "builtin_function_or_method"),
    ],
)
def test_what_is_no_plain_data_is_refused_with_its_place(state, told):
    """The message says what, where, and what to give instead."""
    with pytest.raises(StateError, match=told):
        to_plain(state)


def test_a_class_that_cannot_be_found_is_refused():
    """An enum inside a function could never be brought back."""

    class Inner(enum.Enum):
        A = 1

    with pytest.raises(StateError, match="not inside a function"):
        to_plain(Inner.A)


def module_with(monkeypatch, name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    for value in members.values():
        value.__module__ = name
        value.__qualname__ = value.__name__
    monkeypatch.setitem(sys.modules, name, module)


def test_enum_members_are_matched_by_name(monkeypatch):
    """A member whose value has changed is still itself."""
    module_with(monkeypatch, "moods", Mood=enum.Enum("Mood", "GLAD SAD"))
    taken = to_plain(sys.modules["moods"].Mood.SAD)
    later = enum.Enum("Mood", "ANGRY GLAD SAD")
    module_with(monkeypatch, "moods", Mood=later)
    assert from_plain(taken, {}) is later.SAD
    module_with(monkeypatch, "other", Mood=later)
    assert from_plain(taken, {"moods": "other"}) is later.SAD


def test_fields_come_and_go(monkeypatch):
    """A new field has its default, one that is gone is left out, and one without a default is told."""
    module_with(monkeypatch, "lines", Line=dataclasses.make_dataclass("Line", ["text", "old"]))
    taken = to_plain(sys.modules["lines"].Line("a", 1))
    later = dataclasses.make_dataclass(
        "Line", ["text", ("tags", list, dataclasses.field(default_factory=list))]
    )
    module_with(monkeypatch, "lines", Line=later)
    assert from_plain(taken, {}) == later("a", [])
    module_with(monkeypatch, "lines", Line=dataclasses.make_dataclass("Line", ["text", "needed"]))
    with pytest.raises(StateError, match=r"'needed'\. Give new fields a default, or migrate"):
        from_plain(taken, {})


def test_what_is_gone_is_told_and_given_to_a_migration_as_it_was_written(monkeypatch):
    """A migration gets the name of a member, and the fields of a dataclass, that nobody defines any more."""
    module_with(
        monkeypatch,
        "gone",
        Mood=enum.Enum("Mood", "GLAD"),
        Line=dataclasses.make_dataclass("Line", ["text", "mood"]),
    )
    gone = sys.modules["gone"]
    taken = to_plain([gone.Line("a", gone.Mood.GLAD)])
    monkeypatch.setitem(sys.modules, "gone", ModuleType("gone"))
    with pytest.raises(StateError, match="names Mood of gone"):
        from_plain(taken, {})
    assert from_plain(taken, {}, to_migrate=True) == [{"text": "a", "mood": "GLAD"}]
    module_with(monkeypatch, "gone", Mood=enum.Enum("Mood", "SAD"))
    with pytest.raises(StateError, match=r"Mood\.GLAD, which is no member"):
        from_plain(taken[0]["fields"]["mood"], {})
