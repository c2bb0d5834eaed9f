"""Puts files into a folder, all or none: what was there before is as it was unless every one is in its place."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from plugbook.errors import FilesInTheWayError, ScaffoldError


def place(files: Mapping[str, str], folder: Path, *, force: bool) -> tuple[str, ...]:
    """Write files into a folder, which is made where it is not there; other files in it stay as they are.

    Args:
        files: the text of each by its path below the folder, with ``/`` between its parts.
        folder: where to; the folder that it is in has to be there.
        force: replace files that have another content.

    Returns:
        Which files were replaced.

    Raises:
        FilesInTheWayError: files with another content are there, and `force` was not said; nothing was written.
        ScaffoldError: a file stands where a folder has to be, or the other way round, or the folder that it is
            in is not there; nothing was written.
        OSError: a file could not be written; everything is as it was.
    """
    if not folder.parent.is_dir():
        msg = f"there is no folder {folder.parent}. Make it first, or say another one with --into."
        raise ScaffoldError(msg)
    _check_shape(files, folder)
    in_the_way = tuple(path for path in files if _differs(folder / path, files[path]))
    if in_the_way and not force:
        msg = (
            f"{folder} has files of its own where these would stand: {', '.join(in_the_way)}. Nothing was written. "
            "Say another name or --into, or --force to have them replaced."
        )
        raise FilesInTheWayError(msg, files=in_the_way)
    # On the same disk as the folder, so that files move and are not copied.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as stage:
        new, old = Path(stage, "new"), Path(stage, "old")
        for path, text in files.items():
            _write(new / path, text)
        if folder.exists():
            _merge(files, new, folder, old)
        else:
            new.rename(folder)
    return in_the_way


def _check_shape(files: Mapping[str, str], folder: Path) -> None:
    for path in files:
        target = folder / path
        for above in (*target.relative_to(folder.parent).parents,):
            place_above = folder.parent / above
            if place_above.exists() and not place_above.is_dir():
                msg = f"{place_above} is a file, and a folder has to be there. Nothing was written; move it away."
                raise ScaffoldError(msg)
        if target.is_dir():
            msg = f"{target} is a folder, and a file has to be there. Nothing was written; move it away."
            raise ScaffoldError(msg)


def _differs(file: Path, text: str) -> bool:
    return (file.exists() or file.is_symlink()) and not (
        file.is_file() and file.read_bytes() == text.encode()
    )


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())


def _merge(files: Mapping[str, str], new: Path, folder: Path, old: Path) -> None:
    """Move files into a folder that is there, and back again if any of them cannot be."""
    with ExitStack() as undo:
        for path in files:
            target = folder / path
            for above in reversed(target.relative_to(folder).parents):
                if not (folder / above).exists():
                    (folder / above).mkdir()
                    undo.callback((folder / above).rmdir)
            if target.exists() or target.is_symlink():
                (old / path).parent.mkdir(parents=True, exist_ok=True)
                target.rename(old / path)
                undo.callback((old / path).rename, target)
            (new / path).rename(target)
            undo.callback(target.unlink)
        undo.pop_all()
