"""The picture of the lifecycle: all of the table, and nothing that the table does not say."""

import re
from xml.etree import ElementTree as ET

from plugbook.notebook import charts
from plugbook.plugins.lifecycle import TRANSITIONS, State

SVG = "{http://www.w3.org/2000/svg}"


def drawn():
    return ET.fromstring(charts.lifecycle()._repr_svg_())


def texts(size):
    return [text.text for text in drawn().iter(f"{SVG}text") if text.get("font-size") == size]


def test_every_state_is_drawn_once():
    """Each state has its box."""
    assert sorted(texts("12")) == sorted(State)


def test_every_transition_is_drawn_or_told():
    """There is an arrow with its request for each transition, or the line below the picture names it."""
    *words, line = texts("11")
    told = set(re.findall(r"\w+", line))
    for state, row in TRANSITIONS.items():
        for request in row:
            if not (state in told and request in told):
                words.remove(request)
    assert words == []


def test_everything_lies_inside_the_picture():
    """No box and no word is cut off."""
    root = drawn()
    width, height = float(root.get("width")), float(root.get("height"))
    for box in [*root.iter(f"{SVG}rect")][1:]:
        assert 0 <= float(box.get("x")) <= width - float(box.get("width"))
        assert 0 <= float(box.get("y")) <= height - float(box.get("height"))


def test_a_terminal_shows_it_as_text():
    """Where no picture is shown, the diagram is there as Mermaid text."""
    assert repr(charts.lifecycle()).startswith("stateDiagram-v2")
