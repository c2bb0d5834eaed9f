"""Upcasters: which step runs, what it may do, and what is said when it goes wrong."""

from __future__ import annotations

import gc
import sys
import types
from types import SimpleNamespace

import pytest

from plugbook.errors import SchemaError, TopicError, UnknownNameError, UpcastError
from plugbook.events.dispatch.registrations import current_registrar
from plugbook.events.event import Event
from plugbook.events.versions.schemas import Schemas


class Shipped(Event, topic="test.shipped", version=3):
    parts: list[str]
    weight_g: int


@pytest.fixture
def registry() -> Schemas:
    """A registry with the two steps to the newest version."""
    made = Schemas()

    @made.upcaster(Shipped, from_version=1)
    def part_to_parts(payload):
        payload["parts"] = [payload.pop("part")]
        return payload

    @made.upcaster("test.shipped", 2)
    def weigh_in_grams(payload):
        return {"parts": payload["parts"], "weight_g": payload["weight"] * 1000}

    return made


def test_steps_run_one_after_the_other(registry):
    """From any older version to any newer one, the newest by default, and the payload given stays as it was."""
    old = {"part": "a", "weight": 2}
    assert registry.upcast("test.shipped", 1, old) == {"parts": ["a"], "weight_g": 2000}
    assert registry.upcast("test.shipped", 1, old, to=2) == {"parts": ["a"], "weight": 2}
    assert registry.upcast("test.shipped", 3, {"parts": []}) == {"parts": []}
    assert old == {"part": "a", "weight": 2}


def test_a_step_cannot_change_what_it_was_given_in_depth(registry):
    """What is nested in the payload is a copy, too."""

    @registry.upcaster("test.deep", 1)
    def append(payload):
        payload["parts"].append("b")
        return payload

    old = {"parts": ["a"]}
    assert registry.upcast("test.deep", 1, old) == {"parts": ["a", "b"]}
    assert old == {"parts": ["a"]}


def test_a_missing_step_is_named():
    """The versions on both sides of the gap are said, and how to close it."""
    registry = Schemas()
    registry.upcaster("test.shipped", 1)(dict)
    with pytest.raises(
        UpcastError, match=r"from version 1 to 3: no upcaster takes version 2.*@upcaster"
    ) as e:
        registry.upcast("test.shipped", 1, {})
    assert (e.value.topic, e.value.version) == ("test.shipped", 2)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda payload: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda payload: None, "returned NoneType; return the new payload"),
        (lambda payload: {"parts": "x"}, "gave what does not fit: parts: 'x' was given"),
    ],
)
def test_a_step_that_goes_wrong_is_named(function, told):
    """Which upcaster it was, between which versions, and what it did."""
    registry = Schemas()
    registry.upcaster("test.shipped", 2)(function)
    with pytest.raises(UpcastError) as failed:
        registry.upcast("test.shipped", 2, {})
    assert told in str(failed.value)
    assert "<lambda> (test.shipped, version 2 to 3)" in str(failed.value)


def test_a_payload_is_not_brought_back(registry):
    """From a newer version to an older one there is no way."""
    with pytest.raises(UpcastError, match="of version 3 already"):
        registry.upcast("test.shipped", 3, {}, to=1)


def test_two_functions_for_a_step_are_refused(registry):
    """The first stays; the same function defined again, as by running a cell again, takes its own place."""
    with pytest.raises(SchemaError, match=r"there is .*weigh_in_grams in .* for that step already"):
        registry.upcaster("test.shipped", 2)(lambda payload: payload)

    def define(factor):
        @registry.upcaster("test.again", 1)
        def step(payload):
            return {"n": factor}

    define(1)
    define(2)
    assert registry.upcast("test.again", 1, {}) == {"n": 2}


@pytest.mark.parametrize(
    ("target", "version", "told"),
    [
        (Shipped, 3, "Shipped is version 3, so there is nothing"),
        (Shipped, 0, "a whole number from 1"),
        ("order placed", 1, "is not a topic"),
        (7, 1, "an event class or a topic"),
    ],
)
def test_a_step_that_cannot_be_is_refused(registry, target, version, told):
    """Target and version are checked, and nothing is registered."""
    with pytest.raises(SchemaError if target != "order placed" else TopicError, match=told):
        registry.upcaster(target, version)(lambda payload: payload)
    assert registry.upcasters("test.shipped") == (1, 2)
    with pytest.raises(SchemaError, match="is a function of a payload"):
        registry.upcaster("test.other", 1)(3)


