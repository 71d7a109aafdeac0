"""Prefixes: what has been read already, and who is reading what others will want too.

OpenVINO looks for blocks of the KV cache that a prompt can share at one moment only, when it is
given the prompt. So one that begins like another which is just being read is better kept back
until that one is done; given at once, both would be read in full. This only says when: which
blocks there really are, OpenVINO knows. It knows nothing about engines.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

BLOCK: Final = 32
"""Tokens in a block of OpenVINO's KV cache on a CPU."""


class Prefixes:
    """``most``: how many blocks are remembered as read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._read: OrderedDict[bytes, None] = OrderedDict()
        """The names of blocks, the one that was wanted longest ago first."""
        self._reading: dict[bytes, int] = {}
        """Blocks that are not read yet, and the burst that is at it."""

    def begin(self, burst: int, names: Sequence[bytes]) -> bool:
        """May it be read now? If not, another one is at something that it begins with."""
        known = 0
        while known < len(names) and names[known] in self._read:
            self._read.move_to_end(names[known])
            known += 1
        if known < len(names) and names[known] in self._reading:
            return False
        # A block's name says what is before it too: nobody reads one after a block of mine.
        self._reading.update(dict.fromkeys(names[known:], burst))
        return True

    def end(self, burst: int, *, read: bool) -> None:
        """It is read, or will never be."""
        for name in [name for name, by in self._reading.items() if by == burst]:
            del self._reading[name]
            if read:
                self._read[name] = None
        while len(self._read) > self._most:
            self._read.popitem(last=False)


def names_of(tokens: Sequence[int]) -> list[bytes]:
    """A name for each full block, made of all tokens up to its end."""
    names, before = [], b""
    for end in range(BLOCK, len(tokens) + 1, BLOCK):
        content = array("q", tokens[end - BLOCK : end]).tobytes()
        before = hashlib.blake2b(content, digest_size=16, key=before).digest()
        names.append(before)
    return names
