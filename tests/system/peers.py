"""What a broken or hostile peer says, how soon it must be answered all the same, and what it must
not do to the kernel.
"""

from __future__ import annotations

from typing import Any

from llmagentos.abi import wire
from tests.system.machines import Machines

QUICKLY = 30.0
"""Seconds: an answer comes, however busy the machine is, and before anybody loses patience."""
DEEP = b"\x81\xa1a" * 1000 + b"\xc0"
"""A map in a map, a thousand times."""


def head(**fields: Any) -> bytes:
    """The first frame of a call, or of what these fields make of it."""
    return wire.pack({"v": 1, "t": "call", "id": 7, "n": "sys.ping", **fields})


def announce(kind: str, key: str, /, **body: Any) -> list[bytes]:
    """What a driver says."""
    return wire.encode(wire.Message(kind, session=key, body=body))


def bugs(machines: Machines) -> list[dict[str, Any]]:
    """What the kernel has told of its own bugs."""
    with machines.user() as user:
        events = user.call("sys.events", limit=10_000)["events"]
    return [event["data"] for event in events if event["type"] == "kernel.bug"]
