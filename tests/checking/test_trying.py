"""The short life of a plugin in a fresh process: what goes wrong there is told, and the process always ends."""

import json
import sys
import time
from textwrap import dedent

import pytest

from plugbook import open_recording
from plugbook.checking.check import check
from plugbook.checking.job import Job, Results, read_results

HEAD = """
import asyncio, os, sys, threading, time
from pydantic import BaseModel, Field
from plugbook import Event, Plugin, on
class Paid(Event, topic="order.paid"):
    amount: int = Field(ge=2)
HELD = []
"""

FINE = """
class Billing(Plugin, version="1.2"):
    class Config(BaseModel):
        rate: int = Field(gt=3)
    async def start(self, ctx):
        print("rate", ctx.config.rate)
    @on(Paid)
    async def bill(self, event):
        return 1 / event.amount
    @on("unknown.*")
    def other(self, event): ...
    @on(Paid, where=lambda event: event.amount > 1000)
    def large(self, event): ...
"""


def test_a_plugin_that_works_has_nothing_to_mend(write, tmp_path):
    """It is started, handles the smallest event of its type, and is stopped, twice; what was made up is said."""
    recording = tmp_path / "trial.plugbook"
    report = check(write("billing.py", HEAD + FINE), recording=recording)
    assert report.problems == []
    [plugin] = report.plugins
    assert [each.name for each in plugin.run.phases] == [
        "import",
        "start",
        "handle order.paid",
        "stop",
        "start again",
        "stop again",
    ]
    assert all(each.outcome == "ok" and each.duration_ns > 0 for each in plugin.run.phases)
    assert plugin.run.notes == [
        "billing was configured with what its Config allows: {'rate': 4}",
        "other was not tried: no event is defined for 'unknown.*'",
    ]
    assert plugin.run.output == "rate 4\nrate 4"
    assert "billing" not in sys.modules
    with open_recording(recording) as seen:
        assert [each.payload for each in seen.select(topics="order.paid", kinds="event").records()] == [
            {"amount": 2}
        ]


def test_each_trial_that_fails_says_where(write):
    """Whatever fails in a trial has its code, and the line that a person would go to; others are tried all the same."""
    source = """
    class Ok(Plugin): ...
    class NotStarted(Plugin, requires=["zorg"]): ...
    class AtStart(Plugin):
        def start(self, ctx):
            raise OSError("no printer")  # start-failed
    class InHandler(Plugin, policy="raise"):
        @on(Paid)
        def bill(self, event):
            raise KeyError(event.amount)  # handler-failed
    class AtStop(Plugin):
        def start(self, ctx):
            ctx.defer(self.close)
        def close(self):
            raise OSError("still printing")  # stop-failed
    class Leaves(Plugin):
        def start(self, ctx):
            HELD.append(self)
    class Ails(Plugin):
        def health(self):
            return "no paper"
    class Dies(Plugin):
        def start(self, ctx):
            print("goodbye", flush=True)
            os._exit(7)
    """
    file = write("shop.py", HEAD + dedent(source))
    report = check(file, timeout_s=60)
    found = {(each.plugin, each.code, each.severity): each for each in report.problems}
    assert set(found) == {
        ("not-started", "not-started", "warning"),
        ("at-start", "start-failed", "error"),
        ("in-handler", "handler-failed", "error"),
        ("at-stop", "stop-failed", "error"),
        ("leaves", "leak-instance", "error"),
        ("ails", "reload-failed", "error"),
        ("dies", "crash", "error"),
    }
    lines = file.read_text().splitlines()
    for (_, code, _), problem in found.items():
        if problem.line:
            assert lines[problem.line - 1].endswith(f"# {code}")
    assert "there is no plugin zorg" in found["not-started", "not-started", "warning"].message
    assert "OSError: no printer" in found["at-start", "start-failed", "error"].message
    assert "OSError: no printer" in found["at-start", "start-failed", "error"].details
    assert "Paid(amount=2)" in found["in-handler", "handler-failed", "error"].message
    assert "HELD" in found["leaves", "leak-instance", "error"].message
    assert found["ails", "reload-failed", "error"].message.startswith("reload failed in health: ")
    assert "exit code 7 in the phase 'start'" in found["dies", "crash", "error"].message
    assert found["dies", "crash", "error"].details == "goodbye\n"
    assert not report
    assert "6 errors, 1 warning in 8 plugins" in str(report)


