"""%%plugin: plugins defined and swapped in cells."""

import inspect
import pickle
import sys

import pytest
from IPython.core.error import UsageError

import plugbook
from plugbook.errors import ConfigError, ManifestError, PluginError, ReloadError

TAX = """%%plugin {options}
from pydantic import BaseModel

RATE = {rate}

class Tax(Plugin):
    class Config(BaseModel):
        extra: float = 0.0

    @on(OrderPlaced)
    def tax(self, event):
        return event.amount * RATE + self.ctx.config.extra
"""


def tax(rate, options=""):
    return TAX.format(rate=rate, options=options)


def taxed(shell):
    report = shell.ip.user_ns["shop"].publish(shell.run("OrderPlaced(order_id=1, amount=10.0)"))
    return next(call.result for call in report.calls if call.plugin == "tax")


def test_a_cell_defines_and_starts_a_plugin(shop):
    """The plugin is on the current host and runs, and what the cell defined is in the user's names."""
    changes = shop.run(tax(0.5))
    assert "started tax" in str(changes)
    assert taxed(shop) == 5.0
    assert shop.ip.user_ns["RATE"] == 0.5
    assert shop.ip.user_ns["Tax"].manifest.name == "tax"


def test_running_the_cell_again_swaps_the_plugin(shop):
    """The new code answers, the old module is gone, and options are kept unless new ones are given."""
    shop.run(tax(0.5, "--config {'extra': 1.0}"))
    old = shop.ip.user_ns["Tax"]
    shop.run(tax(0.2))
    assert taxed(shop) == 3.0
    assert shop.ip.user_ns["Tax"] is not old
    assert old.__module__ not in sys.modules
    shop.run(tax(0.2, "--config dict(extra=2.0)"))
    assert taxed(shop) == 4.0


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("%%plugin\nclass Tax(Plugin:\n    pass", SyntaxError),
        ("%%plugin\nclass Tax(Plugin, nmae='tax'):\n    pass", ManifestError),
        ("%%plugin\nclass Tax(Plugin):\n    @on('order.*')\n    def tax(self):\n        pass", ManifestError),
        ("%%plugin\nclass Tax(Plugin):\n    rate = 1 / 0", ZeroDivisionError),
        ("%%plugin\nx = 1", ManifestError),
        (tax(0.2, "--config {'extra': 'much'}"), ConfigError),
        (tax(0.2, "--confg {}"), UsageError),
    ],
)
def test_a_broken_cell_leaves_the_old_plugin_running(shop, cell, kind):
    """Whatever is wrong with the cell, it is shown, and the plugin that runs goes on."""
    shop.run(tax(0.5))
    modules = {name for name in sys.modules if name.startswith("plugin_cell_")}
    assert isinstance(shop.fail(cell), kind)
    assert taxed(shop) == 5.0
    assert {name for name in sys.modules if name.startswith("plugin_cell_")} == modules


MOODY = """%%plugin
import enum

class Mood(enum.Enum):
    {members}

class Moody(Plugin):
    def __init__(self):
        self.moods = []

    def snapshot(self):
        return self.moods

    def restore(self, state):
        self.moods = state

    def start(self, ctx):
        {start}

    @on("order.*")
    def note(self, event):
        self.moods.append(Mood.GLAD)
        return [mood is Mood.GLAD for mood in self.moods]
"""


def test_a_cell_that_runs_again_keeps_the_state(shop):
    """Its enum members too, matched by name; a cell that fails on the way leaves everything as it was."""
    order = "shop.publish(OrderPlaced(order_id=1, amount=10.0)); shop.plugins['moody'].instance.moods"
    shop.run(MOODY.format(members="GLAD = 1", start="pass"))
    shop.run(order)
    changes = shop.run(MOODY.format(members="SAD = 1; GLAD = 2", start="pass"))
    assert str(changes) == "reloaded moody (generation 2; state kept)"
    mood, names = shop.ip.user_ns["Mood"], {name for name in sys.modules if name.startswith("plugin_cell_")}
    assert shop.run(order) == [mood.GLAD, mood.GLAD]
    error = shop.fail(MOODY.format(members="GLAD = 1", start="raise OSError('no ink')"))
    assert isinstance(error, ReloadError)
    assert "generation 2 of moody goes on, for its start failed: OSError: no ink" in str(error)
    assert shop.ip.user_ns["Mood"] is mood
    assert shop.run(order) == [mood.GLAD] * 3
    assert {name for name in sys.modules if name.startswith("plugin_cell_")} == names


def test_a_plugin_that_does_not_start_is_an_error(shop):
    """A start that raises makes the cell fail, with the original error as the cause."""
    error = shop.fail(
        "%%plugin\nclass Tax(Plugin):\n    def start(self, ctx):\n        raise OSError('no ink')"
    )
    assert isinstance(error, PluginError)
    assert isinstance(error.__cause__, OSError)


