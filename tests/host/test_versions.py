"""Plugins out of folders on a host: the versions that fit are used, what is broken is blocked, code loads late."""

import sys

import pytest

from plugbook import Host, Plugin
from plugbook.errors import ManifestError, PluginError

CODE = "from plugbook import Plugin\n\n\nclass {name}(Plugin):\n    version_of_code = {version!r}\n"


def write(root, name, version="1.0", folder="", code="", **fields):
    """A plugin as a folder, with a module of the same name in each."""
    place = root / (folder or f"{name}-{version}")
    place.mkdir(parents=True)
    said = {"name": name, "version": version, "entry_point": f"code:{name.title()}", **fields}
    lines = [f"{key} = {value!r}" for key, value in said.items()]
    (place / "plugin.toml").write_text("\n".join(["[plugin]", *lines]))
    (place / "code.py").write_text(code or CODE.format(name=name.title(), version=version))
    return place


@pytest.fixture
def host():
    with Host() as host:
        yield host


def versions(host):
    return {name: handle.manifest.version for name, handle in host.plugins.items()}


def test_plugins_in_folders_are_imported_only_when_they_start(tmp_path, host):
    """Discovery reads; the code of each folder is its own package, so that modules of one name do not mix."""
    write(tmp_path, "billing", requires=["ledger>=2"])
    write(tmp_path, "ledger", "2.0")
    imported = set(sys.modules)
    host.discover(tmp_path)
    assert versions(host) == {"billing": "1.0", "ledger": "2.0"}
    new = sys.modules.keys() - imported
    assert not [name for name in new if name.startswith(("plugin_billing", "plugin_ledger"))]
    host.start()
    told = {name: handle.instance.version_of_code for name, handle in host.plugins.items()}
    assert told == {"billing": "1.0", "ledger": "2.0"}
    host.remove("billing")
    assert not [name for name in sys.modules if name.startswith("plugin_billing")]


def test_the_newest_set_that_fits_is_used_and_the_others_say_why_not(tmp_path, host):
    """Of several versions one is on the host; the others are listed with the reason."""
    write(tmp_path, "billing", "2.0", requires=["ledger>=3"])
    write(tmp_path, "billing", "1.0", requires=["ledger<2"])
    write(tmp_path, "ledger", "2.0")
    write(tmp_path, "ledger", "1.0")
    host.discover(tmp_path)
    assert versions(host) == {"billing": "1.0", "ledger": "1.0"}
    reasons = {str(each.manifest): each.reason for each in host.available}
    assert reasons == {
        "billing 1.0": "",
        "billing 2.0": "billing 2.0 requires ledger>=3, which nobody offers: there is only 2.0 and 1.0",
        "ledger 1.0": "",
        "ledger 2.0": "billing is to be there; billing 2.0 requires ledger>=3, which nobody offers: "
        "there is only 2.0 and 1.0; billing 1.0 requires ledger<2",
    }
    assert host.start().is_complete


def test_what_is_on_the_host_stays_as_it_is(tmp_path, host):
    """A plugin that is there already is the only version of it, and the new ones have to fit it."""

    class Ledger(Plugin, version="1.0"):
        pass

    host.add(Ledger)
    write(tmp_path, "ledger", "2.0")
    write(tmp_path, "billing", "2.0", requires=["ledger>=2"])
    write(tmp_path, "billing", "1.0")
    host.discover(tmp_path)
    assert versions(host) == {"ledger": "1.0", "billing": "1.0"}
    assert {str(each.manifest): each.is_used for each in host.available} == {
        "billing 1.0": True,
        "billing 2.0": False,
        "ledger 2.0": False,
    }


def test_what_is_found_later_says_what_is_used_and_how_to_change_that(tmp_path, host):
    """A second discovery keeps the reasons of the first; a newer version waits until the plugin is removed."""
    write(tmp_path, "paper", "1.0")
    write(tmp_path, "paper", "2.0")
    host.discover(tmp_path)
    for version in ("1.5", "3.0"):
        write(tmp_path, "paper", version)
    host.discover(tmp_path)
    assert {each.manifest.version: each.reason for each in host.available} == {
        "1.0": "paper 2.0 is newer",
        "1.5": "paper 2.0 is on this host",
        "2.0": "",
        "3.0": "paper 2.0 is on this host; to use 3.0: host.remove('paper'), then host.discover again",
    }
    host.remove("paper")
    host.discover(tmp_path)
    assert versions(host) == {"paper": "3.0"}


def test_a_plugin_that_cannot_be_there_is_on_the_host_with_its_problem(tmp_path, host):
    """No version of it fits, so one stands for it, and `why` has something to tell."""
    write(tmp_path, "billing", "2.0", requires=["nowhere"])
    write(tmp_path, "billing", "1.0", requires=["nowhere"])
    host.discover(tmp_path)
    assert "there is no plugin nowhere" in str(host.why("billing"))


