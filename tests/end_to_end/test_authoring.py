"""From an empty folder to a tested plugin, without leaving the notebook."""

import pytest

MISWRITTEN = '''
%%writefile miswritten.py
"""A shop whose plugins each have something wrong."""
from pydantic import BaseModel, Field
from plugbook import Event, Plugin, on

print("imported")
class Paid(Event, topic="faulty.paid"):
    amount: int = Field(ge=2, multiple_of=3)
    currency: str = Field(pattern="^[A-Z]{3}$")

class Misspelt(Plugin, versoin="1"): ...
class Misnamed(Plugin, name="Mis named"): ...
class Unversioned(Plugin, version="1.x"): ...
class Circular(Plugin, requires=["circular"]): ...
class Unready(Plugin, requires=["ledger=>1"]): ...
class Deaf(Plugin):
    @on("faulty.*.")
    def hear(self, event): ...
    @on
    def bare(self, event): ...
    @on(Paid, prio=1)
    def early(self, event): ...
    @on(Paid, timeout=0)
    def soon(self): ...
class Backwards(Plugin):
    def start(self): ...
'''


MISBEHAVING = '''
%%writefile misbehaving.py
"""A shop whose plugins read well, and go wrong when they are tried."""
import asyncio, os, threading
from pydantic import BaseModel, Field
from plugbook import Event, Plugin, on

HELD = []

class Paid(Event, topic="faulty.paid"):
    amount: int = Field(ge=2, multiple_of=3)
    currency: str = Field(pattern="^[A-Z]{3}$")

class AtStart(Plugin):
    def start(self, ctx):
        raise OSError("no printer")
class InHandler(Plugin, policy="raise"):
    @on(Paid)
    def bill(self, event):
        raise KeyError(event.currency)
class AtStop(Plugin):
    def start(self, ctx):
        ctx.defer(self.close)
    def close(self):
        raise OSError("still printing")
class Leaves(Plugin):
    def start(self, ctx):
        HELD.append(self)
        threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()
class Dies(Plugin):
    def start(self, ctx):
        os._exit(7)
class Hangs(Plugin):
    @on(Paid)
    async def wait(self, event):
        await asyncio.Event().wait()
class Fine(Plugin, version="1.0"):
    class Config(BaseModel):
        rate: int = Field(gt=3)
    @on(Paid)
    def bill(self, event):
        return event.amount * self.ctx.config.rate
'''


@pytest.mark.parametrize("template", ["basic", "async", "bundle", "pluggy-bridge"])
def test_a_new_package_is_ready_at_once(notebook, template):
    """What `%pb new` made passes `%pb check` and its own tests as it is."""
    name = f"shop-{template}"
    assert "test_conformance.py" in notebook.run(
        f"%pb new {name} --template {template} --describe 'Sends bills'"
    )
    assert "error" not in notebook.run(f"%pb check {name}")
    said = notebook.run(f"!cd {name} && python -m pytest -q -p no:cacheprovider")
    assert " passed" in said
    assert "failed" not in said


def test_what_is_written_wrong_is_said_with_its_line(notebook):
    """Each mistake in a source has its line and what to do, and a plugin with mistakes is not run."""
    notebook.run(MISWRITTEN)
    said = notebook.run("%pb check miswritten.py")
    for told in (
        "warning [import-effect]",
        "has no class keyword 'versoin'",
        "Write 'mis-named'.",
        "Write it like '1.0.0' or '2.1b1'.",
        "requires names the plugin 'circular' itself",
        "'ledger=>1' cannot be read",
        "'faulty.*.' is not a topic pattern",
        "@on has no option 'prio'",
        "Write def start(self, ctx).",
        "it was not run: mend its errors first",
    ):
        assert told in said


def test_what_goes_wrong_when_tried_is_said_with_its_phase(notebook):
    """Whatever a plugin does to the process it is tried in, the notebook gets its report, and other plugins are tried."""
    notebook.run(MISBEHAVING)
    said = notebook.run("%pb check misbehaving.py --timeout 3")
    for told in (
        "error [start-failed]",
        "OSError: no printer",
        "error [handler-failed]",
        "Paid(amount=3, currency='AAA')",
        "error [stop-failed]",
        "error [leak-instance]",
        "HELD",
        "exit code 7 in the phase 'start'",
        "did not end within 3",
        "fine was configured with what its Config allows: {'rate': 4}",
    ):
        assert told in said


def test_a_plugin_of_a_cell_is_checked_with_what_it_uses(notebook):
    """`%pb check` tries the last plugin cell, and names the line of that cell."""
    notebook.run('class Counted(Event, topic="cell.counted"):\n    count: int\nSTEP = 1')
    notebook.run("""
        %%plugin
        class Counter(Plugin):
            @on(Counted)
            def count(self, event):
                return STEP // event.count
        """)
    said = notebook.run("%pb check")
    assert "the cell:5" in said
    assert "ZeroDivisionError" in said
    assert '"ok":' in notebook.run("%pb check counter --no-run --json")


def test_a_package_that_cannot_be_made_leaves_nothing(notebook):
    """Names that cannot be and files in the way are refused with what to do instead."""
    assert "pluggy-bridge" in notebook.run("%pb new --list")
    assert "Did you mean 'basic'?" in notebook.fail("%pb new shop-x --template basics")
    assert "json" in notebook.fail("%pb new json")
    assert "Name the package" in notebook.run("%pb new")
    notebook.run("%pb new shop-twice")
    (notebook.folder / "shop-twice/README.md").write_text("mine")
    assert "README.md" in notebook.fail("%pb new shop-twice")
    notebook.run("%pb new shop-twice --force --author 'Ada <ada@example.org>'")
    assert "ada@example.org" in notebook.run("!cat shop-twice/pyproject.toml")
    assert not (notebook.folder / "shop-x").exists()
