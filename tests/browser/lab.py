"""A real JupyterLab and the hands to use it: start the server, open a notebook, run it, click, look."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Locator, Page

SERVER_MAY_TAKE_S = 90.0
PAGE_MAY_TAKE_S = 90.0

# Every cell is in the page at once, and nothing asks the internet for news.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}

# Names the parts of the running application that every script below needs.
IN_PAGE = """
const app = window.jupyterapp;
const widget = app.shell.currentWidget;
const kernel = widget?.context?.sessionContext?.session?.kernel;
"""


class LabServer:
    """One `jupyter lab` on the loopback address, with a token, its own settings and its own folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._log = folder / "jupyter-lab.log"
        self._process = self._launch(folder)

    def _launch(self, folder: Path) -> subprocess.Popen[bytes]:
        settings = folder / "config" / "labconfig" / "default_setting_overrides.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(LAB_SETTINGS), encoding="utf-8")
        places = {
            "JUPYTER_CONFIG_DIR": folder / "config",
            "JUPYTER_DATA_DIR": folder / "data",
            "JUPYTER_RUNTIME_DIR": folder / "runtime",
            "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
            "IPYTHONDIR": folder / "ipython",
        }
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            f"--ServerApp.root_dir={self.root}",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.url.rpartition(':')[2]}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
        ]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=os.environ | {name: str(path) for name, path in places.items()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, timeout_s: float = SERVER_MAY_TAKE_S) -> Self:
        """Return once the server answers; fail with its log when it ended or does not answer in time."""
        request = urllib.request.Request(
            f"{self.url}/api/status", headers={"Authorization": f"token {self.token}"}
        )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return self
            except OSError:
                # An exit is noticed at once; otherwise ask again a little later.
                _exits_within(self._process, 0.1)
        log = self._log.read_text(encoding="utf-8", errors="replace")[-4000:]
        raise AssertionError(f"jupyter lab did not answer within {timeout_s:g} s. The end of its log:\n{log}")

    def stop(self) -> None:
        """End the server, which ends its kernels; whatever remains of its own process group is killed."""
        self._process.terminate()
        if not _exits_within(self._process, 20):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Lab:
    """A browser page with JupyterLab in it, in the words of somebody who uses a notebook.

    Every method that waits has a deadline in seconds and fails at its end.

    Attributes:
        page: the playwright page, for whatever these methods do not offer.
        page_errors: uncaught JavaScript errors, in the order in which they happened.
    """

    def __init__(self, page: Page, server: LabServer, pictures: Path) -> None:
        self.page = page
        self.server = server
        self.page_errors: list[str] = []
        self._pictures = pictures
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.set_default_timeout(PAGE_MAY_TAKE_S * 1000)

    def open(self, notebook: Path, timeout_s: float = PAGE_MAY_TAKE_S) -> None:
        """Copy a notebook into a fresh folder of the server, open it and wait until its kernel is idle."""
        self.close()
        folder = self.server.root / secrets.token_hex(4)
        folder.mkdir()
        shutil.copy(notebook, folder)
        path = f"{folder.name}/{notebook.name}"
        workspace = folder.name
        self.page.goto(
            f"{self.server.url}/lab/workspaces/{workspace}/tree/{path}?reset&token={self.server.token}",
            wait_until="domcontentloaded",
        )
        self.wait_until(
            f"return widget?.context?.path === {json.dumps(path)} && widget.context.isReady"
            " && kernel?.status === 'idle'",
            timeout_s,
        )

    def close(self) -> None:
        """Shut down the open notebook's kernel, if there is one."""
        if self.page.url.startswith(self.server.url):
            self.script("await widget?.context?.sessionContext?.shutdown()", 20)

    def run_all(self, timeout_s: float = PAGE_MAY_TAKE_S) -> None:
        """Run every cell from the top, and wait until the last has ended and the kernel is idle."""
        self.script(
            "window.ranAll = null;"
            "app.commands.execute('notebook:run-all-cells').then(ok => { window.ranAll = Boolean(ok); });"
        )
        self.wait_until("return window.ranAll !== null", timeout_s)
        self.wait_idle(timeout_s)

    def wait_idle(self, timeout_s: float = PAGE_MAY_TAKE_S) -> None:
        """Wait until the kernel has nothing to do."""
        self.wait_until("return kernel?.status === 'idle'", timeout_s)

    def outputs(self) -> list[list[dict[str, Any]]]:
        """Return the outputs of each code cell, from the top, in the notebook file format."""
        cells = self.script("return widget.context.model.toJSON().cells")
        return [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]

    def errors(self) -> list[str]:
        """Return the errors among the outputs, as `Name: message`."""
        return [
            f"{output['ename']}: {output['evalue']}"
            for outputs in self.outputs()
            for output in outputs
            if output["output_type"] == "error"
        ]

    def evaluate(self, expression: str, timeout_s: float = 20) -> str:
        """Return the `repr` of a Python expression in the kernel, leaving the notebook as it is.

        Raises:
            AssertionError: the expression raised.
        """
        answer: Mapping[str, Any] = self.script(
            "const future = kernel.requestExecute({code: '', silent: true, store_history: false,"
            f" user_expressions: {{value: {json.dumps(expression)}}}}});"
            "return (await future.done).content.user_expressions.value;",
            timeout_s,
        )
        if answer["status"] != "ok":
            raise AssertionError(f"{expression}: {answer['ename']}: {answer['evalue']}")
        return str(answer["data"]["text/plain"])

    def wait_for(self, expression: str, value: object, timeout_s: float = 20) -> None:
        """Wait until a Python expression in the kernel equals a value; fail with what it was last."""
        deadline = time.monotonic() + timeout_s
        while (found := self.evaluate(expression)) != repr(value):
            if time.monotonic() > deadline:
                raise AssertionError(f"{expression} is {found} after {timeout_s:g} s, not {value!r}")
            self.page.wait_for_timeout(50)

    def output(self, cell: int) -> Locator:
        """Return the output area of a code cell (counted from 0) as it stands in the page."""
        return self.page.locator(".jp-CodeCell").nth(cell).locator(".jp-Cell-outputArea")

    def click(self, button: str) -> None:
        """Click the button with this text among the outputs."""
        self.page.locator(".jp-OutputArea").get_by_role("button", name=button, exact=True).first.click()

    def screenshot(self, name: str, what: Locator | None = None) -> Path:
        """Take a picture of the page, or of a part of it, and return the PNG file."""
        path = self._pictures / f"{name}.png"
        (what or self.page).screenshot(path=path)
        return path

    def script(self, body: str, timeout_s: float = 20) -> Any:
        """Run JavaScript in the page with `app`, `widget` and `kernel` at hand; return what it returns."""
        # A promise that never settles would hang the test: page.evaluate has no deadline of its own.
        return self.page.evaluate(
            f"""() => Promise.race([
                (async () => {{ {IN_PAGE} {body} }})(),
                new Promise((_, reject) => setTimeout(
                    () => reject(new Error("no answer within {timeout_s:g} s")), {timeout_s * 1000:.0f}
                )),
            ])"""
        )

    def wait_until(self, condition: str, timeout_s: float = PAGE_MAY_TAKE_S) -> None:
        """Wait until a JavaScript body, with `app`, `widget` and `kernel` at hand, returns something true."""
        self.page.wait_for_function(
            f"() => {{ if (!window.jupyterapp) return false; {IN_PAGE} {condition} }}",
            polling=100,
            timeout=timeout_s * 1000,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _exits_within(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True
