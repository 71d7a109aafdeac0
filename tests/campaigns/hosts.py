"""Does an agent with tools end the same, each tool called once, when its host is killed?

    python -m tests.campaigns.hosts [--runs N] [--seed N]

A real kernel, a scripted model that wants five calls made in three answers, the clock as the driver
of the tool, and an agent host that is killed with -9 at a random moment, once or twice a run.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from llmagentos import System
from llmagentos.home import Home
from tests.system.machines import Machines, agent, eventually

NAP = 0.15
TURNS = [
    {"text": "first ", "calls": [{"name": "time.sleep", "arguments": f'{{"seconds": {NAP}}}'}] * 2},
    {
        "text": "then ",
        "calls": [
            {"name": "time.sleep", "arguments": f'{{"seconds": {2 * NAP}}}'},
            {"name": "time.now", "arguments": "{}"},
        ],
    },
    {"text": "and ", "calls": [{"name": "time.sleep", "arguments": f'{{"seconds": {NAP}}}'}]},
    {"text": "it is done"},
]
CALLS = sum(len(turn.get("calls", ())) for turn in TURNS)
ANSWER = "it is done"
_LONGEST = 1.0
"""Seconds after its start at which a host is killed, at most: by then an agent is done."""


def _story(user: System, pid: int) -> list[str]:
    """What was begun for the agent, by the kernel's own events."""
    told = user.call("sys.events", pid=pid, limit=1000)["events"]
    return [event["type"] for event in told if event["type"] == "job.started"]


def _kill(user: System, host: subprocess.Popen[bytes]) -> None:
    """-9, and until the kernel knows: it lets in no other one of that name before."""
    host.kill()
    host.wait()

    def is_gone() -> bool:
        rows = user.call("drv.list")["drivers"]
        return all(row["state"] == "down" for row in rows if row["name"] == "host")

    eventually(is_gone)


def run(machines: Machines, user: System, chance: random.Random) -> str:
    """What went wrong; "" if nothing did."""
    manifest: dict[str, Any] = agent(tools=["time.now", "time.sleep"])
    pid = user.call("proc.spawn", manifest=manifest, text="go")["pid"]
    for _ in range(chance.choice((1, 1, 2))):
        host = machines.start("-m", "agents", "--name", "host", "--no-parent")
        if chance.random() < 0.8:
            machines.await_driver("host", host.pid)
        time.sleep(chance.uniform(0, _LONGEST))
        _kill(user, host)
    last = machines.start_host()
    try:
        ended = eventually(lambda: user.call("proc.info", pid=pid)["process"]["exit"], 30)
        began = len(_story(user, pid))
        if (ended["code"], ended["answer"]) != (0, ANSWER):
            return f"it ended with {ended['code']}: {ended['answer']!r} {ended['error']}"
        if began != CALLS:
            return f"of {CALLS} calls {began} were begun"
        messages = user.call("ctx.read", pid=pid)["messages"]
        results = [one["tool_call"] for one in messages if one["role"] == "tool"]
        return "" if len(set(results)) == len(results) == CALLS else f"its results: {results}"
    finally:
        _kill(user, last)


def runs(machines: Machines, count: int, seed: int) -> list[str]:
    """What went wrong, a line each."""
    chance, wrong = random.Random(seed), []
    machines.start_kernel()
    machines.start_driver("--turns", json.dumps(TURNS), "--delay", "0.005")
    clock = machines.start("-m", "drivers.clock", "--name", "clock", "--no-parent")
    machines.await_driver("clock", clock.pid)
    with machines.user() as user:
        for number in range(count):
            if problem := run(machines, user, chance):
                wrong.append(f"run {number}: {problem}")
            if (number + 1) % 10 == 0:
                print(f"{number + 1} of {count} runs, {len(wrong)} wrong", flush=True)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmos-hosts-") as folder:
        machines = Machines(Home(Path(folder)))
        try:
            wrong = runs(machines, options.runs, options.seed)
        finally:
            machines.close()
    print("\n".join(wrong) or "each tool was called once, and the answer is the same")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
