"""What is shown on a cell's last line: escaped, small, without side effects, and taken back by `unregister`."""

import asyncio
import signal
import threading

import pytest
from IPython.core.interactiveshell import InteractiveShell
from pydantic import BaseModel

from plugbook import Event, Host, Plugin, on, plugin
from plugbook.errors import PlugbookError
from plugbook.events.middleware import retry
from plugbook.notebook import display, pictures
from plugbook.notebook.markup import MOST_ROWS, page, table, tag
from plugbook.notebook.progress import ProgressBars
from plugbook.plugins.leaks import Leak, Leaks
from plugbook.replay import progress

EVIL = "<script>alert('x')</script>"


class OrderPlaced(Event, topic="order.placed"):
    order_id: int
    note: str = ""


class Ledger(Plugin, name="ledger", version="1.2.0"):
    @on(OrderPlaced)
    def book(self, event: OrderPlaced) -> dict[str, object]:
        return {"note": event.note}


class Billing(Plugin, name="billing", version="1.0.0", requires=["ledger>=1,<3"]):
    class Config(BaseModel):
        currency: str = "EUR"

    @on(OrderPlaced)
    def bill(self, event: OrderPlaced) -> None:
        if event.order_id == 13:
            raise ValueError(EVIL)


class Broken(Plugin, name="broken"):
    def start(self, ctx: object) -> None:
        raise RuntimeError(EVIL)


@pytest.fixture
def shop():
    with Host([Ledger, Billing, Broken]) as host:
        host.start()
        yield host


@pytest.fixture
def ip():
    shell = InteractiveShell()
    display.register(shell)
    yield shell
    display.unregister(shell)
    shell.history_manager.end_session()
    shell.history_manager = None


def html(shell, shown):
    data, _ = shell.display_formatter.format(shown)
    return data.get("text/html")


def test_a_report_shows_each_call(shop):
    """Every handler is a line, with what it returned or raised."""
    shown = pictures.report(shop.publish(OrderPlaced(order_id=13, note=EVIL)))
    assert "Ledger.book" in shown
    assert "Billing.bill" in shown
    assert "ValueError: &lt;script&gt;" in shown
    assert f"test_display.py:{Billing.bill.__code__.co_firstlineno + 3}" in shown


def test_a_plugin_shows_its_manifest_however_it_was_written(ip):
    """A class, its instance and a builder show the same table and the same text."""

    def bill(event: OrderPlaced) -> None:
        """Do nothing."""

    built = plugin("billing", version="1.0.0", requires=["ledger>=1,<3"])
    built.config(currency="EUR").on(OrderPlaced, bill)
    ways = (Billing, Billing(), built, built.build())
    shown = {html(ip, way) for way in ways}
    assert len(shown) == 1
    assert "ledger&lt;3,&gt;=1" in shown.pop()
    texts = {ip.display_formatter.format(way)[0]["text/plain"] for way in ways}
    assert texts == {repr(Billing())}


def test_other_classes_are_shown_as_they_were(ip):
    """A class that is no plugin has its usual text and no table, also after the displays are taken back."""
    others = {BaseModel: "pydantic.main.BaseModel", Plugin: "plugbook.plugins.plugin.Plugin", int: "int"}
    for _ in range(2):
        shown = {each: ip.display_formatter.format(each)[0] for each in others}
        assert shown == {each: {"text/plain": text} for each, text in others.items()}
        display.unregister(ip)
    assert ip.display_formatter.format(Billing)[0] == {"text/plain": f"{__name__}.Billing"}


def test_an_answer_shows_who_gave_it_and_every_call(ip, shop):
    """The value and its handler stand above the calls; layers are set in, and nothing is escaped twice."""
    shop.bus.subscribe(OrderPlaced, lambda event: EVIL, name="asked", priority=1, middleware=[retry()])
    for shown in (shop.ask(OrderPlaced(order_id=1)), shop.ask(OrderPlaced(order_id=1), all=True)):
        text = html(ip, shown)
        assert "Answer" in text
        assert '<span class="pb-code">retry(asked)</span>' in text
        assert '<span class="pb-code">\u2003asked</span>' in text
        assert EVIL not in text


