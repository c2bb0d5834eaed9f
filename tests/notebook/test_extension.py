"""Loading and unloading the extension."""

import subprocess
import sys

import plugbook
from plugbook.notebook.settings import Plugbook
from plugbook.trace.writing.recorder import Recorder


def state_of(ip):
    """Everything in a shell that an extension could change."""
    html = ip.display_formatter.formatters["text/html"]
    return {
        "magics": {kind: dict(names) for kind, names in ip.magics_manager.magics.items()},
        "registry": dict(ip.magics_manager.registry),
        "configurables": list(map(id, ip.configurables)),
        "matchers": [matcher.__qualname__ for matcher in ip.Completer.matchers],
        "custom_matchers": list(ip.Completer.custom_matchers),
        "events": {name: list(callbacks) for name, callbacks in ip.events.callbacks.items()},
        "formatters": (dict(html.type_printers), dict(html.deferred_printers)),
        "custom_exceptions": (ip.custom_exceptions, ip.CustomTB),
        "transformers": (list(ip.input_transformers_cleanup), list(ip.ast_transformers)),
        "names": {name for name in ip.user_ns if not name.startswith("_")},
        "user_magics": set(vars(ip.magics_manager.user_magics)),
        "errors": set(vars(plugbook.PlugbookError)),
        "cell": Recorder.cell,
        "cell_modules": {name for name in sys.modules if name.startswith("plugin_cell_")},
    }


def test_unloading_leaves_nothing_behind(bare_shell):
    """After %unload_ext, the shell is as it was, although every part of the extension was used."""
    ip = bare_shell.ip
    ip.magics_manager.load_all_lazy_magics()
    before = state_of(ip)
    ip.run_line_magic("load_ext", "plugbook")
    ip.run_cell("%%plugin --config {}\nfrom plugbook import Plugin\nclass Tax(Plugin):\n    pass")
    ip.run_line_magic("pb", "list")
    bare_shell.complete("%pb why ")
    ip.run_line_magic("unload_ext", "plugbook")
    for name in ("Tax", "Plugin"):
        ip.user_ns.pop(name)
    assert state_of(ip) == before


def test_loading_twice_is_loading_once(bare_shell):
    """A second %load_ext changes nothing, and %reload_ext leaves one of everything."""
    bare_shell.run("%load_ext plugbook")
    once = state_of(bare_shell.ip)
    bare_shell.run("%load_ext plugbook")
    plugbook.load_ipython_extension(bare_shell.ip)
    assert state_of(bare_shell.ip)["custom_matchers"] == once["custom_matchers"]
    bare_shell.run("%reload_ext plugbook")
    again = state_of(bare_shell.ip)
    for part in ("configurables", "matchers", "custom_matchers"):
        assert len(again[part]) == len(once[part])
    assert {name: len(each) for name, each in again["events"].items()} == {
        name: len(each) for name, each in once["events"].items()
    }


def test_unloading_what_is_not_loaded_does_nothing(bare_shell):
    """Unloading without loading is no error."""
    plugbook.unload_ipython_extension(bare_shell.ip)


def test_a_magic_that_was_there_comes_back(bare_shell):
    """A %pb of the user's is hidden while the extension is loaded, and back afterwards."""
    bare_shell.ip.register_magic_function(lambda line: "mine", magic_name="pb")
    bare_shell.run("%load_ext plugbook")
    assert bare_shell.run("%pb list") != "mine"
    bare_shell.run("%unload_ext plugbook")
    assert bare_shell.run("%pb list") == "mine"


def test_settings_come_from_configuration_and_from_config_magic(bare_shell):
    """c.Plugbook.<name> holds from the start, and %config Plugbook changes it."""
    bare_shell.ip.config.Plugbook.cap_bytes = 100
    bare_shell.run("%load_ext plugbook")
    settings = next(each for each in bare_shell.ip.configurables if isinstance(each, Plugbook))
    assert settings.cap_bytes == 100
    bare_shell.run("%config Plugbook.redact = ['password']")
    bare_shell.run("%config Plugbook.rate = 'max'")
    assert (settings.redact, settings.rate) == (["password"], "max")


def test_every_record_knows_its_cell(shop):
    """An event carries the execution count and the id of the cell that published it; between cells there is none."""
    shop.run("shop.publish(OrderPlaced(order_id=1))", cell_id="abc")
    count = shop.ip.execution_count - 1
    record = next(iter(shop.ip.user_ns["shop"].recording.select(kinds="event").records()))
    assert record.cell == (count, "abc")
    assert Recorder.cell is None


def test_a_recording_holds_the_text_of_its_cells(shop, tmp_path):
    """Of each cell that led to a record the text is kept, unless sources are switched off."""
    for options in ("", ", sources=False"):
        file = tmp_path / f"run{len(options)}.plugbook"
        cell = f"with shop.record('{file}'{options}): shop.publish(OrderPlaced(order_id=1))"
        shop.run(cell)
        shop.run("1 + 1")
        kept = {} if options else {str(shop.ip.execution_count - 2): cell}
        assert plugbook.open_recording(file).facts("cell") == kept


def test_a_cell_that_mentions_what_is_redacted_is_hidden(shop, tmp_path):
    """The text of a cell with a name to redact does not get into the recording."""
    file = tmp_path / "run.plugbook"
    shop.run(f"recording = shop.record('{file}', redact=['order_*'])")
    shop.run("shop.publish(OrderPlaced(order_id=123456))\nrecording.close()")
    assert b"123456" not in file.read_bytes()


def test_a_cell_inside_a_cell_gives_way_again(shop):
    """After a nested run_cell the outer cell is the running one again."""
    shop.run(
        "get_ipython().run_cell('pass', store_history=False)\nreport = shop.publish(OrderPlaced(order_id=1))"
    )
    assert shop.ip.user_ns["report"].cell[0] == shop.ip.execution_count - 1


def test_loading_imports_nothing_heavy():
    """%load_ext brings in no pandas, altair, ipywidgets or pydantic."""
    code = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "ip = InteractiveShell()\n"
        "before = set(sys.modules)\n"
        "ip.run_line_magic('load_ext', 'plugbook')\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(new & {'pandas', 'altair', 'ipywidgets', 'anywidget', 'pydantic', 'numpy'}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith("[]")
