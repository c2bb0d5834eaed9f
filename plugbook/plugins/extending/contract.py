"""Says whether an object is what an extension point expects, and if not, what it lacks."""

from __future__ import annotations

import collections.abc
import inspect
import reprlib
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, Final, NamedTuple, Protocol, get_args, get_origin

from pydantic import BaseModel, ValidationError

from plugbook.errors import ManifestError


class _Sample(Protocol):
    """Has what typing puts into every Protocol besides what was written there."""

    written: int


_MACHINERY: Final = frozenset(
    {
        *vars(_Sample),
        *dir(object),
        "__orig_bases__",
        "__type_params__",
        "_is_runtime_protocol",
        "__non_callable_proto_members__",
    }
)


class Fit(NamedTuple):
    """What became of an object that was held against a contract.

    Attributes:
        value: the object; for a pydantic model given as a mapping, the model made of it.
        lacks: what keeps it from fitting, a phrase each; empty where it fits.
    """

    value: Any
    lacks: tuple[str, ...] = ()


def check_contract(contract: Any, place: str) -> None:
    """Refuse what says nothing that an object could be held against.

    Raises:
        ManifestError: it is no class, function or ``Callable[...]``.
    """
    if isinstance(contract, type | FunctionType) or get_origin(contract) is collections.abc.Callable:
        return
    msg = (
        f"{place}: {reprlib.repr(contract)} is no contract. Give a Protocol, an abstract or any other class, a "
        "pydantic model, a function with the wanted signature, or Callable[[int], str]."
    )
    raise ManifestError(msg)


def fit(value: Any, contract: Any) -> Fit:
    """Hold an object against a contract.

    >>> from typing import Protocol
    >>> class Theme(Protocol):
    ...     name: str
    ...
    ...     def render(self, text: str) -> str: ...
    >>> class Dark:
    ...     def render(self): ...
    >>> fit(Dark(), Theme).lacks
    ('it has no name', 'render takes (), but is called as render(text)')
    """
    if get_origin(contract) is collections.abc.Callable:
        return Fit(value, tuple(_lacks_of_callable(value, get_args(contract))))
    if isinstance(contract, FunctionType):
        return Fit(value, tuple(_lacks_of_function(value, contract)))
    if getattr(contract, "_is_protocol", False):
        return Fit(value, tuple(_lacks_of_protocol(value, contract)))
    if isinstance(value, contract):
        return Fit(value)
    if issubclass(contract, BaseModel) and isinstance(value, Mapping):
        return _made(contract, value)
    return Fit(value, tuple(_lacks_of_instance(value, contract)))


def title_of(contract: Any) -> str:
    """A contract as a person writes it."""
    if isinstance(contract, FunctionType):
        return f"{contract.__name__}{_shown(inspect.signature(contract))}"
    return contract.__qualname__ if isinstance(contract, type) else str(contract).replace("typing.", "")


# -- kinds of contracts ---------------------------------------------------------------------------


def _made(model: type[BaseModel], given: Mapping[Any, Any]) -> Fit:
    try:
        return Fit(model.model_validate(dict(given)))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return Fit(given, tuple(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems))


def _lacks_of_instance(value: Any, contract: type) -> Iterator[str]:
    if isinstance(value, type) and issubclass(value, contract):
        yield f"it is the class {value.__name__}; contribute an object of it, {value.__name__}()"
        return
    yield f"it is {_article(type(value).__name__)}, and no {contract.__name__}"
    for name in sorted(getattr(contract, "__abstractmethods__", ())):
        if not hasattr(value, name):
            yield f"it has no {name}"


def _lacks_of_protocol(value: Any, protocol: type) -> Iterator[str]:
    for name in _members(protocol):
        if not hasattr(value, name):
            yield "it cannot be called" if name == "__call__" else f"it has no {name}"
            continue
        wanted = inspect.getattr_static(protocol, name, None)
        if isinstance(wanted, FunctionType):
            yield from _lacks_of_call(name, getattr(value, name), wanted, skip=1)


def _lacks_of_function(value: Any, wanted: FunctionType) -> Iterator[str]:
    yield from _lacks_of_call(_name(value), value, wanted)


def _lacks_of_callable(value: Any, arguments: tuple[Any, ...]) -> Iterator[str]:
    if not callable(value):
        yield "it cannot be called"
        return
    wanted = arguments[0] if arguments else ...
    if isinstance(wanted, list) and not _binds(value, len(wanted)):
        shown = _shown(inspect.signature(value))
        yield f"{_name(value)} takes {shown}, but is called with {_counted(len(wanted))}"


def _lacks_of_call(name: str, value: Any, wanted: FunctionType, skip: int = 0) -> Iterator[str]:
    """What keeps a function from being called as another one is: the first `skip` parameters are not given."""
    if not callable(value):
        yield f"{name} is {_article(type(value).__name__)} and cannot be called"
        return
    signature = inspect.signature(wanted)
    signature = signature.replace(parameters=list(signature.parameters.values())[skip:])
    if not all(_binds(value, *call) for call in _calls(signature)):
        yield f"{name} takes {_shown(inspect.signature(value))}, but is called as {wanted.__name__}{_shown(signature)}"
    if inspect.iscoroutinefunction(wanted) != inspect.iscoroutinefunction(value):
        yield f"{name} must {'' if inspect.iscoroutinefunction(wanted) else 'not '}be async"


def _calls(signature: inspect.Signature) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The shortest and the longest call that a signature allows: how many arguments, and which keywords."""
    each = list(signature.parameters.values())
    positional = [one for one in each if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    keywords = [one for one in each if one.kind is one.KEYWORD_ONLY]
    for is_given in (lambda one: one.default is one.empty, lambda one: True):
        yield len(list(filter(is_given, positional))), tuple(one.name for one in filter(is_given, keywords))


def _binds(value: Callable[..., Any], count: int, keywords: tuple[str, ...] = ()) -> bool:
    try:
        inspect.signature(value).bind(*[None] * count, **dict.fromkeys(keywords))
    except TypeError:
        return False
    except ValueError:  # some functions written in C do not tell what they take
        return True
    return True


def _members(protocol: type) -> tuple[str, ...]:
    """What a Protocol asks for, in the order it was written."""
    found: dict[str, None] = {}
    for base in reversed(protocol.__mro__):
        if getattr(base, "_is_protocol", False) and base.__module__ != "typing":
            names = (*vars(base).get("__annotations__", ()), *vars(base))
            found |= dict.fromkeys(name for name in names if name not in _MACHINERY)
    return tuple(found)


# -- words ----------------------------------------------------------------------------------------


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", None) or type(value).__name__)


def _shown(signature: inspect.Signature) -> str:
    """A signature without its types, which calling does not check."""
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _counted(count: int) -> str:
    return "1 argument" if count == 1 else f"{count or 'no'} arguments"
