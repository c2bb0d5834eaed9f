"""Writes plugins to files, to be checked."""

from textwrap import dedent

import pytest

from plugbook.checking.check import check


@pytest.fixture
def write(tmp_path):
    """Writes a file below the test's own folder; its path."""

    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    return write


@pytest.fixture
def read(write):
    """Checks a plugin that consists of this source, without running it."""

    def read(source, **options):
        return check(write("billing.py", source), run=False, **options)

    return read
