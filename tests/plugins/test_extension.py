"""Extension points: declared by one plugin, contributed to by others, and kept in order while these come and go."""

from collections.abc import Callable

import pytest

from plugbook import ExtensionPoint, Host, Plugin, contributes, plugin
from plugbook.errors import ContributionError, ManifestError, PlugbookWarning, PluginError
from plugbook.plugins.extending.extension import points_of

themes: ExtensionPoint[Callable[[str], str]] = ExtensionPoint("shop.themes", Callable[[str], str])


class Shop(Plugin):
    themes = themes


class Dark(Plugin):
    @contributes(themes)
    def dark(self, text):
        return f"dark {text}"


class Light(Plugin):
    def start(self, ctx):
        ctx.contribute(themes, self.light, priority=5)

    def light(self, text):
        return f"light {text}"


def listed(host, point="shop.themes"):
    return [each.name for each in host.extensions[point].contributions]


def rendered(host):
    return [theme("x") for theme in host.plugins["shop"].context.contributions(themes)]


@pytest.fixture
def host():
    with Host([Shop, Dark, Light]) as host:
        host.start()
        yield host


def test_contributions_are_listed_in_order(host):
    """By priority, then by dependency order, then by registration."""

    class Base(Plugin):
        @contributes(themes)
        def base(self, text): ...

        @contributes(themes)
        def second(self, text): ...

    class Above(Plugin, requires=["base"]):
        @contributes(themes)
        def above(self, text): ...

    host.add(Above)
    host.add(Base)
    host.start()
    assert rendered(host)[:2] == ["light x", "dark x"]
    assert listed(host) == ["Light.light", "dark", "base", "second", "above"]


def test_contributions_come_and_go_with_their_plugin(host):
    """A stopped plugin's are gone, and return when it starts again."""
    host.stop("light")
    assert rendered(host) == ["dark x"]
    host.start("light")
    assert rendered(host) == ["light x", "dark x"]


def test_a_point_without_its_owner_is_empty_and_its_contributions_wait(host):
    """They are there again when it starts again, without anybody else doing anything."""
    host.stop("shop")
    context = host.plugins["dark"].context
    assert context.contributions(themes) == ()
    assert host.extensions["shop.themes"].owner == ""
    host.start("shop")
    assert rendered(host) == ["light x", "dark x"]


def test_contributions_made_before_the_owner_starts_wait():
    """Whoever starts first, the list is the same."""
    with Host([Dark, Light, Shop]) as host:
        host.start("dark")
        host.start("light")
        assert "nobody declares it" in repr(host.extensions)
        host.start("shop")
        assert rendered(host) == ["light x", "dark x"]


def test_what_does_not_fit_is_refused_with_what_is_missing(host):
    """The contributor's start fails, and nothing of it stays behind."""

    class Broken(Plugin):
        @contributes(themes)
        def broken(self): ...

    host.add(Broken)
    with pytest.raises(PluginError, match=r"broken takes \(\), but is called with 1 argument"):
        host.start("broken")
    error = host.plugins["broken"].error
    assert isinstance(error, ContributionError)
    assert (error.plugin, error.point) == ("broken", "shop.themes")
    assert listed(host) == ["Light.light", "dark"]


def test_what_was_contributed_by_name_is_checked_when_the_contract_is_known():
    """Then it is not listed, and the record and the table say why."""

    class Early(Plugin):
        def start(self, ctx):
            ctx.contribute("shop.themes", 3, name="three")

    with Host([Early, Shop]) as host:
        host.start("early")
        host.start("shop")
        state = host.extensions["shop.themes"]
        assert (state.contributions, [each.name for each in state.refused]) == ((), ["three"])
        assert "three: refused, it cannot be called" in repr(host.extensions)
        refusal = next(each for each in host.recording.records() if each.name == "refuse")
        assert (refusal.plugin, refusal.outcome, refusal.reason) == ("early", "error", "it cannot be called")


def test_a_misspelt_name_waits_and_says_so(host):
    """The record has the point that was probably meant."""
    host.plugins["dark"].context.contribute("shop.theme", str)
    record = [each for each in host.recording.records() if each.name == "contribute"][-1]
    assert record.reason == "nobody declares shop.theme, so it waits. Did you mean 'shop.themes'?"


def test_two_owners_of_one_point_are_refused(host):
    """The first one keeps it."""

    class Other(Plugin):
        def start(self, ctx):
            ctx.declare(themes)

    host.add(Other)
    with pytest.raises(PluginError, match="shop does already"):
        host.start("other")
    assert host.extensions["shop.themes"].owner == "shop"


def test_who_follows_is_told_of_every_change(host):
    """At once, when something comes, when it goes, and no more after its own stop."""
    seen = []

    class Menu(Plugin):
        def start(self, ctx):
            ctx.follow(themes, lambda found: seen.append(len(found)))

    host.add(Menu)
    host.stop("light")
    take_back = host.plugins["dark"].context.contribute(themes, str.upper)
    take_back()
    host.stop("shop")
    host.stop("menu")
    host.start("shop")
    assert seen == [2, 1, 2, 1, 0]


