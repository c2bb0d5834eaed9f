"""Payloads: anything becomes JSON text, secrets and size are held, and nothing ever raises."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from plugbook.trace.record import JsonText
from plugbook.trace.writing.payload import HIDDEN, PayloadEncoder, bounded


class Broken:
    def __repr__(self):
        raise ZeroDivisionError


class Colour(enum.Enum):
    RED = "red"


class Login(BaseModel):
    user: str
    password: SecretStr


@dataclasses.dataclass
class Point:
    x: int
    inner: object = None


class Raises:
    def __plugbook_json__(self):
        raise RuntimeError("no")


LOOP: list = []
LOOP.append(LOOP)
ODD = [
    Broken(), Colour.RED, Login(user="a", password="b"), Point(1, Broken()), Raises(), LOOP, b"bytes", {1, 2}, deque([1]),
    {(1, 2): 3}, float("nan"), float("inf"), 10**5000, "\ud800", datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5"),
    PurePosixPath("/x"), object, len, ValueError("x"), lambda: None, SecretStr("s"), JsonText("not json"), ...,
]  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.integers(0, len(ODD) - 1).map(lambda index: ODD[index]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=10,
)


@given(
    value=anything, mode=st.sampled_from(["full", "summary", "reference", "none"]), cap=st.integers(0, 200)
)
def test_anything_becomes_json(value, mode, cap):
    """Any object becomes JSON text that reads back, in every mode, and never raises."""
    text = PayloadEncoder(mode, cap, redact=["password"]).text(value)
    assert isinstance(text, str)
    if mode == "none":
        assert text == ""
    elif not (isinstance(value, JsonText) and mode == "full"):
        json.loads(text)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(value=plain)
def test_json_is_kept_as_it_is(value):
    """What is JSON already reads back equal."""
    assert json.loads(PayloadEncoder().text(value)) == value


def bury(secret, depth, kinds):
    """A secret field, `depth` levels down in lists and dictionaries."""
    value = {"Password": secret, "user": "anna"}
    for kind in kinds[:depth]:
        value = [value] if kind else {"inner": value}
    return value


@given(
    depth=st.integers(0, 20), kinds=st.lists(st.booleans(), min_size=20, max_size=20), wrapped=st.booleans()
)
def test_secrets_are_hidden_at_any_depth(depth, kinds, wrapped):
    """The value of a field named by the user is hidden however deep it lies, in text that was JSON already, too."""
    value = bury("s3cr3t", depth, kinds)
    text = PayloadEncoder(redact=["password"]).text(JsonText(json.dumps(value)) if wrapped else value)
    assert "s3cr3t" not in text
    assert HIDDEN in text
    assert "anna" in text


@pytest.mark.parametrize(
    ("redact", "payload"),
    [
        (["api_*"], {"api_key": "s3cr3t"}),
        (["clé"], JsonText('{"cl\\u00e9": "s3cr3t"}')),
        (["a/b"], JsonText('{"a\\/b": "s3cr3t"}')),
        (["token"], {"headers": {"TOKEN": {"deep": "s3cr3t"}}}),
        ([], {"login": SecretStr("s3cr3t")}),
        ([], Login(user="a", password="s3cr3t")),
        ([], Point(1, Login(user="a", password="s3cr3t"))),
        (["x"], Point("s3cr3t")),
    ],
)
@pytest.mark.parametrize("mode", ["full", "summary", "reference", "none"])
def test_secrets_are_hidden_in_every_form(redact, payload, mode):
    """Patterns, escapes, other cases, secret types and objects: no mode lets a secret through."""
    assert "s3cr3t" not in PayloadEncoder(mode, redact=redact).text(payload)


def test_facts_results_and_command_lines_are_redacted(bench, monkeypatch):
    """Configuration, results and options of the command are redacted by the same names."""
    import sys

    from plugbook.trace.record import Note
    from tests.trace.builders import dispatch

    monkeypatch.setattr(sys, "orig_argv", ["run", "--token=s3cr3t", "--token", "s3cr3t", "-v"])
    recorder = bench.recorder(redact=["token"])
    recorder.describe("config", "billing", {"token": "s3cr3t"})
    dispatch(recorder, notes={0: Note(result={"token": "s3cr3t"}, has_result=True)})
    recorder.close()
    assert b"s3cr3t" not in recorder.store.path.read_bytes()
    assert recorder.recording.info["origin"]["command"] == [
        "run",
        f"--token={HIDDEN}",
        "--token",
        HIDDEN,
        "-v",
    ]


def test_sources_that_mention_a_secret_are_hidden(bench, tmp_path):
    """A handler whose source mentions a name to redact is kept without its text; others keep theirs."""
    from plugbook.trace.record import CallSite, Plan
    from tests.trace.builders import dispatch

    code = tmp_path / "handlers.py"
    code.write_text("def log_in():\n    password = 's3cr3t'\n\n\ndef log_out():\n    return 'bye'\n")
    recorder = bench.recorder(redact=["password"])
    dispatch(
        recorder,
        plan=Plan(
            [
                CallSite("log_in", file=str(code), line=1, end=2),
                CallSite("log_out", file=str(code), line=5, end=6),
            ]
        ),
    )
    recorder.close()
    sources = recorder.recording.facts("source")
    assert sources[f"{code}:1"] == HIDDEN
    assert "bye" in sources[f"{code}:5"]
    assert b"s3cr3t" not in recorder.store.path.read_bytes()


@pytest.mark.parametrize("first", ["password", "*", "redact"])
def test_a_continued_recording_goes_on_hiding(bench, first):
    """What a recording hid stays hidden when it is continued, by a recorder or by a mark, beside what is hidden now."""
    from tests.trace.builders import dispatch

    bench.recorder(redact=[first, "text", "password"]).close()
    recorder = bench.recorder(append=True, redact=["token"])
    dispatch(recorder, payload={"password": "s3cr3t", "token": "s3cr3t"})
    recorder.close()
    recorder.recording.mark("s3cr3t")
    assert b"s3cr3t" not in recorder.store.path.read_bytes()
    if first == "password":
        assert recorder.recording.info["options"]["redact"] == ["password", "text", "token"]


def test_a_schema_stays_one(bench):
    """Of a secret property's JSON Schema the sample values are hidden, and the rest is kept as it is."""
    token = {
        "type": "string",
        "title": "Token",
        "default": "s3cr3t",
        "examples": ["s3cr3t"],
        "enum": ["s3cr3t"],
    }
    schema = {
        "type": "object",
        "required": ["token"],
        "properties": {"token": token, "amount": {"type": "number", "default": 1}},
        "$defs": {"Login": {"properties": {"token": {"anyOf": [{"const": "s3cr3t"}]}}}},
        "examples": [{"token": "s3cr3t", "amount": 2}],
    }
    recorder = bench.recorder(redact=["token"])
    recorder.describe("schema", "order@1", schema)
    kept = recorder.recording.facts("schema")["order@1"]
    hidden = {"default": HIDDEN, "examples": [HIDDEN], "enum": [HIDDEN]}
    assert kept["properties"] == {"token": token | hidden, "amount": {"type": "number", "default": 1}}
    assert kept["required"] == ["token"]
    assert kept["$defs"]["Login"]["properties"]["token"] == {"anyOf": [{"const": HIDDEN}]}
    assert kept["examples"] == [{"token": HIDDEN, "amount": 2}]


