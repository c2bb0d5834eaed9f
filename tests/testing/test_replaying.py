"""A recording replayed in a test: what agrees passes, and the first difference is shown."""

import pytest

import plugbook.testing.replaying  # noqa: F401  (as in conftest)
from plugbook import Event, Host, Plugin, on
from plugbook.testing.story import first_difference, story_from, story_of

RECORD = """
from plugbook import Host

class Ledger(Plugin):
    def start(self, ctx):
        self.opened = ctx.clock.now().isoformat()

    @on(OrderPlaced)
    def post(self, order):
        return {"opened": self.opened, "amount": order.amount}

class Picky(Plugin):
    @on(InvoiceSent)
    async def check(self, invoice):
        if invoice.order_id == 2:
            raise ValueError("two again")

def test_record(host):
    for plugin in (Ledger, Billing, Picky):
        host.add(plugin)
    recording = host.record("shop.plugbook")
    host.start()
    for order_id in (1, 2, 3):
        host.publish(OrderPlaced(order_id=order_id, amount=1.5))
    recording.close()
"""


@pytest.fixture
def recorded(inner, pytester):
    """Runs a test beside the recording of a shop, of whose plugins the code may define some anew."""

    def run(code, *arguments):
        if not (pytester.path / "shop.plugbook").exists():
            inner(RECORD, "-k", "test_record").assert_outcomes(passed=1)
        kept = RECORD.partition("def test_record")[0]
        return inner(f"{kept}\n{code}", *arguments)

    return run


def test_what_does_the_same_passes(recorded):
    """Calls, answers, errors, emissions and readings of the clock are those of the recording."""
    recorded(
        """
def test_it(assert_replays):
    replayed = assert_replays("shop.plugbook", Ledger, Billing, Picky)
    assert replayed.result.effects.matched == 1
    assert len(replayed.story) == 6
"""
    ).assert_outcomes(passed=1)


def test_the_first_difference_is_shown(recorded):
    """Of a handler that answers another thing, the event, the call, and both answers are shown, and nothing after."""
    ran = recorded(
        """
class Ledger(Plugin):
    @on(OrderPlaced)
    def post(self, order):
        return {"amount": order.amount if order.order_id < 2 else 0}

def test_it(assert_replays):
    assert_replays("shop.plugbook", Ledger, Billing, Picky)
"""
    )
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        [
            "E*The plugins do not do what was recorded.",
            "E*The first difference is at event 1 of 6 (#*); - as expected, + as replayed:",
            'E*order.placed {"amount": 1.5, "order_id": 1}',
            'E*-   Ledger.post -> {"amount": 1.5, "opened": "*"}',
            'E*+   Ledger.post -> {"amount": 1.5}',
        ]
    )
    ran.stdout.no_fnmatch_line("*replaying.py*")


def test_what_is_not_published_any_more_is_told(recorded):
    """An event that a handler published in the recording, and does not publish now, fails the test."""
    ran = recorded(
        """
class Billing(Plugin):
    @on(OrderPlaced)
    def bill(self, order):
        if order.order_id != 2:
            self.ctx.publish(InvoiceSent(order_id=order.order_id))

def test_it(assert_replays):
    assert_replays("shop.plugbook", Ledger, Billing, Picky)
"""
    )
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        [
            "E*What they published or asked for is not what was recorded:",
            "E*published by handlers: 2 as recorded, 0 differ, 1 missing, 0 extra",
            "E*missing * invoice.sent of Billing.bill*",
        ]
    )


def test_a_snapshot_is_written_and_held_to(recorded, pytester):
    """`--plugbook-update` writes what plugins do now; from then on that is what they are held to."""
    code = """
class Picky(Plugin):
    @on(InvoiceSent)
    def check(self, invoice):
        return %s

def test_it(assert_replays):
    assert_replays("shop.plugbook", Ledger, Billing, Picky, snapshot="snapshots/shop.txt")
"""
    ran = recorded(code % "'fine'")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E*There is no snapshot at *shop.txt yet.", "E*--plugbook-update*"])
    recorded(code % "'fine'", "--plugbook-update").assert_outcomes(passed=1)
    text = (pytester.path / "snapshots" / "shop.txt").read_text(encoding="utf-8")
    assert 'invoice.sent by billing {"order_id": 2}\n  Picky.check -> "fine"\n' in text
    recorded(code % "'fine'").assert_outcomes(passed=1)
    ran = recorded(code % "'else'")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        [
            "E*The plugins do not do what shop.txt says.",
            'E*-   Picky.check -> "fine"',
            'E*+   Picky.check -> "else"',
        ]
    )


def test_a_missing_recording_says_how_to_make_one(recorded):
    """A path at which there is nothing is refused with what to write."""
    ran = recorded(
        """
def test_it(assert_replays):
    assert_replays("shopp.plugbook", Ledger)
"""
    )
    ran.stdout.fnmatch_lines(
        ["E*RecordingMissingError: there is no recording at *shopp.plugbook. Make one:*"]
    )


class Asked(Event):
    n: int


class Answers(Plugin):
    @on(Asked)
    def answer(self, asked):
        return asked.n if asked.n % 2 else None


def test_a_story_survives_its_text():
    """What is written down and read again is the same story, and differs from none of its own."""
    with Host([Answers]) as host:
        host.start()
        for n in range(3):
            host.publish(Asked(n=n))
        story = story_of(host.recording)
    assert len(story) == 3
    assert str(story_from(str(story))) == str(story)
    assert first_difference(story, story_from(str(story))) == ""


def test_a_story_that_ends_early_differs():
    """What is missing at the end is shown, as what was not expected there is."""
    whole = story_from("a {}\n  A.a\nb {}\n  B.b -> 1\n")
    short = story_from("a {}\n  A.a\n")
    assert first_difference(whole, short).splitlines()[-2:] == ["  - b {}", "  -   B.b -> 1"]
    assert first_difference(short, whole).splitlines()[-2:] == ["  + b {}", "  +   B.b -> 1"]
