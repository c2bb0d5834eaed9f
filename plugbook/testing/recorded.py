"""Stands in for the recording of a host that the test has yet to make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import Bench


class RecordedHost:
    """The recording of a test's first host, as the fixture `recording` gives it before there is one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench.recording, name)

    def __getitem__(self, seq: int | str) -> Any:
        return self._bench.recording[seq]

    def __iter__(self) -> Any:
        return iter(self._bench.recording)

    def __len__(self) -> int:
        return len(self._bench.recording)

    def __repr__(self) -> str:
        return repr(self._bench.recording)
