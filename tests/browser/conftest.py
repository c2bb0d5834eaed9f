"""Fixtures for tests in a real browser: they install nothing, and skip with the reason where one is missing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser tests need the extra `test` (playwright)")
pytest.importorskip("jupyterlab", reason="the browser tests need the extra `lab` (jupyterlab)")

from playwright.sync_api import Browser, sync_playwright

from tests.browser.lab import Lab, LabServer

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing but this machine: a page that needs the internet fails here, as it would for a person on a train.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and keep it on one worker: a second JupyterLab would only slow it down."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium, from PLUGBOOK_CHROMIUM or the PATH; skip where there is none."""
    names = [os.environ["PLUGBOOK_CHROMIUM"]] if "PLUGBOOK_CHROMIUM" in os.environ else CHROMIUM_NAMES
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(
        f"no browser: looked for {', '.join(names)}. On Debian: apt-get install chromium; "
        "or name one in PLUGBOOK_CHROMIUM"
    )


@pytest.fixture(scope="session")
def lab_server(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """One JupyterLab for all browser tests; it is not started where there is no browser."""
    server = LabServer(tmp_path_factory.mktemp("jupyter-lab"))
    try:
        yield server.wait_until_ready()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser a file. Not longer: playwright keeps an event loop running in the thread of the tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def lab(browser: Browser, lab_server: LabServer, tmp_path: Path) -> Iterator[Lab]:
    """A fresh page on JupyterLab, which has seen nothing of other tests."""
    with browser.new_context(viewport={"width": 1280, "height": 1600}) as context:
        lab = Lab(context.new_page(), lab_server, tmp_path)
        yield lab
        lab.close()
