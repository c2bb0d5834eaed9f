"""Errors in one line: what was raised, and the place that a person would go to."""

from __future__ import annotations

import json

from plugbook.plugins.services import Services
from plugbook.trace.record import describe_error
from plugbook.trace.telling import place_of, recorded_place, show_place, tell


def _raised(function):
    try:
        function()
    except Exception as error:
        return error
    return None


def test_the_place_is_in_a_persons_own_code():
    """What libraries and plugbook itself raise is blamed on the line that called them."""
    for error in (_raised(lambda: json.loads("{")), _raised(lambda: Services().get(dict))):
        assert place_of(error, brief=True).startswith("test_telling.py:")
        assert recorded_place(describe_error(error), brief=True) == place_of(error, brief=True)


def test_a_group_is_placed_where_its_first_member_was_raised():
    """The line that put a group together says nothing."""
    group = ExceptionGroup("two", [_raised(lambda: 1 / 0), ValueError()])
    assert place_of(group) == place_of(group.exceptions[0])
    assert recorded_place(describe_error(group)) == place_of(group)
    assert place_of(ValueError()) == ""


def test_a_room_of_plugbook_is_never_the_place():
    """What plugbook raises, in whatever folder of its own, was raised for a line of somebody else's."""
    error = {
        "frames": [
            {"file": "/srv/shop.py", "line": 3},
            {"file": "/x/plugbook/plugins/finding/loader.py", "line": 9},
        ]
    }
    assert recorded_place(error, brief=True) == "shop.py:3"


def test_a_cell_is_called_the_cell():
    """No kernel's made-up file name is shown."""
    assert show_place("<ipython-input-3-0a>", 2) == "the cell, line 2"


def test_only_the_first_line_of_an_error_is_told():
    """Messages of many lines do not break what is one line by nature, and notes say what it was about."""
    error = ValueError("first\nsecond")
    error.add_note("while closing\nthe books")
    assert tell(error) == "ValueError: first (while closing)"

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    assert tell(Mute()) == "Mute: (its text raised)"