def test_another_function_may_take_its_place_on_purpose(registry):
    """With `replace` the step is the new function's."""
    registry.upcaster("test.shipped", 2, replace=True)(lambda payload: {"parts": [], "weight_g": 1})
    assert registry.upcast("test.shipped", 2, {}) == {"parts": [], "weight_g": 1}


def test_a_cell_takes_back_what_it_registered(registry):
    """The registrar of a cell can take an upcaster of its own code away and put it back, but not one of a module."""
    noted = []
    token = current_registrar.set(SimpleNamespace(note=noted.append))
    try:
        registry.upcaster("test.celled", 1)(dict)

        def step(payload):
            return payload

        step.__module__ = "__main__"
        registry.upcaster("test.celled", 2)(step)
    finally:
        current_registrar.reset(token)
    (registration,) = noted
    redo = registration.take_back("the cell failed")
    assert registry.upcasters("test.celled") == (1,)
    assert registration.take_back("again") is None
    redo("the cell ran again")
    assert registry.upcasters("test.celled") == (1, 2)


def test_a_module_that_was_loaded_anew_brings_its_own(registry):
    """An upcaster of the former module is not in the way, although somebody still holds that module."""
    held = []
    for name in ("first", "second"):
        module = types.ModuleType("test_reloaded")
        sys.modules["test_reloaded"] = module
        exec(f"def {name}(payload):\n    return {{'by': '{name}'}}", vars(module))
        registry.upcaster("test.reloaded", 1)(vars(module)[name])
        held.append(module)
    try:
        assert registry.upcast("test.reloaded", 1, {}) == {"by": "second"}
        assert held[0] is not sys.modules["test_reloaded"]
    finally:
        del sys.modules["test_reloaded"]


def test_upcasters_go_with_their_module(registry):
    """When a module is unloaded, its upcasters are no longer there, and nothing keeps it alive."""
    module = sys.modules["test_shipping"] = types.ModuleType("test_shipping")
    try:
        exec("def step(payload):\n    return payload", vars(module))
        registry.upcaster("test.unloaded", 1)(module.step)
        assert registry.upcasters("test.unloaded") == (1,)
    finally:
        del sys.modules["test_shipping"], module
    gc.collect()
    assert registry.upcasters("test.unloaded") == ()


def test_an_older_payload_is_read_as_the_class_has_it(registry):
    """By the upcasters where there are any; as it is where it fits; a newer one without what the class lacks."""
    assert registry.read("test.shipped", 1, '{"part":"a","weight":2}') == (
        Shipped(parts=["a"], weight_g=2000),
        "upcast by registry.<locals>.part_to_parts, registry.<locals>.weigh_in_grams",
    )
    event = Shipped(parts=[], weight_g=1)
    assert Schemas().read("test.shipped", 1, '{"parts":[],"weight_g":1}') == (event, "")
    assert registry.read("test.shipped", 4, '{"parts":[],"weight_g":1,"colour":"red"}') == (
        event,
        "leaving out colour",
    )
    with pytest.raises(UpcastError, match="no upcaster takes version 1") as refused:
        Schemas().read("test.shipped", 1, '{"part":"a"}')
    assert "parts: it is missing" in refused.value.__notes__[0]


def test_a_topic_without_a_class_is_upcast_too():
    """Older payloads are brought to the newest schema that was registered."""
    registry = Schemas()
    registry.register("test.crate", {"required": ["b"]}, version=2)
    registry.upcaster("test.crate", 1)(lambda payload: {"b": payload["a"]})
    event, remark = registry.read("test.crate", 1, '{"a": 1}')
    assert (event.b, type(event).__version__) == (1, 2)
    assert remark.startswith("upcast by")


@pytest.mark.parametrize("function", [lambda: {"parts": []}, lambda payload, more: payload])
def test_a_function_that_takes_no_payload_is_refused(function):
    """It would fail at the first old payload, which may be years away."""
    registry = Schemas()
    with pytest.raises(SchemaError, match="an upcaster is called with one payload, and this one takes"):
        registry.upcaster("test.refused", 1)(function)
    assert registry.upcasters("test.refused") == ()


def test_a_topic_that_has_upcasters_alone_is_not_suggested_for_itself():
    """Whoever asks for its schema is told that there are upcasters and no class, and not the same name again."""
    registry = Schemas()
    registry.upcaster("test.odd", 1)(lambda payload: payload)
    with pytest.raises(
        UnknownNameError, match="Upcasters, but no event class and no schema is known"
    ) as refused:
        registry.schema("test.odd")
    assert "Did you mean 'test.odd'" not in str(refused.value)
