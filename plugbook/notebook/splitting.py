"""A magic's line as words: split at blanks, but not inside quotes and brackets, so that expressions stay whole."""

from __future__ import annotations

from typing import Final

_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_QUOTES: Final = "'\""


def split_words(line: str) -> list[str]:
    """The words of a line. A word that is one quoted text loses its quotes.

    >>> split_words('publish OrderPlaced(order_id=1, note="a b") --x')
    ['publish', 'OrderPlaced(order_id=1, note="a b")', '--x']
    >>> split_words("mark 'before the fix'"), split_words("mark don't stop")
    (['mark', 'before the fix'], ['mark', "don't", 'stop'])
    """
    words, start = [], 0
    while start < len(line):
        if line[start].isspace():
            start += 1
            continue
        end = _word_end(line, start)
        words.append(_unquoted(line[start:end]))
        start = end
    return words


def _word_end(line: str, start: int) -> int:
    """Where the word ends that starts there: at the first blank outside of quotes and brackets."""
    place = start
    open_brackets: list[str] = []
    while place < len(line) and (open_brackets or not line[place].isspace()):
        character = line[place]
        if character in _QUOTES:
            place = max(place, line.find(character, place + 1))  # one without a partner stands for itself
        elif character in _CLOSING and _CLOSING[character] in line[place:]:
            open_brackets.append(_CLOSING[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        place += 1
    return place


def _unquoted(word: str) -> str:
    quote = word[0]
    whole = len(word) > 1 and quote in _QUOTES and word.endswith(quote) and quote not in word[1:-1]
    return word[1:-1] if whole else word
