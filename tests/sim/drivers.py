"""Drivers of models: they answer bursts a few tokens at a time, and make vectors of texts.

They keep to the protocol to the letter and look closely at whatever the kernel says, but they are
no good company: they say things twice, count wrong, fail single bursts, and forget all when they
die. It knows nothing about the kernel's reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

from llmagentos.abi.driver import BurstRef, Start
from llmagentos.abi.jobs import EmbedOrder
from tests.sim.answers import Answer, answer, prompt_tokens
from tests.sim.violation import must
from tests.sim.workers import Worker


@dataclass(slots=True, eq=False)
class _Run:
    """One burst. ``index``: tokens that it has. ``held``: it waits to be resumed."""

    order: Start
    answer: Answer
    index: int
    held: bool
    counted: bool = False

    @property
    def limit(self) -> int:
        return min(len(self.answer.ids), self.order.sampling.max_tokens)

    def step(self, tokens: int) -> dict[str, Any]:
        """The report of so many more."""
        begin, end = self.index, min(self.index + tokens, self.limit)
        self.index = end
        over = end == self.limit and not self.held
        before = self.answer.readable(begin, final=False)
        step: dict[str, Any] = {
            "burst": self.order.burst, "attempt": self.order.attempt, "index": begin,
            "tokens": list(self.answer.ids[begin:end]),
            "text": self.answer.readable(end, final=over)[len(before) :],
        }  # fmt: skip
        if not self.counted:
            self.counted = True
            step["prompt_tokens"] = prompt_tokens(self.order.messages)
        if over:
            step["finish"] = "stop" if self.limit == len(self.answer.ids) else "length"
        return step


class Driver(Worker):
    """``pace``: seconds that a step takes."""

    def __init__(self, world: Any, name: str, card: dict[str, Any], pace: float) -> None:
        self._pace = pace
        self._runs: dict[int, _Run] = {}
        self._jobs: dict[int, EmbedOrder] = {}
        self._stepping = False
        self._said: list[dict[str, Any]] = []
        super().__init__(world, name, card)

    def forget(self) -> None:
        self._runs.clear()
        self._jobs.clear()
        self._said.clear()
        self._stepping = False

    def obey(self, kind: str, body: Any) -> None:
        if kind == "start":
            self._start(body)
        elif kind in ("preempt", "resume", "cancel"):
            self._steer(kind, body)
        elif kind == "embed":
            self._embed(body)
        elif kind == "abort":
            self._jobs.pop(body.job, None)
        else:
            must(False, "driver {} is told to {}", self.name, kind)

    # -- bursts ------------------------------------------------------------------------------

    def _start(self, order: Start) -> None:
        live, features = self._runs.get(order.burst), self.card["features"]
        must(
            live is None or live.order.attempt < order.attempt,
            "{} is told twice to start burst {}",
            self.name,
            order.burst,
        )
        models = [card["name"] for card in self.card["models"] if not card.get("embeds")]
        must(order.model in models, "{} has no model {}", self.name, order.model)
        must("count" in features or not order.hold, "{} can't count and is told to hold", self.name)
        way = "resume_tokens" if order.text is None else "resume_text"
        must(
            way in features or not order.accepted,
            "{} can't go on from the tokens of others",
            self.name,
        )
        said = answer(order.messages)
        accepted = tuple(order.accepted)
        if order.text is None:
            must(
                accepted == said.ids[: len(accepted)],
                "burst {} is to go on from {}, and that is not its answer",
                order.burst,
                accepted,
            )
        else:
            must(
                order.text == said.readable(len(accepted), final=False),
                "burst {} is to go on from {!r}, and that is not its answer",
                order.burst,
                order.text,
            )
        run = self._runs[order.burst] = _Run(order, said, len(accepted), order.hold)
        prompt = prompt_tokens(order.messages)
        most = min(order.context_tokens or 10**6, self.card["models"][0]["context_length"])
        if prompt + order.sampling.max_tokens > most:
            self._fail(run, "ECONTEXT")
        elif order.hold or run.index >= run.limit:
            self._report([run.step(0)])
        self._go_on()

    def _steer(self, kind: str, which: BurstRef) -> None:
        features = self.card["features"]
        must(kind != "preempt" or "preempt" in features, "{} can't preempt", self.name)
        run = self._runs.get(which.burst)
        if run is None or run.order.attempt != which.attempt:
            return  # it ended while the command was under way
        if kind == "cancel":
            del self._runs[which.burst]
        else:
            run.held = kind == "preempt"
        self._go_on()

    def _go_on(self) -> None:
        busy = [run for run in self._runs.values() if not run.held]
        taken = len(busy) + sum(not order.background for order in self._jobs.values())
        must(taken <= self.card["slots"], "{} has {} things in its slots", self.name, taken)
        if busy and not self._stepping:
            self._stepping = True
            self._later(self._pace, self._step)

    def _step(self) -> None:
        self._stepping = False
        if not self.awake:
            self._later(1.0, self._go_on)
            return
        chance, steps = self.world.chance, []
        if chance.random() < self.world.rudeness / 50:
            self.die(chance.choice((0.5, 5.0, 30.0)))
            return
        for run in list(self._runs.values()):
            if run.held:
                continue
            if chance.random() < self.world.rudeness / 20:
                self._fail(run, "EDRIVER")
            else:
                steps.append(run.step(chance.choice((1, 2, 3, 5))))
        if steps:
            self._report(steps)
        self._go_on()

    def _fail(self, run: _Run, code: str) -> None:
        error = {"code": code, "message": "the simulated driver gives up"}
        step = {**run.step(0), "tokens": [], "text": "", "finish": "error", "error": error}
        self._report([step])

    def _report(self, steps: list[dict[str, Any]]) -> None:
        chance = self.world.chance
        for step in steps:
            if step.get("finish") is not None:
                self._runs.pop(step["burst"], None)
        if chance.random() < self.world.rudeness / 10:
            for step in steps:  # a prompt that is longer than it can be
                if "prompt_tokens" in step and chance.random() < 0.2:
                    step["prompt_tokens"] *= chance.choice((2, 50))
        body = {"steps": steps}
        self._said.append(body)
        self.say("report", body)
        if chance.random() < self.world.rudeness / 4:
            self.say("report", chance.choice(self._said[-5:]))

    # -- vectors -----------------------------------------------------------------------------

    def _embed(self, order: EmbedOrder) -> None:
        self._jobs[order.job] = order
        self._go_on()
        self._later(self.world.chance.uniform(0.05, 2.0), lambda: self._embedded(order))

    def _embedded(self, order: EmbedOrder) -> None:
        if self._jobs.get(order.job) is not order:
            return
        if not self.awake:
            self._later(1.0, lambda: self._embedded(order))
            return
        del self._jobs[order.job]
        body: dict[str, Any] = {
            "job": order.job,
            "vectors": [vector(text) for text in order.texts],
            "tokens": sum(len(text.split()) for text in order.texts),
        }
        if self.world.chance.random() < self.world.rudeness / 5:
            body["vectors"] = body["vectors"][1:]
        self.say("result", body)


def vector(text: str) -> list[float]:
    return [float(crc32(text.encode()) % 1000), float(len(text))]
