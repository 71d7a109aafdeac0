"""A ZeroMQ socket's monitor: word of its connections' beginnings and ends.

``zmq.utils.monitor`` does the same, and loads asyncio for it, which costs a kernel or a short
command a tenth of its start. It knows nothing about what the socket is for.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import zmq

_READABLE: Final = int(zmq.POLLIN)


class MonitorEvent(NamedTuple):
    """``value`` is, for most events, the connection's file descriptor."""

    event: int
    value: int


def parse(frames: Sequence[bytes]) -> MonitorEvent:
    """The first frame is the event (16 bits) and its value (32 bits), in the machine's order;
    see zmq_socket_monitor(3)."""
    return MonitorEvent(*struct.unpack("=Hi", frames[0][:6]))


def pending(monitor: zmq.Socket[Any]) -> bool:
    """Whether something has become of the socket that nobody has looked at yet."""
    return bool(int(monitor.get(zmq.EVENTS)) & _READABLE)
