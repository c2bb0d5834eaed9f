"""plugbook: open up a running plugin system in a notebook and see why it does what it does."""


def __getattr__(name: str) -> str:
    """Read the version from the installed metadata when somebody asks for it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("plugbook")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