@pytest.mark.parametrize(
    ("waits", "phase"),
    [
        ("async def bill(self, event):\n        await asyncio.Event().wait()", "handle order.paid"),
        ("def bill(self, event):\n        threading.Event().wait()", "handle order.paid"),
    ],
    ids=["coroutine", "thread"],
)
def test_a_hang_is_ended_and_located(write, waits, phase):
    """A plugin that waits forever is ended with all that it started, and the line where it waits is named."""
    source = f"""
class Billing(Plugin):
    @on(Paid)
    {waits}
"""
    file = write("billing.py", HEAD + source)
    before = time.monotonic()
    [problem] = check(file, timeout_s=2.5).problems
    assert time.monotonic() - before < 60
    assert (problem.code, problem.file) == ("hang", str(file))
    assert problem.message == f"{phase} did not end within 2.5 s"
    assert "wait()" in file.read_text().splitlines()[problem.line - 1]
    assert "most recent call first" in problem.details


def test_a_plugin_may_end_the_process_with_any_code(write):
    """What ends itself is told as that, also where a process that hangs ends with the same code."""
    source = "class Billing(Plugin):\n    def start(self, ctx):\n        os._exit(3)\n"
    [problem] = check(write("billing.py", HEAD + source)).problems
    assert (problem.code, problem.message) == (
        "crash",
        "the process ended with exit code 3 in the phase 'start'",
    )


def test_files_beside_it_hide_nothing_of_pythons_own(write, monkeypatch):
    """A check that is run in a folder with a keyword.py begins as anywhere else."""
    write("keyword.py", "raise RuntimeError('imported instead of the one of Python')")
    file = write("billing.py", HEAD + FINE)
    monkeypatch.chdir(file.parent)
    monkeypatch.syspath_prepend(str(file.parent))
    assert check("billing.py").problems == []


def test_the_place_is_in_a_persons_own_code_or_left_out(write):
    """No file of plugbook's is named as the place of a mistake."""
    source = """
class Billing(Plugin):
    def snapshot(self):
        return object()
    def restore(self, state): ...
"""
    [problem] = check(write("billing.py", HEAD + source)).problems
    assert (problem.code, problem.file) == ("reload-failed", "")


def test_an_import_that_fails_or_leaves_a_thread_is_told(write):
    """What goes wrong on the import alone has its traceback, and a thread that it starts somewhere is noticed."""
    write(
        "helper.py",
        "import threading\ndef go():\n    threading.Thread(target=threading.Event().wait, name='x').start()\n",
    )
    report = check(
        write("billing.py", f"{HEAD}import helper\nready = helper.go()\nclass Billing(Plugin): ...")
    )
    assert [(each.code, each.severity) for each in report.problems] == [("import-thread", "warning")]
    report = check(write("broken.py", f"{HEAD}import nothing_like_it\nclass Billing(Plugin): ..."))
    [problem] = report.problems
    assert (problem.code, problem.line) == ("import-failed", 7)
    assert "nothing_like_it" in problem.details


def test_a_plugin_with_errors_is_not_run(write):
    """What cannot work is not tried."""
    report = check(write("billing.py", f"{HEAD}class Billing(Plugin, version='x'): ..."))
    assert report.plugins[0].run.notes == ["it was not run: mend its errors first"]


def test_a_result_that_is_cut_short_is_passed_over(tmp_path):
    """What a process that was killed had written until then can be read."""
    results = Results(tmp_path)
    results.put(begin="import")
    results.close()
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"end": "imp')
    assert read_results(tmp_path) == [{"begin": "import"}]


def test_a_job_survives_its_file(tmp_path):
    """A job reads as it was written."""
    job = Job(
        "billing", "shop:Billing", offers={"billing": "shop:Billing"}, distribution=("shop-plugins", "1")
    )
    job.write(tmp_path)
    assert json.dumps(vars(Job.read(tmp_path))) == json.dumps(vars(job))
    assert (tmp_path / "shop_plugins-1.dist-info" / "entry_points.txt").is_file()
