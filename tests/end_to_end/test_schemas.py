"""Events that outlive their first version: schemas, compatibility, upcasters and CloudEvents, in a notebook."""

import pytest

VERSIONS = """
import base64, datetime as dt, decimal, enum, json, uuid
from plugbook import from_cloudevent, to_cloudevent
from plugbook.events.envelope import read_cloudevent
from typing import Annotated, Any, Literal

class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"

class MoreSizes(enum.Enum):
    SMALL = "s"
    LARGE = "l"
    HUGE = "xl"

class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int

class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    weight: float

class OldLine(BaseModel):
    price: float
    note: str | None = None

class NewLine(BaseModel):
    price: str
    note: str | None = None

class OldTree(BaseModel):
    left: "OldTree | None" = None
    value: int

class NewTree(BaseModel):
    left: "NewTree | None" = None
    value: float

class OldOrder(Event, topic="shop.order"):
    gone: int
    size: Size
    lines: list[OldLine]
    by_name: dict[str, int]
    pair: tuple[int, str]
    pet: Cat
    tree: OldTree
    rank: Annotated[int, Field(ge=0)]
    code: Annotated[str, Field(pattern="a+", max_length=3)]
    when: dt.datetime
    labels: set[int]
    maybe: int | None = None
    exact: float = 0.0

class NewOrder(Event, topic="shop.order", version=2):
    added: int
    size: MoreSizes
    lines: list[NewLine]
    by_name: dict[str, float]
    pair: tuple[int, int]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    tree: NewTree
    rank: Annotated[int, Field(ge=-1)]
    code: Annotated[str, Field(max_length=4)]
    when: str
    labels: list[int]
    maybe: int
    exact: int = 0

class OldInvoice(Event, topic="shop.invoiced"):
    total: int

class Invoice(Event, topic="shop.invoiced", version=2):
    total: float
    currency: str
    paid: bool = False

@schemas.upcaster(Invoice, from_version=1)
def add_currency(payload):
    return {**payload, "currency": "EUR"}

class Shipped(Event, topic="shop.shipped", version=2):
    total: float
    currency: str

@schemas.upcaster(Shipped, from_version=1)
def add_currency_again(payload):
    return {**payload, "currency": "EUR"}

PARCEL = {
    "title": "ParcelSent",
    "type": "object",
    "properties": {
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "maxItems": 3},
        "way": {"enum": ["air", "sea"]},
        "note": {"anyOf": [{"type": "string", "minLength": 2}, {"type": "null"}]},
        "weight": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
    },
    "required": ["lines"],
    "additionalProperties": False,
    "$defs": {"Line": {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}},
}
schemas.register("shop.parcel", PARCEL)
schemas.register("shop.parcel", PARCEL)
"""


@pytest.fixture(scope="module")
def shop(notebook):
    """The notebook with two versions of each event, and a topic that has a schema and no class."""
    notebook.run(VERSIONS)
    return notebook


def test_topics_are_shown_with_their_versions(shop):
    """`%pb schema` lists the topics; with a topic it says what each version takes, and what the next one changed."""
    listed = shop.run("%pb schema")
    assert "class OldInvoice, class Invoice" in listed
    assert "shop.parcel" in listed
    told = shop.run("%pb schema shop.invoiced")
    assert "from 1 to 2 (upcaster 1->2): not compatible" in told
    assert "currency: added, always there; old events need an upcaster" in told
    assert "Did you mean 'shop.invoiced'?" in shop.fail("%pb schema shop.invoicd")


def test_each_change_that_breaks_is_named_by_its_field(shop):
    """Whatever becomes of a field, however deep it lies, the comparison has its path and what it was."""
    told = shop.run("%pb schema shop.order")
    for change in (
        "gone: removed",
        "added: added, always there",
        'size: may now also be "xl"',
        "lines[].price: was number, is now string",
        "by_name.*: was integer, is now number",
        "pair[1]: was string, is now integer",
        "pet: may now also be an object with kind, weight",
        "tree.value: was integer, is now number",
        "rank: minimum was 0, is now -1",
        'pattern was "a+", is now not set',
        'when: format was "date-time", is now not set',
        "labels: uniqueItems was true, is now not set",
        "exact: was number, is now integer",
    ):
        assert change in told, told


