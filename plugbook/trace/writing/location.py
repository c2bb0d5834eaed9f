"""Where on the machine a path lies: SQLite's write-ahead log does not work across a network file system."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_NETWORK_TYPES: Final = frozenset(
    [
        "9p",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "fuseblk.cifs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    ]
)


def is_on_network(path: Path, mounts: str | None = None) -> bool:
    """Whether a path lies on a file system that other machines share.

    Args:
        path: a file or folder, which need not exist yet.
        mounts: the table of mounts, in the format of ``/proc/self/mounts``; this machine's where left out.
    """
    resolved = path.resolve()
    if sys.platform == "win32":
        return str(resolved).startswith("\\\\")
    best, kind = -1, ""
    for line in (_mounts() if mounts is None else mounts).splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        # Blanks and backslashes stand in the table as octal escapes.
        point = Path(fields[1].encode("latin-1", "backslashreplace").decode("unicode_escape"))
        if len(point.parts) >= best and resolved.is_relative_to(point):
            best, kind = len(point.parts), fields[2]
    return kind in _NETWORK_TYPES


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