def test_a_throttled_event_was_not_delivered(shop):
    """It is not said that no handler takes it."""
    shop.throttle(OrderPlaced, per_second=0.001)
    shop.publish(OrderPlaced(order_id=1))
    shown = pictures.report(shop.publish(OrderPlaced(order_id=1)))
    assert "It was not delivered to anybody" in shown
    assert "throttled: more than 0.001 a second" in shown


def test_an_event_nobody_takes_says_what_to_do(shop):
    """The report of an unhandled event says that no handler takes it."""

    class Lost(Event, topic="lost.event"):
        pass

    assert "No handler takes this event" in pictures.report(shop.publish(Lost()))


def test_a_host_shows_its_plugins_and_why_one_failed(shop):
    """Each plugin stands there with its state, a failed one with its error."""
    shown = pictures.host(shop)
    assert "2 of 3 plugins active" in shown
    assert "RuntimeError: &lt;script&gt;" in shown


def test_options_are_shown_with_their_sources(ip, shop):
    """A configuration is a table of values and who said so, with what others say below, escaped."""
    shop.configure("billing", currency=EVIL)
    shown = ip.display_formatter.format(shop.config_of("billing"))[0]["text/html"]
    assert "live edit at" in shown
    assert "EUR" in shown
    assert EVIL not in shown
    assert "no options" in pictures.config(shop.config_of("ledger"))


def test_plans_changes_and_whys_are_told(shop):
    """A plan lists its steps before they are done, changes what was done, a why its chain and the remedy."""
    assert "nothing was done yet" in pictures.plan(shop.plan("stop", "ledger"))
    assert "billing" in pictures.changes(shop.stop("ledger"))
    assert "To mend it" in pictures.why(shop.why("broken"))


def test_what_was_left_behind_is_a_table(ip):
    """Leaks are listed with who holds them; where there are none, that is said."""
    leak = Leak("diary", "subscription", "Diary.write to Measured", "__main__.house")
    shown = pictures.leaks(Leaks([leak]))
    for part in ("1 thing left behind", "Diary.write to Measured", "__main__.house", "ctx.subscribe"):
        assert part in shown
    ahead = Leak(
        "diary", "file", "notes.txt (rb)", "the running diary.notes", "the cell, line 4", is_ahead=True
    )
    shown = pictures.leaks(Leaks([leak, ahead]))
    for part in ("1 thing outside a scope", "would leave it behind", "the cell, line 4"):
        assert part in shown
    assert "left behind" not in pictures.leaks(Leaks([ahead]))
    assert ip.display_formatter.format(Leaks([ahead]))[0]["text/html"] == pictures.leaks(Leaks([ahead]))
    assert "nothing was left behind" in pictures.leaks(Leaks())


def test_a_recording_is_summed_up(shop):
    """A recording shows its counts, its slowest handlers, its errors and what recording cost."""
    shop.publish(OrderPlaced(order_id=13))
    shown = pictures.recording(shop.recording)
    for part in ("Slowest", "Billing.bill", "Errors (2)", "of it recording", "What it allows"):
        assert part in shown


def test_an_empty_recording_is_shown():
    """A recording without any record says so."""
    with Host() as host:
        assert "nothing was recorded yet" in pictures.recording(host.recording)


def test_a_tree_indents_what_was_caused(shop):
    """The calls of an event stand indented below it."""
    report = shop.publish(OrderPlaced(order_id=1))
    shown = pictures.tree(shop.recording.tree(report.seq))
    assert "padding-left:18px" in shown
    assert "Ledger.book" in shown


def test_a_tree_shows_what_logs_and_marks_say(shop):
    """The message of a log and the text of a mark stand in the tree, escaped."""

    class Talker(Plugin, name="talker"):
        @on(OrderPlaced)
        def talk(self, event: OrderPlaced) -> None:
            self.ctx.log.info("wrote %s", EVIL)

    shop.add(Talker)
    report = shop.publish(OrderPlaced(order_id=1))
    assert "wrote &lt;script&gt;" in pictures.tree(shop.recording.tree(report.seq))
    assert "here it &lt;b&gt;" in pictures.tree(shop.recording.tree(shop.recording.mark("here it <b>")))