def test_a_payload_that_does_not_fit_names_the_field(shop):
    """Published by topic, a payload is refused with the path, what was given, what it should be, and what to do."""
    assert "shop.parcel" in shop.run(
        'with Host() as host: print(host.publish(schemas.make("shop.parcel", {"lines": []})))'
    )
    for payload, told in {
        '{"lines": [{"price": 1}, {"price": "abc"}]}': "lines[1].price: 'abc' was given; it should be a number",
        '{"lines": [{}]}': "lines[0].price: it is missing; give it",
        '{"lines": [], "wya": "air"}': "Did you mean 'way'?",
        '{"lines": [], "way": "rail"}': 'it should be one of "air", "sea"',
        '{"lines": [], "note": "x"}': "it should be a text of 2 characters or more",
        '{"lines": [], "weight": 0.7}': "0.7 was given",
        '{"lines": [], "weight": 0}': "0 was given",
        '{"lines": [{"price": 1}, {"price": 1}, {"price": 1}, {"price": 1}]}': "it should be a list of 3 or fewer",
    }.items():
        assert told in shop.fail(f"schemas.check('shop.parcel', {payload})")
    assert "total: 'x' was given" in shop.fail(
        "schemas.check('shop.invoiced', {'total': 'x', 'currency': 'EUR'})"
    )
    assert "Did you mean 'shop.parcel'?" in shop.fail("schemas.make('shop.parcle', {})")
    assert "nothing is fetched" in shop.fail(
        "schemas.register('shop.far', {'$ref': 'https://example.org/a'})"
    )
    assert "register it with version=2" in shop.fail("schemas.register('shop.parcel', {'type': 'object'})")


def test_old_payloads_are_brought_to_the_newest_version(shop):
    """An upcaster stands between versions; where there is none, or it goes wrong, the error says which step."""
    assert "Shipped(total=1.0, currency='EUR')" in shop.run(
        "schemas.read('shop.shipped', 1, '{\"total\": 1}')[0]"
    )
    assert "leaving out colour" in shop.run(
        'schemas.read(\'shop.invoiced\', 3, \'{"total": 1, "currency": "USD", "colour": 1}\')[1]'
    )
    assert "no upcaster takes version 1" in shop.fail("schemas.upcast('shop.order', 1, {})")
    shop.run("""
        class Three(Event, topic="shop.three", version=3):
            n: int
        schemas.upcaster(Three, 1)(lambda payload: 1 / 0)
        schemas.upcaster(Three, 2)(lambda payload: {"n": "x"})
        """)
    assert "failed: ZeroDivisionError" in shop.fail("schemas.upcast('shop.three', 1, {})")
    assert "gave what does not fit: n: 'x' was given" in shop.fail("schemas.upcast('shop.three', 2, {})")
    assert "Three is version 3" in shop.fail("schemas.upcaster(Three, 3)(lambda payload: payload)")


def test_recordings_of_two_releases_are_compared_without_their_code(shop):
    """What subscribers of the older one cannot read is said, in the notebook and by the terminal's exit code."""
    shop.run("""
        for name, made in {"old": [OldInvoice(total=1)], "new": [Invoice(total=1.5, currency="EUR")]}.items():
            with Host() as host, host.record(f"{name}.plugbook"):
                for event in made:
                    host.publish(event)
        """)
    assert "total: was integer, is now number" in shop.run("%pb schema old.plugbook new.plugbook")
    assert "exit 1" in shop.run("!plugbook schema old.plugbook new.plugbook || echo exit $?")
    assert "version 2 (recorded)" in shop.run("!plugbook schema new.plugbook shop.invoiced")
    assert "nothing has changed" in shop.run("!plugbook schema old.plugbook old.plugbook")
    assert "Not both recordings" in shop.fail("%pb schema old.plugbook new.plugbook shop.other")


