"""The plain runner: any causal model of transformers, through its own forward.

Slower than the paged one, with nothing shared, but for every model whose layers attend to all of
the past. Prompts are read one at a time. It knows nothing about orders, reports, or how a token is
chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from drivers.edge.batch import Batch
from drivers.edge.cache import prefix_bytes
from drivers.edge.runner import Plan, Reading
from drivers.edge.sequence import Sequence as Burst

log = logging.getLogger("driver")


class PlainRunner:
    """``model``: of transformers, in evaluation mode."""

    def __init__(self, model: Any, slots: int, context_length: int) -> None:
        self._batch = Batch(model, slots, context_length)
        self._apart: dict[int, Burst] = {}
        """Those whose prompts are being read, and those that are held."""
        self.most = context_length

    @property
    def kv_bytes(self) -> int:
        return self._batch.kv_bytes + sum(prefix_bytes(one.prefix) for one in self._apart.values())

    def plan(self, waiting: Iterable[Burst], budget: int) -> Plan:
        chosen: list[tuple[Burst, int]] = []
        for sequence in waiting:
            if budget <= 0:
                break
            self._apart[sequence.burst] = sequence
            count = min(budget, self._batch.unread(sequence))
            chosen.append((sequence, count))
            budget -= count
        return Plan(chosen)

    def forward(self, decoding: Sequence[Burst], reading: Reading) -> list[Any]:
        wanted = {sequence.burst for sequence in decoding}
        for sequence in [one for one in self._batch.sequences if one.burst not in wanted]:
            self.park(sequence)
        for sequence in decoding:
            if sequence not in self._batch.sequences:
                self._apart.pop(sequence.burst, None)
                self._batch.join(sequence)
        logits: dict[int, torch.Tensor] = {}
        if decoding:
            rows = self._batch.decode()
            logits = {one.burst: rows[row] for row, one in enumerate(self._batch.sequences)}
        read = [self._read(sequence, count) for sequence, count in reading]
        return [*(logits[sequence.burst] for sequence in decoding), *read]

    def _read(self, sequence: Burst, count: int) -> Any:
        try:
            return self._batch.prefill(sequence, count)
        except Exception as error:
            # The others have their tokens by now: none of it may be done again.
            log.exception("the prompt of burst %d failed", sequence.burst)
            return error

    def park(self, sequence: Burst) -> None:
        if sequence in self._batch.sequences:
            self._batch.leave(sequence, keep=True)
            self._apart[sequence.burst] = sequence

    def forget(self, sequence: Burst, *, spoiled: bool = False) -> None:
        if sequence in self._batch.sequences:
            self._batch.leave(sequence)
        self._apart.pop(sequence.burst, None)
        sequence.prefix = None
