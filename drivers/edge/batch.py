"""The batch: the sequences that are decoding now, and the forwards that move them on.

Row ``i`` of the cache belongs to ``sequences[i]``. A forward with one new token for each row
needs its own position and its own past for each, hence explicit position ids and a mask.
It knows nothing about orders, reports, or how a token is chosen.
"""

from __future__ import annotations

from typing import Any

import torch

from drivers.edge.cache import SlotCache, new_prefix, prefix_length
from drivers.edge.runner import Logits, in_rows
from drivers.edge.sequence import Sequence


class Batch:
    """``model``: a causal language model of transformers, in evaluation mode."""

    def __init__(self, model: Any, slots: int, context_length: int) -> None:
        self._model = model
        self._cache = SlotCache(model.config, slots, context_length)
        self.sequences: list[Sequence] = []

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def kv_bytes(self) -> int:
        return self._cache.bytes

    def unread(self, sequence: Sequence) -> int:
        """How many tokens of what it begins with are not in its prefix yet."""
        read = prefix_length(sequence.prefix) if sequence.prefix is not None else 0
        return len(sequence.to_prefill) - read

    @torch.inference_mode()
    def prefill(self, sequence: Sequence, most: int) -> torch.Tensor | None:
        """Read up to ``most`` more tokens of what the sequence begins with, alone.

        The logits after the last of them, [vocabulary] in fp32, once all are read; else None.
        """
        if sequence.prefix is None:
            sequence.prefix = new_prefix(self._model.config)
        tokens = sequence.to_prefill
        start = prefix_length(sequence.prefix)
        end = min(start + most, len(tokens))
        device = self._model.device
        output = self._model(
            input_ids=torch.tensor([tokens[start:end]], device=device),
            position_ids=torch.arange(start, end, device=device)[None],
            past_key_values=sequence.prefix,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[0, -1].float() if end == len(tokens) else None

    @torch.inference_mode()
    def join(self, sequence: Sequence) -> None:
        """Its prefix goes into a row. All tokens but the last must be in the prefix."""
        if sequence.prefix is None:
            raise ValueError("a sequence joins with its prefix")
        self._cache.insert(sequence.prefix)
        sequence.prefix = None
        self.sequences.append(sequence)

    @torch.inference_mode()
    def leave(self, sequence: Sequence, *, keep: bool = False) -> None:
        """Its row becomes free; with ``keep`` its prefix is copied out first."""
        row = self.sequences.index(sequence)
        if keep:
            sequence.prefix = self._cache.extract(row)
        self._cache.remove(row)
        last = self.sequences.pop()
        if last is not sequence:
            self.sequences[row] = last

    def clear(self) -> None:
        for sequence in reversed(list(self.sequences)):
            self.leave(sequence)

    @torch.inference_mode()
    def decode(self) -> list[Logits]:
        """Feed every sequence its newest token: the logits after it, in fp32."""
        self._cache.begin()
        positions = self._cache.positions[:, None]
        newest = [[sequence.tokens[-1]] for sequence in self.sequences]
        output = self._model(
            input_ids=torch.tensor(newest, device=positions.device),
            position_ids=positions,
            attention_mask=self._mask(positions),
            past_key_values=self._cache,
            use_cache=True,
        )
        # First whatever may fail: what is computed again then has left nothing behind.
        rows = in_rows(output.logits[:, -1].float())
        self._cache.commit()
        return rows

    def _mask(self, positions: torch.Tensor) -> torch.Tensor:
        """[rows, 1, 1, longest + 1], added to the scores: nothing up to a row's own new token,
        the least number after it. Adding is what every attention implementation understands."""
        columns = torch.arange(int(positions.max()) + 1, device=positions.device)
        dtype = self._model.dtype
        mask = torch.zeros(len(positions), len(columns), dtype=dtype, device=positions.device)
        mask.masked_fill_(columns[None] > positions, torch.finfo(dtype).min)
        return mask[:, None, None]
