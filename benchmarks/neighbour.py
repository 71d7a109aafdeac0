"""What a sick endpoint costs a healthy agent beside it, whose endpoint is well.

    python benchmarks/neighbour.py [--delay 0|0.05] [--well 0|2] [--rounds N] [--json]

One kernel, and two cloud drivers with a mock endpoint each. A program makes calls on the healthy
one: alone; beside eight clients of the sick one that go through the system; and beside the same
eight without it, with the plain ``openai`` library. All three in turn, and of several rounds the
median. The last is the control: eight clients and a mock that sends 10 MB take of two cores what
they take, whoever brings the bytes.

Each of the eight calls again 100 ms after its answer or error. ``--well 0``: the sick endpoint is
never well, so the kernel soon leaves it alone; each round begins with a driver that it has not
yet met. ``--well 2``: every other request is answered, so it hardly ever has a reason to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import openai
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.cloud import ROOT, SAID, WORDS, endpoint, generate, system
from benchmarks.load import Client, Taken, one_by_one
from llmagentos.client import connect
from llmagentos.home import Home

SICK = 8
PAUSE = 0.1
"""Seconds from the end of a sick client's call to its next one."""
WINDOW = 0.8
"""Seconds, about, that the healthy program's calls take when it is alone."""
TIMES = ("--patience", "1", "--first-token", "0.5", "--between-tokens", "0.5")
KINDS: dict[str, dict[str, Any]] = {
    "well": {},
    "500": {"status": 500},
    "429": {"status": 429, "headers": {"retry-after": "1"}},
    "hangs": {"breaks": "hang"},
    "drops": {"breaks": "drop"},
    "garbage": {"breaks": "garbage"},
    "10 MB line": {"breaks": "huge line"},
    "10 MB body": {"breaks": "huge body"},
    "closes": {"breaks": "close"},
}
"""``well`` is a neighbour that is not sick at all."""

Hammer = Callable[[str, Any, Any, Any], None]
"""Runs in a process of its own: ``(place, ready, stop, ended)``. It sets ``ready`` when it begins,
goes on until ``stop``, and puts what came of its calls into the queue ``ended``."""


def hammer(home: str, ready: Any, stop: Any, ended: Any) -> None:
    """Eight programs, each with one call at a time."""
    place = Home(Path(home))
    ends: Counter[str] = Counter()
    body = {**generate(0), "model": "sick"}

    def one(client: Client) -> None:
        while not stop.is_set():
            client.send("llm.generate", body)
            reply = client.receive()
            ends["ok" if reply["ok"] else reply["error"]["code"]] += 1
            time.sleep(PAUSE)

    clients = [Client(place.syscalls, place.user_key()) for _ in range(SICK)]
    for client in clients:
        client.session = client.call("proc.adopt")["session"]
    ready.set()
    for client in clients:
        # Some wait for an endpoint that is left alone; they end with this process.
        threading.Thread(target=one, args=(client,), daemon=True).start()
    stop.wait()
    ended.put(dict(ends))


def raw_hammer(url: str, ready: Any, stop: Any, ended: Any) -> None:
    """The same without the system."""
    ends: Counter[str] = Counter()

    async def one(client: openai.AsyncOpenAI) -> None:
        while True:
            try:
                stream = await client.chat.completions.create(
                    model="x", messages=SAID, max_tokens=16, temperature=0, stream=True,
                    stream_options={"include_usage": True},
                )  # fmt: skip
                async for _ in stream:
                    pass
                ends["ok"] += 1
            except Exception as error:
                ends[type(error).__name__] += 1
            await asyncio.sleep(PAUSE)

    async def all_of_them() -> None:
        http = openai.DefaultAsyncHttpxClient(timeout=httpx2.Timeout(0.5))
        async with openai.AsyncOpenAI(api_key="x", base_url=url, http_client=http) as client:
            ready.set()
            tasks = [asyncio.create_task(one(client)) for _ in range(SICK)]
            await asyncio.to_thread(stop.wait)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_them())
    ended.put(dict(ends))


