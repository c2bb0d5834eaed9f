"""Fixtures that every room's tests share: Hypothesis profiles, and a check that a test leaves no thread behind."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

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
