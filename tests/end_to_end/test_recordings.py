"""A recording, from the notebook that makes it to the colleague who reads it without the code."""

import pytest

SHOP = '''
%%writefile book_shop.py
"""A shop with a plugin that fails now and then, and one that lacks what it needs."""
import dataclasses, datetime as dt, decimal, enum, pathlib, uuid
from typing import Any
from pydantic import BaseModel, SecretStr
from plugbook import Event, Host, Plugin, on

class Size(enum.Enum):
    LARGE = "l"

@dataclasses.dataclass
class Part:
    name: str
    weight: float

class Address(BaseModel):
    street: str
    pin: SecretStr = SecretStr("1234")

class Ordered(Event, topic="book.ordered"):
    order_id: int
    amount: float = 1.0
    password: str = ""
    more: Any = None

class Invoiced(Event, topic="book.invoiced"):
    order_id: int

class Ledger(Plugin, version="1.0"):
    @on(Ordered)
    def book(self, event):
        self.ctx.log.info("booked %s", event.order_id)
        if event.order_id % 4 == 0:
            raise ValueError(f"no such order: {event.order_id}")
        return event.amount

class Billing(Plugin, requires=["ledger"]):
    class Config(BaseModel):
        currency: str = "EUR"

    @on("book.ordered")
    def bill(self, event):
        self.ctx.publish(Invoiced(order_id=event.order_id))
        return {"currency": self.ctx.config.currency, "part": Part("x", 1.5), "size": Size.LARGE,
                "when": dt.date(2026, 1, 31), "price": decimal.Decimal("1.50"), "key": uuid.UUID(int=7),
                "path": pathlib.Path("a"), "tags": {1, 2}, "raw": b"\\xff", "address": Address(street="A"),
                "far": float("inf"), "odd": object(), 3: "three"}

class Orphan(Plugin, requires=["nowhere"]):
    """Never starts."""

def make():
    return Host([Billing, Ledger, Orphan])
'''

PYTEST = """
%%writefile test_recorded.py
import pytest

@pytest.fixture
def number():
    yield 3

@pytest.mark.parametrize("n", range(3))
def test_small(number, n):
    assert n < number

def test_large(number):
    assert number > 9
"""


@pytest.fixture(scope="module")
def shop(notebook):
    """The notebook with the recording of five orders."""
    notebook.run(SHOP)
    notebook.run("""
        import plugbook, book_shop
        from book_shop import Ordered
        cycle = []
        cycle.append(cycle)
        more = {1: "text" * 3000, 2: cycle, 3: {"token": "hush", "deep": [[[[[1]]]]]}}
        with book_shop.make() as host:
            host.start()
            with host.record("shop.plugbook", redact=["password", "token"], cap_bytes=4000) as recording:
                for n in range(1, 6):
                    host.publish(Ordered(order_id=n, amount=n / 2, password="hunter2", more=more.get(n)))
                recording.mark("half of it", plugin="billing")
        use(None)
        """)
    return notebook


def test_a_recording_is_summed_up_drawn_and_chosen_from(shop):
    """Opened by a word, it says what it holds; a choice is a recording too, and a tree shows cause and effect."""
    assert "shop.plugbook" in shop.run("%pb open shop.plugbook")
    summary = shop.run("%pb summary")
    assert "ValueError" in summary
    assert "Billing.bill" in summary
    tree = shop.run("%pb tree")
    assert "book.invoiced" in tree
    assert "Billing.bill" in tree
    assert "a selection of 1 record" in shop.run("%pb select --outcome error --kinds call")
    assert "no such order: 4" in shop.run("print(*plugbook.current().select(outcome='error', kinds='call'))")
    assert "Did you mean 'billing'?" in shop.run("%pb select --plugins biling")
    assert "ledger" in shop.run("%pb list")


def test_secrets_are_not_in_the_file_and_long_values_are_cut(shop):
    """What was to be hidden is nowhere in the bytes of the file, and what was too long says how long it was."""
    data = (shop.folder / "shop.plugbook").read_bytes()
    assert b"hunter2" not in data
    assert b"hush" not in data
    assert b"1234" not in data.partition(b"street")[2][:40]
    shop.run("opened = open_recording('shop.plugbook')")
    assert "cut" in shop.run("opened.info, opened.cut_payloads")
    assert shop.run("opened.cut_payloads") != "0"
    result = shop.run("next(each.result for each in opened.select(kinds='call', plugins='billing'))")
    for told in ("'currency': 'EUR'", "'size': 'l'", "'2026-01-31'", "'1.50'", "'weight': 1.5"):
        assert told in result


