"""Lines: cut out of the chunks in which bytes arrive, however long somebody makes them.

It knows nothing about what is in them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

_HEAD: Final = 512


class Line(NamedTuple):
    """``length`` in bytes; of one that is too long there is only the beginning."""

    text: bytes
    length: int

    @property
    def whole(self) -> bool:
        return len(self.text) == self.length


class Lines:
    """``most``: bytes of a line that is kept whole."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._length = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk, without their ends."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._add(part)
            yield Line(b"".join(self._parts), self._length)
            self._parts, self._length = [], 0
        self._add(rest)

    def _add(self, part: bytes) -> None:
        before = self._length
        self._length += len(part)
        if self._length <= self._most:
            self._parts.append(part)
        elif before <= self._most:
            self._parts = [b"".join([*self._parts, part[:_HEAD]])[:_HEAD]]


class Allowance:
    """How much may be said: ``most`` things in ``period`` seconds. The rest is counted."""

    def __init__(self, most: int, period: float) -> None:
        self._most = most
        self._period = period
        self._since = float("-inf")
        self._said = 0
        self.left_out = 0

    def take(self) -> bool:
        """Whether one more may be said now."""
        now = time.monotonic()
        if now - self._since > self._period:
            self._since, self._said = now, 0
        self._said += 1
        self.left_out += self._said > self._most
        return self._said <= self._most

    def forgiven(self) -> int:
        """How many were left out since the last time."""
        count, self.left_out = self.left_out, 0
        return count
