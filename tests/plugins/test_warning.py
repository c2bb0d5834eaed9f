"""Warnings stand at the line of the person's own code that they are about."""

import contextlib

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import PlugbookDeprecationWarning, PlugbookWarning
from plugbook.plugins.warning import warn


class Legacy(Event, topic="order.legacy"):
    pass


class Publisher(Plugin):
    def start(self, ctx):
        ctx.publish(Legacy())  # here


class Listener(Plugin):
    @on(Legacy)
    def old(self, event): ...


@pytest.mark.parametrize("plugin_class", [Publisher, Listener])
def test_a_deprecation_is_told_at_the_line_that_uses_it(plugin_class):
    """That is where the plugin calls its context, or else where the host was told to start it."""
    with Host([plugin_class]) as host:
        host.deprecate(topic="order.legacy", since="2", removal="3")
        with pytest.warns(PlugbookDeprecationWarning) as caught:
            host.start()
    assert caught[0].filename == __file__


def test_python_itself_is_passed_over():
    """What stands between is of the standard library, and nobody's own code."""
    with pytest.warns(PlugbookWarning) as caught, contextlib.ExitStack() as stack:
        stack.callback(warn, "as you wish", PlugbookWarning)
    assert caught[0].filename == __file__