def test_everything_shown_is_escaped_and_small(shop):
    """No text of a plugin becomes markup, and an output fits many times into a stored notebook."""
    report = shop.publish(OrderPlaced(order_id=13, note=EVIL * 1000))
    shown = [
        pictures.report(report),
        pictures.host(shop),
        pictures.recording(shop.recording),
        pictures.tree(shop.recording.tree(report.seq)),
        pictures.why(shop.why("broken")),
        pictures.error(PlugbookError(EVIL)),
    ]
    for text in shown:
        assert "<script" not in text
        assert len(text) < 300_000


def test_a_long_table_is_cut_and_says_so():
    """Beyond the rows that are shown stands how many more there are."""
    shown = table(["a"], [(n,) for n in range(1, MOST_ROWS + 6)])
    assert "and 5 more" in shown
    assert shown.count("<tr>") == MOST_ROWS + 1


def test_attributes_are_escaped():
    """A quote in an attribute cannot end it."""
    assert tag("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'
    assert page("<b>").endswith("&lt;b&gt;</div>")


def test_objects_show_themselves_once_registered(ip, shop):
    """IPython finds the pictures by type, subclasses included, and the plain text stays."""
    assert "plugbook" in html(ip, shop)
    assert "Slowest" in html(ip, shop.recording) or "Recording" in html(ip, shop.recording)
    assert "Host" in ip.display_formatter.format(shop)[0]["text/plain"]


def test_unregister_leaves_nothing(shop):
    """After unloading, no formatter, no traceback hook and no altered error class is left."""
    shell = InteractiveShell()
    formatter = shell.display_formatter.formatters["text/html"]
    before = dict(formatter.type_printers), dict(formatter.deferred_printers)
    tracebacks = shell.InteractiveTB.structured_traceback, shell.SyntaxTB.structured_traceback
    display.register(shell)
    html(shell, shop)
    display.unregister(shell)
    assert (dict(formatter.type_printers), dict(formatter.deferred_printers)) == before
    assert not hasattr(PlugbookError, "_render_traceback_")
    assert (shell.InteractiveTB.structured_traceback, shell.SyntaxTB.structured_traceback) == tracebacks
    shell.history_manager.end_session()
    shell.history_manager = None


def test_an_error_is_shown_by_its_message_first_and_in_full_on_demand(ip, shop, capsys):
    """The first time an error is shown it is short, and says how to see the rest; `%tb` shows it all."""
    ip.user_ns["shop"] = shop
    ip.run_cell("shop.stop('nobody')")
    short = capsys.readouterr().out
    assert "UnknownPluginError" in short
    assert "%tb" in short
    assert "shop.stop('nobody')" in short
    assert len(short.splitlines()) < 8
    ip.run_line_magic("tb", "")
    full = capsys.readouterr().out
    assert "Traceback" in full
    assert "host.py" in full


def test_a_plugin_error_names_its_cause_and_where_it_was_raised(ip, shop, capsys):
    """The short form of an error that has a cause says what was raised and on which line."""
    ip.user_ns["shop"] = shop
    ip.run_cell("shop.start('broken')")
    short = capsys.readouterr().out
    assert "from RuntimeError" in short
    assert "raise RuntimeError(EVIL)" in short


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("OrderPlaced(order_id='x')", ["OrderPlaced cannot be made of this", "order_id: Input should be"]),
        ("OrderPlaced(ordr_id=1)", ["order_id: Field required", "Did you mean 'order_id'?"]),
        ("placed.order_id = 4", ["OrderPlaced cannot be changed", "order_id: Instance is frozen"]),
        ("OrderPlaced(3)", ["write OrderPlaced(order_id=3)"]),
    ],
)
def test_a_mistake_with_an_event_names_the_field(ip, capsys, cell, told):
    """What pydantic refuses is told by the field and what is wrong with it; `%tb` shows all of it."""
    ip.user_ns |= {"OrderPlaced": OrderPlaced, "placed": OrderPlaced(order_id=1)}
    ip.run_cell(cell)
    short = capsys.readouterr().out
    for each in (*told, cell, "%tb"):
        assert each in short
    assert "pydantic.dev" not in short
    assert len(short.splitlines()) < 8
    ip.run_line_magic("tb", "")
    assert "Traceback" in capsys.readouterr().out


