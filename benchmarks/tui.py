"""The TUI with a thousand live processes and 200 events a second: how soon a key is answered, and
how much of a core it takes; and how soon it is there at all.

    python benchmarks/tui.py [--processes N] [--events N] [--seconds N] [--json]

It runs in a terminal of its own (a pty) on a real kernel, beside the same screen with ten
processes and no events. A key is answered when the cursor of the table has moved on the screen.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llmagentos.home import Home
from tests.system.machines import Machines, agent
from tests.tui.terminal import Terminal

COLUMNS, LINES = 160, 50
_STARTS = 7
_EVENTS_OF_A_CALL = 2
"""A signal, and the new state of who got it."""


def cpu(pid: int) -> float:
    """Seconds of a processor that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def populate(machines: Machines, count: int) -> list[int]:
    with machines.user() as user:
        sleeper = agent("sleeper", interactive=True, prompt="You sleep.")
        return [user.spawn(sleeper).pid for _ in range(count)]


class Bustle:
    """So many events a second: agents are stopped and go on, one after the other."""

    def __init__(self, machines: Machines, pids: list[int], events: int) -> None:
        self._machines, self._pids, self._events = machines, pids, events
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Bustle:
        if self._events:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._events:
            self._thread.join()

    def _run(self) -> None:
        pause = _EVENTS_OF_A_CALL / self._events
        due = time.monotonic()
        with self._machines.user() as user:
            number = 0
            while not self._over.is_set():
                pid, signal = (
                    self._pids[number // 2 % len(self._pids)],
                    ("STOP", "CONT")[number % 2],
                )
                user.call("proc.kill", pid=pid, signal=signal)
                number += 1
                due += pause
                time.sleep(max(0.0, due - time.monotonic()))


def seq(machines: Machines) -> int:
    with machines.user() as user:
        return int(user.call("sys.events", since=2**50, limit=1)["latest"])


def measure(processes: int, events: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        machines = Machines(Home(Path(folder) / "h"))
        try:
            machines.start_kernel()
            machines.start_driver(slots=16)
            machines.start_host()
            pids = populate(machines, processes)
            with Bustle(machines, pids, events):
                return screen(machines, seconds)
        finally:
            machines.close()


def screen(machines: Machines, seconds: float) -> dict[str, Any]:
    environment = {**os.environ, "LLMOS_HOME": str(machines.home.root), "COLORTERM": "truecolor"}
    # From nothing to the first screen with rows in it, as whoever types the command has it.
    starts = sorted(start(environment) for _ in range(_STARTS))
    command = [sys.executable, "-m", "shell"]
    with Terminal(command, COLUMNS, LINES, environment) as terminal:
        terminal.shows("sleeper", seconds=30)
        terminal.read(3.0)
        idle = cpu(terminal.pid), seq(machines), time.monotonic()
        terminal.read(seconds)
        took = time.monotonic() - idle[2]
        share = (cpu(terminal.pid) - idle[0]) / took
        rate = (seq(machines) - idle[1]) / took
        times = [answered(terminal, key) for _ in range(30) for key in "jk"]
    return {
        "first_screen": statistics.median(starts),
        "first_screen_slowest": starts[-1],
        "cpu": share,
        "events": rate,
        "key_p50": statistics.median(times),
        "key_p95": sorted(times)[int(len(times) * 0.95)],
    }


def start(environment: dict[str, str]) -> float:
    """Seconds from the command to its first screen, while the system is up."""
    begun = time.monotonic()
    with Terminal([sys.executable, "-m", "shell"], COLUMNS, LINES, environment) as terminal:
        terminal.shows("sleeper", seconds=30)
        return time.monotonic() - begun


def answered(terminal: Terminal, key: str) -> float:
    """Seconds until the cursor stands on another row."""
    before = cursor(terminal)
    begun = time.monotonic()
    os.write(terminal._master, key.encode())
    while cursor(terminal) == before:
        terminal.read(0.002)
        assert time.monotonic() - begun < 10, terminal.text
    took = time.monotonic() - begun
    terminal.read(0.11)
    return took


def cursor(terminal: Terminal) -> tuple[int, ...]:
    """Lines of the table with another background than most."""
    colours = [terminal.colour(line) for line in range(4, LINES - 1)]
    usual = statistics.mode(colours)
    return tuple(line for line, colour in enumerate(colours) if colour != usual)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {
        "10 processes, quiet": measure(10, 0, options.seconds),
        f"{options.processes} processes, quiet": measure(options.processes, 0, options.seconds),
        f"{options.processes} processes, {options.events} events/s": measure(
            options.processes, options.events, options.seconds
        ),
    }
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    table = [
        (
            name, f"{row['first_screen']:.2f} s", f"{row['cpu']:.1%}", f"{row['events']:.0f}",
            f"{row['key_p50'] * 1000:.0f} ms", f"{row['key_p95'] * 1000:.0f} ms",
        )
        for name, row in rows.items()
    ]  # fmt: skip
    print(
        tabulate(table, ["", "first screen", "of a core", "events/s", "a key, p50", "a key, p95"])
    )


if __name__ == "__main__":
    main()
