"""Is an answer the same when its driver is killed in its middle?

    python -m tests.campaigns.failover [--rounds N]

The embedded model in fp32, greedy, on two edge drivers as real processes: whichever has the answer
is killed with -9 after its 10th token of 40, and the other goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from llmagentos import System
from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.home import Home
from tests.system.machines import Machines

TOKENS = 40
KILLED_AFTER = 10
_SUBJECTS = ("a ferry", "rain", "the moon", "bread", "a violin", "salt", "an old bridge", "chess")
_LOADING = 90.0


def prompt(number: int) -> str:
    return f"Tell me {number + 2} things about {_SUBJECTS[number % len(_SUBJECTS)]}."


@dataclass
class Pair:
    """Two edge drivers of one system."""

    machines: Machines
    drivers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        self.drivers[name] = self.machines.start(
            "-m", "drivers.edge", "--name", name, "--model", DEFAULT_MODEL, "--dtype", "float32",
            "--slots", "2", "--threads", "1", "--no-parent",
        )  # fmt: skip

    def ready(self) -> None:
        for name, driver in self.drivers.items():
            self.machines.await_driver(name, driver.pid, _LOADING)

    def undisturbed(self, user: System, text: str) -> tuple[list[int], str]:
        whole = user.generate(text, model=DEFAULT_MODEL, max_tokens=TOKENS)
        return whole.tokens, whole.text

    def disturbed(self, user: System, text: str) -> tuple[list[int], str]:
        """Its tokens, and the text as its reader heard it. The driver that died starts again."""
        stream = user.generate_stream(text, model=DEFAULT_MODEL, max_tokens=TOKENS)
        pieces: list[str] = []
        dead = ""
        for piece in stream:
            pieces.append(piece)
            if len(pieces) == KILLED_AFTER:
                rows = user.call("drv.list")["drivers"]
                dead = next(row["name"] for row in rows if row["running"])
                self.drivers[dead].kill()
                self.drivers[dead].wait()
        result = stream.result()
        if not dead or result["driver"] == dead:
            raise RuntimeError(f"{result['driver']} was not killed under the answer")
        self.start(dead)
        return result["tokens"], "".join(pieces)


def rounds(machines: Machines, count: int) -> list[str]:
    """What went wrong, a line each."""
    pair = Pair(machines)
    machines.start_kernel()
    for name in ("a", "b"):
        pair.start(name)
    wrong = []
    with machines.user() as user:
        for number in range(count):
            text = prompt(number)
            pair.ready()
            right = pair.undisturbed(user, text)
            got = pair.disturbed(user, text)
            if got != right:
                wrong.append(f"{text} {right[1]!r} became {got[1]!r}")
            print(f"round {number + 1} of {count}, {len(wrong)} differ", flush=True)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmos-failover-") as folder:
        machines = Machines(Home(Path(folder)))
        try:
            wrong = rounds(machines, options.rounds)
        finally:
            machines.close()
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
