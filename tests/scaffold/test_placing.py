"""Files are put into a folder all or none."""

import errno
from pathlib import Path

import pytest

from plugbook.errors import FilesInTheWayError, ScaffoldError
from plugbook.scaffold.placing import place

FILES = {"README.md": "new", "src/shop/plugin.py": "code", "src/shop/py.typed": ""}


def contents(folder):
    """Every file and folder below, files with their text."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_text()
        for path in folder.rglob("*")
    }


def put(folder, files):
    """Write files by hand."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_a_folder_that_is_not_there_is_made_whole(tmp_path):
    """All files are there, and nothing beside them."""
    assert place(FILES, tmp_path / "shop", force=False) == ()
    assert {path: text for path, text in contents(tmp_path / "shop").items() if text is not None} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_what_is_in_the_way_is_named_and_nothing_is_written(tmp_path):
    """Without force, a file with another content refuses all; one with the same content is not in the way."""
    put(tmp_path / "shop", {"README.md": "mine", "src/shop/plugin.py": "code", "notes.txt": "keep"})
    before = contents(tmp_path)
    with pytest.raises(FilesInTheWayError, match=r"README\.md\. Nothing was written") as refused:
        place(FILES, tmp_path / "shop", force=False)
    assert refused.value.files == ("README.md",)
    assert contents(tmp_path) == before


def test_force_replaces_what_is_in_the_way_and_keeps_the_rest(tmp_path):
    """Files that are not the template's stay as they are."""
    put(tmp_path / "shop", {"README.md": "mine", "notes.txt": "keep", "src/shop/own.py": "mine"})
    assert place(FILES, tmp_path / "shop", force=True) == ("README.md",)
    found = contents(tmp_path / "shop")
    assert {path: found[path] for path in FILES} == FILES
    assert (found["notes.txt"], found["src/shop/own.py"]) == ("keep", "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("there", "said"),
    [({"shop": "a file"}, "shop is a file"), ({"shop/src": "a file"}, "src is a file")],
)
def test_a_file_where_a_folder_has_to_be_is_never_replaced(tmp_path, there, said, force):
    """It is named, and nothing is written."""
    put(tmp_path, there)
    before = contents(tmp_path)
    with pytest.raises(ScaffoldError, match=said):
        place(FILES, tmp_path / "shop", force=force)
    assert contents(tmp_path) == before


def test_a_folder_where_a_file_has_to_be_is_never_replaced(tmp_path):
    """It is named, and nothing is written."""
    (tmp_path / "shop/README.md").mkdir(parents=True)
    before = contents(tmp_path)
    with pytest.raises(ScaffoldError, match=r"README\.md is a folder"):
        place(FILES, tmp_path / "shop", force=True)
    assert contents(tmp_path) == before


def test_the_folder_that_it_is_in_has_to_be_there(tmp_path):
    """Nothing is made above the package's own folder."""
    with pytest.raises(ScaffoldError, match="Make it first"):
        place(FILES, tmp_path / "missing/shop", force=False)
    assert contents(tmp_path) == {}


def test_a_link_is_replaced_and_not_followed(tmp_path):
    """With force the link itself gives way; what it leads to stays as it is."""
    put(tmp_path, {"elsewhere.md": "mine"})
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/README.md").symlink_to(tmp_path / "elsewhere.md")
    place(FILES, tmp_path / "shop", force=True)
    assert (tmp_path / "shop/README.md").read_text() == "new"
    assert (tmp_path / "elsewhere.md").read_text() == "mine"


@pytest.mark.parametrize("failing", range(4))
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space left"), KeyboardInterrupt()])
def test_what_fails_half_way_is_taken_back(tmp_path, monkeypatch, failing, error):
    """Whichever move fails, everything is as it was."""
    put(tmp_path / "shop", {"README.md": "mine", "notes.txt": "keep"})
    before = contents(tmp_path)
    moves = iter(range(100))
    rename = Path.rename

    def fail_once(self, target):
        if next(moves) == failing:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(type(error)):
        place(FILES, tmp_path / "shop", force=True)
    assert contents(tmp_path) == before
