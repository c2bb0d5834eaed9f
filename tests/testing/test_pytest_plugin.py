"""The fixtures, in inner runs of pytest: what they give, what they check, and what a person reads when they fail."""

import subprocess
import sys

import pytest

HEAVY = ("IPython", "altair", "hypothesis", "numpy", "pandas", "pydantic", "traitlets")


def test_fixtures_compose(inner):
    """A host with plugins, what they publish and what is recorded of it come from one line of arguments each."""
    inner(
        """
        def test_a_bill(plugin_host, events, recording):
            host = plugin_host(Billing)
            host.publish(OrderPlaced(order_id=7, amount=9.5))
            assert events.assert_published(InvoiceSent).order_id == 7
            assert events == [OrderPlaced(order_id=7, amount=9.5), InvoiceSent(order_id=7)]
            assert events.by("billing") == [InvoiceSent(order_id=7)]
            assert [record.name for record in recording.select(kinds="event")] == ["order.placed", "invoice.sent"]
        """
    ).assert_outcomes(passed=1)


def test_the_plain_host_is_empty_and_closed_after(inner):
    """`host` has no plugins, takes what a test adds, and is closed when the next test runs."""
    inner(
        """
        kept = []

        def test_it_is_there(host, events):
            assert not host.plugins
            host.add(Billing)
            host.start()
            host.publish(OrderPlaced(order_id=1))
            events.assert_published(InvoiceSent, order_id=1)
            kept.append(host)

        def test_it_is_closed():
            assert kept[0].is_closed
        """
    ).assert_outcomes(passed=2)


def test_a_plugin_that_does_not_start_fails_the_test(inner):
    """The plugin and its reason are named where it was to start; `start=False` leaves starting to the test."""
    ran = inner(
        """
        class Broken(Plugin):
            def start(self, ctx):
                raise ValueError("no such table")

        def test_it(plugin_host):
            plugin_host(Broken)

        def test_by_hand(plugin_host):
            host = plugin_host(Broken, start=False)
            assert list(host.start().failed) == ["broken"]
        """
    )
    ran.assert_outcomes(failed=1, passed=1)
    ran.stdout.fnmatch_lines(["E*PluginError: broken failed: ValueError: no such table*"])


def test_the_environment_gives_no_options(inner, monkeypatch):
    """A variable in the shell of whoever runs the tests does not change what they say, unless it is asked for."""
    monkeypatch.setenv("PLUGBOOK_TILL__CURRENCY", "USD")
    inner(
        """
        from pydantic import BaseModel

        class Till(Plugin):
            class Config(BaseModel):
                currency: str = "EUR"

        def test_it(plugin_host):
            assert plugin_host(Till).plugins["till"].config.currency == "EUR"
            assert plugin_host(Till, env_prefix="PLUGBOOK_").plugins["till"].config.currency == "USD"
            host = plugin_host(Till, config={"till": {"currency": "GBP"}})
            assert host.plugins["till"].config.currency == "GBP"
        """
    ).assert_outcomes(passed=1)


# -- leaks ----------------------------------------------------------------------------------------

LEAKY = """
import threading

class Leaky(Plugin):
    def start(self, ctx):
        self.over = threading.Event()
        self.thread = threading.Thread(target=over.wait, name="poller", daemon=True)
        self.thread.start()

over = threading.Event()
"""


def test_a_leak_errs_the_test(inner):
    """What a plugin left behind is named, with what to do about it, though the test itself has passed."""
    ran = inner(
        LEAKY
        + """
def test_it(plugin_host):
    plugin_host(Leaky)
"""
    )
    ran.assert_outcomes(passed=1, errors=1)
    ran.stdout.fnmatch_lines(
        [
            "The host had stopped every plugin, and 1 thing of theirs is still there:",
            "*leaky left a thread behind: poller*",
            "*ctx.defer*allow_leaks*'thread'*",
        ]
    )
    ran.stdout.no_fnmatch_line("*bench.py*")


