"""Bringing a payload from the version it was written in to a newer one, a step at a time."""

from __future__ import annotations

import copy
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from plugbook.errors import PayloadError, SchemaError, UpcastError
from plugbook.events.dispatch.registrations import NOTEBOOK, Redo, Registration, current_registrar
from plugbook.events.event import Event
from plugbook.events.middleware import takes
from plugbook.events.topics import check_topic

if TYPE_CHECKING:
    from plugbook._types import Json

Payload = dict[str, Any]
Upcast = Callable[[Payload], Payload]
Check = Callable[[str, Mapping[str, Any], int], None]
"""Raises PayloadError where a payload is known not to fit a version of a topic."""


@dataclass(frozen=True, slots=True)
class Step:
    """One upcaster.

    Attributes:
        topic: of the payloads it takes.
        version: of the payloads it takes; it gives those of the next one.
        function: what does it.
    """

    topic: str
    version: int
    function: Upcast

    @property
    def name(self) -> str:
        """The function as a person knows it."""
        return str(getattr(self.function, "__qualname__", type(self.function).__qualname__))

    def __str__(self) -> str:
        return f"upcaster {self.name} ({self.topic}, version {self.version} to {self.version + 1})"

    def run(self, payload: Mapping[str, Any]) -> Payload:
        """What the function makes of a copy of the payload.

        Raises:
            UpcastError: it raised, or gave back no payload.
        """
        try:
            made: object = self.function(copy.deepcopy(dict(payload)))
        except Exception as error:
            msg = f"{self} failed: {type(error).__name__}: {error}"
            raise UpcastError(msg, topic=self.topic, version=self.version) from error
        if not isinstance(made, dict):
            msg = f"{self} returned {type(made).__name__}; return the new payload, a dict"
            raise UpcastError(msg, topic=self.topic, version=self.version)
        return made


class Upcasters:
    """All upcasters of a process, by the module they come from: they go when it is unloaded."""

    def __init__(self) -> None:
        self._by_module: WeakKeyDictionary[ModuleType, dict[tuple[str, int], Step]] = WeakKeyDictionary()

    def add(
        self, target: type[Event] | str, from_version: int, function: Upcast, *, replace: bool = False
    ) -> None:
        """Have a function bring payloads of a topic from one version to the next.

        One that a cell of a notebook defines goes when the cell fails or runs again, as all that it registers.

        Raises:
            SchemaError: another function does that already, it takes no payload, or the version is not one.
            TopicError: the topic is not one.
        """
        topic = _topic_of(target, from_version)
        step = Step(topic, from_version, function)
        if not callable(function):
            msg = f"{step}: an upcaster is a function of a payload, not {function!r}"
            raise SchemaError(msg)
        if not takes(function, 1):
            msg = f"{step}: an upcaster is called with one payload, and this one takes {inspect.signature(function)}"
            raise SchemaError(msg)
        there = self.get(topic, from_version)
        if there is not None and not replace and _origin(there.function) != _origin(function):
            msg = (
                f"{step}: there is {there.name} in {_module_of(there.function)} for that step already; "
                "keep one of them, or give replace=True"
            )
            raise SchemaError(msg)
        self._put(step)
        registrar = current_registrar.get()
        if registrar is not None and _module_of(function) == NOTEBOOK:
            take_back = partial(Upcasters._take_back, step=step)
            registrar.note(Registration("upcaster", str(step), weakref.ref(self), take_back))

    def _put(self, step: Step) -> None:
        for steps in self._there():
            steps.pop((step.topic, step.version), None)
        module = sys.modules.get(_module_of(step.function), sys.modules[__name__])
        self._by_module.setdefault(module, {})[step.topic, step.version] = step

    def _take_back(self, _: str, *, step: Step) -> Redo | None:
        if self.get(step.topic, step.version) is not step:
            return None
        for steps in list(self._by_module.values()):
            steps.pop((step.topic, step.version), None)
        return lambda _: self._put(step)

    def _there(self) -> Iterator[dict[tuple[str, int], Step]]:
        """Those of each module, but not of one that was unloaded and that somebody still holds.

        Such a module may come back, where what was to take its place could not be imported.
        """
        for module, steps in list(self._by_module.items()):
            if sys.modules.get(module.__name__) is module:
                yield steps

    def _steps(self) -> Iterator[Step]:
        for steps in self._there():
            yield from list(steps.values())

    def get(self, topic: str, version: int) -> Step | None:
        """The one that takes that version of a topic, or None."""
        return next((step for step in self._steps() if (step.topic, step.version) == (topic, version)), None)

    def versions(self, topic: str) -> tuple[int, ...]:
        """The versions of a topic that some upcaster takes."""
        return tuple(sorted(step.version for step in self._steps() if step.topic == topic))

    def topics(self) -> set[str]:
        """The topics that have any."""
        return {step.topic for step in self._steps()}

    def missing(self, topic: str, version: int, to: int) -> int | None:
        """The first version on the way that no upcaster takes, or None where the way is complete."""
        return next((each for each in range(version, to) if self.get(topic, each) is None), None)

    def chain(self, topic: str, version: int, to: int) -> list[Step]:
        """The steps from one version to another.

        Raises:
            UpcastError: one is missing.
        """
        missing = self.missing(topic, version, to)
        if missing is not None:
            msg = (
                f"{topic} cannot be brought from version {version} to {to}: no upcaster takes version {missing}. "
                f'Write one: @upcaster("{topic}", {missing}) on a function that makes a version {missing + 1} '
                "payload of a dict"
            )
            raise UpcastError(msg, topic=topic, version=missing)
        return [step for each in range(version, to) if (step := self.get(topic, each))]

    def run(self, topic: str, version: int, payload: Mapping[str, Json], to: int, check: Check) -> Payload:
        """The payload as version `to` has it; what was given is not changed.

        Args:
            topic: the topic.
            version: of the payload.
            payload: its fields, as JSON.
            to: the version that is wanted.
            check: told the result of each step.

        Raises:
            UpcastError: a step is missing, failed, or gave what does not fit the next version.
        """
        if version > to:
            msg = f"{topic} is of version {version} already, and cannot be brought back to {to}"
            raise UpcastError(msg, topic=topic, version=version)
        made: Payload = copy.deepcopy(dict(payload))
        for step in self.chain(topic, version, to):
            made = step.run(made)
            try:
                check(topic, made, step.version + 1)
            except PayloadError as error:
                msg = f"{step} gave what does not fit: {'; '.join(error.problems)}"
                raise UpcastError(msg, topic=topic, version=step.version) from error
        return made


def _topic_of(target: object, from_version: object) -> str:
    if type(from_version) is not int or from_version < 1:
        msg = f"an upcaster takes payloads of a version, a whole number from 1, not {from_version!r}"
        raise SchemaError(msg)
    if isinstance(target, type) and issubclass(target, Event):
        if from_version >= target.__version__:
            msg = (
                f"{target.__name__} is version {target.__version__}, so there is nothing to bring from version "
                f"{from_version} to {from_version + 1}; did you mean to give the class another version=?"
            )
            raise SchemaError(msg)
        return target.__topic__
    if not isinstance(target, str):
        msg = f"an upcaster is for an event class or a topic such as 'order.placed', not {target!r}"
        raise SchemaError(msg)
    return check_topic(target)


def _module_of(function: Upcast) -> str:
    return str(getattr(function, "__module__", ""))


def _origin(function: Upcast) -> tuple[str, object]:
    """Where a function comes from: one that is defined again, as by running a cell again, is the same."""
    return _module_of(function), getattr(function, "__qualname__", function)
