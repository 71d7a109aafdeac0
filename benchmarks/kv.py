"""What it saves to keep, share and put away KV: as ratios to computing it, in the same run.

    python benchmarks/kv.py [--rounds N] [--json]

- *shared*: 64 agents that begin with the same 1,000 tokens, beside the same with nothing shared,
  and beside four families of 16, each with 1,000 tokens of its own after the template's.
- *fork*: ``proc.fork`` of an agent of 1,000 tokens, through the syscall; and 16 forks that read 50
  tokens more, beside 16 prompts of as many tokens that are read anew.
- *restore*: 1,000 tokens from the disk, beside reading them anew.
- *capped*: 64 agents with a tenth of the KV that they want, each for itself, beside enough of it;
  and how much the memory of the process grows.
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
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tabulate import tabulate

from benchmarks.engine import ANSWER, MODEL, orders, ours
from benchmarks.system import system
from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.edge.loader import LoadedModel, load_model
from drivers.edge.memory import keep_freed
from drivers.edge.runners import make_runner
from drivers.models import ensure
from llmagentos.abi.driver import Start
from llmagentos.client import connect

LONG = 1000
"""Tokens."""
AGENT = {
    "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "long"},
    "spec": {"prompt": "the quick brown fox jumps over the lazy dog " * (LONG // 9)},
}  # fmt: skip


def apart(batch: Iterable[Start]) -> list[Start]:
    """The same, but nobody may see what another one has read."""
    return [one.model_copy(update={"labels": [f"l{one.burst}"]}) for one in batch]


def shared(loaded: LoadedModel) -> dict[str, float]:
    together = ours(_engine(loaded), orders(64, LONG, 50))
    alone = ours(_engine(loaded), apart(orders(64, LONG, 50)))
    four = [order for _ in range(4) for order in orders(16, LONG, 50)]
    batch = [order.model_copy(update={"burst": n}) for n, order in enumerate(four, start=1)]
    families = ours(_engine(loaded), batch)
    return {
        "shared: decode tokens/s": together[1],
        "shared: times the decode without sharing": together[1] / alone[1],
        "shared: times the prefill without sharing": together[0] / alone[0],
        "shared: four families, times the decode without sharing": families[1] / alone[1],
    }


def _engine(loaded: LoadedModel) -> EdgeEngine:
    return EdgeEngine(loaded, 64, runner=make_runner(loaded, 64))


def _read(engine: EdgeEngine, batch: Iterable[Start]) -> float:
    """Seconds until all are in their answers; they are cancelled then."""
    begun = time.perf_counter()
    started = list(batch)
    for order in started:
        engine.start(order)
    while engine._waiting:
        engine.step()
    seconds = time.perf_counter() - begun
    for order in started:
        engine.cancel(order.burst)
    return seconds


def forks(loaded: LoadedModel) -> dict[str, float]:
    engine = EdgeEngine(loaded, 16, runner=make_runner(loaded, 16))
    anew = _read(engine, apart(orders(16, LONG, 50)))
    parent, *children = orders(17, LONG, 50)
    engine.start(parent)
    while engine.busy:
        engine.step()
    before = engine.stats.kv_bytes
    for order in children:
        engine.fork(parent.pid, order.burst + 1000)
    copied = engine.stats.kv_bytes - before
    forked = _read(engine, children)
    return {"fork: times as fast as reading anew": anew / forked, "fork: bytes copied": copied}


def restore(loaded: LoadedModel, folder: Path) -> dict[str, float]:
    runner = make_runner(loaded, 16, folder=folder)
    engine = EdgeEngine(loaded, 16, runner=runner)
    (order,) = orders(1, LONG, 50)
    begun = time.perf_counter()
    engine.start(order)
    engine.step()
    while engine._waiting:
        engine.step()
    prefill = time.perf_counter() - begun
    engine.preempt(order.burst)
    begun = time.perf_counter()
    engine.snapshot(order.burst)
    engine.step()
    snapshot = time.perf_counter() - begun
    # Out of memory, as if somebody had needed all of it.
    assert runner._residents.make_room(runner._blocks.count)  # type: ignore[attr-defined]
    begun = time.perf_counter()
    engine.resume(order.burst)
    plan = runner.plan(engine._waiting.values(), 256)
    restored = time.perf_counter() - begun
    assert plan.ready
    assert not plan.reading
    return {
        "restore: ms": restored * 1000, "restore: share of the prefill": restored / prefill,
        "snapshot: ms": snapshot * 1000,
    }  # fmt: skip


def _run(loaded: LoadedModel, kv_bytes: int | None, folder: Path) -> tuple[float, int]:
    """Tokens of answers a second over all; the most KV."""
    runner = make_runner(loaded, 64, kv_bytes, folder)
    engine = EdgeEngine(loaded, 64, runner=runner)
    batch = apart(orders(64, 150, 50))
    made = kv = 0
    begun = time.perf_counter()
    for order in batch:
        engine.start(order)
    while engine.busy:
        made += sum(len(report.tokens) for report in engine.step())
        kv = max(kv, engine.stats.kv_bytes)
    return made / (time.perf_counter() - begun), kv


def capped(loaded: LoadedModel, folder: Path) -> dict[str, float]:
    token = loaded.card.kv_bytes_per_token
    wanted = 64 * -(-(200 + 40 + ANSWER) // BLOCK) * BLOCK * token
    _run(loaded, wanted // 10, folder)  # what is made once, when it is first needed
    tight, kv = _run(loaded, wanted // 10, folder)
    free, _ = _run(loaded, None, folder)
    # In a process of its own, which has done nothing before.
    dtype = loaded.card.dtype or "auto"
    program = [
        sys.executable, str(Path(__file__).with_name("memory.py")), "--dtype", dtype,
        "--kv-bytes", str(wanted // 10), "--rounds", "1",
    ]  # fmt: skip
    memory = json.loads(subprocess.run(program, check=True, stdout=subprocess.PIPE).stdout)
    return {
        "capped: share of the throughput": tight / free,
        "capped: KV of the cap": kv / (wanted / 10),
        "capped: memory grown, of the cap": (memory["most"] - memory["begun"]) / (wanted // 10),
        "capped: seconds to start": memory["seconds"],
    }


def fork_call() -> dict[str, float]:
    """Milliseconds of ``proc.fork`` through a real system."""
    with system("fair", 16, MODEL, hosts=1) as home, connect(home=home.root, user=True) as user:
        agent = user.spawn(AGENT, "Go on.", sampling={"max_tokens": 200})
        while user.info(agent.pid).process.usage.completion_tokens == 0:
            time.sleep(0.05)
        agent.kill("STOP")
        times = []
        for _ in range(50):
            begun = time.perf_counter()
            user.call("proc.fork", pid=agent.pid)
            times.append(time.perf_counter() - begun)
    return {"fork: p50 of the syscall, ms": statistics.median(times) * 1000}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_freed()  # as the driver does
    loaded = load_model(MODEL, ensure(MODEL), options.dtype, "cpu")
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="llmos-bench-") as name:
        folder = Path(name)
        parts: list[Callable[[], dict[str, float]]] = [
            lambda: shared(loaded), lambda: forks(loaded),
            lambda: restore(loaded, folder / "restore"),
            lambda: capped(loaded, folder / "capped"), fork_call,
        ]  # fmt: skip
        for number in range(options.rounds):
            for part in parts:
                print(f"round {number + 1} of {options.rounds} …", file=sys.stderr)
                for what, value in part().items():
                    taken.setdefault(what, []).append(value)
    rows = [[what, statistics.median(of), min(of), max(of)] for what, of in taken.items()]
    if options.json:
        print(json.dumps(rows))
        return 0
    print(tabulate(rows, headers=["", "median", "least", "most"], floatfmt=".3f"))
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
