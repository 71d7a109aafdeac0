"""The working folders of processes: one each, under the driver's own, which nobody else can enter.

One is kept between the calls of its process, and removed when it wasn't used for long: a driver is
not told of the end of a process. It knows nothing about what is in them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Final

from drivers.sandbox.folder import remove_tree
from llmagentos.abi.errors import EIO

log = logging.getLogger("driver")

_DAY: Final = 86_400.0


class Folders:
    """``root`` is also where a jail builds its file system, in a mount of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
        except OSError as error:
            raise _bad(root, error) from None

    def of(self, pid: int, owner: int | None) -> Path:
        """Made if need be. ``owner``: the user of the machine that its commands are, if not
        ours."""
        folder = self.root / str(pid)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if owner is not None:
                os.chown(folder, owner, owner)
            folder.chmod(0o700)  # a command may do what it likes to its own
            os.utime(folder)
        except OSError as error:
            raise _bad(folder, error) from None
        return folder

    def sweep(self, days: float) -> None:
        """Remove those that were not used for so many days."""
        for folder in self.root.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.lstat().st_mtime < days * _DAY:
                    continue
                try:
                    remove_tree(str(folder))
                    log.info("removed %s, which was not used for %g days", folder, days)
                except OSError as error:
                    log.warning("%s can't be removed: %s", folder, error)


def _bad(folder: Path, error: OSError) -> EIO:
    return EIO(f"{folder} can't be used: {error.strerror}", hint="see who owns it, and its rights")
