"""A view of a configuration: as the model it shows, except that no option can be set on it."""

import copy
import pickle

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field

from plugbook.errors import ConfigError
from plugbook.plugins.settings.frozen import frozen, thawed


class Tax(BaseModel):
    rate: float = 0.2


class Config(BaseModel):
    model_config = ConfigDict(extra="allow")
    currency: str = "EUR"
    tax: Tax = Tax()
    _seen: int = PrivateAttr(0)

    @computed_field
    @property
    def label(self) -> str:
        return self.currency.lower()


class Strict(BaseModel, frozen=True):
    size: int = 1


def test_a_view_is_as_the_model_it_shows():
    """It is an instance of it, equal in both directions, and gives the same data."""
    config = Config(extra=[1])
    view = frozen(config, "billing")
    assert isinstance(view, Config)
    assert view == config
    assert config == view
    assert view != Config()
    assert repr(view) == repr(config)
    assert view.model_dump_json() == config.model_dump_json()
    assert hash(frozen(Strict(), "billing")) == hash(Strict())


@pytest.mark.parametrize("name", ["currency", "extra", "unknown", "label"])
def test_nothing_can_be_set_or_deleted(name):
    """Options, extra ones, unknown ones and what is computed are refused, and the view stays as it was."""
    view = frozen(Config(extra=[1]), "billing")
    before = view.model_dump()
    with pytest.raises(ConfigError, match=f"{name} cannot be set inside billing"):
        setattr(view, name, 3)
    with pytest.raises(ConfigError, match=f"{name} cannot be deleted inside billing"):
        delattr(view, name)
    assert view.model_dump() == before


def test_a_private_attribute_is_no_option():
    """The model may keep what it likes; the instance that the view shows does not see it."""
    config = Config()
    view = frozen(config, "billing")
    view._seen = 3
    assert (view._seen, config._seen) == (3, 0)


@pytest.mark.parametrize(
    "made_of",
    [copy.copy, copy.deepcopy, BaseModel.model_copy, thawed, lambda view: pickle.loads(pickle.dumps(view))],
)
def test_a_copy_is_a_plain_instance(made_of):
    """What is copied from a view can be changed, models inside it included, and sent to another process."""
    view = frozen(Config(), "billing")
    made = made_of(view)
    assert (type(made), type(made.tax)) == (Config, Tax)
    made.currency, made.tax.rate = "USD", 0.5
    assert (view.currency, view.tax.rate) == ("EUR", 0.2)
