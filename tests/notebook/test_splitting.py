"""Splitting a magic's line into words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.notebook.splitting import split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  why   billing ", ["why", "billing"]),
        ("publish OrderPlaced(order_id=1, amount=2.0)", ["publish", "OrderPlaced(order_id=1, amount=2.0)"]),
        (
            'publish order.placed {"a": [1, {"b": "} "}]}',
            ["publish", "order.placed", '{"a": [1, {"b": "} "}]}'],
        ),
        ('open "my run.plugbook"', ["open", "my run.plugbook"]),
        ("mark don't stop :(", ["mark", "don't", "stop", ":("]),
        (r"open C:\runs\a.plugbook", ["open", r"C:\runs\a.plugbook"]),
        ("use d['a b'].host", ["use", "d['a b'].host"]),
    ],
)
def test_words_are_split_at_blanks_outside_quotes_and_brackets(line, words):
    """An expression, a JSON object and a quoted text are one word each."""
    assert split_words(line) == words


@given(st.text())
def test_any_line_can_be_split(line):
    """Whatever is typed, nothing but blanks and quotes around whole words is lost."""
    kept = "".join("".join(word.split()) for word in split_words(line))
    assert [c for c in line if not c.isspace() and c not in "'\""] == [c for c in kept if c not in "'\""]
