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

_WORD = re.compile(r"[\w\-]+")


def check_topic(text: object) -> str:
    """The topic itself, if it is one.

    Raises:
        TopicError: it is empty, or has a character that topics do not have.
    """
    if not isinstance(text, str) or not all(_WORD.fullmatch(word) for word in text.split(".")):
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
        if word not in ("*", "**") and not _WORD.fullmatch(word):
            msg = (
                f"{pattern!r} is not a topic pattern: {word!r} is not a word; between dots stands a word, "
                "'*' for exactly one word, or '**' for any number"
            )
            raise TopicError(msg)
    return lambda topic: _fits(words, topic.split("."))


def _fits(pattern: list[str], words: list[str]) -> bool:
    """Wildcard matching that only ever goes back to the last '**'.

    As a regular expression, some patterns took exponential time for topics that nearly fit.
    """
    at = here = retry = 0
    last_any = -1
    while here < len(words):
        expected = pattern[at] if at < len(pattern) else ""
        if expected == "**":
            last_any, retry = at, here
            at += 1
        elif expected in ("*", words[here]):
            at += 1
            here += 1
        elif last_any >= 0:
            at = last_any + 1
            retry += 1
            here = retry
        else:
            return False
    return all(word == "**" for word in pattern[at:])


def matches(pattern: str, topic: str) -> bool:
    """Whether the topic fits the pattern."""
    return compile_pattern(pattern)(topic)
