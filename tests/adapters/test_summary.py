"""Summaries of foreign values: bounded, at once, and without running foreign code."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.adapters.summary import Summaries

foreign = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(object),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=40,
)


class Hostile:  # noqa: PLW1641 - its hash raises, too
    """Everything a summary must not touch raises."""

    def __repr__(self):
        raise AssertionError("repr was called")

    __str__ = __hash__ = __bool__ = __len__ = __iter__ = __repr__

    def __eq__(self, other):
        raise AssertionError("eq was called")

    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked for")


class Markup(str):
    """Text that does as it likes."""

    __slots__ = ()

    def __str__(self):
        raise AssertionError("str was called")

    __repr__ = __len__ = __getitem__ = __iter__ = __format__ = __str__


class Named:
    def __init__(self, name):
        self.name = name


class Slotted:
    __slots__ = ("_nodeid", "name")


class Computed:
    @property
    def name(self):
        raise AssertionError("a property was run")


@given(foreign, st.sampled_from(["summary", "full"]))
def test_any_value_gives_bounded_json(value, payloads):
    """Whatever is passed, what comes out is JSON text, of bounded size in a summary."""
    text = Summaries(payloads).arguments({"value": value})
    assert set(json.loads(text)) == {"value"}
    assert payloads == "full" or len(text) < 60_000


@pytest.mark.parametrize("payloads", ["summary", "full"])
def test_foreign_code_does_not_run(payloads):
    """No method of a foreign object is called, neither alone nor inside containers."""
    show = Summaries(payloads)
    assert json.loads(show.value(Hostile())) == "<Hostile>"
    assert json.loads(show.value([Hostile(), {"a": Hostile()}])) == ["<Hostile>", {"a": "<Hostile>"}]
    assert json.loads(show.value(Computed())) == "<Computed>"


def test_an_object_is_shown_with_its_name():
    """A name in a slot or in the instance's dict tells one object from the next."""
    show = Summaries()
    slotted = Slotted()
    assert json.loads(show.value(slotted)) == "<Slotted>"
    slotted._nodeid = "test_a.py::test_x"
    assert json.loads(show.value(slotted)) == "<Slotted test_a.py::test_x>"
    assert json.loads(show.value(Named("x"))) == "<Named x>"
    assert json.loads(show.value(Named(5))) == "<Named>"
    assert json.loads(show.value(json)) == "<module json>"


def test_awaitables_and_callables_are_shown_as_such():
    """What is handed back to be awaited or called later is neither awaited nor called."""

    async def fetch(): ...

    coroutine = fetch()
    show = Summaries()
    assert "coroutine, not awaited" in show.value(coroutine)
    assert "function" in show.value(fetch)
    assert "class" in show.value(Named)
    coroutine.close()


def test_long_values_are_cut_and_say_so():
    """What is left out is counted."""
    show = Summaries()
    assert json.loads(show.value(list(range(9)))) == [0, 1, 2, 3, 4, {"$more": 4}]
    assert json.loads(show.value({n: n for n in range(7)}))["$more"] == 2
    assert json.loads(show.value("x" * 500)).endswith("300 more")
    assert json.loads(show.value(1 << 100_000)) == "<int of 100001 bits>"
    assert json.loads(show.value([[[1]]])) == [["<list of 1>"]]
    assert json.loads(show.value(math.inf)) == "inf"


def test_full_payloads_stop_at_the_cap():
    """A value longer than the cap is cut to its summary, a cycle or an odd key too."""
    show = Summaries("full", cap_bytes=100)
    assert json.loads(show.value({"a": [1] * 10})) == {"a": [1] * 10}
    cut = json.loads(show.value(["x"] * 1_000))
    assert cut["$cut"] == {"cap_bytes": 100}
    assert cut["summary"][-1] == {"$more": 995}
    cycle: list = []
    cycle.append(cycle)
    assert json.loads(show.value(cycle)) == [["<list of 1>"]]
    assert json.loads(show.value({(1, 2): 3})) == {"<tuple of 2>": 3}


@pytest.mark.parametrize("payloads", ["summary", "full"])
def test_text_of_a_derived_class_is_shown_as_text(payloads):
    """What derives from str, as markup does, is shown by its text, bounded, and none of its own code runs."""
    show = Summaries(payloads)
    assert json.loads(show.value(Markup("<b>x</b>"))) == "<b>x</b>"
    shown = json.loads(Summaries().value(Markup("y" * 100_000)))
    assert shown.startswith("yyy")
    assert shown.endswith("99800 more")
    assert len(shown) < 300
