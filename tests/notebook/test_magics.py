"""The words behind %pb, in a real shell."""

import contextlib
import json
import re

import pytest
from IPython.core.error import UsageError

import plugbook
from plugbook.errors import (
    ConfigError,
    EventError,
    PlugbookDeprecationWarning,
    PlugbookError,
    RecordingMissingError,
    UnknownNameError,
    UnknownPluginError,
)


def test_a_word_alone_shows_what_is_current(shop):
    """%pb gives the current host; with none, it says how to get one."""
    assert shop.run("%pb") is shop.ip.user_ns["shop"]
    plugbook.use(None)
    assert "start a host" in str(shop.run("%pb"))


def test_both_names_are_the_same_magic(shop):
    """%plugbook is %pb."""
    assert str(shop.run("%plugbook why billing")) == str(shop.run("%pb why billing"))


def test_values_are_returned(shop):
    """An assignment keeps what the word gives."""
    shop.run("x = %pb why billing")
    assert shop.ip.user_ns["x"].state == "active"


def test_the_lifecycle_is_driven_by_words(shop):
    """stop, plan and start do what the host's methods do."""
    host = shop.ip.user_ns["shop"]
    assert str(shop.run("%pb plan stop ledger")).count("stop") == 3
    shop.run("%pb stop ledger")
    assert set(map(str, host.states.values())) == {"stopped"}
    shop.run("%pb start billing")
    assert set(map(str, host.states.values())) == {"active"}
    shop.run("%pb restart ledger")
    shop.run("%pb remove billing")
    assert list(host.plugins) == ["ledger"]
    shop.run("%pb add Billing --config {'currency': 'USD'}")
    assert host.plugins["billing"].config.currency == "USD"


def test_events_are_held_back_and_brought_by_words(shop):
    """pause, mute, resume, dead-letters, redeliver and discard do what the host's methods do."""
    host = shop.ip.user_ns["shop"]
    assert "until %pb resume billing" in str(shop.run("%pb pause billing"))
    assert "active  paused" in str(shop.run("%pb list"))
    shop.run("%pb publish OrderPlaced(order_id=1, amount=2.0)")
    assert len(shop.run("%pb dead-letters billing")) == 1
    assert str(shop.run("%pb resume billing")) == "redelivered 1: 1 ok"
    shop.run("%pb mute billing")
    shop.run("%pb publish OrderPlaced(order_id=2, amount=2.0)")
    assert host.dead_letters("billing").dropped == 1
    shop.run("%pb resume billing")
    assert str(shop.run("%pb redeliver billing")) == "nothing was redelivered"
    assert str(shop.run("%pb discard billing")) == "0 dead letters of billing dropped"


def test_a_plugin_is_released_by_a_word(shop):
    """A quarantined plugin is let out, and starts."""
    host = shop.ip.user_ns["shop"]
    host.set_policy("billing", "quarantine")
    host._supervisor._set_aside(host.plugins["billing"], "it failed")
    assert "release 'billing'" in str(shop.run("%pb why billing"))
    assert "started billing" in str(shop.run("%pb release billing"))


def test_the_list_is_a_table_with_states(shop):
    """List names every plugin with version and state, as text and as HTML."""
    listed = shop.run("%pb list")
    assert "ledger   1.0      active" in str(listed)
    assert "<td" in listed._repr_html_()


@pytest.mark.parametrize(
    "event",
    [
        "OrderPlaced(order_id=1, amount=2.0)",
        'order.placed {"order_id": 1, "amount": 2.0}',
        "ready",
        "made['first']",
    ],
)
def test_an_event_is_published_as_an_expression_or_by_its_topic(shop, event):
    """An expression in the user's names, or a topic with JSON: both reach the handlers."""
    shop.run("ready = OrderPlaced(order_id=1, amount=2.0); made = {'first': ready}")
    report = shop.run(f"%pb publish {event}")
    assert [call.result for call in report.calls] == [2.0, "EUR"]


def test_the_event_somebody_listens_to_is_the_one_that_is_meant(shop):
    """After the event class was defined again, its topic still means the one that has handlers of its own."""
    shop.run("class OrderPlaced(Event, topic='order.placed'):\n    order_id: int")
    report = shop.run('%pb publish order.placed {"order_id": 1}')
    assert len(report.calls) == 2


