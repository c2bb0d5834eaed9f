"""A real IPython shell for each test that asks for one, with nothing of it left afterwards."""

import builtins
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from plugbook.host.current import use


class Shell:
    """An IPython shell in this process, and what its cells wrote and returned."""

    def __init__(self, config: Config) -> None:
        self.ip = InteractiveShell(config=config)

    def run(self, cell: str, **options: Any) -> Any:
        """Run a cell that must succeed; the value of its last line."""
        result = self.ip.run_cell(cell, store_history=True, **options)
        if result.error_before_exec or result.error_in_exec:
            raise AssertionError(cell) from (result.error_before_exec or result.error_in_exec)
        return result.result

    def fail(self, cell: str) -> BaseException:
        """Run a cell that must fail; what it raised."""
        result = self.ip.run_cell(cell, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        assert error is not None, f"{cell!r} did not fail"
        return error

    def complete(self, line: str) -> list[str]:
        """What TAB offers at the end of a line, as the whole text of each."""
        from IPython.core.completer import provisionalcompleter

        with provisionalcompleter():
            return [each.text for each in self.ip.Completer.completions(line, len(line))]


@pytest.fixture
def bare_shell(tmp_path_factory, monkeypatch) -> Iterator[Shell]:
    """A shell without the extension."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    before = {name: getattr(builtins, name, None) for name in ("get_ipython", "display")}
    config = Config()
    config.HistoryManager.enabled = False
    config.IPCompleter.use_jedi = False
    shell = Shell(config)
    yield shell
    shell.ip.run_line_magic("unload_ext", "plugbook")
    shell.ip.restore_sys_module_state()
    InteractiveShell.clear_instance()
    for name, value in before.items():
        if value is not None:
            setattr(builtins, name, value)

    use(None)


@pytest.fixture
def shell(bare_shell) -> Shell:
    """A shell with the extension loaded."""
    bare_shell.run("%load_ext plugbook")
    return bare_shell


SHOP = """
from pydantic import BaseModel
from plugbook import Event, Host, Plugin, on

class OrderPlaced(Event, topic="order.placed"):
    order_id: int
    amount: float = 1.0

class Ledger(Plugin, version="1.0"):
    @on(OrderPlaced)
    def book(self, event):
        return event.amount

class Billing(Plugin, requires=["ledger"]):
    class Config(BaseModel):
        currency: str = "EUR"

    @on("order.*")
    def bill(self, event):
        return self.ctx.config.currency

shop = Host([Billing, Ledger])
shop.start()
"""


@pytest.fixture
def shop(shell) -> Iterator[Shell]:
    """A shell in which a host with two plugins runs, as `shop`."""
    shell.run(SHOP)
    host = shell.ip.user_ns["shop"]
    yield shell
    host.close()
