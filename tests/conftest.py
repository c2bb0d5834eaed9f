"""What every room's tests share: Hypothesis profiles, a check for threads left behind, and coverage by kind."""

import base64
import gc
import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.coverage_by_kind import print_by_kind

# `quick` explores anew on every run; `ci` tries the same examples each time, so that a red run can be repeated.
settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile(
    "ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "quick"))

THREADS_MAY_TAKE_S = 5.0

# A shell lets the jobs in its background ignore Ctrl-C, and they hand that on to all that they start.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """Keep what the tests of other files made out of the collector's sight.

    Reloads and searches for leaks walk the whole heap, which a long run makes ten times as large as an author's.
    """
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def no_leaked_threads() -> Iterator[None]:
    """Fail the test if a thread that it started is still alive a few seconds after its end.

    Ask for it with `pytestmark = pytest.mark.usefixtures("no_leaked_threads")` in a file whose subject owns threads.
    """
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREADS_MAY_TAKE_S
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not left, f"the test left threads running: {', '.join(left)}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the processes that a test starts, such as kernels, tell coverage which file of tests they ran for."""
    packed = os.environ.get("COVERAGE_PROCESS_CONFIG")
    if packed:
        config = json.loads(base64.b64decode(packed)) | {"context": item.nodeid.partition("::")[0]}
        os.environ["COVERAGE_PROCESS_CONFIG"] = base64.b64encode(json.dumps(config).encode()).decode()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how much each kind of test reaches, where coverage knows which test it was."""
    measured = config.pluginmanager.getplugin("_cov")
    if measured is not None and config.getoption("cov_context") == "test":
        print_by_kind(terminalreporter, measured.cov_controller.cov.config.data_file)
