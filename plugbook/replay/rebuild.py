"""Making events out of what a recording holds of them: topic, version and payload."""

from __future__ import annotations

import json
import re
import types
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from pydantic import ValidationError

from plugbook.errors import EventError
from plugbook.events.event import Event
from plugbook.trace.payload import HIDDEN

_LEFT_OUT: Final = re.compile(r'"\$(?:more|type|cycle)":|… \(\+[\d,]+ characters\)"')
_NAME: Final = re.compile(r"[A-Za-z]\w*")


class RebuildError(Exception):
    """An event cannot be made from its record; the text says why."""


class RebuiltEvent(Event, topic="rebuilt", extra="allow"):
    """Stands for an event whose class is not at hand: its fields are what the payload holds, unvalidated."""

    stand_in: ClassVar[bool] = True


class EventTypes:
    """Finds, for a topic and version, the class of its events.

    A class that a handler listens to comes first, for only its events reach that handler; then the class
    with that topic that was defined last. Where there is none, one is made that takes any field.

    Args:
        listened: the classes that handlers listen to.
        versions: since which seq a topic has had which version, in the order of seq.
        schemas: the JSON Schema of events by ``topic@version``.
        outlined: whether payloads were recorded in outline, so that each has to be searched for what is left out.

    Attributes:
        remarks: what a person should know of a topic's class, by topic.
    """

    def __init__(
        self,
        listened: Iterable[type[Event]],
        versions: Iterable[tuple[int, str, int]],
        schemas: Mapping[str, Any],
        *,
        outlined: bool = False,
    ) -> None:
        self._outlined = outlined
        self._listened = tuple(listened)
        self._schemas = schemas
        self._since: dict[str, list[int]] = {}
        self._versions: dict[str, list[int]] = {}
        for seq, topic, version in versions:
            self._since.setdefault(topic, []).append(seq)
            self._versions.setdefault(topic, []).append(version)
        self._makers: dict[tuple[str, int], Callable[[str], Event]] = {}
        self._only_makers: dict[str, Callable[[str], Event]] = {}
        self.remarks: dict[str, str] = {}

    def rebuild(self, topic: str, seq: int, payload: str) -> Event:
        """The event that a record tells of.

        Raises:
            RebuildError: the payload was cut, redacted or left out, or does not fit the class.
        """
        make = self._only_makers.get(topic) or self._maker(topic, seq)
        if self._outlined or HIDDEN in payload or payload.startswith('{"$') or not payload:
            reason = why_incomplete(payload, outlined=self._outlined)
            if reason:
                raise RebuildError(reason)
        try:
            return make(payload)
        except ValidationError as error:
            raise RebuildError(_first_line(error)) from error

    def _maker(self, topic: str, seq: int) -> Callable[[str], Event]:
        version = self._version(topic, seq) if topic in self._since else 0
        make = self._makers.get((topic, version)) or self._learn(topic, version)
        if len(set(self._versions.get(topic, ()))) < 2:
            self._only_makers[topic] = make
        return make

    def _version(self, topic: str, seq: int) -> int:
        since = self._since[topic]
        return self._versions[topic][max(bisect_right(since, seq) - 1, 0)]

    def _learn(self, topic: str, version: int) -> Callable[[str], Event]:
        kind = self._find(topic, version) or self._stand_in(topic, version)
        if version and kind.__version__ != version:
            self.remarks[topic] = f"recorded as version {version}, replayed as version {kind.__version__}"
        maker = self._makers[topic, version] = _maker(kind)
        return maker

    def _find(self, topic: str, version: int) -> type[Event] | None:
        listened = [kind for kind in self._listened if kind.__topic__ == topic]
        known = listened or [kind for kind in _subclasses(Event) if kind.__topic__ == topic]
        if not known:
            return None
        return ([kind for kind in known if kind.__version__ == version] or known)[-1]

    def _stand_in(self, topic: str, version: int) -> type[Event]:
        title = str(self._schemas.get(f"{topic}@{version}", {}).get("title", ""))
        name = title if _NAME.fullmatch(title) else "RebuiltEvent"
        self.remarks[topic] = (
            "no class of that topic is defined here; handlers get an event that takes any field"
        )
        try:
            made = types.new_class(name, (RebuiltEvent,), {"topic": topic, "version": version or 1})
        except EventError as error:
            raise RebuildError(str(error)) from error
        return made


def _subclasses(kind: type[Event]) -> Iterator[type[Event]]:
    """Every event class that is defined, of the subclasses of each class the latest last."""
    for each in kind.__subclasses__():
        if not getattr(each, "stand_in", False):
            yield each
            yield from _subclasses(each)


def _maker(kind: type[Event]) -> Callable[[str], Event]:
    """What makes an event of JSON text; payloads are written by the names of fields, computed ones included."""
    validate: Callable[[str], Event] = kind.__pydantic_validator__.validate_json
    computed = set(kind.__pydantic_decorators__.computed_fields)
    aliases = {name: alias for name, field in kind.model_fields.items() if (alias := _alias(field))}
    if kind.model_config.get("populate_by_name"):
        aliases = {}
    if not computed and not aliases:
        return validate

    def adapt(payload: str) -> Event:
        fields = json.loads(payload)
        kept = {aliases.get(name, name): value for name, value in fields.items() if name not in computed}
        return validate(json.dumps(kept))

    return adapt


def _alias(field: Any) -> str | None:
    alias = field.validation_alias or field.alias
    return alias if isinstance(alias, str) else None


def why_incomplete(text: str, *, outlined: bool = False, what: str = "payload") -> str:
    """Why a recorded payload or result is not what it was, and how to record it next time; empty where it is."""
    if not text:
        return f"its {what} was not recorded; record with payloads='full'"
    if text.startswith('{"$ref":'):
        return f"its {what} was recorded by reference alone; record with payloads='full'"
    if text.startswith('{"$cut":'):
        return f"its {what} was cut; record with a larger cap_bytes="
    if HIDDEN in text:
        hidden = ", ".join(filter(None, _hidden_fields(json.loads(text))))
        return f"secrets in its {what} were redacted{': ' * bool(hidden)}{hidden}"
    if outlined and _LEFT_OUT.search(text):
        return f"its {what} was recorded in outline; record with payloads='full'"
    return ""


def _hidden_fields(value: Any, path: str = "") -> Iterator[str]:
    if value == HIDDEN:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _hidden_fields(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _hidden_fields(item, f"{path}.{index}")


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "payload"
    return f"it does not fit {error.title}: {where}: {first['msg']}"
