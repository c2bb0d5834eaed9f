"""Ten thousand random manifests, class keywords and configurations: each works, or is refused in plain words."""

import pickle
import random
from datetime import timedelta
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from plugbook.errors import ConfigError, ManifestError, OptionError, PlugbookError, ResolutionError
from plugbook.plugins.authoring.builder import plugin
from plugbook.plugins.config import validate
from plugbook.plugins.manifest import Manifest, make_manifest
from plugbook.plugins.plugin import Plugin
from plugbook.plugins.resolving.resolver import resolve

BATCH, BATCHES = 100, 100

NAMES = [
    "a",
    "b",
    "billing",
    "git-lfs",
    "x.y",
    "Bad",
    "",
    " ",
    "a b",
    "1st",
    "é",
    "a" * 200,
    "-",
    "a--b",
    "\0",
    "\ud800",
]
RANGES = [
    "",
    ">=1",
    "==1.0",
    ">=1,<3",
    "~=1.4",
    "!=2",
    "===x",
    "==1.*",
    ">=",
    "<<1",
    "[x]",
    "; os_name == 'nt'",
    " @ x",
    "\n",
]
VERSIONS = ["1.0", "0", "2.0b1", "1!1.0", "1.0+local", "", "one", "1." * 500, "9" * 5000, "\x00", " 1.0 "]
FIELDS = [*Manifest.model_fields, "nmae", "requries", "", "Config", 3]


class Inner(BaseModel):
    size: int = Field(gt=0)
    ratio: float = 1.0


class Configured(Plugin):
    class Config(BaseModel):
        number: int = 0
        text: str = Field(default="", max_length=5, pattern="^[a-z]*$")
        mode: Literal["fast", "slow"] = "fast"
        inner: Inner | None = None
        many: list[Inner] = []
        named: dict[str, Inner] = {}
        either: int | Inner = 0
        wait: timedelta = timedelta()
        key: SecretStr = SecretStr("")
        anything: Any = None


OPTIONS = [*Configured.Config.model_fields, "numbr", "", "size"]


class Chance(random.Random):
    """Draws what people and broken files come up with."""

    def relation(self):
        return self.choice(NAMES[:6]) + self.choice(RANGES) if self.random() < 0.9 else self.choice(NAMES)

    def odd(self, depth=2):
        plain = [
            None,
            True,
            0,
            -1,
            1.5,
            float("nan"),
            float("inf"),
            10**400,
            "",
            "text",
            "fast",
            b"\xff",
            object(),
            int,
        ]
        if depth and self.random() < 0.5:
            return self.choice(
                [
                    [self.odd(depth - 1) for _ in range(self.randrange(3))],
                    {self.choice(["size", "ratio", "siez", ""]): self.odd(depth - 1) for _ in range(2)},
                ]
            )
        return self.choice(plain)

    def manifest(self):
        data = {"name": self.choice(NAMES[:4])} if self.random() < 0.8 else {}
        for _ in range(self.randrange(4)):
            field = self.choice(FIELDS)
            if self.random() < 0.2:
                data[field] = self.odd()
            elif field == "name":
                data[field] = self.choice(NAMES)
            elif field == "version":
                data[field] = self.choice(VERSIONS)
            else:
                data[field] = [self.relation() for _ in range(self.randrange(3))]
        return data

    def function(self):
        return self.choice(
            [
                lambda event: event,
                lambda event, ctx: ctx,
                lambda: None,
                lambda a, b, c: None,
                lambda event: (yield),
                print,
                [].append,
                in_plain_words,
                self.odd() or 0,  # None makes a decorator of it
            ]
        )

    def step(self):
        """A word of the chain, and what it is called with."""
        word = self.choice(
            ["version", "requires", "provides", "needs", "config", "on", "on", "starting", "stopping"]
        )
        if word == "on":
            options = (
                {self.choice(["priority", "where", "timeout", "prio"]): self.odd()}
                if self.random() < 0.3
                else {}
            )
            return word, (self.choice(["order.*", "a..b", Configured, "", "**"]), self.function()), options
        if word == "config":
            return word, (), {self.choice(["size", "_x", "copy", "model_x", "", "a b"]): self.odd()}
        if word == "version":
            return word, (self.choice(VERSIONS),), {}
        if word in ("starting", "stopping"):
            return word, (self.function(),), {}
        return word, tuple(self.relation() for _ in range(self.randrange(3))), {}

    def options(self):
        if self.random() < 0.05:
            return self.odd()
        return {self.choice(OPTIONS): self.odd() for _ in range(self.randrange(4))}


def in_plain_words(error, about=""):
    """A message that says something on one short screen, and an error that survives a process boundary."""
    assert isinstance(error, PlugbookError)
    assert 10 < len(str(error)) < 4_000
    assert about in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


seeds = st.integers(0, 2**32)


@settings(max_examples=BATCHES)
@given(seeds)
def test_random_manifests(seed):
    """Whatever data a manifest is made of, it is one that resolves, or a ManifestError."""
    chance = Chance(seed)
    made = {}
    for _ in range(BATCH):
        try:
            manifest = make_manifest(chance.manifest())
        except ManifestError as error:
            in_plain_words(error)
        else:
            made[manifest.name] = manifest
            assert make_manifest(manifest.model_dump()) == manifest
    resolution = resolve(made.values())
    assert set(resolution.order) ^ set(resolution.problems) == set(made)
    for problem in resolution.problems.values():
        error = problem.error()
        assert isinstance(error, ResolutionError)
        in_plain_words(error)


@settings(max_examples=BATCHES)
@given(seeds)
def test_random_class_keywords(seed):
    """Whatever class keywords a plugin is given, it is defined, or a ManifestError says where and why."""
    chance = Chance(seed)
    for _ in range(BATCH // 4):
        keywords = {str(field): value for field, value in chance.manifest().items()}
        try:
            plugin = type("Sample", (Plugin,), {}, **keywords)
        except ManifestError as error:
            in_plain_words(error, about="test_fuzz.py:")
        else:
            assert plugin.manifest.name


@settings(max_examples=BATCHES)
@given(seeds)
def test_random_configurations(seed):
    """Whatever options a plugin is given, they fit its model, or a ConfigError says which does not and why."""
    chance = Chance(seed)
    for _ in range(BATCH):
        options = chance.options()
        try:
            config = validate(Configured, options)
        except ConfigError as error:
            in_plain_words(error, about="'configured'")
        else:
            assert isinstance(config, Configured.Config)


@settings(max_examples=BATCHES)
@given(seeds)
def test_random_chains(seed):
    """Whatever a plugin is put together from, each step holds, or is refused and leaves what was there."""
    chance = Chance(seed)
    made = plugin("sample")
    for _ in range(BATCH):
        word, arguments, options = chance.step()
        before = made.build()
        try:
            getattr(made, word)(*arguments, **options)
        except (ManifestError, OptionError) as error:
            in_plain_words(error)
            assert made.build() is before
        else:
            built = made.build()
            assert made.build() is built
            assert len(built.handlers()) == len(before.handlers()) + (word == "on")
