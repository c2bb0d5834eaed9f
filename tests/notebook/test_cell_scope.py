"""What a cell registers is its own: replaced when it runs again, taken back when it fails."""

import gc

import pytest

from plugbook.events.dispatch.registrations import current_registrar
from plugbook.events.versions.schemas import Schemas, schemas

COUNT = "seen = []\ndef note(event): seen.append(event.order_id)\nshop.subscribe(OrderPlaced, note)"
PLACE = "seen.clear()\nshop.publish(OrderPlaced(order_id=7))\nseen"


def host_of(shell, name="shop"):
    return shell.ip.user_ns[name]


def changes_of(host, name):
    return [
        record.reason for record in host.recording.select(kinds="change").records() if record.name == name
    ]


def listeners(host):
    return [each.name for each in host.subscriptions if not each.plugin]


@pytest.mark.parametrize("cell_id", ["cell-01", None])
def test_a_cell_that_runs_again_does_not_listen_twice(shop, cell_id):
    """A subscription of a cell is there once, however often the cell runs, with a cell id and without."""
    for _ in range(3):
        shop.run(COUNT, cell_id=cell_id)
    assert shop.run(PLACE) == [7]
    assert changes_of(host_of(shop), "unsubscribe")[-1].endswith("runs in the place of cell [4]")


def test_a_cell_that_was_changed_is_known_by_its_id(shop):
    """With other code in it, a cell still replaces what it registered before."""
    shop.run(COUNT, cell_id="a")
    shop.run(COUNT.replace("note", "write"), cell_id="a")
    assert listeners(host_of(shop)) == ["write"]


def test_two_cells_each_keep_their_own(shop):
    """Cells do not take from each other."""
    shop.run(COUNT, cell_id="a")
    shop.run(COUNT, cell_id="b")
    assert listeners(host_of(shop)) == ["note", "note"]


def test_a_cell_begins_as_if_it_had_never_run(shop):
    """What the cell registered the last time does not hear what this run publishes first."""
    cell = "heard = []\nshop.publish(OrderPlaced(order_id=1))\nshop.subscribe(OrderPlaced, lambda e: heard.append(e))\nheard"
    assert shop.run(cell) == []
    assert shop.run(cell) == []


def test_a_failing_cell_takes_back_what_it_registered(shop, capsys):
    """Subscriptions, listeners and plugins of a cell that fails are gone, one line says so, and records say why."""
    before = host_of(shop).states
    shop.fail(
        f"{COUNT}\nshop.on_change(lambda: None)\nclass Tax(Plugin): pass\nshop.add(Tax)\nraise OSError('no ink')"
    )
    host = host_of(shop)
    assert listeners(host) == []
    assert host.states == before
    said = [line for line in capsys.readouterr().out.splitlines() if "taken back" in line]
    assert len(said) == 1
    assert "subscription note, listener <lambda>, plugin tax" in said[0]
    assert changes_of(host, "unsubscribe")[-1] == "cell [3] failed"
    assert changes_of(host, "take back") == ["cell [3] failed"]


def test_a_throttle_is_its_cells(shop):
    """A limit of a cell that fails is gone; one of a cell that went well is back after a run that failed."""
    shop.run("undo = shop.throttle('order.*', per_second=5)", cell_id="a")
    shop.fail("shop.throttle('invoice.*', per_second=1)\n1 / 0")
    shop.ip.run_cell("shop.throttle('order.*', per_second=1)\n1 / 0", store_history=True, cell_id="a")
    assert host_of(shop).bus.throttles == {"order.*": 5}
    assert changes_of(host_of(shop), "unthrottle")[0] == "cell [4] failed"
    shop.run("undo()")
    assert host_of(shop).bus.throttles == {}


@pytest.fixture
def paid():
    """The versions of the topic order.paid that are known; those that a test's cells registered are dropped."""
    known = Schemas()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemas, "_registered", known._registered)
        yield lambda: {each: schemas.schema("order.paid", each) for each in schemas.versions("order.paid")}


REGISTER = "from plugbook.events.versions.schemas import schemas\nschemas.register('order.paid', {})"


