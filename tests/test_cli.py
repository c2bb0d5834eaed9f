"""The terminal's door."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from plugbook import Host, open_recording
from plugbook.cli import Terminal
from plugbook.commands import table

SHOP = """
from pydantic import BaseModel
from plugbook import Event, Host, Plugin, on

class OrderPlaced(Event, topic="cli.order.placed"):
    order_id: int
    amount: float = 1.0

class Ledger(Plugin, version="1.0"):
    @on(OrderPlaced)
    def book(self, event):
        return event.amount

class Billing(Plugin, requires=["ledger"]):
    class Config(BaseModel):
        currency: str = "EUR"

    @on("cli.order.*")
    def bill(self, event):
        return self.ctx.config.currency

class Orphan(Plugin, requires=["nowhere"]):
    pass

def make():
    return Host([Billing, Ledger, Orphan])

shop = make()
number = 1
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module that makes a host, which is where the command runs."""
    (tmp_path / "cli_shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("cli_shop", None)


@pytest.fixture
def run(folder):
    """Runs a command line; what it printed, or its error message where it is to fail."""

    def call(*words, fails=False):
        result = CliRunner().invoke(table.behind("terminal"), words, obj=Terminal(), prog_name="plugbook")
        assert (result.exit_code != 0) == fails, result.output
        assert fails or result.exception is None
        return result.output

    return call


@pytest.fixture
def recording(folder) -> Path:
    """A recording of two events."""
    import cli_shop

    file = folder / "run.plugbook"
    with Host([cli_shop.Billing, cli_shop.Ledger]) as host:
        host.start()
        with host.record(file):
            for number in (1, 2):
                host.publish(cli_shop.OrderPlaced(order_id=number))
    return file


def test_plugins_of_a_host_a_file_or_the_environment_are_listed(run, recording):
    """List takes --host, a file, or nothing."""
    assert "ledger   1.0      active" in run("list", "--host", "cli_shop:make")
    assert "billing" in run("list", str(recording))
    assert "plugbook.plugins" in run("list")


def test_a_host_answers_why_plan_and_config(run):
    """The words about plugins run on the host that --host makes, and it may be a host itself."""
    assert "nowhere" in run("why", "orphan", "--host", "cli_shop:make")
    assert "1. stop billing" in run("plan", "stop", "ledger", "--host", "cli_shop:shop")
    assert "'EUR'" in run("config", "billing", "--host", "cli_shop:make")
    assert "configured billing" in run("config", "billing", "currency=USD", "--host", "cli_shop:make")


@pytest.mark.parametrize(
    "event",
    [["OrderPlaced(order_id=1,", "amount=2.0)"], ["cli.order.placed", '{"order_id": 1, "amount": 2.0}']],
)
def test_an_event_is_published_and_its_calls_are_shown(run, event):
    """Publish takes an expression in the names of the host's module, or a topic and JSON."""
    said = run("publish", "--host", "cli_shop:make", *event)
    assert "Ledger.book" in said
    assert "2.0" in said


def test_a_recording_is_looked_at(run, recording):
    """summary, tree, select, mark and export take the file first."""
    assert "2 events" in run("summary", str(recording))
    chosen = run("select", str(recording), "--kinds", "event")
    assert len(chosen.splitlines()) == 2
    seq = chosen.split()[0].lstrip("#")
    assert "Billing.bill" in run("tree", str(recording), seq)
    assert "Marked as" in run("mark", str(recording), "before", "the", "fix")
    run("export", str(recording), "out.jsonl", "--topics", "cli.order.*", "--kinds", "event")
    assert [json.loads(line)["name"] for line in Path("out.jsonl").read_text().splitlines()] == [
        "cli.order.placed"
    ] * 2


def test_a_choice_by_seq_and_time_reads_spans(run, recording):
    """--seq and --time take two ends or one."""
    first, second = (
        line.split()[0].lstrip("#") for line in run("select", str(recording), "--kinds", "event").splitlines()
    )
    assert run("select", str(recording), "--kinds", "event", "--seq", f"{second}..").startswith(f"#{second}")
    assert run("select", str(recording), "--kinds", "event", "--seq", first).startswith(f"#{first}")
    assert len(run("select", str(recording), "--kinds", "event", "--time", "..3600").splitlines()) == 2


def test_a_recording_is_replayed(run, recording):
    """Replay plays to nobody, or to the plugins of --host."""
    assert "ended at 2 of 2 events" in run("replay", str(recording), "--rate", "max")
    assert "2 published, 4 calls" in run("replay", str(recording), "--rate", "max", "--host", "cli_shop:make")


