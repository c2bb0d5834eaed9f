"""Type aliases that several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

Kind = Literal["event", "call", "state", "change", "input", "log", "checkpoint", "mark"]
Outcome = Literal["ok", "error", "timeout", "cancelled", "skipped", "unhandled", "open"]
Payloads = Literal["full", "summary", "reference", "none"]
Disconnect = Callable[[], None]
Json = dict[str, Any] | list[Any] | str | int | float | bool | None
