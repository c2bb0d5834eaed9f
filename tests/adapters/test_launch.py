"""`plugbook record`: a pytest run in any environment, from its start to any kind of end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import distribution
from pathlib import Path

import pytest

from plugbook import open_recording
from plugbook.adapters.launch import interpreter_of, record
from plugbook.errors import RecordingError, RecordingExistsError

PYTEST_AND_WHAT_IT_NEEDS = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")

TESTS = """
import importlib.util
import os

def test_nothing_of_ours_is_installed():
    assert importlib.util.find_spec("pydantic") is None
    assert importlib.util.find_spec("plugbook_recorded_pytest") is not None

def test_fails():
    assert os.environ.get("MARK") == "set"
"""

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals and scripts as POSIX has them")


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """An environment with pytest and nothing else; made from the one that runs the tests, without a download."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(
        subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    )
    for name in PYTEST_AND_WHAT_IT_NEEDS:
        for file in distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    script = python.with_name("pytest")
    script.write_text(f"#!{python}\nimport pytest\nraise SystemExit(pytest.console_main())\n")
    script.chmod(0o755)
    return python


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with two tests, the current one; no settings of the outer run reach it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -q -p no:cacheprovider\n")
    (folder / "test_two.py").write_text(TESTS)
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_", "COVERAGE_"))]:
        monkeypatch.delenv(name)
    return folder


def hook_calls(path, hook):
    """The recorded calls of one hook."""
    with open_recording(path) as recording:
        return list(recording.select(topics=hook, kinds="event").records())


def write_test(project, text):
    (project / "test_two.py").write_text(textwrap.dedent(text))


@posix
@pytest.mark.parametrize("how", ["script", "module", "wrapper"])
def test_an_environment_with_pytest_alone_is_recorded(bare, project, how, monkeypatch):
    """Script, module and a wrapper that starts it: each is recorded, and ends with pytest's exit code."""
    command = {
        "script": [bare.with_name("pytest")],
        "module": [bare, "-m", "pytest"],
        "wrapper": ["sh", "-c", '"$0" -m pytest; exit $?', bare],
    }[how]
    run = record([str(part) for part in command], "run.plugbook")
    assert run.exit_code == 1
    (process,) = run.processes
    assert (process.path, process.closed, process.problem) == (project / "run.plugbook", True, "")
    assert f"{process.path}" in run.explain()
    with open_recording("run.plugbook") as recording:
        assert recording.info["closed"]
        topics = set(recording.events()["topic"])
        errors = recording.calls().query("outcome == 'error'")
        assert recording.facts("manifest")["terminalreporter"]["system"] == "pluggy"
    assert {"pytest_cmdline_main", "pytest_runtest_call", "pytest_unconfigure"} <= topics
    assert errors["error"].str.contains("AssertionError").any()
    assert len(hook_calls("run.plugbook", "pytest_runtest_logreport")) == 6
    monkeypatch.setenv("MARK", "set")
    assert record([str(part) for part in command], "second.plugbook").exit_code == 0
    assert sorted(path.name for path in project.glob("*.plugbook*")) == ["run.plugbook", "second.plugbook"]


def test_settings_of_the_caller_are_kept(bare, project, monkeypatch, tmp_path):
    """PYTHONPATH and PYTEST_ADDOPTS of the caller still work."""
    (tmp_path / "helper.py").write_text("def test_helped(): pass")
    write_test(project, "from helper import test_helped\ndef test_other(): assert 0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k helped")
    assert record([str(bare), "-m", "pytest"], "run.plugbook").exit_code == 0
    assert len(hook_calls("run.plugbook", "pytest_runtest_logreport")) == 3


def test_options_reach_the_recorded_process(bare, project):
    """What to keep and what to hide is decided where the command is started."""
    run = record([str(bare), "-m", "pytest"], "run.plugbook", payloads="none")
    assert run.exit_code == 1
    with open_recording("run.plugbook") as recording:
        assert set(recording.events()["payload"]) == {""}


def test_an_existing_file_is_refused_before_anything_starts(project):
    """Nothing is overwritten and nothing is started."""
    (project / "run.plugbook").write_text("mine")
    command = [sys.executable, "-c", "open('started', 'w')"]
    with pytest.raises(RecordingExistsError, match="nothing was started"):
        record(command, "run.plugbook")
    with pytest.raises(RecordingError, match="no folder"):
        record(command, "missing/run.plugbook")
    assert not (project / "started").exists()
    assert (project / "run.plugbook").read_text() == "mine"


def test_a_command_without_pytest_says_what_ran_and_what_to_do(project):
    """The interpreter is named, and how the recording reaches pytest."""
    run = record([sys.executable, "-c", "raise SystemExit(7)"], "run.plugbook")
    assert (run.exit_code, run.processes) == (7, ())
    assert sys.executable in run.explain()
    assert "PYTEST_ADDOPTS" in run.explain()
    assert not (project / "run.plugbook").exists()


