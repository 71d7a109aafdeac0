"""The MCP driver's program: ``python -m drivers.mcp --name time --stdio "mcp-server-time"``.

One driver for one server, which is a child process (``--stdio``) or elsewhere (``--url``). Its
tools are offered as ``<name>.<tool>``. It knows nothing about the protocols on either side.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from drivers.options import common_options, positive, run_driver
from llmagentos.abi.errors import EINVAL, ENOSYS

if TYPE_CHECKING:
    from drivers.mcp.peer import Peer


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options("drivers.mcp", __doc__ or "", name="mcp", slots=64, model=False)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stdio", help="the server's command line")
    where.add_argument("--url", help="the server's address, for streamable HTTP")
    parser.add_argument(
        "--env", action="append", default=[],
        help="a variable of the environment that the server gets too; may be repeated",
    )  # fmt: skip
    parser.add_argument("--token-env", help="the variable with the bearer token for --url")
    parser.add_argument(
        "--result-label", action="append", default=[],
        help="a label for what the tools give; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--patience", type=positive, default=60, help="seconds for its start (%(default)s)"
    )
    parser.add_argument(
        "--protocol", choices=("auto", "legacy"), default="auto",
        help="legacy: only revisions before 2026-07-28 (%(default)s)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    try:
        from drivers.mcp.child import Child, environment
        from drivers.mcp.remote import Remote, host, is_here
        from drivers.mcp.server import Server
    except ImportError as error:
        parser.exit(
            ENOSYS.exit_status,
            f"drivers.mcp: the MCP driver needs the package {error.name!r}; "
            'install the mcp extra: pip install "llmagentos[mcp]"\n',
        )
    dial: Callable[[], Peer]
    if options.url:
        try:
            there = host(options.url)
        except EINVAL as error:
            parser.error(f"{error.message}; {error.hint}")
        # What is private must not leave the device only because nobody thought of --zone.
        if options.zone == "device" and not is_here(there):
            options.zone = there
        token = os.environ.get(options.token_env) if options.token_env else None
        if options.token_env and not token:
            parser.error(f"there is no {options.token_env} in the environment")
        dial = partial(Remote, options.url, token)
    else:
        try:
            command = shlex.split(options.stdio)
        except ValueError as error:
            parser.error(f"--stdio {options.stdio}: {error}")
        if not command:
            parser.error("--stdio needs a command")
        dial = partial(Child, command, environment(options.env))
    for chatty in ("httpx2", "mcp", "client"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    server = Server(
        options.name,
        dial,
        labels=options.result_label,
        patience=options.patience,
        protocol=options.protocol,
    )
    return run_driver(options, kind="tool", source=server)


if __name__ == "__main__":
    sys.exit(main())
