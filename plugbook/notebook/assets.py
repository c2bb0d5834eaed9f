"""Where the front end's files are: inside the installed package, or in the checkout's `widgets/`."""

from pathlib import Path

_INSTALLED = Path(__file__).parent / "static"
_CHECKOUT = Path(__file__).parents[2] / "widgets"


def asset(name: str) -> Path:
    """Return the path of one file of the front end.

    A wheel carries `widgets/` as `plugbook/notebook/static/`; an editable install reads the checkout in place,
    so that an edited module is served without a build.

    Args:
        name: the file's path inside `widgets/`, such as `"explorer.js"`.

    Raises:
        FileNotFoundError: there is no such file, which means a broken installation or a misspelt name.
    """
    for folder in (_INSTALLED, _CHECKOUT):
        path = folder / name
        if path.is_file():
            return path
    msg = (
        f"the front end has no file {name!r} (looked in {_INSTALLED} and {_CHECKOUT}); "
        "if plugbook was installed as a package, install it again"
    )
    raise FileNotFoundError(msg)
