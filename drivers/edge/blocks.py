"""Blocks: which blocks of the KV cache are taken, and what is in them.

A block holds ``BLOCK`` tokens. A full one has a *name*, made of its tokens, of all tokens before
them, and of who may see them: what begins alike is the same block, counted by reference. A block
that nobody refers to keeps its content until the room is needed, the one that was left longest
ago first. This is the paging of vLLM (Kwon et al., SOSP 2023) with its prefix cache. It knows
nothing about tensors, nor about what the tokens mean.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

BLOCK: Final = 16
"""Tokens: fewer waste less at the end of a sequence; more are read faster."""


class NoRoomError(Exception):
    """Every block is taken."""


def root(visible_to: Sequence[str]) -> bytes:
    """What the names of all blocks of a sequence begin from. Those whose labels differ have no
    block in common, so that nobody can tell by the time it takes what another one has read."""
    return hashlib.blake2b("\0".join(sorted(visible_to)).encode(), digest_size=16).digest()


def name_of(before: bytes, tokens: Sequence[int]) -> bytes:
    """The name of the block with these tokens, after the one called ``before``."""
    return hashlib.blake2b(array("q", tokens).tobytes(), digest_size=16, key=before).digest()


class Blocks:
    """Block numbers from 0 to ``count`` - 1."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._refs = [0] * count
        self._free: list[int] = []
        self._fresh = 0
        """All from this one on were never taken: memory that was never touched costs nothing."""
        self._names: dict[int, bytes] = {}
        self._by_name: dict[bytes, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        """Named, and referred to by nobody; the one that was left longest ago first."""

    @property
    def room(self) -> int:
        """How many can be taken."""
        return len(self._free) + self.count - self._fresh + len(self._idle)

    @property
    def held(self) -> int:
        """How many somebody refers to."""
        return self.count - self.room

    @property
    def touched(self) -> int:
        """How many were ever taken: the memory of these is used."""
        return self._fresh

    def take(self) -> int:
        """A block for new tokens. Raises ``NoRoomError``."""
        if self._free:
            block = self._free.pop()
        elif self._fresh < self.count:
            block, self._fresh = self._fresh, self._fresh + 1
        elif self._idle:
            block, _ = self._idle.popitem(last=False)
            del self._by_name[self._names.pop(block)]
        else:
            raise NoRoomError
        self._refs[block] = 1
        return block

    def share(self, name: bytes) -> int | None:
        """The block of this name, if it is here; it has one more reference then."""
        block = self._by_name.get(name)
        if block is not None:
            self._idle.pop(block, None)
            self._refs[block] += 1
        return block

    def hold(self, block: int) -> None:
        """One reference more to one that somebody refers to."""
        self._refs[block] += 1

    def has(self, name: bytes) -> bool:
        return name in self._by_name

    def name(self, block: int, name: bytes) -> None:
        """It is full. If another block has the same content this one stays without a name: it is
        free again when its sequence leaves it."""
        if name not in self._by_name:
            self._names[block], self._by_name[name] = name, block

    def freed(self, left: Counter[int]) -> set[int]:
        """Which blocks would be free if so many references to each of these were gone."""
        return {block for block, count in left.items() if self._refs[block] == count}

    def disown(self, blocks: Iterable[int]) -> list[int]:
        """Those that nobody else refers to; they have no names any more."""
        own = [block for block in blocks if self._refs[block] == 1]
        for block in own:
            if block in self._names:
                del self._by_name[self._names.pop(block)]
        return own

    def leave(self, block: int) -> None:
        """One reference fewer."""
        self._refs[block] -= 1
        if self._refs[block]:
            return
        if block in self._names:
            self._idle[block] = None
        else:
            self._free.append(block)
