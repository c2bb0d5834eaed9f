"""Loading and unloading code: once, from source, and nothing is taken out that somebody else uses."""

import importlib
import os
import sys
import textwrap
import traceback

import pytest

from plugbook.errors import ManifestError, PluginError
from plugbook.plugins.finding.loader import Loader

PLUGIN = "from plugbook.plugins.plugin import Plugin\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on sys.path; whatever modules a test leaves there are forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"shop", "space", "library"}:
            del sys.modules[name]


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def modules(prefix="shop"):
    return {name for name in sys.modules if name == prefix or name.startswith(f"{prefix}.")}


def test_two_plugins_of_one_module_share_one_import(folder):
    """The module runs once, and stays until the second of its plugins is unloaded."""
    write(folder, {"shop.py": PLUGIN + "class A(Plugin): ...\nclass B(Plugin): ...\n"})
    loader = Loader()
    one = loader.load("shop:A")
    module = sys.modules["shop"]
    other = loader.load("shop:B")
    assert sys.modules["shop"] is module
    assert (one.manifest.name, other.manifest.name) == ("a", "b")
    assert loader.unload("shop:A") == ()
    assert modules() == {"shop"}
    assert loader.unload("shop:B") == ("shop",)
    assert modules() == set()
    assert loader.unload("shop:B") == ()


def test_shared_modules_stay_and_own_ones_go(folder):
    """Of two plugins in one package, unloading one takes out its own modules and leaves the shared ones."""
    write(
        folder,
        {
            "shop/__init__.py": "from .a import A\nfrom .b import B\n",
            "shop/common.py": "RATE = 3\n",
            "shop/only_a.py": "",
            "shop/a.py": PLUGIN + "from . import only_a\nfrom .common import RATE\nclass A(Plugin): ...\n",
            "shop/b.py": PLUGIN + "import shop.common\nclass B(Plugin): ...\n",
        },
    )
    loader = Loader()
    loader.load("shop.a:A")
    loader.load("shop.b:B")
    assert loader.unload("shop.a:A") == ("shop.a", "shop.only_a")
    assert modules() == {"shop", "shop.b", "shop.common"}
    assert not hasattr(sys.modules["shop"], "only_a")
    loader.unload("shop.b:B")
    assert modules() == set()


def test_libraries_and_the_application_stay(folder):
    """What is not of the plugin's package stays, and so does what the application had imported before."""
    write(
        folder,
        {
            "library.py": "",
            "shop/__init__.py": "",
            "shop/app.py": "",
            "shop/plugin.py": PLUGIN + "import library\nfrom shop import app\nclass A(Plugin): ...\n",
        },
    )
    importlib.import_module("shop.app")
    loader = Loader()
    loader.load("shop.plugin:A")
    assert loader.unload("shop.plugin:A") == ("shop.plugin",)
    assert modules() == {"shop", "shop.app"}
    assert "library" in sys.modules


def test_a_namespace_is_not_the_plugins_own(folder):
    """In a namespace package only the part below it is the plugin's; what others have there stays."""
    write(
        folder,
        {
            "space/library/__init__.py": "",
            "space/shop/__init__.py": PLUGIN + "import space.library\nclass A(Plugin): ...\n",
        },
    )
    loader = Loader()
    loader.load("space.shop:A")
    assert loader.unload("space.shop:A") == ("space.shop",)
    assert modules("space") == {"space", "space.library"}


def test_what_is_imported_later_goes_too(folder):
    """A module that a handler imports long after the loading goes with the package's last plugin."""
    write(
        folder,
        {
            "shop/__init__.py": "",
            "shop/late.py": "",
            "shop/a.py": PLUGIN + "class A(Plugin):\n    def late(self):\n        import shop.late\n",
        },
    )
    loader = Loader()
    loader.load("shop.a:A")().late()
    assert "shop.late" in loader.unload("shop.a:A")
    assert modules() == set()