def test_events_travel_as_cloudevents_unchanged(shop):
    """An envelope holds the event, its version, time and cause, and gives the same event back elsewhere."""
    shop.run("""
        class Travelled(Event, topic="shop.travelled", version=3):
            data: bytes
            price: decimal.Decimal
            when: dt.datetime
            took: dt.timedelta
            key: uuid.UUID
            size: Size
            pets: tuple[Annotated[Cat | Dog, Field(discriminator="kind")], ...]
            tags: frozenset[str]
            by_number: dict[int, float]
        sent = Travelled(data=b"\\xff", price="1.50", when="2026-01-31T12:00:00Z", took=1.5, key=uuid.UUID(int=7),
                         size="s", pets=[Cat(lives=9), Dog(weight=2)], tags={"a"}, by_number={1: 0.5})
        text = to_cloudevent(sent, source="/shops/1", id="7", time_ns=10**18, parent=1025, root=1)
        envelope = read_cloudevent(text)
        """)
    assert (
        shop.run("envelope.event == sent, envelope.version, envelope.parent, envelope.source")
        == "(True, 3, 1025, '/shops/1')"
    )
    assert '"type":"shop.travelled"' in shop.run("print(text.decode())").replace('": "', '":"')


def test_an_envelope_that_cannot_be_is_refused_by_its_attribute(shop):
    """What is missing, malformed or unknown is named; a secret is neither lost nor told."""
    shop.run("""
        class Keyed(Event, topic="shop.keyed"):
            users: list[dict[str, SecretStr]]
        class Blurred(Event, topic="shop.blurred"):
            when: dt.datetime | str
        def read(**changes):
            made = {"specversion": "1.0", "id": "7", "source": "/x", "type": "shop.invoiced",
                    "plugbookversion": 2, "data": {"total": 1, "currency": "EUR"}} | changes
            return from_cloudevent(json.dumps({k: v for k, v in made.items() if v is not None}).encode())
        """)
    assert "users[0].a" in shop.fail("to_cloudevent(Keyed(users=[{'a': 'hush'}]), source='/x')")
    assert "JSON would make it datetime" in shop.fail(
        "to_cloudevent(Blurred(when='2026-01-01T00:00:00Z'), source='/x')"
    )
    assert "an envelope is for an event" in shop.fail("to_cloudevent({}, source='/x')")
    assert "source" in shop.fail("to_cloudevent(Keyed(users=[]), source='not a reference')")
    assert "trace_id" in shop.fail(
        "to_cloudevent(Keyed(users=[]), source='/x', attributes={'trace_id': 'a'})"
    )
    for changes, told in {
        "specversion='0.3'": "'0.3' was given",
        "id=None": "it is missing",
        "source='a b'": "URI reference",
        "type='shop.invoicd'": "Did you mean 'shop.invoiced'?",
        "time='yesterday'": "RFC 3339",
        "datacontenttype='text/xml'": "text/xml",
        "data=[1]": "list was given",
        "data_base64='e30='": "both",
        "plugbookversion='two'": "'two' was given",
        "plugbookparent='1.x'": "not a seq",
        "Trace='x'": "lower-case",
        "trace={}": "not dict",
        "data={'total': 'x', 'currency': 'EUR'}": "total: 'x' was given",
    }.items():
        assert told in shop.fail(f"read({changes})"), changes
    assert "currency='EUR'" in shop.run("read(type='shop.shipped', plugbookversion=1, data={'total': 4})")
    assert "total=5.0" in shop.run(
        'read(data=None, data_base64=base64.b64encode(b\'{"total": 5, "currency": "USD"}\').decode(),'
        " time='2026-01-31t12:00:00.5+01:00')"
    )
