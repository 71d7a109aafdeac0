"""Assembly: a kernel of one home, put together from its machine, its store and its server.

It knows nothing about the process or thread that it is to run in.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from kernel.boot import boot
from kernel.catalog import Catalog
from kernel.config import Config, Services
from kernel.crashpoints import reach
from kernel.effects import Effects
from kernel.machine import Machine
from kernel.server import Server
from kernel.store import Store
from llmagentos import __version__
from llmagentos.abi.errors import EAUTH
from llmagentos.home import Home, write_secret

_KEY_BYTES: Final = 32


def assembled(
    home: Home, config: Config, durability: str = "normal", listen: str | None = None
) -> tuple[Server, Effects, Store]:
    """A server that listens, what its boot has led to, and its store, to be closed at the end."""
    if home.database.is_file():
        home.database.chmod(0o600)  # of one that was made before; the umask sees to new ones
    store = Store(home.database, "full" if durability == "full" else "normal")
    shipped = Path(__file__).resolve().parent.parent / "manifests"
    services = Services(
        catalog=Catalog([home.manifests, shipped]),
        history=store,
        memory=store.memory,
        files=store.files,
        mail=store.mail,
        mint=lambda: secrets.token_hex(32),
        user_key=_key(home.user_key_file),
        service_key=_key(home.service_key_file),
        version=__version__,
        os_pid=os.getpid(),
        events_socket=home.events,
    )
    machine = Machine(config, services)
    server = Server(home, machine, store, listen)
    now = server.clock.now()
    snapshot = store.load()
    reach("at-boot-after-load")
    return server, boot(machine, snapshot, now), store


def _key(file: Path) -> str:
    """A key of this system, made at its first start."""
    if not file.exists():
        write_secret(file, secrets.token_hex(_KEY_BYTES))
    try:
        key = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if len(key) != 2 * _KEY_BYTES:
        raise EAUTH(f"{file} holds no key", hint="remove it, and a new one is made")
    return key
