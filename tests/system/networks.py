"""Two networks and a line between them, which is slow, loses packets, and can be cut.

Run as a program it owns both, inside a user namespace that needs no rights: a network namespace
at each end, and a forwarder of raw packets between the two. It takes orders on its standard input:
``cut``, ``mend``, ``count``. ``Networks`` is the test's side of it.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import shutil
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

DELAY: Final = 0.02
LOSS: Final = 0.01
ADDRESSES: Final = ("10.77.0.1", "10.77.0.2")

_ALL: Final = 3
_SOL_PACKET, _VNET_HEADER = 263, 15
_OUTGOING: Final = 4
_LARGEST: Final = 70_000


class Unavailable(Exception):
    """Why there can be no such networks here."""


class Networks:
    """Two ends, 0 and 1. ``within`` runs a command at one of them."""

    def __init__(self) -> None:
        missing = [name for name in ("unshare", "nsenter", "ip") if not shutil.which(name)]
        if missing:
            raise Unavailable(f"there is no {', '.join(missing)}")
        self._process = subprocess.Popen(
            ["unshare", "-Urn", sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self._pids = self._answer()["pids"]
        except ValueError:
            _, said = self._process.communicate(timeout=60)
            why = (said.strip().splitlines() or ["no reason was given"])[-1]
            raise Unavailable(f"network namespaces are not permitted here: {why}") from None

    def within(self, end: int) -> list[str]:
        """What stands before a command that is to run there, as the same user."""
        return ["nsenter", "--preserve-credentials", "-U", "-n", "-t", str(self._pids[end])]

    def tell(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate("", timeout=30)
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class _Line:
    """The forwarder. What arrives at one end leaves at the other, later or never."""

    def __init__(self, names: tuple[str, str]) -> None:
        self._ends = [self._open(name) for name in names]
        self._underway: deque[tuple[float, int, bytes]] = deque()
        self._dice = random.Random(5)
        self.is_cut = False
        self.passed = self.lost = 0

    @staticmethod
    def _open(name: str) -> socket.socket:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        # Packets travel with what is still to be done to them (checksums, to be cut in pieces).
        end.setsockopt(_SOL_PACKET, _VNET_HEADER, 1)
        end.bind((name, 0))
        return end

    def serve(self) -> None:
        """Until the standard input ends."""
        while True:
            now = time.monotonic()
            while self._underway and self._underway[0][0] <= now:
                _, end, packet = self._underway.popleft()
                with contextlib.suppress(OSError):
                    self._ends[end].send(packet)
            wait = self._underway[0][0] - now if self._underway else None
            ready, _, _ = select.select([*self._ends, sys.stdin], [], [], wait)
            for end in ready:
                if end is not sys.stdin:
                    self._take(self._ends.index(end))
                elif not self._obey(sys.stdin.readline().strip()):
                    return

    def _take(self, end: int) -> None:
        packet, address = self._ends[end].recvfrom(_LARGEST)
        if address[2] == _OUTGOING:
            return
        if self.is_cut or self._dice.random() < LOSS:
            self.lost += 1
            return
        self.passed += 1
        self._underway.append((time.monotonic() + DELAY, 1 - end, packet))

    def _obey(self, order: str) -> bool:
        if order in ("cut", "mend"):
            self.is_cut = order == "cut"
            self._underway.clear()
        if order:
            print(json.dumps({"passed": self.passed, "lost": self.lost}), flush=True)
        return bool(order)


def _end(name: str, address: str) -> subprocess.Popen[bytes]:
    """A network namespace, with one end of a pair of devices; the other one is ours. What holds it
    ends when we do, since nobody else has its input."""
    holder = subprocess.Popen(
        ["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    ours = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{holder.pid}/ns/net").readlink() == ours:
        assert holder.poll() is None, "no second network namespace can be made"
        time.sleep(0.01)
    pid = str(holder.pid)
    there = ["nsenter", "-n", "-t", pid]
    for words in (
        ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pid],
        ["ip", "link", "set", name, "up"],
        [*there, "ip", "addr", "add", f"{address}/24", "dev", "eth0"],
        [*there, "ip", "link", "set", "eth0", "up"],
        [*there, "ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(words, check=True)
    return holder


if __name__ == "__main__":
    names = ("line0", "line1")
    holders = [_end(*one) for one in zip(names, ADDRESSES, strict=True)]
    line = _Line(names)
    print(json.dumps({"pids": [holder.pid for holder in holders]}), flush=True)
    line.serve()
