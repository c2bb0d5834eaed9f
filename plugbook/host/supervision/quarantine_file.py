"""The file that remembers who is quarantined when the host that set them aside has ended."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from plugbook.errors import QuarantineError

if TYPE_CHECKING:
    from os import PathLike

_log = logging.getLogger("plugbook.host")

_FORMAT: Final = 1


class Entry(BaseModel):
    """One plugin that was set aside.

    Attributes:
        reason: why, such as ``Billing.bill failed after 3 restarts in 60 s: ValueError: no rate``.
        since: when, in UTC.
        version: of the plugin, as it was then.
    """

    model_config = ConfigDict(frozen=True)

    reason: str
    since: datetime
    version: str

    def told(self, version: str) -> str:
        """The reason with the day, for a plugin that is there as `version` now."""
        day = self.since.astimezone().strftime("%Y-%m-%d %H:%M")
        other = f", as {self.version}; here is {version}" if version != self.version else ""
        return f"{self.reason} (quarantined on {day}{other})"


class _Kept(BaseModel):
    """What the file holds."""

    format: int = _FORMAT
    quarantined: dict[str, Entry] = {}


class QuarantineFile:
    """The plugins that were set aside, by name, also those that are not on the host at the moment.

    Args:
        path: a JSON file of this host alone, made when the first plugin is set aside; None to forget with the host.

    Raises:
        QuarantineError: the file cannot be read, or its folder is not there.
    """

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        self._path = Path(path) if path is not None else None
        self._entries = _read(self._path) if self._path is not None else {}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def put(self, name: str, entry: Entry) -> None:
        """Remember that a plugin was set aside."""
        self._entries[name] = entry
        self._write()

    def take_out(self, name: str) -> None:
        """Forget that it was; nothing happens where it was not."""
        if self._entries.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        """Replace the file in one step; a host whose disk is full goes on, and says what will be forgotten."""
        if self._path is None:
            return
        try:
            _replace(self._path, _Kept(quarantined=self._entries).model_dump_json(indent=2))
        except OSError as error:
            _log.warning(
                "who is quarantined could not be written to %s: %s. It holds until this host is closed, and is "
                "written with the next change.",
                self._path,
                error,
            )


def _read(path: Path) -> dict[str, Entry]:
    if not path.parent.is_dir():
        msg = f"the quarantine file {path} cannot be made: there is no folder {path.parent}. Make it first."
        raise QuarantineError(msg, path=str(path))
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    try:
        kept = _Kept.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _unreadable(path, f"{place}: {first['msg']}" if place else first["msg"]) from error
    if kept.format > _FORMAT:
        raise _unreadable(path, f"a later plugbook wrote it (format {kept.format})")
    return kept.quarantined


def _unreadable(path: Path, why: str) -> QuarantineError:
    msg = (
        f"the quarantine file {path} cannot be read: {why}. It says which plugins were set aside, so no host was "
        "made without it, and it was left as it is. Mend it, or move it away to begin with nobody quarantined."
    )
    return QuarantineError(msg, path=str(path))


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