def test_a_schema_is_its_cells(shop, paid):
    """A cell may change what it registers and run again; one that fails leaves what there was before."""
    cents, euros, marks = ({"title": title} for title in ("cents", "euros", "marks"))
    shop.run(REGISTER.replace("{}", str(cents)), cell_id="a")
    shop.run(REGISTER.replace("{}", str(euros)), cell_id="a")
    assert paid() == {1: euros}
    shop.fail(f"{REGISTER.replace('{}', f'{marks}, replace=True')}\n1 / 0")
    shop.fail(f"{REGISTER.replace('{}', f'{marks}, version=2')}\n1 / 0")
    shop.ip.run_cell(f"{REGISTER.replace('{}', str(cents))}\n1 / 0", store_history=True, cell_id="a")
    assert paid() == {1: euros}
    shop.run("'nothing is registered here any more'", cell_id="a")
    assert paid() == {}


def test_a_schema_that_a_module_registers_is_not_its_cells(shop, paid):
    """What code of a module registers stays, for an import does nothing when its cell runs again."""
    shop.ip.user_ns["import_it"] = lambda: schemas.register("order.paid", {"title": "cents"})
    shop.fail("import_it()\n1 / 0")
    assert paid() == {1: {"title": "cents"}}


DEPRECATE = "shop.deprecate(topic='order.legacy', since='1.0', removal='{}')"


def test_a_deprecation_is_its_cells(shop, capsys):
    """One of a cell that fails is gone, with a record; one of a cell that runs again is there as it now says."""
    host = host_of(shop)
    shop.fail(f"{DEPRECATE.format('1.5')}\n1 / 0")
    assert host.deprecations == {}
    assert changes_of(host, "take back") == ["cell [3] failed"]
    assert "deprecation of topic order.legacy" in capsys.readouterr().out
    shop.run(DEPRECATE.format("2.0"), cell_id="a")
    shop.run(DEPRECATE.format("3.0"), cell_id="a")
    assert [each.removal for each in host.deprecations] == ["3.0"]
    shop.ip.run_cell(f"{DEPRECATE.format('4.0')}\n1 / 0", store_history=True, cell_id="a")
    assert [each.removal for each in host.deprecations] == ["3.0"]
    assert len(changes_of(host, "put back")) == 1


def test_a_failing_cell_leaves_what_it_had_registered_before(shop):
    """When a cell fails that went well before, what it had registered then goes on."""
    shop.run(COUNT, cell_id="a")
    disconnect = host_of(shop).subscriptions
    shop.fail(f"{COUNT.replace('note', 'write')}\n1 / 0")
    shop.ip.run_cell(f"{COUNT.replace('note', 'write')}\n1 / 0", store_history=True, cell_id="a")
    assert listeners(host_of(shop)) == ["note"]
    assert [each.number for each in host_of(shop).subscriptions] == [each.number for each in disconnect]
    shop.run(COUNT, cell_id="a")
    assert listeners(host_of(shop)) == ["note"]


def test_the_way_to_disconnect_outlives_a_failed_run(shop):
    """What subscribe returned still ends a subscription that was taken out and put back."""
    shop.run("stop = shop.subscribe(OrderPlaced, print)", cell_id="a")
    shop.ip.run_cell("1 / 0", store_history=True, cell_id="a")
    assert listeners(host_of(shop)) == ["print"]
    shop.run("stop()")
    assert listeners(host_of(shop)) == []


def test_an_interrupted_cell_keeps_what_it_registered(shop):
    """An interrupt is no failure."""
    shop.fail(f"{COUNT}\nraise KeyboardInterrupt")
    assert listeners(host_of(shop)) == ["note"]


def test_a_plugin_added_again_by_its_cell_is_replaced(shop):
    """Adding a plugin of the same name is an error in another cell, and a replacement in its own."""
    cell = "class Tax(Plugin):\n    rate = {}\nshop.add(Tax)"
    shop.run(cell.format(1), cell_id="a")
    shop.run(cell.format(2), cell_id="a")
    assert host_of(shop).plugins["tax"].instance.rate == 2
    assert "already" in str(shop.fail(cell.format(3)))
    assert host_of(shop).plugins["tax"].instance.rate == 2


def test_a_plugin_that_its_cell_no_longer_adds_goes(shop):
    """A plugin whose cell was changed to add another is removed."""
    shop.run("class Tax(Plugin): pass\nshop.add(Tax)", cell_id="a")
    shop.run("class Duty(Plugin): pass\nshop.add(Duty)", cell_id="a")
    assert set(host_of(shop).plugins) == {"billing", "ledger", "duty"}
    assert changes_of(host_of(shop), "take back") == ["cell [4] no longer adds it"]


