"""What a syscall costs, against a bare ZeroMQ echo with the same payload in the same run.

    python benchmarks/syscalls.py [--calls N]

Starts a kernel of its own in a temporary home. Prints medians; machines are shared and noisy,
so only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import zmq
from tabulate import tabulate

from llmagentos import connect
from llmagentos.abi import wire
from llmagentos.client import System

TEXT = "x" * 200


def echo(address: str) -> None:
    """A ROUTER that sends back what it gets."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.bind(address)
    while True:
        socket.send_multipart(socket.recv_multipart())


def microseconds(call: Callable[[], object], count: int) -> list[float]:
    call()
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1e6)
    return sorted(taken)


def in_flight(system: System, count: int, width: int = 64) -> float:
    """Calls a second with so many in flight at once."""
    start = time.perf_counter()
    waiting = [append(system) for _ in range(width)]
    for _ in range(count - width):
        waiting.pop(0).result()
        waiting.append(append(system))
    for one in waiting:
        one.result()
    return count / (time.perf_counter() - start)


def append(system: System):  # type: ignore[no-untyped-def]
    return system.open("ctx.append", messages=[{"role": "user", "content": TEXT}])


def echo_in_flight(socket: zmq.Socket[bytes], frames: list[bytes], count: int) -> float:
    start = time.perf_counter()
    for _ in range(64):
        socket.send_multipart(frames)
    for _ in range(count - 64):
        socket.recv_multipart()
        socket.send_multipart(frames)
    for _ in range(64):
        socket.recv_multipart()
    return count / (time.perf_counter() - start)


def measure(home: Path, calls: int) -> None:
    address = f"ipc://{home}/echo.sock"
    server = multiprocessing.get_context("spawn").Process(target=echo, args=(address,), daemon=True)
    server.start()
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    socket.connect(address)
    body = {"messages": [{"role": "user", "content": TEXT}]}
    frames = wire.encode(wire.Message("call", 1, "ctx.append", "s" * 64, body))

    def bare() -> None:
        socket.send_multipart(frames)
        socket.recv_multipart()

    with connect(home=home) as system:
        rows = {
            "bare echo": microseconds(bare, calls),
            "sys.ping": microseconds(lambda: system.call("sys.ping"), calls),
            "proc.info (reads)": microseconds(lambda: system.call("proc.info"), calls),
            "ctx.append (durable)": microseconds(lambda: append(system).result(), calls),
        }
        wide = in_flight(system, calls)
        wide_echo = echo_in_flight(socket, frames, calls)
    base = statistics.median(rows["bare echo"])
    table = [
        [name, statistics.median(taken), taken[int(len(taken) * 0.99)],
         f"{statistics.median(taken) / base:.1f}×"]
        for name, taken in rows.items()
    ]  # fmt: skip
    print(tabulate(table, headers=["call", "p50 µs", "p99 µs", "of echo"], floatfmt=".0f"))
    print(f"\n64 in flight: {wide:,.0f} durable calls/s, {wide / wide_echo:.2f}× of the echo's")
    server.terminate()
    server.join()
    socket.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmos-bench-") as folder:
        home = Path(folder)
        kernel = subprocess.Popen(
            [sys.executable, "-m", "kernel", "--log-level", "WARNING"],
            env={**os.environ, "LLMOS_HOME": folder},
        )
        try:
            while not (home / "run" / "kernel.sock").exists():
                time.sleep(0.05)
            measure(home, options.calls)
        finally:
            kernel.terminate()
            kernel.wait(10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
