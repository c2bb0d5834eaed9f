"""What reloading modules in place gets wrong, and a reload by generations does not; what is left is told."""

from __future__ import annotations

import gc
import sys
import textwrap
import weakref

import pytest

from plugbook import Event, Host, Plugin, on
from plugbook.errors import ReloadError


class Say(Event, topic="say"):
    text: str = ""


class Workshop:
    """A folder with one plugin, which is written anew and reloaded."""

    def __init__(self, folder):
        self.folder = folder
        self.host = Host()
        (folder / "plugin.toml").write_text("[plugin]\nname = 'shop'\nentry_point = 'code:Shop'\n")

    def write(self, text, module="code"):
        (self.folder / f"{module}.py").write_text(textwrap.dedent(text))

    def open(self, text, **modules):
        for module, other in modules.items():
            self.write(other, module)
        self.write(text)
        self.host.discover(self.folder)
        self.host.start().check()
        return self.instance

    def reload(self, text=None):
        if text is not None:
            self.write(text)
        return self.host.reload("shop")

    @property
    def instance(self):
        return self.host.plugins["shop"].instance

    @property
    def module(self):
        return sys.modules[type(self.instance).__module__]

    def say(self, text=""):
        report = self.host.publish(Say(text=text))
        assert not report.errors
        return [call.result for call in report.calls]


@pytest.fixture
def shop(tmp_path):
    """A workshop; its host is closed afterwards."""
    made = Workshop(tmp_path)
    with made.host:
        yield made


SUPER = """
from plugbook import Plugin, on

class Base(Plugin, name="base"):
    def greet(self):
        return "{base}"

class Shop(Base, name="shop"):
    def greet(self):
        return super().greet() + "{own}"

    @on("say")
    def answer(self, event):
        return self.greet()
"""


def test_super_finds_the_base_of_the_new_class(shop):
    """A method that calls super() works before and after, also where both classes changed."""
    shop.open(SUPER.format(base="a", own="b"))
    assert shop.say() == ["ab"]
    shop.reload(SUPER.format(base="c", own="d"))
    assert shop.say() == ["cd"]


ENUM = """
import enum
from plugbook import Plugin, on

class Mood(enum.Enum):
    {members}

class Shop(Plugin, name="shop"):
    def __init__(self):
        self.mood = Mood.SAD

    def snapshot(self):
        return {{"mood": self.mood}}

    def restore(self, state):
        self.mood = state["mood"]

    @on("say")
    def answer(self, event):
        return self.mood is Mood.SAD, self.mood == Mood.SAD, self.mood.value
"""


def test_a_member_of_an_enum_is_still_itself(shop):
    """Identity and equality hold for members in the state that was restored; they are matched by name."""
    shop.open(ENUM.format(members="GLAD = 1; SAD = 2"))
    assert shop.say() == [(True, True, 2)]
    shop.reload(ENUM.format(members="ANGRY = 1; GLAD = 2; SAD = 3"))
    assert shop.say() == [(True, True, 3)]
    with pytest.raises(ReloadError, match=r"Mood\.SAD, which is no member any more"):
        shop.reload(ENUM.format(members="GLAD = 1").replace("self.mood = Mood.SAD", "self.mood = Mood.GLAD"))
    assert shop.say() == [(True, True, 3)]


FIELDS = """
import dataclasses
from plugbook import Plugin, on

@dataclasses.dataclass
class Line:
    text: str
    {field}

class Shop(Plugin, name="shop"):
    def __init__(self):
        self.lines = []

    def snapshot(self):
        return self.lines

    def restore(self, state):
        self.lines = state

    @on("say")
    def answer(self, event):
        self.lines.append(Line(event.text))
        return [{shown} for line in self.lines]
"""


def test_objects_of_a_dataclass_have_the_field_that_was_added(shop):
    """What was made before has its default."""
    shop.open(FIELDS.format(field="", shown="line.text"))
    assert shop.say("a") == [["a"]]
    shop.reload(FIELDS.format(field="loud: bool = True", shown="(line.text, line.loud)"))
    assert shop.say("b") == [[("a", True), ("b", True)]]


