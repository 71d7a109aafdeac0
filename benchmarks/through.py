"""What the whole system adds to the bare engine: 64 agents through client, kernel, host and driver.

    python benchmarks/through.py [--rounds N] [--agents N] [--json]

The same prompts, of about 200 tokens with 150 in common, and 64 tokens of answer. Tokens of answers
a second, from the first spawn to the last exit, beside those of the engine alone in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.engine import ANSWER, MODEL, orders
from benchmarks.system import system
from drivers.edge.engine import EdgeEngine
from drivers.edge.loader import LoadedModel, load_model
from drivers.edge.memory import keep_freed
from drivers.edge.runner import Runner
from drivers.edge.runners import make_runner
from drivers.models import ensure
from llmagentos.abi.process import ExitRecord
from llmagentos.aio import AsyncSystem, connect_async

AGENT = {
    "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "reader"},
    "spec": {"sampling": {"max_tokens": ANSWER}},
}  # fmt: skip


def bare(loaded: LoadedModel, runner: Runner, agents: int) -> float:
    engine = EdgeEngine(loaded, agents, runner=runner)
    made = 0
    begun = time.perf_counter()
    for order in orders(agents, 150, 50):
        engine.start(order)
    while engine.busy:
        made += sum(len(report.tokens) for report in engine.step())
    return made / (time.perf_counter() - begun)


async def through(user: AsyncSystem, agents: int, *, streamed: bool) -> float:
    texts = [order.messages[0].content for order in orders(agents, 150, 50)]

    async def one(text: str) -> ExitRecord:
        agent = await user.spawn(AGENT, text)
        if streamed:
            async for _ in agent.stream():
                pass
        return await agent.wait()

    begun = time.perf_counter()
    records = await asyncio.gather(*map(one, texts))
    seconds = time.perf_counter() - begun
    return sum(record.usage.completion_tokens for record in records) / seconds


async def measured(home: Path, loaded: LoadedModel, agents: int, rounds: int) -> list[list[float]]:
    runner = make_runner(loaded, agents)
    taken = []
    async with connect_async(home=home, user=True) as user:
        for number in range(rounds + 1):
            print(f"round {number} of {rounds} …", file=sys.stderr)
            alone = bare(loaded, runner, agents)
            waited = await through(user, agents, streamed=False)
            heard = await through(user, agents, streamed=True)
            if number:  # the first makes what is made once
                taken.append([alone, waited, heard, waited / alone, heard / alone])
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--agents", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_freed()  # as the driver does
    loaded = load_model(MODEL, ensure(MODEL))
    with system("fair", options.agents, MODEL, hosts=1) as home:
        taken = asyncio.run(measured(home.root, loaded, options.agents, options.rounds))
    names = ("engine", "waited", "streamed", "share_waited", "share_streamed")
    of = {
        name: statistics.median(one)
        for name, one in zip(names, zip(*taken, strict=True), strict=True)
    }
    if options.json:
        print(json.dumps(of))
        return 0
    print(f"the engine alone                {of['engine']:7.1f} tokens/s")
    for name, what in (("waited", "answers waited for"), ("streamed", "each token streamed")):
        share = of[f"share_{name}"]
        print(f"the system, {what:20}{of[name]:7.1f} tokens/s, {share:.2f} of it")
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
