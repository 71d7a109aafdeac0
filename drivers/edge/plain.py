"""The plain runner: any causal model of transformers, through its own forward.

Slower than the paged one, with nothing shared, but for every model whose layers attend to all of
the past. Prompts are read one at a time. It knows nothing about orders, reports, or how a token is
chosen.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from drivers.edge.batch import Batch
from drivers.edge.cache import prefix_bytes
from drivers.edge.runner import Logits, Plan, Reading, in_rows, share, topped_up
from drivers.edge.sequence import Sequence as Burst

log = logging.getLogger("driver")


class PlainRunner:
    """``model``: of transformers, in evaluation mode."""

    def __init__(self, model: Any, slots: int, context_length: int) -> None:
        self._batch = Batch(model, slots, context_length)
        self._apart: dict[int, Burst] = {}
        """Those whose prompts are being read, and those that are held."""
        self.most = context_length

    def warm_up(self, slots: int, chunk: int, context: int) -> int | None:
        return None  # transformers' caches grow as they like

    @property
    def kv_bytes(self) -> int:
        return self._batch.kv_bytes + sum(prefix_bytes(one.prefix) for one in self._apart.values())

    def kv(self) -> dict[int, int]:
        held: dict[int, int] = defaultdict(int)
        for sequence in self._apart.values():
            held[sequence.order.pid] += prefix_bytes(sequence.prefix)
        share = self._batch.kv_bytes // max(1, len(self._batch.sequences))
        for sequence in self._batch.sequences:
            held[sequence.order.pid] += share
        return dict(held)

    def plan(self, waiting: Iterable[Burst], budget: int) -> Plan:
        chosen: list[tuple[Burst, int]] = []
        ready: list[Burst] = []
        for sequence in waiting:
            unread = self._batch.unread(sequence)
            goes_on = unread == 1 and bool(sequence.tokens)
            if budget <= 0 and not goes_on:
                continue
            self._apart[sequence.burst] = sequence
            if goes_on:
                ready.append(sequence)
                continue
            count = share(unread, budget)
            chosen.append((sequence, count))
            budget -= count
        return Plan(topped_up(chosen, self._batch.unread, budget), ready)

    def forward(
        self, decoding: Sequence[Burst], reading: Reading
    ) -> list[Logits | Exception | None]:
        wanted = {sequence.burst for sequence in decoding}
        for sequence in [one for one in self._batch.sequences if one.burst not in wanted]:
            self.park(sequence)
        for sequence in decoding:
            if sequence not in self._batch.sequences:
                self._apart.pop(sequence.burst, None)
                self._batch.join(sequence)
        logits: dict[int, Logits] = {}
        if decoding:
            rows = self._batch.decode()
            logits = {one.burst: rows[row] for row, one in enumerate(self._batch.sequences)}
        read = [self._read(sequence, count) for sequence, count in reading]
        return [*(logits[sequence.burst] for sequence in decoding), *read]

    def _read(self, sequence: Burst, count: int) -> Logits | Exception | None:
        try:
            row = self._batch.prefill(sequence, count)
            return None if row is None else in_rows(row[None])[0]
        except Exception as error:
            # The others have their tokens by now: none of it may be done again.
            log.exception("the prompt of burst %d failed", sequence.burst)
            return error

    def park(self, sequence: Burst) -> None:
        if sequence in self._batch.sequences:
            self._batch.leave(sequence, keep=True)
            self._apart[sequence.burst] = sequence

    def rest(self, sequence: Burst) -> None:
        self.forget(sequence)

    def spent(self, made: int, read: int, seconds: float) -> None:
        """Nothing is decided by it here."""

    def snapshot(self, sequence: Burst) -> None:
        """Nothing outlives the driver; its tokens are read again."""

    def expect(self, pid: int, seconds: float | None) -> None:
        """Nothing is kept between bursts."""

    def fork(self, pid: int, child: int) -> None:
        """Nothing is kept between bursts."""

    def drop(self, pid: int) -> None:
        """Nothing is kept between bursts."""

    def clear(self) -> None:
        """Nothing is kept between bursts."""

    def forget(self, sequence: Burst, *, spoiled: bool = False) -> None:
        if sequence in self._batch.sequences:
            self._batch.leave(sequence)
        self._apart.pop(sequence.burst, None)
        sequence.prefix = None