def test_what_a_killed_process_left_is_folded_in(run, folder):
    """Close FILE makes one file of a recording and the log beside it."""
    code = (
        "import os, cli_shop\n"
        "host = cli_shop.make(); host.start(); recording = host.record('killed.plugbook')\n"
        "host.publish(cli_shop.OrderPlaced(order_id=1)); recording.flush(); os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)
    assert Path("killed.plugbook-wal").exists()
    assert "one file now" in run("close", "killed.plugbook")
    assert not Path("killed.plugbook-wal").exists()
    assert open_recording("killed.plugbook").select(kinds="event").count("event") == 1
    assert "already" in run("close", "killed.plugbook")


def test_the_exit_code_of_a_recorded_command_is_its_own(folder):
    """Where the command ran it is the command's; where nothing was started it is 2, as for all misuse."""

    def code(*words):
        return CliRunner().invoke(table.behind("terminal"), ["record", *words], obj=Terminal()).exit_code

    assert code("-o", "a.plugbook", "--", sys.executable, "-c", "raise SystemExit(5)") == 5
    Path("b.plugbook").touch()
    assert code("-o", "b.plugbook", "--", sys.executable, "-c", "pass") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sumary", "x"], "Did you mean 'summary'?"),
        (["attach", "x"], "a word for a notebook"),
        (["summary"], "Missing argument 'FILE'"),
        (["why", "billing"], "Missing option '--host'"),
        (["why", "run.plugbook", "billing"], "a recording holds none that could run"),
        (["summary", "nowhere.plugbook"], "nowhere.plugbook"),
        (["why", "billin", "--host", "cli_shop:make"], "Did you mean 'billing'?"),
        (["list", "--host", "nowhere:make"], "leads nowhere"),
        (["list", "--host", "cli_shop:nothing"], "leads nowhere"),
        (["list", "--host", "cli_shop:number"], "is a int"),
        (["help", "whi"], "Did you mean 'why'?"),
    ],
)
def test_a_mistake_gives_a_message_and_no_traceback(run, words, said):
    """The exit code says that it failed, and one message why."""
    shown = run(*words, fails=True)
    assert said in shown
    assert "Traceback" not in shown


def test_a_choice_that_holds_nothing_says_so(run, recording):
    """A misspelt name fails with what comes near, in select and in export; a choice of nothing says that it is one."""
    for words in (["select", str(recording)], ["export", str(recording), "out.json"]):
        assert "Did you mean 'billing'?" in run(*words, "--plugins", "biling", fails=True)
    assert not Path("out.json").exists()
    assert "No record is chosen." in run("select", str(recording), "--kinds", "mark")
    both = run("select", str(recording), "--plugins", "billing", "--plugins", "biling")
    assert "Did you mean 'billing'?" in both
    assert "Billing.bill" in both
    assert "backwards" in run("select", str(recording), "--seq", "20..10", fails=True)


def test_a_seq_from_a_frame_is_recognised(run, recording):
    """Whoever types the number that frames hold is told how the terminal shows it, and what there is."""
    with open_recording(recording) as opened:
        seq = int(opened.events()["seq"].iloc[0])
    said = run("tree", str(recording), str(seq), fails=True)
    assert f"Did you mean '{seq // 1024}'?" in said
    assert "They go from" in run("tree", str(recording), "99", fails=True)


def test_without_a_seq_the_last_tree_is_drawn(run, recording):
    """Tree with a file alone draws what the last event caused that nothing caused."""
    with open_recording(recording) as opened:
        last = int(opened.events()["seq"].iloc[-1])
    assert run("tree", str(recording)).startswith(f"#{last // 1024} event cli.order.placed")


def test_what_is_not_about_usage_shows_no_usage(run, recording):
    """An output that exists, or a folder that is missing, is told in one line and no usage."""
    for output in (str(recording), "nowhere/run.plugbook"):
        said = run("record", "-o", output, "--", sys.executable, "-c", "pass", fails=True)
        assert "nothing was started" in said
        assert "Usage" not in said
    assert "existing folder" in run("export", str(recording), "nowhere/out.csv", fails=True)


def test_a_help_text_is_shown_whole(run):
    """Examples keep their lines without a stray sign, and the list cuts no sentence."""
    for shown in (run("record", "--help"), run("config", "--help"), run("--help")):
        assert "\\b" not in shown
        assert "..." not in shown.replace("COMMAND...", "").replace("[OPTION=VALUE]...", "").replace(
            "[ARGS]...", ""
        )
    assert "\n  plugbook record -o run.plugbook -- pytest tests\n" in run("record", "--help")


def test_every_word_explains_itself(run):
    """Each word has a help text of its own, and the list names them all."""
    listed = run("--help")
    for name in table.behind("terminal").commands:
        assert name in listed
        assert len(run(name, "--help").splitlines()) > 3
        assert run("help", name) == run(name, "--help")


def test_both_doors_know_the_same_words():
    """A word that is at both doors means the same, and each word is at one at least."""
    terminal, notebook = table.behind("terminal"), table.behind("notebook")
    assert set(terminal.commands) | set(notebook.commands) == {word.name for word in table.WORDS}
    for name in (
        "list",
        "why",
        "plan",
        "config",
        "publish",
        "summary",
        "select",
        "tree",
        "mark",
        "export",
        "replay",
        "help",
    ):
        assert terminal.commands[name] is notebook.commands[name]


def test_the_shell_completes_words_options_and_names(folder, recording):
    """Shell completion knows the words, and of a file that was typed its topics."""

    def completed(line):
        environment = {
            **os.environ,
            "_PLUGBOOK_COMPLETE": "bash_complete",
            "COMP_WORDS": f"plugbook {line}",
            "COMP_CWORD": str(len(line.split(" "))),
        }
        command = [sys.executable, "-m", "plugbook"]
        shown = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        return [each.partition(",")[2] for each in shown.stdout.splitlines() if each]

    assert completed("sum") == ["summary"]
    assert completed("select run.plugbook --topics cl") == ["cli.order.placed"]
    assert completed("select nowhere.plugbook --plugins ") == []
