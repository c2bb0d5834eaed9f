"""Adding a note to a recording that is finished, without touching what it says of itself."""

from __future__ import annotations

import threading
from pathlib import Path

from plugbook._clock import Clock, tick
from plugbook.trace.writing.packing import Batch, Entry, Packer
from plugbook.trace.writing.payload import PayloadEncoder
from plugbook.trace.writing.recorder import Recorder
from plugbook.trace.writing.store import Store

_CAP_BYTES = 65_536


def add_mark(path: Path, text: str, plugin: str = "") -> int:
    """Append one mark to a recording file; its seq is returned.

    A recorder would describe its own options and origin, and count the time it takes, as those of what was recorded.

    Raises:
        RecordingError: the file cannot be written to, or somebody is writing to it.
    """
    store = Store.create(path, append=True)
    try:
        seq = store.first_free_block()
        packer = Packer(
            PayloadEncoder("full", _CAP_BYTES, store.redacted()),
            Clock().anchor_ns,
            names=store.names(),
            plans=store.plans(),
            places=store.places(),
            sources=False,
        )
        packer.last = store.last()
        batch = Batch()
        thread = threading.get_ident()
        mark = Entry(
            seq, "mark", "note", plugin, None, None, tick(), None, "ok", "", {"text": text}, None, None, thread, "",
            Recorder.cell,
        )  # fmt: skip
        packer.pack([mark], batch)
        store.commit(batch, 0)
    finally:
        store.close()
    return seq
