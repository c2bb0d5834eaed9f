"""A small shop whose plugins publish while they handle."""

from __future__ import annotations

from plugbook import Event, Plugin, on


class OrderPlaced(Event, topic="order.placed"):
    order_id: int
    amount: float = 1.0


class InvoiceSent(Event, topic="invoice.sent"):
    order_id: int


class Noted(Event, topic="ledger.noted"):
    order_id: int


class Ledger(Plugin):
    """Notes every order."""

    def start(self, ctx):
        self.entries = []

    @on(OrderPlaced)
    def post(self, event):
        self.entries.append(event.order_id)
        self.ctx.publish(Noted(order_id=event.order_id))


class Billing(Plugin, requires=["ledger"]):
    """Sends an invoice for every order that costs something."""

    @on(OrderPlaced, where=lambda order: order.amount > 0)
    def bill(self, event):
        self.ctx.publish(InvoiceSent(order_id=event.order_id))


class Mailer(Plugin):
    """Keeps what was sent, and waits a turn of the loop for each."""

    def start(self, ctx):
        self.sent = []

    @on("invoice.*")
    async def send(self, event):
        self.sent.append(event.order_id)


SHOP = (Ledger, Billing, Mailer)


def calls_of(reports) -> list[tuple[str, str, str]]:
    """What was called with what, in order."""
    return [
        (report.event.__plugbook_json__(), report.topic, call.handler)
        for report in reports
        for call in report.calls
    ]
