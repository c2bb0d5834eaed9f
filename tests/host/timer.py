"""A timer whose time a test moves itself."""

from __future__ import annotations


class FakeTimer:
    """Calls what is due when `pass_s` passes its moment, on the thread of the test."""

    def __init__(self):
        self.time_s = 0.0
        self.due = []

    def now(self):
        return self.time_s

    def call_later(self, delay_s, function):
        entry = (self.time_s + delay_s, function)
        self.due.append(entry)
        return lambda: self.due.remove(entry)

    @property
    def waits_s(self):
        """How long each call has still to wait."""
        return [moment - self.time_s for moment, _ in self.due]

    def pass_s(self, seconds):
        self.time_s += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.time_s]:
            self.due.remove(entry)
            entry[1]()


def timed(host):
    """The host, with a timer that the test moves as its `timer`."""
    host.timer = host._supervisor.timer = FakeTimer()
    return host
