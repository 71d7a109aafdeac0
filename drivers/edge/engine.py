"""The edge engine: orders become sequences, and each step moves all of them on.

A step decodes one token for every sequence in the batch, then reads at most one chunk of one
prompt, so a long prompt delays the others by a chunk at a time and a cancel is heard within a
step. Seconds: a burst is charged the wall time of the forwards that it took part in; those of
a batch are shared, so the sums over bursts exceed the time that passed. It knows nothing
about the protocol, files, or transformers' cache.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any, Final

from drivers.edge.batch import Batch
from drivers.edge.cache import prefix_bytes
from drivers.edge.loader import LoadedModel
from drivers.edge.prompt import prompt_tokens
from drivers.edge.sampler import choose
from drivers.edge.sequence import Sequence
from drivers.engine import EngineStats
from llmagentos.abi.driver import ModelCard, Start, StepReport
from llmagentos.abi.errors import EBUSY, EDRIVER, ENOENT, LLMOSError

log = logging.getLogger("driver")

CHUNK: Final = 256
"""Tokens of a prompt that one step reads. On a slow CPU this is about half a second."""


class EdgeEngine:
    """``slots``: how many sequences may be prefilling or decoding at once."""

    def __init__(self, loaded: LoadedModel, slots: int, chunk: int = CHUNK) -> None:
        self._loaded = loaded
        self._slots = slots
        self._chunk = chunk
        self._batch = Batch(loaded.model, slots, loaded.card.context_length)
        self._prefilling: deque[Sequence] = deque()
        self._held: dict[int, Sequence] = {}

    @property
    def models(self) -> list[ModelCard]:
        return [self._loaded.card]

    @property
    def busy(self) -> bool:
        return bool(self._prefilling or len(self._batch))

    @property
    def stats(self) -> EngineStats:
        apart = [*self._prefilling, *self._held.values()]
        kv_bytes = self._batch.kv_bytes + sum(prefix_bytes(s.prefix) for s in apart)
        return EngineStats(len(self._prefilling) + len(self._batch), kv_bytes)

    def start(self, order: Start) -> StepReport | None:
        card = self._loaded.card
        if order.model != card.name:
            raise ENOENT(f"this driver has no model {order.model!r}", hint=f"it has {card.name!r}")
        if not order.hold:
            self._check_slot()
        prompt = prompt_tokens(self._loaded.tokenizer, order, card.context_length)
        sequence = Sequence(order, prompt, self._loaded.vocabulary)
        if sequence.finish is not None:
            # What it already has was all of it: its driver died before it could say so.
            return sequence.report([], "")
        if order.hold:
            self._held[order.burst] = sequence
            return sequence.report([], "")
        self._prefilling.append(sequence)
        return None

    def preempt(self, burst: int) -> None:
        if sequence := self._in_batch(burst):
            self._batch.leave(sequence, keep=True)
            self._held[burst] = sequence
        elif sequence := self._in_prefill(burst):
            self._prefilling.remove(sequence)
            self._held[burst] = sequence

    def resume(self, burst: int) -> None:
        if burst not in self._held:
            return
        self._check_slot()
        sequence = self._held.pop(burst)
        if len(sequence.tokens) > len(sequence.order.accepted):
            self._batch.join(sequence)
        else:
            self._prefilling.append(sequence)  # it was held before its first token

    def cancel(self, burst: int) -> None:
        self._held.pop(burst, None)
        if sequence := self._in_batch(burst):
            self._batch.leave(sequence)
        elif sequence := self._in_prefill(burst):
            self._prefilling.remove(sequence)

    def clear(self) -> None:
        self._batch.clear()
        self._prefilling.clear()
        self._held.clear()

    def step(self) -> list[StepReport]:
        # Decode first: a sequence that prefill completes has its token of this step already.
        reports = self._decode() if len(self._batch) else []
        if self._prefilling:
            reports.append(self._prefill(self._prefilling[0]))
        return reports

    def _decode(self) -> list[StepReport]:
        rows = list(self._batch.sequences)
        started = time.perf_counter()
        try:
            logits = self._batch.decode()
        except Exception as error:
            log.exception("a forward for %d sequences failed", len(rows))
            self._batch.clear()
            return [sequence.failure(_failed(error)) for sequence in rows]
        seconds = time.perf_counter() - started
        reports = []
        for row, sequence in enumerate(rows):
            report = self._take(sequence, logits[row], decode_seconds=seconds)
            reports.append(report)
            if report.finish is not None:
                self._batch.leave(sequence)
        return reports

    def _prefill(self, sequence: Sequence) -> StepReport:
        started = time.perf_counter()
        try:
            logits = self._batch.prefill(sequence, self._chunk)
        except Exception as error:
            log.exception("the prompt of burst %d failed", sequence.burst)
            self._prefilling.popleft()
            return sequence.failure(_failed(error))
        seconds = time.perf_counter() - started
        if logits is None:
            return sequence.report([], "", prefill_seconds=seconds)
        self._prefilling.popleft()
        report = self._take(sequence, logits, prefill_seconds=seconds)
        if report.finish is None:
            self._batch.join(sequence)
        return report

    def _take(self, sequence: Sequence, logits: Any, **seconds: float) -> StepReport:
        """Choose the sequence's next token."""
        try:
            token = choose(
                logits, sequence.order.sampling, seed=sequence.seed, index=len(sequence.tokens)
            )
            return sequence.report([token], sequence.accept(token), **seconds)
        except Exception as error:
            log.exception("choosing a token for burst %d failed", sequence.burst)
            return sequence.failure(_failed(error))

    def _in_batch(self, burst: int) -> Sequence | None:
        return next((s for s in self._batch.sequences if s.burst == burst), None)

    def _in_prefill(self, burst: int) -> Sequence | None:
        return next((s for s in self._prefilling if s.burst == burst), None)

    def _check_slot(self) -> None:
        if len(self._prefilling) + len(self._batch) >= self._slots:
            raise EBUSY(
                f"all {self._slots} slots are taken", hint="preempt or cancel a burst first"
            )


def _failed(error: Exception) -> LLMOSError:
    if isinstance(error, LLMOSError):
        return error
    lines = str(error).splitlines() or [""]
    return EDRIVER(
        f"the engine failed: {type(error).__name__}: {lines[0]}",
        hint="see the driver's log; out of memory: fewer --slots or shorter contexts",
    )
