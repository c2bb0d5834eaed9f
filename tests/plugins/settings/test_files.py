"""Configuration files: what they say is read whole, and every value can name its line."""

import json

import pytest

from plugbook.errors import ConfigError
from plugbook.plugins.settings.files import ConfigFile

SHOP = '''# The shop.
[billing]
currency = "CHF"
note = """
[ledger]
currency = 1
"""
rates = [
    1,
    2,
]
tax.rate = 0.2

[billing.limits]
"per day" = {least = 1, most = 5}

[[billing.accounts]]
name = "a"
[[billing.accounts]]
name = "b"
[billing.accounts.owner]
name = "c"

["order-book"]
depth = 5
'''

LINES = {
    ("billing",): 2,
    ("billing", "currency"): 3,
    ("billing", "note"): 4,
    ("billing", "rates"): 8,
    ("billing", "rates", 1): 8,
    ("billing", "tax", "rate"): 12,
    ("billing", "limits"): 14,
    ("billing", "limits", "per day", "most"): 15,
    ("billing", "accounts", 0, "name"): 18,
    ("billing", "accounts", 1, "name"): 20,
    ("billing", "accounts", 1, "owner", "name"): 22,
    ("order-book", "depth"): 25,
}


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(SHOP)
    return ConfigFile(path)


@pytest.mark.parametrize("path", LINES, ids=str)
def test_every_value_names_its_line(shop, path):
    """Tables, values over several lines, dotted keys and lists of tables are found where they stand."""
    assert shop.place(path) == f"shop.toml line {LINES[path]}"


def test_windows_line_ends_count_once(tmp_path):
    """A file that an editor on Windows wrote has the same lines."""
    path = tmp_path / "shop.toml"
    path.write_bytes(SHOP.replace("\n", "\r\n").encode())
    assert ConfigFile(path).place(("order-book", "depth")) == "shop.toml line 25"


def test_what_is_not_there_has_the_place_of_what_is_around_it(shop):
    """A missing option is told by its table, and a missing table by the file."""
    assert shop.place(("billing", "limits", "per week")) == "shop.toml line 14"
    assert shop.place(("mailer",)) == "shop.toml"


JSON = """{
  "billing": {"currency": "CHF", "rates": [
      {"currency": 1}],
    "tax": {
      "rate": 0.2 , "na\\"me": "}"
    }
  },
  "ledger" : {}, "order-book": {"depth": 5}
}"""


def test_every_value_of_a_json_file_names_its_line(tmp_path):
    """Objects inside others are found where they stand, whatever texts and lists are between."""
    path = tmp_path / "shop.json"
    path.write_text(JSON)
    file = ConfigFile(path)
    lines = {
        ("billing",): 2,
        ("billing", "currency"): 2,
        ("billing", "tax", "rate"): 5,
        ("billing", "tax", 'na"me'): 5,
        ("ledger",): 8,
        ("order-book", "depth"): 8,
    }
    assert {each: file.place(each) for each in lines} == {
        each: f"shop.json line {line}" for each, line in lines.items()
    }
    assert file.place(("billing", "rates", 0)) == "shop.json line 2"
    assert file.place(("mailer",)) == "shop.json"


def test_json_is_read_by_its_ending(tmp_path):
    """JSON says the same."""
    path = tmp_path / "shop.json"
    path.write_text(json.dumps({"billing": {"currency": "CHF"}}))
    file = ConfigFile(path)
    assert [(said.options, said.place(("currency",))) for said in file.said("billing")] == [
        ({"currency": "CHF"}, "shop.json line 1")
    ]


WRONG = {
    "no TOML": ("shop.toml", "[billing", "is not TOML"),
    "no JSON": ("shop.json", "{", "is not JSON"),
    "a value outside of tables": ("shop.toml", "\ncurrency = 1", "shop.toml line 2"),
    "no table of tables": ("shop.json", "[]", "holds a table for each plugin"),
    "no text": ("shop.toml", b"\xff\xfe\x00", "no text in UTF-8"),
    "nested too deeply": ("shop.json", "[" * 100_000, "is not JSON"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, case):
    """The message names the file, says why, and what to do."""
    name, content, told = WRONG[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=told) as caught:
        ConfigFile(path)
    assert name in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    """A wrong path is told with what the system says."""
    with pytest.raises(ConfigError, match="No such file"):
        ConfigFile(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="is no path"):
        ConfigFile(3)
