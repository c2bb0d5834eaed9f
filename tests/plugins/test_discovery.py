"""Discovery from real metadata folders on disk: what is offered, what is broken, and what has changed."""

import sys
import time

import pytest

from plugbook import Host
from plugbook.errors import ManifestError
from plugbook.plugins.finding import discovery, readings
from plugbook.plugins.finding.discovery import complete, discover
from plugbook.plugins.finding.loader import Loader
from plugbook.plugins.manifest import Manifest

SOURCE = "from plugbook.plugins.plugin import Plugin\nclass {}(Plugin{}):\n    '''{}'''\n"


def install(folder, name, points, version="1.0", summary="From the distribution.", group="plugbook.plugins"):
    """A distribution as installers leave it: a dist-info folder with its metadata."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(exist_ok=True)
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n"
    (metadata / "METADATA").write_text(about)
    lines = "\n".join(f"{point} = {value}" for point, value in points.items())
    (metadata / "entry_points.txt").write_text(f"[console_scripts]\nx = y:z\n\n[{group}]\n{lines}\n")
    return metadata


def found_by_name(*folders):
    return {each.name: each for each in discover(path=map(str, folders))}


def test_a_plugin_is_read_without_being_imported(tmp_path):
    """What its class statement says literally makes the manifest; its code does not run."""
    source = SOURCE.format("Billing", ", version='2.0', requires=['ledger>=1'], provides=TAX", "Bills.")
    (tmp_path / "shop_mod.py").write_text(f"raise SystemExit('it ran')\n{source}")
    install(tmp_path, "shop-plugins", {"billing": "shop_mod:Billing"})
    found = found_by_name(tmp_path)["billing"]
    assert found.error is None
    assert found.manifest == Manifest(
        name="billing",
        version="2.0",
        requires=("ledger>=1",),
        summary="Bills.",
        entry_point="shop_mod:Billing",
        source="shop-plugins 1.0",
    )
    assert "shop_mod" not in sys.modules


def test_a_class_is_followed_through_its_packages_imports(tmp_path):
    """An entry point may name a package that imports the class from one of its modules, under another name."""
    package = tmp_path / "shop_pkg"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from .inner import Bills as Billing\n")
    (package / "inner" / "__init__.py").write_text("from shop_pkg.inner.code import Billing as Bills\n")
    (package / "inner" / "code.py").write_text(SOURCE.format("Billing", ", requires='ledger'", ""))
    install(tmp_path, "shop", {"billing": "shop_pkg:Billing [extra]"})
    assert found_by_name(tmp_path)["billing"].manifest.requires == ("ledger",)


def test_what_the_class_does_not_say_the_distribution_does(tmp_path):
    """Version and summary of the distribution stand in, and a class that cannot be read is no error yet."""
    (tmp_path / "broken_mod.py").write_text("class Broken(:\n")
    install(tmp_path, "shop", {"broken": "broken_mod:Broken", "gone": "gone_mod:Gone"}, version="3.1")
    for name, found in found_by_name(tmp_path).items():
        assert found.manifest.name == name
        assert (found.manifest.version, found.manifest.summary) == ("3.1", "From the distribution.")


def test_the_manifest_is_completed_by_the_class(tmp_path, monkeypatch):
    """After the import the class has the word, but the version of the distribution stands in for none."""
    (tmp_path / "shop_done.py").write_text(SOURCE.format("Billing", ", requires=['led' + 'ger']", ""))
    install(tmp_path, "shop", {"billing": "shop_done:Billing"}, version="3.1")
    monkeypatch.syspath_prepend(tmp_path)
    found = found_by_name(tmp_path)["billing"].manifest
    assert found.requires == ()
    loader = Loader()
    done = complete(found, loader.load(found.entry_point).manifest)
    assert (done.requires, done.version, done.source) == (("ledger",), "3.1", "shop 3.1")
    loader.unload(found.entry_point)


def test_a_class_of_another_name_is_an_error(tmp_path):
    """Entry point and class must agree on the name, both before the import and after."""
    (tmp_path / "named_mod.py").write_text(SOURCE.format("Billing", ", name='bills'", ""))
    install(tmp_path, "shop", {"billing": "named_mod:Billing"})
    error = found_by_name(tmp_path)["billing"].error
    assert isinstance(error, ManifestError)
    assert "calls itself 'bills'" in str(error)
    with pytest.raises(ManifestError, match="calls itself 'other'"):
        complete(Manifest(name="billing", source="shop 1.0"), Manifest(name="other"))


BREAKAGES = {
    "no metadata": lambda metadata: (metadata / "METADATA").unlink(),
    "bytes that are no text": lambda metadata: (metadata / "entry_points.txt").write_bytes(
        b"[plugbook.plugins]\n\xff\xfe = a:B\n"
    ),
    "a line that is no entry": lambda metadata: (metadata / "entry_points.txt").write_text(
        "[plugbook.plugins]\nnonsense\n"
    ),
    "a value that is none": lambda metadata: (metadata / "entry_points.txt").write_text(
        "[plugbook.plugins]\nbad = not a place\n"
    ),
    "a version that is none": lambda metadata: (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: bad\nVersion: banana\n"
    ),
    "a name that is none": lambda metadata: (metadata / "entry_points.txt").write_text(
        "[plugbook.plugins]\nBad Name = a:B\n"
    ),
}


@pytest.mark.parametrize("case", BREAKAGES)
def test_a_broken_distribution_is_reported_and_hides_nothing(tmp_path, case):
    """What cannot be read comes with its error, beside the plugins of the other distributions."""
    BREAKAGES[case](install(tmp_path, "bad", {"bad": "bad_mod:Bad"}))
    install(tmp_path, "good", {"good": "good_mod:Good"})
    found = discover(path=[str(tmp_path)])
    assert [each.name for each in found if each.error is None] == ["good"]
    (broken,) = [each for each in found if each.error]
    assert "bad" in str(broken.error).lower()
    assert broken.manifest is None


def test_the_first_on_the_path_counts(tmp_path):
    """A distribution that is found twice is the first one, however its name is written; leftovers are ignored."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    install(first, "my-shop", {"billing": "shop_mod:Billing"}, version="1.0")
    install(second, "My.Shop", {"billing": "shop_mod:Billing"}, version="2.0")
    install(second, "~y-shop", {"leftover": "shop_mod:Left"})
    (tmp_path / "file").touch()
    found = discover(
        path=[str(first), str(first), str(tmp_path / "file"), str(tmp_path / "missing"), str(second)]
    )
    assert [each.distribution for each in found] == ["my-shop 1.0"]


