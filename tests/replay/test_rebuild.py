"""Events made again from what a recording holds of them, and the reasons why some cannot be."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import BaseModel, Field, SecretStr, computed_field

from plugbook import Event, Host, Plugin, on, schemas, upcaster
from plugbook.events.versions.known import classes_of
from plugbook.replay.rebuild import EventTypes, RebuildError


class Part(BaseModel, frozen=True):
    at: dt.datetime
    tags: frozenset[str] = frozenset()


class Rich(Event, topic="rich", version=3):
    part: Part
    data: bytes = b"ab"
    label: str = Field("x", alias="theLabel")

    @computed_field
    @property
    def size(self) -> int:
        return len(self.data)


class Login(Event, topic="login"):
    user: str
    password: SecretStr


def types(*listened: type[Event], versions=(), schemas=None, outlined: bool = False) -> EventTypes:
    return EventTypes(listened, versions, schemas or {}, outlined=outlined)


def test_an_event_comes_back_equal():
    """Types, aliases and computed fields survive being written and made again."""
    event = Rich(part=Part(at=dt.datetime(2026, 1, 31, tzinfo=dt.UTC), tags={"a"}), theLabel="y")
    assert types().rebuild("rich", 1024, event.__plugbook_json__()) == event


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "payloads='full'"),
        ('{"$ref":{"type":"Login","size_bytes":9,"sha256":"0"}}', "by reference"),
        ('{"$cut":{"size_bytes":9,"cap_bytes":5},"summary":{}}', "cap_bytes="),
        ('{"user":"a","password":"**********"}', "redacted: password"),
        ('{"user":"a"}', "password: Field required"),
    ],
)
def test_what_is_not_whole_is_refused_with_the_reason(payload, reason):
    """A payload that was left out, cut, redacted or does not fit names what is wrong and how to record it."""
    with pytest.raises(RebuildError, match=reason):
        types().rebuild("login", 1024, payload)


def test_outlines_are_told_apart_in_recordings_of_outlines_only():
    """A field may be called ``$more``; only where payloads were summed up does it say that something is missing."""
    payload = '{"user":"a","$more":3}'
    with pytest.raises(RebuildError, match="outline"):
        types(outlined=True).rebuild("nobody.knows", 1024, payload)
    assert types().rebuild("nobody.knows", 1024, payload).user == "a"


def test_without_a_class_an_event_takes_any_field():
    """Handlers of a topic get an event with the recorded fields, named after the recorded schema."""
    found = types(schemas={"gone.away@2": {"title": "GoneAway"}}, versions=[(0, "gone.away", 2)])
    event = found.rebuild("gone.away", 1024, '{"a":{"b":[1]}}')
    assert event.a == {"b": [1]}
    assert (type(event).__name__, type(event).__topic__, type(event).__version__) == (
        "GoneAway",
        "gone.away",
        2,
    )
    assert "any field" in found.remarks["gone.away"]


def test_a_class_that_is_listened_to_comes_before_a_later_definition():
    """After a cell that defines an event ran again, handlers of the earlier definition still get theirs."""

    def define():
        class Again(Event, topic="again"):
            n: int

        return Again

    earlier, later = define(), define()
    assert type(types().rebuild("again", 1, '{"n":1}')) is later
    assert type(types(earlier).rebuild("again", 1, '{"n":1}')) is earlier


def test_of_the_classes_of_two_packages_the_one_that_was_recorded_is_taken(make_host):
    """A topic that somebody else in the process uses for other fields does not take a recording over."""
    heard = []

    class Told(Event, topic="told.twice"):
        n: int

    class OfAnother(Event, topic="told.twice"):
        text: str

    class Listener(Plugin):
        @on("told.*")
        def hear(self, event):
            heard.append(event)

    host = make_host(Listener)
    host.publish(Told(n=1))
    with host.replay(host.recording, rate=None) as player:
        player.play()
    assert heard == [Told(n=1)] * 2
    assert OfAnother in classes_of("told.twice")


def test_the_version_in_force_at_a_seq_chooses_the_class():
    """Where a topic has two versions at hand, each record gets the one that it was recorded with."""

    class First(Event, topic="grown", version=1):
        n: int

    class Second(Event, topic="grown", version=2):
        n: int
        unit: str = "m"

    found = types(First, Second, versions=[(1024, "grown", 1), (9216, "grown", 2)])
    assert type(found.rebuild("grown", 2048, '{"n":1}')) is First
    assert type(found.rebuild("grown", 10240, '{"n":1}')) is Second
    assert found.remarks == {}
    other = types(Second, versions=[(1024, "grown", 1)])
    assert type(other.rebuild("grown", 2048, '{"n":1}')) is Second
    assert other.remarks["grown"] == "recorded as version 1, replayed as version 2"


def test_a_replay_names_skips_and_counts_what_cannot_be_rebuilt():
    """Events with secrets are skipped by name, and the others are played."""
    with Host() as host:
        host.publish(Login(user="a", password="secret"))
        host.publish(Rich(part=Part(at=dt.datetime(2026, 1, 31, tzinfo=dt.UTC)), theLabel="y"))
        with host.replay(host.recording, rate=None) as player:
            player.play()
            assert (player.result.published, player.result.skipped) == (1, 1)
            assert player.result.skips[0].topic == "login"
            assert "password" in str(player.result)
            assert not player.result.same


def test_versions_that_alternate_are_told_apart():
    """Where two versions of an event are published in turn, each is replayed as what it was."""

    class First(Event, topic="alternating", version=1):
        n: int

    class Second(Event, topic="alternating", version=2):
        n: int
        unit: str = "m"

    published = [First(n=1), Second(n=2), First(n=3), Second(n=4, unit="km")]
    heard = []
    with Host() as host:
        for event in published:
            host.publish(event)
        host.bus.subscribe(First, heard.append)
        host.bus.subscribe(Second, heard.append)
        with host.replay(host.recording, rate=None) as player:
            player.play()
    assert heard == published


def test_an_older_recording_reaches_handlers_of_the_newer_version():
    """Upcasters bring its payloads up to the class that is listened to, and the remark names them."""

    class Grown(Event, topic="upcast.grown", version=2):
        n: int
        unit: str

    @upcaster(Grown, from_version=1)
    def add_unit(payload):
        return payload | {"unit": "m"}

    found = types(Grown)
    assert found.rebuild("upcast.grown", 1024, '{"n":1}', 1) == Grown(n=1, unit="m")
    assert "recorded as version 1, replayed as version 2, upcast by" in found.remarks["upcast.grown"]
    with pytest.raises(
        RebuildError, match=r"upcaster .*add_unit .* gave what does not fit: n: it is missing"
    ):
        found.rebuild("upcast.grown", 1024, "{}", 1)


def test_a_missing_upcaster_is_named():
    """A record that does not fit says which step is missing, and what would not fit."""

    class Lonely(Event, topic="upcast.lonely", version=3):
        n: int

    with pytest.raises(RebuildError, match=r"no upcaster takes version 1\..*n: it is missing"):
        types(Lonely).rebuild("upcast.lonely", 1024, "{}", 1)


def test_a_newer_recording_is_replayed_without_what_is_new():
    """Fields that the class does not know are left out, and the remark names them."""

    class Older(Event, topic="upcast.older", version=1):
        n: int

    found = types(Older)
    assert found.rebuild("upcast.older", 1024, '{"n":1,"unit":"m"}', 2) == Older(n=1)
    assert found.remarks["upcast.older"] == "recorded as version 2, replayed as version 1, leaving out unit"


def test_a_registered_schema_is_replayed_by():
    """Where there is no class but a schema, payloads have to fit it."""
    schemas.register("registered.only", {"required": ["n"]})
    found = types()
    assert found.rebuild("registered.only", 1024, '{"n":1}', 1).n == 1
    with pytest.raises(RebuildError, match="n: it is missing"):
        found.rebuild("registered.only", 1024, "{}", 1)
