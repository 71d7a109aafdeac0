"""``python -m agents``: start an agent host for the system in ``LLMOS_HOME``.

It reads the command line and knows nothing about what a host does.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys

from agents.host import Host
from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home


def main() -> int:
    """Run a host to its end; the exit status."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="python -m agents", description="Run an agent host.")
    parser.add_argument("--name", required=True, help="its name; it comes back under it")
    parser.add_argument("--slots", type=int, default=256, help="the most agents at a time")
    parser.add_argument(
        "--no-parent", action="store_true", help="do not end when the parent process does"
    )
    parser.add_argument("--verbose", action="store_true", help="log each agent's end")
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(options.name, options.slots, None if options.no_parent else parent))
    except LLMOSError as error:
        hint = f"; {error.hint}" if error.hint else ""
        print(f"agent host {options.name}: {error}{hint}", file=sys.stderr)
        return max(1, error.exit_status)
    return 0


async def _serve(name: str, slots: int, parent: int | None) -> None:
    # The sockets belong to the running event loop, so the host is made inside it.
    await Host(Home.default(), name, slots).serve(parent)


if __name__ == "__main__":
    sys.exit(main())
