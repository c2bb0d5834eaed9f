"""The defaults that a person sets as in every IPython extension: ``c.Plugbook.<name>`` or ``%config Plugbook``."""

from __future__ import annotations

from typing import Any

from traitlets import Bool, Enum, Float, Int, List, Unicode, Union
from traitlets.config import Configurable


class Plugbook(Configurable):
    """Defaults of the magics."""

    payloads: Any = Enum(
        ("full", "summary", "reference", "none"), "full", help="How much of payloads a recording keeps."
    ).tag(config=True)
    cap_bytes = Int(65_536, min=1, help="The longest payload, in bytes, that a recording keeps in full.").tag(
        config=True
    )
    redact: Any = List(Unicode(), help="Names of fields whose values a recording hides.").tag(config=True)
    rate: Any = Union(
        [Float(min=1e-12), Enum(("max",))],
        default_value=1.0,
        help="Of a replay: a multiple of real time, or 'max'.",
    ).tag(config=True)
    scoped_cells = Bool(
        True,
        help="Whether what a cell registers is replaced when it runs again, and taken back when it fails.",
    ).tag(config=True)
