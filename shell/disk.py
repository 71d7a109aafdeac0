"""The disk under a folder: whether there is room on it.

It knows nothing about what is written there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from llmagentos.abi.errors import ENOSPC

_LEAST_ROOM: Final = 64 * 1024
"""Bytes; with less, a database can't even begin to write."""


def is_full(folder: Path) -> bool:
    """False too where it can't be found out, and for a user's quota, which can't be seen."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    # What is kept back is for root, whose blocks these are too.
    free = room.f_bavail if os.geteuid() else room.f_bfree
    return free * room.f_frsize < _LEAST_ROOM or (room.f_files > 0 and room.f_ffree == 0)


def full(folder: Path, what: str) -> ENOSPC:
    """The error of one whose work ended by that."""
    return ENOSPC(f"{what}: the disk of {folder} is full", hint="make room on it")