def test_a_command_that_does_not_exist_says_so(project):
    """The exit code is the shell's."""
    run = record(["no-such-command"], "run.plugbook")
    assert run.exit_code == 127
    assert "no command 'no-such-command'" in run.explain()


@posix
def test_the_interpreter_of_a_script_is_read_from_its_first_line(tmp_path):
    """A script is named with what its first line starts, a program alone by its path."""
    script = tmp_path / "tool"
    script.write_text("#!/opt/python3.9 -s\n")
    script.chmod(0o755)
    assert interpreter_of(str(script)) == f"{script} with /opt/python3.9 -s"
    assert interpreter_of("sh") == shutil.which("sh")
    assert interpreter_of("no-such-command") == "no-such-command"


def test_tests_run_even_where_they_cannot_be_recorded(bare, project, monkeypatch):
    """A failure of ours in the recorded process costs the recording, not the run."""
    write_test(
        project,
        """
        def test_runs(): pass
        """,
    )
    sabotage = project / "sabotage"
    sabotage.mkdir()
    (sabotage / "sqlite3.py").write_text("raise ImportError('no sqlite3 in this Python')")
    monkeypatch.setenv("PYTHONPATH", str(sabotage))
    run = record([str(bare), "-m", "pytest"], "run.plugbook")
    assert run.exit_code == 0
    assert "no sqlite3 in this Python" in run.explain()
    assert "Nothing was recorded" in run.explain()


def test_workers_of_xdist_write_beside(project):
    """Each worker has a recording of its own, named after it, and all are listed."""
    pytest.importorskip("xdist")
    write_test(project, "import pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_n(n): pass")
    run = record([sys.executable, "-m", "pytest", "-n", "2"], "run.plugbook")
    assert run.exit_code == 0
    names = sorted(process.path.name for process in run.processes)
    assert names == ["run.gw0.plugbook", "run.gw1.plugbook", "run.plugbook"]
    assert "pytest-xdist worker gw1" in run.explain()
    assert sum(len(hook_calls(name, "pytest_runtest_call")) for name in names) == 8


def test_runs_after_each_other_in_one_process_are_recorded_apart(bare, project):
    """A second pytest in the same process gets a file of its own; one inside another is left alone."""
    script = "import pytest; pytest.main(['-k', 'ours']); pytest.main(['-k', 'ours'])"
    run = record([str(bare), "-c", script], "run.plugbook")
    assert [process.path.name for process in run.processes] == ["run.plugbook", "run.2.plugbook"]
    write_test(project, "import pytest\ndef test_outer(): pytest.main(['--version'])")
    run = record([str(bare), "-m", "pytest"], "outer.plugbook")
    assert [process.path.name for process in run.processes] == ["outer.plugbook"]


BLOCKS = """
import threading
from pathlib import Path

def test_blocks():
    Path("ready").touch()
    threading.Event().wait(60)
"""

LAUNCH = "import sys; from plugbook.adapters.launch import record; " + (
    "run = record(sys.argv[1:], 'run.plugbook'); print(run.explain()); sys.exit(run.exit_code)"
)


def start_blocked(project, bare):
    """Start a recorded run in a process group of its own; wait until its test blocks and that is on file."""
    write_test(project, BLOCKS)
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, bare, "-m", "pytest"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not ((project / "ready").exists() and blocked_calls(project / "run.plugbook")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)  # polling, with a deadline
    return process


def blocked_calls(path):
    with open_recording(path) as recording:
        return recording.select(topics="pytest_pyfunc_call").calls()["outcome"].tolist()


@posix
@pytest.mark.parametrize(("number", "exit_code", "closed"), [("SIGINT", 2, True), ("SIGTERM", 143, False)])
def test_an_interrupted_run_leaves_a_readable_recording(bare, project, number, exit_code, closed):
    """Ctrl-C ends pytest, which closes its recording; what a harder end leaves can be read, too."""
    process = start_blocked(project, bare)
    if number == "SIGINT":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.send_signal(getattr(signal, number))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == exit_code
    assert str(project / "run.plugbook") in output
    assert ("not closed" in output) is not closed
    assert blocked_calls("run.plugbook") == ["error" if closed else "open"]


@posix
def test_a_killed_run_names_the_call_that_was_running(bare, project):
    """After `kill -9` the call that never ended is on file as open."""
    process = start_blocked(project, bare)
    ask = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
    children = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    os.kill(int(children.split()[0]), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert "not closed" in output
    with open_recording("run.plugbook") as recording:
        (open_call,) = recording.select(topics="pytest_pyfunc_call", outcome="open", kinds="call").records()
    assert open_call.name == "python.pytest_pyfunc_call"
