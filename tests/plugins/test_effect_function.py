"""What is known of the functions that effects call: names and parameters, and that looking twice tells the same."""

from __future__ import annotations

import functools
import gc
import inspect
import json
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from plugbook.plugins.effects.function import Functions


class Rate(BaseModel):
    currency: str


class Client:
    def get(self, url: str, *rest: int, key: str = "", **more: int) -> None:
        """Fetch."""

    async def get_later(self, url: str) -> None:
        """Fetch in the background."""

    @classmethod
    def make(cls) -> None:
        """Make one."""


class Mobile(Client):
    """Inherits everything."""


class Caller:
    async def __call__(self) -> None:
        """Call."""


def arguments(f, *args, **kwargs):
    """What a recording would hold, as data."""
    return json.loads(Functions().of(f).arguments(f, args, kwargs))


def test_arguments_are_recorded_by_the_names_of_their_parameters():
    """Positions, partials and methods: each argument stands under its parameter's name."""
    assert arguments(Client().get, "u", 1, 2, key="k", z=3) == {
        "url": "u",
        "rest": [1, 2],
        "key": "k",
        "more": {"z": 3},
    }
    assert arguments(functools.partial(Client().get, "u", key="k"), 1) == {
        "url": "u",
        "rest": [1],
        "key": "k",
    }
    assert arguments(Client().get, odd=1) == {"odd": 1}
    assert arguments(dict.fromkeys, "ab")


SHAPES = [
    lambda: None,
    lambda a: None,
    lambda a, /, b=1: None,
    lambda a=1, *rest: None,
    lambda a, *, b: None,
    lambda a, *, b=1, **more: None,
    lambda *rest, b=1: None,
]


@given(
    st.sampled_from(SHAPES),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from("abc"), st.none()),
)
def test_a_call_by_position_is_told_as_python_binds_it(f, args, kwargs):
    """Whatever the parameters are, the names are those of `inspect`; a call that cannot be has its positions."""
    try:
        expected = dict(inspect.signature(f).bind(*args, **kwargs).arguments)
    except TypeError:
        expected = {str(position): value for position, value in enumerate(args)} | kwargs
    assert arguments(f, *args, **kwargs) == json.loads(json.dumps(expected))


def test_functions_are_named_as_handlers_are():
    """The short name is without module and surroundings; the qualified one has both."""

    def named(f: Any) -> tuple[str, str, tuple[str, ...]]:
        function = Functions().of(f)
        return function.name, function.qualified, function.also

    def inner() -> None:
        """Stands inside another."""

    assert named(json.dumps) == ("dumps", "json.dumps", ())
    assert named(functools.partial(json.dumps, 1)) == ("dumps", "json.dumps", ())
    assert named(len) == ("len", "builtins.len", ())
    assert named(Rate)[0] == "Rate"
    assert named(Caller())[0] == "Caller"
    assert named(inner)[0] == "inner"
    inherited = (
        "BaseModel.model_dump",
        "pydantic.main.BaseModel.model_dump",
        (f"{__name__}.Rate.model_dump",),
    )
    assert named(Rate(currency="").model_dump) == inherited


@pytest.mark.parametrize(
    ("f", "is_async"),
    [
        (Client().get, False),
        (Client().get_later, True),
        (functools.partial(Client().get_later, "u"), True),
        (Caller(), True),
        (functools.partial(Caller()), True),
        (Caller, False),
        (len, False),
    ],
)
def test_what_gives_a_coroutine_is_known_beforehand(f, is_async):
    """Coroutine functions are told from others, behind partials and as objects that can be called, too."""
    assert Functions().of(f).is_async is is_async


def test_looking_again_finds_the_same():
    """A function or method is looked at once; a method that is inherited goes by the class of each object."""
    functions = Functions()
    for f in (json.dumps, len, Client.get, Rate.model_dump):
        assert functions.of(f) is functions.of(f)
    first, second = Client(), Client()
    assert functions.of(first.get) is functions.of(second.get)
    assert functions.of(Mobile().get).also == (f"{__name__}.Mobile.get",)
    assert functions.of(Mobile.make).also == (f"{__name__}.Mobile.make",)
    assert functions.of(Client.make).also == functions.of(first.get).also == ()


def test_a_function_that_is_gone_is_forgotten():
    """What a handler makes anew for each call does not pile up, nor does the object of a method."""

    def fetcher(url: str):
        return lambda: url

    functions, made, client = Functions(), fetcher("u"), Client()
    functions.of(made)
    functions.of(client.get)
    gone = [weakref.ref(made), weakref.ref(client)]
    del made, client
    gc.collect()
    assert [each() for each in gone] == [None, None]
