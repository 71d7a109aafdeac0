"""The pool: keys and values of all sequences, in blocks.

For each layer there is one tensor, [2 × heads × blocks, BLOCK × size]: row ``part·blocks + block``
has what one part (a head's keys, or after those of all heads a head's values) has in a block. So a
sequence's blocks can be picked in any order with one index, keys and values at once, and come out
as pieces of memory that a product reads as they are. It knows nothing about which sequence has
which blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy
import torch

from drivers.edge.blocks import BLOCK


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
        size = (self._parts * blocks, BLOCK * shape.size)
        self._layers = [_zeros(size, dtype, device) for _ in range(shape.layers)]
        self._firsts = torch.arange(self._parts, device=device) * blocks

    def rows(self, blocks: Sequence[Sequence[int]]) -> torch.Tensor:
        """Where the blocks of some sequences, as many of each, are, in one row: [2, heads,
        sequences, blocks], the keys and then the values."""
        numbers = torch.tensor(blocks, dtype=torch.long, device=self.device)
        heads = self.shape.heads
        rows = self._firsts.view(2, heads, 1, 1) + numbers
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

    def read(
        self, layer: int, rows: torch.Tensor, sequences: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the ``rows`` of so many sequences: [heads × sequences, tokens, size]
        each, a copy."""
        heads, size = self.shape.heads, self.shape.size
        both = self._layers[layer].index_select(0, rows).view(2, heads * sequences, -1, size)
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


def _zeros(size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, since what was never written is read along with weight 0, and must be a number. On a
    CPU they come from the operating system, page by page, as they are written."""
    if device.type != "cpu":
        return torch.zeros(size, dtype=dtype, device=device)
    memory = numpy.zeros(size[0] * size[1] * dtype.itemsize, dtype=numpy.uint8)
    return torch.from_numpy(memory).view(dtype).view(size)
