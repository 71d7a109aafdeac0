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
from collections import defaultdict
from typing import Final

import torch

from drivers.checks import check_room, check_slot, failed
from drivers.edge.costs import Costs
from drivers.edge.grammar import Grammars
from drivers.edge.loader import LoadedModel
from drivers.edge.prompt import check_sequel, prompt_tokens
from drivers.edge.runner import Logits, Reading, Runner
from drivers.edge.runners import make_runner
from drivers.edge.sampler import check_finite, choose, is_plain, logprobs
from drivers.edge.sequence import Sequence
from drivers.edge.threads import Threads
from drivers.engine import EngineStats
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.errors import ENOENT, LLMOSError
from llmagentos.abi.logprob import ChosenLogprob, TokenLogprob

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
        self._grammars = Grammars(
            loaded.tokenizer,
            loaded.model.config.get_text_config().vocab_size,
            loaded.vocabulary.eos,
            loaded.vocabulary.dialect,
        )
        self._costs = Costs()
        on_cpu = str(loaded.model.device) == "cpu"
        most = torch.get_num_threads() if on_cpu else 1
        self._threads = defaultdict[object, Threads](lambda: Threads(most, torch.set_num_threads))
        """For steps that are about alike: what pays for one row does not tell what pays for 64."""
        self._waiting: dict[int, Sequence] = {}
        """In the order of their coming: their prompts are to be read, or they were held."""
        self._decoding: dict[int, Sequence] = {}
        self._held: dict[int, Sequence] = {}
        self._snapshots: dict[int, None] = {}
        """Bursts whose KV is to be written: one a step, so that nobody is held up by many."""

    def warm_up(self) -> int | None:
        """Take the memory that any step will need: once, before the first order. The most bytes
        that the process will have in memory from now on; None, if nobody knows."""
        self._grammars.prepare()
        return self._runner.warm_up(self._slots, self._chunk, self._card.context_length)

    @property
    def models(self) -> list[ModelCard]:
        return [self._card]

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._decoding or self._snapshots)

    @property
    def stats(self) -> EngineStats:
        active = len(self._waiting) + len(self._decoding)
        runner, weight = self._runner, self._costs.prefill_weight
        return EngineStats(active, runner.kv_bytes, runner.kv(), weight)

    def start(self, order: Start) -> StepReport | None:
        if order.model != self._card.name:
            raise ENOENT(
                f"this driver has no model {order.model!r}", hint=f"it has {self._card.name!r}"
            )
        if not order.hold:
            check_slot(len(self._waiting) + len(self._decoding), self._slots)
        prompt = prompt_tokens(self._tokenizer, order, self._card.context_length)
        matcher = self._grammars.matcher_for(order)
        sequence = Sequence(order, prompt, self._vocabulary, matcher)
        answer = len(sequence.tokens) + sequence.left
        check_sequel(len(prompt), answer, order, self._card.context_length)
        check_room(len(prompt) + answer, self._runner.most)
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
            check_slot(len(self._waiting) + len(self._decoding), self._slots)
            self._waiting[burst] = self._held.pop(burst)

    def cancel(self, burst: int) -> None:
        if (sequence := self._removed(burst)) is not None:
            self._runner.forget(sequence)

    def _removed(self, burst: int) -> Sequence | None:
        for place in (self._held, self._decoding, self._waiting):
            if (sequence := place.pop(burst, None)) is not None:
                return sequence
        return None

    def clear(self) -> None:
        for burst in [*self._held, *self._decoding, *self._waiting]:
            self.cancel(burst)
        self._runner.clear()

    # -- what is worth keeping ---------------------------------------------------------------

    def snapshot(self, burst: int) -> None:
        if burst in self._held:
            self._snapshots[burst] = None

    def expect(self, pid: int, seconds: float | None) -> None:
        self._runner.expect(pid, seconds)

    def fork(self, pid: int, child: int) -> None:
        self._runner.fork(pid, child)

    def drop(self, pid: int) -> None:
        self._runner.drop(pid)

    # -- one step ----------------------------------------------------------------------------

    def step(self) -> list[StepReport]:
        reading, ready, lost = self._runner.plan(self._waiting.values(), self._chunk)
        # A burst that goes on is computed as if it had never been held, to the last bit.
        for sequence in ready:
            self._decoding[sequence.burst] = self._waiting.pop(sequence.burst)
        decoding = list(self._decoding.values())
        reports = [sequence.failure(error) for sequence, error in lost]
        for sequence, _ in lost:
            self._removed(sequence.burst)
            self._runner.forget(sequence)
        if decoding or reading:
            reports += self._compute(decoding, reading)
        for report in reports:
            if report.finish is not None and (ended := self._removed(report.burst)) is not None:
                if report.finish == "error":
                    self._runner.forget(ended, spoiled=True)
                else:
                    self._runner.rest(ended)
        self._write_snapshot()
        return reports

    def _compute(self, decoding: list[Sequence], reading: Reading) -> list[StepReport]:
        """One forward, timed: KV that was written or read back before is nobody's computing."""
        read = sum(count for _, count in reading)
        threads = self._threads[read > 0, len(decoding).bit_length()]
        started = time.perf_counter()
        threads.begin((len(decoding), read))
        logits = self._forward(decoding, reading)
        seconds = time.perf_counter() - started
        threads.end(seconds)
        self._costs.note(len(decoding), read, seconds)
        self._runner.spent(len(decoding), read, seconds)
        reports = [
            self._take(sequence, row, decode_seconds=seconds)
            for sequence, row in zip(decoding, logits[: len(decoding)], strict=True)
        ]
        for (sequence, _), row in zip(reading, logits[len(decoding) :], strict=True):
            if row is None:
                reports.append(sequence.report([], "", prefill_seconds=seconds))
                continue
            self._decoding[sequence.burst] = self._waiting.pop(sequence.burst)
            reports.append(self._take(sequence, row, prefill_seconds=seconds))
        # Tokens are chosen by as many as the step took: they would wait for each other as long.
        threads.rest()
        return reports

    def _write_snapshot(self) -> None:
        if not self._snapshots:
            return
        burst = next(iter(self._snapshots))
        del self._snapshots[burst]
        if (sequence := self._held.get(burst)) is not None:
            try:
                self._runner.snapshot(sequence)
            except LLMOSError as error:
                # It goes on all the same, as long as this driver lives.
                log.warning("no snapshot of burst %d: %s", burst, error.message)

    def _forward(
        self, decoding: list[Sequence], reading: Reading
    ) -> list[Logits | Exception | None]:
        """For each the logits, None, or the error that it fails with."""
        try:
            return list(self._runner.forward(decoding, reading))
        except Exception:
            # Whose fault it is shows when each goes on alone.
            log.exception("a forward for %d sequences failed", len(decoding) + len(reading))
        alone: list[tuple[list[Sequence], Reading]] = [([one], []) for one in decoding]
        alone += [([], [part]) for part in reading]
        results: list[Logits | Exception | None] = []
        for part in alone:
            try:
                results += self._runner.forward(*part)
            except Exception as error:
                results.append(error)
        return results

    def _take(
        self, sequence: Sequence, logits: Logits | Exception | None, **seconds: float
    ) -> StepReport:
        """Choose the sequence's next token."""
        if isinstance(logits, Exception):
            return sequence.failure(failed(logits))
        assert logits is not None, "it was fed a token"
        try:
            token = self._next(sequence, logits)
            chances = self._logprobs(sequence, logits, token)
            return sequence.report([token], sequence.accept(token), logprobs=chances, **seconds)
        except Exception as error:
            log.exception("choosing a token for burst %d failed", sequence.burst)
            return sequence.failure(failed(error))

    @staticmethod
    def _next(sequence: Sequence, logits: Logits) -> int:
        check_finite(logits.top)
        if sequence.matcher is None and is_plain(sequence.order.sampling):
            return logits.best
        return choose(
            logits.row.float(),
            sequence.order.sampling,
            seed=sequence.seed,
            index=len(sequence.tokens),
            prompt=sequence.prompt,
            answer=sequence.tokens,
            allowed=sequence.matcher.allowed() if sequence.matcher is not None else None,
        )

    def _logprobs(
        self, sequence: Sequence, logits: Logits, token: int
    ) -> list[ChosenLogprob] | None:
        most = sequence.order.sampling.logprobs
        if most is None:
            return None
        (_, chosen), *top = [
            (TokenLogprob(token=one, text=self._vocabulary.decode([one]), logprob=chance), chance)
            for one, chance in logprobs(logits.row, token, most)
        ]
        text = self._vocabulary.decode([token])
        likeliest = [one for one, _ in top]
        return [ChosenLogprob(token=token, text=text, logprob=chosen, top=likeliest)]