def test_schemas_are_listed_and_shown(shop):
    """%pb schema lists topics, and shows what one takes."""
    assert "order.placed" in str(shop.run("%pb schema"))
    assert "order_id: integer" in str(shop.run("%pb schema order.placed"))


def test_a_topic_is_throttled_and_let_go(shop):
    """Without a limit the word shows what there is; what cannot be is refused, and changes nothing."""
    shop.run("%pb throttle order.placed 5")
    assert str(shop.run("%pb throttle")).splitlines()[1].split() == ["order.placed", "5"]
    for wrong in ("0", "many", "inf", "nan"):
        assert "is no limit" in str(shop.fail(f"%pb throttle order.placed {wrong}"))
    assert "Say how many" in str(shop.fail("%pb throttle order.placed"))
    assert "Did you mean 'order.placed'" in str(shop.fail("%pb throttle order.place off"))
    assert str(shop.run("%pb throttle order.placed off")) == "nothing is throttled"


def test_an_unknown_topic_gets_a_suggestion(shop):
    """A topic that is nearly right is answered with the right one."""
    error = shop.fail("%pb publish order.placd {}")
    assert isinstance(error, UnknownNameError)
    assert "'order.placed'" in str(error)


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("%pb strat", UnknownNameError, "Did you mean 'start'?"),
        ("%pb why billin", UnknownPluginError, "Did you mean 'billing'?"),
        ("%pb why", UsageError, "Missing argument 'NAME'"),
        ("%pb plan stpo ledger", UsageError, "'stop'"),
        ("%pb publish OrderPlacd(order_id=1)", UnknownNameError, "Did you mean 'OrderPlaced'?"),
        ("%pb publish OrderPlaced(order_id=1", PlugbookError, "no Python expression"),
        ("%pb publish OrderPlaced(order_id='x')", EventError, "order_id"),
        ('%pb publish order.placed {"order_id": "x"}', EventError, "order_id"),
        ('%pb publish order.placed {"order_id"}', EventError, "JSON"),
        ("%pb publish shop", EventError, "Host"),
        ("%pb config billing curency=USD", ConfigError, "Did you mean 'currency'?"),
        ("%pb config billing currency", ConfigError, "OPTION=VALUE"),
        ("%pb config biling", UnknownPluginError, "'billing'"),
        ("%pb use shopp", UnknownNameError, "'shop'"),
        ("%pb use OrderPlaced", UnknownNameError, "neither a host nor a recording"),
        ("%pb open nowhere.plugbook", RecordingMissingError, "nowhere.plugbook"),
        ("%pb detach", UnknownNameError, "Nothing is attached"),
        ("%pb tree x", UsageError, "such as 10 or 10.3"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(shop, line, kind, said):
    """Every mistake raises a short error that says what was meant or what to write."""
    error = shop.fail(line)
    assert isinstance(error, kind)
    assert said in str(error)


def test_a_mistake_is_shown_short_and_in_full_by_tb(shop, capsys):
    """The message comes first and no traceback; %tb shows it all."""
    shop.fail("%pb why billin")
    shown = capsys.readouterr().out
    assert "Did you mean 'billing'?" in shown.splitlines()[0]
    assert "Traceback" not in shown
    assert "get_ipython" not in shown
    shop.run("%tb")
    assert "Traceback" in capsys.readouterr().out


def test_a_mistake_in_a_setting_stops_nothing(shop):
    """A configuration that does not fit is refused while the plugin goes on."""
    before = shop.ip.user_ns["shop"].plugins["billing"].since_ns
    shop.fail("%pb config billing currency.code=USD")
    assert shop.ip.user_ns["shop"].plugins["billing"].since_ns == before


def test_settings_are_shown_and_set(shop):
    """Config shows the options and where they come from, sets them while the plugin runs, and takes them back."""
    assert "EUR" in str(shop.run("%pb config billing"))
    before = shop.ip.user_ns["shop"].plugins["billing"].since_ns
    shop.run("%pb config billing currency=USD")
    assert shop.ip.user_ns["shop"].publish(shop.run("OrderPlaced(order_id=1)")).calls[-1].result == "USD"
    assert shop.ip.user_ns["shop"].plugins["billing"].since_ns == before
    assert re.search(r"live edit at \d\d:\d\d, cell \d+", str(shop.run("%pb config billing")))
    shop.run("%pb config billing --reset currency")
    assert "'EUR'  default" in str(shop.run("%pb config billing"))
    shop.run("%pb config --reload")
    assert "no options" in str(shop.run("%pb config ledger"))


def test_a_recording_is_made_opened_and_looked_at(shop, tmp_path):
    """record, close, open, summary, select, tree, export, mark: the whole way of a file."""
    file = tmp_path / "my run.plugbook"
    shop.run(f"%pb record '{file}'")
    shop.run('%pb publish order.placed {"order_id": 7}')
    shop.run("%pb mark before the fix")
    assert "is closed" in str(shop.run("%pb close"))
    recording = shop.run(f"%pb open '{file}'")
    assert shop.run("%pb") is recording
    assert shop.run("%pb summary").counts["event"] == 1
    event = next(iter(shop.run("%pb select --topics order.* --kinds event").records()))
    assert json.loads(json.dumps(event.payload))["order_id"] == 7
    assert "order.placed" in str(shop.run(f"%pb tree {event.seq // 1024}"))
    assert "before the fix" in shop.run("%pb select --kinds mark").marks()["payload"][0]
    out = shop.run(f"%pb export '{tmp_path / 'out.jsonl'}' --kinds event")
    assert len(out.read_text().splitlines()) == 1
    assert "billing" in str(shop.run("%pb list"))
    shop.run("%pb close")
    assert plugbook.current() is None


def test_a_file_may_stand_after_the_word_as_in_the_terminal(shop, tmp_path):
    """%pb summary FILE looks at a file and leaves the current host what it was."""
    file = tmp_path / "run.plugbook"
    shop.run(f"with shop.record('{file}'): shop.publish(OrderPlaced(order_id=1))")
    assert shop.run(f"%pb summary {file}").counts["event"] == 1
    assert shop.run("%pb") is shop.ip.user_ns["shop"]


def test_a_file_that_was_closed_is_opened_again(recorded):
    """Whoever closed a recording, the next line that names its file reads it."""
    recorded.run("%pb open $where")
    recorded.run("%pb close")
    assert recorded.run("%pb summary $where").counts["event"] == 3
    recorded.run("%pb open $where").close()
    assert recorded.run("%pb summary $where").counts["event"] == 3


def test_the_defaults_hold_for_a_recording(shop, tmp_path):
    """What %config Plugbook hides is hidden in what %pb record writes, and a variable may name the file."""
    shop.run("%config Plugbook.redact = ['order_id']")
    shop.run(f"where = '{tmp_path / 'run.plugbook'}'")
    shop.run("%pb record $where")
    shop.run("%pb publish OrderPlaced(order_id=123456)")
    shop.run("%pb close")
    assert b"123456" not in (tmp_path / "run.plugbook").read_bytes()


def test_a_host_in_memory_has_no_file_to_close(shop):
    """Close leaves a host that records in memory as it is."""
    assert "no file" in str(shop.run("%pb close"))
    assert shop.run("%pb publish OrderPlaced(order_id=1)").done
    assert len(shop.ip.user_ns["shop"].recording.select(kinds="event")) == 1


def test_another_host_can_be_used(shop):
    """Use makes the host in a variable the current one."""
    shop.run("other = Host([Ledger])")
    shop.run("%pb use other")
    assert "billing" not in str(shop.run("%pb list"))
    shop.run("other.close()")


def test_a_foreign_system_is_attached_and_detached(shop):
    """Attach records a pluggy manager until detach; then its calls can be looked at."""
    shop.run(
        "import pluggy\n"
        "spec, impl = pluggy.HookspecMarker('x'), pluggy.HookimplMarker('x')\n"
        "class Spec:\n    @spec\n    def greet(self, name): ...\n"
        "class Hello:\n    @impl\n    def greet(self, name): return name\n"
        "pm = pluggy.PluginManager('x'); pm.add_hookspecs(Spec); pm.register(Hello(), 'hello')\n"
    )
    recording = shop.run("%pb attach pm")
    shop.run("pm.hook.greet(name='Ada')")
    assert shop.run("%pb detach") is recording
    shop.run("pm.hook.greet(name='Bob')")
    assert recording.count("event") == 1
    shop.run("%pb close")


@pytest.fixture
def recorded(shop, tmp_path):
    """A shell with a recording of three events, whose path is in `where`."""
    shop.run(f"where = '{tmp_path / 'run.plugbook'}'")
    shop.run("with shop.record(where):\n    for n in range(3): shop.publish(OrderPlaced(order_id=n))")
    return shop


def test_a_recording_is_replayed_to_the_current_host(recorded):
    """Events go to the host's plugins once more, as fast as asked."""
    player = recorded.run("%pb replay $where --rate max")
    assert player.state == "ended"
    assert player.host is recorded.ip.user_ns["shop"]
    assert "3 published, 6 calls" in str(player)


def test_a_replay_is_driven_by_words(recorded):
    """A paused replay steps, seeks, plays on and pauses at what was asked for."""
    first = next(iter(recorded.run("%pb select $where --kinds event").records())).seq // 1024
    player = recorded.run("%pb replay $where --rate max --paused")
    assert player.position.index == 0
    assert recorded.run("%pb step").event.order_id == 0
    assert len(recorded.run("%pb step 2")) == 2
    assert "at its end" in str(recorded.run("%pb step"))
    recorded.run(f"%pb seek {first + 1}")
    assert recorded.run("%pb step").event.order_id == 1
    recorded.run("%pb seek --time 0")
    assert recorded.run("%pb continue").state == "ended"
    assert recorded.run("%pb pause") is player
    assert recorded.run(f"%pb replay $where --rate max --until {first}").position.index == 1


def test_without_a_host_a_recording_plays_to_nobody(recorded):
    """An opened recording has no host, unless --host names the variable that holds one."""
    recorded.run("%pb open $where")
    assert recorded.run("%pb replay --rate max").host is None
    assert recorded.run("%pb replay --rate max --host shop").host is recorded.ip.user_ns["shop"]
    assert "holds a host" in str(recorded.fail("%pb replay --host where"))


def test_a_replay_in_the_background_can_be_paused(recorded):
    """--background returns at once; pause stops it between two events."""
    recorded.run("%config Plugbook.rate = 0.0000001")
    player = recorded.run("%pb replay $where --background")
    recorded.run("%pb pause")
    assert player.state == "paused"
    recorded.run("%unload_ext plugbook")
    assert player.state == "closed"


@pytest.mark.parametrize(
    ("line", "said"), [("%pb step", "Nothing is replayed"), ("%pb seek", "Say where to go")]
)
def test_a_word_of_replay_without_a_replay_says_how_to_begin(shop, line, said):
    """The message names what to type first."""
    assert said in str(shop.fail(line))


def test_a_host_is_pointed_to_where_a_recording_is_current(recorded):
    """A word that needs a host, while a recording is current, names the variable to use."""
    recorded.run("%pb open $where")
    assert "%pb use shop" in str(recorded.fail("%pb start"))


def test_the_explorer_shows_a_host_and_a_recording(recorded):
    """Explore gives the widget of whatever is current."""
    with contextlib.closing(recorded.run("%pb explore")) as explorer:
        assert explorer.live
    with contextlib.closing(recorded.run("%pb explore $where")) as explorer:
        assert not explorer.live


def test_help_lists_and_explains(shop, capsys):
    """Help names every word, help WORD explains one, and --help does as well."""
    assert "publish" in str(shop.run("%pb help"))
    assert "first cause" in str(shop.run("%pb help why"))
    shop.run("%pb why --help")
    assert "first cause" in capsys.readouterr().out
    assert "'why'" in str(shop.fail("%pb help whi"))
    shop.run("%pb?")
    assert "why" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%pb st", {"start", "stop"}),
        ("x = %pb why b", {"billing"}),
        ("%plugbook why ", {"billing", "ledger"}),
        ("%pb plan stop l", {"ledger"}),
        ("%pb publish order", {"order.placed"}),
        ("%pb publish OrderP", {"OrderPlaced"}),
        ("%pb use ", {"shop"}),
        ("%pb select --ki", {"--kinds"}),
        ("%pb select --topics order.pl", {"order.placed"}),
        ("%pb select --kinds s", {"state"}),
        ("%pb why billing ", {"--help"}),
    ],
)
def test_tab_completes_words_names_and_options(shop, line, offered):
    """TAB offers what the table knows, and nothing of IPython's beside it."""
    assert offered <= set(shop.complete(line))
    if "publish" not in line:
        assert len(shop.complete(line)) <= len(offered) + 1