def test_a_name_of_the_users_is_never_overwritten(shop, capsys):
    """A variable that did not come from such a cell stays, and that is said the first time."""
    shop.run("RATE = 'mine'")
    shop.run(tax(0.5))
    assert shop.ip.user_ns["RATE"] == "mine"
    said = "The name RATE in your notebook still means what another cell gave it; the plugin has this cell's."
    assert said in capsys.readouterr().out
    assert taxed(shop) == 5.0
    shop.run(tax(0.2))
    assert said not in capsys.readouterr().out


def test_a_class_of_the_users_stays_beside_the_plugin_of_its_name(shop, capsys):
    """Where a plugin class was defined in an ordinary cell, it is said which of the two the host runs."""
    before = shop.ip.user_ns["Billing"]
    shop.run("%%plugin\nclass Billing(Plugin, requires=['ledger']):\n    pass")
    assert shop.ip.user_ns["Billing"] is before
    assert "still means the class defined in another cell; the host now runs this" in capsys.readouterr().out


def test_a_cell_that_cannot_be_parsed_shows_the_line_alone(shop, capsys):
    """A mistake of syntax is shown as in any cell: the line and a mark below it, without the frames of plugbook."""
    shop.fail("%%plugin\nclass Tax(Plugin:\n    pass")
    shown = capsys.readouterr().out
    assert ":2" in shown
    assert "class Tax(Plugin:" in shown
    assert "invalid syntax" in shown
    assert "plugin_cell.py" not in shown
    assert len(shown.splitlines()) < 8


def test_a_cell_that_raises_shows_its_own_frames(shop, capsys):
    """The way through plugbook to the line that raised is hidden."""
    shop.fail("%%plugin\nclass Tax(Plugin):\n    rate = 1 / 0")
    shown = capsys.readouterr().out
    assert "rate = 1 / 0" in shown
    assert "plugin_cell.py" not in shown


def test_what_cannot_be_parsed_elsewhere_is_shown_in_full(shop, capsys):
    """A mistake of syntax in code that a cell runs keeps the frames that led to it."""
    shop.fail("def load():\n    exec('1 +')\nload()")
    shown = capsys.readouterr().out
    assert "Traceback" in shown
    assert "load" in shown


def test_its_source_is_found_and_it_can_be_pickled(shop):
    """inspect.getsource, pickle and tracebacks find the class, with the line numbers of the cell."""
    shop.run(
        "%%plugin\n\nclass Tax(Plugin):\n    @on(OrderPlaced)\n    def tax(self, event):\n        return 1 / 0\n"
    )
    kind = shop.ip.user_ns["Tax"]
    assert inspect.getsource(kind).startswith("class Tax(Plugin):")
    assert inspect.getsource(kind.tax).strip().endswith("return 1 / 0")
    assert pickle.loads(pickle.dumps(kind)) is kind
    report = shop.run("shop.publish(OrderPlaced(order_id=1))")
    assert report.errors[0].error.__traceback__.tb_lineno == 6


def test_several_plugins_of_a_cell_wait_for_each_other(shop):
    """The order in which they are written does not matter, nor does a base class with an underscore."""
    shop.run(
        "%%plugin\n"
        "class Second(Plugin, requires=['first']):\n    pass\n"
        "class _Base(Plugin):\n    pass\n"
        "class First(_Base):\n    pass\n"
    )
    states = shop.ip.user_ns["shop"].states
    assert (states["first"], states["second"]) == ("active", "active")
    assert "base" not in states


def test_a_cell_may_write_a_plugin_as_functions(shop):
    """What `plugin` returned is swapped like a class; running the cell again does not double it."""
    cell = """%%plugin
from plugbook import plugin
tax = plugin("tax")

@tax.on(OrderPlaced)
def levy(event):
    return event.amount * {rate}
"""
    assert "started tax" in str(shop.run(cell.format(rate=0.5)))
    assert taxed(shop) == 5.0
    shop.run(cell.format(rate=0.25))
    assert taxed(shop) == 2.5


def test_the_members_of_a_bundle_are_not_taken_apart_from_it(shop):
    """A cell may define a bundle and what it is made of."""
    shop.run("""%%plugin
from plugbook import Bundle

class Till(Plugin):
    pass

class Stall(Bundle, members=[Till]):
    pass
""")
    host = shop.ip.user_ns["shop"]
    assert {"stall", "stall.till"} <= set(host.plugins)
    assert "till" not in host.plugins


def test_what_a_later_cell_brings_starts_what_waited(shop):
    """A plugin that was blocked for a missing one starts when a cell defines that one."""
    assert "other" in str(shop.run("%%plugin\nclass Needy(Plugin, requires=['other']):\n    pass"))
    assert shop.ip.user_ns["shop"].states["needy"] != "active"
    shop.run("%%plugin\nclass Other(Plugin):\n    pass")
    assert shop.ip.user_ns["shop"].states["needy"] == "active"


def test_without_a_host_one_is_made(shell):
    """The first cell makes the current host; a closed one is replaced."""
    shell.run("from plugbook import Plugin")
    shell.run("%%plugin\nclass Tax(Plugin):\n    pass")
    first = plugbook.current()
    assert first.states == {"tax": "active"}
    first.close()
    shell.run("%%plugin\nclass Tax(Plugin):\n    pass")
    assert plugbook.current() is not first
    assert plugbook.current().states == {"tax": "active"}