def test_a_follower_that_fails_hurts_nobody(host):
    """Its error is in its log, and the contribution is there."""

    class Menu(Plugin):
        def start(self, ctx):
            ctx.follow(themes, lambda found: 1 / (len(found) - 1))

    host.add(Menu)
    host.stop("light")
    assert listed(host) == ["dark"]
    failure = next(each for each in host.recording.records() if each.kind == "log")
    assert (failure.plugin, failure.outcome) == ("menu", "error")


def test_everything_is_recorded():
    """Who declared what, who contributed what and who took it back, caused by the start or stop that did it."""
    with Host([Shop, Dark]) as host:
        host.start()
        host.stop()
        states = {each.seq for each in host.recording.records() if each.kind == "state"}
        changes = [
            (each.name, each.plugin, each.payload["point"])
            for each in host.recording.records()
            if each.kind == "change" and "point" in (each.payload or {}) and each.parent in states
        ]
    assert changes == [
        ("declare", "shop", "shop.themes"),
        ("contribute", "dark", "shop.themes"),
        ("withdraw", "dark", "shop.themes"),
        ("undeclare", "shop", "shop.themes"),
    ]


def test_a_nested_class_is_made_for_each_start():
    """What it keeps is fresh; a subclass of the plugin may take the contribution away."""
    point = ExtensionPoint("words", object)

    class Words(Plugin):
        words = point

        @contributes("words", priority=2)
        class Greeting:
            pass

    class Silent(Words):
        Greeting = None

    with Host([Words]) as host:
        host.start()
        first = host.plugins["words"].context.contributions(point)
        host.restart("words")
        second = host.plugins["words"].context.contributions(point)
        assert len(first) == len(second) == 1
        assert first[0] is not second[0]
    with Host([Silent]) as host:
        host.start()
        assert host.extensions["words"].contributions == ()
    assert points_of(Silent) == (point,)


def test_plugins_written_as_functions_declare_and_contribute():
    """As decorators and in a chain, with the same order and the same records."""
    shop = plugin("shop").declares(themes)
    dark = plugin("dark")

    @dark.contributes(themes)
    def dim(text):
        return f"dark {text}"

    light = plugin("light").contributes(themes, lambda text: f"light {text}", priority=5).build()
    with Host([dark, light, shop]) as host:
        host.start()
        assert rendered(host) == ["light x", "dark x"]
        assert listed(host)[1] == "dim"
        host.stop("light")
        assert rendered(host) == ["dark x"]


REFUSED = {
    "a name": lambda: ExtensionPoint("Shop Themes", int),
    "no text": lambda: ExtensionPoint(3, int),
    "a contract": lambda: ExtensionPoint("x", 3),
    "no point": lambda: contributes(3),
    "no point of a chain": lambda: plugin("x").contributes(3, str),
    "declares": lambda: plugin("x").declares("shop.themes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_where_it_is_made(case):
    """Names, contracts and points that cannot be are told at once."""
    with pytest.raises(ManifestError):
        REFUSED[case]()


def test_points_and_hosts_show_themselves(host):
    """The point with its contract, the table with owner and contributions."""
    assert repr(themes).startswith("<ExtensionPoint shop.themes: ")
    shown = repr(host.extensions).splitlines()
    assert shown[0].endswith("by shop")
    assert [line.split() for line in shown[1:]] == [["light", "Light.light"], ["dark", "dark"]]
    assert repr(Host().extensions) == "no extension points"


class Slip(Plugin):
    @contributes("shop.theme")
    def plain(self, text): ...


def test_a_contribution_to_a_misspelt_point_is_warned_of_once_everything_started(host):
    """The point that was meant is named, once; a point that nobody declares and that is like no other is fine."""

    class Other(Plugin):
        @contributes("shop.menus")
        def entry(self): ...

    host.add(Other)
    with pytest.warns(PlugbookWarning, match=r"slip contributes plain to 'shop\.theme'.*'shop\.themes'"):
        host.add(Slip)
    host.restart("slip")


def test_a_point_declared_later_is_no_mistake():
    """Who declares the point may start after who contributes to it."""

    class Late(Plugin, optional=["slip"]):
        theme: ExtensionPoint[Callable[[str], str]] = ExtensionPoint("shop.theme", Callable[[str], str])

    with Host([Shop, Slip, Late]) as host:
        host.start()
        assert listed(host, "shop.theme") == ["plain"]


def test_asking_for_a_misspelt_point_is_warned_of(host):
    """By name it is nothing that is contributed there, and the warning stands at the line that asked."""
    context = host.plugins["light"].context
    with pytest.warns(PlugbookWarning, match=r"light asks .*'shop\.thems'.*'shop\.themes'") as caught:
        assert context.contributions("shop.thems") == ()
    assert caught[0].filename == __file__
    with pytest.warns(PlugbookWarning, match=r"'shop\.thmes'"):
        context.follow("shop.thmes", lambda _: None)
