"""The pool: keys and values of all sequences, in blocks.

All of it is one piece of memory. For each layer there is one tensor in it, [2 × heads × blocks,
BLOCK × size]: row ``part·blocks + block`` has what one part (a head's keys, or after those of all
heads a head's values) has in a block. So a sequence's blocks can be picked in any order with one
index, keys and values at once, and come out as pieces of memory that a product reads as they are.
It knows nothing about which sequence has which blocks.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch

from drivers.edge.blocks import BLOCK

_HUGE: Final = 4 * 2**20
"""Bytes of a layer from which on its memory is in huge pages: one write fills two megabytes."""
_ALL: Final = slice(None)
_PIECE: Final = 4 * 2**20
"""Bytes that are copied out or in at once: all that a long sequence has would be twice its room."""


class Shape(NamedTuple):
    """Of a model's KV: ``heads`` have keys and values of their own, of ``size`` numbers each."""

    layers: int
    heads: int
    size: int

    def block_bytes(self, dtype: torch.dtype) -> int:
        return 2 * self.layers * self.heads * self.size * BLOCK * dtype.itemsize


class Pool:
    """Room for so many ``blocks``. Memory is used only when a block is written the first time."""

    def __init__(self, shape: Shape, blocks: int, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape
        self.blocks = blocks
        self.dtype = dtype
        self.device = device
        self.block_bytes = shape.block_bytes(dtype)
        self._parts = 2 * shape.heads
        size = (shape.layers, self._parts * blocks, BLOCK * shape.size)
        self._memory, whole = _zeros(size, dtype, device)
        self._layers = whole.unbind()
        self._firsts = torch.arange(self._parts, device=device) * blocks

    def resident(self, touched: int) -> int:
        """The most bytes of memory that are used once so many blocks have been written."""
        if self.device.type != "cpu":
            return 0
        layer = self.block_bytes * self.blocks // self.shape.layers
        return self.block_bytes * (self.blocks if layer >= _HUGE else touched)

    def wipe(self) -> None:
        """As if nothing had ever been written."""
        if self._memory is not None and sys.platform == "linux":
            self._memory.madvise(mmap.MADV_DONTNEED)
            return
        for layer in self._layers:
            layer.zero_()

    def pieces(self, count: int) -> list[slice]:
        """So many blocks, in pieces that may be copied at once."""
        size = max(1, _PIECE // self.block_bytes)
        return [slice(at, at + size) for at in range(0, count, size)]

    def rows(self, blocks: Sequence[Sequence[int]], heads: slice = _ALL) -> torch.Tensor:
        """Where the blocks of some sequences, as many of each, are, in one row: [2, heads,
        sequences, blocks], the keys and then the values, of these heads."""
        numbers = torch.tensor(blocks, dtype=torch.long, device=self.device)
        rows = self._firsts.view(2, -1, 1, 1)[:, heads] + numbers
        return rows.flatten()

    def slots(self, blocks: Sequence[int], places: Sequence[int]) -> torch.Tensor:
        """Where tokens go, each to a place in a block: [tokens × parts]."""
        numbers = torch.tensor(blocks, dtype=torch.long, device=self.device)
        within = torch.tensor(places, dtype=torch.long, device=self.device)
        return ((self._firsts[None] + numbers[:, None]) * BLOCK + within[:, None]).flatten()

    def write(self, layer: int, slots: torch.Tensor, both: torch.Tensor) -> None:
        """``both``: [tokens, parts, size], the keys of each head and after them the values."""
        size = self.shape.size
        self._layers[layer].view(-1, size).index_put_((slots,), both.reshape(-1, size))

    def read(self, layer: int, rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the ``rows``: [``count``, tokens, size] each, a copy. ``count``: of
        their heads times their sequences."""
        both = self._layers[layer].index_select(0, rows).view(2, count, -1, self.shape.size)
        return both[0], both[1]

    def clear(self, blocks: Sequence[int]) -> None:
        """Zeros in these."""
        rows = self.rows([blocks])
        for layer in self._layers:
            layer.index_fill_(0, rows, 0)

    def copy_out(self, blocks: Sequence[int]) -> torch.Tensor:
        """All that is in these blocks: [layers, parts, blocks, BLOCK × size], on the CPU."""
        rows = self.rows([blocks])
        layers = torch.stack([layer.index_select(0, rows) for layer in self._layers])
        return layers.view(len(self._layers), self._parts, len(blocks), -1).cpu()

    def copy_in(self, blocks: Sequence[int], content: torch.Tensor) -> None:
        """The reverse of ``copy_out``."""
        rows = self.rows([blocks])
        for layer, part in zip(self._layers, content.to(self.device), strict=True):
            layer.index_copy_(0, rows, part.flatten(0, 1))


def _zeros(
    size: tuple[int, int, int], dtype: torch.dtype, device: torch.device
) -> tuple[mmap.mmap | None, torch.Tensor]:
    """Zeros, since what was never written is read along with weight 0, and must be a number. On a
    CPU they come from the operating system, page by page, as they are written: not from the heap,
    whose memory may have been used before."""
    if device.type != "cpu":
        return None, torch.zeros(size, dtype=dtype, device=device)
    layers, *layer = size
    bytes_of_layer = math.prod(layer) * dtype.itemsize
    memory = mmap.mmap(-1, layers * bytes_of_layer, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Where they are the rule, too: a block that is written takes no more than it is said to.
        huge = bytes_of_layer >= _HUGE
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    return memory, torch.frombuffer(memory, dtype=dtype).view(size)