def test_a_plugin_cell_that_renames_its_plugin_does_not_leave_two(shop):
    """%%plugin with another class in it takes the former one away."""
    shop.run("%%plugin\nclass Tax(Plugin): pass", cell_id="a")
    shop.run("%%plugin\nclass Duty(Plugin): pass", cell_id="a")
    assert set(host_of(shop).plugins) == {"billing", "ledger", "duty"}


def test_a_replaced_plugin_comes_back_when_the_cell_fails(shop):
    """What a failing cell put in the place of a plugin gives way to it again, options included."""
    host = host_of(shop)
    shop.run("shop.add(Billing, config={'currency': 'USD'}, replace=True)")
    billing = host.plugins["billing"].plugin_class
    shop.fail("class Billing2(Plugin, name='billing'): pass\nshop.add(Billing2, replace=True)\n1 / 0")
    assert host.plugins["billing"].plugin_class is billing
    assert host.plugins["billing"].config.currency == "USD"
    assert host.plugins["billing"].is_active


def test_a_plugin_that_does_not_start_stays_for_a_person_to_ask_why(shop):
    """%%plugin leaves a plugin that failed to start as it is."""
    shop.fail("%%plugin\nclass Tax(Plugin):\n    def start(self, ctx): raise OSError('no ink')")
    assert host_of(shop).states["tax"].value == "failed"


MAKE = "made = Host([Ledger])\nmade.start()"


def test_a_host_that_its_cell_makes_again_is_closed(shop, capsys):
    """The old one stops, with the reason on record, although the history of outputs still has it."""
    shop.run(f"{MAKE}\nmade", cell_id="a")
    old = host_of(shop, "made")
    alive = old.recording
    del old
    shop.run(f"{MAKE}\nmade", cell_id="a")
    assert shop.run("made.is_closed") is False
    assert "The host that this cell made before was closed." in capsys.readouterr().out
    closed = [record for record in alive.select(kinds="change").records() if record.name == "close"]
    assert [record.reason for record in closed] == ["cell [4] ran in the place of the cell that made it"]


@pytest.mark.parametrize(
    ("other", "holder"),
    [
        ("mine = made", "mine"),
        ("mine = [made]", "mine"),
        ("send = made.publish", "a dict"),
        ("class App: pass\napp = App()\napp.host = made", "app"),
        ("send = lambda event, host=made: host.publish(event)", "send"),
    ],
)
def test_a_host_that_somebody_still_uses_is_left_alone(shop, capsys, other, holder):
    """A host with another name, in a list, in an object or behind a function goes on, and that is said."""
    shop.run(MAKE, cell_id="a")
    old = host_of(shop, "made")
    shop.run(other)
    hosts = [old]
    del old
    shop.run(MAKE, cell_id="a")
    assert not hosts[0].is_closed
    assert "goes on" in capsys.readouterr().out
    hosts[0].close()


def test_a_host_that_nothing_refers_to_is_closed(shop, capsys):
    """A name that is given to another host, in whichever cell, leaves no host running without a name."""
    shop.run(MAKE)
    recording = host_of(shop, "made").recording
    shop.run("made = Host([Billing])")
    gc.collect()
    assert "closed, for nothing refers to it any more" in capsys.readouterr().out
    assert [record.name for record in recording.select(kinds="state").records()][-1] == "stopping->stopped"


def test_a_host_of_a_failing_cell_is_stopped(shop, capsys):
    """It handles nothing any more; with a name it can be started again, and the current host is what it was."""
    shop.fail(f"{MAKE}\n1 / 0")
    assert "host made, which was stopped" in capsys.readouterr().out
    assert {state.value for state in host_of(shop, "made").states.values()} == {"stopped"}
    assert shop.run("import plugbook\nplugbook.current() is shop")
    shop.run("made.start()")
    shop.run("made.close()")


def test_what_is_to_be_kept_is_kept(shop):
    """After %pb keep, neither a failure nor another run takes anything back."""
    shop.fail(f"%pb keep\n{COUNT}\n1 / 0")
    assert listeners(host_of(shop)) == ["note"]
    shop.run(f"{COUNT}\n%pb keep", cell_id="a")
    shop.run(f"%pb keep\n{COUNT}", cell_id="a")
    assert listeners(host_of(shop)) == ["note"] * 3


