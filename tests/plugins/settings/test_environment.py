"""Environment variables: those that fit an option give it, and the others are named with what was meant."""

import enum
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from plugbook.errors import ConfigError
from plugbook.plugins.settings.environment import Environment, parsed
from plugbook.plugins.settings.layers import Layers


class Tax(BaseModel):
    rate: float = 0.2
    names: list[str] = []


class Config(BaseModel):
    currency: str = "EUR"
    tax: Tax | None = Tax()
    limits: dict[str, int] = {}
    maximum: int = Field(10, validation_alias="max")


def merged(prefix: str | None = "SHOP_", **variables: str) -> dict[str, Any]:
    said = Environment(prefix, variables).said("order-book", Config)
    return Layers(Config, said).merged()


def test_variables_give_options_by_name():
    """The plugin's name, the option and what is in it are joined by two underscores; case does not matter."""
    assert merged(
        SHOP_ORDER_BOOK__CURRENCY="12",
        shop_order_book__tax__rate="0.5",
        SHOP_ORDER_BOOK__LIMITS__DAY="3",
        SHOP_ORDER_BOOK__MAX="7",
    ) == {"currency": "12", "tax": {"rate": 0.5}, "limits": {"day": 3}, "max": 7}


def test_a_table_may_be_given_whole_and_in_part():
    """What names one value stands above the table that it is in."""
    found = merged(SHOP_ORDER_BOOK__TAX='{"rate": 1, "names": ["a"]}', SHOP_ORDER_BOOK__TAX__RATE="2")
    assert found == {"tax": {"rate": 2, "names": ["a"]}}


def test_without_a_prefix_nothing_is_read():
    """A host may be kept from looking at the environment."""
    assert merged(None, ORDER_BOOK__CURRENCY="USD") == {}


class Colour(enum.Enum):
    RED = "1"


PARSED = [
    (str, "12", "12"),
    (str | None, "null", "null"),
    (int | None, "null", None),
    (SecretStr, "12", "12"),
    (Literal["1", "2"], "1", "1"),
    (Colour, "1", "1"),
    (Path, "12", "12"),
    (Decimal, "1.10", "1.10"),
    (date, "2026-01-02", "2026-01-02"),
    (Annotated[str, "any"], "1", "1"),
    (int, "12", 12),
    (float, "1e3", 1000.0),
    (bool, "true", True),
    (bool, "yes", "yes"),
    (list[str], '["a"]', ["a"]),
    (list[str], "a", "a"),
    (Any, "a", "a"),
]


@pytest.mark.parametrize(("annotation", "text", "value"), PARSED, ids=str)
def test_a_text_is_json_where_the_option_is_no_text(annotation, text, value):
    """What may be text stays as it was typed; anything else is JSON, or else left for pydantic to judge."""
    assert parsed(annotation, text) == value


STRANGERS = {
    "SHOP_ORDER_BOOK__CURENCY": "'SHOP_ORDER_BOOK__CURRENCY'",
    "SHOP_ORDER_BOK__CURRENCY": "'SHOP_ORDER_BOOK__CURRENCY'",
    "SHOP_ORDER_BOOK_CURRENCY": "'SHOP_ORDER_BOOK__CURRENCY'",
    "SHOP_ORDER_BOOK__TAX__RAT": "'SHOP_ORDER_BOOK__TAX__RATE'",
    "SHOP_ORDER_BOOK__CURRENCY__CODE": "no such option",
    "SHOP_WAREHOUSE__SIZE": "names no plugin",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_variable_that_fits_nothing_is_named(name):
    """It is said which one was meant; it gives no option."""
    environment = Environment("SHOP_", {name: "1"})
    told = [
        *environment.unknown_plugins({"order-book": Config}),
        *environment.unknown_options("order-book", Config),
    ]
    assert len(told) == 1
    assert name in told[0]
    assert STRANGERS[name] in told[0]
    assert list(environment.said("order-book", Config)) == []


def test_a_variable_of_somebody_else_is_left_alone():
    """A name with the prefix alone, and nothing else in common, is not ours."""
    assert list(Environment("SHOP_", {"SHOP_HOME": "/"}).unknown_plugins({"order-book": Config})) == []


@pytest.mark.parametrize("prefix", ["", "1A", "A-B", 3])
def test_a_prefix_must_be_able_to_begin_a_name(prefix):
    """What no variable can begin with is refused, with what to give instead."""
    with pytest.raises(ConfigError, match="'SHOP_'"):
        Environment.checked(prefix)
