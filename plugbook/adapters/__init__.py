"""Adapters: one room for each foreign plugin system, turning what happens there into records."""

from __future__ import annotations

from plugbook.adapters.attaching import attach

__all__ = ["attach"]