def test_tab_completes_files(shop, tmp_path, monkeypatch):
    """Files are completed, folders with a slash, recordings first; hidden ones only when asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/b.plugbook", "a.txt", "z.plugbook", ".hidden"):
        (tmp_path / name).touch()
    assert shop.complete("%pb open ") == ["runs/", "z.plugbook", "a.txt"]
    assert shop.complete("%pb open runs/") == ["runs/b.plugbook"]
    assert shop.complete("%pb open nowhere/x") == []
    assert shop.complete("%pb tree z") == ["z.plugbook"]


def test_extension_points_are_listed(shop):
    """%pb extensions says who declares a point, what it expects, and who contributes what."""
    assert str(shop.run("%pb extensions")) == "There are no extension points"
    shop.run("""%%plugin
from plugbook import ExtensionPoint, contributes
themes = ExtensionPoint("themes", object)

class Painter(Plugin):
    themes = themes

    @contributes(themes)
    def dark(self): ...
""")
    row = dict(
        zip(
            ("point", "owner", "expects", "plugin", "what", "lacks"),
            shop.run("%pb extensions").rows[0],
            strict=False,
        )
    )
    assert row == {
        "point": "themes",
        "owner": "painter",
        "expects": "object",
        "plugin": "painter",
        "what": "dark",
        "lacks": "",
    }


def test_versions_tells_which_are_used_and_why_the_others_are_not(shop, tmp_path):
    """A folder is added by its path, and every version in it has its row."""
    for version, needs in (("1.0", "[]"), ("2.0", "['nowhere']")):
        folder = tmp_path / f"stock-{version}"
        folder.mkdir()
        (folder / "code.py").write_text("from plugbook import Plugin\nclass Stock(Plugin): pass\n")
        said = f"name = 'stock'\nversion = '{version}'\nentry_point = 'code:Stock'\nrequires = {needs}\n"
        (folder / "plugin.toml").write_text(f"[plugin]\n{said}")
    assert "Nothing was looked for" in str(shop.run("%pb versions"))
    shop.run(f"%pb add --folder {tmp_path}")
    rows = [row[:3] for row in shop.run("%pb versions").rows]
    assert rows == [
        ("stock", "1.0", "used"),
        ("stock", "2.0", "stock 2.0 requires nowhere, which nobody offers"),
    ]
    assert shop.ip.user_ns["shop"].states["stock"] == "active"


def test_why_ends_with_the_mend_that_was_tried(shop):
    """What is told last can be done: it was applied to a copy."""
    shop.run("from plugbook import Plugin\nclass Tax(Plugin, requires=['legder']): pass")
    shop.run("%pb add Tax")
    last = str(shop.run("%pb why tax")).splitlines()[-1]
    assert last == "To mend it: Write 'ledger' instead of 'legder' in what tax requires."


def test_deprecations_are_a_table(shop):
    """What the host will no longer offer stands there with who uses it."""
    assert "deprecated nothing" in str(shop.run("%pb deprecations"))
    with pytest.warns(PlugbookDeprecationWarning, match="billing requires the plugin ledger"):
        shop.run("shop.deprecate(plugin='ledger', since='1.0', removal='2.0', use='books')")
    assert shop.run("%pb deprecations").rows == (("ledger", "plugin", "1.0", "2.0", "books", "billing"),)


def test_a_package_is_made_without_asking(shop, tmp_path):
    """%pb new asks nothing, whatever stdin is, and its value shows the files and what to do next."""
    made = shop.run(f"%pb new shop-billing --into {tmp_path}")
    assert (tmp_path / "shop-billing/pyproject.toml").is_file()
    (picture,) = shop.ip.display_formatter.format(made)[0]["text/html"].split("</style>")[1:]
    assert "plugin.py" in picture
    assert "pip install -e ." in picture
    assert "Name the package" in str(shop.fail("%pb new"))
