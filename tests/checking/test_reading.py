"""What is found wrong with a plugin by reading it alone."""

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugbook.checking.check import check

HEAD = "from plugbook import Bundle, Event, Plugin, on, plugin\n"


def body(text):
    """A plugin whose class has this one line."""
    return f"class Billing(Plugin):\n    {text}\n"


# source -> code, severity, line, a piece of what is said, a piece of what to do
BROKEN = {
    "syntax": ("class Billing(Plugin:\n    pass\n", "syntax", "error", 2, "no Python", ""),
    "return outside": ("return 1\n", "syntax", "error", 2, "'return' outside function", ""),
    "keyword": (
        "class Billing(Plugin, versoin='1'): pass",
        "unknown-keyword",
        "error",
        2,
        "'versoin'",
        "'version'",
    ),
    "name": (
        "class Billing(Plugin, name='Bill ing'): pass",
        "manifest-name",
        "error",
        2,
        "is not a name",
        "'bill-ing'",
    ),
    "class name": ("class É(Plugin): pass", "manifest-name", "error", 2, "is not a name", ""),
    "version": (
        "class Billing(Plugin, version='1.x'): pass",
        "manifest-version",
        "error",
        2,
        "PEP 440",
        "'1.0.0'",
    ),
    "number": ("class Billing(Plugin, version=1): pass", "manifest-version", "error", 2, "string", ""),
    "requires": (
        "class Billing(Plugin, requires=['ledger=>1']): pass",
        "manifest-requires",
        "error",
        2,
        "cannot be read",
        "'ledger>=1,<3'",
    ),
    "itself": (
        "class Billing(Plugin, requires=['billing']): pass",
        "manifest",
        "error",
        2,
        "itself",
        "Take it out",
    ),
    "range provided": (
        "class Billing(Plugin, provides=['tax>=1']): pass",
        "manifest-provides",
        "error",
        2,
        "is a range",
        "'tax'",
    ),
    "host range": (
        "class Billing(Plugin, requires_host='two'): pass",
        "manifest-requires_host",
        "error",
        2,
        "range of versions",
        "'>=2,<3'",
    ),
    "host version": (
        "class Billing(Plugin, requires_host='>=7'): pass",
        "host-version",
        "error",
        0,
        "API version >=7",
        "--api-version",
    ),
    "policy": (
        "class Billing(Plugin, policy='retry'): pass",
        "manifest-policy",
        "error",
        2,
        "no policy",
        "'restart'",
    ),
    "builder": (
        "billing = plugin('billing', versoin='1')",
        "unknown-keyword",
        "error",
        2,
        "'versoin'",
        "'version'",
    ),
    "builder name": (
        "billing = plugin('Bill ing')",
        "manifest-name",
        "error",
        2,
        "is not a name",
        "'bill-ing'",
    ),
    "pattern": (
        body("@on('order.*.')\n    def a(self, e): ..."),
        "topic",
        "error",
        3,
        "not a topic pattern",
        "",
    ),
    "target": (
        body("@on(3)\n    def a(self, e): ..."),
        "handler-target",
        "error",
        3,
        "no Event class",
        "order.*",
    ),
    "bare on": (
        body("@on\n    def a(self, e): ..."),
        "handler-target",
        "error",
        3,
        "does not say",
        "above a",
    ),
    "empty on": (
        body("@on()\n    def a(self, e): ..."),
        "handler-target",
        "error",
        3,
        "does not say",
        "@on(",
    ),
    "static": (
        body("@on('a')\n    @staticmethod\n    def a(e): ..."),
        "handler-target",
        "error",
        3,
        "staticmethod",
        "directly",
    ),
    "option": (
        body("@on('a', prio=3)\n    def a(self, e): ..."),
        "handler-option",
        "error",
        3,
        "'prio'",
        "'priority'",
    ),
    "priority": (
        body("@on('a', priority='x')\n    def a(self, e): ..."),
        "handler-option",
        "error",
        3,
        "whole",
        "",
    ),
    "timeout": (
        body("@on('a', timeout=0)\n    def a(self, e): ..."),
        "handler-option",
        "error",
        3,
        "above 0",
        "",
    ),
    "where": (
        body("@on('a', where='x')\n    def a(self, e): ..."),
        "handler-option",
        "error",
        3,
        "cannot be",
        "",
    ),
    "source": (
        body("@on('a', source=3)\n    def a(self, e): ..."),
        "handler-option",
        "error",
        3,
        "source must",
        "",
    ),
    "thread": (
        body("@on('a', thread=True)\n    async def a(self, e): ..."),
        "handler-option",
        "error",
        3,
        "sync handlers",
        "",
    ),
    "handler": (
        body("@on('a')\n    def a(self): ..."),
        "handler-signature",
        "error",
        4,
        "one event",
        "(self, event)",
    ),
    "generator": (
        body("@on('a')\n    def a(self, e): yield"),
        "handler-yields",
        "error",
        4,
        "run nothing",
        "publish",
    ),
    "start": (body("def start(self): ..."), "start-signature", "error", 3, "context", "start(self, ctx)"),
    "twice": (
        body("def start(self, ctx, ctx2=1, *, x): ..."),
        "start-signature",
        "error",
        3,
        "x",
        "start(self, ctx)",
    ),
    "start yields": (
        body("def start(self, ctx): yield"),
        "start-yields",
        "error",
        3,
        "run nothing",
        "start(self",
    ),
    "listener": (
        body("def on_config_change(self): ..."),
        "listener-signature",
        "error",
        3,
        "old",
        "(self, old, new)",
    ),
    "init": (
        body("def __init__(self, currency): ..."),
        "init-signature",
        "error",
        3,
        "without arguments",
        "default",
    ),
    "stop": (
        body("def stop(self): ..."),
        "never-called",
        "warning",
        3,
        "nobody calls stop",
        "ctx.defer(self.stop)",
    ),
    "setup": (
        body("def setup(self): ..."),
        "never-called",
        "warning",
        3,
        "nobody calls setup",
        "start(self, ctx)",
    ),
    **{
        name: (
            body(f"def {name}({arguments}): ..."),
            "never-called",
            "warning",
            3,
            f"nobody calls {name}",
            f"'{meant}'",
        )
        for name, arguments, meant in [
            ("strat", "self, ctx", "start"),
            ("on_relod", "self, plugin", "on_reload"),
            ("helth", "self", "health"),
            ("migraate", "self, state, from_version", "migrate"),
            ("snapshit", "self", "snapshot"),
        ]
    },
    "state version": (
        body("state_versoin = 2"),
        "never-read",
        "warning",
        3,
        "nobody reads state_versoin",
        "'state_version'",
    ),
    "config": (body("class Config:\n        x = 1"), "config-model", "error", 3, "plain class", "BaseModel"),
    "sleep": (
        "from time import sleep\nclass Billing(Plugin):\n    async def start(self, ctx):\n        sleep(1)",
        "blocking-call",
        "warning",
        5,
        "time.sleep in the async start",
        "asyncio.sleep",
    ),
    "near topic": (
        "class Paid(Event, topic='order.paid'): ...\n" + body("@on('order.payd')\n    def a(self, e): ..."),
        "unknown-topic",
        "warning",
        4,
        "'order.payd'",
        "'order.paid'",
    ),
    "thread started": (
        "import threading\nthreading.Thread(target=print).start()\nclass Billing(Plugin): ...",
        "import-thread",
        "warning",
        3,
        "starts a thread",
        "in start",
    ),
    "named thread": (
        "import threading as t\nworker = t.Thread(target=print)\nworker.start()\nclass Billing(Plugin): ...",
        "import-thread",
        "warning",
        4,
        "starts a thread",
        "in start",
    ),
    "file": (
        "log = open('x')\nclass Billing(Plugin): ...",
        "import-file",
        "warning",
        2,
        "opens",
        "ctx.enter",
    ),
    "subscription": (
        "signal.connect(print)\nclass Billing(Plugin): ...",
        "import-subscription",
        "warning",
        2,
        "subscribes",
        "ctx.defer",
    ),
    "effect": (
        "print('x')\nclass Billing(Plugin): ...",
        "import-effect",
        "warning",
        2,
        "does something",
        "__name__",
    ),
    "inside if": (
        "if True:\n    print(1)\nclass Billing(Plugin): ...",
        "import-effect",
        "warning",
        3,
        "does",
        "",
    ),
    "capability": (
        "class Tax(Plugin, provides=['tax-rates']): ...\nclass Billing(Plugin, requires=['tax-rates']): ...",
        "needs-or-requires",
        "warning",
        0,
        "a capability that 'tax' provides",
        "needs=['tax-rates']",
    ),
    "plugin needed": (
        "class Ledger(Plugin): ...\nclass Billing(Plugin, needs=['ledger>=1']): ...",
        "needs-or-requires",
        "warning",
        0,
        "the name of a plugin",
        "requires=['ledger>=1']",
    ),
    "nothing": ("x = 1", "no-plugin", "error", 0, "no plugin", "subclass"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_each_mistake_is_named(read, case):
    """A mistake has its code, its severity and its line, says what is wrong, and what to do."""
    source, code, severity, line, message, remedy = case
    [problem] = read(HEAD + source).problems
    assert (problem.code, problem.severity, problem.line) == (code, severity, line)
    assert message in problem.message
    assert remedy in problem.remedy


FINE = {
    "everything": """
        from __future__ import annotations
        import logging
        from typing import TYPE_CHECKING
        import plugbook as pb
        from pydantic import BaseModel
        if TYPE_CHECKING:
            print("never")
        log = logging.getLogger(__name__)
        logging.basicConfig()
        with open(__file__) as file:
            text = file.read()
        class Paid(pb.Event): n: int
        class Billing(pb.Plugin, name="billing", version="1", requires=["ledger>=1"], middleware=[]):
            class Config(BaseModel):
                tags: list = []
            def __init__(self, n=1): self.n = n
            async def start(self, ctx, *rest): ctx.defer(self.stop)
            @pb.on(Paid, where=lambda e: True, priority=-1, timeout=0.5)
            @pb.on("other.**", source=["a", "b-*"])
            async def bill(self, event, more=None): await self.wait()
            async def wait(self): ...
            def stop(self): ...
        if __name__ == "__main__":
            print("as a script")
        """,
    "functions": """
        from plugbook import plugin
        billing = plugin("billing", version="1", config={"a": 1}).requires("ledger")
        @billing.on("a.*")
        def bill(event): ...
        billing.on("b", bill)
        """,
    "star": """
        from plugbook import *
        class Billing(Plugin, version="1"):
            @on("a")
            def bill(self, event): ...
        """,
    "bases": """
        from elsewhere import Base, wrapped
        from plugbook import Plugin, on
        class _Root(Plugin):
            def __init_subclass__(cls, colour, **rest): super().__init_subclass__(**rest)
        class Billing(_Root, colour="red"):
            @on("a")
            @wrapped
            def bill(self): ...
        """,
    "bundle": """
        from plugbook import Bundle, Plugin
        class Ledger(Plugin): ...
        class Shop(Bundle, members=[Ledger]): ...
        """,
}


@pytest.mark.parametrize("source", FINE.values(), ids=FINE.keys())
def test_what_works_is_not_complained_about(read, source):
    """A plugin that a host takes has no problems."""
    report = read(source)
    assert report.problems == []
    assert len(report.plugins) == 1
    assert report


def test_reading_imports_nothing(read, tmp_path):
    """A plugin whose import would leave a trace leaves none when it is only read."""
    trace = tmp_path / "trace"
    report = read(f"{HEAD}open({str(trace)!r}, 'w').close()\nclass Billing(Plugin): ...")
    assert not trace.exists()
    assert "billing" not in sys.modules
    assert [each.name for each in report.plugins] == ["billing"]


def test_a_syntax_error_shows_its_line(read):
    """File, line, column and the text of the line are those that Python would show."""
    [problem] = read("x = 1\ny = = 2\n").problems
    assert problem.place.endswith("billing.py:2:5")
    assert problem.source == "y = = 2"


def test_each_wrong_item_of_a_list_is_told_where_it_stands(read):
    """Two requirements that cannot be read are two problems."""
    report = read("from plugbook import Plugin\nclass A(Plugin, requires=['b>=x.y', 'c>=1', 'd>>1']): ...")
    assert [(each.column, each.message.split()[0], each.remedy) for each in report.problems] == [
        (27, "'b>=x.y'", "Write a name and a range, such as 'ledger>=1,<3'."),
        (45, "'d>>1'", "Write a name and a range, such as 'ledger>=1,<3'."),
    ]


def test_the_application_says_its_api_version(read):
    """`requires_host` is held against the version of the application that the plugin is for."""
    source = HEAD + "class Billing(Plugin, requires_host='>=7'): ..."
    assert not read(source)
    assert read(source, api_version="7.1")


def test_every_problem_of_a_class_line_is_told_at_once(read):
    """One wrong keyword hides no other."""
    report = read(HEAD + "class Billing(Plugin, versoin='1', version='x', requires=['=']): ...")
    assert [each.code for each in report.problems] == [
        "unknown-keyword",
        "manifest-version",
        "manifest-requires",
    ]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_told_about(tmp_path, content):
    """Whatever is in a file, reading it ends with a report."""
    file = tmp_path / "billing.py"
    file.write_bytes(content)
    assert check(file, run=False).problems


PIECES = st.sampled_from(
    [
        "class Billing(Plugin",
        "):",
        ", version=",
        "requires=[",
        "'1'",
        "{}",
        "]",
        "(",
        ")",
        "\n    ",
        "\n",
        "@on(",
        "'a.*'",
        "def start(self",
        "def bill(self, *a, b=1, **c): ",
        "async ",
        "yield ",
        "lambda: ",
        "plugin('x')",
        ".on(",
        "x = ",
        "...",
        "if 1: ",
        "class Config: pass",
        "import os",
        "Event",
        "None",
        "**x",
        "*",
        "é",
        "\0",
        "await ",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=30))
def test_any_source_is_told_about(tmp_path, pieces):
    """However a source is put together, reading it ends with a report that can be shown and written."""
    file = tmp_path / "billing.py"
    file.write_text(HEAD + "".join(pieces), encoding="utf-8")
    report = check(file, run=False)
    assert report.verdict in str(report)
    assert report.json()
