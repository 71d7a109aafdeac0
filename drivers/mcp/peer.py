"""A peer: one life of a server, however it is reached: as a child of ours, or at a URL.

It knows nothing about what is said to it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from mcp.client import Transport


class Peer(Protocol):
    """One life of a server. ``ended`` is set when it is over, and ``why`` says why. ``poll``: after
    how many seconds to ask for its tools again, if it may not be able to say that they changed."""

    ended: asyncio.Event
    why: str
    poll: float | None

    def streams(self) -> Transport: ...