HALF = """
from plugbook import Plugin, on
RATE = {rate}
{then}

class Shop(Plugin, name="shop"):
    @on("say")
    def answer(self, event):
        from . import parts
        return RATE, parts.RATE
"""


def test_a_module_is_never_half_applied(shop):
    """One that fails in the middle, or imports one that does, changes nothing of what runs, in any module."""
    shop.open(HALF.format(rate=1, then="from . import parts"), parts="RATE = 1")
    assert shop.say() == [(1, 1)]
    shop.write("RATE = 2", "parts")
    with pytest.raises(ReloadError):
        shop.reload(HALF.format(rate=2, then="from . import parts; 1 / 0"))
    assert shop.say() == [(1, 1)]
    shop.write("RATE = 3; 1 / 0", "parts")
    with pytest.raises(ReloadError):
        shop.reload(HALF.format(rate=3, then="from . import parts"))
    assert shop.say() == [(1, 1)]
    shop.write("RATE = 4", "parts")
    shop.reload(HALF.format(rate=4, then="from . import parts"))
    assert shop.say() == [(4, 4)]


def test_an_edit_of_the_same_size_in_the_same_second_is_seen(shop):
    """Bytecode is matched by whole seconds and size, so it is bypassed."""
    text = "from plugbook import Plugin, on\nclass Shop(Plugin, name='shop'):\n    @on('say')\n    def a(self, e): return {}\n"
    shop.open(text.format(0))
    for edition in range(1, 10):
        shop.reload(text.format(edition))
        assert shop.say() == [edition]


CLOSURE = """
from plugbook import Plugin, on

class Price:
    pass

def make(rate):
    def price(amount):
        return rate * amount
    return price

class Shop(Plugin, name="shop"):
    def start(self, ctx):
        self.price = make({rate})
"""


def test_stale_closures_instances_names_and_subscriptions_are_told_with_their_holders(shop):
    """What others hold of the old code goes on as old code; the report finds each, and who holds it."""
    shop.open(CLOSURE.format(rate=2))
    held = {"price": shop.instance.price, "made": shop.module.Price()}
    namespace = vars(sys.modules[__name__])
    namespace["Price"] = shop.module.Price
    shop.host.subscribe("say", shop.module.make)
    try:
        changes = shop.reload(CLOSURE.format(rate=3))
        assert (held["price"](1), shop.instance.price(1)) == (2, 3)
        found = {(leak.kind, leak.what): leak.path for leak in changes.stale}
        closure = found["stale closure", "make.<locals>.price of generation 1"]
        assert "price" in closure
        assert "made" in found["stale instance", "Price of generation 1"]
        assert found["stale name", "Price of generation 1"] == f"{__name__}.Price"
        assert ("stale subscription", "make to say of generation 1") in found
        assert {leak.kind for leak in shop.host.leaks()} >= {kind for kind, _ in found}
    finally:
        namespace.pop("Price")
        held.clear()


def test_nothing_is_told_where_nothing_is_held(shop):
    """A plugin that keeps to itself leaves nothing behind."""
    shop.open(CLOSURE.format(rate=2))
    changes = shop.reload(CLOSURE.format(rate=3))
    assert list(changes.stale) == []
    assert list(shop.host.leaks()) == []


EVENTS = """
from plugbook import Event, Plugin, on

class Placed(Event, topic="order.placed"):
    number: int
    {field}

class Shop(Plugin, name="shop"):
    def __init__(self):
        self.seen = []

    def snapshot(self):
        return self.seen

    def restore(self, state):
        self.seen = state

    @on(Placed)
    def note(self, event):
        self.seen.append(event.number)
        return {edition}
"""


def test_events_of_a_class_that_was_reloaded_reach_both_generations(shop):
    """Who listens to the old class hears of the new one, and what was made of the old one is handled by the new code."""
    shop.open(EVENTS.format(field="", edition=1))
    former = shop.module.Placed
    heard = []
    shop.host.subscribe(former, heard.append)
    shop.reload(EVENTS.format(field="gift: bool = False", edition=2))
    report = shop.host.publish(shop.module.Placed(number=1))
    assert [call.result for call in report.calls if call.plugin] == [2]
    assert [type(event) for event in heard] == [shop.module.Placed]
    assert [call.result for call in shop.host.publish(former(number=2)).calls if call.plugin] == [2]
    assert shop.instance.seen == [1, 2]
    assert len(heard) == 2


