'''What the author of a plugin tests with: fixtures for pytest, strategies for hypothesis, faults on demand.

Wherever plugbook is installed pytest has the fixtures `plugin_host`, `host`, `events`, `clock`, `recording` and
`assert_replays`; see `plugbook.testing.pytest_plugin`. A test file of a plugin's package::

    from plugbook import Event, Plugin, on
    from plugbook.testing.conformance import conformance


    class OrderPlaced(Event):
        amount: float = 1.0


    class Reminded(Event):
        pass


    class Billing(Plugin, version="1.0"):
        """Reminds of an order a day after it was placed."""

        @on(OrderPlaced)
        def bill(self, order):
            self.ctx.spawn(self.remind())

        async def remind(self):
            await self.ctx.clock.sleep(24 * 3600)
            self.ctx.publish(Reminded())


    TestBilling = conformance(Billing)


    def test_a_reminder_comes_after_a_day(plugin_host, events, clock):
        plugin_host(Billing).publish(OrderPlaced(amount=9.5))
        events.assert_published(OrderPlaced, amount=9.5)
        clock.advance(23 * 3600)
        events.assert_not_published(Reminded)
        clock.advance(3600)
        assert events == [OrderPlaced(amount=9.5), Reminded()]
'''
