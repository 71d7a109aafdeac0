"""A supervisor of stand-in programs (shell scripts), for tests. Orders come as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from llmagentos.home import Home
from shell import supervisor
from shell.lock import SupervisorLock
from shell.service import Program
from shell.supervisor import Supervisor

TURNED_AWAY = 77


# However slow the machine is, what is told to end has the time for it.
for patience in ("_GRACE", "_KERNEL_GRACE", "_BOOT_PATIENCE"):
    setattr(supervisor, patience, 120.0)


def script(name: str, text: str) -> Program:
    return Program(name, ["/bin/sh", "-c", text])


def main() -> int:
    orders = json.loads(sys.argv[1])
    home = Home.default()

    def plan() -> list[Program]:
        if orders.get("bad_plan"):
            raise ValueError("line 3 is wrong")
        return [script(name, text) for name, text in orders["others"].items()]

    wait_for = orders.get("listening_when")
    lock = SupervisorLock(home)
    if not lock.acquire():
        return TURNED_AWAY
    return Supervisor(
        home,
        script("kernel", orders["kernel"]),
        plan,
        environment=dict(os.environ),
        listening=lambda: wait_for is None or Path(wait_for).exists(),
    ).run()


if __name__ == "__main__":
    sys.exit(main())