@pytest.mark.parametrize(
    ("marker", "argument"),
    [
        ("@pytest.mark.allow_leaks('thread')", ""),
        ("@pytest.mark.allow_leaks", ""),
        ("", ", allow_leaks=['thread']"),
        ("", ", allow_leaks=True"),
        ("@pytest.mark.allow_leaks('task')", ", allow_leaks='thread'"),
    ],
)
def test_leaks_can_be_allowed(inner, marker, argument):
    """A marker or an argument says which kinds may stay; both together allow both."""
    code = (
        f"{LEAKY}\nimport pytest\n\n{marker}\ndef test_it(plugin_host):\n    plugin_host(Leaky{argument})\n"
    )
    inner(code, "--strict-markers").assert_outcomes(passed=1)


def test_another_kind_is_still_a_leak(inner):
    """What is allowed of one kind allows nothing of the others."""
    code = (
        f"{LEAKY}\nimport pytest\n\ndef test_it(plugin_host):\n    plugin_host(Leaky, allow_leaks=['task'])\n"
    )
    inner(code).assert_outcomes(passed=1, errors=1)


def test_what_pytest_holds_is_no_leak(inner):
    """An instance that is the value of a fixture, or in the traceback of something logged, is not left behind."""
    inner(
        """
        import logging
        import pytest

        class Careful(Plugin):
            @on(OrderPlaced)
            def look(self, order):
                try:
                    raise ValueError("odd")
                except ValueError:
                    logging.exception("it went wrong")

        @pytest.fixture
        def careful(plugin_host):
            host = plugin_host(Careful)
            host.publish(OrderPlaced(order_id=1))
            return host.plugins["careful"].instance

        def test_it(careful):
            assert careful.manifest.name == "careful"
        """
    ).assert_outcomes(passed=1)


def test_a_red_test_tells_of_no_leaks(inner):
    """The traceback of a failed test holds what it will: its own message stands alone."""
    ran = inner(
        """
        def test_it(plugin_host):
            billing = plugin_host(Billing).plugins["billing"].instance
            assert billing is None
        """
    )
    ran.assert_outcomes(failed=1)


def test_a_cleanup_that_fails_errs_the_test(inner):
    """What is raised when the host stops the plugin at the end is told, with the plugin's name."""
    ran = inner(
        """
        class Sticky(Plugin):
            def start(self, ctx):
                ctx.defer(self.close)

            def close(self):
                raise OSError("the file is busy")

        def test_it(plugin_host):
            plugin_host(Sticky)
        """
    )
    ran.assert_outcomes(passed=1, errors=1)
    ran.stdout.fnmatch_lines(
        ["The host could not stop every plugin*", "*sticky failed: *OSError: the file is busy*"]
    )


# -- what a failure says --------------------------------------------------------------------------


def test_a_missing_event_names_the_nearest(inner):
    """Nobody has to print the events to see that one field was another."""
    ran = inner(
        """
        def test_it(plugin_host, events):
            plugin_host(Billing).publish(OrderPlaced(order_id=7, amount=9.0))
            events.assert_published(OrderPlaced, amount=9.5)
        """
    )
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        [
            "E*AssertionError: no OrderPlaced with amount=9.5 was published. The nearest:",
            "E*OrderPlaced(order_id=7, amount=9.0) (#*",
            "E*amount: 9.5 was expected, 9.0 was published",
            "E*published in all: OrderPlaced (order.placed), InvoiceSent (invoice.sent)",
        ]
    )
    ran.stdout.no_fnmatch_line("*published.py*")


def test_a_comparison_shows_the_fields_that_differ(inner):
    """`events == [...]` shows what is missing, what was not expected, and in which fields the others differ."""
    ran = inner(
        """
        def test_it(plugin_host, events):
            plugin_host(Billing).publish(OrderPlaced(order_id=7))
            assert events == [OrderPlaced(order_id=7), InvoiceSent(order_id=8), InvoiceSent(order_id=9)]

        def test_one():
            assert OrderPlaced(order_id=7) == OrderPlaced(order_id=8)
        """
    )
    ran.assert_outcomes(failed=2)
    ran.stdout.fnmatch_lines(
        [
            "E*2 events published == 3 events expected",
            "E*OrderPlaced(order_id=7, amount=1.0)",
            "E*! InvoiceSent(order_id=7)",
            "E*order_id: 8 was expected, 7 was published",
            "E*- missing: InvoiceSent(order_id=9)",
            "E*order_id: 8 was expected, 7 was published",
        ]
    )


