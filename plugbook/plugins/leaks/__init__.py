"""What plugins leave behind, and who holds it."""

from __future__ import annotations

from plugbook.plugins.leaks.begun import Begun
from plugbook.plugins.leaks.leak import Leak, Leaks
from plugbook.plugins.leaks.owners import Life
from plugbook.plugins.leaks.paths import path_to
from plugbook.plugins.leaks.search import find_leaks
from plugbook.plugins.leaks.unloaded import Unloaded

__all__ = ["Begun", "Leak", "Leaks", "Life", "Unloaded", "find_leaks", "path_to"]