def beside(who: Hammer, place: str, run: Callable[[], Taken]) -> tuple[Taken, dict[str, int]]:
    """``run`` while they hammer, from their first call on; what came of theirs."""
    context = multiprocessing.get_context("spawn")
    ready, stop, ended = context.Event(), context.Event(), context.Queue()
    process = context.Process(target=who, args=(place, ready, stop, ended), daemon=True)
    process.start()
    ready.wait()
    taken = run()
    stop.set()
    ends: dict[str, int] = ended.get()
    process.join()
    return taken, ends


@contextmanager
def sick_driver(home: Path, url: str) -> Iterator[None]:
    """One that the kernel has not met, for this endpoint."""
    driver = subprocess.Popen(
        [
            sys.executable, "-m", "drivers.cloud", "--endpoint", url, "--name", "sick",
            "--model", "sick=x", *TIMES,
        ],
        env={**os.environ, "LLMOS_HOME": str(home)}, cwd=ROOT, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with connect(home=home, user=True) as user:
            while not any(
                row["os_pid"] == driver.pid and row["state"] == "ready"
                for row in user.call("drv.list")["drivers"]
            ):
                time.sleep(0.05)
        yield
    finally:
        driver.terminate()
        driver.wait(10)


def measure(delay: float, well: int, rounds: int, kinds: list[str]) -> list[dict[str, Any]]:
    calls = round(WINDOW / (delay + 0.003))
    rows = []
    with endpoint(words=WORDS, delay=delay) as healthy, tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with system(home, healthy):
            place = Home(home)
            client = Client(place.syscalls, place.user_key())
            client.session = client.call("proc.adopt")["session"]

            def run() -> Taken:
                return one_by_one(client, "llm.generate", generate, calls, warm=0)

            one_by_one(client, "llm.generate", generate, 100)
            for kind in kinds:
                sick = {"words": WORDS, "delay": delay, "well": well, **KINDS[kind]}
                with endpoint(**sick) as url:
                    taken = []
                    for _ in range(rounds):
                        with sick_driver(home, url):
                            alone = run()
                            raw, raw_ends = beside(raw_hammer, url, run)
                            ours, ends = beside(hammer, folder, run)
                            taken.append(Round(alone, raw, ours, raw_ends, ends))
                    rows.append({"endpoint": kind, **_row(taken)})
                    print(rows[-1], file=sys.stderr, flush=True)
            client.close()
    return rows


class Round(NamedTuple):
    """The healthy program's calls, and what came of the others'."""

    alone: Taken
    raw: Taken
    ours: Taken
    raw_ends: dict[str, int]
    ends: dict[str, int]


def _row(rounds: list[Round]) -> dict[str, Any]:
    def median(of: Callable[[Round], float]) -> float:
        return round(statistics.median(map(of, rounds)), 2)

    ends: Counter[str] = Counter()
    for one in rounds:
        ends.update(one.ends)
    return {
        "alone_ms": median(lambda one: 1000 / one.alone.rate),
        "beside_ms": median(lambda one: 1000 / one.ours.rate),
        "ratio": median(lambda one: one.alone.rate / one.ours.rate),
        "p50_ratio": median(lambda one: one.ours.p50 / one.alone.p50),
        "raw_ratio": median(lambda one: one.alone.rate / one.raw.rate),
        "raw_p50_ratio": median(lambda one: one.raw.p50 / one.alone.p50),
        "sick_per_second": median(lambda one: sum(one.ends.values()) / one.ours.seconds),
        "raw_per_second": median(lambda one: sum(one.raw_ends.values()) / one.raw.seconds),
        "ends": ", ".join(f"{number} {end}" for end, number in ends.most_common()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--delay", type=float, default=0.0, help="of both endpoints, seconds")
    parser.add_argument("--well", type=int, default=0, help="each such request is answered")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.delay, options.well, options.rounds, options.kind or list(KINDS))
    if options.json:
        print(json.dumps(rows))
        return 0
    print(tabulate(rows, headers="keys"))
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