BROKEN = {
    "no TOML": ("[plugin]\nname = 'x'\nversion = = 1\n", r"plugin\.toml:3 is no TOML"),
    "an end too early": ("[plugin]\nname = 'x", r"plugin\.toml:2 is no TOML"),
    "no table": ("", r"has no table \[plugin\]"),
    "another table": (
        "[plugins]\nname = 'x'\n",
        r"plugin\.toml:1: 'plugins' is not \[plugin\].*mean 'plugin'",
    ),
    "a field that is none": (
        "[plugin]\nname = 'x'\nentry_point = 'code:X'\nrequries = ['a']\n",
        r"plugin\.toml:4: there is no field 'requries'\. Did you mean 'requires'",
    ),
    "a version that is none": (
        "[plugin]\nname = 'x'\n\nversion = 'one'\nentry_point = 'code:X'\n",
        r"plugin\.toml:4: version: 'one' is not a version",
    ),
    "no entry point": ("[plugin]\nname = 'x'\n", "entry_point is ''. Write module and class"),
    "a module that is not there": (
        "[plugin]\nname = 'x'\nentry_point = 'gone:X'\n",
        r"plugin\.toml:3: there is no module 'gone'",
    ),
    "another name than the class": (
        "[plugin]\nname = 'y'\nentry_point = 'code:X'\n",
        "calls itself 'x'. Use one name",
    ),
    "bytes that are no text": (b"\xff\xfe", r"plugin\.toml cannot be read"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_blocked_and_stops_nobody(tmp_path, host, case):
    """What is wrong is told with file and line, and the others are on the host."""
    text, told = BROKEN[case]
    place = write(tmp_path, "x")
    (place / "plugin.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    write(tmp_path, "good")
    changes = host.discover(tmp_path)
    assert list(host.plugins) == ["good"]
    (why,) = changes.blocked.values()
    with pytest.raises(ManifestError, match=told):
        raise ManifestError(why)


def test_a_folder_that_is_not_there_is_refused(tmp_path, host):
    """Nothing is added, and the message says what to give; an empty one says what it lacks."""
    with pytest.raises(ManifestError, match="there is no folder"):
        host.discover(tmp_path / "gone")
    assert "has no plugin.toml" in host.discover(tmp_path).blocked[tmp_path.name]
    assert host.plugins == {}


def test_one_folder_or_file_can_be_given(tmp_path, host):
    """A plugin's own folder will do, and so will its plugin.toml."""
    host.discover(write(tmp_path, "billing"))
    host.discover(write(tmp_path, "ledger") / "plugin.toml")
    assert versions(host) == {"billing": "1.0", "ledger": "1.0"}


def test_the_file_has_the_last_word_and_the_class_the_rest(tmp_path, host):
    """What plugin.toml leaves out is read from the class statement, before the import and after it."""
    code = "from plugbook import Plugin\nclass Billing(Plugin, version='9', requires=['led' + 'ger'], provides='tax'):\n pass\n"
    write(tmp_path, "billing", "1.5", code=code)
    host.discover(tmp_path)
    assert host.plugins["billing"].manifest.provides == ("tax",)
    with pytest.raises(PluginError, match="there is no plugin ledger"):
        host.start("billing")
    manifest = host.plugins["billing"].manifest
    assert (manifest.version, manifest.requires, manifest.provides) == ("1.5", ("ledger",), ("tax",))


def test_a_reload_reads_the_code_and_the_file_anew(tmp_path, host):
    """An edit of plugin.toml counts like one of the code; a mistake in it fails the load and says where."""
    place = write(tmp_path, "billing")
    host.discover(tmp_path)
    host.start()
    text = (place / "plugin.toml").read_text()
    (place / "plugin.toml").write_text(text.replace("1.0", "1.1"))
    (place / "code.py").write_text(CODE.format(name="Billing", version="new"))
    host.reload("billing")
    handle = host.plugins["billing"]
    assert (handle.manifest.version, handle.instance.version_of_code) == ("1.1", "new")
    (place / "plugin.toml").write_text("[plugin]\nversion = = 1\n")
    with pytest.raises(PluginError, match=r"plugin\.toml:2 is no TOML"):
        host.reload("billing")


def test_modules_of_a_folder_import_each_other(tmp_path, host):
    """Inside a folder a leading dot reaches the neighbours, with and without an __init__.py."""
    for name in ("billing", "ledger"):
        code = f"from plugbook import Plugin\nfrom .rates import RATE\nclass {name.title()}(Plugin):\n rate = RATE\n"
        place = write(tmp_path, name, code=code)
        (place / "rates.py").write_text(f"RATE = {name!r}\n")
    (place / "__init__.py").write_text("STARTED = True\n")
    host.discover(tmp_path)
    host.start()
    assert [handle.instance.rate for handle in host.plugins.values()] == ["billing", "ledger"]


def test_a_host_has_an_api_version(tmp_path):
    """Its plugins are made for a range of them; another one is refused, and says what it is made for."""

    class Old(Plugin, version="1.0", requires_host="<2"):
        pass

    class Shop(Host):
        api_version = "2.1"

    with Shop([Old]) as shop:
        assert shop.api_version == "2.1"
        told = str(shop.why("old"))
        assert "old 1.0 requires a host of API version <2" in told
        assert "this one has 2.1" in told
    with Host([Old], api_version="1.9") as host:
        assert host.start().is_complete
    with Host() as host:
        assert host.api_version == "1.0"
    with pytest.raises(ManifestError, match="'two' is not a version"):
        Host(api_version="two")
    with pytest.raises(ManifestError, match="'two' is not a range"):
        type("New", (Plugin,), {}, requires_host="two")


def test_the_version_made_for_the_host_is_used(tmp_path):
    """A newer one for another API version is passed over."""
    write(tmp_path, "billing", "2.0", requires_host=">=3")
    write(tmp_path, "billing", "1.0", requires_host="<3")
    with Host(api_version="2.1") as host:
        host.discover(tmp_path)
        assert versions(host) == {"billing": "1.0"}
        assert [each.reason for each in host.available] == [
            "",
            "billing 2.0 requires a host of API version >=3, and this one has 2.1",
        ]
