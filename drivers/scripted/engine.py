"""An engine without a model.

It answers with a fixed script, or by turns, which may call tools, or says the last user message
back, a token per step for every sequence; the same order always gets the same answer. It can be
told to misbehave. A token's number is its word's place in the answer, "tokens" of a text are its
words, stop strings are ignored, and texts that share words have vectors near each other. It knows
nothing about the protocol.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.engine import EngineStats
from drivers.scripted.answer import Answer, Turn
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.errors import EBUSY, ECONTEXT, EINVAL, ENOENT
from llmagentos.abi.talk import ToolCall

DIMENSIONS = 32


@dataclass(slots=True)
class Misbehaviour:
    """After this many tokens in all: hang for ever, die at once, or report nonsense."""

    hang_after: int | None = None
    die_after: int | None = None
    garbage: bool = False


@dataclass(slots=True)
class ScriptedEngine:
    """``delay``: seconds that a step takes. ``script``: the answer; None: an echo. ``turns``: in
    their place, the first answer of a conversation, its second, and so on. ``embedder``: the card
    of its other model, which makes vectors."""

    card: ModelCard
    slots: int
    script: str | None = None
    delay: float = 0.0
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)
    embedder: ModelCard | None = None
    turns: Sequence[Turn] = ()
    _running: dict[int, Answer] = field(default_factory=dict)
    _held: dict[int, Answer] = field(default_factory=dict)
    _spoken: int = 0

    @property
    def models(self) -> Sequence[ModelCard]:
        return [self.card] if self.embedder is None else [self.card, self.embedder]

    @property
    def busy(self) -> bool:
        return bool(self._running)

    @property
    def stats(self) -> EngineStats:
        kept = [*self._running.values(), *self._held.values()]
        return EngineStats(len(self._running), sum(answer.kv_bytes for answer in kept))

    def start(self, order: Start) -> StepReport | None:
        if order.model != self.card.name:
            raise ENOENT(
                f"this driver has no model {order.model!r}", hint=f"it has {self.card.name}"
            )
        if not order.messages:
            raise EINVAL("there is no message to answer", hint="append one to the context first")
        if not order.hold:
            self._check_slot()
        prompt = sum(len(message.content.split()) for message in order.messages)
        limit = min(self.card.context_length, order.context_tokens or self.card.context_length)
        if prompt + order.sampling.max_tokens > limit:
            raise ECONTEXT(
                f"{prompt} prompt tokens and {order.sampling.max_tokens} to come are more than "
                f"the {limit} that fit",
                hint="lower max_tokens or shorten the context",
            )
        said, calls = self._said(order)
        words = re.findall(r"\S+\s*", said)
        answer = Answer(order, words, prompt, len(order.accepted), calls)
        if order.accepted and answer.ended:
            return answer.report(answer.index, [])
        if order.hold:
            self._held[order.burst] = answer
            return answer.report(answer.index, [])
        self._running[order.burst] = answer
        return None

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

    def embed(self, model: str, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        if self.embedder is None or model != self.embedder.name:
            raise ENOENT(f"this driver has no model {model!r} that embeds", hint="see --embeds")
        return [_vector(text) for text in texts], sum(len(text.split()) for text in texts)

    def _said(self, order: Start) -> tuple[str, list[ToolCall]]:
        """All of its answer."""
        if self.turns:
            number = sum(message.role == "assistant" for message in order.messages)
            turn = self.turns[min(number, len(self.turns) - 1)]
            calls = [
                ToolCall(id=f"call-{number}-{place}", name=wish.name, arguments=wish.arguments)
                for place, wish in enumerate(turn.calls)
            ]
            return turn.text, calls
        asked = next((m.content for m in reversed(order.messages) if m.role == "user"), "")
        return (asked if self.script is None else self.script), []

    def _speak(self, burst: int) -> StepReport:
        report = self._running[burst].speak(self.delay)
        self._spoken += len(report.tokens)
        if report.finish is not None:
            del self._running[burst]
        return report

    def _check_slot(self) -> None:
        if len(self._running) >= self.slots:
            raise EBUSY(f"all {self.slots} slots are taken", hint="preempt or cancel a burst first")

    def _misbehave(self) -> None:
        plan = self.misbehaviour
        if plan.die_after is not None and self._spoken >= plan.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        while plan.hang_after is not None and self._spoken >= plan.hang_after:
            time.sleep(1.0)


def _vector(text: str) -> list[float]:
    """The mean direction of its words' hashes."""
    total = [0] * DIMENSIONS
    for word in text.lower().split() or [""]:
        digest = hashlib.blake2b(word.encode(), digest_size=DIMENSIONS).digest()
        total = [old + 2 * byte - 255 for old, byte in zip(total, digest, strict=True)]
    length = math.hypot(*total)
    return [number / length for number in total]


def _nonsense(report: StepReport) -> StepReport:
    """A report that no honest driver sends, made past the checks that would refuse it."""
    bad: dict[str, Any] = report.model_dump()
    bad |= {"burst": "banana", "index": -7, "tokens": [-1], "finish": "perhaps"}
    return StepReport.model_construct(**bad)