def test_frames_and_sql_answer_the_same(shop):
    """Frames and SQL read the same records; a statement that would write is refused."""
    shop.run("opened = open_recording('shop.plugbook', check=True)")
    assert shop.run("len(opened.events()), len(opened.calls()), opened.count('mark')") == "(10, 10, 1)"
    assert (
        shop.run("int(opened.sql('SELECT count(*) AS n FROM calls WHERE outcome = ?', ('error',)).n[0])")
        == "1"
    )
    assert shop.run("opened.logs().message.tolist() if 'message' in opened.logs() else len(opened.logs())")
    shop.fail("opened.sql('DELETE FROM rows')")
    for frame in ("states", "changes", "inputs", "checkpoints", "marks"):
        shop.run(f"opened.{frame}(limit=3)")
    shop.run("""
        from plugbook.trace.reading.metrics import handler_times, histogram, topic_rates
        times = handler_times(opened)
        """)
    assert "Ledger.book" in shop.run("times")
    assert shop.run("int(topic_rates(opened).events.sum())") == "10"
    assert shop.run("int(histogram(opened.calls().duration_ns)['count'].sum())") == "10"
    assert "no column" in shop.fail("opened.events(columns=['topci'])")


def test_times_seqs_and_functions_choose(shop):
    """A choice may be by moment, by number, by outcome, or by a function; what cannot be is refused with a suggestion."""
    shop.run("opened = open_recording('shop.plugbook'); first, *_, last = opened.select(kinds='event')")
    assert shop.run("len(opened.select(time=(0.0, 3600.0))) == len(opened)") == "True"
    assert shop.run("len(opened.select(time=(last.time_ns + 1, None), kinds='event'))") == "0"
    assert shop.run("len(opened.select(seq=(first.seq, last.seq), topics='book.*', kinds='event'))") == "10"
    assert shop.run("len(opened.select(where=lambda record: record.kind == 'call' and record.error))") == "1"
    assert shop.run(
        "opened[last.seq].seq == last.seq, opened[str(opened.tree(last.seq)).split()[0]].seq > 0"
    ).startswith("(True")
    assert shop.run("opened.seek(time=0.0) is not None") == "True"
    assert "a selection of" in shop.run("opened.select(topics='book.invoiced', kinds='event')")
    for choice, told in {
        "kind='event'": "Did you mean 'kinds'?",
        "kinds='evnt'": "Did you mean 'event'?",
        "outcome='eror'": "Did you mean 'error'?",
        "time='yesterday noon'": "yesterday noon",
        "seq=('20', '10')": "backwards",
        "seq='x'": "'x'",
        "where=3": "where",
    }.items():
        assert told in shop.fail(f"list(opened.select({choice}))"), choice
    assert "They go from" in shop.fail("opened['9999']")


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_records_can_be_taken_elsewhere(shop, ending):
    """Each format holds a row for each chosen record, and never replaces a file."""
    shop.run(f"open_recording('shop.plugbook').select(kinds='event').export('out.{ending}')")
    read = (
        f"pandas.read_{ending.removesuffix('l')}('out.{ending}'{', lines=True' if ending == 'jsonl' else ''})"
    )
    assert shop.run(f"import pandas\nlen({read})") == "10"
    assert "never overwrites" in shop.fail(f"open_recording('shop.plugbook').export('out.{ending}')")
    assert "must be one of" in shop.fail("open_recording('shop.plugbook').export('out.xls')")


def test_a_damaged_recording_is_never_read_as_if_it_were_whole(shop):
    """Cut off, overwritten, foreign or newer: each is refused with what to do, and what a killed process left is folded in."""
    shop.run("""
        import sqlite3
        whole = pathlib.Path("shop.plugbook").read_bytes()
        pathlib.Path("cut.plugbook").write_bytes(whole[: len(whole) // 2])
        pathlib.Path("torn.plugbook").write_bytes(whole[:8192] + b"\\xff" * 20_000 + whole[28_192:])
        pathlib.Path("none.plugbook").write_text("no recording")
        sqlite3.connect("foreign.plugbook").execute("CREATE TABLE a (b)").connection.close()
        pathlib.Path("newer.plugbook").write_bytes(whole)
        with sqlite3.connect("newer.plugbook") as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
        """)
    for name, told in {
        "cut": "is cut off",
        "torn": "Copy it again",
        "none": "is not a recording",
        "foreign": "not a recording of plugbook",
        "newer": "Update plugbook",
        "gone": "There is no recording at",
    }.items():
        assert told in shop.fail(f"open_recording('{name}.plugbook', check=True)"), name
    shop.run("""
        %%writefile killed.py
        import os, book_shop
        host = book_shop.make()
        host.start()
        recording = host.record("killed.plugbook")
        host.publish(book_shop.Ordered(order_id=1))
        recording.flush()
        os._exit(1)
        """)
    shop.run("!python killed.py")
    assert "plugbook close" in shop.run("open_recording('killed.plugbook').summary()")
    assert "one file now" in shop.run("!plugbook close killed.plugbook")
    assert "one file already" in shop.run("!plugbook close killed.plugbook")
    assert "book.ordered" in shop.run("!plugbook tree killed.plugbook")
    assert "There is no recording" in shop.run("!plugbook summary gone.plugbook")
    assert "append" in shop.fail("Host().record('killed.plugbook')")


