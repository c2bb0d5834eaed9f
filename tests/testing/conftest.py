"""Inner runs of pytest, in which the fixtures are used as the author of a plugin uses them."""

import textwrap

import pytest

# What an inner run imports first is gone when it ends, and would be there twice from the next one on.
import plugbook.testing.bench
import plugbook.testing.letting_go
import plugbook.testing.recorded  # noqa: F401

SHOP = """
from plugbook import Event, Plugin, on

class OrderPlaced(Event):
    order_id: int
    amount: float = 1.0

class InvoiceSent(Event):
    order_id: int

class Billing(Plugin):
    @on(OrderPlaced)
    def bill(self, order):
        self.ctx.publish(InvoiceSent(order_id=order.order_id))
"""


@pytest.fixture
def inner(pytester):
    """Runs a test file, of which the shop is the beginning, in an inner pytest; gives what came out."""

    def run(code, *arguments):
        pytester.makepyfile(shop=SHOP)
        pytester.syspathinsert()
        path = pytester.makepyfile(f"from shop import *\n{textwrap.dedent(code)}")
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", *arguments, path)

    return run
