"""The methods of a plugin that its host calls: how each is to be written, and what is said of one that is not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Final, NamedTuple

from plugbook.errors import ManifestError, PlugbookWarning
from plugbook.plugins.reloading.keeping import HANDLER_MARK, Keeping, is_defined, state_problem
from plugbook.plugins.warning import warn

if TYPE_CHECKING:
    from plugbook.plugins.plugin import Plugin


class Called(NamedTuple):
    """How a method is called.

    Attributes:
        shape: how it is to be written.
        given: what it is called with, for messages.
        instead_of_yield: what to do instead, where one might well be written with ``yield``.
    """

    shape: str
    given: str
    instead_of_yield: str = ""

    @property
    def arity(self) -> int:
        """How many arguments it takes, `self` being one."""
        return self.shape.count(",") + 1


CALLED: Final = {
    "start": Called("start(self, ctx)", "the plugin's context", ". For what runs at stop there is ctx.defer"),
    "on_config_change": Called("on_config_change(self, old, new)", "the old and the new configuration"),
    "snapshot": Called("snapshot(self)", "nothing"),
    "restore": Called("restore(self, state)", "the state"),
    "migrate": Called("migrate(self, state, from_version)", "the state and the version it has"),
    "health": Called("health(self)", "nothing"),
    "on_reload": Called("on_reload(self, plugin)", "the name of a plugin"),
}
"""The methods that the host calls, by name; those that a reload calls are explained in `Keeping`."""

_TO_START = "Call it start(self, ctx)"
_TO_LISTEN = "Call it on_config_change(self, old, new)"
_TO_STOP = "Call ctx.defer(self.{name}) in start, and it runs at stop, whatever happened"
_NEVER_CALLED = {
    "on_start": _TO_START,
    "setup": _TO_START,
    "activate": _TO_START,
    "config_changed": _TO_LISTEN,
    "on_config_changed": _TO_LISTEN,
    "on_configure": _TO_LISTEN,
    "stop": _TO_STOP,
    "on_stop": _TO_STOP,
    "teardown": _TO_STOP,
    "shutdown": _TO_STOP,
    "deactivate": _TO_STOP,
}
"""Methods that other plugin systems call, and what to do instead of waiting for it."""


def check_methods(cls: type[Plugin], place: str) -> None:
    """Refuse a class whose methods the host could not call.

    Raises:
        ManifestError: names the method, and how to write it.
    """
    _check_init(cls, place)
    defined = [name for name in CALLED if not hasattr(Keeping, name) or is_defined(cls, name)]
    for name in defined:
        _check_called(cls, name, CALLED[name], place)
    if problem := state_problem(defined):
        msg = f"{place}: {problem}."
        raise ManifestError(msg, plugin=cls.manifest.name)


def warn_of_uncalled(cls: type[Plugin], place: str) -> None:
    """Warn of a method that looks as if the host called it, unless the class uses it itself."""
    functions = {name: value for name, value in vars(cls).items() if isinstance(value, FunctionType)}
    used = {used for function in functions.values() for used in _names_in(function.__code__)}
    for name in _NEVER_CALLED:
        if name in functions and name not in used and not hasattr(functions[name], HANDLER_MARK):
            msg = f"{place}: nobody calls {name}. {uncalled_remedy(name)}."
            warn(msg, PlugbookWarning)


def uncalled_remedy(method: str) -> str:
    """What to write instead of a method that only other plugin systems call; ``""`` of any other method.

    >>> uncalled_remedy("setup")
    'Call it start(self, ctx)'
    """
    return _NEVER_CALLED.get(method, "").format(name=method)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _check_init(cls: type[Plugin], place: str) -> None:
    if cls.__init__ is object.__init__:
        return
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            msg = (
                f"{place}: __init__ needs {parameter.name!r}, but the host makes plugins without arguments. "
                "Give it a default, or read it from self.ctx.config in start."
            )
            raise ManifestError(msg, plugin=cls.manifest.name)


def _check_called(cls: type[Plugin], name: str, called: Called, place: str) -> None:
    """Check that the host can call a method as it will."""
    method, bound = inspect.getattr_static(cls, name), getattr(cls, name)
    problem = ""
    if not isinstance(method, FunctionType | staticmethod | classmethod):
        problem = f"{name} is a {type(method).__name__}, not a method"
    elif inspect.isgeneratorfunction(bound) or inspect.isasyncgenfunction(bound):
        problem = f"{name} yields, so calling it would run nothing{called.instead_of_yield}"
    elif isinstance(method, FunctionType):
        try:
            inspect.signature(method).bind(*[None] * called.arity)
        except TypeError:
            problem = f"{name} takes {inspect.signature(method)}, but it is called with {called.given}"
    if problem:
        msg = f"{place}: {problem}. Write def {called.shape}."
        raise ManifestError(msg, plugin=cls.manifest.name)
