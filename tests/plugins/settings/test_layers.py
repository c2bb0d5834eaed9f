"""Layers: the higher one has the last word, option by option, and each can say where it is."""

from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from plugbook.plugins.settings.layers import Layer, Layers, Said


class Tax(BaseModel):
    rate: float
    name: str = "tax"


class Config(BaseModel):
    currency: str = "EUR"
    tax: Tax = Tax(rate=0.2, name="VAT")
    headers: dict[str, str] = {"agent": "shop"}
    maximum: int = Field(1, validation_alias=AliasChoices("max", "limit"))


def layers(*options: dict[str, Any]) -> Layers:
    return Layers(Config, [Said(Layer.HOST, each, f"layer {number}") for number, each in enumerate(options)])


def test_tables_are_merged_and_everything_else_is_replaced():
    """What a higher layer does not mention stays; a value in the place of a table replaces all of it."""
    merged = layers(
        {"currency": "A", "headers": {"a": "1"}}, {"headers": {"b": "2"}}, {"currency": "B"}
    ).merged()
    assert merged == {"currency": "B", "headers": {"a": "1", "b": "2"}}
    assert layers({"headers": {"a": "1"}}, {"headers": None}).merged() == {"headers": None}
    assert layers({"headers": None}, {"headers": {"a": "1"}}).merged() == {"headers": {"a": "1"}}


def test_of_a_nested_default_what_nobody_replaces_stays():
    """A model given as default is merged like a layer; a default with free keys gives way."""
    config = Config.model_validate(layers({"tax": {"rate": 0.1}, "headers": {}}).merged())
    assert config == Config(tax=Tax(rate=0.1, name="VAT"), headers={})


def test_the_names_of_one_option_are_one_option():
    """By whichever of its names it is given, the higher layer has the last word, and the place is found."""
    both = layers({"max": 3}, {"limit": 4})
    assert both.merged() == {"max": 4}
    assert both.place(("max",)) == "layer 1"


def test_models_are_merged_as_what_was_given_to_them():
    """An instance says what it was made with, not its defaults."""
    assert layers({"tax": {"name": "MWST"}}, {"tax": Tax(rate=0.3)}).merged()["tax"] == {
        "name": "MWST",
        "rate": 0.3,
    }


def test_who_has_the_last_word():
    """The place of an option is that of the highest layer that says something of it or replaces its table."""
    three = layers({"tax": {"rate": 1, "name": "x"}}, {"tax": {"rate": 2}}, {"headers": None})
    assert three.source(("tax", "rate")) == "layer 1"
    assert three.source(("tax", "name")) == "layer 0"
    assert three.source(("headers", "agent")) == "layer 2"
    assert three.source(("currency",)) == "default"
    assert [(said.where, value) for said, value in three.about(("tax", "rate"))] == [
        ("layer 1", 2),
        ("layer 0", 1),
    ]
    assert three.sources() == {"tax.rate": "layer 1", "tax.name": "layer 0", "headers": "layer 2"}


def test_what_is_taken_back_leaves_no_empty_tables():
    """Without its only option a table is gone, too, and what was not there stays away."""
    said = Said(Layer.LIVE, {"tax": {"rate": 1}, "currency": "B"}, "edit")
    assert said.without([("tax", "rate"), ("headers", "x")]).options == {"currency": "B"}
    assert said.without([("tax",), ("currency",)]).options == {}
    assert said.without([("currency", "code")]).options == said.options
