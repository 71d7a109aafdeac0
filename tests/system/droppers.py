"""Peers that take every connection and drop it: at once, or as soon as both have said hello.

They count them. They know nothing about who connects.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_GREETING: Final = (
    b"\xff" + bytes(7) + b"\x01\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
)
"""Of ZMTP 3.0, without security."""

_READY: Final = b"\x05READY" + b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"ROUTER"


class Dropper:
    """``dropped``: how many connections so far. ``polite``: it says hello first."""

    def __init__(self, path: Path, *, polite: bool) -> None:
        self.dropped = 0
        self._polite = polite
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(64)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            self.dropped += 1
            with line, suppress(OSError):
                if self._polite:
                    self._greet(line)

    def _greet(self, line: socket.socket) -> None:
        line.settimeout(5)
        line.sendall(_GREETING)
        heard = 0
        while heard < len(_GREETING) and (some := line.recv(4096)):
            heard += len(some)
        line.sendall(bytes([4, len(_READY)]) + _READY)
        while heard == len(_GREETING) and (some := line.recv(4096)):
            heard += len(some)  # its own READY, so it has heard ours

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


@contextmanager
def dropping(path: Path, *, polite: bool) -> Iterator[Dropper]:
    path.parent.mkdir(parents=True, exist_ok=True)
    dropper = Dropper(path, polite=polite)
    try:
        yield dropper
    finally:
        dropper.close()
