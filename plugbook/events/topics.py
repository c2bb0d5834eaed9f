"""Topics and the patterns that choose among them.

A topic is words joined by dots, such as ``order.placed``. In a pattern ``*`` stands for exactly one
word and ``**`` for any number of words, none included:

>>> matches("order.*", "order.placed"), matches("order.*", "order.line.added")
(True, False)
>>> matches("order.**", "order.line.added"), matches("order.**", "order")
(True, True)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from plugbook.errors import TopicError

_WORD = r"[A-Za-z0-9_\-]+"
_TOPIC = re.compile(rf"{_WORD}(\.{_WORD})*")
_PATTERN_WORD = re.compile(rf"\*\*|\*|{_WORD}")
_PARTS = {"*": rf"\.{_WORD}", "**": rf"(?:\.{_WORD})*"}


def check_topic(text: str) -> str:
    """The topic itself, if it is one.

    Raises:
        TopicError: it is empty, or has a character that topics do not have.
    """
    if not _TOPIC.fullmatch(text):
        msg = (
            f"{text!r} is not a topic: use words of letters, digits, '_' and '-', joined by dots, "
            "such as 'order.placed'"
        )
        raise TopicError(msg)
    return text


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a topic fits the pattern.

    Raises:
        TopicError: a word of the pattern is neither ``*``, ``**`` nor a word of a topic.
    """
    words = pattern.split(".")
    for word in words:
        if not _PATTERN_WORD.fullmatch(word):
            msg = (
                f"{pattern!r} is not a topic pattern: {word!r} is not a word; between dots stands a word, "
                "'*' for exactly one word, or '**' for any number"
            )
            raise TopicError(msg)
    # Every word is matched with the dot before it, so that '**' can stand for nothing at all.
    fits = re.compile("".join(_PARTS.get(word) or re.escape(f".{word}") for word in words)).fullmatch
    return lambda topic: fits(f".{topic}") is not None


def matches(pattern: str, topic: str) -> bool:
    """Whether the topic fits the pattern."""
    return compile_pattern(pattern)(topic)
