"""What ten thousand processes cost: memory for each, and the scheduling of one burst.

    python benchmarks/scheduler.py [--processes N] [--json]

Memory is that of a real kernel with so many live agents. The cost of a burst is that of the
kernel's machine alone, from the call to its reply, while every process has a burst in the queue:
as a ratio to the same with a hundred processes, in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import Client
from kernel.config import Config
from kernel.policies import POLICIES
from llmagentos.home import Home
from tests.kernel.rig import MODEL, Rig

SLOTS = 16
AGENT = {
    "apiVersion": "llmagentos/v1",
    "kind": "Agent",
    "metadata": {"name": "sleeper"},
    "spec": {"model": MODEL, "prompt": "You sleep.", "limits": {"tokens": 1000, "turns": 4}},
}


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    with Path(f"/proc/{pid}/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(processes: int) -> dict[str, Any]:
    """Spawn so many agents in a real kernel, none of which ever runs."""
    with tempfile.TemporaryDirectory(prefix="llmos-bench-") as folder:
        home = Home(Path(folder))
        kernel = subprocess.Popen(
            [sys.executable, "-m", "kernel", "--log-level", "WARNING"],
            env={**os.environ, "LLMOS_HOME": folder},
        )
        try:
            while not Path(home.syscalls.removeprefix("ipc://")).exists():
                if kernel.poll() is not None:
                    raise RuntimeError("the kernel did not start")
                time.sleep(0.05)
            client = Client(home.syscalls, home.user_key())
            for _ in range(100):
                client.call("proc.spawn", manifest=AGENT, text="Sleep.")
            before, began = resident(kernel.pid), time.perf_counter()
            for _ in range(processes):
                client.call("proc.spawn", manifest=AGENT, text="Sleep.")
            spawned = time.perf_counter() - began
            after = resident(kernel.pid)
            client.close()
        finally:
            kernel.terminate()
            kernel.wait(20)
    return {
        "bytes_per_process": round((after - before) / processes),
        "kernel_bytes": after,
        "spawn_us": round(spawned / processes * 1e6, 1),
    }


def burst(processes: int, policy: str, rounds: int) -> float:
    """Seconds of the machine for one burst, median: a process gets its reply and makes its next
    call at once, so the queue stays as long as there are processes."""
    rig = Rig(Config(default_model=MODEL, policy=policy, queue_limit=processes + SLOTS))
    driver = rig.driver(slots=SLOTS)
    sessions = {}
    for number in range(processes):
        peer = f"p{number}".encode()
        pid, session = rig.program(peer=peer)
        sessions[pid] = (peer, session)

    def call(pid: int) -> None:
        peer, session = sessions[pid]
        said = [{"role": "user", "content": "hi"}]
        rig.send("llm.generate", session=session, peer=peer, messages=said,
                 sampling={"max_tokens": 4})  # fmt: skip

    for pid in sessions:
        call(pid)
    times = []
    for _ in range(rounds):
        start = driver.started[-1]
        rig.inbox.clear()
        rig.events.clear()
        began = time.perf_counter()
        driver.report(start, "yes", finish="stop", prompt=3)
        call(start.pid)
        times.append(time.perf_counter() - began)
        del rig.commands[driver.peer][:-SLOTS]
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2000, help="bursts that are timed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print(f"spawning {options.processes} agents …", file=sys.stderr)
    result: dict[str, Any] = {"memory": memory(options.processes), "burst": []}
    for policy in POLICIES:
        print(f"scheduling under {policy} …", file=sys.stderr)
        few = burst(100, policy, options.rounds)
        many = burst(options.processes, policy, options.rounds)
        result["burst"].append({
            "policy": policy, "us_at_100": round(few * 1e6, 1),
            f"us_at_{options.processes}": round(many * 1e6, 1), "ratio": round(many / few, 2),
        })  # fmt: skip
    if options.json:
        print(json.dumps(result))
        return 0
    used = result["memory"]
    print(
        f"{options.processes} agents: {used['bytes_per_process'] / 1024:.1f} KB each, the kernel "
        f"{used['kernel_bytes'] / 1e6:.0f} MB; {used['spawn_us']:.0f} µs for a spawn\n"
    )
    print(tabulate([row.values() for row in result["burst"]], headers=result["burst"][0].keys()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
