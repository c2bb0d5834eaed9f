"""The conformance suite, run as a plugin's package runs it: on plugins that conform, and on each that does not."""

import pytest

import plugbook.testing.conformance
from plugbook.errors import ManifestError
from plugbook.testing.conformance import conformance

GOOD = '''
from pydantic import BaseModel, Field, SecretStr
from plugbook.testing.conformance import conformance

class Good(Plugin, version="1.0"):
    """Adds up what was ordered."""

    class Config(BaseModel):
        currency: str = Field("EUR", description="What the sums are in.")
        token: SecretStr = Field(description="Opens the ledger.")

    def __init__(self):
        self.total = 0.0

    def start(self, ctx):
        ctx.log.info("open with %s", ctx.config.token.get_secret_value())
        ctx.spawn(self.idle())

    async def idle(self):
        import asyncio
        await asyncio.Event().wait()

    @on(OrderPlaced)
    def add(self, order):
        self.total += order.amount
        self.ctx.publish(InvoiceSent(order_id=order.order_id))

    @on("invoice.*")
    async def note(self, event):
        return event.order_id

    def snapshot(self):
        return {"total": self.total}

    def restore(self, state):
        self.total = state["total"]

TestGood = conformance(Good, config={"token": "open-sesame"}, events=[OrderPlaced(order_id=1, amount=2.0)])
'''


def test_a_good_plugin_conforms(inner):
    """Every test runs, for options, secrets and state as well, and each one is named after what must hold."""
    ran = inner(GOOD, "-v")
    ran.assert_outcomes(passed=9)
    ran.stdout.fnmatch_lines(["*::TestGood::test_nothing_is_left_when_its_start_has_failed PASSED*"])


def test_what_it_needs_stands_beside_it(inner):
    """A plugin that needs others is tried with them; one written as functions is taken as well."""
    inner(
        '''
        from plugbook import plugin
        from plugbook.testing.conformance import conformance

        class Book(list):
            pass

        class Ledger(Plugin):
            def start(self, ctx):
                ctx.provide(Book, Book())

        class Post(Plugin, version="1", requires=["ledger"]):
            """Posts."""
            async def start(self, ctx):
                ctx.get(Book)

        TestPost = conformance(Post, beside=[Ledger])

        small = plugin("small", version="1", summary="Does little.")

        @small.on(OrderPlaced, source="shop")
        def look(order):
            return order.order_id

        TestSmall = conformance(small)
        '''
    ).assert_outcomes(passed=12)


BAD = {
    "no-version": (
        'class Bad(Plugin):\n    """Does."""',
        "test_it_says_what_it_is",
        "*Bad has no version*version=?1.0?*",
    ),
    "no-summary": ('class Bad(Plugin, version="1"):\n    pass', "test_it_says_what_it_is", "*docstring*"),
    "once": (
        '''
class Bad(Plugin, version="1"):
    """Does."""
    taken = []
    def start(self, ctx):
        if self.taken:
            raise OSError("the port is taken")
        self.taken.append(1)
''',
        "test_it_starts_and_stops_twice",
        "*not again after a stop*the port is taken*",
    ),
    "leak": (
        '''
everybody = []
class Bad(Plugin, version="1"):
    """Does."""
    def start(self, ctx):
        everybody.append(self)
''',
        "test_nothing_is_left_when_it_has_stopped",
        "*bad left an instance behind*everybody*",
    ),
    "failed-start": (
        '''
everybody = []
class Bad(Plugin, version="1"):
    """Does."""
    def start(self, ctx):
        everybody.append(self)
''',
        "test_nothing_is_left_when_its_start_has_failed",
        "*when its start had failed*",
    ),
    "removed": (
        '''
everybody = []
class Bad(Plugin, version="1"):
    """Does."""
    def start(self, ctx):
        everybody.append(self)
''',
        "test_nothing_is_left_when_it_was_removed",
        "*when it was removed*",
    ),
    "handler": (
        '''
class Bad(Plugin, version="1"):
    """Does."""
    @on(OrderPlaced)
    def share(self, order):
        return order.amount / order.order_id
''',
        "test_it_handles_an_example_of_each_event",
        "*Bad.share with OrderPlaced(order_id=0, amount=1.0): ZeroDivisionError*",
    ),
    "silent-option": (
        '''
from pydantic import BaseModel
class Bad(Plugin, version="1"):
    """Does."""
    class Config(BaseModel):
        currency: str = "EUR"
''',
        "test_its_options_are_documented",
        "*Bad.Config does not say what these are for: currency*",
    ),
    "no-secret": (
        '''
from pydantic import BaseModel, Field, SecretStr
class Bad(Plugin, version="1"):
    """Does."""
    class Config(BaseModel):
        token: SecretStr = Field(SecretStr(""), description="Opens.")
''',
        "test_its_secrets_are_not_recorded",
        "*secret option 'token'*conformance(*'token': 'not-a-real-secret'*",
    ),
    "state": (
        '''
class Bad(Plugin, version="1"):
    """Does."""
    def start(self, ctx):
        self.total = 0
    @on(OrderPlaced)
    def add(self, order):
        self.total += 1
    def snapshot(self):
        return self.total
    def restore(self, state):
        self.total = state
''',
        "test_its_state_survives_a_reload",
        "*Before a reload its state was 1, afterwards it is 0*__init__*",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_conform_is_told_what_to_do(inner, what):
    """The one test whose name says it fails, with a message and no traceback."""
    code, test, message = BAD[what]
    given = "\nfrom plugbook.testing.conformance import conformance\nTestBad = conformance(Bad)\n"
    ran = inner(f"{code}{given}", "-k", test)
    ran.assert_outcomes(failed=1, deselected=ran.parseoutcomes()["deselected"])
    ran.stdout.fnmatch_lines([message])
    ran.stdout.no_fnmatch_line("*conformance.py:*")


def test_an_example_that_cannot_be_made_up_is_asked_for(inner):
    """Where no valid event can be made up, the test says that one is to be given; given, it is used."""
    code = '''
from pydantic import field_validator
from plugbook.testing.conformance import conformance

class Odd(Event):
    word: str

    @field_validator("word")
    @classmethod
    def check(cls, word):
        if word != "xyzzy":
            raise ValueError("another word")
        return word

class Magic(Plugin, version="1"):
    """Does."""
    @on(Odd)
    def cast(self, odd):
        return odd.word

TestMagic = conformance(Magic%s)
'''
    ran = inner(code % "", "-k", "handles_an_example")
    assert ran.parseoutcomes()["failed"] == 1
    ran.stdout.fnmatch_lines(["*conformance(Magic, events=*"])
    assert (
        inner(code % ", events=[Odd(word='xyzzy')]", "-k", "handles_an_example").parseoutcomes()["passed"]
        == 1
    )


def test_only_a_plugin_can_conform():
    """Anything else is refused where the suite is made."""
    with pytest.raises(ManifestError, match="takes a plugin class"):
        conformance(int)
    assert plugbook.testing.conformance.__doc__
