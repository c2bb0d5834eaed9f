"""Events that nobody handles: which plugin would have, and what to do."""

from __future__ import annotations

import asyncio

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import HostClosedError
from tests.host.conftest import InvoiceSent, OrderPlaced


def test_a_host_that_was_not_started_says_so(shop):
    """Publishing before the start names the plugin that would have handled it, and how to start it."""
    assert shop.publish(OrderPlaced(order_id=1)).reason == "billing is not started: host.start()"
    assert shop.publish(Event()).reason == "no plugin was started: host.start()"
    assert Host().publish(Event()).reason == ""


def test_a_stopped_plugin_is_named_and_a_started_one_is_not(shop):
    """What is said of an event that nobody handles follows the states of the plugins."""
    shop.start()
    assert shop.publish(InvoiceSent(order_id=1)).outcome == "ok"
    shop.stop("mailer")
    assert shop.publish(InvoiceSent(order_id=1)).reason == "mailer is stopped: host.start('mailer')"
    shop.start("mailer")
    assert shop.publish(InvoiceSent(order_id=1)).reason == ""


def test_a_failed_plugin_is_named_with_where_to_look():
    """An event whose handler's plugin could not start leads to why."""

    class Printer(Plugin):
        def start(self, ctx):
            raise ValueError("no paper")

        @on(OrderPlaced)
        def print_it(self, event):
            pass

    class Idler(Plugin):
        pass

    with Host([Printer, Idler]) as host:
        host.start()
        assert host.publish(OrderPlaced(order_id=1)).reason == "printer is failed: host.why('printer')"


def test_where_the_only_plugin_failed_nobody_is_told_to_start_it():
    """On a host of which no plugin is active, one that failed is named before those that were not started."""

    class Printer(Plugin):
        def start(self, ctx):
            raise ValueError("no paper")

    with Host([Printer]) as host:
        host.start()
        assert host.publish(OrderPlaced(order_id=1)).reason == "printer is failed: host.why('printer')"


def test_a_misspelt_pattern_is_named_when_the_host_runs():
    """A plugin that listens to nearly the right topic is told of, and the recording keeps that."""

    class Printer(Plugin):
        @on("ordr.*")
        def print_it(self, event):
            pass

    with Host([Printer]) as host:
        host.start()
        report = host.publish(OrderPlaced(order_id=1))
        assert report.reason == "Printer.print_it listens to 'ordr.*'; did you mean 'order.*'?"
        assert host.recording[report.seq].reason == report.reason


def test_a_closed_host_refuses_events(shop):
    """After close nobody is left to handle anything, and the publisher is told."""
    shop.start()
    shop.close()
    with pytest.raises(HostClosedError):
        shop.publish(OrderPlaced(order_id=1))
    with pytest.raises(HostClosedError):
        asyncio.run(shop.publish_async(OrderPlaced(order_id=1)))
