"""The fixtures that pytest finds wherever plugbook is installed; nothing is imported before one is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugbook.host.host import Host


@pytest.fixture
def host() -> Iterator[Host]:
    """A host without plugins, closed when the test ends."""
    from plugbook.host.host import Host

    with Host() as host:
        yield host
