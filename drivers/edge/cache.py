"""The KV cache: the only place that knows transformers' cache API.

A sequence's keys and values are in one of two places. A *prefix* is a cache of its own
(transformers' ``DynamicCache``): while its prompt is read, and while it is held. A *row* is
its part of the ``SlotCache``, in which all decoding sequences lie packed in rows 0 … n-1, so
that the batch is a view and one forward moves them all on. It knows nothing about tokens or
bursts.

Per layer, keys and values have the shape [rows, heads, capacity, head size]; a prefix has one
row and as much capacity as it has tokens. Rows and capacity grow by doubling and are given
back when the last sequence leaves: one long sequence makes every row long, but only for as
long as there is work.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

Prefix = DynamicCache

_FIRST_CAPACITY: Final = 256


def new_prefix(config: Any) -> Prefix:
    """An empty cache for one sequence of a model with this configuration."""
    return DynamicCache(config=config)


def prefix_length(prefix: Prefix) -> int:
    """Tokens in it."""
    return int(prefix.get_seq_length())


def prefix_bytes(prefix: Prefix | None) -> int:
    if prefix is None:
        return 0
    layers: list[Any] = prefix.layers
    kept = [layer for layer in layers if layer.is_initialized]
    return sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in kept)


def fits(config: Any) -> bool:
    """Can a model's sequences lie in rows? Only if all layers attend to all of the past."""
    layers = DynamicCache(config=config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


class _Rows:
    """What all layers share: who is in which row, and where the next token goes."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.index = torch.empty(0, dtype=torch.long)
        self.position = torch.empty(0, dtype=torch.long)

    @property
    def longest(self) -> int:
        return max(self.lengths, default=0)


class _SlotLayer(CacheLayerMixin):
    """One layer's keys and values for all rows."""

    is_sliding = False
    keys: Any
    values: Any

    def __init__(self, rows: _Rows) -> None:
        super().__init__()
        self._rows = rows

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        raise NotImplementedError("rows are filled from a prefix, before any forward")

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put each row's next token, [rows, heads, 1, head size], at the row's own end."""
        rows, view = self._rows, self._rows.longest + 1
        self.keys[rows.index, :, rows.position] = key_states[:, :, 0]
        self.values[rows.index, :, rows.position] = value_states[:, :, 0]
        count = len(rows.lengths)
        return self.keys[:count, :, :view], self.values[:count, :, :view]

    def get_seq_length(self) -> int:
        return self._rows.longest

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._rows.longest + query_length, 0

    def get_max_length(self) -> int:
        return -1

    def reshape(self, rows: int, capacity: int, like: Any) -> None:
        """Make room. Zeros, as what a mask hides is still multiplied by its weight of 0."""
        heads, size = like.keys.shape[1], like.keys.shape[3]
        value_size = like.values.shape[3]
        keys = like.keys.new_zeros(rows, heads, capacity, size)
        values = like.values.new_zeros(rows, heads, capacity, value_size)
        if self.keys is not None:
            old_rows, _, old_capacity, _ = self.keys.shape
            keys[:old_rows, :, :old_capacity] = self.keys
            values[:old_rows, :, :old_capacity] = self.values
        self.keys, self.values, self.is_initialized = keys, values, True

    def release(self) -> None:
        self.keys = self.values = None
        self.is_initialized = False


class SlotCache(Cache):
    """The rows of all decoding sequences. ``begin`` and ``commit`` around each forward."""

    layers: list[Any]

    def __init__(self, config: Any, slots: int, context_length: int) -> None:
        self._rows = _Rows()
        self._config = config
        self._slots = slots
        self._context_length = context_length
        count = len(DynamicCache(config=config).layers)
        super().__init__(layers=[_SlotLayer(self._rows) for _ in range(count)])

    @property
    def lengths(self) -> list[int]:
        """Tokens in each row."""
        return self._rows.lengths

    @property
    def bytes(self) -> int:
        taken = [layer for layer in self.layers if layer.is_initialized]
        return sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in taken)

    def insert(self, prefix: Prefix) -> int:
        """Copy a prefix into a new row, the last one, and return that row."""
        row, length = len(self.lengths), prefix_length(prefix)
        self._make_room(row + 1, length + 1, prefix.layers)
        sources: list[Any] = prefix.layers
        for layer, source in zip(self.layers, sources, strict=True):
            layer.keys[row, :, :length] = source.keys[0]
            layer.values[row, :, :length] = source.values[0]
        self.lengths.append(length)
        return row

    def extract(self, row: int) -> Prefix:
        """A copy of a row, as a prefix."""
        prefix, length = new_prefix(self._config), self.lengths[row]
        targets: list[Any] = prefix.layers
        for layer, target in zip(self.layers, targets, strict=True):
            # The copy is made here: `update` of an empty layer may keep what it is given.
            target.update(
                layer.keys[row : row + 1, :, :length].clone(),
                layer.values[row : row + 1, :, :length].clone(),
            )
        return prefix

    def remove(self, row: int) -> None:
        """Free a row. The last row takes its place, so that the rest stays packed."""
        last = len(self.lengths) - 1
        if row != last:
            length = self.lengths[last]
            for layer in self.layers:
                layer.keys[row, :, :length] = layer.keys[last, :, :length]
                layer.values[row, :, :length] = layer.values[last, :, :length]
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            for layer in self.layers:
                layer.release()

    def begin(self) -> None:
        """Before a forward that appends one token to every row."""
        rows = self._rows
        self._make_room(len(rows.lengths), rows.longest + 1, self.layers)
        device = self.layers[0].keys.device
        rows.index = torch.arange(len(rows.lengths), device=device)
        rows.position = torch.tensor(rows.lengths, device=device)

    def commit(self) -> None:
        """After it. A forward that failed is not committed, and leaves nothing behind."""
        self._rows.lengths[:] = [length + 1 for length in self.lengths]

    @property
    def positions(self) -> torch.Tensor:
        """[rows]: where each row's next token goes, as ``begin`` has set it."""
        return self._rows.position

    def _make_room(self, rows: int, capacity: int, like: list[Any]) -> None:
        have_rows, have_capacity = 0, 0
        if self.layers[0].is_initialized:
            have_rows, _, have_capacity, _ = self.layers[0].keys.shape
        if rows <= have_rows and capacity <= have_capacity:
            return
        rows = have_rows if rows <= have_rows else min(_doubled(have_rows or 1, rows), self._slots)
        if capacity <= have_capacity:
            capacity = have_capacity
        else:
            most = max(self._context_length, capacity)
            capacity = min(_doubled(have_capacity or _FIRST_CAPACITY, capacity), most)
        for layer, source in zip(self.layers, like, strict=True):
            layer.reshape(rows, capacity, source)


def _doubled(start: int, least: int) -> int:
    while start < least:
        start *= 2
    return start
