"""The recorded side of ``plugbook record``: a pytest plugin that attaches to the run it is loaded into.

`plugbook.adapters.launch` puts a copy of this file on the path of the command it starts, where nothing
of ours may be installed and Python may be any version. So this file needs the standard library alone,
and is written so that a Python too old for plugbook still reads it, says so, and runs the tests.
"""

import atexit
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List  # noqa: UP035 - Python 3.8 reads this file, too

SETTINGS = "PLUGBOOK_RECORD"
"""The environment variable that holds the settings as JSON: see `launch.record`."""

OLDEST = (3, 11)

_active: List["_Session"] = []  # noqa: UP006


def pytest_plugin_registered(manager: Any) -> None:
    """Attach as early as pytest lets a plugin know its manager; of managers inside each other to the first."""
    if not _active and SETTINGS in os.environ:
        _active.append(_Session(json.loads(os.environ[SETTINGS])))
        _active[0].start(manager)


def pytest_configure(config: Any) -> None:
    """Detach after every other plugin has cleaned up."""
    if _active and _active[0].manager is config.pluginmanager:
        config.add_cleanup(_finish)


@atexit.register
def _finish() -> None:
    while _active:
        _active.pop().finish()


class _Session:
    """One recorded run, and the report on it that the launching process reads afterwards."""

    def __init__(self, settings: Dict[str, Any]) -> None:  # noqa: UP006
        self.settings = settings
        self.manager: Any = None
        self.attachment: Any = None
        self.report: Dict[str, Any] = {  # noqa: UP006
            "executable": sys.executable,
            "python": ".".join(map(str, sys.version_info[:3])),
            "worker": os.environ.get("PYTEST_XDIST_WORKER", ""),
            "path": "",
            "problem": "",
            "closed": False,
        }

    def start(self, manager: Any) -> None:
        self.manager = manager
        try:
            if sys.version_info < OLDEST:
                self.report["problem"] = "plugbook needs Python {}.{} or newer there".format(*OLDEST)
            else:
                self.attachment = self._attach(manager)
                self.report["path"] = str(self.attachment.path)
        except Exception as error:  # the tests matter more than their recording
            self.report["problem"] = f"{type(error).__name__}: {error}"
        self._write_report()

    def _attach(self, manager: Any) -> Any:
        home = self.settings["home"]
        sys.path.append(home)  # last: where plugbook is installed, that is the one the tests would import
        try:
            from plugbook.adapters.attachment import Attachment, create_beside
        finally:
            sys.path.remove(home)
        store = create_beside(Path(self.settings["path"]), self.report["worker"])
        return Attachment(manager, store, **self.settings["options"])

    def finish(self) -> None:
        if self.attachment is not None:
            try:
                self.attachment.close()
                self.report["closed"] = True
            except Exception as error:
                self.report["problem"] = f"{type(error).__name__}: {error}"
            self._write_report()

    def _write_report(self) -> None:
        try:
            name = f"{os.getpid()}-{id(self)}.json"
            Path(self.settings["reports"], name).write_text(json.dumps(self.report), encoding="utf-8")
        except OSError:  # the launching process is gone, and its folder with it
            pass
