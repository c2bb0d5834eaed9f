"""What a plugin class takes over from its bases: each rule of `plugbook.plugins.authoring.inheritance`."""

import pytest
from pydantic import BaseModel, field_validator

from plugbook.errors import ConfigError, ManifestError
from plugbook.events.middleware import guard, retry, timing
from plugbook.plugins.config import validate
from plugbook.plugins.plugin import HandlerSpec, Plugin, on


def outer(event, call_next):
    return call_next(event)


def inner(event, call_next):
    return call_next(event)


class Base(Plugin, version="2.0", policy="raise", requires=["ledger>=1"], provides=["invoicing"]):
    """A base."""

    class Config(BaseModel):
        size: int = 1
        word: str = "a"

    @on("base.*")
    def listen(self, event): ...


# -- the manifest ---------------------------------------------------------------------------------


def test_name_and_summary_are_each_class_s_own():
    """They say nothing about a subclass."""

    class Child(Base):
        pass

    assert (Child.manifest.name, Child.manifest.summary) == ("child", "")


def test_relations_are_united():
    """What a class requires comes on top of what its bases do."""

    class Child(Base, requires=["tax"], needs=["clock"]):
        pass

    manifest = Child.manifest
    assert (manifest.requires, manifest.needs, manifest.provides) == (
        ("ledger>=1", "tax"),
        ("clock",),
        ("invoicing",),
    )


def test_what_a_class_says_about_a_name_replaces_what_its_bases_say():
    """A narrower range of the same plugin takes the place of the wider one."""

    class Child(Base, requires=["ledger>=2,<3"]):
        pass

    assert Child.manifest.requires == ("ledger<3,>=2",)


def test_an_empty_list_takes_everything_away():
    """And a grandchild inherits nothing then either."""

    class Child(Base, requires=[], provides=[]):
        pass

    class Grandchild(Child, requires=["tax"]):
        pass

    assert (Child.manifest.requires, Child.manifest.provides) == ((), ())
    assert Grandchild.manifest.requires == ("tax",)


def test_several_bases_are_united_from_left_to_right():
    """Where two bases say different things about a name, both count."""

    class Other(Plugin, requires=["ledger<3", "mail"], conflicts=["fax"]):
        pass

    class Child(Base, Other):
        pass

    assert Child.manifest.requires == ("ledger>=1", "ledger<3", "mail")
    assert Child.manifest.conflicts == ("fax",)


def test_in_a_diamond_what_comes_twice_counts_once():
    """And what one side takes away, the other one still brings."""

    class Left(Base, requires=[]):
        pass

    class Right(Base, requires=["tax"]):
        pass

    class Bottom(Left, Right):
        pass

    class Twice(Right, Base):
        pass

    assert Bottom.manifest.requires == Twice.manifest.requires == ("ledger>=1", "tax")


def test_version_and_policy_are_those_of_the_nearest_class_that_says_so():
    """In a diamond a side that says nothing does not hide the one that does."""

    class Left(Base):
        pass

    class Right(Base, version="3.0"):
        pass

    class Bottom(Left, Right):
        pass

    assert (Bottom.manifest.version, Bottom.manifest.policy) == ("3.0", "raise")
    assert Left.manifest.version == "2.0"


def test_an_inherited_requirement_of_itself_is_refused():
    """A subclass that takes the name of what its base requires is told so, with file and line."""
    with pytest.raises(ManifestError, match=r"class Ledger \(test_inheritance\.py:\d+\).*itself"):

        class Ledger(Base):
            pass


# -- middleware and handlers ----------------------------------------------------------------------


def test_layers_of_a_base_stand_outside():
    """An empty list takes them away, and a layer that comes twice counts once."""

    class Guarded(Plugin, middleware=[outer]):
        pass

    class Child(Guarded, middleware=[inner]):
        pass

    class Both(Child, Guarded):
        pass

    class Bare(Child, middleware=[]):
        pass

    assert Guarded.layers() == (outer,)
    assert Child.layers() == Both.layers() == (outer, inner)
    assert Bare.layers() == ()


@pytest.mark.parametrize("layers", [3, [outer, "retry"], [BaseModel]])
def test_middleware_that_is_none_is_refused(layers):
    """The message shows what a layer is."""
    with pytest.raises(ManifestError, match=r"test_inheritance\.py:\d+.*retry\(3\)") as caught:

        class Child(Plugin, middleware=layers):
            pass

    assert caught.value.field == "middleware"


