"""One version of a plugin that discovery found, on a host that may use another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugbook.plugins.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Available:
    """A version of a plugin that is there to be used.

    Attributes:
        manifest: what it says about itself, and where it is from.
        reason: why it is not the one that is used; ``""`` if it is.
    """

    manifest: Manifest
    reason: str

    @property
    def is_used(self) -> bool:
        """Whether it is the version that the host uses."""
        return not self.reason

    def __str__(self) -> str:
        return f"{self.manifest} ({self.manifest.source}): {self.reason or 'used'}"

    __repr__ = __str__
