"""What the whole system adds to an endpoint in the cloud: client, kernel, driver and back.

    python benchmarks/cloud.py [--calls N] [--rounds N] [--json]

A mock endpoint streams answers of 8 pieces, at once or 50 ms after it was asked. The same calls
are made of it with the ``openai`` library, as a program of its own would make them (raw), and as
syscalls of clients on the raw wire, through kernel and cloud driver. Both in the same run, and of
several rounds the median.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import Client, Taken, one_by_one, together
from llmagentos.client import connect
from llmagentos.home import Home

ROOT = Path(__file__).resolve().parents[1]
DELAYS = {"endpoint at once": 0.0, "endpoint after 50 ms": 0.05}
WORDS = [f"word{number} " for number in range(8)]
MANY = 64
MODEL = "cloud"
SAID = [{"role": "user", "content": "hi"}]


def generate(number: int) -> dict[str, Any]:
    return {"messages": SAID, "sampling": {"max_tokens": 16}, "model": MODEL}


@contextmanager
def endpoint(**behaviour: Any) -> Iterator[str]:
    """Its address."""
    mock = subprocess.Popen(
        [sys.executable, "tests/drivers/cloud/endpoint.py", json.dumps(behaviour)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert mock.stdout is not None
    try:
        yield mock.stdout.readline().strip()
    finally:
        mock.terminate()
        mock.wait(10)
        mock.stdout.close()


@contextmanager
def system(home: Path, url: str) -> Iterator[None]:
    """A kernel, and a driver for this endpoint."""
    environment = {**os.environ, "LLMOS_HOME": str(home)}

    def run(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *words]
        return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=ROOT)

    programs = [run("kernel", "--log-level", "WARNING", "--default-model", MODEL)]
    try:
        while not (home / "run" / "kernel.sock").exists():
            if programs[0].poll() is not None:
                raise RuntimeError("the kernel did not start")
            time.sleep(0.05)
        programs.append(
            run("drivers.cloud", "--endpoint", url, "--model", f"{MODEL}=x", "--slots", str(MANY))
        )
        with connect(home=home, user=True) as user:
            while not any(row["state"] == "ready" for row in user.call("drv.list")["drivers"]):
                time.sleep(0.05)
        yield
    finally:
        for program in reversed(programs):
            program.terminate()
            program.wait(10)


async def raw(url: str, calls: int, clients: int) -> Taken:
    """One program with so many calls at the same time."""
    times: list[float] = []
    http = openai.DefaultAsyncHttpxClient(limits=openai.DEFAULT_CONNECTION_LIMITS)
    async with openai.AsyncOpenAI(api_key="x", base_url=url, http_client=http) as client:

        async def call() -> None:
            begun = time.perf_counter()
            stream = await client.chat.completions.create(
                model="x", messages=SAID, max_tokens=16, temperature=0, stream=True,
                stream_options={"include_usage": True},
            )  # fmt: skip
            async for _ in stream:
                pass
            times.append(time.perf_counter() - begun)

        async def many() -> None:
            for _ in range(calls // clients):
                await call()

        await asyncio.gather(*(call() for _ in range(clients)))
        times.clear()
        begun = time.perf_counter()
        await asyncio.gather(*(many() for _ in range(clients)))
        return Taken(sorted(times), time.perf_counter() - begun)


def through(home: Path, calls: int, clients: int) -> Taken:
    """So many programs, each with one call at a time."""
    place = Home(home)
    programs = []
    for _ in range(clients):
        client = Client(place.syscalls, place.user_key())
        client.session = client.call("proc.adopt")["session"]
        programs.append(client)
    try:
        if clients == 1:
            return one_by_one(programs[0], "llm.generate", generate, calls)
        together(programs, "llm.generate", generate, clients)
        return together(programs, "llm.generate", generate, calls)
    finally:
        for client in programs:
            client.close()


def measure(calls: int, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for title, delay in DELAYS.items():
        with endpoint(words=WORDS, delay=delay) as url, tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            with system(home, url):
                for clients in (1, MANY):
                    many = calls * (4 if clients > 1 else 1)
                    pairs = []
                    for number in range(rounds):
                        print(f"{title}, {clients}: round {number + 1} …", file=sys.stderr)
                        pairs.append(
                            (asyncio.run(raw(url, many, clients)), through(home, many, clients))
                        )
                    rows.append({"load": title, "clients": clients, **_row(pairs)})
    return rows


def _row(pairs: list[tuple[Taken, Taken]]) -> dict[str, float]:
    median = statistics.median
    return {
        "raw_p50_ms": round(median(bare.p50 for bare, _ in pairs) / 1000, 2),
        "p50_ms": round(median(ours.p50 for _, ours in pairs) / 1000, 2),
        "added_p50_ms": round(median(ours.p50 - bare.p50 for bare, ours in pairs) / 1000, 2),
        "raw_calls_per_second": round(median(bare.rate for bare, _ in pairs)),
        "calls_per_second": round(median(ours.rate for _, ours in pairs)),
        "rate_of_raw": round(median(ours.rate / bare.rate for bare, ours in pairs), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=200, help="one after the other")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.calls, options.rounds)
    if options.json:
        print(json.dumps(rows))
        return 0
    print(tabulate(rows, headers="keys"))
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
