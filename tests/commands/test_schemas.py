"""The word about schemas, at the terminal's door."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from plugbook import Event, Host, upcaster
from plugbook.cli import Terminal
from plugbook.commands import table


class Old(Event, topic="test.invoiced"):
    total: int
    by: str = ""


class New(Event, topic="test.invoiced", version=2):
    total: float
    currency: str


@upcaster(New, from_version=1)
def add_currency(payload):
    return {"total": payload["total"], "currency": "EUR"}


@pytest.fixture
def run():
    """Runs a command line; what it printed, and its exit code."""

    def call(*words):
        door = Terminal()
        result = CliRunner().invoke(table.behind("terminal"), words, obj=door, prog_name="plugbook")
        return result.output, result.exit_code

    return call


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    """A recording of the old version, and one of both."""
    for name, events in (
        ("old", [Old(total=1)]),
        ("new", [Old(total=1), New(total=1.5, currency="EUR")]),
    ):
        with Host() as host, host.record(tmp_path / f"{name}.plugbook"):
            for event in events:
                host.publish(event)
    return tmp_path / "old.plugbook", tmp_path / "new.plugbook"


def test_topics_are_listed_with_versions_and_upcasters(run):
    """A line for each topic says which versions there are, how they are brought on, and where they are from."""
    said, code = run("schema")
    assert code == 0
    (line,) = [each for each in said.splitlines() if each.startswith("test.invoiced ")]
    assert line.split(maxsplit=4)[1:] == ["1,", "2", "1->2", "class Old, class New"]


def test_a_topic_shows_its_fields_and_what_each_version_changed(run):
    """What each version takes, and whether old subscribers can read the next one."""
    said, code = run("schema", "test.invoiced")
    assert code == 0
    assert said.splitlines() == [
        "test.invoiced",
        "  version 1 (class Old)",
        "    total: integer",
        "    by: string, optional",
        "  version 2 (class New)",
        "    total: number",
        "    currency: string",
        "  from 1 to 2 (upcaster 1->2): not compatible",
        "    by: removed (renamed to currency?)",
        "    currency: added, always there; old events need an upcaster",
        "    total: was integer, is now number; old subscribers cannot read it",
    ]


def test_a_recording_shows_what_it_holds(run, files):
    """Without the code, from the schemas that it keeps."""
    said, _ = run("schema", str(files[1]), "test.invoiced")
    assert "version 2 (recorded)" in said
    assert "1, 2" in run("schema", str(files[1]))[0]


def test_two_recordings_are_compared_with_an_exit_code(run, files):
    """1 where subscribers of the older cannot read the newer, 0 where they can."""
    said, code = run("schema", *map(str, files))
    assert code == 1
    assert "test.invoiced: not compatible" in said
    assert run("schema", str(files[0]), str(files[0])) == (
        "test.invoiced: compatible: nothing has changed\n",
        0,
    )
    assert run("schema", str(files[0]), str(files[1]), "test.invoiced")[1] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["test.invoicd"], "Did you mean 'test.invoiced'?"),
        (["a", "b"], "Give one topic, one recording, or two recordings"),
        (["gone.plugbook"], "gone.plugbook"),
    ],
)
def test_what_cannot_be_shown_is_said(run, words, told):
    """A topic that is not there gets a suggestion, and a wrong number of names says how many to give."""
    said, code = run("schema", *words)
    assert code != 0
    assert told in said


def test_recordings_without_a_common_topic_say_so(run, files, tmp_path):
    """Nothing to compare is not an error, but a topic that was asked for is."""
    with Host() as host, host.record(tmp_path / "none.plugbook"):
        pass
    assert "no topic in common" in run("schema", str(files[0]), str(tmp_path / "none.plugbook"))[0]
    said, code = run("schema", str(files[0]), str(files[1]), "test.other")
    assert (code, "Not both recordings" in said) == (1, True)


def test_an_event_of_a_registered_schema_is_published_by_topic(run, tmp_path, monkeypatch):
    """A topic that has a schema and no class takes JSON that fits, and refuses what does not."""
    (tmp_path / "schema_shop.py").write_text(
        "from plugbook import Host, schemas\n"
        "schemas.register('test.parcel.sent', {'properties': {'n': {'type': 'integer'}}})\n"
        "def shop():\n    return Host()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    said, code = run("publish", "--host", "schema_shop:shop", "test.parcel.sent", '{"n": 1}')
    assert (code, "test.parcel.sent" in said) == (0, True)
    said, code = run("publish", "--host", "schema_shop:shop", "test.parcel.sent", '{"n": "x"}')
    assert (code, "n: 'x' was given; it should be a whole number" in said) == (1, True)