def test_it_can_be_switched_off(shop):
    """With %config Plugbook.scoped_cells = False, cells are as in any notebook."""
    shop.run("%config Plugbook.scoped_cells = False")
    shop.run(COUNT, cell_id="a")
    shop.run(COUNT, cell_id="a")
    shop.fail(f"{COUNT}\n1 / 0")
    assert listeners(host_of(shop)) == ["note"] * 3
    assert "already" in str(shop.run("%pb keep"))


def test_what_a_plugin_takes_is_its_scopes(shop):
    """A subscription that a plugin makes while a cell starts it is the plugin's, whatever becomes of the cell."""
    shop.run(
        "class Late(Plugin):\n    def start(self, ctx): ctx.subscribe('order.*', print)\n%pb keep\nshop.add(Late)",
        cell_id="a",
    )
    shop.run("pass", cell_id="a")
    assert {each.plugin for each in host_of(shop).subscriptions} == {"ledger", "billing", "late"}


def test_a_cell_inside_a_cell_is_a_part_of_it(shop):
    """What run_cell runs without a number of its own belongs to the outer cell."""
    shop.run(f"get_ipython().run_cell({COUNT!r}, store_history=False)", cell_id="a")
    shop.run("pass", cell_id="a")
    assert listeners(host_of(shop)) == []


def test_nothing_is_watched_after_unloading(shop):
    """After %unload_ext nobody is told of anything."""
    shop.run("%unload_ext plugbook")
    assert current_registrar.get() is None
    shop.run(COUNT)
    shop.run(COUNT)
    assert listeners(host_of(shop)) == ["note", "note"]


def test_what_a_cell_sets_for_a_plugin_is_its_cells(shop, capsys):
    """Pauses, policies and effect rules of a cell that fails are gone, and one line and the records say so."""
    host = host_of(shop)
    shop.run("from plugbook import Effects\nshop.set_policy('ledger', 'raise')", cell_id="a")
    shop.fail(
        "shop.pause('billing')\nshop.mute('ledger')\nshop.set_policy('billing', 'quarantine')\n"
        "shop.set_policy('ledger', 'continue')\nshop.effects['billing'] = Effects(retries=2)\n1 / 0"
    )
    assert [host.held(name) for name in ("billing", "ledger")] == ["", ""]
    assert [host.policy_of(name) for name in ("billing", "ledger")] == ["continue", "raise"]
    assert not host.effects
    said = "pause of billing, mute of ledger, policy of billing, policy of ledger, effect rules of billing"
    assert said in capsys.readouterr().out
    assert changes_of(host, "policy")[-2:] == ["cell [4] failed"] * 2
    assert changes_of(host, "effects")[-1] == "cell [4] failed"


def test_a_cell_that_pauses_and_runs_again_begins_without_its_pause(shop):
    """What was kept is delivered first; without the pause in it the plugin goes on, and a failed run leaves it."""
    host = host_of(shop)
    pause = "shop.pause('billing')\nshop.publish(OrderPlaced(order_id=1))\nlen(shop.dead_letters('billing'))"
    assert [shop.run(pause, cell_id="a") for _ in range(2)] == [1, 1]
    shop.ip.run_cell("1 / 0", store_history=True, cell_id="a")
    assert host.held("billing") == "paused"
    shop.run("'no pause'", cell_id="a")
    assert host.held("billing") == ""


def test_what_another_cell_has_set_since_stays(shop):
    """Only what is still as the cell set it is taken back."""
    host = host_of(shop)
    shop.run("shop.pause('billing')\nshop.set_policy('billing', 'raise')", cell_id="a")
    shop.run("shop.resume('billing')\nshop.mute('billing')\nshop.set_policy('billing', 'quarantine')")
    shop.run("'nothing'", cell_id="a")
    assert host.held("billing") == "muted"
    assert host.policy_of("billing") == "quarantine"


def test_the_settings_of_a_host_are_not_apart_from_it(shop, capsys):
    """What a host is made with goes with the host, and is not told of by itself."""
    shop.fail(
        "class Solo(Plugin): ...\nother = Host([Solo], policies={'solo': 'raise'})\nother.start()\n1 / 0"
    )
    assert "policy" not in capsys.readouterr().out