def test_what_a_secret_property_refers_to_is_hidden_too(bench):
    """Definitions reached by ``$ref`` from a secret property, also by way of another one, show no sample values."""
    schema = {
        "properties": {
            "card": {"anyOf": [{"$ref": "#/$defs/a~1b"}, {"type": "null"}]},
            "other": {"$ref": "#/$defs/Free"},
        },
        "$defs": {
            "a/b": {"properties": {"number": {"$ref": "#/$defs/Number"}, "again": {"$ref": "#/$defs/a~1b"}}},
            "Number": {"default": "4711", "examples": ["4711"], "description": "kept"},
            "Free": {"default": 1},
        },
    }
    recorder = bench.recorder(redact=["card"])
    recorder.describe("schema", "order@1", schema)
    kept = recorder.recording.facts("schema")["order@1"]["$defs"]
    assert kept["Number"] == {"default": HIDDEN, "examples": [HIDDEN], "description": "kept"}
    assert kept["Free"] == {"default": 1}


def test_a_definition_that_is_not_there_is_let_be(bench):
    """A ``$ref`` that leads nowhere, or out of the schema, changes nothing."""
    schema = {"properties": {"card": {"items": [{"$ref": "#/$defs/Gone"}, {"$ref": "https://else.where"}]}}}
    recorder = bench.recorder(redact=["card"])
    recorder.describe("schema", "order@1", schema)
    assert recorder.recording.facts("schema")["order@1"] == schema


def test_a_cut_is_shown():
    """A payload over the cap is kept in outline, with its size and the cap beside it."""
    value = {"text": "ä" * 500, "numbers": [*range(500)]}
    cut = json.loads(PayloadEncoder(cap_bytes=1000).text(value))
    assert cut["$cut"] == {
        "size_bytes": len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()),
        "cap_bytes": 1000,
    }
    assert cut["summary"]["text"].endswith("… (+380 characters)")
    assert cut["summary"]["numbers"][-1] == {"$more": 488}
    fits = {"text": "ä" * 490}
    assert json.loads(PayloadEncoder(cap_bytes=1000).text(fits)) == fits


def test_a_reference_tells_equal_from_different():
    """By reference only type, size and digest are kept: equal payloads can be told from different ones."""
    encoder = PayloadEncoder("reference")
    one, same, other = (json.loads(encoder.text(value)) for value in ([1, 2], [1, 2], [1, 3]))
    assert one == same != other
    assert one["$ref"]["type"] == "list"
    assert one["$ref"]["size_bytes"] == 5


def test_an_outline_counts_what_it_leaves_out():
    """Depth, items and texts are bounded, cycles end, and what is left out is counted."""
    deep: dict = {}
    for _ in range(50):
        deep = {"inner": deep}
    assert "$more" in json.dumps(bounded(deep))
    assert bounded(LOOP) == [{"$type": "list", "$cycle": True}]
    assert bounded([*range(2000)])[-1] == {"$more": 1000}
    assert bounded(Broken()) == {"$type": f"{__name__}.Broken", "repr": "<Broken instance>"}
    shared = [1]
    assert bounded([shared, shared]) == [[1], [1]]


def test_a_known_secret_is_concealed_wherever_it_stands():
    """Inside texts, at any depth and in any escape, it is hidden; keys and what is too short to be told are kept."""
    encoder = PayloadEncoder()
    encoder.conceal(['sword"fish', "schlüssel", "key"])
    told = {"a": ['say sword"fish'], "key": "key", "b": {"c": "schlüssel"}, "schlüssel": 1}
    assert json.loads(encoder.text(told)) == {
        "a": [f"say {HIDDEN}"],
        "key": "key",
        "b": {"c": HIDDEN},
        "schlüssel": 1,
    }
    assert json.loads(encoder.text(JsonText('{"a":"schl\\u00fcssel"}'))) == {"a": HIDDEN}
    assert encoder.concealed("cell with schlüssel") == f"cell with {HIDDEN}"
