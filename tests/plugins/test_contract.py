"""What an extension point may expect, and what is said of an object that is something else."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

import pytest
from pydantic import BaseModel

from plugbook.errors import ManifestError
from plugbook.plugins.extending.contract import check_contract, fit, title_of


@runtime_checkable
class Theme(Protocol):
    name: str

    def render(self, text: str, width: int = 80, *, bold: bool = False) -> str: ...

    async def fetch(self) -> bytes: ...


class Named(Theme, Protocol):
    def __call__(self, number: int) -> None: ...


class Store(abc.ABC):
    @abc.abstractmethod
    def load(self): ...

    @abc.abstractmethod
    def save(self): ...


class Item(BaseModel):
    label: str
    price: float = 0.0


def shout(text: str, /, times: int = 1) -> str:
    """A function that says what is wanted by its signature."""
    return text * times


class Dark:
    name = "dark"

    def render(self, text, width=80, *, bold=False): ...

    async def fetch(self): ...

    def __call__(self, number): ...


class Dull:
    name = "dull"
    fetch = "no"

    def render(self, text): ...


class Late(Dark):
    async def render(self, text, width=80, *, bold=False): ...

    def fetch(self): ...


FITS = [
    (Dark(), Theme),
    (Dark(), Named),
    (3, int),
    (Item(label="x"), Item),
    (shout, shout),
    (lambda text, times=1: "", shout),
    (lambda *given, **named: "", Theme.render),
    (len, Callable[[str], int]),
    (print, Callable[..., None]),
    (functools.partial(shout, "x"), Callable[[], str]),
    ([1], Iterable),
]


@pytest.mark.parametrize(("value", "contract"), FITS)
def test_what_fits(value, contract):
    """It lacks nothing, and is taken as it is."""
    assert fit(value, contract) == (value, ())


LACKS = [
    (object(), Theme, ("it has no name", "it has no render", "it has no fetch")),
    (
        Dull(),
        Theme,
        (
            "render takes (text), but is called as render(text, width=80, *, bold=False)",
            "fetch is a str and cannot be called",
        ),
    ),
    (Late(), Theme, ("render must not be async", "fetch must be async")),
    (Dull(), Named, ("it cannot be called",)),
    ("x", int, ("it is a str, and no int",)),
    (Dull(), Store, ("it is a Dull, and no Store", "it has no load", "it has no save")),
    (bool, int, ("it is the class bool; contribute an object of it, bool()",)),
    (lambda: "", shout, ("<lambda> takes (), but is called as shout(text, /, times=1)",)),
    ("x", shout, ("str is a str and cannot be called",)),
    (lambda: "", Callable[[int], str], ("<lambda> takes (), but is called with 1 argument",)),
    ("x", Callable[..., str], ("it cannot be called",)),
]


@pytest.mark.parametrize(("value", "contract", "lacks"), LACKS)
def test_what_is_missing_is_named(value, contract, lacks):
    """Each thing that keeps an object from fitting is a phrase of its own."""
    found = fit(value, contract).lacks
    assert found[-len(lacks) :] == lacks if contract is Named else found == lacks


def test_a_model_is_made_of_a_mapping():
    """What does not validate is told field by field, without the value."""
    assert fit({"label": "x"}, Item) == (Item(label="x"), ())
    assert fit({"price": "secret"}, Item).lacks == (
        "label: Field required",
        "price: Input should be a valid number, unable to parse string as a number",
    )


@pytest.mark.parametrize("contract", [3, "Theme", None, Callable[[int], str] | None])
def test_what_says_nothing_is_no_contract(contract):
    """The refusal lists what may be given."""
    with pytest.raises(ManifestError, match=r"here: .* is no contract\. Give a Protocol"):
        check_contract(contract, "here")


@pytest.mark.parametrize(
    ("contract", "title"),
    [(Theme, "Theme"), (shout, "shout(text, /, times=1)"), (Callable[[int], str], "Callable[[int], str]")],
)
def test_a_contract_has_a_title(contract, title):
    """As a person writes it."""
    check_contract(contract, "here")
    assert title_of(contract).endswith(title)