def test_other_groups_are_not_ours(tmp_path):
    """Only the entry points of the group that is asked for count."""
    install(tmp_path, "other", {"x": "a:B"}, group="pytest11")
    install(tmp_path, "longer", {"x": "a:B"}, group="plugbook.plugins.extra")
    assert discover(path=[str(tmp_path)]) == []
    assert [each.name for each in discover("pytest11", [str(tmp_path)])] == ["x"]


def test_an_edit_in_the_same_second_is_seen(tmp_path):
    """Whatever file of a plugin changes, in size or only in time, the next call reads it anew."""
    module = tmp_path / "shop_mod.py"
    for version in ("1.0", "2.0", "3.0"):
        module.write_text(SOURCE.format("Billing", f", version='{version}'", ""))
        install(tmp_path, "shop", {"billing": "shop_mod:Billing"})
        assert found_by_name(tmp_path)["billing"].manifest.version == version
    for name in ("alpha", "gamma"):
        install(tmp_path, "shop", {name: "other_mod:Other"})
        assert [each.name for each in discover(path=[str(tmp_path)])] == [name]


def test_what_has_not_changed_is_not_read_again(tmp_path, monkeypatch):
    """Once its files are older than the clock's doubt, a distribution is served from memory until one changes."""
    monkeypatch.setattr(readings, "_SETTLED_NS", -1)
    reads = []
    read = discovery._read
    monkeypatch.setattr(
        discovery, "_read", lambda folder, *rest: reads.append(folder.name) or read(folder, *rest)
    )
    metadata = install(tmp_path, "shop", {"billing": "shop_mod:Billing"})
    for _ in range(3):
        discover(path=[str(tmp_path)])
    assert reads == ["shop-1.0.dist-info"]
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 7.0\n")
    assert discover(path=[str(tmp_path)])[0].distribution == "shop 7.0"
    (metadata / "METADATA").unlink()
    assert discover(path=[str(tmp_path)])[0].error is not None


