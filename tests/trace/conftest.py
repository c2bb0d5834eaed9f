"""The workbench of this room's tests."""

from collections.abc import Iterator

import pytest

from tests.trace.builders import Bench


@pytest.fixture
def bench(tmp_path) -> Iterator[Bench]:
    """Makes recorders in a folder of the test's own, and closes what the test leaves open."""
    made = Bench(tmp_path)
    yield made
    made.close()
