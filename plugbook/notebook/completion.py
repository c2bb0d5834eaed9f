"""Completes what is typed after ``%pb``, with what the command table knows and nothing else mixed in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from .splitting import split_words

if TYPE_CHECKING:
    from .magics import Notebook

_LINE = re.compile(r"(?:^|=)\s*%(?:pb|plugbook)\s+(.*)$", re.DOTALL)


def matcher_for(door: Notebook) -> Callable[[CompletionContext], Any]:
    """A matcher for `IPCompleter.custom_matchers`."""

    @context_matcher(identifier="plugbook")  # type: ignore[untyped-decorator]
    def plugbook_words(context: CompletionContext) -> dict[str, Any]:
        """The words, names and options that could stand there."""
        typed = _LINE.search(context.text_until_cursor)
        if typed is None:
            return {"completions": []}
        before, incomplete = _last_word(typed[1])
        found, expressions_too = door.complete(before, incomplete)
        return {
            "completions": [SimpleCompletion(text=text, type="plugbook") for text in found],
            "matched_fragment": incomplete,
            "suppress": not expressions_too,
            "ordered": True,
        }

    matcher: Callable[[CompletionContext], Any] = plugbook_words
    return matcher


def _last_word(typed: str) -> tuple[str, str]:
    """What stands before the word under the cursor, and that word; it is empty after a blank."""
    words = split_words(typed)
    if not words or typed[-1].isspace():
        return typed, ""
    return typed[: typed.rindex(words[-1])], words[-1]
