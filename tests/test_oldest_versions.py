"""The lower bounds in pyproject.toml can be tried: every direct dependency has exactly one."""

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.oldest_versions import PYPROJECT, direct_requirements, oldest

EXTRAS = sorted(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"])


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_dependency_has_a_lower_bound(extra: str) -> None:
    """Each direct dependency, of the project and of its extras, names the oldest version it works with."""
    assert all(oldest(requirement) for requirement in direct_requirements([extra]))


def test_a_missing_bound_is_refused() -> None:
    """A dependency without a lower bound is an error that names it."""
    with pytest.raises(ValueError, match="click<9"):
        oldest(Requirement("click<9"))
