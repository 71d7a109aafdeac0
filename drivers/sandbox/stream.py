"""A stream of output: its beginning and its end are kept, however long it is.

It knows nothing about where it comes from.
"""

from __future__ import annotations

from typing import Final

_HALF: Final = 32 * 1024


class Stream:
    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self.length = 0

    def feed(self, chunk: bytes) -> None:
        self.length += len(chunk)
        room = _HALF - len(self._head)
        self._head += chunk[:room]
        self._tail = (self._tail + chunk[room:])[-_HALF:]

    @property
    def truncated(self) -> bool:
        return self._missing > 0

    @property
    def text(self) -> str:
        """What isn't UTF-8 is replaced. A line says where something is missing."""
        if not self._missing:
            return (self._head + self._tail).decode("utf-8", errors="replace")
        head, tail = (part.decode("utf-8", errors="replace") for part in (self._head, self._tail))
        return f"{head}\n… {self._missing:,} bytes left out …\n{tail}"

    @property
    def _missing(self) -> int:
        return self.length - len(self._head) - len(self._tail)
