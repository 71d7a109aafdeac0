"""Output: what a program writes, in its log, and the end of it for its answer.

Both are bounded, however much it writes. It knows nothing about the program.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import BinaryIO, Final

MOST: Final = 4 * 1024 * 1024
"""Bytes of a log; then it is set aside, and one that was set aside before goes."""

TAIL: Final = 64 * 1024
"""Bytes of an answer."""

_KEPT: Final = 30 * 86400.0
"""Seconds that a log is kept after it was last written to."""


class Output:
    """The log of one process: what all its lives have written."""

    def __init__(self, file: Path) -> None:
        """Raises ``OSError``."""
        self._path = file
        self._file: BinaryIO = file.open("ab")
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        """Raises ``OSError``, e.g. when the disk is full."""
        if self._size + len(data) > MOST:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file, self._size = self._path.open("ab"), 0
        self._file.write(data)
        self._file.flush()
        self._size += len(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


class Tail:
    """The end of a stream."""

    def __init__(self) -> None:
        self._end = bytearray()
        self._length = 0

    def add(self, data: bytes) -> None:
        self._length += len(data)
        self._end += data
        del self._end[:-TAIL]

    def text(self, log: Path) -> str:
        """Without white space around it. What does not fit is said to be in the ``log``."""
        text = self._end.decode("utf-8", "replace").strip()
        left_out = self._length - len(self._end)
        if not left_out:
            return text
        return f"({left_out:,} bytes before this are in {log})\n{text}"

    def last_line(self) -> str:
        lines = self._end.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def forget_old(logs: Path) -> None:
    """Delete logs of programs that were not written to for long."""
    for file in logs.glob("agent-*.log*"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > _KEPT:
                file.unlink()
