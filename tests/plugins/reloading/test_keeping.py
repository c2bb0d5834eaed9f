"""What a plugin may define for a reload, and what is refused when its class is made."""

from __future__ import annotations

import pytest

from plugbook import Host, Plugin, on
from plugbook.errors import ManifestError


def test_nothing_has_to_be_defined():
    """A plugin without any of it is in good health, and keeps nothing."""

    class Plain(Plugin):
        pass

    plain = Plain()
    assert plain.snapshot() is None
    assert plain.health() is None
    assert plain.restore(1) is None
    assert plain.on_reload("other") is None
    assert Plain.state_version == 1


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("snapshot", "self, deep", r"snapshot takes \(self, deep\), but it is called with nothing"),
        ("restore", "self", r"Write def restore\(self, state\)"),
        ("health", "self, when", r"Write def health\(self\)"),
        ("on_reload", "self", r"Write def on_reload\(self, plugin\)"),
        ("migrate", "self, state", r"Write def migrate\(self, state, from_version\)"),
    ],
)
def test_a_method_that_could_not_be_called_is_refused(name, arguments, told):
    """The mistake is told when the class is made, and not in the middle of a reload."""
    namespace = {}
    exec(f"def {name}({arguments}): pass", namespace)
    with pytest.raises(ManifestError, match=told):
        type(Plugin)("Wrong", (Plugin,), {name: namespace[name]})


@pytest.mark.parametrize(("has", "lacks"), [("snapshot", "restore"), ("restore", "snapshot")])
def test_half_of_a_pair_is_refused(has, lacks):
    """A snapshot that nobody restores, or the other way round, is a mistake."""
    methods = {"snapshot": lambda self: 1, "restore": lambda self, state: None}
    with pytest.raises(ManifestError, match=f"it has a {has} alone.* Write def {lacks}"):
        type(Plugin)("Half", (Plugin,), {has: methods[has]})


def test_a_handler_may_be_called_like_one_of_them():
    """A method with @on is a handler and nothing else."""

    class Nurse(Plugin):
        @on("patient.*")
        def health(self, event):
            return False

    with Host([Nurse]) as host:
        host.start()
        host.reload("nurse")
        assert host.plugins["nurse"].generation == 2
