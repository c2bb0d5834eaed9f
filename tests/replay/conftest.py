"""Hosts that record or replay the shop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from plugbook import Host, Plugin
from tests.replay.shop import SHOP, OrderPlaced

MakeHost = Callable[..., Host]


@pytest.fixture
def make_host() -> Iterator[MakeHost]:
    """Makes started hosts, which are closed at the end."""
    hosts: list[Host] = []

    def make(*plugins: type[Plugin]) -> Host:
        host = Host(plugins or SHOP)
        hosts.append(host)
        host.start()
        return host

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def recording(make_host, tmp_path):
    """Ten orders, closed."""
    host = make_host()
    recording = host.record(tmp_path / "shop.plugbook")
    for order_id in range(10):
        host.publish(OrderPlaced(order_id=order_id, amount=float(order_id)))
    recording.close()
    return recording
