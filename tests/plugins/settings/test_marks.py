"""Marks: what is secret is found by type, name or mark, and never seen."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr

from plugbook.plugins.settings.marks import (
    Hidden,
    NeedsRestart,
    is_secret,
    looks_secret,
    masked,
    needs_restart,
)

SECRET_NAMES = [
    "password",
    "db_password",
    "api_key",
    "apiKey",
    "API-Key",
    "token",
    "tokens",
    "client_secret",
    "pwd",
]
PLAIN_NAMES = ["keyboard", "tokenizer", "monkey", "key", "passenger", "compass", "secretary"]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_usual_names_of_secrets(name):
    """Names that people give to secrets are known in every spelling."""
    assert looks_secret(name)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_names_that_only_look_alike(name):
    """A word inside another word is none."""
    assert not looks_secret(name)


class Inner(BaseModel):
    token: str = "s3cret-inner"
    size: int = 1
    pin: SecretStr = SecretStr("s3cret-pin")


@dataclass
class Account:
    password: str = "s3cret-account"


class Pair(NamedTuple):
    token: str = "s3cret-pair"


class Config(BaseModel):
    password: str = "s3cret-name"
    by_type: SecretStr = SecretStr("s3cret-type")
    many: list[SecretBytes] = [SecretBytes(b"s3cret-many")]
    marked: Annotated[str, Hidden] = "s3cret-mark"
    said: str = Field("s3cret-said", json_schema_extra={"secret": True})
    token_url: Annotated[str, Field(json_schema_extra={"secret": False})] = "plain"
    max_tokens: int = 5
    inner: Inner = Inner()
    list_of: list[Inner] = [Inner()]
    headers: dict[str, str] = {"Api-Key": "s3cret-header", "Agent": "shop"}
    credentials: Inner = Inner()
    empty: SecretStr = SecretStr("")
    account: Account = Account()
    pair: Pair = Pair()
    port: Annotated[int, NeedsRestart] = 80
    path: str = Field("/", json_schema_extra={"restart": True})


def test_what_is_masked_shows_no_secret():
    """By type, name and mark, at any depth, only what is no secret or empty is seen."""
    shown = masked(Config())
    assert "s3cret" not in str(shown)
    assert shown["token_url"] == "plain"
    assert shown["max_tokens"] == 5
    assert shown["inner"]["size"] == 1
    assert shown["headers"]["Agent"] == "shop"
    assert shown["empty"] == ""


def test_a_configuration_leaves_its_secrets_out_of_its_own_repr():
    """Once a host has seen the model, logging a configuration whole shows no secret field."""
    masked(Config())
    assert "s3cret" not in repr(Config(headers={}, account=Account(""), pair=Pair("")))
    assert "token_url='plain'" in repr(Config())


def test_marks_are_found_by_path():
    """What a table is marked with holds for what is in it."""
    assert is_secret(Config, ("credentials", "size"))
    assert is_secret(Config, ("inner", "token"))
    assert is_secret(Config, ("list_of", 0, "pin"))
    assert not is_secret(Config, ("list_of", 0, "size"))
    assert is_secret(Config, ("headers", "Api-Key"))
    assert not is_secret(Config, ("inner", "size"))
    assert needs_restart(Config, ("port",))
    assert needs_restart(Config, ("path",))
    assert not needs_restart(Config, ("inner", "size"))
