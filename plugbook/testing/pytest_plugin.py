"""The fixtures that pytest finds wherever plugbook is installed; nothing is imported before one is used."""

# What is imported here is imported by every run of pytest on a machine that has plugbook, and before coverage is
# measured: so the fixtures only say where to find what they give.

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path
    from typing import Any

    from plugbook.host.host import Host, PluginClass
    from plugbook.testing.bench import Bench
    from plugbook.testing.clock import VirtualClock
    from plugbook.testing.published import PublishedEvents
    from plugbook.testing.replaying import Replayed
    from plugbook.trace.reading.live import LiveRecording
    from plugbook.trace.reading.recording import Recording

_BENCH = pytest.StashKey["Bench"]()


@pytest.fixture
def host(_plugbook_bench: Bench) -> Host:
    """A host without plugins, closed when the test ends."""
    from plugbook.host.host import Host

    return _plugbook_bench.adopt(Host(env_prefix=None), check=False)


@pytest.fixture
def plugin_host(_plugbook_bench: Bench) -> Callable[..., Host]:
    """Makes started hosts: ``plugin_host(Billing, Ledger, config={"billing": {"currency": "USD"}})``.

    A plugin that does not start fails the test there and then; ``start=False`` leaves that to the test. Environment
    variables give no options, unless ``env_prefix=`` says so. When the test ends everything is stopped, and the test
    errs if a plugin could not be stopped or has left something behind. What may stay is said by
    ``allow_leaks=["thread"]``, or True for everything; for the whole test by ``@pytest.mark.allow_leaks("thread")``,
    or without arguments. Other arguments are those of `Host`.
    """
    return _plugbook_bench.make


@pytest.fixture
def events(_plugbook_bench: Bench) -> PublishedEvents:
    """What is published on the hosts of the test: ``events.assert_published(OrderPlaced, amount=9.5)``."""
    return _plugbook_bench.events


@pytest.fixture
def clock(_plugbook_bench: Bench) -> VirtualClock:
    """The time of the test's hosts, which stands still until ``clock.advance(seconds)``; see `VirtualClock`."""
    return _plugbook_bench.clock


@pytest.fixture
def recording(_plugbook_bench: Bench, tmp_path: Path) -> LiveRecording:
    """What the test's host records, in a file below `tmp_path`, which the report names when the test fails."""
    from plugbook.testing.recorded import RecordedHost

    _plugbook_bench.record_to(tmp_path)
    return RecordedHost(_plugbook_bench)  # type: ignore[return-value]  # it stands in for the recording to come


@pytest.fixture
def assert_replays(
    _plugbook_bench: Bench, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Replayed]:
    """Replays a recording to plugins: ``assert_replays("shop.plugbook", Billing, Ledger, config=...)``.

    The test fails where the plugins are called, answer, fail, publish or ask the world otherwise than recorded, and
    shows the first difference. With ``snapshot="shop.txt"`` they are held to what that file says instead, which
    ``pytest --plugbook-update`` writes. Relative paths are those beside the test file; other arguments are those of
    `plugin_host`.
    """
    from plugbook.testing.replaying import assert_replayed, replay

    def assert_replays(
        recording: Recording | str | Path, *plugins: PluginClass, snapshot: str | None = None, **options: Any
    ) -> Replayed:
        __tracebackhide__ = True
        folder, scratch = request.path.parent, tmp_path_factory.mktemp("replayed") / "replayed.plugbook"
        host = _plugbook_bench.make(*plugins, start=False, **options)
        replayed = replay(folder / recording if isinstance(recording, str) else recording, host, scratch)
        update = request.config.getoption("plugbook_update")
        assert_replayed(replayed, folder / snapshot if snapshot else None, update=update)
        return replayed

    return assert_replays


@pytest.fixture
def _plugbook_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    from plugbook.testing.bench import Bench
    from plugbook.testing.letting_go import let_go

    markers = list(request.node.iter_markers("allow_leaks"))
    kinds = [kind for marker in markers for kind in marker.args]
    allowed = kinds if all(marker.args for marker in markers) else True
    has_log = request.config.pluginmanager.hasplugin("logging-plugin")
    log = request.getfixturevalue("caplog") if has_log else None
    bench = request.node.stash[_BENCH] = Bench(allowed, lambda: let_go(request, log))
    yield bench
    troubles = bench.close()
    if troubles:
        pytest.fail(troubles, pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the snapshots of replays."""
    parser.getgroup("plugbook").addoption(
        "--plugbook-update",
        action="store_true",
        help="write the snapshots that assert_replays compares with, instead of comparing",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "allow_leaks(*kinds): what plugins may leave behind in this test, such as 'thread'; without kinds, everything",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say of a failed test which handlers had failed before, and where its recording is."""
    report = yield
    bench = item.stash.get(_BENCH, None)
    if bench is not None and report.failed:
        failures = [] if bench.is_red else bench.failures()
        if failures:
            report.sections.append(("plugbook handlers that failed", "\n".join(failures)))
        bench.is_red = True
        for path in bench.recordings:
            said = f"kept at {path}\nlook at it: plugbook tree {path}"
            report.sections.append(("plugbook recording", said))
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show where events differ, field by field."""
    if "plugbook.events.event" not in sys.modules:
        return None
    from plugbook.testing.differences import explain_events

    return explain_events(op, left, right)