def test_queued_events_of_the_old_class_go_to_the_new_generation(shop):
    """What is published while the reload is under way is handled once, by the new code."""
    shop.open(EVENTS.format(field="", edition=1))
    former = shop.module.Placed
    results = []

    class Editor(Plugin):
        @on("say")
        def edit(self, event):
            shop.write(EVENTS.format(field="gift: bool = False", edition=2))
            results.append(shop.host.publish(former(number=1)))
            self.work = shop.host.reload("shop")
            results.append(shop.host.publish(former(number=2)))

    shop.host.add(Editor)
    shop.say()
    assert [[call.result for call in report.calls] for report in results] == [[1], [2]]
    assert shop.instance.seen == [1, 2]


def test_a_hundred_swaps_leak_nothing(shop):
    """Modules, classes, instances and subscriptions are as many as after the first."""
    parts = {f"part{number}": "class Part: pass" for number in range(12)}
    imports = "\n".join(f"from . import {name}" for name in parts)
    text = FIELDS.format(field="", shown="line.text").replace(
        "import dataclasses", f"import dataclasses\n{imports}"
    )
    shop.open(text, **parts)
    former, counts = [], []
    for edition in range(100):
        former += [weakref.ref(shop.module), weakref.ref(shop.instance), weakref.ref(type(shop.instance))]
        shop.reload(f"{text}\nEDITION = {edition}\n")
        if edition in (20, 99):
            shop.host.bus.recorder.flush()
            gc.collect()
            counts.append((len(gc.get_objects()), len(sys.modules), len(shop.host.subscriptions)))
    assert [each for each in former if each() is not None] == []
    first, last = counts
    assert last[1:] == first[1:]
    assert last[0] - first[0] < 2_000
    assert list(shop.host.leaks()) == []
    assert [each for each in shop.host.plugins["shop"].remains if each.is_alive()] == []


def test_a_class_that_was_imported_by_others_is_reloaded_from_its_module(tmp_path, monkeypatch):
    """Given to the host as a class, it is found again by name; its package is left to who imported it."""
    monkeypatch.syspath_prepend(tmp_path)
    text = "from plugbook import Plugin, on\nclass Alone(Plugin):\n    @on('say')\n    def a(self, e): return {}\n"
    (tmp_path / "alone_plugin.py").write_text(text.format(1))
    import alone_plugin

    try:
        with Host([alone_plugin.Alone]) as host:
            host.start()
            assert [file.name for file in host.files_of("alone")] == ["alone_plugin.py"]
            (tmp_path / "alone_plugin.py").write_text(text.format(2))
            changes = host.reload("alone")
            assert [call.result for call in host.publish(Say()).calls] == [2]
            assert sys.modules["alone_plugin"] is not alone_plugin
            assert changes.generations[0].old == 1
            (tmp_path / "alone_plugin.py").write_text("def")
            with pytest.raises(ReloadError):
                host.reload("alone")
            assert [call.result for call in host.publish(Say()).calls] == [2]
    finally:
        sys.modules.pop("alone_plugin", None)


def test_what_the_record_and_reports_keep_is_not_left_behind(shop):
    """A handler that was disconnected, and events that are only recorded, are no reason to look for anything."""
    source = """
    from plugbook import Event, Plugin, on

    class Said(Event, topic="said"):
        text: str

    class Shop(Plugin, name="shop"):
        @on(Said)
        def hear(self, event):
            return event.text
    """
    shop.open(source)
    shop.host.publish(shop.module.Said(text="only recorded"))
    assert list(shop.reload().stale) == []
    report = shop.host.publish(shop.module.Said(text="kept"))
    assert [leak.kind for leak in shop.reload().stale] == ["stale instance"]
    del report
    assert list(shop.host.leaks()) == []
