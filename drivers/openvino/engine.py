"""The OpenVINO engine: orders become requests of a pipeline, and each step moves all of them on.

What an answer is, where it ends and how it reads, the edge driver's ``Sequence`` decides here too;
the pipeline only says which token comes next. Seconds: a burst is charged the wall time of the
steps that it took part in; those are shared, so the sums over bursts exceed the time that passed.
It knows nothing about the protocol, files, or how OpenVINO computes.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from drivers.checks import check_room, check_slot, failed
from drivers.edge.prompt import check_sequel, prompt_tokens
from drivers.edge.sequence import Sequence
from drivers.engine import EngineStats
from drivers.openvino.guide import can_guide, guide
from drivers.openvino.loader import LoadedModel
from drivers.openvino.pipeline import Pipeline, Request
from drivers.openvino.prefixes import Prefixes, names_of
from drivers.openvino.sampling import generation_config
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.errors import EINVAL, ENOENT, LLMOSError

log = logging.getLogger("driver")


@dataclass(slots=True)
class _Waiting:
    """``names``: of the blocks of all that it has to read; ``wants``: how many blocks it may come
    to need."""

    sequence: Sequence
    names: list[bytes]
    wants: int


@dataclass(slots=True)
class _Running:
    """``reading``: it has no token of this request yet."""

    sequence: Sequence
    request: Request
    wants: int
    reading: bool = True


class OpenVINOEngine:
    """``slots``: how many sequences may be in their prompts or answers at once."""

    def __init__(self, loaded: LoadedModel, slots: int, pipeline: Pipeline) -> None:
        self._loaded = loaded
        self._slots = slots
        self._pipeline = pipeline
        self._prefixes = Prefixes(pipeline.blocks)
        self._waiting: dict[int, _Waiting] = {}
        """In the order of their coming."""
        self._running: dict[int, _Running] = {}
        self._held: dict[int, Sequence] = {}
        self._leaving = 0
        """Blocks of those that were cancelled: the pipeline gives them back in its next step."""

    @property
    def models(self) -> list[ModelCard]:
        return [self._loaded.card]

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    @property
    def stats(self) -> EngineStats:
        tokens = sum(len(one.sequence.to_prefill) for one in self._running.values())
        return EngineStats(self._active, tokens * self._pipeline.bytes_per_token)

    @property
    def _active(self) -> int:
        return len(self._waiting) + len(self._running)

    def start(self, order: Start) -> StepReport | None:
        card = self._loaded.card
        if order.model != card.name:
            raise ENOENT(f"this driver has no model {order.model!r}", hint=f"it has {card.name!r}")
        if not order.hold:
            check_slot(self._active, self._slots)
        self._check_choice(order)
        prompt = prompt_tokens(self._loaded.tokenizer, order, card.context_length)
        sequence = Sequence(order, prompt, self._loaded.vocabulary)
        answer = len(sequence.tokens) + sequence.left
        check_sequel(len(prompt), answer, order, card.context_length)
        check_room(len(prompt) + answer, self._pipeline.most)
        if sequence.finish is not None:
            # What it already has was all of it: its driver died before it could say so.
            return sequence.report([], "")
        if order.hold:
            self._held[order.burst] = sequence
            return sequence.report([], "")
        self._wait(sequence)
        return None

    def preempt(self, burst: int) -> None:
        """Its KV is kept only as long as nobody needs the room: so it is not what we promise."""
        one = self._waiting.get(burst) or self._running.get(burst)
        if one is not None:
            self._end(burst)
            self._held[burst] = one.sequence

    def resume(self, burst: int) -> None:
        if burst in self._held:
            check_slot(self._active, self._slots)
            self._wait(self._held.pop(burst))

    def cancel(self, burst: int) -> None:
        self._held.pop(burst, None)
        self._end(burst)

    def clear(self) -> None:
        for burst in [*self._held, *self._waiting, *self._running]:
            self.cancel(burst)

    def step(self) -> list[StepReport]:
        started = time.perf_counter()
        reports = self._submit()
        try:
            if self._running or self._leaving:
                self._leaving = 0
                self._pipeline.step()
        except Exception as error:
            log.exception("a step for %d sequences failed", len(self._running))
            reports += self._fail_all(failed(error))
        seconds = time.perf_counter() - started
        reports += [self._take(one, seconds) for one in self._running.values()]
        for report in reports:
            if report.finish is not None:
                self._end(report.burst)
        return reports

    def _wait(self, sequence: Sequence) -> None:
        wants = self._pipeline.blocks_for(len(sequence.to_prefill) + sequence.left)
        names = names_of(sequence.to_prefill)
        self._waiting[sequence.burst] = _Waiting(sequence, names, wants)

    def _submit(self) -> list[StepReport]:
        """Give the pipeline those that may be read now; the failures of those it won't have.

        Only those whose whole answer has room: prompts that are half read and find none left for
        the other half fail, all of them.
        """
        failures = []
        room = self._pipeline.blocks - self._leaving
        room -= sum(one.wants for one in self._running.values())
        for burst, one in list(self._waiting.items()):
            if one.wants > room:
                break  # whoever overtook it might keep it out for ever
            if not self._prefixes.begin(burst, one.names):
                continue
            try:
                config = generation_config(one.sequence, self._loaded.vocabulary.eos)
                if (guided := self._guide(one.sequence)) is not None:
                    config.structured_output_config = guided
                request = self._pipeline.add(one.sequence.to_prefill, config)
            except Exception as error:
                log.exception("burst %d was not accepted", burst)
                failures.append(one.sequence.failure(failed(error)))
                continue
            del self._waiting[burst]
            self._running[burst] = _Running(one.sequence, request, one.wants)
            room -= one.wants
        return failures

    def _check_choice(self, order: Start) -> None:
        if order.tool_choice == "required" and not (
            self._pipeline.guides and can_guide(self._loaded.vocabulary.dialect)
        ):
            raise EINVAL(
                "this driver can't make this model call a tool",
                hint="leave tool_choice out, or use the edge driver",
            )

    def _guide(self, sequence: Sequence) -> Any | None:
        """For what is still to come."""
        if not self._pipeline.guides:
            return None
        return guide(
            sequence.order,
            self._loaded.vocabulary.dialect,
            begun=bool(sequence.tokens),
            call=sequence.call,
        )

    def _take(self, one: _Running, seconds: float) -> StepReport:
        """What the step brought for it."""
        sequence, was_reading = one.sequence, one.reading
        try:
            text, accepted = "", []
            for token in one.request.take():
                if sequence.finish is None:
                    text += sequence.accept(token)
                    accepted.append(token)
            problem = one.request.problem() if sequence.finish is None else None
        except Exception as error:
            log.exception("taking the tokens of burst %d failed", sequence.burst)
            problem = failed(error)
        if problem is not None:
            return sequence.failure(problem)
        if accepted and was_reading:
            one.reading = False
            self._prefixes.end(sequence.burst, read=True)
        if was_reading:
            return sequence.report(accepted, text, prefill_seconds=seconds)
        return sequence.report(accepted, text, decode_seconds=seconds)

    def _end(self, burst: int) -> None:
        self._waiting.pop(burst, None)
        self._prefixes.end(burst, read=False)
        running = self._running.pop(burst, None)
        if running is not None:
            running.request.cancel()
            self._leaving += running.wants

    def _fail_all(self, error: LLMOSError) -> list[StepReport]:
        """Nobody can say what a pipeline still holds that failed half-way: begin anew."""
        failures = [one.sequence.failure(error) for one in self._running.values()]
        self._running.clear()
        self._leaving = 0
        self._prefixes = Prefixes(self._pipeline.blocks)
        self._pipeline.restart()
        return failures
