"""Which options differ between two configurations of a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .fields import Path


def differing(old: BaseModel, new: BaseModel, path: Path = ()) -> Iterator[Path]:
    """The paths of the options that differ, down to where models end.

    >>> class Tax(BaseModel):
    ...     rate: float = 0.2
    ...     name: str = "VAT"
    >>> class Config(BaseModel):
    ...     tax: Tax = Tax()
    >>> list(differing(Config(), Config(tax=Tax(rate=0.1))))
    [('tax', 'rate')]
    """
    before, after = dict(old), dict(new)
    for name in dict.fromkeys([*before, *after]):
        was, becomes = before.get(name), after.get(name)
        if isinstance(was, BaseModel) and isinstance(becomes, BaseModel) and type(was) is type(becomes):
            yield from differing(was, becomes, (*path, name))
        elif not _same(was, becomes):
            yield (*path, name)


def _same(was: Any, becomes: Any) -> bool:
    try:
        return bool(was == becomes)
    except Exception:  # what cannot be compared, such as two arrays, may differ
        return False
