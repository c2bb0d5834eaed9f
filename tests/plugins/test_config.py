"""Configuration: what fits becomes the plugin's model, and what does not is told by its path."""

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from plugbook.errors import ConfigError, UnknownPluginError
from plugbook.plugins.config import check_names, validate
from plugbook.plugins.plugin import Plugin


class Rate(BaseModel):
    percent: float


class Billing(Plugin):
    class Config(BaseModel):
        currency: str = "EUR"
        rates: list[Rate] = []
        by_country: dict[str, Rate] = {}
        key: SecretStr = SecretStr("")
        limit: int = Field(default=10, validation_alias=AliasChoices("limit", "max"))

        @field_validator("currency")
        @classmethod
        def _known(cls, value):
            if value == "bug":
                raise KeyError(value)
            if len(value) != 3:
                raise ValueError("a currency has three letters")
            return value


def test_options_become_the_model():
    """Options are validated, defaults filled in, aliases and ready-made instances accepted."""
    config = validate(Billing, {"rates": [{"percent": "19"}], "max": 3})
    assert (config.currency, config.rates[0].percent, config.limit) == ("EUR", 19.0, 3)
    assert validate(Billing) == Billing.Config()
    assert validate(Billing, config) is config


WRONG = {
    "a wrong type": ({"rates": [{"percent": 1}, {"percent": "x"}]}, "rates.1.percent", "valid number"),
    "a missing field": ({"by_country": {"de": {}}}, "by_country.de.percent", "required"),
    "what a validator refuses": ({"currency": "EURO"}, "currency", "three letters"),
    "a validator that breaks": ({"currency": "bug"}, None, "KeyError"),
    "an unknown option": ({"curency": "EUR"}, "curency", "Did you mean 'currency'?"),
    "an unknown one inside a list": (
        {"rates": [{"percent": 1, "precent": 2}]},
        "rates.0.precent",
        "Did you mean 'percent'?",
    ),
    "an unknown one inside a dict": (
        {"by_country": {"de": {"percent": 1, "x": 2}}},
        "by_country.de.x",
        "There are: percent",
    ),
    "no mapping": (["currency"], None, "list"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told_by_its_path(case):
    """The error names the plugin, the path of the option and the remedy."""
    options, path, text = WRONG[case]
    with pytest.raises(ConfigError) as caught:
        validate(Billing, options)
    assert (caught.value.plugin, caught.value.path) == ("billing", path)
    assert text in str(caught.value)


def test_a_secret_is_not_told():
    """What was given is left out of the message, since it may be a secret."""
    with pytest.raises(ConfigError) as caught:
        validate(Billing, {"key": ["hunter2"], "currency": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_plugin_without_config_takes_none():
    """No options are fine, and any option is refused."""

    class Plain(Plugin):
        pass

    assert validate(Plain) is None
    assert validate(Plain, {}) is None
    with pytest.raises(ConfigError, match="takes no configuration"):
        validate(Plain, {"x": 1})


@pytest.mark.parametrize("extra", ["allow", "ignore"])
def test_a_model_that_sets_extra_decides_itself(extra):
    """Unknown options are left to a model that says what it does with them."""

    class Open(Plugin):
        class Config(BaseModel):
            model_config = ConfigDict(extra=extra)

    validate(Open, {"anything": 1})


def test_forbidden_extras_get_a_suggestion_too():
    """Where the model forbids extras itself, the message still says which option was meant."""

    class Closed(Plugin):
        class Config(BaseModel):
            model_config = ConfigDict(extra="forbid")
            currency: str = ""

    with pytest.raises(ConfigError, match="Did you mean 'currency'") as caught:
        validate(Closed, {"currenci": 1})
    assert caught.value.path == "currenci"


def test_a_problem_of_the_whole_model_has_no_path():
    """What a model validator refuses is about the configuration as a whole."""

    class Pair(Plugin):
        class Config(BaseModel):
            low: int = 0
            high: int = 1

            @model_validator(mode="after")
            def _ordered(self):
                if self.low > self.high:
                    raise ValueError("low is above high")
                return self

    with pytest.raises(ConfigError, match="low is above high") as caught:
        validate(Pair, {"low": 2})
    assert caught.value.path is None


def test_a_configured_plugin_must_be_there():
    """A configuration for a plugin nobody has is refused with the name that was meant."""
    check_names({"billing": {}}, {"billing", "ledger"})
    with pytest.raises(UnknownPluginError, match="Did you mean 'billing'") as caught:
        check_names({"biling": {}}, {"billing", "ledger"})
    assert caught.value.name == "biling"
