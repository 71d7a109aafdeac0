"""An engine without a model, for tests of the kernel and its schedulers ONLY.

It answers with a fixed script, or by turns, which may call tools, or says the last user message
back, a word per token and a token per step for every sequence; the same order always gets the same
answer. Without a delay
it is as fast as the protocol: for measuring what is not the model. It can be told to misbehave.
A token's number is its word's place in the answer, "tokens" of a text are its words, stop strings
are ignored, and texts that share words have vectors near each other: nothing here says anything
about a real model.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from drivers.engine import Announce, EngineStats
from drivers.faults import first_problem
from drivers.options import common_options, run_driver
from llmagentos.abi.cards import ModelCard, Price
from llmagentos.abi.driver import Feature, Finish, Start, StepReport
from llmagentos.abi.errors import EBUSY, ECONTEXT, EINVAL, ENOENT
from llmagentos.abi.model import Model
from llmagentos.abi.talk import ToolCall

DIMENSIONS = 32
KV_PER_TOKEN = 1000
"""Bytes that it claims to hold for a token, so that accounts have something to count."""


@dataclass(slots=True)
class Misbehaviour:
    """After this many tokens in all: hang for ever, die at once, or report nonsense."""

    hang_after: int | None = None
    die_after: int | None = None
    garbage: bool = False


class Wish(Model):
    name: str
    arguments: str = "{}"


class Turn(Model):
    """One answer: what it says, and the calls that it wants made."""

    text: str = ""
    calls: list[Wish] = Field(default_factory=list)


@dataclass(slots=True)
class _Answer:
    """``read``: its prompt was, as far as anything is read here."""

    order: Start
    words: list[str]
    prompt_tokens: int
    index: int
    calls: list[ToolCall] = field(default_factory=list)
    counted: bool = False
    read: bool = False
    limit: int = field(init=False)

    def __post_init__(self) -> None:
        self.limit = min(len(self.words), self.order.sampling.max_tokens)

    @property
    def ended(self) -> bool:
        return self.index >= self.limit

    @property
    def kv_bytes(self) -> int:
        return (self.prompt_tokens + self.index) * KV_PER_TOKEN if self.read else 0

    def speak(self, seconds: float) -> StepReport:
        """The next word, if there is one. Reading the prompt takes no longer than a word."""
        start, first = self.index, not self.read
        spoken = self.words[start : min(start + 1, self.limit)]
        self.index += len(spoken)
        self.read = True
        return self.report(
            start, spoken, prefill=seconds if first else 0.0, decode=0.0 if first else seconds
        )

    def report(
        self, start: int, spoken: list[str], *, prefill: float = 0.0, decode: float = 0.0
    ) -> StepReport:
        first, self.counted = not self.counted, True
        reason: Finish = "stop" if self.limit == len(self.words) else "length"
        calls = self.calls if self.ended and reason == "stop" else []
        if calls:
            reason = "tool_calls"
        return StepReport(
            burst=self.order.burst,
            attempt=self.order.attempt,
            index=start,
            tokens=[start] if spoken else [],
            text="".join(spoken),
            prompt_tokens=self.prompt_tokens if first else None,
            prefill_seconds=prefill,
            decode_seconds=decode,
            finish=reason if self.ended else None,
            tool_calls=calls,
        )


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
    _running: dict[int, _Answer] = field(default_factory=dict)
    _held: dict[int, _Answer] = field(default_factory=dict)
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
        answer = _Answer(order, words, prompt, len(order.accepted), calls)
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options("drivers.scripted", __doc__ or "", name="scripted", slots=4)
    parser.add_argument("--script", help="the answer to everything; without it, an echo")
    parser.add_argument(
        "--turns",
        help='instead: answers in order, as JSON: [{"text": "…", "calls": [{"name": "…"}]}]',
    )
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for each token")
    parser.add_argument("--load-delay", type=float, default=0.0, help="seconds of loading")
    parser.add_argument("--context-length", type=int, default=8192)
    parser.add_argument("--kind", choices=["edge", "cloud", "node"], default="edge")
    parser.add_argument("--price-prompt", type=float, default=0.0, help="for a million tokens")
    parser.add_argument("--price-completion", type=float, default=0.0, help="the same")
    parser.add_argument("--no-price", action="store_true", help="leave the price unknown")
    parser.add_argument("--embeds", action="store_true", help="offer a model for vectors too")
    parser.add_argument("--embed-model", default="scripted-embed", help="its name (%(default)s)")
    parser.add_argument("--hang-after", type=int, metavar="N", help="hang after N tokens")
    parser.add_argument("--die-after", type=int, metavar="N", help="SIGKILL after N tokens")
    parser.add_argument("--garbage", action="store_true", help="report nonsense")
    options = parser.parse_args(argv)
    features: list[Feature] = ["preempt", "resume_tokens", "resume_text", "count", "tools"]
    try:
        card, embedder = _cards(options)
        turns = TypeAdapter(list[Turn]).validate_json(options.turns) if options.turns else []
    except ValidationError as error:
        parser.error(f"bad option: {first_problem(error)}")
    if embedder is not None:
        features.append("embed")

    def load(announce: Announce) -> ScriptedEngine:
        announce("pretending to load", 0.5)
        time.sleep(options.load_delay)
        plan = Misbehaviour(options.hang_after, options.die_after, options.garbage)
        return ScriptedEngine(
            card, options.slots, options.script, options.delay, plan, embedder, turns
        )

    models = [card] if embedder is None else [card, embedder]
    return run_driver(options, kind=options.kind, models=models, features=features, load=load)


def _cards(options: argparse.Namespace) -> tuple[ModelCard, ModelCard | None]:
    """The model that speaks, and perhaps one that makes vectors; both cost the same."""
    price = None
    if not options.no_price:
        price = Price(prompt=options.price_prompt, completion=options.price_completion)
    card = ModelCard(
        name=options.model,
        context_length=options.context_length,
        dtype="words",
        price=price,
        kv_bytes_per_token=KV_PER_TOKEN,
    )
    if not options.embeds:
        return card, None
    update = {"name": options.embed_model, "embeds": True, "kv_bytes_per_token": 0}
    return card, ModelCard.model_validate(card.model_dump() | update)


if __name__ == "__main__":
    sys.exit(main())
