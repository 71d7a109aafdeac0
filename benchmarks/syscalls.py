"""What a syscall costs, against a bare ZeroMQ echo of the same frames in the same run.

    python benchmarks/syscalls.py [--calls N] [--json]

Starts a kernel and a scripted driver of its own in a temporary home. The calls come over the raw
wire, so that the kernel is measured; the Python client has rows of its own. Machines are shared
and noisy: only the ratios mean anything, and of several rounds the median.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import Body, Client, Taken, echo_server, in_flight, one_by_one, together
from llmagentos import connect
from llmagentos.home import Home

TEXT = "x" * 200
MODEL = "scripted"
KEYS = 1000


def put(number: int) -> dict[str, Any]:
    return {"key": f"key-{number % KEYS}", "value": TEXT}


def get(number: int) -> dict[str, Any]:
    return {"key": f"key-{number % KEYS}"}


def append(number: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": TEXT}]}


def generate(number: int) -> dict[str, Any]:
    said = [{"role": "user", "content": "hi"}]
    return {"messages": said, "sampling": {"max_tokens": 1}, "model": MODEL}


@contextmanager
def system(home: Path) -> Iterator[None]:
    """A kernel, and a driver that answers at once with one token."""
    environment = {**os.environ, "LLMOS_HOME": str(home)}
    kernel = subprocess.Popen(
        [sys.executable, "-m", "kernel", "--log-level", "WARNING", "--default-model", MODEL],
        env=environment,
    )
    while not (home / "run" / "kernel.sock").exists():
        if kernel.poll() is not None:
            raise RuntimeError("the kernel did not start")
        time.sleep(0.05)
    driver = subprocess.Popen(
        [sys.executable, "-m", "drivers.scripted", "--model", MODEL, "--script", "yes",
         "--slots", "64"],
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        for process in (driver, kernel):
            process.terminate()
            process.wait(10)


class Bench:
    """``calls``: how many of each kind, in each round."""

    def __init__(self, home: Path, calls: int, echo: str) -> None:
        self._place = Home(home)
        self._calls = calls
        self._echo = echo
        self._sockets: list[Client] = []

    def programs(self, many: int) -> list[Client]:
        """So many programs, each with a process of its own."""
        made = []
        for _ in range(many):
            client = Client(self._place.syscalls, self._place.user_key())
            client.session = client.call("proc.adopt")["session"]
            made.append(client)
        self._sockets += made
        return made

    def echoes(self, many: int) -> list[Client]:
        made = [Client(self._echo, "s" * 64) for _ in range(many)]
        self._sockets += made
        return made

    def close(self) -> None:
        for client in self._sockets:
            client.close()

    def alone(self) -> dict[str, Taken]:
        """One client, one call after the other."""
        (client,), (bare,) = self.programs(1), self.echoes(1)
        calls = self._calls
        rows = {
            "echo": one_by_one(bare, "mem.put", put, calls),
            "sys.ping": one_by_one(client, "sys.ping", lambda n: {}, calls),
            "mem.put (durable)": one_by_one(client, "mem.put", put, calls),
            "mem.get": one_by_one(client, "mem.get", get, calls),
            "ctx.append (durable)": one_by_one(client, "ctx.append", append, calls),
            "proc.info": one_by_one(client, "proc.info", lambda n: {}, calls),
            "llm.generate": one_by_one(client, "llm.generate", generate, calls // 4),
        }
        with connect(home=self._place.root) as library:
            rows["mem.put, Python client"] = _timed(
                lambda n: library.call("mem.put", **put(n)), calls
            )
        return rows

    def wide(self) -> dict[str, Taken]:
        """One connection with 64 calls in flight."""
        (client,), (bare,) = self.programs(1), self.echoes(1)
        calls = self._calls * 4
        return {
            "echo": in_flight(bare, "mem.put", put, calls),
            "mem.put (durable)": in_flight(client, "mem.put", put, calls),
            "mem.get": in_flight(client, "mem.get", get, calls),
            "ctx.append (durable)": in_flight(client, "ctx.append", append, calls),
        }

    def many(self, clients: int) -> dict[str, Taken]:
        """Many clients, each with one call in flight."""
        calls = max(self._calls * 2, clients * 4)
        echoes, programs = self.echoes(clients), self.programs(clients)
        bodies: list[tuple[str, str, Body]] = [
            ("mem.put (durable)", "mem.put", put),
            ("mem.get", "mem.get", get),
        ]
        rows = {"echo": together(echoes, "mem.put", put, calls)}
        for program in programs:
            program.call("mem.put", **put(0))
        for title, name, body in bodies:
            small: Body = lambda n, body=body: body(0)  # type: ignore[misc]  # noqa: E731
            rows[title] = together(programs, name, small, calls)
        if clients == 64:
            rows["llm.generate"] = together(programs, "llm.generate", generate, calls // 2)
        for client in (*echoes, *programs):
            client.close()
        return rows


def _timed(call: Callable[[int], object], calls: int) -> Taken:
    call(0)
    times = []
    began = time.perf_counter()
    for number in range(calls):
        start = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - start)
    return Taken(sorted(times), time.perf_counter() - began)


def measure(home: Path, calls: int) -> dict[str, dict[str, Taken]]:
    with system(home), echo_server(f"ipc://{home}/echo.sock") as echo:
        bench = Bench(home, calls, echo)
        try:
            return {
                "one client": bench.alone(),
                "64 in flight": bench.wide(),
                "16 clients": bench.many(16),
                "64 clients": bench.many(64),
                "1000 clients": bench.many(1000),
            }
        finally:
            bench.close()


def table(rounds: list[dict[str, dict[str, Taken]]]) -> list[dict[str, Any]]:
    """Medians over the rounds; ratios are those of each round with its own echo."""
    rows = []
    for load, first in rounds[0].items():
        for name in first:
            taken = [one[load][name] for one in rounds]
            echoes = [one[load]["echo"] for one in rounds]
            median = statistics.median
            rows.append({
                "load": load, "call": name,
                "p50_us": round(median(t.p50 for t in taken), 1),
                "p99_us": round(median(t.p99 for t in taken), 1),
                "calls_per_second": round(median(t.rate for t in taken)),
                "p50_of_echo": round(median(
                    t.p50 / e.p50 for t, e in zip(taken, echoes, strict=True)), 2),
                "rate_of_echo": round(median(
                    t.rate / e.rate for t, e in zip(taken, echoes, strict=True)), 2),
            })  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=3000, help="of each kind, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    zmq.Context.instance().set(zmq.MAX_SOCKETS, 8192)
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds} …", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="llmos-bench-") as folder:
            rounds.append(measure(Path(folder), options.calls))
    rows = table(rounds)
    if options.json:
        print(json.dumps(rows))
        return 0
    print(tabulate(
        [list(row.values()) for row in rows],
        headers=["load", "call", "p50 µs", "p99 µs", "calls/s", "p50 / echo", "rate / echo"],
    ))  # fmt: skip
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
