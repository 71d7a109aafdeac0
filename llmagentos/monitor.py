"""A ZeroMQ socket's monitor: word of its connections' beginnings and ends.

``zmq.utils.monitor`` does the same, and loads asyncio for it, which costs a kernel or a short
command a tenth of its start. It knows nothing about what the socket is for.
"""

from __future__ import annotations

import struct
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


def outlast(socket: Any, seconds: float = 5.0) -> bool:
    """Close a socket, and wait until it is gone and its connections with it; False if it is not.

    Else it may connect again after the next one of its name, by itself, just before it goes. A
    ROUTER at the other end then takes the name from the next one, which hears nothing of that, nor
    anything else ever again."""
    socket.disable_monitor()
    # Only now: where nobody hears of it, libzmq waits for ever to tell, and closes nothing more.
    stopped = watch(socket, zmq.EVENT_MONITOR_STOPPED)
    socket.close(0)
    gone = bool(zmq.Socket.shadow(stopped.underlying).poll(round(seconds * 1000)))
    stopped.close(0)
    return gone


def pending(monitor: zmq.Socket[Any]) -> bool:
    """Whether something has become of the socket that nobody has looked at yet."""
    return bool(int(monitor.get(zmq.EVENTS)) & _READABLE)
