"""Texts that match a regular expression, short ones first, found by walking through its parse tree.

Python keeps the parser of its own `re` under a private name, which has been stable since 3.11 and which hypothesis
reads as well; lookaheads and conditions are not followed but tried: what comes out is checked against the pattern.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from re import _constants as words  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

_LETTERS: Final = string.ascii_lowercase + string.ascii_uppercase + string.digits + string.punctuation + " "
_ANYTHING: Final = _LETTERS + "\t\n\r\x0b\x0c"
_CATEGORIES: Final = {
    words.CATEGORY_DIGIT: r"\d",
    words.CATEGORY_NOT_DIGIT: r"\D",
    words.CATEGORY_SPACE: r"\s",
    words.CATEGORY_NOT_SPACE: r"\S",
    words.CATEGORY_WORD: r"\w",
    words.CATEGORY_NOT_WORD: r"\W",
}
_CHOICES: Final = 24


def matching(pattern: str, at_least: int = 0, at_most: int | None = None) -> Iterator[str]:
    r"""Some of the texts in which a pattern is found, of a length within bounds; maybe none.

    >>> next(matching(r"^[A-Z]{2}-\d+$", at_least=6))
    'AA-000'
    >>> next(matching(r"^\d{4}-\d{4}-\d{4}$"))
    '0000-0000-0000'

    Raises:
        re.error: it is no pattern.
    """
    tree, found = parser.parse(pattern), re.compile(pattern, re.ASCII)
    longest = max(at_least, tree.getwidth()[0]) + 8 if at_most is None else at_most
    seen: set[str] = set()
    for choice in range(_CHOICES):
        for more in range(min(longest, at_least + 8) + 1):
            text = _Writer(choice, more).write(tree)
            text += "".join("a" for _ in range(at_least - len(text)))
            if at_least <= len(text) <= longest and text not in seen and found.search(text):
                seen.add(text)
                yield text


class _Writer:
    """Writes one text.

    Args:
        choice: which member of a union and of a character class is taken.
        more: how often the repetitions are repeated beyond what they need, all together.
    """

    def __init__(self, choice: int, more: int) -> None:
        self._choice = choice
        self._more = more
        self._groups: dict[int, str] = {}

    def write(self, tree: Any) -> str:
        """What a parse tree matches."""
        return "".join(self._write(op, argument) for op, argument in tree)

    def _write(self, op: Any, argument: Any) -> str:
        if op is words.LITERAL:
            return chr(argument)
        if op in (words.ANY, words.NOT_LITERAL, words.IN):
            return self._pick(op, argument)
        if op in (words.MAX_REPEAT, words.MIN_REPEAT, words.POSSESSIVE_REPEAT):
            return self._repeat(*argument)
        if op is words.BRANCH:
            options = argument[1]
            return self.write(options[self._choice % len(options)])
        if op is words.SUBPATTERN:
            number, _, _, tree = argument
            self._groups[number] = text = self.write(tree)
            return text
        if op is words.ATOMIC_GROUP:
            return self.write(argument)
        return self._groups.get(argument, "") if op is words.GROUPREF else ""

    def _repeat(self, least: int, most: int, tree: Any) -> str:
        more = min(self._more, most - least) if most is not words.MAXREPEAT else self._more
        self._more -= more
        return "".join(self.write(tree) for _ in range(least + more))

    def _pick(self, op: Any, argument: Any) -> str:
        if op is words.ANY:
            fits = _LETTERS
        elif op is words.NOT_LITERAL:
            fits = _LETTERS.replace(chr(argument), "")
        else:
            fits = _members(argument)
        return fits[self._choice % len(fits)] if fits else ""


def _members(parts: list[tuple[Any, Any]]) -> str:
    """The characters of a class, letters and digits first where it has any."""
    is_negated = bool(parts) and parts[0][0] is words.NEGATE
    ascii_ones = "".join(each for each in _ANYTHING if _is_in(each, parts) is not is_negated)
    if ascii_ones or is_negated:
        return ascii_ones
    first = [
        argument if op is words.LITERAL else argument[0] for op, argument in parts if op is not words.CATEGORY
    ]
    return "".join(map(chr, first))


def _is_in(letter: str, parts: list[tuple[Any, Any]]) -> bool:
    for op, argument in parts:
        if op is words.LITERAL and ord(letter) == argument:
            return True
        if op is words.RANGE and argument[0] <= ord(letter) <= argument[1]:
            return True
        if op is words.CATEGORY and re.match(_CATEGORIES[argument], letter, re.ASCII):
            return True
    return False
