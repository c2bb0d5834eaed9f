"""A small shop of plugins that the host tests share."""

from __future__ import annotations

import pytest

from plugbook import Event, Host, Plugin, on


class OrderPlaced(Event, topic="order.placed"):
    order_id: int
    amount: float = 1.0


class InvoiceSent(Event, topic="invoice.sent"):
    order_id: int


class Ledger(Plugin, version="2.1", provides=["bookkeeping"]):
    def start(self, ctx):
        self.entries = []
        ctx.provide(list, self.entries)
        ctx.defer(self.entries.clear)

    @on(OrderPlaced)
    def post(self, event):
        self.entries.append(event.order_id)


class Billing(Plugin, version="1.0", requires=["ledger>=2,<3"]):
    def start(self, ctx):
        self.book = ctx.get(list)

    @on(OrderPlaced, where=lambda order: order.amount > 0)
    def bill(self, event):
        self.ctx.publish(InvoiceSent(order_id=event.order_id))


class Mailer(Plugin, needs=["bookkeeping"]):
    @on("invoice.*")
    async def send(self, event):
        return event.order_id


@pytest.fixture
def shop():
    with Host([Mailer, Billing, Ledger]) as host:
        yield host
