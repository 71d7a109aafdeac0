"""How long one message may hold the kernel, and with it everybody else.

    python benchmarks/holds.py [--only WORD] [--json]

Starts a kernel of its own in a temporary home. One client says the worst that the limits of the
wire allow (``worst``), another one pings all the while: its slowest ping is what everybody would
have waited. Beside it the CPU time that the kernel took, pings included. It is over the raw wire:
no client's checks stand in between.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import Client
from benchmarks.worst import BOUND, Case, cases
from llmagentos.abi import wire
from llmagentos.home import Home
from llmagentos.testing.tools import Functions

_PAUSE = 0.005
_PATIENCE = 3.0
"""Seconds between two pings, and for a reply: some calls wait for a driver, or for an approval."""


def _ping(address: str, worst: Synchronized[float], stop: Any) -> None:
    client = Client(address, "")
    while not stop.is_set():
        start = time.perf_counter()
        client.send("sys.ping", {})
        client.socket.recv_multipart()
        worst.value = max(worst.value, time.perf_counter() - start)
        time.sleep(_PAUSE)


@contextmanager
def _pinging(address: str) -> Iterator[Synchronized[float]]:
    """The slowest ping so far, in seconds; set it to 0 to begin anew."""
    context = multiprocessing.get_context("spawn")
    worst, stop = context.Value("d", 0.0), context.Event()
    pinger = context.Process(target=_ping, args=(address, worst, stop), daemon=True)
    pinger.start()
    while not worst.value:
        time.sleep(0.01)
    try:
        yield worst
    finally:
        stop.set()
        pinger.join()


@contextmanager
def _kernel(home: Home) -> Iterator[int]:
    """Its OS pid."""
    environment = {**os.environ, "LLMOS_HOME": str(home.root)}
    command = [sys.executable, "-m", "kernel", "--log-level", "WARNING"]
    kernel = subprocess.Popen(command, env=environment)
    try:
        while not Path(home.syscalls.removeprefix("ipc://")).exists():
            time.sleep(0.02)
        yield kernel.pid
    finally:
        kernel.terminate()
        kernel.wait(30)


def _cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _client(home: Home, user: Client, by: str) -> Client:
    """One that speaks for this process, or for the user."""
    if not by:
        return Client(home.syscalls, user.session)
    name = by.replace(" ", "-")
    user.send("proc.adopt", {"name": name, "capabilities": BOUND})
    return Client(home.syscalls, user.receive()["result"]["session"])


def _said(client: Client, case: Case) -> tuple[int, str]:
    """The bytes of it, and what became of it."""
    frames = wire.encode(wire.Message("call", 2**40, case.call, client.session, case.body()))
    frames += case.buffers()
    client.socket.send_multipart(frames)
    size = sum(map(len, frames))
    if not client.socket.poll(_PATIENCE * 1000):
        return size, "waits"
    reply = client.receive()
    return size, "ok" if reply["ok"] else reply["error"]["code"]


def measure(home: Home, only: str) -> Iterator[dict[str, Any]]:
    with _kernel(home) as pid, _pinging(home.syscalls) as worst:
        user = Client(home.syscalls, home.user_key())
        tools = Functions(home, {"echo": lambda key, value: value})
        tools.start()
        for case in cases():
            if only not in case.name:
                continue
            client = _client(home, user, case.by)
            case.before(client)
            time.sleep(0.3)
            worst.value, before = 0.0, _cpu(pid)
            size, says = _said(client, case)
            time.sleep(0.2)
            yield {
                "case": case.name,
                "KB": round(size / 1000),
                "slowest ping, ms": round(worst.value * 1000, 1),
                "CPU, ms": round((_cpu(pid) - before) * 1000, 1),
                "says": says,
            }
            client.close()
        tools.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="cases with this in their name")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmos-bench-") as folder:
        rows = list(measure(Home(Path(folder)), chosen.only))
    print(json.dumps(rows) if chosen.json else tabulate(rows, headers="keys"))


if __name__ == "__main__":
    main()
