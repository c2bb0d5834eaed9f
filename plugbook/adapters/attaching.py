"""`attach`: record a plugin system that people already use, from a notebook or a script."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from plugbook.adapters.attachment import Attachment, find_adapter
from plugbook.trace.writing.store import Store

if TYPE_CHECKING:
    from plugbook.adapters.attached import AttachedRecording
    from plugbook.adapters.summary import Capture


def attach(
    target: object,
    path: str | os.PathLike[str] | None = None,
    *,
    payloads: Capture = "summary",
    cap_bytes: int = 65_536,
    redact: Iterable[str] = (),
) -> AttachedRecording:
    """Record what a foreign plugin system does, until it is detached.

    The system is watched by its own official hooks; nothing is patched, and nothing of ours is raised into it.

    Args:
        target: a pluggy ``PluginManager``, such as ``datasette.plugins.pm`` or a pytest ``config.pluginmanager``.
        path: the recording to write; it must not exist. None keeps the latest records in memory.
        payloads: what is kept of arguments and results. ``summary``: types, names, and builtin values cut
            short. ``full``: all that JSON can hold. ``none``: times and errors alone.
        cap_bytes: the longest argument or result that is kept in full.
        redact: names of arguments and fields whose values are hidden; ``*`` stands for any text.

    Returns:
        The recording, which can be looked at while it goes on. As a context manager it detaches and closes.

    Raises:
        AdapterError: there is no adapter for the target.
        RecordingExistsError: there is a file at `path` already.

    >>> import pluggy
    >>> manager = pluggy.PluginManager("shop")
    >>> with attach(manager) as recording:
    ...     print(recording)
    <AttachedRecording in memory, attached>
    """
    find_adapter(target)  # before a file is made
    store = Store.memory() if path is None else Store.create(path)
    try:
        attachment = Attachment(target, store, payloads=payloads, cap_bytes=cap_bytes, redact=redact)
    except BaseException:
        store.close()
        raise
    from plugbook.adapters.attached import AttachedRecording

    return AttachedRecording(attachment)