def test_a_uninstalled_distribution_is_gone(tmp_path):
    """What was deleted since the last call is not found."""
    metadata = install(tmp_path, "shop", {"billing": "shop_mod:Billing"})
    assert discover(path=[str(tmp_path)])
    (metadata / "entry_points.txt").unlink()
    assert discover(path=[str(tmp_path)]) == []


def test_five_hundred_distributions_are_scanned_quickly(tmp_path):
    """A second look at 500 distributions, five of them with plugins, takes a few hundredths of a second."""
    for number in range(500):
        group = "plugbook.plugins" if number % 100 == 0 else "console_scripts"
        install(tmp_path, f"dist-{number}", {f"plugin-{number}": "a_mod:A"}, group=group)
    assert len(discover(path=[str(tmp_path)])) == 5
    times = []
    for _ in range(5):
        start = time.perf_counter()
        discover(path=[str(tmp_path)])
        times.append(time.perf_counter() - start)
    assert min(times) < 0.25


def test_a_folder_that_has_not_changed_is_not_read_again(tmp_path, monkeypatch):
    """A plugin.toml and the module it names are looked at once, until one of them changes."""
    monkeypatch.setattr(readings, "_SETTLED_NS", -1)
    reads = []
    read = discovery.read_plugin_file
    monkeypatch.setattr(discovery, "read_plugin_file", lambda file: reads.append(file.name) or read(file))
    (tmp_path / "plugin.toml").write_text("[plugin]\nname = 'billing'\nentry_point = 'code:Billing'\n")
    (tmp_path / "code.py").write_text(SOURCE.format("Billing", ", version='1.0'", ""))
    for _ in range(3):
        (found,) = discovery.discover_in(tmp_path)
    assert (found.manifest.version, reads) == ("1.0", ["plugin.toml"])
    (tmp_path / "code.py").write_text(SOURCE.format("Billing", ", version='2.0.1'", ""))
    assert discovery.discover_in(tmp_path)[0].manifest.version == "2.0.1"
    (tmp_path / "plugin.toml").write_text("[plugin]\nname = \n")
    assert discovery.discover_in(tmp_path)[0].error is not None


@pytest.mark.parametrize(
    ("source", "line", "told"),
    [
        ("from plugbook import Plugin\n\nclass Billing(Plugin):\n    x = undefined\n", 4, "NameError"),
        ("\nclass Billing(:\n", 2, "SyntaxError"),
        ("from .helper import x\n", 1, "No module named '{folder}/helper'"),
    ],
)
def test_an_import_error_in_a_folder_names_file_and_line(tmp_path, source, line, told):
    """Nobody has to know the name that the package of a folder was given."""
    folder = tmp_path / "billing"
    folder.mkdir()
    (folder / "plugin.toml").write_text(
        '[plugin]\nname = "billing"\nversion = "1"\nentry_point = "code:Billing"\n'
    )
    (folder / "code.py").write_text(source)
    with Host() as host:
        host.discover(folder)
        error = host.start().failed["billing"]
        assert f"'{folder}/code:Billing' could not be imported" in str(error)
        assert told.format(folder=folder) in str(error)
        assert f"({folder}/code.py:{line})" in str(error)
        assert "plugin_billing_" not in str(error)


def test_a_class_that_is_not_in_a_folder_is_told_by_its_path(tmp_path):
    """The module is named by the folder that it is in."""
    (tmp_path / "plugin.toml").write_text(
        '[plugin]\nname = "billing"\nversion = "1"\nentry_point = "code:Billing"\n'
    )
    (tmp_path / "code.py").write_text("from plugbook import Plugin\n\nclass Bills(Plugin): ...\n")
    with Host() as host:
        host.discover(tmp_path)
        told = str(host.start())
        assert f"{tmp_path}/code has no 'Billing'. Did you mean 'Bills'?" in told
