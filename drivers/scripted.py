"""An engine without a model, for tests of the kernel and its schedulers ONLY.

It answers with a fixed script, or says the last user message back, a word per token and a
token per step for every sequence; the same order always gets the same answer. It can be told
to misbehave. A token's number is its word's place in the answer, "tokens" of a prompt are its
words, and stop strings are ignored: nothing here says anything about a real model.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.engine import Announce, EngineStats
from drivers.options import common_options, run_driver
from llmagentos.abi.driver import ModelCard, Start, StepReport
from llmagentos.abi.errors import EBUSY, ECONTEXT, EINVAL, ENOENT

KV_PER_TOKEN = 1000
"""Bytes that it claims to hold for a token, so that accounts have something to count."""


@dataclass(slots=True)
class Misbehaviour:
    """After this many tokens in all: hang for ever, die at once, or report nonsense."""

    hang_after: int | None = None
    die_after: int | None = None
    garbage: bool = False


@dataclass(slots=True)
class _Answer:
    order: Start
    words: list[str]
    prompt_tokens: int
    index: int
    reported: bool = False


@dataclass(slots=True)
class ScriptedEngine:
    """``delay``: seconds that a step takes. ``script``: the answer; None: an echo."""

    card: ModelCard
    slots: int
    script: str | None = None
    delay: float = 0.0
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)
    _running: dict[int, _Answer] = field(default_factory=dict)
    _held: dict[int, _Answer] = field(default_factory=dict)
    _spoken: int = 0

    @property
    def models(self) -> Sequence[ModelCard]:
        return [self.card]

    @property
    def busy(self) -> bool:
        return bool(self._running)

    @property
    def stats(self) -> EngineStats:
        kept = [*self._running.values(), *self._held.values()]
        tokens = sum(answer.prompt_tokens + answer.index for answer in kept)
        return EngineStats(len(self._running), tokens * KV_PER_TOKEN)

    def start(self, order: Start) -> None:
        if order.model != self.card.name:
            raise ENOENT(
                f"this driver has no model {order.model!r}", hint=f"it has {self.card.name}"
            )
        if not order.messages:
            raise EINVAL("there is no message to answer", hint="append one to the context first")
        self._check_slot()
        prompt = sum(len(message.content.split()) for message in order.messages)
        limit = min(self.card.context_length, order.context_tokens or self.card.context_length)
        if prompt + order.sampling.max_tokens > limit:
            raise ECONTEXT(
                f"{prompt} prompt tokens and {order.sampling.max_tokens} to come are more than "
                f"the {limit} that fit",
                hint="lower max_tokens or shorten the context",
            )
        asked = next((m.content for m in reversed(order.messages) if m.role == "user"), "")
        words = re.findall(r"\S+\s*", asked if self.script is None else self.script)
        self._running[order.burst] = _Answer(order, words, prompt, len(order.accepted))

    def preempt(self, burst: int) -> None:
        if burst in self._running:
            self._held[burst] = self._running.pop(burst)

    def resume(self, burst: int) -> None:
        if burst in self._held:
            self._check_slot()
            self._running[burst] = self._held.pop(burst)

    def cancel(self, burst: int) -> None:
        self._running.pop(burst, None)
        self._held.pop(burst, None)

    def clear(self) -> None:
        self._running.clear()
        self._held.clear()

    def step(self) -> list[StepReport]:
        if self.delay:
            time.sleep(self.delay)
        reports = [self._speak(burst) for burst in list(self._running)]
        self._misbehave()
        return [_nonsense(report) for report in reports] if self.misbehaviour.garbage else reports

    def _speak(self, burst: int) -> StepReport:
        answer = self._running[burst]
        order, index = answer.order, answer.index
        limit = min(len(answer.words), order.sampling.max_tokens)
        spoken = answer.words[index : min(index + 1, limit)]
        answer.index += len(spoken)
        self._spoken += len(spoken)
        first, answer.reported = not answer.reported, True
        ended = answer.index >= limit
        if ended:
            del self._running[burst]
        return StepReport(
            burst=burst,
            attempt=order.attempt,
            index=index,
            tokens=[index] if spoken else [],
            text="".join(spoken),
            prompt_tokens=answer.prompt_tokens if first else None,
            prefill_seconds=self.delay if first else 0.0,
            decode_seconds=0.0 if first else self.delay,
            finish=("stop" if limit == len(answer.words) else "length") if ended else None,
        )

    def _check_slot(self) -> None:
        if len(self._running) >= self.slots:
            raise EBUSY(f"all {self.slots} slots are taken", hint="preempt or cancel a burst first")

    def _misbehave(self) -> None:
        plan = self.misbehaviour
        if plan.die_after is not None and self._spoken >= plan.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        while plan.hang_after is not None and self._spoken >= plan.hang_after:
            time.sleep(1.0)


def _nonsense(report: StepReport) -> StepReport:
    """A report that no honest driver sends, made past the checks that would refuse it."""
    bad: dict[str, Any] = report.model_dump()
    bad |= {"burst": "banana", "index": -7, "tokens": [-1], "finish": "perhaps"}
    return StepReport.model_construct(**bad)


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options("drivers.scripted", __doc__ or "", name="scripted", slots=4)
    parser.add_argument("--script", help="the answer to everything; without it, an echo")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for each token")
    parser.add_argument("--load-delay", type=float, default=0.0, help="seconds of loading")
    parser.add_argument("--context-length", type=int, default=8192)
    parser.add_argument("--kind", choices=["edge", "cloud", "node"], default="edge")
    parser.add_argument("--hang-after", type=int, metavar="N", help="hang after N tokens")
    parser.add_argument("--die-after", type=int, metavar="N", help="SIGKILL after N tokens")
    parser.add_argument("--garbage", action="store_true", help="report nonsense")
    options = parser.parse_args(argv)
    card = ModelCard(name=options.model, context_length=options.context_length, dtype="words")

    def load(announce: Announce) -> ScriptedEngine:
        announce("pretending to load", 0.5)
        time.sleep(options.load_delay)
        plan = Misbehaviour(options.hang_after, options.die_after, options.garbage)
        return ScriptedEngine(card, options.slots, options.script, options.delay, plan)

    return run_driver(
        options, kind=options.kind, models=[card], features=["preempt", "resume_tokens"], load=load
    )


if __name__ == "__main__":
    sys.exit(main())
