"""Ten thousand random changes from every layer: each is what a simple model of merging says, or changes nothing."""

import json
import os
import random
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, ValidationError

from plugbook import Host, Plugin
from plugbook.errors import ConfigError, PlugbookError, PluginError

BATCH, BATCHES = 100, 100
SECRET = "swordfish"


class Tax(BaseModel):
    model_config = {"extra": "forbid"}
    rate: float = Field(0.2, ge=0)
    name: str = "VAT"


class Config(BaseModel):
    model_config = {"extra": "forbid"}
    currency: str = Field("EUR", max_length=3)
    tax: Tax | None = Tax(rate=0.1, name="MWST")
    bare: Tax | None = None
    limits: dict[str, int] = {"day": 1}
    sizes: list[int] = []
    key: SecretStr = SecretStr("")


class Billing(Plugin):
    Config = Config

    def on_config_change(self, old, new):
        if new.currency == "XXX":
            raise ValueError(f"no such currency {new.key.get_secret_value()}")


class Chance(random.Random):
    """Draws options of which most fit."""

    def options(self) -> dict:
        return dict(self.option() for _ in range(self.randrange(1, 4)))

    def option(self) -> tuple:
        name = self.choice(
            [*Config.model_fields, "curency"] if self.random() < 0.1 else list(Config.model_fields)
        )
        return name, self.wrong() if self.random() < 0.05 else self.value(name)

    def value(self, name: str):
        if name in ("tax", "bare"):
            table = {key: self.value(key) for key in ("rate", "name") if self.random() < 0.5}
            return self.choice([table, table, table, None])
        if name == "limits":
            return {self.choice(["day", "week"]): self.randrange(9) for _ in range(self.randrange(3))}
        drawn = {
            "currency": self.choice(["USD", "CHF", "SEK", "XXX" if self.random() < 0.2 else "GBP"]),
            "rate": self.randrange(9) / 8,
            "name": self.choice(["VAT", "GST"]),
            "sizes": [self.randrange(9) for _ in range(self.randrange(3))],
            "key": f"{SECRET}-{self.randrange(9)}",
        }
        return drawn.get(name, 1)

    def wrong(self):
        return self.choice(["EURO", -1, [None], {"rat": 1}, {"rate": "much"}, 3.5, {"a": {"b": {}}}])

    def variables(self) -> dict[str, str]:
        texts = {"CURRENCY": "NOK", "TAX__RATE": "0.5", "LIMITS__DAY": "7", "SIZES": "[4, 2]", "TAX": "null"}
        wrong = {"TAX__RATE": "-1", "SIZES": "{"}
        drawn = {**texts, **(wrong if self.random() < 0.2 else {})}
        return {name: drawn[name] for name in self.sample(list(drawn), self.randrange(3))}


class Model:
    """What a configuration is, said as simply as possible."""

    def __init__(self) -> None:
        self.file: dict = {}
        self.variables: dict[str, str] = {}
        self.host: dict = {}
        self.edits: list[dict] = []

    def config(self) -> Config:
        options: dict = {}
        for layer in (self.file, *self.environment(), self.host, *self.edits):
            options = merged(options, layer)
        if isinstance(options.get("tax"), dict):
            options["tax"] = merged(Config().tax.model_dump(), options["tax"])
        return Config.model_validate(options)

    def environment(self) -> list[dict]:
        layers = []
        for name in sorted(self.variables, key=lambda name: (name.count("__"), name)):
            text = self.variables[name]
            try:
                value = text if name == "CURRENCY" else json.loads(text)
            except ValueError:
                value = text
            for part in reversed(name.lower().split("__")):
                value = {part: value}
            layers.append(value)
        return layers


def merged(below: dict, above: dict) -> dict:
    both = dict(below)
    for key, value in above.items():
        both[key] = merged(below[key], value) if is_table(below.get(key)) and is_table(value) else value
    return both


def is_table(value: object) -> bool:
    return isinstance(value, dict)


class Trial:
    """One host, its model, and the file and variables that both read."""

    def __init__(self, chance: Chance, path: Path) -> None:
        self.chance, self.path, self.model = chance, path, Model()
        self.write({})
        with self.environment({}):
            self.host = Host([Billing], config_file=path, env_prefix="SHOP_")
            self.host.start()

    def write(self, options: dict) -> None:
        self.path.write_text(json.dumps({"billing": options}))

    def environment(self, variables: dict[str, str]):
        return mock.patch.dict(
            os.environ, {f"SHOP_BILLING__{name}": text for name, text in variables.items()}
        )

    def step(self) -> bool:
        """One random request; whether it was accepted."""
        before, old = self.snapshot(), dict(vars(self.model), edits=list(self.model.edits))
        request = self.chance.choice([self.configure, self.configure, self.reload, self.replace, self.reset])
        try:
            request()
        except PlugbookError as error:
            self.check_refusal(error)
            assert self.snapshot() == before
            vars(self.model).update(old)
            return False
        assert self.host.plugins["billing"].config == self.model.config()
        return True

    def configure(self) -> None:
        options = self.chance.options()
        self.model.edits.append(options)
        self.host.configure("billing", options)

    def reload(self) -> None:
        self.model.file, self.model.variables = self.chance.options(), self.chance.variables()
        self.write(self.model.file)
        with self.environment(self.model.variables):
            self.host.reload_config()

    def replace(self) -> None:
        self.model.host, self.model.edits = self.chance.options(), []
        self.host.add(Billing, config=self.model.host, replace=True)

    def reset(self) -> None:
        if self.chance.random() < 0.3:
            self.model.edits = []
            self.host.reset_config("billing")
            return
        name = self.chance.choice(list(Config.model_fields))
        self.model.edits = [
            {key: value for key, value in edit.items() if key != name} for edit in self.model.edits
        ]
        self.host.reset_config("billing", name)

    def snapshot(self) -> list:
        handle = self.host.plugins["billing"]
        return [
            handle.state,
            handle.instance,
            handle.options,
            handle.edits,
            handle.config,
            handle.context.config,
            str(self.host.config_of("billing")),
        ]

    def check_refusal(self, error: PlugbookError) -> None:
        """It says what, why and where, without the secret; and the model refuses it, or the plugin does."""
        told = str(error)
        assert "billing" in told
        assert SECRET not in f"{error!r} {told} {error.__cause__!r} {error.__context__!r}"
        if isinstance(error, PluginError):
            assert "no such currency" in told
            assert self.model.config().currency == "XXX"
            return
        assert isinstance(error, ConfigError)
        assert any(place in told for place in ("shop.json", "SHOP_BILLING", "(host", "(live edit at "))
        try:
            self.model.config()
        except ValidationError:
            return
        raise AssertionError(told)


@settings(max_examples=BATCHES)
@given(st.integers(0, 2**32))
def test_random_configurations_from_every_layer(seed):
    """What is accepted is what the model says; what is refused says why, shows no secret, and changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Chance(seed), Path(folder) / "shop.json")
        with trial.host:
            accepted = [trial.step() for _ in range(BATCH)]
    assert any(accepted)
