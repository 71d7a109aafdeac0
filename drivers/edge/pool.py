"""The pool: keys and values of all sequences, in blocks.

For each layer there are two tensors, [heads × blocks, BLOCK × size]: row ``head · blocks + block``
has a block's keys (or values) of one head. So a sequence's blocks can be picked in any order with
one index, and come out as one piece of memory that a product reads as it is. It knows nothing
about which sequence has which blocks.
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
        size = (shape.heads * blocks, BLOCK * shape.size)
        self._keys, self._values = (
            [_zeros(size, dtype, device) for _ in range(shape.layers)] for _ in range(2)
        )
        self._firsts = torch.arange(shape.heads, device=device)[:, None] * blocks

    def rows(self, blocks: Sequence[Sequence[int]]) -> torch.Tensor:
        """Where the blocks of some sequences, as many of each, are: [sequences, heads, blocks]."""
        numbers = torch.tensor(blocks, dtype=torch.long, device=self.device)
        return self._firsts + numbers[:, None, :]

    def slots(self, blocks: Sequence[int], places: Sequence[int]) -> torch.Tensor:
        """Where tokens go, each to a place in a block: [heads × tokens]."""
        numbers = torch.tensor(blocks, dtype=torch.long, device=self.device)
        within = torch.tensor(places, dtype=torch.long, device=self.device)
        return ((self._firsts + numbers) * BLOCK + within).flatten()

    def write(
        self, layer: int, slots: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """``keys`` and ``values``: [tokens, heads, size]."""
        size = self.shape.size
        for pool, fresh in ((self._keys[layer], keys), (self._values[layer], values)):
            rows = fresh.transpose(0, 1).reshape(-1, size)
            pool.view(-1, size).index_put_((slots,), rows)

    def read(self, layer: int, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of ``rows``: [sequences, heads, tokens, size] each, a copy."""
        sequences, heads, blocks = rows.shape
        flat = rows.flatten()
        shape = (sequences, heads, blocks * BLOCK, self.shape.size)
        keys = self._keys[layer].index_select(0, flat).view(shape)
        return keys, self._values[layer].index_select(0, flat).view(shape)

    def clear(self, blocks: Sequence[int]) -> None:
        """Zeros in these."""
        rows = self.rows([blocks]).flatten()
        for pool in (*self._keys, *self._values):
            pool.index_fill_(0, rows, 0)

    def copy_out(self, blocks: Sequence[int]) -> torch.Tensor:
        """All that is in these blocks: [layers, 2, blocks, heads, BLOCK × size], on the CPU."""
        rows = self.rows([blocks])[0].T.flatten()
        layers = [
            torch.stack([pool.index_select(0, rows) for pool in (keys, values)])
            for keys, values in zip(self._keys, self._values, strict=True)
        ]
        shape = (len(layers), 2, len(blocks), self.shape.heads, -1)
        return torch.stack(layers).view(shape).cpu()

    def copy_in(self, blocks: Sequence[int], content: torch.Tensor) -> None:
        """The reverse of ``copy_out``."""
        rows = self.rows([blocks])[0].T.flatten()
        flat = content.to(self.device).flatten(2, 3)
        for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
            keys.index_copy_(0, rows, flat[layer, 0])
            values.index_copy_(0, rows, flat[layer, 1])


def _zeros(size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, since what was never written is read along with weight 0, and must be a number. On a
    CPU they come from the operating system, page by page, as they are written."""
    if device.type != "cpu":
        return torch.zeros(size, dtype=dtype, device=device)
    memory = numpy.zeros(size[0] * size[1] * dtype.itemsize, dtype=numpy.uint8)
    return torch.from_numpy(memory).view(dtype).view(size)
