"""A ZeroMQ socket's monitor: word of its connections' beginnings and ends.

``zmq.utils.monitor`` does the same, and loads asyncio for it, which costs a kernel or a short
command a tenth of its start. It knows nothing about what the socket is for.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from itertools import count
from typing import Any, Final, NamedTuple

import zmq

_READABLE: Final = int(zmq.POLLIN)
_NUMBERS: Final = count(1)


class MonitorEvent(NamedTuple):
    """``value`` is, for most events, the connection's file descriptor."""

    event: int
    value: int


def watch(socket: Any, events: int) -> Any:
    """A socket of the same kind that hears of these. pyzmq would name it by a descriptor, which the
    next socket may have while the name is still taken."""
    return socket.get_monitor_socket(events, f"inproc://llmos-monitor-{next(_NUMBERS)}")


def parse(frames: Sequence[bytes]) -> MonitorEvent:
    """The first frame is the event (16 bits) and its value (32 bits), in the machine's order;
    see zmq_socket_monitor(3)."""
    return MonitorEvent(*struct.unpack("=Hi", frames[0][:6]))


def outlast(monitor: zmq.Socket[Any], seconds: float = 5.0) -> None:
    """Wait until the socket, which was closed, is gone, and its connections with it. Its monitor
    must hear of ``EVENT_MONITOR_STOPPED``.

    Else it may connect again after the next one of its name, by itself, just before it goes. A
    ROUTER at the other end then takes the name from the next one, which hears nothing of that, nor
    anything else ever again."""
    plain: zmq.Socket[bytes] = zmq.Socket.shadow(monitor.underlying)
    end = time.monotonic() + seconds
    while plain.poll(max(0, int((end - time.monotonic()) * 1000))):
        if parse(plain.recv_multipart()).event == zmq.EVENT_MONITOR_STOPPED:
            return


def pending(monitor: zmq.Socket[Any]) -> bool:
    """Whether something has become of the socket that nobody has looked at yet."""
    return bool(int(monitor.get(zmq.EVENTS)) & _READABLE)
