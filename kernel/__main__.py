"""``python -m kernel``: start the kernel of the system in ``LLMOS_HOME``.

Ends with 0 after SIGTERM or ``sys.shutdown``, with 3 when another kernel serves this home, with
4 when the disk is full, and with 1 for any other reason.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import logging
import os
import sys

from kernel.config import Config
from kernel.policies import POLICIES
from llmagentos.abi.errors import EINVAL, ENOSPC, LLMOSError
from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.home import Home

_OTHER_KERNEL = 3
_DISK_FULL = 4


def _checked(listen: str | None) -> str | None:
    """The address to listen on. Raises ``EINVAL``."""
    from pydantic import TypeAdapter, ValidationError

    from llmagentos.abi.keys import TcpAddress

    try:
        return TypeAdapter(TcpAddress | None).validate_python(listen)
    except ValidationError:
        raise EINVAL(
            f"{listen!a:.100} is no address to listen on",
            hint="write it as tcp://0.0.0.0:7667",
        ) from None


def _lock(home: Home) -> int | None:
    """Held as long as this process lives; None if another one holds it."""
    descriptor = os.open(home.root / "kernel.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def serve(home: Home, config: Config, durability: str, listen: str | None) -> None:
    # sqlite-utils imports numpy, for values that we never store: that would be a quarter of the
    # kernel's start and of its memory. It is there again for the first search by meaning.
    hidden = "numpy" not in sys.modules
    if hidden:
        sys.modules["numpy"] = None  # type: ignore[assignment]
    from kernel.assembly import assembled

    if hidden:
        del sys.modules["numpy"]
    server, booted, store = assembled(home, config, durability, listen)
    # What is here now stays: the collector need not look at it again and again. And it comes
    # more rarely, since little of what a call makes is in a cycle.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    server.serve(booted)
    store.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kernel", description=__doc__)
    parser.add_argument("--default-model", default=DEFAULT_MODEL)
    parser.add_argument("--durability", choices=["normal", "full"], default="normal")
    parser.add_argument("--policy", choices=list(POLICIES), default="fair", help="of scheduling")
    parser.add_argument("--listen", metavar="tcp://HOST:PORT", help="where nodes come in")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args()
    logging.basicConfig(
        level=options.log_level, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    home = Home.default()
    # What agents are told and say is nobody else's business.
    os.umask(0o077)
    try:
        home.create()
        lock = _lock(home)
        if lock is None:
            print(f"another kernel serves {home.root}", file=sys.stderr)
            return _OTHER_KERNEL
        config = Config(default_model=options.default_model, policy=options.policy)
        serve(home, config, options.durability, _checked(options.listen))
    except LLMOSError as error:
        print(f"kernel: {error}\nhint: {error.hint}", file=sys.stderr)
        return _DISK_FULL if isinstance(error, ENOSPC) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