def test_an_edit_of_the_same_size_in_the_same_second_is_seen(folder):
    """Reloading runs what the file says now, though its bytecode looks up to date."""
    source = PLUGIN + "class A(Plugin, version='{}'): ...\n"
    path = folder / "shop.py"
    loader = Loader()
    path.write_text(source.format("1.0"))
    stamp = path.stat()
    importlib.import_module("shop")  # writes the bytecode
    del sys.modules["shop"]
    path.write_text(source.format("2.0"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert loader.load("shop:A").manifest.version == "2.0"
    loader.unload("shop:A")
    path.write_text(source.format("3.0"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert loader.load("shop:A").manifest.version == "3.0"
    loader.unload("shop:A")


def test_a_traceback_shows_the_code_that_ran(folder):
    """After a reload the lines in a traceback are those of the new source."""
    path = folder / "shop.py"
    body = PLUGIN + "class A(Plugin):\n    def fail(self):\n        raise ValueError({!r})\n"
    loader = Loader()
    for word in ("one", "two"):
        path.write_text(body.format(word))
        with pytest.raises(ValueError, match=word) as caught:
            loader.load("shop:A")().fail()
        assert f"raise ValueError({word!r})" in "".join(traceback.format_exception(caught.value))
        loader.unload("shop:A")


BROKEN = {
    "a syntax error": ("class A(Plugin:\n", SyntaxError),
    "a missing library": ("import no_such_library\n", ModuleNotFoundError),
    "an error while it runs": ("import shop.half\nraise ValueError('x')\n", ValueError),
    "a bad manifest": ("class A(Plugin, version='x'): ...\n", ManifestError),
    "an exit": ("raise SystemExit(3)\n", SystemExit),
    "an error that cannot be told": (
        "class Odd(Exception):\n    def __str__(self): raise TypeError\nraise Odd\n",
        Exception,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_failed_import_is_told_and_leaves_nothing(folder, case):
    """The error is the plugin's, with the original as its cause, and sys.modules is as it was."""
    body, cause = BROKEN[case]
    write(folder, {"shop/__init__.py": "", "shop/half.py": "", "shop/plugin.py": PLUGIN + body})
    with pytest.raises(PluginError, match=r"shop\.plugin:A.* could not be imported") as caught:
        Loader().load("shop.plugin:A")
    assert caught.value.phase == "import"
    assert isinstance(caught.value.__cause__, cause)
    assert modules() == set()


def test_an_interrupted_import_leaves_nothing(folder):
    """A Ctrl-C during the import is raised as it is, and sys.modules is as it was."""
    write(folder, {"shop/__init__.py": "", "shop/plugin.py": "raise KeyboardInterrupt\n"})
    with pytest.raises(KeyboardInterrupt):
        Loader().load("shop.plugin:A")
    assert modules() == set()


def test_a_failed_import_does_not_hurt_its_neighbours(folder):
    """When one plugin of a package fails, another one that is loaded keeps its modules."""
    write(
        folder,
        {
            "shop/__init__.py": "",
            "shop/good.py": PLUGIN + "class A(Plugin): ...\n",
            "shop/bad.py": "1 / 0\n",
        },
    )
    loader = Loader()
    loader.load("shop.good:A")
    with pytest.raises(PluginError):
        loader.load("shop.bad:B")
    assert modules() == {"shop", "shop.good"}
    loader.unload("shop.good:A")


WRONG = {
    "shop:Biling": "Did you mean 'Billing'?",
    "shop:NUMBER": "is no plugin, but a int",
    "shop:Plugin": "is no plugin",
    "shop": "Write module and class",
    "shop:": "Write module and class",
    ":Billing": "Write module and class",
    "shop:Billing()": "Write module and class",
    "shop.:Billing": "Write module and class",
}


@pytest.mark.parametrize("entry_point", WRONG)
def test_what_is_no_plugin_is_refused(folder, entry_point):
    """A wrong entry point is told with what was meant, and its module does not stay."""
    write(folder, {"shop.py": PLUGIN + "NUMBER = 3\nclass Billing(Plugin): ...\n"})
    with pytest.raises(ManifestError) as caught:
        Loader().load(entry_point)
    assert WRONG[entry_point] in str(caught.value)
    assert caught.value.field == "entry_point"
    assert modules() == set()


def test_a_nested_class_is_found(folder):
    """An entry point may name a class inside a class."""
    write(folder, {"shop.py": PLUGIN + "class Shop:\n    class Billing(Plugin): ...\n"})
    loader = Loader()
    assert loader.load("shop:Shop.Billing").manifest.name == "billing"
    loader.unload("shop:Shop.Billing")


def test_a_plugin_of_functions_is_loaded_like_a_class(tmp_path, monkeypatch):
    """An entry point may name what `plugin` returned; its class is what the host gets."""
    (tmp_path / "made_of_functions.py").write_text(
        "from plugbook import plugin\nbilling = plugin('billing')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    loader = Loader()
    assert loader.load("made_of_functions:billing").manifest.name == "billing"
    loader.unload("made_of_functions:billing")
