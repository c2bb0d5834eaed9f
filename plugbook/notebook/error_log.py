"""The errors of a recording, newest first, read bit by bit while it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from plugbook.errors import UnknownNameError

from .markup import cut
from .views import error_place, error_text

if TYPE_CHECKING:
    import pandas as pd

    from plugbook.trace.reading.recording import Recording

KEPT: Final = 100
"""How many errors are kept to show; all are counted."""

_CALLS: Final = ["seq", "time", "topic", "name", "plugin", "outcome", "error", "reason"]
_STATES: Final = ["seq", "time", "plugin", "before", "after", "error", "reason"]
_LOGS: Final = ["seq", "time", "plugin", "level", "message"]


class ErrorLog:
    """What went wrong in calls, in transitions and in what plugins logged as an error.

    Attributes:
        rows: the latest, newest first: ``seq`` as shown, ``time``, ``where``, ``plugin``, ``topic``, ``message``,
            and ``place``, the line of code that raised it.
        count: how many there were in all.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.count = 0
        self._read: tuple[int, int] | None = None

    def read(self, recording: Recording) -> bool:
        """Read what was recorded since the last time; say whether there was anything, errors or not."""
        version = recording.version
        known = self._read
        if known == (id(recording), version):
            return False
        self._read = (id(recording), version)
        news = recording.since(known[1]) if known is not None and known[0] == id(recording) else recording
        found = _errors(news)
        seen = {row["number"] for row in self.rows}
        new = [row for row in found if row["number"] not in seen]
        self.rows = sorted([*new, *self.rows], key=lambda row: -row["number"])[:KEPT]
        for row in self.rows:
            if row["place"] is None:
                row["place"] = _place_in(recording, row["number"])
        self.count += len(new)
        return True


def _errors(recording: Recording) -> list[dict[str, Any]]:
    failed = recording.select(outcome=("error", "timeout"))
    rows = [
        _row(line, line["name"], line["topic"], line["error"] or line["reason"] or line["outcome"])
        for line in _lines(failed.calls(columns=_CALLS))
    ]
    rows += [
        _row(line, f"{line['before']} → {line['after']}", "", line["error"] or line["reason"])
        for line in _lines(failed.states(columns=_STATES))
    ]
    logged = recording.logs(columns=_LOGS)
    logged = logged[logged["level"].astype(str).isin(("error", "critical"))]
    return rows + [_row(line, "log", "", line["message"]) for line in _lines(logged)]


def _place_in(recording: Recording, seq: int) -> str:
    try:
        return error_place(recording[seq].error)
    except UnknownNameError:  # a recording in memory has dropped it meanwhile
        return ""


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in line.items()} for line in frame.to_dict("records")]


def _row(line: dict[str, Any], where: str, topic: str, message: str) -> dict[str, Any]:
    from plugbook.trace.record import show_seq

    return {
        "number": int(line["seq"]),
        "seq": show_seq(int(line["seq"])),
        "time": f"{line['time']:%H:%M:%S.%f}"[:-3],
        "where": str(where),
        "plugin": str(line["plugin"]),
        "topic": str(topic),
        "message": cut(error_text(str(message))),
        "place": None,  # read for those that are kept alone
    }
