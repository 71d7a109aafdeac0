"""What agents gain from a scheduler that knows them: a mixed load under `fifo` and under `fair`.

    python benchmarks/agents.py [--seeds N] [--slots N] [--work X] [--json]

A real system with the real model. Sixty short chats come over a minute; twelve long summaries, ten
agents that take eight steps with a tool between them, and one tree of twenty children with three
steps each are there from the beginning. A program is done when its last step is; a tree is one
program. Both policies run the same engine, which batches continuously. How much a policy can do
depends on how much there is to do: ``--work`` makes all answers so many times as long. With the
default `fifo` is at work for about two minutes, on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tabulate import tabulate

from benchmarks.system import system
from llmagentos.aio import AsyncSystem, connect_async
from llmagentos.home import Home

MODEL = "smollm2-135m-instruct"
POLICIES = ("fifo", "fair")
TOPICS = ["rivers", "trains", "bread", "the moon", "bees", "winter", "music", "old maps", "salt"]
CHILD = {
    "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "child"},
    "spec": {"prompt": "You are one of twenty who write a book together. Write at length."},
}  # fmt: skip
SYSTEM = "You are a careful assistant. Answer at length, in plain words, with many examples. " * 4


@dataclass(slots=True)
class Taken:
    """Seconds of each program, by its kind; tokens of all answers, and how long it all took."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tokens: int = 0
    makespan: float = 0.0

    @property
    def mean(self) -> float:
        return statistics.mean(one for all_of in self.seconds.values() for one in all_of)

    @property
    def chats(self) -> list[float]:
        return sorted(self.seconds["chat"])

    @property
    def rate(self) -> float:
        return self.tokens / self.makespan


class Load:
    """``rng``: what differs from seed to seed. ``pace``: how much of a minute all comes in;
    ``work``: times the length of all answers."""

    def __init__(self, user: AsyncSystem, seed: int, pace: float, work: float) -> None:
        self._user = user
        self._rng = random.Random(seed)
        self._pace = pace
        self._work = work
        self.taken = Taken()

    async def run(self) -> Taken:
        begun = time.perf_counter()
        programs: list[Awaitable[None]] = [
            *(self._timed("summary", self._summary(n, self._small())) for n in range(12)),
            *(self._timed("tool agent", self._tool_agent(n, self._small())) for n in range(10)),
            self._timed("tree", self._tree(self._small())),
            *(
                self._timed("chat", self._chat(n), self._rng.uniform(0, 60 * self._pace))
                for n in range(60)
            ),
        ]
        self._rng.shuffle(programs)
        await asyncio.gather(*programs)
        self.taken.makespan = time.perf_counter() - begun
        return self.taken

    def _long(self, tokens: int) -> int:
        return round(tokens * self._work)

    def _small(self) -> int:
        return self._rng.randint(0, 20)

    async def _timed(self, kind: str, program: Awaitable[None], wait: float = 0.0) -> None:
        await asyncio.sleep(wait)
        begun = time.perf_counter()
        await program
        self.taken.seconds[kind].append(time.perf_counter() - begun)

    async def _process(self) -> AsyncSystem:
        made = await self._user.call("proc.adopt")
        return self._user.as_session(made["session"], made["pid"])

    async def _step(self, process: AsyncSystem, said: str, tokens: int, **more: Any) -> None:
        messages = [{"role": "user", "content": said}]
        answer = await process.generate(messages, max_tokens=self._long(tokens), **more)
        self.taken.tokens += len(answer.tokens)

    async def _chat(self, number: int) -> None:
        process = await self._process()
        topic = TOPICS[number % len(TOPICS)]
        await self._step(process, f"Tell me a story about {topic}, number {number}.", 32)

    async def _summary(self, number: int, more: int) -> None:
        process = await self._process()
        page = " ".join(f"Page {n} of book {number} is about {topic}." for n in range(12)
                        for topic in TOPICS)  # fmt: skip
        said = f"{page} Write a very long story with all of this. Take {more} chapters."
        await self._step(process, said, 300 + 5 * more)

    async def _tool_agent(self, number: int, more: int) -> None:
        process = await self._process()
        begin = {"role": "system", "content": SYSTEM}
        await process.call("ctx.append", messages=[begin])
        for step in range(8):
            said = f"Step {step} of agent {number}: what is to be done about {TOPICS[step]}?"
            await self._step(process, said, 40 + more, append=True)
            await asyncio.sleep(0.5)

    async def _tree(self, more: int) -> None:
        parent = await self._process()

        async def child(number: int) -> None:
            for step in range(3):
                said = f"Child {number}, step {step}: write a long text about {TOPICS[step]}."
                sampling = {"max_tokens": self._long(80 + more)}
                agent = await parent.spawn(CHILD, said, sampling=sampling)
                record = await agent.wait()
                self.taken.tokens += record.usage.completion_tokens

        await asyncio.gather(*(child(number) for number in range(20)))


async def loaded(home: Home, seed: int, pace: float, work: float) -> Taken:
    async with connect_async(home=home.root, user=True) as user:
        warm = await user.call("proc.adopt")
        await user.as_session(warm["session"]).generate("Say hello.", max_tokens=8)
        return await Load(user, seed, pace, work).run()


def row(policy: str, taken: Taken) -> dict[str, Any]:
    chats = taken.chats
    return {
        "policy": policy, "mean": taken.mean, "chat mean": statistics.mean(chats),
        "chat p99": chats[int(len(chats) * 0.99)], "tokens/s": taken.rate,
        "makespan": taken.makespan, "tokens": taken.tokens,
        **{kind: statistics.mean(all_of) for kind, all_of in sorted(taken.seconds.items())},
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--pace", type=float, default=1.0, help="minutes in which the chats come")
    parser.add_argument("--work", type=float, default=2.5, help="times the length of answers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the system ends with us
    rows: list[dict[str, Any]] = []
    ratios: list[list[float]] = []
    for seed in range(options.first, options.first + options.seeds):
        pair = {}
        for policy in POLICIES:
            print(f"seed {seed}, {policy} …", file=sys.stderr)
            with system(policy, options.slots, MODEL, hosts=1) as home:
                taken = asyncio.run(loaded(home, seed, options.pace, options.work))
            pair[policy] = one = row(policy, taken)
            rows.append({"seed": seed, **one})
            print({name: v if isinstance(v, str) else round(v, 1) for name, v in one.items()},
                  file=sys.stderr)  # fmt: skip
        before, after = pair["fifo"], pair["fair"]
        better = [before[what] / after[what] for what in ("mean", "chat mean", "chat p99")]
        ratios.append([*better, after["tokens/s"] / before["tokens/s"]])
    names = ["mean, all programs", "mean, chats", "p99, chats", "tokens/s"]
    summary = [
        [name, statistics.median(of), min(of), max(of)]
        for name, of in zip(names, zip(*ratios, strict=True), strict=True)
    ]
    if options.json:
        print(json.dumps({"rows": rows, "ratios": summary}))
        return 0
    print(_table(rows))
    print(f"\nfair against fifo, median of {options.seeds} seeds and spread:")
    print(tabulate(summary, headers=["", "times better", "least", "most"], floatfmt=".2f"))
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


def _table(rows: Sequence[dict[str, Any]]) -> str:
    return tabulate([list(one.values()) for one in rows], headers=list(rows[0]), floatfmt=".1f")


if __name__ == "__main__":
    sys.exit(main())
