"""Services: what is offered by type, and what is said to whom offers or asks for anything else."""

from __future__ import annotations

import pytest

from plugbook.errors import ServiceError
from plugbook.plugins.services import Services


@pytest.mark.parametrize("kind", ["store", None, {}])
def test_a_name_in_place_of_a_type_is_told_what_to_write(kind):
    """Who provides or asks for something by name is shown both the type and where names belong."""
    with pytest.raises(ServiceError, match=r"ctx\.provide\(Store, store\).*provides="):
        Services().provide("shop", kind, {})
    with pytest.raises(ServiceError, match=r"ctx\.get\(Store\)"):
        Services().get(kind)


def test_a_parametrised_type_is_a_type_of_its_own():
    """list[int] can be provided and asked for, and asking for it in vain is no other error."""
    services = Services()
    services.provide("shop", list[int], [1])
    assert services.get(list[int]) == [1]
    with pytest.raises(ServiceError, match="nobody provides list"):
        services.get(list[str])
