"""The edge engine: orders become sequences, and each step moves all of them on.

A step is one forward: one token for every sequence that is in its answer, and beside them up to
``CHUNK`` tokens of prompts, so a long prompt delays the others by a chunk at a time and a cancel is
heard within a step. Seconds: a burst is charged the wall time of the forwards that it took part in;
those are shared, so the sums over bursts exceed the time that passed. It knows nothing about the
protocol, files, or how a model computes.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from drivers.edge.loader import LoadedModel
from drivers.edge.prompt import prompt_tokens
from drivers.edge.runner import Reading, Runner
from drivers.edge.runners import make_runner
from drivers.edge.sampler import choose
from drivers.edge.sequence import Sequence
from drivers.engine import EngineStats
from llmagentos.abi.driver import ModelCard, Start, StepReport
from llmagentos.abi.errors import EBUSY, ECONTEXT, EDRIVER, ENOENT, LLMOSError

log = logging.getLogger("driver")

CHUNK: Final = 256
"""Tokens of prompts that one step reads. On a slow CPU this is about half a second."""


class EdgeEngine:
    """``slots``: how many sequences may be in their prompts or answers at once."""

    def __init__(
        self, loaded: LoadedModel, slots: int, chunk: int = CHUNK, runner: Runner | None = None
    ) -> None:
        self._card = loaded.card
        self._tokenizer = loaded.tokenizer
        self._vocabulary = loaded.vocabulary
        self._slots = slots
        self._chunk = chunk
        self._runner = runner or make_runner(loaded, slots)
        self._waiting: dict[int, Sequence] = {}
        """In the order of their coming: their prompts are to be read, or they were held."""
        self._decoding: dict[int, Sequence] = {}
        self._held: dict[int, Sequence] = {}

    @property
    def models(self) -> list[ModelCard]:
        return [self._card]

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._decoding)

    @property
    def stats(self) -> EngineStats:
        return EngineStats(len(self._waiting) + len(self._decoding), self._runner.kv_bytes)

    def start(self, order: Start) -> StepReport | None:
        if order.model != self._card.name:
            raise ENOENT(
                f"this driver has no model {order.model!r}", hint=f"it has {self._card.name!r}"
            )
        if not order.hold:
            self._check_slot()
        prompt = prompt_tokens(self._tokenizer, order, self._card.context_length)
        self._check_room(len(prompt) + order.sampling.max_tokens)
        sequence = Sequence(order, prompt, self._vocabulary)
        if sequence.finish is not None:
            # What it already has was all of it: its driver died before it could say so.
            return sequence.report([], "")
        if order.hold:
            self._held[order.burst] = sequence
            return sequence.report([], "")
        self._waiting[order.burst] = sequence
        return None

    def preempt(self, burst: int) -> None:
        sequence = self._decoding.pop(burst, None) or self._waiting.pop(burst, None)
        if sequence is not None:
            self._runner.park(sequence)
            self._held[burst] = sequence

    def resume(self, burst: int) -> None:
        if burst in self._held:
            self._check_slot()
            self._waiting[burst] = self._held.pop(burst)

    def cancel(self, burst: int) -> None:
        self._end(burst)

    def _end(self, burst: int, *, spoiled: bool = False) -> None:
        for place in (self._held, self._decoding, self._waiting):
            if (sequence := place.pop(burst, None)) is not None:
                self._runner.forget(sequence, spoiled=spoiled)

    def clear(self) -> None:
        for burst in [*self._held, *self._decoding, *self._waiting]:
            self.cancel(burst)

    def step(self) -> list[StepReport]:
        started = time.perf_counter()
        decoding = list(self._decoding.values())
        reading, lost = self._runner.plan(self._waiting.values(), self._chunk)
        reports = [sequence.failure(error) for sequence, error in lost]
        logits = self._forward(decoding, reading) if decoding or reading else []
        seconds = time.perf_counter() - started
        reports += [
            self._take(sequence, row, decode_seconds=seconds)
            for sequence, row in zip(decoding, logits, strict=False)
        ]
        for (sequence, _), row in zip(reading, logits[len(decoding) :], strict=True):
            if row is None:
                reports.append(sequence.report([], "", prefill_seconds=seconds))
                continue
            self._decoding[sequence.burst] = self._waiting.pop(sequence.burst)
            reports.append(self._take(sequence, row, prefill_seconds=seconds))
        for report in reports:
            if report.finish is not None:
                self._end(report.burst, spoiled=report.finish == "error")
        return reports

    def _forward(self, decoding: list[Sequence], reading: Reading) -> list[Any]:
        """For each the logits, None, or the error that it fails with."""
        try:
            return list(self._runner.forward(decoding, reading))
        except Exception:
            # Whose fault it is shows when each goes on alone.
            log.exception("a forward for %d sequences failed", len(decoding) + len(reading))
        alone: list[tuple[list[Sequence], Reading]] = [([one], []) for one in decoding]
        alone += [([], [part]) for part in reading]
        results: list[Any] = []
        for part in alone:
            try:
                results += self._runner.forward(*part)
            except Exception as error:
                results.append(error)
        return results

    def _take(self, sequence: Sequence, logits: Any, **seconds: float) -> StepReport:
        """Choose the sequence's next token."""
        if isinstance(logits, Exception):
            return sequence.failure(_failed(logits))
        try:
            token = choose(
                logits, sequence.order.sampling, seed=sequence.seed, index=len(sequence.tokens)
            )
            return sequence.report([token], sequence.accept(token), **seconds)
        except Exception as error:
            log.exception("choosing a token for burst %d failed", sequence.burst)
            return sequence.failure(_failed(error))

    def _check_slot(self) -> None:
        if len(self._waiting) + len(self._decoding) >= self._slots:
            raise EBUSY(
                f"all {self._slots} slots are taken", hint="preempt or cancel a burst first"
            )

    def _check_room(self, tokens: int) -> None:
        if tokens > self._runner.most:
            raise ECONTEXT(
                f"{tokens} tokens of context and answer are more than the {self._runner.most} that "
                f"the driver's KV cache can hold",
                hint="give the driver more --kv-bytes, or lower max_tokens",
            )


def _failed(error: Exception) -> LLMOSError:
    if isinstance(error, LLMOSError):
        return error
    lines = str(error).splitlines() or [""]
    return EDRIVER(
        f"the engine failed: {type(error).__name__}: {lines[0]}",
        hint="see the driver's log; out of memory: fewer --slots or shorter contexts",
    )