def test_the_terminal_answers_about_hosts_and_files(shop):
    """The same words work beside the notebook, on a host that a module makes or on a file."""
    at = "--host book_shop:make"
    assert "nowhere" in shop.run(f"!plugbook why orphan {at}")
    assert "configured billing" in shop.run(f"!plugbook config billing currency=USD {at}")
    assert "Ledger.book" in shop.run(f"!plugbook publish {at} 'Ordered(order_id=1)'")
    assert "ended at 10 of 10 events" in shop.run("!plugbook replay shop.plugbook --rate max")
    assert "no such order: 4" in shop.run("!plugbook select shop.plugbook --outcome error --kinds call")
    assert "Did you mean 'summary'?" in shop.run("!plugbook sumary shop.plugbook")


def test_a_pytest_run_is_recorded_from_the_notebook(shop):
    """`!plugbook record -- python -m pytest` leaves a recording whose trees say which hook did what, with its exit code."""
    shop.run(PYTEST)
    said = shop.run(
        "!plugbook record -o run.plugbook -- python -m pytest -q -p no:cacheprovider test_recorded.py; echo exit $?"
    )
    assert "1 failed, 3 passed" in said
    assert "exit 1" in said
    assert (
        shop.run("len(open_recording('run.plugbook').select(topics='pytest_runtest_call', kinds='event'))")
        == "4"
    )
    assert "assert 3 > 9" in shop.run(
        "!plugbook select run.plugbook --topics pytest_runtest_call --kinds event"
    )
    assert "nothing was started" in shop.run(
        "!plugbook record -o run.plugbook -- python -m pytest; echo exit $?"
    )


def test_a_plugin_system_of_others_is_recorded_while_it_runs(shop):
    """`%pb attach` records the calls of a pluggy manager, errors and wrappers among them, and `detach` leaves it as it was."""
    shop.run("""
        import pluggy
        spec, impl = pluggy.HookspecMarker("tea"), pluggy.HookimplMarker("tea")
        class Spec:
            @spec
            def brew(self, leaves, water=1): ...
            @spec(firstresult=True)
            def pick(self, leaves): ...
        class One:
            @impl
            def brew(self, leaves):
                return leaves * 2
            @impl
            def pick(self, leaves):
                return None
        class Two:
            @impl(tryfirst=True)
            def brew(self, leaves, water):
                if leaves == 0:
                    raise ValueError("no leaves")
                return leaves
            @impl
            def pick(self, leaves):
                return "green"
        class Around:
            @impl(wrapper=True)
            def brew(self, leaves):
                return [each + 1 for each in (yield)]
        class Old:
            @impl(hookwrapper=True)
            def brew(self, leaves):
                outcome = yield
                outcome.force_result(outcome.get_result())
        manager = pluggy.PluginManager("tea")
        manager.add_hookspecs(Spec)
        for each in (One(), Two(), Around(), Old()):
            manager.register(each, type(each).__name__.lower())
        """)
    shop.run("%pb attach manager tea.plugbook --payloads full")
    assert (
        shop.run("manager.hook.brew(leaves=3, water=1), manager.hook.pick(leaves=1)") == "([4, 7], 'green')"
    )
    shop.fail("manager.hook.brew(leaves=0, water=1)")
    shop.run(
        "late = Two(); manager.register(late, 'late'); manager.hook.pick(leaves=2); manager.unregister(late)"
    )
    listed = shop.run("%pb list")
    assert "around" in listed
    assert "pick" in shop.run("%pb tree")
    assert "no leaves" in shop.run("print(*plugbook.current().select(outcome='error'))")
    shop.run("%pb detach")
    shop.run("manager.hook.brew(leaves=3, water=1)")
    shop.run("%pb close")
    assert shop.run("len(open_recording('tea.plugbook').select(topics='brew', kinds='event'))") == "2"
    assert "Nothing is attached" in shop.fail("%pb detach")