def test_other_models_of_pydantic_are_shown_as_ever(ip, capsys):
    """Only events are told in our words; a model of somebody else's is none of our business."""
    ip.run_cell("from pydantic import BaseModel\nclass Other(BaseModel):\n    n: int\nOther(n='x')")
    assert "Traceback" in capsys.readouterr().out


def test_an_interrupt_of_a_handler_is_shown_without_our_frames(ip, shop, capsys):
    """Interrupting what plugbook waits for shows the line that waits, and `%tb` the rest."""

    class Hanging(Plugin, name="hanging"):
        @on(OrderPlaced)
        async def hang(self, event: OrderPlaced) -> None:
            to_here = (threading.main_thread().ident, signal.SIGINT)
            threading.Timer(0.1, signal.pthread_kill, to_here).start()
            await asyncio.sleep(60)

    shop.add(Hanging)
    ip.user_ns |= {"shop": shop, "OrderPlaced": OrderPlaced}
    ip.run_cell("shop.publish(OrderPlaced(order_id=1))")
    short = capsys.readouterr().out
    assert "KeyboardInterrupt" in short
    assert "plugbook was waiting for Hanging.hang" in short
    assert "shop.publish(OrderPlaced(order_id=1))" in short
    assert len(short.splitlines()) < 6
    ip.run_line_magic("tb", "")
    assert "drain.py" in capsys.readouterr().out


def test_an_interrupt_of_somebody_elses_code_is_shown_as_ever(ip, capsys):
    """Where plugbook had no part, the whole traceback is shown."""
    ip.run_cell("raise KeyboardInterrupt")
    assert "Traceback" in capsys.readouterr().out


def test_a_player_shows_where_it_stands_and_what_it_did(shop):
    """A player's picture holds its position, and how many events it published."""
    shop.publish(OrderPlaced(order_id=1))
    shop.publish(OrderPlaced(order_id=2))
    with shop.replay(shop.recording, rate=None) as player:
        player.step()
        shown = pictures.player(player)
    assert "1 of 2 events" in shown
    assert "published" in shown


def test_a_long_replay_draws_one_bar_that_moves(shop, monkeypatch):
    """The first drawing displays a bar, the following ones update it in place."""
    drawn = []

    class Handle:
        def update(self, shown, raw):
            drawn.append(("update", shown["text/plain"]))

    def fake_display(shown, raw, display_id):
        drawn.append(("display", shown["text/plain"]))
        return Handle()

    monkeypatch.setattr("IPython.display.display", fake_display)
    shop.publish(OrderPlaced(order_id=1))
    bars = ProgressBars()
    with shop.replay(shop.recording, rate=None) as player:
        bars(player)
        player.play()
        bars(player)
    assert [what for what, _ in drawn] == ["display", "update"]
    assert "0 of 1 event" in drawn[0][1]
    assert "1 of 1 event, ended" in drawn[1][1]


def test_a_loaded_shell_draws_progress_until_it_is_unloaded():
    """`register` puts one drawer of progress in, and `unregister` takes it out."""
    shell = InteractiveShell()
    before = len(progress._drawers)
    display.register(shell)
    assert len(progress._drawers) == before + 1
    display.unregister(shell)
    assert len(progress._drawers) == before
    shell.history_manager.end_session()
    shell.history_manager = None


def test_dead_letters_are_a_table(shop, ip):
    """Each says which event it was, whose, why and when."""
    shop.pause("ledger")
    shop.publish(OrderPlaced(order_id=1, note=EVIL))
    data, _ = ip.display_formatter.format(shop.dead_letters("ledger"))
    assert "ledger: 1 dead letter" in data["text/html"]
    assert "Ledger.book" in data["text/html"]
    assert EVIL not in data["text/html"]
    data, _ = ip.display_formatter.format(shop.dead_letters("billing"))
    assert "no dead letters" in data["text/html"]


def test_extension_points_are_a_table(ip):
    """A row for each contribution, escaped; a point that nobody declares says so."""

    class Painter(Plugin):
        def start(self, ctx: object) -> None:
            ctx.contribute("themes", object(), name=EVIL)

    with Host([Painter]) as host:
        assert "No extension points" in pictures.extensions(host.extensions)
        host.start()
        shown = ip.display_formatter.format(host.extensions)[0]["text/html"]
    assert "themes" in shown
    assert "nobody" in shown
    assert EVIL not in shown