def call_without_event(call_next):
    """No layer: it takes one argument."""


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (call_without_event, r"call_without_event takes \(call_next\)"),
        (retry, r"retry makes one: write retry\(2\)"),
        (timing, r"timing makes one: write timing\(\)"),
        (guard, r"guard makes one: write guard\(predicate\)"),
    ],
)
def test_a_function_that_is_no_layer_is_refused_in_the_class_statement(layer, message):
    """The message has the place of the class, and what to write."""
    with pytest.raises(ManifestError, match=r"class Child \(.*test_inheritance\.py:\d+\): .*" + message):

        class Child(Plugin, middleware=[layer]):
            pass


def test_handlers_of_a_diamond_are_found_as_python_finds_methods():
    """The side that comes first in the resolution order decides, also where it takes a handler away."""

    class Left(Base):
        listen = None

    class Right(Base):
        @on("right.*")
        def listen(self, event): ...

    class LeftFirst(Left, Right):
        pass

    class RightFirst(Right, Left):
        pass

    assert LeftFirst.handlers() == ()
    assert RightFirst.handlers() == (HandlerSpec("listen", "right.*"),)


# -- configuration --------------------------------------------------------------------------------


def fields(plugin):
    return {name: field.default for name, field in plugin.Config.model_fields.items()}


def test_config_is_inherited():
    """Without one of its own, a class has the very model of its base."""

    class Child(Base):
        pass

    assert Child.Config is Base.Config


def test_a_nested_config_is_combined_with_that_of_the_base():
    """It need not inherit from it: a field that it declares again is its own, the others stay."""

    class Child(Base):
        class Config(BaseModel):
            size: float = 2.5
            extra: bool = True

    assert fields(Child) == {"size": 2.5, "word": "a", "extra": True}
    assert Child.Config.__qualname__.endswith("Child.Config")
    assert validate(Child, {"size": 0.5, "word": "b"}).size == 0.5
    with pytest.raises(ConfigError, match="Did you mean 'extra'"):
        validate(Child, {"extr": 1})


def test_a_nested_config_that_inherits_is_left_as_it_is():
    """Who says everything gets exactly that."""

    class Child(Base):
        class Config(Base.Config):
            more: int = 0

    assert Child.Config.__bases__ == (Base.Config,)


def test_the_configs_of_several_bases_are_combined():
    """Fields and validators of all of them are there; through a diamond each counts once."""

    class Other(Plugin):
        class Config(BaseModel):
            colour: str = "red"

            @field_validator("colour")
            @classmethod
            def is_known(cls, colour):
                if colour not in ("red", "blue"):
                    raise ValueError("use red or blue")
                return colour

    class Child(Base, Other):
        pass

    class Diamond(Child, Other):
        pass

    assert fields(Child) == {"size": 1, "word": "a", "colour": "red"}
    assert Diamond.Config is Child.Config
    with pytest.raises(ConfigError, match="use red or blue"):
        validate(Child, {"colour": "green"})


def test_none_takes_the_options_away():
    """A subclass without options says so."""

    class Child(Base):
        Config = None

    assert Child.Config is None
    with pytest.raises(ConfigError, match="takes no configuration"):
        validate(Child, {"size": 1})


def test_bases_that_disagree_about_a_type_are_refused():
    """Unless the class declares that field itself; both places are named."""

    class Other(Plugin):
        class Config(BaseModel):
            size: str = "big"

    with pytest.raises(ManifestError, match=r"'size': int in Base\.Config, str in .*Other\.Config") as caught:

        class Refused(Base, Other):
            pass

    class Child(Base, Other):
        class Config(BaseModel):
            size: int = 3

    assert caught.value.field == "Config"
    assert fields(Child) == {"size": 3, "word": "a"}


def test_a_side_of_a_diamond_may_sharpen_a_field():
    """The more derived declaration counts, and that is no disagreement."""

    class Left(Base):
        class Config(Base.Config):
            size: float = 0.5

    class Right(Base):
        class Config(Base.Config):
            more: int = 0

    class Bottom(Left, Right):
        pass

    assert fields(Bottom) == {"size": 0.5, "word": "a", "more": 0}


def test_configs_that_cannot_be_combined_are_refused():
    """Bases in an order that Python cannot resolve are told in our words."""

    class One(BaseModel):
        a: int = 0

    class Two(BaseModel):
        b: int = 0

    class First(Plugin):
        class Config(One, Two):
            pass

    class Second(Plugin):
        class Config(Two, One):
            pass

    with pytest.raises(ManifestError, match="cannot be combined"):

        class Refused(First, Second):
            pass
