"""Making events out of what a recording holds of them: topic, version and payload."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from plugbook.errors import EventError
from plugbook.events.event import EventSchema
from plugbook.events.versions.known import classes_of, stand_in
from plugbook.events.versions.reading import Read, reader_of
from plugbook.events.versions.schemas import schemas
from plugbook.trace.writing.payload import HIDDEN

if TYPE_CHECKING:
    from plugbook.events.event import Event

_LEFT_OUT: Final = re.compile(r'"\$(?:more|type|cycle)":|… \(\+[\d,]+ characters\)"')


class RebuildError(Exception):
    """An event cannot be made from its record; the text says why."""


class EventTypes:
    """Finds, for a topic and version, the class of its events, and brings older payloads up to it.

    A class that a handler listens to comes first, for only its events reach that handler; then, where several
    packages have one of that topic and version, the class whose events look as recorded; then the one that was
    defined last. Where there is none, one is made that takes any field.

    Args:
        listened: the classes that handlers listen to.
        versions: since which seq a topic has had which version, in the order of seq; asked where a record
            does not know its own.
        recorded: the JSON Schema of events by ``topic@version``.
        outlined: whether payloads were recorded in outline, so that each has to be searched for what is left out.

    Attributes:
        remarks: what a person should know of a topic's class, by topic.
    """

    def __init__(
        self,
        listened: Iterable[type[Event]],
        versions: Iterable[tuple[int, str, int]],
        recorded: Mapping[str, Any],
        *,
        outlined: bool = False,
    ) -> None:
        self._outlined = outlined
        self._listened = tuple(listened)
        self._recorded = recorded
        self._since: dict[str, list[int]] = {}
        self._versions: dict[str, list[int]] = {}
        for seq, topic, version in versions:
            self._since.setdefault(topic, []).append(seq)
            self._versions.setdefault(topic, []).append(version)
        self._readers: dict[tuple[str, int], Read] = {}
        self.remarks: dict[str, str] = {}

    def rebuild(self, topic: str, seq: int, payload: str, version: int = 0) -> Event:
        """The event that a record tells of.

        Args:
            topic: its topic.
            seq: its seq.
            payload: its fields, as JSON.
            version: of its schema, 0 where the record does not know.

        Raises:
            RebuildError: the payload was cut, redacted or left out, does not fit the class, or could not be
                brought up to its version.
        """
        key = (topic, version or self._version(topic, seq))
        read = self._readers.get(key) or self._learn(*key)
        if self._outlined or HIDDEN in payload or payload.startswith('{"$') or not payload:
            reason = why_incomplete(payload, outlined=self._outlined)
            if reason:
                raise RebuildError(reason)
        try:
            return read(payload)
        except ValidationError as error:
            raise RebuildError(_first_line(error)) from error
        except EventError as error:
            raise RebuildError("; ".join([str(error), *getattr(error, "__notes__", ())])) from error

    def _version(self, topic: str, seq: int) -> int:
        since = self._since.get(topic)
        return self._versions[topic][max(bisect_right(since, seq) - 1, 0)] if since else 0

    def _learn(self, topic: str, version: int) -> Read:
        kind = self._find(topic, version)
        if kind is None:
            read = self._without_class(topic, version)
        elif version in (0, kind.__version__):
            read = reader_of(kind)
        else:
            read = partial(self._read_other, kind, version)
        self._readers[topic, version] = read
        return read

    def _find(self, topic: str, version: int) -> type[Event] | None:
        known = [kind for kind in self._listened if kind.__topic__ == topic] or classes_of(topic)
        same = [kind for kind in known if kind.__version__ == version]
        return self._as_recorded(topic, version, same) or next(reversed(same or known), None)

    def _as_recorded(self, topic: str, version: int, kinds: list[type[Event]]) -> type[Event] | None:
        # A class that was defined again, in a cell or by a reload, takes the place of the earlier one.
        latest = {(kind.__module__, kind.__qualname__): kind for kind in kinds}
        schema = self._recorded.get(f"{topic}@{version}")
        if schema is None or len(latest) == 1:
            return None
        same = (
            kind for kind in latest.values() if json.loads(EventSchema(kind).__plugbook_json__()) == schema
        )
        return next(same, None)

    def _read_other(self, kind: type[Event], version: int, payload: str) -> Event:
        event, how = schemas.read(kind.__topic__, version, payload, kind)
        told = f"recorded as version {version}, replayed as version {kind.__version__}"
        self.remarks[kind.__topic__] = f"{told}, {how}" if how else told
        return event

    def _without_class(self, topic: str, version: int) -> Read:
        told = "no class of that topic is defined here; handlers get an event that "
        if schemas.versions(topic):
            self.remarks[topic] = f"{told}fits the schema that was registered for it"
            return lambda payload: schemas.read(topic, version, payload)[0]
        self.remarks[topic] = f"{told}takes any field"
        try:
            return reader_of(stand_in(topic, version or 1, self._recorded.get(f"{topic}@{version}")))
        except EventError as error:
            raise RebuildError(str(error)) from error


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