def test_the_recording_of_a_red_test_is_named(inner):
    """The report says where the recording is, and it can be opened; that of a green test is not mentioned."""
    ran = inner(
        """
        def test_red(plugin_host, recording):
            plugin_host(Billing).publish(OrderPlaced(order_id=7))
            assert not recording.count("event")

        def test_green(plugin_host, recording):
            plugin_host(Billing)
        """
    )
    ran.assert_outcomes(failed=1, passed=1)
    [line] = [line for line in ran.outlines if line.startswith("kept at ")]

    from plugbook import open_recording

    recording = open_recording(line.removeprefix("kept at "))
    assert recording.count("event") == 2
    assert recording.info["closed"]


def test_a_red_test_tells_of_handlers_that_failed(inner):
    """A result that is missing is explained by what the handler raised, and where."""
    ran = inner(
        """
        class Broken(Plugin):
            @on(OrderPlaced)
            def bill(self, order):
                raise ValueError("no such rate")

        def test_it(plugin_host):
            report = plugin_host(Broken).publish(OrderPlaced(order_id=1))
            assert [call.result for call in report.calls] == [1]
        """
    )
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        ["*handlers that failed*", "Broken.bill raised ValueError: no such rate (*.py:6)"]
    )


def test_a_recording_without_a_host_says_so(inner):
    """Asking a recording before there is a host is refused with what to write."""
    ran = inner(
        """
        def test_it(recording):
            recording.count("event")
        """
    )
    ran.stdout.fnmatch_lines(["E*nothing is recorded yet: make a host first, with plugin_host(Billing)"])


# -- beside others --------------------------------------------------------------------------------


def test_fixtures_of_the_same_name_go_before(inner):
    """A suite that has a `host` or `events` of its own keeps it, and the other fixtures go on working."""
    inner(
        """
        import pytest

        @pytest.fixture
        def host():
            return "mine"

        @pytest.fixture
        def events():
            return []

        def test_it(host, events, plugin_host):
            assert (host, events) == ("mine", [])
            assert plugin_host(Billing).states["billing"] == "active"
        """
    ).assert_outcomes(passed=1)


def test_it_works_in_workers(inner):
    """Under pytest-xdist the report of a worker names its recording, too."""
    ran = inner(
        """
        def test_red(plugin_host, recording):
            plugin_host(Billing)
            assert False
        """,
        "-n1",
    )
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["kept at *test.plugbook"])


def test_unused_it_imports_nothing_heavy(tmp_path):
    """A run that uses no fixture imports none of plugbook but the plugin, and no library for it."""
    (tmp_path / "test_it.py").write_text(
        "def test_it():\n    import sys\n    print('LOADED', *sorted(sys.modules))\n", encoding="utf-8"
    )
    command = [
        "-m",
        "pytest",
        "-s",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:hypothesispytest",
        "-c",
        "/dev/null",
        ".",
    ]
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    loaded = next(line for line in done.stdout.splitlines() if "LOADED" in line).split()
    assert [name for name in loaded if name.startswith("plugbook")] == [
        "plugbook",
        "plugbook.testing",
        "plugbook.testing.pytest_plugin",
    ]
    assert not set(HEAVY) & set(loaded)


def test_what_a_test_holds_of_reloaded_code_is_no_leak(inner):
    """A test has imported the classes of the first generation, and may reload the plugin all the same."""
    inner(
        """
def test_it(plugin_host, events):
    host = plugin_host(Billing)
    order = OrderPlaced(order_id=1)
    host.reload("billing")
    host.publish(order)
    assert len(events) == 2
"""
    ).assert_outcomes(passed=1)


def test_a_lifecycle_machine_takes_a_plugin_that_can_be_imported_again(inner):
    """What reloads of its module leave with the test is not held against the plugin."""
    inner(
        """
from hypothesis import settings
from plugbook.testing.machine import LifecycleMachine

TestBilling = LifecycleMachine.of(Billing)
TestBilling.settings = settings(max_examples=10, stateful_step_count=10, database=None, deadline=None)
"""
    ).assert_outcomes(passed=1)
