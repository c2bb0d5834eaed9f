"""`plugbook.notebook.assets`: the front end is found in a checkout and in an installed package."""

from pathlib import Path

import pytest

from plugbook.notebook import assets


def test_the_checkout_is_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an installed copy, the file comes from `widgets/`."""
    monkeypatch.setattr(assets, "_INSTALLED", tmp_path / "static")
    monkeypatch.setattr(assets, "_CHECKOUT", tmp_path)
    (tmp_path / "explorer.js").write_text("export default {}")
    assert assets.asset("explorer.js") == tmp_path / "explorer.js"


def test_the_installed_copy_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package serves its own files, even where a `widgets/` folder lies beside it."""
    monkeypatch.setattr(assets, "_INSTALLED", tmp_path / "static")
    monkeypatch.setattr(assets, "_CHECKOUT", tmp_path)
    (tmp_path / "static").mkdir()
    for folder in (tmp_path, tmp_path / "static"):
        (folder / "explorer.js").write_text("export default {}")
    assert assets.asset("explorer.js") == tmp_path / "static" / "explorer.js"


def test_a_missing_file_is_named() -> None:
    """A file that does not exist is named, with the folders that were searched."""
    with pytest.raises(FileNotFoundError, match=r"no-such\.js.*widgets"):
        assets.asset("no-such.js")
