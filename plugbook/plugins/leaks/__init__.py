"""What plugins leave behind, and who holds it."""

from __future__ import annotations

from plugbook.plugins.leaks.leak import Leak, Leaks
from plugbook.plugins.leaks.paths import path_to
from plugbook.plugins.leaks.search import Holder, Runner, find_leaks, runners

__all__ = ["Holder", "Leak", "Leaks", "Runner", "find_leaks", "path_to", "runners"]
