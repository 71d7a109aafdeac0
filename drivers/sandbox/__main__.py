"""``python -m drivers.sandbox --name sandbox``: see ``drivers/sandbox/__init__.py``.

It knows nothing about how a command is confined.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from drivers.options import common_options, positive, run_driver
from drivers.sandbox.folders import Folders
from drivers.sandbox.limits import MB, Limits
from drivers.sandbox.tools import Sandbox
from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home

_DEFAULTS: Final = Limits()


def main(argv: Sequence[str] | None = None) -> int:
    about = "Offers shell and python: commands of agents, confined."
    parser = common_options("drivers.sandbox", about, name="sandbox", slots=4, model=False)
    parser.add_argument(
        "--unconfined", action="store_true", help="run commands as this user, without a sandbox"
    )
    parser.add_argument(
        "--check", action="store_true", help="only say whether this machine can confine a command"
    )
    for option, default, what in (
        ("seconds", int(_DEFAULTS.seconds), "that a call may take if it does not say itself"),
        ("memory", _DEFAULTS.memory // MB, "MB of memory of one call"),
        ("folder", _DEFAULTS.folder // MB, "MB in the folder of a process"),
        ("keep-days", 30, "days that a folder is kept after its last use"),
    ):
        parser.add_argument(
            f"--{option}", type=positive, default=default, help=f"{what} (%(default)s)"
        )
    options = parser.parse_args(argv)
    if options.check:
        return _check()
    limits = _DEFAULTS._replace(
        seconds=options.seconds, memory=options.memory * MB, folder=options.folder * MB
    )
    try:
        folders = Folders(Home.default().root / "sandbox" / options.name)
    except LLMOSError as error:
        logging.critical("%s; %s", error.message, error.hint)
        return error.exit_status
    folders.sweep(options.keep_days)
    sandbox = Sandbox(folders, limits, confined=not options.unconfined)
    return run_driver(options, kind="tool", tools=sandbox.tools())


def _check() -> int:
    """One line says it; 1: it can't."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="llmos-check-") as folder:
        obstacle = Sandbox(Folders(Path(folder)), _DEFAULTS).obstacle
    sys.stdout.write((obstacle or "commands can be confined") + "\n")
    return 1 if obstacle else 0


if __name__ == "__main__":
    sys.exit(main())
